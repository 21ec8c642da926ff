# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What brings a fleet back to its plan: who serves its virtual HAs again, and who hands how many mobile nodes to whom.

Pure: what mip6.vrrp_ha.agent_info returned for each host in, plain data out. How even the loads are to be is decided in
levels.py; here it is found out who takes part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .levels import goals

OWNER = 255
OF_OPERATOR = "operator"
NO_LIMIT = 1 << 62


@dataclass
class Member:
    """A host's part in one virtual HA, as its agent tells it."""

    host: str
    priority: int
    state: Mapping[str, Any]
    resting: bool  # drained of everything
    sound: bool  # the agent is healthy

    @property
    def eligible(self) -> bool:
        """Whether it takes part in the election once everybody was put back who does not rest."""
        holds_bindings = bool(self.state.get("synced") or not self.state.get("mipv6_ha_mode"))
        return not self.resting and self.state["state"] != "initialize" and holds_bindings


@dataclass
class VirtualHa:
    """One virtual HA with those members that answer, and its Master now and when all were put back."""

    vrid: int
    preempts: bool
    members: list[Member]  # highest priority first
    under_way: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def master(self) -> Member | None:
        found = [member for member in self.members if member.state["state"] == "master"]
        return found[0] if len(found) == 1 else None

    @property
    def returns_to(self) -> Member | None:
        """Who takes over when those who do not rest are put back; None if that changes nothing."""
        best = next((member for member in self.members if member.eligible), None)
        if best is None or best is self.master or not best.state.get("drained"):
            return None
        return best if self.preempts or best.priority == OWNER else None

    @property
    def serves(self) -> bool:
        """Whether mobile nodes can be sent here, and asked to go."""
        master = self.returns_to or self.master
        state = None if master is None else master.state
        return bool(
            master and state and master.sound and state.get("mipv6_ha_mode")
            and not state.get("alarm") and not state.get("leaving")
        )  # fmt: skip

    @property
    def load(self) -> int:
        """Its bindings, less those that are on their way to another one or wait for it."""
        master = self.master
        if master is None:
            return 0
        now = (master.state.get("balance") or {}).get("load", master.state["bindings"])
        return max(0, int(now) - int((master.state.get("handoffs") or {}).get("pending", 0)))

    @property
    def room(self) -> int:
        """How many bindings it may hold: others are not to fill it beyond what its own Master would hand on."""
        state = self.master.state if self.master else {}
        limits = (state.get("maximum_bindings"), (state.get("balance") or {}).get("low_water"))
        return min([int(limit) for limit in limits if limit is not None], default=NO_LIMIT)

    def going_to(self, vrid: int, reason: str | None = None) -> int:
        """How many of its mobile nodes are on their way there."""
        return sum(
            int(entry["count"]) for entry in self.under_way if entry["to"] == vrid and reason in (None, entry["reason"])
        )


def rebalance(
    observed: Mapping[str, Mapping[str, Any]], virtual_has: Sequence[Mapping[str, Any]], tolerance: float
) -> dict[str, Any]:
    """What is to be done; every key is there, empty when there is nothing of the kind.

    take_over and undrain: VRIDs by host. handoffs: what the Masters are to ask for, by host. will_hand_off: hosts that
    have something to hand over only once they have taken over. resting: hosts in maintenance. loads: an entry for
    each virtual HA. lines: what is to be done in words; shown: the loads as well.
    """
    fleet = [_virtual_ha(entry, observed) for entry in virtual_has]
    take_over: dict[str, list[int]] = {}
    undrain: dict[str, list[int]] = {}
    for virtual_ha in fleet:
        best = virtual_ha.returns_to
        for member in virtual_ha.members:
            if member.state.get("drained") and not member.resting:
                (take_over if member is best else undrain).setdefault(member.host, []).append(virtual_ha.vrid)
    handoffs: dict[str, list[dict[str, int]]] = {}
    will_hand_off: list[str] = []
    loads: list[dict[str, Any]] = []
    lines = [f"VRID {v.vrid}: back to {best.host}" for v in fleet if (best := v.returns_to)]
    lines += [f"{host}: put back for VRID {_listed(vrids)}" for host, vrids in undrain.items()]
    for prefix, group in _groups(fleet):
        goal, moves = _moves(group, tolerance)
        loads += [{"prefix": prefix, "vrid": v.vrid, "load": _load(v, group), "goal": goal[v.vrid]} for v in group]
        for source, target, count in moves:
            if count:
                lines.append(f"VRID {source.vrid}: {count} mobile nodes to VRID {target.vrid}")
            master = source.returns_to or source.master
            if master is None:
                raise AssertionError(f"VRID {source.vrid} has no Master and yet somebody to move")
            if master is source.master:
                wanted = count + source.going_to(target.vrid, OF_OPERATOR)
                entry = {"vrid": source.vrid, "to": target.vrid, "count": wanted}
                handoffs.setdefault(master.host, []).append(entry)
            elif count and master.host not in will_hand_off:
                will_hand_off.append(master.host)
    resting = sorted({member.host for v in fleet for member in v.members if member.resting})
    if resting:
        lines.append(f"left alone, drained of everything: {', '.join(resting)}")
    shown = [f"{e['prefix']}, VRID {e['vrid']}: {e['load']} bindings, to be {e['goal']}" for e in loads]
    return {
        "take_over": take_over,
        "undrain": undrain,
        "handoffs": handoffs,
        "will_hand_off": will_hand_off,
        "resting": resting,
        "loads": loads,
        "lines": lines,
        "shown": shown + (lines or ["nothing is to be done"]),
    }


# --- who takes part ------------------------------------------------------------------------------------------


def _virtual_ha(entry: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any]]) -> VirtualHa:
    vrid = int(entry["vrid"])
    members = []
    for host, priority in entry["priorities"].items():
        status = (observed.get(host) or {}).get("status") or {}
        states = status.get("virtual_has") or []
        own = next((state for state in states if state["vrid"] == vrid), None)
        if own is not None:
            resting = all(state.get("drained") for state in states)
            members.append(Member(str(host), int(priority), own, resting, bool(status.get("healthy"))))
    members.sort(key=lambda member: (-member.priority, member.host))
    found = VirtualHa(vrid, entry.get("preempt") is not False, members)
    if found.master is not None:
        known = (observed[found.master.host]).get("handoffs") or []
        found.under_way = next((part["under_way"] for part in known if part["vrid"] == vrid), [])
    return found


def _groups(fleet: Sequence[VirtualHa]) -> Iterator[tuple[str, list[VirtualHa]]]:
    """The virtual HAs of each home prefix that mobile nodes can be sent to."""
    groups: dict[str, list[VirtualHa]] = {}
    for virtual_ha in sorted(fleet, key=lambda v: v.vrid):
        if virtual_ha.serves and virtual_ha.master is not None:
            groups.setdefault(str(virtual_ha.master.state.get("prefix")), []).append(virtual_ha)
    yield from sorted(groups.items())


def _load(virtual_ha: VirtualHa, group: Sequence[VirtualHa]) -> int:
    """What it will have when everybody has arrived who is on the way."""
    return virtual_ha.load + sum(other.going_to(virtual_ha.vrid) for other in group if other is not virtual_ha)


# --- who goes where ------------------------------------------------------------------------------------------


def _moves(
    group: Sequence[VirtualHa], tolerance: float
) -> tuple[dict[int, int], list[tuple[VirtualHa, VirtualHa, int]]]:
    """The loads to aim at, and how many more go from whom to whom; 0 for those on whose way nobody has to be sent."""
    loads = {v.vrid: _load(v, group) for v in group}
    goal = goals(loads, {v.vrid: v.room for v in group}, tolerance)
    # Those who are on their way to a virtual HA cannot be told to go on from there.
    gives = {v.vrid: min(max(0, loads[v.vrid] - goal[v.vrid]), v.load) for v in group}
    takes = {v.vrid: max(0, goal[v.vrid] - loads[v.vrid]) for v in group}
    moves = []
    for source in sorted(group, key=lambda v: len(_targets(v, group))):
        for target in _targets(source, group):
            count = min(gives[source.vrid], takes[target.vrid])
            gives[source.vrid] -= count
            takes[target.vrid] -= count
            if count or source.going_to(target.vrid, OF_OPERATOR):
                moves.append((source, target, count))
    return goal, moves


def _targets(source: VirtualHa, group: Sequence[VirtualHa]) -> list[VirtualHa]:
    """A Master can only name virtual HAs that it takes part in itself: it knows the loads of no others."""
    master = source.returns_to or source.master
    return [
        other
        for other in group
        if other is not source and master and any(member.host == master.host for member in other.members)
    ]


def _listed(vrids: Sequence[int]) -> str:
    return ", ".join(map(str, vrids))
