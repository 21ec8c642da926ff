# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example in the documentation of the inventory plugin, by the command that it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.inventory import vrid_plan

pytestmark = pytest.mark.skipif(
    not entry_points(group="console_scripts", name="ansible-inventory"), reason="needs ansible-inventory"
)


def test_it_plans_what_it_says(tmp_path):
    plan, hosts = vrid_plan.EXAMPLES.split("# hosts.yml\n")
    (tmp_path / "vrid_plan.yml").write_text(plan)
    (tmp_path / "hosts.yml").write_text(re.sub("^# ", "", hosts.strip(), flags=re.MULTILINE))
    command = re.search("ansible-inventory .*", plan).group().split()
    place = Path(next(path for path in sys.path if (Path(path) / "ansible_collections/mip6").is_dir()))
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        env=os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(place), "ANSIBLE_LOCAL_TEMP": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr
    for words in ("@vrrp_ha_link_berlin", "@vrrp_ha_owner_100:\n  |  |--ha-hh-1"):
        assert words in done.stdout
