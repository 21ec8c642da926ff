# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches that fell behind, and registrations while the owner is away."""

from __future__ import annotations

import time

from tests.lab import agents, faults, fleet, playbooks, story, topology
from tests.lab.mobility import MobileNode, home_address

DIGEST_INTERVAL_S = 2.0
"""As in the agent's defaults; the lab's inventory does not change it."""


def binding(host: str, home: str) -> dict[str, object]:
    agent = agents.Agent(host)
    try:
        (found,) = agent.call("bindings", vrid=51, home_address=home)["bindings"]
        return dict(found)
    finally:
        agent.close()


def test_a_backup_that_missed_updates_repairs_itself_within_two_digest_intervals(mobile_node: MobileNode) -> None:
    with faults.updates_lost_towards("ha2"):
        mobile_node.must_register(5, first=11)
        agents.wait_for("the other backup has them", lambda: agents.counts(51)["ha3"] == 15)
        # Long enough for the repeated deltas and some digests to come and be of no use.
        time.sleep(2 * DIGEST_INTERVAL_S)
        assert agents.counts(51)["ha2"] == 10
    started = time.monotonic()
    story.must_agree(51, 15)
    assert time.monotonic() - started <= 2 * DIGEST_INTERVAL_S + 0.1


def test_an_acting_master_accepts_an_update_and_the_returning_owner_knows_of_it(mobile_node: MobileNode) -> None:
    fleet.power_off("ha1")
    agents.wait_for("ha2 acts as Master", lambda: agents.master(51) == "ha2", 5)
    moved = MobileNode("mn1", 51, topology.FOREIGN_2)
    moved.open_tunnel()
    moved.must_register()
    moved.must_register(1, first=99)
    assert binding("ha2", moved.home)["care_of_address"] == moved.care_of != mobile_node.care_of

    total = agents.counts(51)["ha2"]
    assert total is not None
    fleet.power_on("ha1")
    agents.wait_for("ha1 is Master again", lambda: agents.master(51) == "ha1", 15)
    story.must_agree(51, total)
    for home in (moved.home, home_address(51, 99)):
        assert binding("ha1", home)["care_of_address"] == moved.care_of
    event = story.under_traffic("after the return", [moved], 51, 0, 2, list)
    assert event.kept


def test_a_binding_that_was_deleted_under_an_acting_master_stays_deleted(mobile_node: MobileNode) -> None:
    before = agents.counts(51)["ha1"]
    assert before is not None
    fleet.power_off("ha1")
    agents.wait_for("ha2 acts as Master", lambda: agents.master(51) == "ha2", 5)
    mobile_node.must_register(1, first=5, lifetime=0)
    agents.wait_for("ha2 has forgotten it", lambda: agents.counts(51)["ha2"] == before - 1)
    fleet.power_on("ha1")
    agents.wait_for("ha1 is Master again", lambda: agents.master(51) == "ha1", 15)
    story.must_agree(51, before - 1)
    assert playbooks.playbook("verify").must_succeed().ok
