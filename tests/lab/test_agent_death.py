# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent that dies without a word must not leave its host answering for addresses that it no longer serves."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import pytest

from tests.lab import agents, fleet, story, topology
from tests.lab.homelink import HomeLink
from tests.lab.mobility import MobileNode
from tests.lab.places import in_namespace, run

PROTOCOL = "112"
"""What the agent marks its routes and rules with."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What of the agent's work is in a host's kernel, read without the agent."""

    addresses: tuple[str, ...]
    rules: tuple[str, ...]
    accepting: tuple[str, ...]

    @property
    def none(self) -> bool:
        return not (self.addresses or self.rules or self.accepting)


def traces(host: str) -> Traces:
    namespace = topology.node(host).namespace
    addresses = json.loads(run("ip", "-n", namespace, "-6", "-json", "addr", "show"))
    virtual = set(topology.VIRTUAL_HAS.values())
    here = tuple(
        f"{entry['local']} on {link['ifname']}"
        for link in addresses
        for entry in link.get("addr_info", ())
        if entry.get("local") in virtual or link["ifname"].startswith("vrrp6-")
    )
    rules = tuple(
        line for line in run("ip", "-n", namespace, "-6", "rule").splitlines()
        if f"proto {PROTOCOL}" in line and "lookup local" not in line
    )  # fmt: skip
    active = run(*in_namespace(namespace, ["nft", "-j", "list", "set", "inet", "vrrp_ha", "active"]), check=False)
    sets = [item["set"] for item in json.loads(active or '{"nftables": []}')["nftables"] if "set" in item]
    return Traces(here, rules, tuple(str(element) for found in sets for element in found.get("elem", ())))


def main_pid(host: str) -> int:
    return int(fleet.execute(host, "systemctl", "show", "-P", "MainPID", "vrrp-ha"))


def test_sigkill_leaves_nothing_behind_within_a_second_and_the_agent_restarts(mobile_node: MobileNode) -> None:
    before = main_pid("ha1")
    assert not traces("ha1").none
    fleet.execute("ha1", "kill", "-9", str(before))
    killed = time.monotonic()
    left = agents.wait_for("nothing is left", lambda: (found := traces("ha1")).none and found, 1, pause=0)
    assert time.monotonic() - killed < 1, left
    agents.wait_for("the agent is there again", lambda: main_pid("ha1") not in (0, before), 5)
    agents.wait_for("it is Master again", lambda: agents.master(51) == "ha1", 15)
    story.must_agree(51, 10)


def test_a_hung_agent_is_killed_by_the_watchdog_and_cleaned_up_after(mobile_node: MobileNode) -> None:
    before = main_pid("ha1")
    fleet.execute("ha1", "kill", "-STOP", str(before))
    agents.wait_for("nothing is left", lambda: traces("ha1").none, 5, pause=0)
    agents.wait_for("the agent is there again", lambda: main_pid("ha1") not in (0, before), 5)
    agents.wait_for("it is Master again", lambda: agents.master(51) == "ha1", 15)
    story.must_agree(51, 10)


def test_a_graceful_stop_hands_over_without_loss_and_leaves_nothing(mobile_node: MobileNode) -> None:
    def stop() -> list[str]:
        fleet.execute("ha1", "systemctl", "stop", "vrrp-ha")
        return []

    event = story.under_traffic("stop", [mobile_node], 51, story.PLANNED_LOSS, 4, stop)
    try:
        assert event.kept
        assert agents.master(51) == "ha2"
        assert traces("ha1") == Traces((), (), ())
        links = run("ip", "-n", topology.node("ha1").namespace, "-br", "link")
        assert "vrrp6-" not in links
        rules = run("ip", "-n", topology.node("ha1").namespace, "-6", "rule").splitlines()
        assert rules[0].split() == ["0:", "from", "all", "lookup", "local"]
    finally:
        fleet.execute("ha1", "systemctl", "start", "vrrp-ha")
        agents.wait_for("ha1 is Master again", lambda: agents.master(51) == "ha1", 15)


@pytest.mark.usefixtures("mobile_node")
def test_killing_a_backup_changes_nothing_for_anybody() -> None:
    with HomeLink() as link:
        agents.wait_for("an advertisement", lambda: link.adverts(51, "ha1"), 2)
        fleet.execute("ha2", "kill", "-9", str(main_pid("ha2")))
        agents.wait_for("ha2 is Backup again", lambda: (agents.virtual_ha("ha2", 51) or {}).get("synced"), 10)
        story.wait_for_owners()
        assert {str(message.source) for message in link.adverts(51)} == {"fe80::11"}
