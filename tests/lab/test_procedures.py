# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks on a fleet in use: what they predict, what they change, what they cost, when they refuse."""

from __future__ import annotations

import json
import time

import pytest

from tests.lab import agents, fleet, story, topology
from tests.lab.mobility import MobileNode
from tests.lab.playbooks import playbook
from tests.lab.procedures import PROCEDURES, RESTART, must_be_as_deployed
from tests.lab.snapshot import Snapshot, differences, settled, snapshot
from tests.lab.traffic import Traffic

CLAIMING = ("drain", "undrain", "failover", "rebalance", "move_owner", "rolling_upgrade", "rotate_keys", "remove")
"""Those that move services: they begin on a sound fleet, and one at a time."""


@pytest.fixture(autouse=True)
def sound(mobile_nodes: list[MobileNode]) -> None:
    """Before each test every virtual HA is with its owner, and all agree."""
    must_be_as_deployed()


def digests() -> dict[int, set[str]]:
    """Of each virtual HA those of all members that there are: one, when they agree."""
    found = {vrid: [agents.virtual_ha(host, vrid) for host in topology.HOME_AGENTS] for vrid in topology.OWNERS}
    return {vrid: {state["digest"] for state in states if state is not None} for vrid, states in found.items()}


@pytest.mark.parametrize("name", PROCEDURES)
def test_it_is_predicted_to_the_task_done_once_and_costs_nobody_a_packet(
    name: str, mobile_nodes: list[MobileNode]
) -> None:
    procedure = PROCEDURES[name]
    procedure.prepare()
    before, bound = settled(), digests()
    predicted = procedure.run("--check", "--diff")
    assert differences(before, snapshot()) == []

    with Traffic(mobile_nodes) as traffic:
        done = procedure.run()
    print(name, f"{done.seconds:.1f} s", *traffic.losses, sep="\n")
    assert procedure.holds()
    assert predicted.changed_tasks == done.changed_tasks
    assert bool(done.changed_tasks) == procedure.changes
    assert [line for line in procedure.says if line not in " ".join(done.output.split())] == []
    assert traffic.takeovers == dict.fromkeys(topology.OWNERS, 0) | dict(procedure.takeovers)
    traffic.must_be_kept()
    assert digests() == bound

    assert procedure.run().changed_tasks == []
    if procedure.words[0] == "deploy":  # the others verify at their end
        playbook("verify", *procedure.words[1:]).must_succeed()
    procedure.undo()
    must_be_as_deployed()
    for node in mobile_nodes:
        story.must_agree(node.vrid, 10)


def must_refuse(name: str, *more: str) -> str:
    """What a procedure says that changes nothing and fails."""
    play = playbook(*PROCEDURES[name].words, *more)
    assert not play.ok, name
    assert play.changed == 0, name
    return " ".join(play.output.split())


def must_be_as_before(before: Snapshot) -> None:
    """But for who works with the hosts, which is asked first."""
    assert [line for line in differences(before, snapshot()) if " claim: " not in line] == []


@pytest.fixture
def inventories() -> None:
    """What some of the procedures work from."""
    for name in ("move_owner", "rotate_keys"):
        PROCEDURES[name].prepare()


def test_none_begins_on_a_fleet_that_is_not_sound(inventories: None) -> None:
    fleet.execute("ha2", "systemctl", "stop", "vrrp-ha")
    agents.wait_for_master(52, "ha3", 10)
    before = settled()
    for name in CLAIMING:
        assert "ha2: its agent is down" in must_refuse(name, "-e", "vrrp_ha_verify_rounds=1"), name
    must_be_as_before(before)
    fleet.execute("ha2", "systemctl", "start", "vrrp-ha")


def test_none_leaves_out_a_member_unnoticed(inventories: None) -> None:
    for name in ("failover", "move_owner", "rolling_upgrade", "rotate_keys"):
        said = must_refuse(name, "--limit", "ha1,ha2", "-e", "vrrp_ha_verify_rounds=1")
        assert "ha3: was not asked" in said or "ha3" in said.split("fatal:")[1], name
    said = must_refuse("move_owner", "--limit", "ha1,ha3", "-e", "vrrp_ha_force=true", "-e", "vrrp_ha_verify_rounds=1")
    assert "ha2 is to own VRID 51 and is not among the hosts of this run" in said


def test_a_deployment_may_be_of_some_hosts() -> None:
    predicted = playbook("deploy", *RESTART, "--check", "--limit", "ha3").must_succeed()
    done = playbook("deploy", *RESTART, "--limit", "ha3").must_succeed()
    assert predicted.changed_tasks == done.changed_tasks
    assert {host for _task, host in done.changed_tasks} == {"ha3"}
    playbook("deploy").must_succeed()


def test_the_last_healthy_member_is_not_drained() -> None:
    playbook("drain", "-e", "host=ha2,ha3").must_succeed()
    refused = playbook("drain", "-e", "host=ha1")
    assert not refused.ok
    assert refused.changed == 0
    assert "ha1, VRID 51: would have no healthy member left: ha2 is drained, ha3 is drained" in refused.output
    playbook("undrain", "-e", "host=ha2,ha3").must_succeed()
    playbook("verify").must_succeed()


def test_a_host_that_is_none_is_named() -> None:
    play = playbook("drain", "-e", "host=ha9")
    assert not play.ok
    assert "ha9 is none of ha1, ha2, ha3" in " ".join(play.output.split())


def test_two_runs_do_not_work_side_by_side(inventories: None) -> None:
    other = {"id": "x", "playbook": "failover", "controller": "elsewhere", "pid": 7}
    now = time.time()
    claim = json.dumps(other | {"since": now, "until": now + 600})
    fleet.execute("ha2", "sh", "-c", f"echo '{claim}' > /run/vrrp-ha-procedure.json")
    before = snapshot()
    for name in CLAIMING:
        said = must_refuse(name)
        assert "ha2: failover is at work since" in said, name
        assert "process 7 on elsewhere" in said, name
    must_be_as_before(before)
    playbook("drain", "-e", "host=ha1", "-e", "vrrp_ha_take_over=true").must_succeed()
    playbook("undrain", "-e", "host=ha1").must_succeed()
