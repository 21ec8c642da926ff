# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing the lock file: whole or not at all, and nothing beside it."""

from __future__ import annotations

import os

from ansible_collections.mip6.vrrp_ha.plugins.action import plan


def test_what_runs_that_were_killed_left_beside_the_lock_file_is_removed(tmp_path):
    lock = tmp_path / "vrid_plan.lock.yml"
    for name in (".vrid_plan.4194305.x", ".vrid_plan.x"):
        (tmp_path / name).write_text("half")
    alive = tmp_path / f".vrid_plan.{os.getpid()}.x"
    alive.write_text("half")
    plan._write(str(lock), "all of it")
    assert lock.read_text() == "all of it"
    assert sorted(tmp_path.iterdir()) == [alive, lock]
