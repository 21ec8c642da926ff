# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploying under traffic: a change touches no more than it must, and drift is put right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab import agents, fleet, playbooks, story, topology
from tests.lab.homelink import HomeLink
from tests.lab.mobility import MobileNode


@pytest.mark.usefixtures("mobile_node")
def test_check_mode_with_nothing_to_do_is_one_ssh_operation_per_host_too() -> None:
    play = playbooks.playbook("deploy", "-vvv", "--check", "--diff").must_succeed()
    assert play.changed == 0
    assert play.ssh_operations == dict.fromkeys(topology.HOME_AGENTS, 1)


def test_a_change_of_one_virtual_ha_leaves_the_others_in_service(mobile_node: MobileNode, tmp_path: Path) -> None:
    virtual_has = playbooks.planned_virtual_has()
    virtual_has[2]["preempt_delay"] = 1.5
    variables = tmp_path / "changed.json"
    variables.write_text(json.dumps({"vrrp_ha_virtual_has": virtual_has}))
    pids = {host: _pid(host) for host in topology.HOME_AGENTS}
    told = playbooks.playbook("deploy", "-e", f"@{variables}", "--check", "--diff").must_succeed()
    assert told.changed == 3
    assert "preempt_delay" in told.output
    with HomeLink() as link:
        done: list[playbooks.Play] = []

        def deploy() -> list[str]:
            done.append(playbooks.playbook("deploy", "-e", f"@{variables}").must_succeed())
            return []

        event = story.under_traffic("reload", [mobile_node], 51, 0, 8, deploy)
        for vrid in (51, 52):
            assert link.longest_silence(vrid) < 0.15
    assert done[0].changed == 3
    assert event.kept
    assert {host: _pid(host) for host in topology.HOME_AGENTS} == pids
    assert playbooks.playbook("deploy").must_succeed().changed == 3


def test_what_is_not_the_plan_is_put_right(mobile_node: MobileNode) -> None:
    fleet.execute("ha3", "sed", "-i", 's/"priority": 150/"priority": 151/', "/etc/vrrp-ha/agent.json")
    play = playbooks.playbook("deploy", "--diff").must_succeed()
    assert {host: recap["changed"] for host, recap in play.recap.items()} == {"ha1": 0, "ha2": 0, "ha3": 1}
    playbooks.playbook("verify").must_succeed()
    story.must_agree(51, 10)


def _pid(host: str) -> int:
    agent = agents.Agent(host)
    pid = int(agent.call("status")["pid"])
    agent.close()
    return pid
