# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify must not let pass. Each test breaks one thing, looks for its name, and mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab import agents, faults, fleet, playbooks, story, topology
from tests.lab.mobility import MobileNode

IMPATIENT = ("-e", "vrrp_ha_verify_rounds=2")


@pytest.fixture(autouse=True)
def mended(mobile_node: MobileNode) -> Iterator[ExitStack]:
    """A place for what has to be undone; the fleet is sound before and after."""
    with ExitStack() as undo:
        yield undo
    story.wait_for_owners()
    agents.wait_for("all agree again", lambda: agents.in_agreement(51), 15)
    playbooks.playbook("verify").must_succeed()


def assert_red(*named: str) -> None:
    """Verify fails, and one line of it names all of these."""
    play = playbooks.playbook("verify", *IMPATIENT)
    assert not play.ok, "verify is green"
    lines = [line for line in play.output.splitlines() if " ok=" not in line]  # the recap names all of them
    assert any(all(re.search(rf"\b{re.escape(word)}", line) for word in named) for line in lines), play.output


def systemctl(host: str, *arguments: str) -> None:
    fleet.execute(host, "systemctl", *arguments)


def test_no_master(mended: ExitStack) -> None:
    mended.enter_context(faults.home_link_down(*topology.HOME_AGENTS))
    for host in topology.HOME_AGENTS:
        agents.wait_for(f"{host} is not Master", lambda host=host: agents.virtual_ha(host, 53)["state"] != "master", 10)
    assert_red("VRID 53", "no Master")


def test_two_masters(mended: ExitStack) -> None:
    mended.enter_context(faults.vrrp_cut_off("ha2"))
    agents.wait_for("ha2 thinks it is alone", lambda: agents.virtual_ha("ha2", 51)["state"] == "master", 5)
    assert_red("ha1", "ha2", "VRID 51", "2 Masters")


def test_a_cache_that_differs(mended: ExitStack, mobile_node: MobileNode) -> None:
    mended.enter_context(faults.updates_lost_towards("ha3"))
    mobile_node.must_register(1, first=50)
    agents.wait_for("ha2 has it", lambda: agents.counts(51)["ha2"] == agents.counts(51)["ha1"])
    assert_red("ha3", "VRID 51", "bindings")


def test_an_owner_that_is_not_master(mended: ExitStack, mobile_node: MobileNode) -> None:
    systemctl("ha1", "stop", "vrrp-ha")
    agents.wait_for("ha2 is Master", lambda: agents.master(51) == "ha2", 5)
    mobile_node.must_register(1, first=60)
    mended.enter_context(faults.updates_lost_towards("ha1"))
    systemctl("ha1", "start", "vrrp-ha")
    assert_red("ha1", "VRID 51", "owner is backup")


def test_a_drained_owner_is_no_fault(mended: ExitStack) -> None:
    fleet.execute("ha1", "vrrp-ha", "drain", "51")
    mended.callback(fleet.execute, "ha1", "vrrp-ha", "undrain", "51")
    agents.wait_for("ha2 is Master", lambda: agents.master(51) == "ha2", 5)
    playbooks.playbook("verify").must_succeed()


def test_an_agent_that_is_down(mended: ExitStack) -> None:
    systemctl("ha3", "stop", "vrrp-ha")
    mended.callback(systemctl, "ha3", "start", "vrrp-ha")
    assert_red("ha3", "down")


def test_a_host_that_is_down(mended: ExitStack) -> None:
    """Also the one that Ansible would ask on behalf of all."""
    host = topology.HOME_AGENTS[0]
    fleet.power_off(host)
    mended.callback(fleet.power_on, host)
    assert_red(host, "is unreachable")
    refused = playbooks.playbook("drain", "-e", "host=ha2", *IMPATIENT)
    assert not refused.ok
    assert refused.changed == 0
    assert f"{host}: is unreachable" in refused.output


def test_a_configuration_that_was_edited_by_hand(mended: ExitStack) -> None:
    fleet.execute("ha2", "sed", "-i", 's/"priority": 200/"priority": 199/', "/etc/vrrp-ha/agent.json")
    mended.callback(lambda: playbooks.playbook("deploy").must_succeed())
    assert_red("ha2", "drifted", "priority")
