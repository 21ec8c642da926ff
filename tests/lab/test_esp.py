# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile nodes that signal in ESP: deployed by the playbook, registered, served through the death of their home agent.

One mobile node has a security association that every member was given, the other one that the owner alone has, and
another with the home agent that it is going to be sent to.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import agents, fleet, playbooks, story, topology
from tests.lab.mobility import TOOLS, Flow, MobileNode, home_address
from tests.lab.places import CACHE, LabError
from tests.lab.playbooks import playbook

WHEELS = CACHE / "wheels"
KNOWN = home_address(51, 1)
LOST = home_address(51, 2)


def association(home: str, spi: int, home_agent: str | None = None, algorithm: str | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"home_address": home, "spi_in": spi, "spi_out": spi + 1}
    if home_agent:
        entry["home_agent"] = home_agent
    if algorithm == "aes-gcm-16":
        entry |= {f"encryption_key_{direction}": secrets.token_hex(36) for direction in ("in", "out")}
        return entry | {"algorithm": algorithm}
    for direction in ("in", "out"):
        entry[f"encryption_key_{direction}"] = secrets.token_hex(16)
        entry[f"authentication_key_{direction}"] = secrets.token_hex(32)
    return entry


ALL_HAVE = association(KNOWN, 0x1000)
OWNER_HAS = association(LOST, 0x2000, topology.VIRTUAL_HAS[51])
OTHERS_HAVE = association(LOST, 0x3000, topology.VIRTUAL_HAS[52], "aes-gcm-16")
SECRETS = [value for entry in (ALL_HAVE, OWNER_HAS, OTHERS_HAVE) for name, value in entry.items() if "_key_" in name]


@dataclass(frozen=True, slots=True)
class Protected:
    """A mobile node on a foreign link whose signalling is in ESP."""

    node: MobileNode
    home: str
    associations: tuple[dict[str, Any], ...]

    def signal(
        self, vrid: int = 51, *, until: str = "ack", timeout: float = 3.0, **options: bool
    ) -> list[dict[str, Any]]:
        """Send a Binding Update; what came back."""
        done = subprocess.run(
            [
                sys.executable, str(TOOLS / "esp.py"), "--netns", self.node.namespace,
                "--home-agent", topology.VIRTUAL_HAS[vrid], "--home-address", self.home,
                "--care-of", self.node.care_of, "--until", until, "--timeout", str(timeout),
                *(f"--{name.replace('_', '-')}" for name in options),
            ],
            input=json.dumps(self.associations), capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        if done.returncode:
            raise LabError(f"esp.py: {done.stderr[-1000:]}")
        received: list[dict[str, Any]] = json.loads(done.stdout)["received"]
        return received

    def must_register(self, vrid: int = 51) -> dict[str, Any]:
        for _unused in range(3):
            for found in self.signal(vrid):
                if found["kind"] == "ack":
                    assert (found["protected"], found["routing_header"], found["status"]) == (True, True, 0)
                    return found
        raise LabError(f"{self.home} is not registered with {vrid}")

    def open_tunnel(self, vrid: int = 51) -> None:
        subprocess.run(
            [
                sys.executable, str(TOOLS / "tunnel.py"), "up", "--netns", self.node.namespace,
                "--device", self.node.device, "--home-agent", topology.VIRTUAL_HAS[vrid],
                "--care-of", self.node.care_of, "--home-address", self.home,
            ],
            check=True,
        )  # fmt: skip

    def must_be_reached(self) -> None:
        """Packets from a correspondent node and back, all of them."""
        here, port = topology.CN_ADDRESS, 6000 + int(self.node.name[-1])
        there = Flow("there", "cn", here, self.node.name, self.home, port, 0.5)
        back = Flow("back", self.node.name, self.home, "cn", here, port, 0.5)
        assert (there.finish().lost, back.finish().lost) == (0, 0)


@pytest.fixture(scope="module")
def variables(machine: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What an operator has in group_vars and, for the association that one host alone has, in host_vars."""
    path = tmp_path_factory.mktemp("esp") / "vars.json"
    everywhere, owner = [ALL_HAVE, OTHERS_HAVE], [OWNER_HAS]
    given = {
        "everywhere": everywhere,
        "owner": owner,
        "vrrp_ha_ipsec_security_associations": "{{ everywhere + (owner if inventory_hostname == 'ha1' else []) }}",
        "vrrp_ha_sender_id": "{{ inventory_hostname[-1] | int }}",
        "vrrp_ha_wheels": str(WHEELS),
    }
    path.write_text(json.dumps(given))
    return "-e", f"@{path}"


@pytest.fixture(scope="module")
def members(variables: tuple[str, str]) -> Iterator[None]:
    fleet.down()
    fleet.up()
    playbooks.install()
    done = playbook("deploy", "--diff", *variables).must_succeed()
    assert [secret for secret in SECRETS if secret in done.output] == []
    story.wait_for_owners()
    yield
    fleet.down()


@pytest.fixture(scope="module")
def known(members: None) -> Protected:
    node = Protected(MobileNode("mn1", 51, topology.FOREIGN_1), KNOWN, (ALL_HAVE,))
    node.open_tunnel()
    return node


@pytest.fixture(scope="module")
def lost(members: None) -> Protected:
    node = Protected(MobileNode("mn2", 51, topology.FOREIGN_2), LOST, (OWNER_HAS, OTHERS_HAVE))
    node.open_tunnel()
    return node


def bound(vrid: int, host: str) -> dict[str, str]:
    agent = agents.Agent(host)
    try:
        found = agent.call("bindings", vrid=vrid, limit=100)["bindings"]
    finally:
        agent.close()
    return {binding["home_address"]: binding["care_of_address"] for binding in found}


# In this order: each test takes the fleet as the one before left it.


def test_deployed_again_nothing_changes(known: Protected, variables: tuple[str, str]) -> None:
    assert playbook("deploy", *variables).must_succeed().changed == 0
    status = agents.Agent("ha1").call("status")
    assert status["security_associations"] == 3
    assert "aes-gcm-16 with static keys" in " ".join(status["warnings"])
    assert agents.Agent("ha2").call("status")["security_associations"] == 2
    journal = fleet.execute("ha1", "journalctl", "--boot", "--no-pager", "--output", "export")
    assert [secret for secret in SECRETS if secret in journal] == []
    assert {"cryptography", "vrrp_ha"} <= set(fleet.execute("ha2", "ls", "/opt/vrrp-ha/current/lib").split())


def test_what_is_registered_in_esp_is_served(known: Protected, lost: Protected) -> None:
    for node in (known, lost):
        node.must_register()
        node.must_be_reached()
    story.must_agree(51, 2)


def test_without_esp_or_a_protected_care_of_address_it_is_not_heard(known: Protected) -> None:
    assert known.node.register(timeout=0.5, tries=1)["unanswered"] == 1
    assert known.signal(timeout=0.5, no_alternate=True) == []
    counters = agents.Agent("ha1").call("status")
    assert counters["counters"]["dropped.unprotected"] >= 1


def test_a_backup_with_the_association_serves_when_the_owner_is_dead(known: Protected) -> None:
    fleet.power_off("ha1")
    agents.wait_for_master(51, "ha2", 5)
    known.must_be_reached()
    moved = Protected(MobileNode("mn1", 51, topology.FOREIGN_2), KNOWN, (ALL_HAVE,))
    moved.must_register()
    moved.open_tunnel()
    moved.must_be_reached()
    assert bound(51, "ha2")[KNOWN] == moved.node.care_of


def test_a_backup_without_it_sends_the_mobile_node_to_its_own_home_agent(lost: Protected) -> None:
    lost.must_be_reached()
    (switch,) = lost.signal(until="switch")
    assert (switch["kind"], switch["protected"], switch["spi"]) == ("switch", True, 0x3001)
    assert (switch["from"], switch["home_agents"]) == (topology.VIRTUAL_HAS[52], [topology.VIRTUAL_HAS[52]])
    assert LOST not in bound(51, "ha2")
    lost.must_register(52)
    lost.open_tunnel(52)
    lost.must_be_reached()
    status = agents.Agent("ha2").virtual_ha(51)
    assert status["recoveries"] == {"pending": 0, "sent": 0, "done": 1, "failed": 0}
    agents.wait_for("ha3 has it, too", lambda: LOST in bound(52, "ha3") and LOST not in bound(51, "ha3"), 5)
