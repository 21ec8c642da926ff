# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full recovery with real hosts (draft section 5.2.2): the owner of VRID 51 is dead, and its mobile nodes move.

The mobile nodes are Scapy's and iproute2's. Each test takes the fleet as the one before left it: ha1 is off until the
last one, ha2 acts for it and owns VRID 52.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from ipaddress import IPv6Network
from typing import Any

import pytest

from tests.lab import agents, fleet, mobility, playbooks, roaming, story, topology
from tests.lab.mobility import Flow, MobileNode
from tests.lab.places import RUN, run
from tests.lab.roaming import KEYLESS, ORPHANS, Crowd, Keys

ACTING, BACKUP = "ha2", "ha3"
SURVIVORS = (ACTING, BACKUP)
NEW_VRID = 52
NEW_VHA = topology.VIRTUAL_HAS[NEW_VRID]
KNOWN = IPv6Network(topology.HOME_ADDRESS_PREFIXES[51])
CROWD = 1000
VICTIMS = 400
RATE, BURST = 50, 10
HOOK, NOTE = "/usr/local/bin/orphan", "/var/lib/vrrp-ha/orphans"
# A thousand behind one /64, as they are here, have to be believed: the limit by source must be above what they send.
BRISK: dict[str, Any] = {"rate": RATE, "burst": BURST, "per_source_rate": 5000, "per_source_burst": 5000}
BRISK |= {"queue": 2000, "on_expiry": True, "hook": HOOK}
GUARDED = BRISK | {"rate": 5, "burst": BURST, "queue": 1000}
WAIT_S = 1.0
"""What a mobile node may wait beyond its turn in the queue: the way there and back, and a busy machine."""
MOVED_LOSS = round(100 * WAIT_S)
"""Packets that a flow may lose at a move, whether it ends with the same home agent or another one; at 100 a second."""


def settings(recovery: dict[str, Any]) -> str:
    place = RUN / "recovery.json"
    place.write_text(json.dumps({"vrrp_ha_settings": {"recovery": recovery}}))
    return f"@{place}"


def agent_says(host: str, call: str, **arguments: object) -> Any:
    agent = agents.Agent(host)
    try:
        return agent.call(call, **arguments)
    finally:
        agent.close()


def care_of(host: str, vrid: int, home: str) -> str | None:
    found = agent_says(host, "bindings", vrid=vrid, home_address=home)["bindings"]
    return found[0]["care_of_address"] if found else None


def recoveries(host: str = ACTING) -> dict[str, int]:
    status = agents.virtual_ha(host, 51)
    assert status is not None
    return dict(status["recoveries"])


def states(host: str = ACTING) -> dict[str, tuple[str, str, str]]:
    """(state, reason, method) by home address."""
    known = agent_says(host, "recoveries", vrid=51)["recoveries"]
    return {entry["home_address"]: (entry["state"], entry["reason"], entry["method"]) for entry in known}


def in_kernel(host: str, vrid: int, home: str) -> bool:
    routes = run("ip", "-n", topology.node(host).namespace, "-6", "route", "show", "table", str(1000 + vrid))
    return any(line.split()[0] == home for line in routes.splitlines())


def must_have_moved_to_new_vha(home: str, to: str) -> None:
    """Deleted from the RBC of every member and from its kernel, and bound at the new home agent everywhere."""
    for host in SURVIVORS:
        agents.wait_for(f"{host} has deleted {home}", lambda h=host: care_of(h, 51, home) is None, 2)  # type: ignore[misc]
        agents.wait_for(f"{host} has {home} at its new home", lambda h=host: care_of(h, NEW_VRID, home) == to, 2)  # type: ignore[misc]
        assert not in_kernel(host, 51, home)
        assert in_kernel(host, NEW_VRID, home)


@pytest.fixture(scope="module")
def keys(machine: None) -> Iterator[Keys]:
    """A fleet whose members know different keys, with all bindings at ha1."""
    fleet.down()
    fleet.up()
    playbooks.install()
    found = Keys()
    found.write()
    playbooks.playbook("deploy", "-e", settings(BRISK)).must_succeed()
    for host in SURVIVORS:
        script = f'#!/bin/sh\\necho "$@" >> {NOTE}\\n'
        fleet.execute(host, "sh", "-c", f"printf '{script}' > {HOOK}; chmod 755 {HOOK}")
    story.wait_for_owners()
    yield found
    fleet.down()


def crowd(keys: Keys, prefix: IPv6Network, first: int, count: int = 1, *, name: str = "mn1", link: str = "") -> Crowd:
    node = MobileNode(name, 51, link or topology.FOREIGN_1)
    return Crowd(node, prefix, first, count, keys)


@pytest.fixture(scope="module")
def dead_owner(keys: Keys) -> Keys:
    """Everybody is registered, and the owner has lost its power."""
    registered = 0
    for prefix, first, count in ((KNOWN, 1, 4), (ORPHANS, 1, 10), (ORPHANS, 101, CROWD), (ORPHANS, 5001, VICTIMS),
                                 (ORPHANS, 6001, 5), (KEYLESS, 1, 1)):  # fmt: skip
        crowd(keys, prefix, first, count).register()
        registered += count
    story.must_agree(51, registered)
    fleet.power_off("ha1")
    agents.wait_for("ha2 acts for ha1", lambda: agents.master(51) == ACTING, 5)
    return keys


def traffic(node: MobileNode, home: str, seconds: float) -> list[Flow]:
    here, port = topology.CN_ADDRESS, 5051
    return [
        Flow(f"CN to {home}", "cn", here, node.name, home, port, seconds),
        Flow(f"{home} to CN", node.name, home, "cn", here, port, seconds),
    ]


def open_tunnel(node: MobileNode, home: str) -> None:
    mobility._tool(
        "tunnel.py", "up", "--netns", node.namespace, "--device", node.device,
        "--home-agent", topology.VIRTUAL_HAS[51], "--care-of", node.care_of, "--home-address", home, answers=False,
    )  # fmt: skip


def move(keys: Keys, prefix: IPv6Network, number: int, *options: str) -> tuple[roaming.Roamed, list[int]]:
    """Under traffic from one foreign link to the other; (what the mobile node saw, packets that each flow lost)."""
    before = crowd(keys, prefix, number)
    after = crowd(keys, prefix, number, link=topology.FOREIGN_2)
    (home,) = before.homes
    open_tunnel(before.at, home)
    flows = traffic(before.at, home, 3)
    time.sleep(0.7)
    roamed = after.roam("--tunnel", after.at.device, *options).finish()
    return roamed, [flow.finish().lost for flow in flows]


def test_a_mobile_node_whose_key_the_members_know_needs_one_update_and_no_recovery(dead_owner: Keys) -> None:
    before = recoveries()
    roamed, lost = move(dead_owner, KNOWN, 1)
    assert (roamed.kept, roamed.updates, roamed.switches) == (1, 1, 0)
    assert max(lost) <= MOVED_LOSS, lost
    print(f"packets lost at the move: {lost}; {roamed.summary()}")
    assert recoveries() == before
    moved_to = topology.MN_ADDRESSES["mn1"][topology.FOREIGN_2]
    for host in SURVIVORS:
        agents.wait_for("it knows", lambda h=host: care_of(h, 51, str(KNOWN[1])) == moved_to, 2)  # type: ignore[misc]


@pytest.mark.parametrize(("number", "options"), [(1, ()), (2, ("--esp",))], ids=["Binding Update", "ESP"])
def test_a_mobile_node_whose_key_died_with_the_owner_is_served_by_another(
    dead_owner: Keys, number: int, options: tuple[str, ...]
) -> None:
    roamed, lost = move(dead_owner, ORPHANS, number, *options)
    assert (roamed.switched, roamed.home_agents, roamed.wrong) == (1, [NEW_VHA], {})
    assert max(lost) <= MOVED_LOSS, lost
    print(f"packets lost at the move: {lost}; {roamed.summary()}")
    home = str(ORPHANS[number])
    must_have_moved_to_new_vha(home, topology.MN_ADDRESSES["mn1"][topology.FOREIGN_2])
    assert states()[home] == ("done", "esp" if options else "unknown_spi", "switch")


def test_a_thousand_at_once_are_served_at_the_pace_and_each_in_its_turn(dead_owner: Keys) -> None:
    """Judged one by one: number n of the queue is told (n - burst) / rate after it spoke up, no later, no earlier.

    So the first do not wait for the last, the last wait as long as the pace says, and nobody is told twice.
    """
    before = recoveries()
    all_of_them = crowd(dead_owner, ORPHANS, 101, CROWD, link=topology.FOREIGN_2)
    roamed = all_of_them.roam().finish()
    assert (roamed.switched, roamed.unserved, roamed.refused) == (CROWD, 0, 0)
    assert roamed.switches == CROWD
    assert roamed.wrong == {}
    print(roamed.summary())
    for number, node in enumerate(roamed.times):
        assert node.updated is not None
        assert node.told is not None
        assert node.registered is not None
        turn = node.updated + max(0, number + 1 - BURST) / RATE
        assert turn - WAIT_S <= node.told <= turn + WAIT_S, f"mobile node {number}"
        assert node.registered - node.told <= WAIT_S, f"mobile node {number}"
    after = recoveries()
    changed = {state: after[state] - before[state] for state in after}
    assert changed == {"pending": 0, "sent": 0, "done": 1000, "failed": 0}
    for home in (all_of_them.homes[0], all_of_them.homes[-1]):
        must_have_moved_to_new_vha(home, all_of_them.at.care_of)


# --- the other ways in, all at once --------------------------------------------------------------------------


RECOVER = """
- hosts: vrrp_ha
  gather_facts: false
  tasks:
    - mip6.vrrp_ha.agent_info:
      register: known
    - when: 51 in known.master_of
      block:
        - mip6.vrrp_ha.recovery: &wanted {vrid: 51, home_addresses: ["HOME"], timeout: 20}
          check_mode: true
          register: predicted
        - mip6.vrrp_ha.recovery: *wanted
          register: first
        - mip6.vrrp_ha.recovery: *wanted
          register: second
        - mip6.vrrp_ha.agent_info:
          register: after
        - ansible.builtin.assert:
            that:
              - predicted.wanted == first.wanted == first.done == ["HOME"]
              - predicted.changed and first.changed and not second.changed
              - found | map(attribute="state") == ["done"]
          vars:
            found: '{{ after.recoveries[0].recoveries | selectattr("home_address", "eq", "HOME") }}'
"""


def test_the_operator_expiry_and_the_hook_bring_mobile_nodes_back_too(dead_owner: Keys) -> None:
    """Two are asked for, on the command line and by the module; one expires, and of one nobody here has a key."""
    asked = crowd(dead_owner, KNOWN, 2, link=topology.FOREIGN_1)
    played = crowd(dead_owner, KNOWN, 4, link=topology.FOREIGN_1)
    lapsing = crowd(dead_owner, KNOWN, 3, link=topology.FOREIGN_1)
    keyless = crowd(dead_owner, KEYLESS, 1, link=topology.FOREIGN_2)
    lapsing.register(lifetime=8)
    listening = [who.roam("--silent", seconds=20) for who in (asked, played, lapsing)]
    unheard = keyless.roam(seconds=3)
    assert unheard.finish().unserved == 1
    said = fleet.execute(ACTING, "vrrp-ha", "recover", "51", asked.homes[0])
    assert said == f"{asked.homes[0]}: queued\n"
    play = RUN / "recover.yml"
    play.write_text(RECOVER.replace("HOME", played.homes[0]))
    playbooks.playbook(str(play), "--limit", ",".join(SURVIVORS)).must_succeed()
    for roaming_one in listening:
        roamed = roaming_one.finish()
        assert (roamed.switched, roamed.home_agents, roamed.wrong) == (1, [NEW_VHA], {})
    found = states()
    assert found[asked.homes[0]] == ("done", "operator", "switch")
    assert found[played.homes[0]] == ("done", "operator", "switch")
    assert found[lapsing.homes[0]] == ("done", "expired", "switch")
    assert found[keyless.homes[0]] == ("sent", "unknown_spi", "hook")
    for who in (asked, played, lapsing):
        must_have_moved_to_new_vha(who.homes[0], who.at.care_of)
    assert care_of(BACKUP, 51, keyless.homes[0]) is None
    ran = fleet.execute(ACTING, "cat", NOTE).split()
    assert ran == ["51", topology.VIRTUAL_HAS[51], NEW_VHA, keyless.homes[0], keyless.at.care_of, "unknown_spi"]
    assert keyless.homes[0] in fleet.execute(ACTING, "vrrp-ha", "recoveries", "51")


# --- the acting Master dies, too ---------------------------------------------------------------------------------


def test_a_successor_helps_one_whose_binding_its_predecessor_had_deleted(dead_owner: Keys) -> None:
    """Somebody pretended to be the mobile node, which heard of nothing, and whose binding is gone everywhere."""
    victim = crowd(dead_owner, ORPHANS, 7)
    (home,) = victim.homes
    roaming.Spoofing(victim, 1, 1).finish()
    agents.wait_for("its binding is deleted", lambda: care_of(BACKUP, 51, home) is None, 3)
    fleet.power_off(ACTING)
    agents.wait_for(f"{BACKUP} acts now", lambda: agents.master(51) == BACKUP, 5)
    try:
        roamed = victim.roam(seconds=20).finish()
        assert (roamed.switched, roamed.home_agents) == (1, [topology.VIRTUAL_HAS[53]])
        assert care_of(BACKUP, 53, home) == victim.at.care_of
        assert states(BACKUP)[home] == ("done", "unknown_spi", "switch")
        print(roamed.summary())
    finally:
        fleet.power_on(ACTING)
        agents.wait_for(f"{ACTING} acts again", lambda: agents.master(51) == ACTING, 15)


# --- somebody pretends -----------------------------------------------------------------------------------------


def test_a_spoofing_host_costs_no_more_bindings_than_the_limit_and_the_real_ones_are_served(dead_owner: Keys) -> None:
    """10,000 triggers for other people's home addresses, from as many prefixes, at four bindings a second."""
    limits = ["--limit", ",".join(SURVIVORS), "-e", settings(GUARDED)]
    playbooks.playbook("deploy", *limits).must_succeed()
    victims = crowd(dead_owner, ORPHANS, 5001, VICTIMS)
    real = crowd(dead_owner, ORPHANS, 6001, 5, link=topology.FOREIGN_2)
    before, started = agents.counts(51)[ACTING], time.monotonic()
    assert before is not None
    spoofing = roaming.Spoofing(victims, 10_000, 2500)
    time.sleep(1)
    roamed = real.roam(seconds=20).finish()
    assert spoofing.finish()["sent"] == 10_000
    after, seconds = agents.counts(51), time.monotonic() - started
    assert roamed.switched == real.count
    for host in SURVIVORS:
        lost = before - (after[host] or 0)
        assert real.count < lost <= BURST + GUARDED["rate"] * (seconds + WAIT_S), host
    assert recoveries()["pending"] > VICTIMS / 2
    print(f"{before - (after[ACTING] or 0)} bindings lost in {seconds:.1f} s; the real ones: {roamed.summary()}")


# --- and back --------------------------------------------------------------------------------------------------


def test_the_owner_that_returns_does_not_bring_back_what_was_deleted(dead_owner: Keys) -> None:
    fleet.power_on("ha1")
    agents.wait_for("ha1 is Master again", lambda: agents.master(51) == "ha1", 15)
    agents.wait_for("all agree", lambda: agents.in_agreement(51) and agents.in_agreement(NEW_VRID), 15)
    switched = [str(ORPHANS[number]) for number in (1, 2, 101, 100 + CROWD, 6001)]
    for home in switched:
        assert {host: care_of(host, 51, home) for host in topology.HOME_AGENTS} == dict.fromkeys(topology.HOME_AGENTS)
        assert None not in {care_of(host, NEW_VRID, home) for host in topology.HOME_AGENTS}
    assert recoveries()["pending"] == 0
