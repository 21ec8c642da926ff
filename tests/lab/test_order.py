# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that bring a fleet into order, and what they say: rebalance with mobile nodes that move, and report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab import access, agents, fleet, story, topology
from tests.lab.following import Following
from tests.lab.mobility import MobileNode, flows
from tests.lab.places import RUN
from tests.lab.playbooks import playbook

HANDOFF_LOSS = 1
"""Packets of a hundred a second that a flow may lose while its mobile node goes to another virtual HA."""


@pytest.fixture
def disorder(mobile_node: MobileNode) -> Iterator[None]:
    """VRID 51 has all the mobile nodes, VRID 53 is not with its owner, and ha2 rests."""
    fleet.execute("ha3", "vrrp-ha", "drain", "53")
    fleet.execute("ha2", "vrrp-ha", "drain")
    for vrid, host in ((53, "ha1"), (52, "ha3")):
        agents.wait_for_master(vrid, host, 10)
    yield
    fleet.execute("ha2", "vrrp-ha", "undrain")
    story.wait_for_owners()


def masters() -> dict[int, str | None]:
    return {vrid: agents.master(vrid) for vrid in topology.OWNERS}


def loads() -> list[int]:
    found = []
    for vrid, owner in topology.OWNERS.items():
        state = agents.virtual_ha(agents.master(vrid) or owner, vrid)
        assert state is not None
        found.append(state["balance"]["load"])
    return found


@pytest.fixture
def crowd(mobile_node: MobileNode) -> Iterator[None]:
    """All of VRID 51's do what a home agent asks them to. The one whose binding lives longest, and has the flow, goes
    first."""
    one = Following(mobile_node, 1, 1, "--tunnel", mobile_node.device, "--lifetime", "7200", "--seconds", "200")
    others = Following(mobile_node, 2, 9, "--seconds", "200")
    yield
    assert one.finish()["moves"] == {"1": 1}
    assert others.finish()["moves"] == {"0": 4, "1": 5}


def handoffs(host: str, vrid: int) -> list[dict[str, Any]]:
    return list(agents.Agent(host).call("handoffs", vrid=vrid)["handoffs"])


def test_a_fleet_is_brought_back_to_its_plan_and_its_loads_are_evened_out(
    mobile_node: MobileNode, disorder: None, crowd: None
) -> None:
    predicted = playbook("rebalance", "--check", "--diff").must_succeed()
    assert (masters()[53], loads()) == ("ha1", [10, 0, 0]), "the prediction changed something"
    with ThreadPoolExecutor() as pool:
        run = pool.submit(playbook, "rebalance")
        agents.wait_for("ha3 is back, and ha1 is to be asked for handoffs", lambda: agents.master(53) == "ha3", 60)
        assert loads()[0] == 10
        measured = [flow.finish() for flow in flows(mobile_node, 14)]
        done = run.result().must_succeed()
    print(f"{done.seconds:.1f} s; {[(flow.name, flow.lost, flow.outage_ms) for flow in measured]}")
    assert predicted.changed_tasks == done.changed_tasks
    assert {host for _task, host in done.changed_tasks} == {"ha1", "ha3"}
    assert masters() == {51: "ha1", 52: "ha3", 53: "ha3"}
    assert all(state["drained"] for state in agents.Agent("ha2").call("status")["virtual_has"])
    assert loads() == [4, 3, 3]
    moved = {handoff["home_address"]: handoff["state"] for handoff in handoffs("ha1", 51)}
    assert (len(moved), moved[mobile_node.home]) == (6, "done")
    assert all(flow.lost <= HANDOFF_LOSS for flow in measured), measured
    assert playbook("rebalance").must_succeed().changed == 0


def test_a_report_tells_who_serves_what_and_what_was_done(mobile_node: MobileNode) -> None:
    place = RUN / "report"
    done = playbook("report", "-e", f"vrrp_ha_report={place}").must_succeed()
    assert done.changed == 0
    page = (place / "fleet.md").read_text()
    assert "The fleet is as it should be." in page
    for vrid, owner in topology.OWNERS.items():
        assert f"| {vrid} | vha-" in page
        assert f"| {topology.VIRTUAL_HAS[vrid]} | {owner} |" in page
    document = json.loads((place / "fleet.json").read_text())
    assert (document["sound"], sorted(document["hosts"])) == (True, list(topology.HOME_AGENTS))
    assert not list(place.glob("tmp*"))
    for secret in json.loads(access.KEYS.read_text())["vrrp_ha_mobile_node_keys"]:
        assert secret["key"] not in page + json.dumps(document)
