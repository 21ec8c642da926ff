# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story that everything here is about: a Master dies under traffic, and what becomes of it.

Each function does one thing to the fleet while flows run, and returns what was seen. It judges nothing: the demo
prints these figures and the tests assert on them, both against the same limits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.lab import agents, fleet, playbooks, topology
from tests.lab.homelink import HomeLink
from tests.lab.mobility import Flow, Measured, MobileNode, flows, master_down_ms
from tests.lab.places import LabError

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
            agents.wait_for(f"{successor} is Master of {vrid}", lambda: agents.master(vrid) == successor, 5)
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
    """How an owner came back: what its cache held before it first spoke."""

    alive: int
    held_before_advert: int
    first_advert_priority: int
    seconds: float


def power_on(nodes: Sequence[MobileNode], vrid: int, owner: str, alive: int) -> tuple[Event, Return]:
    """Boot the owner again and watch it from its first breath until it is Master and all agree."""
    returned: list[Return] = []

    def boot() -> list[str]:
        started = time.monotonic()
        with HomeLink() as link, _CacheWatch(owner, vrid) as watch:
            fleet.power_on(owner, wait=False)
            agents.wait_for(f"{owner} is Master of {vrid} again", lambda: agents.master(vrid) == owner, 30)
            agents.wait_for("all members agree", lambda: agents.in_agreement(vrid, alive), 15)
            first = link.adverts(vrid, owner)[0]
        found = Return(alive, watch.bindings_before(first.at), first.priority, time.monotonic() - started)
        returned.append(found)
        return [f"{owner} held {found.held_before_advert} of {alive} bindings before its first advertisement"]

    event = under_traffic(f"{owner} returns", nodes, vrid, PLANNED_LOSS, 14, boot)
    return event, returned[0]


def planned(nodes: Sequence[MobileNode], vrid: int, to: str) -> Event:
    """The failover playbook."""

    def play() -> list[str]:
        done = playbooks.playbook("failover", "-e", f"vrid={vrid}", "-e", f"to={to}").must_succeed()
        agents.wait_for(f"{to} is Master of {vrid}", lambda: agents.master(vrid) == to, 5)
        return [f"the playbook took {done.seconds:.1f} s"]

    return under_traffic(f"planned, to {to}", nodes, vrid, PLANNED_LOSS, 12, play)


class _CacheWatch:
    """Notes, every few milliseconds, how many bindings a booting host's agent holds."""

    def __init__(self, host: str, vrid: int) -> None:
        self._agent = agents.Agent(host, timeout=1)
        self._vrid = vrid
        self._notes: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _CacheWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._agent.close()

    def bindings_before(self, moment: float) -> int:
        """The newest count of which the answer was there before that time; 0 if there was none."""
        return next((count for at, count in reversed(self._notes) if at < moment), 0)

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            try:
                count = self._agent.virtual_ha(self._vrid)["bindings"]
            except LabError:
                continue
            self._notes.append((time.time(), count))


def must_agree(vrid: int, total: int) -> dict[str, int | None]:
    """Wait until all three hold the same bindings, that many."""
    agents.wait_for(f"all hold the same {total} bindings of {vrid}", lambda: agents.in_agreement(vrid, total), 30)
    return dict.fromkeys(topology.HOME_AGENTS, total)


def wait_for_owners() -> None:
    """Wait until every virtual HA is with its owner."""
    for vrid, owner in topology.OWNERS.items():
        agents.wait_for(f"{owner} is Master of {vrid}", lambda v=vrid, o=owner: agents.master(v) == o, 15)  # type: ignore[misc]
