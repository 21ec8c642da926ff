# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story that everything here is about: a Master dies under traffic, and what becomes of it.

Each function does one thing to the fleet while flows run, and returns what was seen. It judges nothing: the demo
prints these figures and the tests assert on them, both against the same limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.lab import agents, fleet, playbooks, topology
from tests.lab.homelink import HomeLink
from tests.lab.mobility import Flow, Measured, MobileNode, flows, master_down_ms
from tests.lab.places import LabError
from tests.lab.routewatch import RouteWatch

ALLOWANCE_MS = 20
PLANNED_LOSS = 1
PRIORITIES = {51: {"ha1": 255, "ha2": 200, "ha3": 150}}
"""As in the inventory; verify compares the two."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing done to the fleet, and what it meant for the traffic and the caches."""

    name: str
    limit_packets: float
    measured: Sequence[Measured]
    before: dict[str, int | None]
    after: dict[str, int | None]
    notes: Sequence[str] = field(default=())

    @property
    def kept(self) -> bool:
        """Whether every flow stayed within what is promised."""
        return all(flow.lost <= self.limit_packets for flow in self.measured)


def power_off_limit(vrid: int, successor: str) -> float:
    """Packets that a flow may lose while nobody has noticed yet, at 100 a second."""
    return (master_down_ms(PRIORITIES[vrid][successor]) + ALLOWANCE_MS) / 10


def under_traffic(
    name: str, nodes: Sequence[MobileNode], vrid: int, limit: float, seconds: float, action: Callable[[], Sequence[str]]
) -> Event:
    """Do something a second into flows of so many seconds; the flows must outlast it."""
    before = agents.counts(vrid)
    running: list[Flow] = [flow for node in nodes for flow in flows(node, seconds)]
    time.sleep(1)
    started = time.monotonic()
    notes = list(action())
    took = time.monotonic() - started
    measured = [flow.finish() for flow in running]
    if took > seconds - 1.5:
        raise LabError(f"{name} took {took:.1f} s, longer than the flows of {seconds:g} s that were to measure it")
    return Event(name, limit, measured, before, agents.counts(vrid), notes)


def power_off(nodes: Sequence[MobileNode], vrid: int, victim: str, successor: str) -> Event:
    """Cut the Master's power."""

    def cut() -> list[str]:
        with HomeLink() as link:
            agents.wait_for(f"an advertisement of {victim}", lambda: link.adverts(vrid, victim), 2)
            fleet.power_off(victim)
            agents.wait_for_master(vrid, successor, 5)
            last = link.adverts(vrid, victim)
            first = agents.wait_for("its first advertisement", lambda: link.adverts(vrid, successor), 2)
        theory = master_down_ms(PRIORITIES[vrid][successor])
        gap = (first[0].at - last[-1].at) * 1000
        return [
            f"{successor} advertised {gap:.1f} ms after the last of {victim} (Master_Down_Interval: {theory:.1f} ms)"
        ]

    return under_traffic(f"power off {victim}", nodes, vrid, power_off_limit(vrid, successor), 6, cut)


@dataclass(frozen=True, slots=True)
class Return:
    """How an owner came back: what it held before it first spoke."""

    alive: int
    synchronised: int
    """Bindings in its cache, by its own record, at a time before its first advertisement was on the wire."""
    routes: int
    """Home addresses that its kernel had routes for by then, seen from outside."""
    seconds: float

    @property
    def complete(self) -> bool:
        return self.synchronised == self.alive == self.routes


ROUTE_WATCH_LATENESS_S = 0.005
"""How long an announcement of the kernel may lie unread here, with all else that goes on."""


def power_on(nodes: Sequence[MobileNode], vrid: int, owner: str, alive: int) -> tuple[Event, Return]:
    """Boot the owner again and watch it from its first breath until it is Master and all agree."""
    returned: list[Return] = []

    def boot() -> list[str]:
        started = time.monotonic()
        with HomeLink() as link, RouteWatch(owner, vrid) as kernel:
            fleet.power_on(owner, wait=False)
            agents.wait_for_master(vrid, owner, 30)
            took = time.monotonic() - started
            agents.wait_for("all members agree", lambda: agents.in_agreement(vrid, alive), 15)
            first = link.adverts(vrid, owner)[0].at
        found = Return(
            alive, agents.synchronised_by(owner, vrid, first), kernel.installed_by(first + ROUTE_WATCH_LATENESS_S), took
        )
        returned.append(found)
        held = f"{found.synchronised} bindings and {found.routes} routes of {alive}"
        return [f"{owner}, Master {took:.1f} s after power-on, held {held} before its first advertisement"]

    event = under_traffic(f"{owner} returns", nodes, vrid, PLANNED_LOSS, 10, boot)
    return event, returned[0]


def planned(nodes: Sequence[MobileNode], vrid: int, to: str) -> Event:
    """The failover playbook."""

    def play() -> list[str]:
        done = playbooks.playbook("failover", "-e", f"vrid={vrid}", "-e", f"to={to}").must_succeed()
        agents.wait_for_master(vrid, to, 5)
        return [f"the playbook took {done.seconds:.1f} s"]

    return under_traffic(f"planned, to {to}", nodes, vrid, PLANNED_LOSS, 12, play)


def must_agree(vrid: int, total: int) -> dict[str, int | None]:
    """Wait until all three hold the same bindings, that many."""
    agents.wait_for(f"all hold the same {total} bindings of {vrid}", lambda: agents.in_agreement(vrid, total), 30)
    return dict.fromkeys(topology.HOME_AGENTS, total)


def wait_for_owners() -> None:
    """Wait until every virtual HA is with its owner."""
    for vrid, owner in topology.OWNERS.items():
        agents.wait_for_master(vrid, owner, 15)
