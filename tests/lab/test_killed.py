# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook is broken off at a random moment; run again, it ends with what it was to bring about, and a sound fleet.

VRRP_HA_KILLS says how often each is broken off in each way of VRRP_HA_WAYS (see breaking.py; by default those two that
kill ansible-playbook in turn), VRRP_HA_IN_A_ROW how often before it may end; VRRP_HA_NAMES names the procedures.
Without it one of them is, once. VRRP_HA_SEED chooses it and the moments; VRRP_HA_SLOWNESS is how much longer runs take
than on a calm machine, to begin with.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.lab import agents, breaking, fleet, playbooks, story, topology
from tests.lab.access import COLLECTIONS
from tests.lab.following import Following
from tests.lab.mobility import MobileNode
from tests.lab.playbooks import playbook
from tests.lab.procedures import PROCEDURES, Procedure, must_be_as_deployed, plays

KILLS = int(os.environ.get("VRRP_HA_KILLS", "0"))
SEED = int(os.environ.get("VRRP_HA_SEED", "0")) or time.time_ns() % 2**32
WAYS = os.environ.get("VRRP_HA_WAYS", "killed").split(",")
IN_A_ROW = int(os.environ.get("VRRP_HA_IN_A_ROW", "1"))
BOUND = 10
ABSENT = ("deploy", "-e", "vrrp_ha_state=absent", "--limit", "ha3")
SOURCE = COLLECTIONS / "ansible_collections/mip6/vrrp_ha/roles/agent/files/vrrp_ha/__init__.py"


def make_release() -> None:
    SOURCE.write_text(SOURCE.read_text() + f"# release {time.time_ns()}\n")


def drop_release() -> None:
    SOURCE.write_text(SOURCE.read_text().split("# release")[0])
    playbook("rolling_upgrade").must_succeed()


def links() -> set[str]:
    """Which releases the hosts have in use."""
    return {fleet.execute(host, "readlink", "/proc/self/root/opt/vrrp-ha/current") for host in topology.HOME_AGENTS}


class Crowd:
    """Sixty mobile nodes of VRID 51 that go where they are sent, instead of those that stay."""

    def __init__(self) -> None:
        self.at = MobileNode("mn1", 51)
        self.following: Following | None = None

    def arrives(self) -> None:
        self.at.register(BOUND, lifetime=0)
        self.following = Following(self.at, 101, 60, "--lifetime", "7200", "--seconds", "3600")
        agents.wait_for("they are bound", lambda: agents.in_agreement(51, 60), 10)

    def is_spread(self) -> bool:
        found = [agents.virtual_ha(owner, vrid) for vrid, owner in topology.OWNERS.items()]
        loads = [int(state["bindings"]) for state in found if state is not None]
        return max(loads) <= (60 + 2 * BOUND) / 3 * 1.1

    def leaves(self) -> None:
        assert self.following is not None
        self.following.finish()
        for address in topology.VIRTUAL_HAS.values():
            self.at.register(60, first=101, lifetime=0, home_agent=address, tries=1, timeout=0.5)
        self.at.must_register(BOUND)
        story.must_agree(51, BOUND)


SLOWNESS = [float(os.environ.get("VRRP_HA_SLOWNESS", "1"))]
"""How much longer a run takes than on a calm machine, as seen last."""
CROWD = Crowd()
MORE = {
    "deploy to a fresh host": Procedure(("deploy",), 8, lambda: agents.in_agreement(51), prepare=plays(ABSENT)),
    "deploy a release": Procedure(("deploy",), 16, lambda: len(links()) == 1, prepare=make_release, undo=drop_release),
    "deploy absent": Procedure(ABSENT, 5, lambda: agents.virtual_ha("ha3", 51) is None, undo=plays(("deploy",))),
    "rolling_upgrade to a release": Procedure(
        ("rolling_upgrade",), 20, lambda: len(links()) == 1, prepare=make_release, undo=drop_release
    ),
    "rebalance that hands off": Procedure(
        ("rebalance",), 10, CROWD.is_spread, prepare=CROWD.arrives, undo=CROWD.leaves
    ),
}
ALL = {name: procedure for name, procedure in {**PROCEDURES, **MORE}.items() if procedure.changes}
NAMES = os.environ.get("VRRP_HA_NAMES", "").split(",") if "VRRP_HA_NAMES" in os.environ else list(ALL)
CASES = [
    (name, way, number)
    for number in range(KILLS)
    for name in NAMES
    for way in WAYS
    if (name, way) != ("rebalance that hands off", "power")  # a Master just started hands nobody off for hold_time
]


@pytest.fixture
def as_deployed(mobile_nodes: list[MobileNode], request: pytest.FixtureRequest) -> Iterator[None]:
    """After a failure the next one begins with another fleet."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        fleet.down()
        fleet.up()
        playbooks.install()
        playbook("deploy").must_succeed()
        story.wait_for_owners()
        mobile_nodes[0].open_tunnel()
        for node in mobile_nodes:
            node.must_register(BOUND)
            story.must_agree(node.vrid, BOUND)


@pytest.mark.usefixtures("as_deployed")
@pytest.mark.parametrize(("name", "way", "number"), CASES or [(random.Random(SEED).choice(NAMES), "killed", 0)])
def test_a_playbook_that_was_broken_off_is_run_again_and_ends_well(
    mobile_nodes: list[MobileNode], name: str, way: str, number: int
) -> None:
    procedure = ALL[name]
    rng = random.Random(f"{SEED}/{name}/{way}/{number}")
    print(f"VRRP_HA_SEED={SEED}, {name}")
    procedure.prepare()
    for part in sorted(rng.random() for _kill in range(IN_A_ROW)):
        how = rng.choice(("controller", "all")) if way == "killed" else way
        moment = 0.5 + part * procedure.seconds * SLOWNESS[-1]
        broken = breaking.WAYS[how](procedure.words, moment, rng)
        print(f"{how} after {moment:.1f} s: {broken.said()}")
    again = procedure.run()
    SLOWNESS.append(max(1.0, again.seconds / procedure.seconds))
    print(f"run again: {again.seconds:.1f} s, {again.changed} changes")
    assert procedure.holds()
    assert procedure.run().changed == 0
    assert breaking.left_behind() == {}
    procedure.undo()
    must_be_as_deployed()
    for node in mobile_nodes:
        story.must_agree(node.vrid, BOUND)
    states = [agents.virtual_ha(host, vrid) for host in topology.HOME_AGENTS for vrid in topology.OWNERS]
    assert not any(state is None or state["drained"] for state in states)
