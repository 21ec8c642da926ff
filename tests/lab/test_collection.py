# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules and playbooks against whole hosts: what they change, cost and hide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab import access, agents, fleet, story, topology
from tests.lab.playbooks import Play, playbook

pytestmark = pytest.mark.usefixtures("deployed")

ONE_EACH = dict.fromkeys(topology.HOME_AGENTS, 1)
NEW_KEY = "5ec7e75ec7e75ec7e75ec7e75ec7e75e"


def extra(**variables: object) -> tuple[str, str]:
    """Variables for one run of a playbook."""
    return "-e", json.dumps(variables)


def per_host(play: Play) -> dict[str, int]:
    """How many tasks changed each host."""
    return {host: counts["changed"] for host, counts in play.recap.items()}


def secrets() -> list[str]:
    keys = json.loads(access.KEYS.read_text())
    return [entry["key"] for name in ("vrrp_ha_sync_keys", "vrrp_ha_mobile_node_keys") for entry in keys[name]]


def pids() -> dict[str, int]:
    return {host: agents.Agent(host).call("status")["pid"] for host in topology.HOME_AGENTS}


def test_nothing_to_do_costs_one_ssh_operation_a_host() -> None:
    play = playbook("deploy", "-vvv").must_succeed()
    assert play.changed == 0
    assert play.ssh_operations == ONE_EACH


def test_a_release_without_esp_is_the_agent_and_nothing_else() -> None:
    assert fleet.execute("ha1", "ls", "/opt/vrrp-ha/current/lib").split() == ["vrrp_ha"]


def test_new_keys_are_reloaded_as_predicted_and_never_shown() -> None:
    before = pids()
    keys = extra(vrrp_ha_sync_keys=[{"name": "fleet", "key_id": 9, "key": NEW_KEY}])
    predicted = playbook("deploy", "--check", "--diff", "-vvv", *keys).must_succeed()
    done = playbook("deploy", "--diff", "-vvv", *keys).must_succeed()
    assert predicted.changed_tasks == done.changed_tasks
    assert per_host(done) == ONE_EACH
    assert pids() == before
    back = playbook("deploy", "--diff", "-vvv").must_succeed()
    for play in (predicted, done, back):
        assert [secret for secret in (*secrets(), NEW_KEY) if secret in play.output] == []


def test_a_failover_to_a_stranger_says_who_could() -> None:
    play = playbook("failover", "-e", "vrid=51", "-e", "to=ha9")
    assert not play.ok
    assert "VRID 51 has the members ha1, ha2, ha3" in " ".join(play.output.split())
    assert play.changed == 0


ROUND_TRIP = """
- hosts: ha1
  gather_facts: false
  tasks:
    - mip6.vrrp_ha.agent_info:
      register: known
    - mip6.vrrp_ha.virtual_ha: {state: overridden, config: "{{ known.virtual_has }}"}
      register: same
    - mip6.vrrp_ha.virtual_ha: &change {config: [{vrid: 52, preempt_delay: 3}]}
      check_mode: true
      register: predicted
    - mip6.vrrp_ha.virtual_ha: *change
      register: first
    - mip6.vrrp_ha.virtual_ha: *change
      register: second
    - mip6.vrrp_ha.virtual_ha: {state: deleted, config: [{vrid: 52}]}
      register: deleted
    - mip6.vrrp_ha.virtual_ha: {state: overridden, config: "{{ known.virtual_has }}"}
      register: restored
    - ansible.builtin.assert:
        that:
          - not same.changed
          - predicted.changes == ['virtual_has.vrid=52.preempt_delay 3.0 added']
          - first.changes == predicted.changes
          - not second.changed
          - deleted.after | map(attribute='vrid') | list == [51, 53]
          - restored.changed
"""


def test_virtual_has_can_be_read_changed_and_given_back(tmp_path: Path) -> None:
    play = tmp_path / "round-trip.yml"
    play.write_text(ROUND_TRIP)
    playbook(str(play)).must_succeed()
    assert playbook("deploy").must_succeed().changed == 0
    story.wait_for_owners()


def test_an_agent_can_be_taken_away_and_comes_back() -> None:
    absent = extra(vrrp_ha_state="absent")
    predicted = playbook("deploy", "--check", *absent).must_succeed()
    done = playbook("deploy", *absent).must_succeed()
    assert predicted.changed_tasks == done.changed_tasks
    assert per_host(done) == ONE_EACH
    assert playbook("deploy", *absent).must_succeed().changed == 0
    for path in ("/etc/vrrp-ha", "/opt/vrrp-ha", "/var/lib/vrrp-ha", "/usr/local/bin/vrrp-ha", "/run/vrrp-ha"):
        fleet.execute("ha1", "test", "!", "-e", path)
    assert "vrrp6-" not in fleet.execute("ha1", "ip", "link")
    playbook("deploy").must_succeed()
    story.wait_for_owners()
