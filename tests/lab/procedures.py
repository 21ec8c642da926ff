# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook as an operator would use it: with which arguments, what it is to bring about, and what undoes it.

One table for all tests that do the same to each of them: predict it, run it twice, run it under traffic, kill it. Each
begins on a fleet that is as deployed, with mobile nodes of every virtual HA, and leaves it so once it is undone.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab import access, agents, fleet, story, topology
from tests.lab.places import RUN
from tests.lab.playbooks import Play, playbook

SETTINGS = "/etc/vrrp-ha/agent.json"
WORK = RUN / "procedures"
"""Where the inventories, keys and reports of these procedures are; goes with the lab."""

SECOND_KEY = {"name": "second", "key_id": 2, "key": secrets.token_hex(32)}


def nothing() -> None:
    """What has to be done where nothing has."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """A playbook with its arguments, and what a test has to know of it."""

    words: tuple[str, ...]
    """The playbook's name and its arguments."""
    seconds: float
    """How long a run takes on a calm machine."""
    holds: Callable[[], bool]
    """Whether that is the case what it was to bring about."""
    changes: bool = True
    """Whether it has anything to change: others only look."""
    takeovers: Mapping[int, int] = field(default_factory=dict)
    """How often each virtual HA gets another Master."""
    says: tuple[str, ...] = ()
    """What is in its output, line breaks aside."""
    prepare: Callable[[], None] = nothing
    """Gives it something to do. Once before a run, and not before one that goes on where another was broken off."""
    undo: Callable[[], None] = nothing
    """The fleet as it was deployed, after a run (and whatever `prepare` did)."""

    def run(self, *more: str) -> Play:
        """Run it, with more arguments; it must succeed."""
        return playbook(*self.words, *more).must_succeed()


def plays(*lines: tuple[str, ...]) -> Callable[[], None]:
    """Runs these playbooks, one after the other."""

    def run() -> None:
        for words in lines:
            playbook(*words).must_succeed()

    return run


def extra(**variables: object) -> tuple[str, str]:
    """Variables for one run of a playbook."""
    return "-e", json.dumps(variables)


# --- inventories that differ from the fleet ------------------------------------------------------------------


def other_inventory(name: str) -> tuple[str, ...]:
    """The arguments that have a playbook use the copy of that name, made by `copy_inventory`."""
    return "-i", str(WORK / name), "-i", str(access.INVENTORIES[1])


def copy_inventory(name: str, edit: Callable[[str], str]) -> None:
    """The lab's inventory with its plan's source edited, its lock file as it is."""
    shutil.rmtree(WORK / name, ignore_errors=True)
    shutil.copytree(access.INVENTORIES[0], WORK / name)
    _edit(name, edit)


def _edit(name: str, edit: Callable[[str], str]) -> None:
    source = WORK / name / "vrid_plan.yml"
    source.write_text(edit(source.read_text()))


def pinned(owner: str) -> Callable[[str], str]:
    """An edit: VRID 51 is to be owned by that host."""
    return lambda text: text.split("    pins:")[0] + f"    pins: [{{name: vha-a, owner: {owner}}}]\n"


def _move_back() -> None:
    _edit("moved", pinned("ha1"))
    plays(("move_owner", *other_inventory("moved")), ("deploy",))()


def _prepare_keys() -> None:
    copy_inventory("rotated", lambda text: text.replace("sync_key: fleet", "sync_key: second"))
    keys = json.loads(access.KEYS.read_text())
    keys["vrrp_ha_sync_keys"].append(SECOND_KEY)
    (WORK / "keys.json").write_text(json.dumps(keys))


# --- what holds ----------------------------------------------------------------------------------------------


def configured(host: str) -> dict[str, Any]:
    """The agent's configuration on a host; empty without one."""
    text = fleet.execute(host, "cat", SETTINGS, check=False)
    return dict(json.loads(text or "{}"))


def _everywhere(holds: Callable[[str], bool]) -> Callable[[], bool]:
    return lambda: all(holds(host) for host in topology.HOME_AGENTS)


def _owned_by(vrid: int, owner: str) -> bool:
    found = {host: agents.virtual_ha(host, vrid) for host in topology.HOME_AGENTS}
    states = [state for state in found.values() if state is not None]
    return (
        agents.master(vrid) == owner
        and [host for host, state in found.items() if state is not None and state["priority"] == 255] == [owner]
        and not any(state["drained"] for state in states)
    )


def _sends_with(key: str) -> Callable[[str], bool]:
    def holds(host: str) -> bool:
        states = agents.Agent(host).call("status")["virtual_has"]
        return {(state["sync_key"], *state["accepted_sync_keys"]) for state in states} == {(key,)}

    return holds


def _written(name: str, *files: str) -> Callable[[], bool]:
    return lambda: all((WORK / name / file).exists() for file in files)


def _locked_owner() -> str:
    """Who owns VRID 51 by the lock file of the planned inventory."""
    text = (WORK / "planned/vrid_plan.lock.yml").read_text()
    return next(line.split(":")[0].strip() for line in text.split("vha-a:")[1].splitlines() if line.endswith(" 255"))


def _put_into_disorder() -> None:
    """Two virtual HAs are not with their owners."""
    for vrid, host in ((53, "ha1"), (52, "ha3")):
        fleet.execute(topology.OWNERS[vrid], "vrrp-ha", "drain", str(vrid))
        agents.wait_for_master(vrid, host, 10)


# --- the table -----------------------------------------------------------------------------------------------

RESTART = extra(vrrp_ha_settings={"first_table": 2000})
RELOAD = extra(vrrp_ha_settings={"metrics": {"interval": 20}})
KEYS = ("-e", f"@{WORK / 'keys.json'}")

PROCEDURES = {
    "deploy that reloads": Procedure(
        ("deploy", *RELOAD),
        4,
        _everywhere(lambda host: configured(host)["metrics"]["interval"] == 20),
        undo=plays(("deploy",)),
    ),
    "deploy that restarts": Procedure(
        ("deploy", *RESTART),
        12,
        _everywhere(lambda host: "lookup 2051" in fleet.execute(host, "ip", "-6", "rule")),
        takeovers=dict.fromkeys(topology.OWNERS, 2),
        undo=plays(("deploy",)),
    ),
    "failover": Procedure(
        ("failover", "-e", "vrid=51", "-e", "to=ha3"),
        8,
        lambda: agents.master(51) == "ha3",
        takeovers={51: 1},
        undo=plays(("failover", "-e", "vrid=51", "-e", "to=plan")),
    ),
    "drain": Procedure(
        ("drain", "-e", "host=ha1"),
        6,
        lambda: agents.master(51) == "ha2",
        takeovers={51: 1},
        undo=plays(("undrain", "-e", "host=ha1")),
    ),
    "undrain": Procedure(
        ("undrain", "-e", "host=ha1"),
        6,
        lambda: agents.master(51) == "ha1",
        takeovers={51: 1},
        prepare=plays(("drain", "-e", "host=ha1")),
    ),
    "rebalance": Procedure(
        ("rebalance",),  # of mastership alone, as long as every virtual HA has as many mobile nodes
        8,
        lambda: {vrid: agents.master(vrid) for vrid in topology.OWNERS} == topology.OWNERS,
        takeovers={52: 1, 53: 1},
        prepare=_put_into_disorder,
    ),
    "move_owner": Procedure(
        ("move_owner", *other_inventory("moved")),
        12,
        lambda: _owned_by(51, "ha2"),
        takeovers={51: 1, 52: 1},  # who gets one gives one, that all own as many
        prepare=lambda: copy_inventory("moved", pinned("ha2")),
        undo=_move_back,
    ),
    "rolling_upgrade": Procedure(
        ("rolling_upgrade", *RESTART),
        14,
        _everywhere(lambda host: "lookup 2051" in fleet.execute(host, "ip", "-6", "rule")),
        takeovers=dict.fromkeys(topology.OWNERS, 2),
        undo=plays(("rolling_upgrade",)),
    ),
    "rotate_keys": Procedure(
        ("rotate_keys", *other_inventory("rotated"), *KEYS),
        14,
        _everywhere(_sends_with("second")),
        prepare=_prepare_keys,
        undo=plays(("rotate_keys", *KEYS)),
    ),
    "remove": Procedure(
        ("remove", "-e", "host=ha3"),
        8,
        lambda: not configured("ha3"),
        takeovers={53: 1},
        says=("Take ha3 out of the inventory", "VRID 51, VRID 52, VRID 53"),
        undo=plays(("deploy",)),
    ),
    "plan": Procedure(
        ("plan", *other_inventory("planned")),
        2,
        lambda: _locked_owner() == "ha2",
        prepare=lambda: copy_inventory("planned", pinned("ha2")),
    ),
    "report": Procedure(
        ("report", "-e", f"vrrp_ha_report={WORK / 'report'}"),
        2,
        _written("report", "fleet.md", "fleet.json"),
        changes=False,
    ),
    "verify": Procedure(
        ("verify", "-e", f"vrrp_ha_report={WORK / 'verify'}"),
        2,
        _written("verify", "verify.json", "verify.xml"),
        changes=False,
    ),
}


def must_be_as_deployed() -> None:
    """Wait until every virtual HA is with its owner and all members agree."""
    story.wait_for_owners()
    for vrid in topology.OWNERS:
        agents.wait_for(f"all agree on VRID {vrid}", lambda vrid=vrid: agents.in_agreement(vrid), 15)  # type: ignore[misc]
