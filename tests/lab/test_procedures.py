# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbooks' playbooks under traffic: what they change, what they predict, what they cost, when they refuse."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.lab import agents, fleet, playbooks, story, topology
from tests.lab.mobility import MobileNode
from tests.lab.playbooks import Play, playbook


def per_host(play: Play) -> dict[str, int]:
    """How many tasks changed each host."""
    return {host: counts["changed"] for host, counts in play.recap.items()}


def only(*hosts: str) -> dict[str, int]:
    return {host: int(host in hosts) for host in topology.HOME_AGENTS}


@pytest.fixture(autouse=True)
def sound(mobile_node: MobileNode) -> None:
    """Before each test every virtual HA is with its owner, and all agree."""
    story.wait_for_owners()
    story.must_agree(51, 10)


def under_traffic(node: MobileNode, seconds: float, play: Callable[[], Play]) -> Play:
    """A playbook that must not cost a flow of VRID 51 more than one packet of a hundred a second."""
    plays: list[Play] = []

    def action() -> list[str]:
        plays.append(play().must_succeed())
        return []

    event = story.under_traffic("a procedure", [node], 51, story.PLANNED_LOSS, seconds, action)
    assert event.kept, {flow.name: flow.lost for flow in event.measured}
    return plays[0]


def test_a_host_is_drained_and_put_back_as_predicted_once_and_without_loss(mobile_node: MobileNode) -> None:
    arguments = ("-e", "host=ha1")
    for name, state in (("drain", "backup"), ("undrain", "master")):
        predicted = playbook(name, "--check", "--diff", *arguments).must_succeed()
        assert agents.virtual_ha("ha1", 51)["drained"] is (name == "undrain"), "the prediction changed something"
        done = under_traffic(mobile_node, 12, lambda name=name: playbook(name, *arguments))  # type: ignore[misc]
        assert per_host(predicted) == per_host(done) == only("ha1")
        assert agents.virtual_ha("ha1", 51)["state"] == state
        assert playbook(name, *arguments).must_succeed().changed == 0
    assert set(agents.counts(51).values()) == {10}


def test_an_upgrade_goes_from_host_to_host_as_predicted_once_and_without_loss(mobile_node: MobileNode) -> None:
    restart = ("-e", json.dumps({"vrrp_ha_settings": {"first_table": 2000}}))
    predicted = playbook("rolling_upgrade", "--check", "--diff", *restart).must_succeed()
    pids = {host: agents.Agent(host).call("status")["pid"] for host in topology.HOME_AGENTS}
    done = under_traffic(mobile_node, 24, lambda: playbook("rolling_upgrade", *restart))
    assert per_host(predicted) == per_host(done) == only(*topology.HOME_AGENTS)
    assert all(agents.Agent(host).call("status")["pid"] != pid for host, pid in pids.items())
    assert set(agents.counts(51).values()) == {10}
    assert playbook("rolling_upgrade", *restart).must_succeed().changed == 0
    playbook("rolling_upgrade").must_succeed()


def test_the_last_healthy_member_is_not_drained() -> None:
    playbook("drain", "-e", "host=ha2,ha3").must_succeed()
    refused = playbook("drain", "-e", "host=ha1")
    assert not refused.ok
    assert refused.changed == 0
    assert "ha1, VRID 51: would have no healthy member left: ha2 is drained, ha3 is drained" in refused.output
    playbook("undrain", "-e", "host=ha2,ha3").must_succeed()
    playbooks.playbook("verify").must_succeed()


def test_a_host_that_is_none_is_named() -> None:
    play = playbook("drain", "-e", "host=ha9")
    assert not play.ok
    assert "ha9 is none of ha1, ha2, ha3" in " ".join(play.output.split())


def test_two_runs_do_not_work_side_by_side() -> None:
    other = {"id": "x", "playbook": "failover", "controller": "elsewhere", "pid": 7}
    now = time.time()
    claim = json.dumps(other | {"since": now, "until": now + 600})
    fleet.execute("ha2", "sh", "-c", f"echo '{claim}' > /run/vrrp-ha-procedure.json")
    refused = playbook("drain", "-e", "host=ha1")
    assert not refused.ok
    assert refused.changed == 0
    assert "ha2: failover is at work since" in refused.output
    assert "process 7 on elsewhere" in refused.output
    playbook("drain", "-e", "host=ha1", "-e", "vrrp_ha_take_over=true").must_succeed()
    playbook("undrain", "-e", "host=ha1").must_succeed()
