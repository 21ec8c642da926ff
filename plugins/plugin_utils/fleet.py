# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a whole fleet reports, compared on the controller: one Master each, equal caches, nobody down, no drift.

Pure: observations in, problems and a table out. A problem that may pass by itself, since members were asked at
slightly different times and deltas were under way, is marked transient: ask again before believing it. Caches that
change all the time are compared at a moment that both members noted (the status' sync_points).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

OWNER = 255


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be, on one host or between several."""

    host: str
    vrid: int | None
    message: str
    remedy: str
    transient: bool = False
    entry: dict[str, Any] | None = None  # the binding that it is about, and what differs

    def line(self) -> str:
        """The problem in one line that names host and VRID."""
        where = self.host if self.vrid is None else f"{self.host}, VRID {self.vrid}"
        return f"{where}: {self.message} ({self.remedy})"

    def document(self) -> dict[str, Any]:
        """The problem as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Fleet:
    """What was asked for (virtual HAs as the operator wrote them) and what each host answered."""

    virtual_has: list[dict[str, Any]]
    observed: dict[str, dict[str, Any]]
    leaving: frozenset[str] = frozenset()  # hosts that are to be taken out of service
    drift: bool = True  # a host that a deploy would change is a problem
    absent: frozenset[str] = frozenset()  # hosts that are not to have an agent any more
    since: Mapping[str, float] = field(default_factory=dict)  # how long each agent had run at the first look

    def problems(self) -> list[Problem]:
        """Everything that is wrong, the hosts first and then VRID by VRID."""
        found = [problem for host in self.hosts() for problem in self._of_host(host)]
        for entry in sorted(self.virtual_has, key=lambda entry: entry["vrid"]):
            found.extend(self._of_virtual_ha(entry))
        return found

    def table(self) -> list[str]:
        """Every virtual HA on every member, as aligned lines."""
        rows: list[tuple[str, ...]] = [("VRID", "NAME", "MEMBER", "PRIORITY", "STATE", "BINDINGS", "DIGEST", "NOTES")]
        for entry in sorted(self.virtual_has, key=lambda entry: entry["vrid"]):
            for host in _members(entry):
                rows.append((str(entry["vrid"]), entry.get("name") or "-", host, *self._row(entry, host)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

    def _row(self, entry: dict[str, Any], host: str) -> tuple[str, ...]:
        priority = str(entry["priorities"][host])
        state = self._state(host, entry["vrid"])
        if state is None:
            return (priority, "down", "-", "-", "-")
        notes = [name for name in ("drained", "leaving") if state.get(name)]
        if not state.get("synced") and state.get("mipv6_ha_mode"):
            notes.append("not synced")
        digest = state["digest"] if state.get("mipv6_ha_mode") else "-"
        return (priority, state["state"], str(state["bindings"]), digest, ", ".join(notes) or "-")

    def members_of(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        """What each member says about a virtual HA, highest priority first; status is None for one that is down."""
        return [
            {"host": host, "priority": entry["priorities"][host], "status": self._state(host, entry["vrid"])}
            for host in _members(entry)
        ]

    def hosts(self) -> list[str]:
        """Every host that is a member or was asked."""
        return sorted({host for entry in self.virtual_has for host in entry["priorities"]} | set(self.observed))

    def _status(self, host: str) -> dict[str, Any] | None:
        return (self.observed.get(host) or {}).get("status")

    def _state(self, host: str, vrid: int) -> dict[str, Any] | None:
        entries = (self._status(host) or {}).get("virtual_has", [])
        return next((entry for entry in entries if entry["vrid"] == vrid), None)

    def _comes_back(self, host: str) -> bool:
        """Whether systemd is about to start the agent, or to stop it for a restart, of a run that was broken off."""
        return (self.observed.get(host) or {}).get("service") in ("activating", "deactivating", "reloading")

    def _down(self, host: str) -> str:
        return "starting" if self._comes_back(host) else "down"

    # hosts

    def _of_host(self, host: str) -> list[Problem]:
        if host in self.absent:
            return []
        if host not in self.observed:
            return [Problem(host, None, "was not asked", "run without --limit, and is it in the inventory?")]
        answer = self.observed[host]
        if answer.get("unreachable"):
            return [Problem(host, None, "is unreachable: " + _text(answer), "is the host up?")]
        if answer.get("failed") or "status" not in answer:
            return [Problem(host, None, _text(answer), "mend this and deploy")]
        status = answer.get("status")
        if status is None:
            remedy = "see 'systemctl status vrrp-ha' there, or deploy"
            return [Problem(host, None, f"its agent is {self._down(host)}", remedy, self._comes_back(host))]
        found = []
        if not status.get("healthy", True):
            warnings = "; ".join(status.get("warnings") or []) or "it does not say why"
            found.append(Problem(host, None, f"its agent is unhealthy: {warnings}", "see 'vrrp-ha status' there", True))
        if not self.drift:
            return found
        if not status.get("config_current", True):
            found.append(Problem(host, None, "its agent has not loaded the files on its disk", "deploy"))
        if answer.get("changes"):
            found.append(Problem(host, None, "drifted from the plan: " + " | ".join(answer["changes"]), "deploy"))
        if answer.get("restart_pending"):
            found.append(Problem(host, None, "its agent has to be restarted for its release", "deploy"))
        return found

    # virtual HAs

    def _of_virtual_ha(self, entry: dict[str, Any]) -> list[Problem]:
        vrid = entry["vrid"]
        states = {host: self._state(host, vrid) for host in _members(entry) if host not in self.absent}
        if not states:
            return []
        known = {host: state for host, state in states.items() if state is not None}
        found = [
            Problem(host, vrid, f"is {self._down(host)}", "deploy", self._comes_back(host))
            if self._status(host) is None
            else Problem(host, vrid, "is not run by its agent", "deploy")
            for host in states
            if host not in known
        ]
        masters = [host for host, state in known.items() if state["state"] == "master"]
        if not masters:
            asked = ", ".join(states)
            found.append(Problem(asked, vrid, "no Master", "see 'vrrp-ha status' on the members", True))
        if len(masters) > 1:
            remedy = "the members do not hear each other: look at the link between them"
            found.append(Problem(" and ".join(masters), vrid, f"{len(masters)} Masters", remedy, True))
        if self.leaving & states.keys() and not any(self._can_serve(host, known.get(host)) for host in states):
            found.append(self._nobody_left(vrid, states, known))
        for host, state in known.items():
            if state["priority"] == OWNER and state["state"] != "master" and not state.get("drained"):
                remedy = "is it still collecting its bindings? Else see its events"
                found.append(Problem(host, vrid, f"the owner is {state['state']} and not drained", remedy, True))
        if len(masters) == 1 and known[masters[0]].get("mipv6_ha_mode"):
            found.extend(self._caches(vrid, masters[0], known))
        return found

    def _can_serve(self, host: str, state: dict[str, Any] | None) -> bool:
        """Whether a member would serve the virtual HA, with its bindings, once the leaving ones do not."""
        if host in self.leaving or state is None or state.get("drained"):
            return False
        return state["state"] != "initialize" and bool(state.get("synced") or not state.get("mipv6_ha_mode"))

    def _nobody_left(self, vrid: int, states: Iterable[str], known: dict[str, dict[str, Any]]) -> Problem:
        def why(host: str, state: dict[str, Any] | None) -> str:
            if state is None:
                return self._down(host)
            return "drained" if state.get("drained") else "not synced"

        others = {host: why(host, known.get(host)) for host in states if host not in self.leaving}
        reasons = ", ".join(f"{host} is {reason}" for host, reason in others.items())
        message = f"would have no healthy member left: {reasons or 'it has no other members'}"
        leaving = ", ".join(host for host in states if host in self.leaving)
        passes = not {"not synced", "starting"}.isdisjoint(others.values())
        return Problem(leaving, vrid, message, "mend or undrain another member first", transient=passes)

    def first_looked(self) -> dict[str, float]:
        """`since` for the next look: when this one, or the first, was."""
        now = {host: status["uptime_s"] for host in self.observed if "uptime_s" in (status := self._status(host) or {})}
        return {host: self._since(host, uptime) for host, uptime in now.items()}

    def _since(self, host: str, uptime: float) -> float:
        first = self.since.get(host, uptime)
        return first if first <= uptime else uptime  # the agent was started anew

    def _was_equal(self, host: str, right: dict[str, Any], state: dict[str, Any]) -> bool:
        """At a moment after the first look the member had what the Master says that it had then."""
        uptime = (self._status(host) or {}).get("uptime_s", 0.0)
        first = self._since(host, uptime)
        masters = {(point["bindings"], point["digest"]) for point in right.get("sync_points", ())}
        return any(
            uptime - point["age_s"] > first
            and (point["bindings"], point["digest"]) in masters
            and (point["held_bindings"], point["held_digest"]) == (point["bindings"], point["digest"])
            for point in state.get("sync_points", ())
        )

    def _caches(self, vrid: int, master: str, known: dict[str, dict[str, Any]]) -> list[Problem]:
        found = []
        right = known[master]
        for host, state in known.items():
            if host == master or not state.get("mipv6_ha_mode"):
                continue
            if state["state"] == "initialize":
                found.append(Problem(host, vrid, "is in state initialize", "is its interface up?", True))
            elif not _equal_now(right, state) and not self._was_equal(host, right, state):
                message = (
                    f"holds {state['bindings']} bindings (digest {state['digest']}), "
                    f"the Master {master} {right['bindings']} (digest {right['digest']})"
                )
                found.append(Problem(host, vrid, message, "it repairs itself within two digest intervals", True))
            elif not state.get("synced"):
                found.append(Problem(host, vrid, "is not synced", "see its events", True))
        return found


def _equal_now(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (one["bindings"], one["digest"]) == (other["bindings"], other["digest"])


def _members(entry: dict[str, Any]) -> list[str]:
    return sorted(entry["priorities"], key=lambda host: (-int(entry["priorities"][host]), host))


def _text(answer: dict[str, Any]) -> str:
    return str(answer.get("msg") or "it does not say why").strip()
