# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: it comes up from any half-made state and leaves nothing on the machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import fleet, hosts, topology
from tests.lab.places import CHECKOUT, run

LAB = str(CHECKOUT / "tests/lab/lab")


def lab(verb: str, killed_after: float | None = None) -> int:
    try:
        return subprocess.run([LAB, verb], timeout=killed_after or 120, check=False, capture_output=True).returncode
    except subprocess.TimeoutExpired:
        return -9


def leftovers() -> list[str]:
    prefix = topology.PREFIX
    namespaces = [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.startswith(prefix)]
    groups = [str(path) for root in hosts.HIERARCHIES for path in root.glob(f"{prefix}*")]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if prefix in line]
    processes = [pid for node in topology.NODES if node.boots for pid in hosts.processes(node)]
    return [*namespaces, *groups, *mounts, *map(str, processes)]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.7])
def test_an_interrupted_up_is_completed_by_the_next(seconds: float) -> None:
    assert lab("down") == 0
    lab("up", killed_after=seconds)
    assert lab("up") == 0
    assert all(row.up for row in fleet.status())
    assert lab("status") == 0


@pytest.mark.usefixtures("machine")
def test_an_interrupted_down_is_completed_by_the_next_and_leaves_nothing() -> None:
    assert lab("up") == 0
    lab("down", killed_after=0.2)
    assert lab("down") == 0
    assert leftovers() == []
    assert lab("down") == 0
    assert lab("status") == 3


@pytest.mark.usefixtures("machine")
def test_a_host_keeps_its_disk_over_a_power_cut_but_nothing_else() -> None:
    assert lab("up") == 0
    fleet.execute("ha1", "sh", "-c", "echo kept > /root/note; ip link add made-before type bridge; sync")
    fleet.power_off("ha1")
    assert hosts.processes(topology.node("ha1")) == []
    fleet.power_on("ha1")
    assert fleet.execute("ha1", "cat", "/root/note") == "kept\n"
    assert "made-before" not in fleet.execute("ha1", "ip", "link")
    assert lab("down") == 0
