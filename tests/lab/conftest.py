# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab tests: each module gets a fleet that was just booted and deployed, and everything is removed at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import fleet, playbooks, story, topology
from tests.lab.mobility import MobileNode
from tests.lab.places import RUN, LabError, locked

HERE = Path(__file__).parent
TOOLS = ("systemd-nspawn", "debootstrap", "ip", "nft", "ssh", "nsenter")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """With a failure, what the agents had to say; the hosts are gone by the time anybody reads it."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed and HERE in item.path.parents:
        for name in topology.HOME_AGENTS:
            with contextlib.suppress(LabError):
                journal = fleet.execute(name, "journalctl", "-u", "vrrp-ha", "-b", "-n", "60", "-o", "short-precise")
                said = [line for line in journal.splitlines() if "binding_registered" not in line]
                report.sections.append((f"journal of {name}", "\n".join(said[-30:])))


@pytest.fixture(scope="session")
def machine() -> Iterator[None]:
    """A machine that can have a lab, without one before and after."""
    if os.geteuid():
        pytest.skip("needs root")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"missing: {', '.join(missing)}; run tests/setup")
    # Another test run on this machine has the same lab: wait until it is over.
    with locked(RUN.with_name(f"{RUN.name}-tests")):
        fleet.down()
        yield
        fleet.down()


@pytest.fixture(scope="module")
def deployed(machine: None) -> Iterator[None]:
    """Three home agents, each Master of its own virtual HA, without bindings."""
    fleet.down()
    fleet.up()
    playbooks.install()
    playbooks.playbook("deploy").must_succeed()
    story.wait_for_owners()
    yield
    fleet.down()


@pytest.fixture(scope="module")
def mobile_node(deployed: None) -> MobileNode:
    """A mobile node on the first foreign link with an open tunnel to VRID 51, and nine that only register."""
    node = MobileNode("mn1", 51, topology.FOREIGN_1)
    node.open_tunnel()
    node.must_register(10)
    story.must_agree(51, 10)
    return node


@pytest.fixture(scope="module")
def mobile_nodes(mobile_node: MobileNode) -> list[MobileNode]:
    """As many with each of the other virtual HAs, one of them with a tunnel as well."""
    others = [MobileNode("mn2", 52, topology.FOREIGN_2), MobileNode("mn3", 53, topology.FOREIGN_1)]
    for node in others:
        node.open_tunnel()
        node.must_register(10)
        story.must_agree(node.vrid, 10)
    return [mobile_node, *others]
