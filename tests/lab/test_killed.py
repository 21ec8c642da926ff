# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook is killed at a random moment; run again, it ends with what it was to bring about, and a sound fleet.

VRRP_HA_KILLS says how often each is killed; without it one of them is, once. VRRP_HA_SEED chooses it and the moments.
"""

from __future__ import annotations

import os
import random
import subprocess
import time

import pytest

from tests.lab import fleet, story, topology
from tests.lab.mobility import MobileNode
from tests.lab.places import RUN
from tests.lab.procedures import PROCEDURES, must_be_as_deployed

KILLS = int(os.environ.get("VRRP_HA_KILLS", "0"))
SEED = int(os.environ.get("VRRP_HA_SEED", "0")) or time.time_ns() % 2**32
NAMES = ("drain", "failover", "rolling_upgrade")


def killed(words: tuple[str, ...], after: float) -> None:
    """Run a playbook and kill ansible-playbook, and nothing else, that long after its start."""
    name, *arguments = words
    line, environment = fleet.command(topology.CONTROLLER, ["ansible-playbook", f"mip6.vrrp_ha.{name}", *arguments])
    process = subprocess.Popen(
        line, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=RUN
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", range(max(1, len(NAMES) * KILLS)))
def test_a_playbook_that_was_killed_is_run_again_and_ends_well(mobile_nodes: list[MobileNode], number: int) -> None:
    name = NAMES[(SEED + number) % len(NAMES)]
    procedure = PROCEDURES[name]
    moment = random.Random(f"{SEED}/{name}/{number}").uniform(0.5, procedure.seconds)
    print(f"VRRP_HA_SEED={SEED}: {name} was killed after {moment:.2f} s")
    procedure.prepare()
    killed(procedure.words, moment)
    procedure.run()
    assert procedure.holds()
    assert procedure.run().changed == 0
    procedure.undo()
    must_be_as_deployed()
    for node in mobile_nodes:
        story.must_agree(node.vrid, 10)
