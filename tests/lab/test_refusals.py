# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations that must be refused everywhere, by name, while the running agents notice nothing."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab import access, agents, fleet, playbooks, topology
from tests.lab.homelink import HomeLink

Change = Callable[[list[dict[str, Any]]], None]


def duplicate_vrid(virtual_has: list[dict[str, Any]]) -> None:
    virtual_has[1]["vrid"] = 51


def address_outside_the_prefix(virtual_has: list[dict[str, Any]]) -> None:
    virtual_has[0]["addresses"] = ["2001:db8:77::51"]


def two_owners(virtual_has: list[dict[str, Any]]) -> None:
    virtual_has[0]["priorities"]["ha2"] = 255


def unknown_key(virtual_has: list[dict[str, Any]]) -> None:
    virtual_has[0]["prioritees"] = {}


def unknown_sync_key(virtual_has: list[dict[str, Any]]) -> None:
    virtual_has[0]["sync_key"] = "no-such-key"


def no_sync_key(virtual_has: list[dict[str, Any]]) -> None:
    del virtual_has[0]["sync_key"]


BAD = {
    duplicate_vrid: r"51",
    address_outside_the_prefix: r"2001:db8:77::51",
    two_owners: r"255",
    unknown_key: r"prioritees",
    unknown_sync_key: r"no-such-key",
    no_sync_key: r"sync_key",
}


@pytest.fixture
def untouched(deployed: None) -> Any:
    """The agents must be the same processes with the same configuration afterwards, and never have been silent."""
    before = {host: _identity(host) for host in topology.HOME_AGENTS}
    with HomeLink() as link:
        yield
        for vrid, owner in topology.OWNERS.items():
            agents.wait_for(f"advertisements of {owner}", lambda vrid=vrid: len(link.adverts(vrid)) > 3, 2)
            assert {message.priority for message in link.adverts(vrid)} == {255}
            assert link.longest_silence(vrid) < 0.2, f"{owner} was silent"
    assert {host: _identity(host) for host in topology.HOME_AGENTS} == before


def _identity(host: str) -> tuple[int, str]:
    agent = agents.Agent(host)
    status = agent.call("status")
    agent.close()
    assert status["config_current"]
    return status["pid"], status["config_digest"]


def variables(change: Change, place: Path) -> str:
    virtual_has = playbooks.planned_virtual_has()
    change(virtual_has)
    place.write_text(json.dumps({"vrrp_ha_virtual_has": virtual_has}))
    return f"@{place}"


@pytest.mark.parametrize("change", BAD, ids=lambda change: change.__name__)
def test_the_role_refuses(untouched: None, change: Change, tmp_path: Path) -> None:
    play = playbooks.playbook("deploy", "-e", variables(change, tmp_path / "bad.json"))
    assert not play.ok
    assert play.changed == 0
    assert re.search(BAD[change], play.output), play.output


@pytest.mark.parametrize("change", BAD, ids=lambda change: change.__name__)
def test_the_module_in_check_mode_refuses(untouched: None, change: Change, tmp_path: Path) -> None:
    virtual_has = playbooks.planned_virtual_has()
    change(virtual_has)
    keys = json.loads(access.KEYS.read_text())
    arguments = {
        "virtual_has": virtual_has,
        "sync_keys": keys["vrrp_ha_sync_keys"],
        "mobile_node_keys": keys["vrrp_ha_mobile_node_keys"],
    }
    play = playbooks.module("mip6.vrrp_ha.agent", "vrrp_ha", "--check", "-a", json.dumps(arguments))
    assert not play.ok
    assert re.search(BAD[change], play.output), play.output
    assert keys["vrrp_ha_sync_keys"][0]["key"] not in play.output


ON_DISK: dict[str, tuple[Change, str]] = {
    "duplicate VRID": (lambda all_: all_[1].update(vrid=51), r"virtual_has\[1\]\.vrid"),
    "address outside the prefix": (
        lambda all_: all_[0].update(addresses=["2001:db8:77::51"]),
        r"virtual_has\[0\]\.addresses\[0\]",
    ),
    "two owners": (lambda all_: all_[0]["members"][1].update(priority=255), r"virtual_has\[0\]\.members"),
    "unknown key": (lambda all_: all_[0].update(prioritee=1), r"virtual_has\[0\]\.prioritee"),
}


@pytest.mark.parametrize("case", ON_DISK)
def test_check_names_the_path_and_the_remedy(untouched: None, case: str) -> None:
    change, path = ON_DISK[case]
    config = json.loads(fleet.execute("ha1", "cat", "/etc/vrrp-ha/agent.json"))
    change(config["virtual_has"])
    line, _unused = fleet.command("ha1", ["sh", "-c", "cat > /tmp/bad.json; vrrp-ha check /tmp/bad.json"])
    done = subprocess.run(line, input=json.dumps(config), capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode != 0
    assert re.search(path, done.stdout + done.stderr), done.stdout + done.stderr
