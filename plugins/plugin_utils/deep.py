# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members compared entry by entry, in looks: what each answered so far in, what is wrong and what to ask next out.

The first look has each cache in 256 parts, all members' as of the same moment, and what each kernel lacks. Only when
parts differ are their rows asked for, and then again those home addresses that differ, until nothing changes: what
is on its way between members differs in one look and not in the next. Pure, and nothing is kept between two calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any

from ..module_utils.consistency_run import unpacked
from .fleet import Fleet, Problem

LIFETIME_S = 16  # members round lifetimes, and are not asked at the same time
MOST_ROWS = 5000  # of one virtual HA on one host, asked for in one look
MOST_AGAIN = 1000  # home addresses of one virtual HA that are looked at again
SAME_LOOKS = 3  # a difference that was the same in so many looks stays
_COLUMNS = (("care_of_address", "care-of address"), ("sequence", "sequence number"), ("flags", "flags"))

Look = Mapping[str, Mapping[str, Any]]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Replica:
    """A virtual HA on one of its members that is not the Master."""

    vrid: int
    master: str
    host: str


@dataclass(frozen=True)
class Deep:
    """looks: what mip6.vrrp_ha.consistency_info returned for each host, one mapping a look."""

    fleet: Fleet
    looks: Sequence[Look]
    limit: int = 20  # differing entries that are named, of each virtual HA on each member
    rounds: int = 10

    # --- what to ask next ------------------------------------------------------------------------------------

    def ask(self) -> dict[str, list[dict[str, Any]]]:
        """Option virtual_has of the module by host; empty when there is nothing more to find out."""
        wanted: dict[str, list[dict[str, Any]]] = {}
        for host, entry in self._wanted():
            wanted.setdefault(host, []).append(entry)
        return wanted

    def _wanted(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if not self.looks:
            yield from self._first()
        elif len(self.looks) < 2 + self.rounds:
            for host, found in self._examined():
                if found["kernel"] and not found["kernel"]["settled"]:
                    yield host, {"vrid": found["vrid"]}
            name = "parts" if len(self.looks) == 1 else "home_addresses"
            for entry in self.fleet.virtual_has:
                replicas = self._replicas(entry)
                items = {replica: self._open_items(replica) for replica in replicas}
                those = sorted({item for some in items.values() for item in some})
                if name == "parts":
                    those = self._as_many(replicas, those)
                hosts = {host for replica in replicas if items[replica] for host in (replica.master, replica.host)}
                yield from ((host, {"vrid": entry["vrid"], name: those}) for host in sorted(hosts))

    def _first(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for entry in self.fleet.virtual_has:
            yield from ((host, {"vrid": entry["vrid"]}) for host in self._states(entry))

    def _open_items(self, replica: _Replica) -> list[Any]:
        if len(self.looks) == 1:
            return self._parts(replica)
        return [home for home, history in self._histories(replica).items() if not history.settled]

    def _as_many(self, replicas: Iterable[_Replica], numbers: list[int]) -> list[int]:
        """The first of these parts that make no more than MOST_ROWS rows on any member; one in any case."""
        counts: dict[int, int] = {}
        for replica in replicas:
            for parts in self._tallies(replica)[1:]:
                for number, count, _digest, _lifetime in parts:
                    counts[number] = max(count, counts.get(number, 0))
        total = 0
        chosen: list[int] = []
        for number in numbers:
            total += counts.get(number, 0)
            if chosen and total > MOST_ROWS:
                break
            chosen.append(number)
        return chosen

    # --- what is wrong --------------------------------------------------------------------------------------

    def problems(self) -> list[Problem]:
        """Everything that was found so far."""
        found = list(self._not_looked())
        for host, answer in self.looks[0].items() if self.looks else ():
            for fault in answer.get("faults") or ():
                found.append(Problem(host, fault["vrid"], fault["text"], "'vrrp-ha repair' there mends it"))
        for host, examined in self._examined():
            found.extend(self._in_kernel(host, examined))
        for replica in [replica for entry in self.fleet.virtual_has for replica in self._replicas(entry)]:
            found.extend(self._associations(replica))
            found.extend(self._lifetimes(replica))
            found.extend(self._entries(replica))
        return found

    def _not_looked(self) -> Iterator[Problem]:
        for host in sorted({host for look in self.looks for host in look}):
            failed = [look[host] for look in self.looks if host in look and "virtual_has" not in look[host]]
            asked = [answer for answer in failed if not answer.get("skipped")]
            if asked:
                message = "its entries could not be looked at: " + str(asked[-1].get("msg") or "it does not say why")
                yield Problem(host, None, message, "deploy, and verify again")

    def _in_kernel(self, host: str, examined: Mapping[str, Any]) -> Iterator[Problem]:
        kernel, vrid = examined["kernel"], examined["vrid"]
        if kernel is None:
            yield Problem(host, vrid, "has nothing in the kernel", "is its interface there?")
            return
        if not kernel["settled"]:
            yield Problem(host, vrid, "its bindings are still on their way into the kernel", "verify again", True)
            return
        remedy = "'vrrp-ha repair' there mends it; find out who changed it"
        for entry in kernel["differences"]:
            what, wanted, found = entry["what"], entry["wanted"], entry["found"]
            if wanted is None:
                text = f"{what} to {found} is there and belongs to no binding"
            elif found is None:
                text = f"{what} to {wanted} is missing"
            else:
                text = f"{what} to {found} instead of {wanted}"
            yield Problem(host, vrid, f"{entry['home_address']}: {text}", remedy, entry=dict(entry))
        if kernel["more"]:
            yield Problem(host, vrid, f"{kernel['more']} more differences in the kernel", remedy)

    def _associations(self, replica: _Replica) -> Iterator[Problem]:
        right, found = self._both(replica, "associations")
        if right is None or found is None or right["digest"] == found["digest"]:
            return
        ours, theirs = found["fingerprints"], right["fingerprints"]
        homes = [home for home in sorted({*ours, *theirs}) if ours.get(home) != theirs.get(home)]
        named = ", ".join(homes[: self.limit]) or "home addresses that are not among the first"
        more = f" and {len(homes) - self.limit} more" if len(homes) > self.limit else ""
        message = f"other IPsec security associations than the Master {replica.master} for {named}{more}"
        yield Problem(replica.host, replica.vrid, message, "give all members the same, and deploy")

    def _lifetimes(self, replica: _Replica) -> Iterator[Problem]:
        """A part that differs much is looked at row by row; here is what all have in common."""
        mean = self._mean_lifetime(replica)
        if mean is not None and abs(mean) > LIFETIME_S and self._tallies(replica)[0]:
            message = f"lifetimes are {mean:+.0f} s off those of the Master {replica.master}, on the average"
            yield Problem(replica.host, replica.vrid, message, "did a clock jump, or was the host suspended?")

    def _entries(self, replica: _Replica) -> Iterator[Problem]:
        remedy = "see its events; it repairs itself within two digest intervals if it hears the Master"
        histories = self._histories(replica)
        differing = {home: history.last for home, history in histories.items() if history.steady and history.last}
        for home, (theirs, ours) in list(differing.items())[: self.limit]:
            details = {"home_address": home, "what": "binding", "wanted": theirs, "found": ours}
            message = f"{home}: {_text(replica.master, theirs, ours)}"
            yield Problem(replica.host, replica.vrid, message, remedy, True, details)
        more = len(differing) - self.limit
        beyond = len(self._candidates(replica)) - len(histories)
        unread = len(set(self._parts(replica)) - self._asked_parts(replica.vrid))
        if differing and (more > 0 or beyond or unread):
            parts = f"; {beyond} and {unread} of the cache's 256 parts were not looked at" if beyond or unread else ""
            yield Problem(replica.host, replica.vrid, f"{max(0, more)} more bindings differ{parts}", remedy, True)

    # --- what the looks say ---------------------------------------------------------------------------------

    def _states(self, entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The members that can be asked, and what they said of the virtual HA."""
        members = self.fleet.members_of(dict(entry))
        known = {member["host"]: member["status"] for member in members if member["host"] not in self.fleet.absent}
        return {host: state for host, state in known.items() if state and state.get("mipv6_ha_mode")}

    def _entry(self, vrid: int) -> dict[str, Any]:
        return next(entry for entry in self.fleet.virtual_has if entry["vrid"] == vrid)

    def _replicas(self, entry: Mapping[str, Any]) -> list[_Replica]:
        states = self._states(entry)
        masters = [host for host, state in states.items() if state["state"] == "master"]
        backups = [host for host, state in states.items() if state["state"] == "backup"]
        return [_Replica(entry["vrid"], masters[0], host) for host in backups] if len(masters) == 1 else []

    def _answers(self, look: int, host: str, vrid: int) -> Iterator[Mapping[str, Any]]:
        """What a host said of a virtual HA in a look."""
        if look < len(self.looks):
            answers = (self.looks[look].get(host) or {}).get("virtual_has") or ()
            yield from (answer for answer in answers if answer["vrid"] == vrid)

    def _examined(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The last examination of each virtual HA on each host."""
        last: dict[tuple[int, str], Mapping[str, Any]] = {}
        for look in self.looks:
            for host, answer in look.items():
                for one in answer.get("virtual_has") or ():
                    if "kernel" in one:
                        last[one["vrid"], host] = one
        for (_vrid, host), one in sorted(last.items(), key=lambda item: item[0]):
            yield host, one

    def _both(self, replica: _Replica, name: str) -> tuple[Any, Any]:
        """Something of the first look, of the Master and of the member; None where it did not answer."""
        found = []
        for host in (replica.master, replica.host):
            answer = next((one for one in self._answers(0, host, replica.vrid) if "kernel" in one), {})
            found.append(answer.get(name))
        return found[0], found[1]

    def _tallies(self, replica: _Replica) -> tuple[bool, list[Any], list[Any]]:
        """Whether both noted a moment; the Master's parts, and the member's, as they were at the last such one."""
        theirs, ours = (points and _unpacked(points) for points in self._both(replica, "points"))
        if theirs is None or ours is None:
            return False, [], []
        held = {point["digest"]: point["parts"] for point in ours}
        for point in theirs:
            if point["digest"] in held:
                return point["digest"] is not None, point["parts"], held[point["digest"]]
        return False, theirs[0]["parts"], ours[0]["parts"]

    def _mean_lifetime(self, replica: _Replica) -> float | None:
        counts = excess = 0
        for _number, theirs, ours in self._equal_parts(replica):
            counts += theirs[1]
            excess += ours[3] - theirs[3]
        return excess / counts if counts else None

    def _equal_parts(self, replica: _Replica) -> Iterator[tuple[int, Sequence[Any], Sequence[Any]]]:
        right, found = ({part[0]: part for part in parts} for parts in self._tallies(replica)[1:])
        for number in sorted(right.keys() & found.keys()):
            if right[number][1:3] == found[number][1:3]:
                yield number, right[number], found[number]

    def _parts(self, replica: _Replica) -> list[int]:
        """The numbers of the parts whose entries or lifetimes differ."""
        _aligned, right, found = self._tallies(replica)
        mean = self._mean_lifetime(replica) or 0.0
        equal = {
            number
            for number, theirs, ours in self._equal_parts(replica)
            # Roundings of many entries even out; far more than that is a reason to look at each.
            if abs(ours[3] - theirs[3] - theirs[1] * mean) <= 8 + 12 * sqrt(theirs[1])
        }
        return sorted({part[0] for part in (*right, *found)} - equal)

    def _asked_parts(self, vrid: int) -> set[int]:
        """The parts whose rows were asked for in the second look."""
        replicas = self._replicas(self._entry(vrid))
        differing = sorted({number for replica in replicas for number in self._parts(replica)})
        return set(self._as_many(replicas, differing))

    def _rows(self, look: int, host: str, vrid: int) -> dict[str, Row] | None:
        """By home address; None where it did not answer."""
        for answer in self._answers(look, host, vrid):
            if "rows" in answer:
                return {row["home_address"]: row for row in _unpacked(answer["rows"])}
        return None

    def _candidates(self, replica: _Replica) -> list[str]:
        """The home addresses that differed in the rows of the parts."""
        theirs, ours = (self._rows(1, host, replica.vrid) for host in (replica.master, replica.host))
        if theirs is None or ours is None:
            return []
        return sorted(home for home in {*theirs, *ours} if _differ(theirs.get(home), ours.get(home)))

    def _histories(self, replica: _Replica) -> dict[str, _History]:
        """Of the candidates that are looked at again, what those looks told."""
        most = MOST_AGAIN // len(self._replicas(self._entry(replica.vrid)))
        histories = {home: _History() for home in self._candidates(replica)[:most]}
        for look in range(2, len(self.looks)):
            theirs, ours = (self._rows(look, host, replica.vrid) for host in (replica.master, replica.host))
            if theirs is not None and ours is not None:
                for home, history in histories.items():
                    if not history.settled:
                        history.add(theirs.get(home), ours.get(home))
        return histories


class _History:
    """What was seen of one home address on the Master and on another member, look by look."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Row | None, Row | None] | None] = []  # None: they did not differ

    def add(self, theirs: Row | None, ours: Row | None) -> None:
        """One look."""
        self._pairs.append((theirs, ours) if _differ(theirs, ours) else None)

    @property
    def last(self) -> tuple[Row | None, Row | None] | None:
        """The rows that differ, if they did so in the last look."""
        return self._pairs[-1] if self._pairs else None

    @property
    def settled(self) -> bool:
        """They do not differ, or did in the same way in several looks."""
        return bool(self._pairs) and (self._pairs[-1] is None or self._same(SAME_LOOKS))

    @property
    def steady(self) -> bool:
        """They differ, and not because of what is on its way, as far as there were looks to tell."""
        return self._same(min(2, len(self._pairs)))

    def _same(self, looks: int) -> bool:
        if len(self._pairs) < looks:
            return False
        return len({_content(pair) for pair in self._pairs[-looks:]}) == 1


@lru_cache(maxsize=256)
def _unpacked(text: str) -> list[Any]:
    """Each is looked at many times."""
    return list(unpacked(text))


def _content(pair: tuple[Row | None, Row | None] | None) -> tuple[Any, ...] | None:
    return pair and tuple(row and tuple(row[column] for column, _unused in _COLUMNS) for row in pair)


def _differ(theirs: Row | None, ours: Row | None) -> bool:
    if theirs is None or ours is None:
        return theirs is not ours
    return bool(_changes(theirs, ours))


def _changes(theirs: Row, ours: Row) -> list[str]:
    found = [
        f"{name} {ours[column]} instead of {theirs[column]}"
        for column, name in _COLUMNS
        if ours[column] != theirs[column]
    ]
    if not found and abs(ours["remaining_s"] - theirs["remaining_s"]) > LIFETIME_S:
        found.append(f"lifetime left {ours['remaining_s']:.0f} s instead of {theirs['remaining_s']:.0f} s")
    return found


def _text(master: str, theirs: Row | None, ours: Row | None) -> str:
    if theirs and ours:
        return f"{', '.join(_changes(theirs, ours))} (of the Master {master})"
    if ours:
        return f"is bound to {_where(ours)}; the Master {master} has no such binding"
    return f"is missing; the Master {master} has it at {_where(theirs or {})}"


def _where(row: Row) -> str:
    return f"{row.get('care_of_address')}, sequence number {row.get('sequence')}"
