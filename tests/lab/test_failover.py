# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Master is powered off, returns, and hands over on request, all under traffic, with few bindings and with many."""

from __future__ import annotations

import pytest

from tests.lab import fleet, playbooks, story, topology
from tests.lab.mobility import MobileNode
from tests.lab.story import Event


@pytest.fixture(scope="module", params=[10, 10_000], ids=["10 bindings", "10000 bindings"])
def bindings(request: pytest.FixtureRequest, machine: None) -> int:
    fleet.down()
    fleet.up()
    playbooks.install()
    playbooks.playbook("deploy").must_succeed()
    story.wait_for_owners()
    return int(request.param)


@pytest.fixture(scope="module")
def nodes(bindings: int) -> list[MobileNode]:
    mn1, mn2 = MobileNode("mn1", 51, topology.FOREIGN_1), MobileNode("mn2", 52, topology.FOREIGN_2)
    for node, count in ((mn1, bindings), (mn2, 10)):
        node.open_tunnel()
        node.must_register(count)
        story.must_agree(node.vrid, count)
    return [mn1, mn2]


def losses(event: Event) -> dict[str, int]:
    return {flow.name: flow.lost for flow in event.measured}


# In this order: each test takes the fleet as the one before left it.


def test_power_off_costs_no_more_than_the_time_to_notice(nodes: list[MobileNode], bindings: int) -> None:
    event = story.power_off(nodes, 51, "ha1", "ha2")
    assert event.kept, losses(event)
    assert event.after == {"ha1": None, "ha2": bindings, "ha3": bindings}


def test_a_virtual_ha_of_another_owner_loses_nothing_meanwhile(nodes: list[MobileNode]) -> None:
    # ha1 is off and a backup of VRID 52; its return must not disturb that either, see the next test.
    event = story.under_traffic("nothing", nodes[1:], 52, 0, 3, list)
    assert event.kept, losses(event)


def test_the_owner_returns_with_every_binding_and_disturbs_nobody(nodes: list[MobileNode], bindings: int) -> None:
    event, returned = story.power_on(nodes, 51, "ha1", bindings)
    assert returned.synchronised == bindings
    assert returned.routes == bindings
    assert event.kept, losses(event)
    assert playbooks.playbook("verify").must_succeed().changed == 0


@pytest.mark.parametrize("to", ["ha2", "ha3", "ha1"])
def test_a_planned_failover_loses_at_most_one_packet(nodes: list[MobileNode], bindings: int, to: str) -> None:
    event = story.planned(nodes, 51, to)
    assert event.kept, losses(event)
    assert set(event.after.values()) == {bindings}
