# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet on one page: who serves what, with how many bindings, what is under way, what is wrong, what is planned.

Pure: what mip6.vrrp_ha.agent_info returned for each host in, Markdown and JSON out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .fleet import Fleet
from .plan_report import piped, plan_markdown

JSON_FILE, PAGE_FILE = "fleet.json", "fleet.md"
NONE = "-"
COUNTS = ("pending", "sent", "done", "failed")


@dataclass(frozen=True)
class Report:
    """What was seen at one time; virtual_has as the operator planned them."""

    time: str
    virtual_has: list[dict[str, Any]]
    observed: dict[str, dict[str, Any]]

    @property
    def fleet(self) -> Fleet:
        return Fleet(self.virtual_has, self.observed, drift=False)

    def files(self) -> dict[str, str]:
        """Page and data, by file name."""
        return {PAGE_FILE: self.page(), JSON_FILE: json.dumps(self.document(), indent=2) + "\n"}

    def document(self) -> dict[str, Any]:
        """Everything that the hosts told, and what follows from it."""
        names = ("status", "problem", "recoveries", "handoffs")
        return {
            "format": 1,
            "time": self.time,
            "sound": not self.alarms(),
            "alarms": self.alarms(),
            "virtual_has": [
                {
                    "vrid": entry["vrid"], "name": entry.get("name"), "addresses": entry.get("addresses") or [],
                    "prefix": entry.get("prefix"), "priorities": entry["priorities"],
                    "masters": [member["host"] for member in self._masters(entry)],
                }
                for entry in self._planned()
            ],
            "hosts": {
                host: {name: (self.observed.get(host) or {}).get(name) for name in names} for host in self.fleet.hosts()
            },
        }  # fmt: skip

    def alarms(self) -> list[str]:
        """What is not as it should be, one line each: between the hosts, and what each says of itself."""
        lines = [problem.line() for problem in self.fleet.problems()]
        for host in self.fleet.hosts():
            status = self._status(host)
            lines += [f"{host}: {warning}" for warning in status.get("warnings") or []]
            lines += [
                f"{host}, VRID {state['vrid']}: {state['alarm']}"
                for state in status.get("virtual_has") or []
                if state.get("alarm")
            ]
        return list(dict.fromkeys(lines))

    def page(self) -> str:
        """The page for people."""
        alarms = [f"- {_plain(line)}" for line in self.alarms()] or ["The fleet is as it should be."]
        parts = [f"# Home agents, {self.time}", "\n".join(alarms)]
        parts += ["## Virtual HAs", _table(self._virtual_ha_rows()), "## Hosts", _table(self._host_rows())]
        for title, name in (("Recoveries", "recoveries"), ("Handoffs", "handoffs")):
            rows = self._count_rows(name)
            parts += [f"## {title}", _table(rows) if len(rows) > 1 else "There were none."]
        parts.append("## Plan")
        parts.append("Who owns what, who takes over in which order, and how many each host serves when one fails.")
        for prefix, virtual_has in self._links().items():
            parts += [f"### {prefix}", plan_markdown(virtual_has, self._resting()).rstrip()]
        return "\n\n".join(parts) + "\n"

    # --- rows --------------------------------------------------------------------------------------------------

    def _virtual_ha_rows(self) -> list[list[str]]:
        rows = [["VRID", "NAME", "ADDRESS", "MASTER", "FOR", "BINDINGS", "BACKUPS"]]
        for entry in self._planned():
            masters = self._masters(entry)
            backups = [_backup(member) for member in self.fleet.members_of(entry) if member not in masters]
            first = masters[0]["status"] if masters else {}
            rows.append([
                str(entry["vrid"]),
                entry.get("name") or NONE,
                next(iter(entry.get("addresses") or []), NONE),
                ", ".join(_served_by(member) for member in masters) or "**nobody**",
                _duration(first.get("since_s")),
                str(first.get("bindings", NONE)),
                ", ".join(backups) or NONE,
            ])  # fmt: skip
        return rows

    def _host_rows(self) -> list[list[str]]:
        rows = [["HOST", "VERSION", "UP FOR", "MASTER OF", "BINDINGS", "STATE"]]
        for host in self.fleet.hosts():
            status = self._status(host)
            served = [state for state in status.get("virtual_has") or [] if state["state"] == "master"]
            if not status:
                answer = self.observed.get(host) or {}
                why = answer.get("problem") or answer.get("msg") or "was not asked"
                rows.append([host, NONE, NONE, NONE, NONE, _plain(f"**down**: {why}")])
                continue
            states = ["healthy" if status.get("healthy") else "**unhealthy**"]
            states += ["drained"] if host in self._resting() else []
            rows.append([
                host,
                str(status.get("version", NONE)),
                _duration(status.get("uptime_s")),
                ", ".join(str(state["vrid"]) for state in served) or NONE,
                str(sum(state.get("bindings") or 0 for state in served)),
                ", ".join(states),
            ])  # fmt: skip
        return rows

    def _count_rows(self, name: str) -> list[list[str]]:
        """How many recoveries or handoffs, since the agent of each Master was started."""
        rows = [["VRID", "MASTER", *(count.upper() for count in COUNTS)]]
        for entry in self._planned():
            for member in self._masters(entry):
                counts = member["status"].get(name) or {}
                if any(counts.get(count) for count in COUNTS):
                    cells = [str(counts.get(count, 0)) for count in COUNTS]
                    rows.append([str(entry["vrid"]), member["host"], *cells])
        return rows

    # --- what they are made of ---------------------------------------------------------------------------------

    def _planned(self) -> list[dict[str, Any]]:
        return sorted(self.virtual_has, key=lambda entry: (str(entry.get("prefix")), entry["vrid"]))

    def _links(self) -> dict[str, list[dict[str, Any]]]:
        links: dict[str, list[dict[str, Any]]] = {}
        for entry in self._planned():
            links.setdefault(str(entry.get("prefix") or NONE), []).append(entry)
        return links

    def _status(self, host: str) -> Mapping[str, Any]:
        return (self.observed.get(host) or {}).get("status") or {}

    def _masters(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        members = self.fleet.members_of(entry)
        return [member for member in members if (member["status"] or {}).get("state") == "master"]

    def _resting(self) -> set[str]:
        """Hosts that are drained of everything."""
        found = set()
        for host in self.fleet.hosts():
            states = self._status(host).get("virtual_has") or []
            if states and all(state.get("drained") for state in states):
                found.add(host)
        return found


def _served_by(member: Mapping[str, Any]) -> str:
    return str(member["host"]) if member["priority"] == 255 else f"{member['host']} (acting)"


def _backup(member: Mapping[str, Any]) -> str:
    state = member["status"]
    if state is None:
        return f"{member['host']} (down)"
    notes = [state["state"]] if state["state"] != "backup" else []
    notes += ["drained"] if state.get("drained") else []
    notes += ["not synced"] if state.get("mipv6_ha_mode") and not state.get("synced") else []
    return f"{member['host']} ({', '.join(notes)})" if notes else str(member["host"])


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    if hours >= 48:
        return f"{hours // 24} days"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(piped([[_plain(cell) for cell in row] for row in rows]))


def _plain(text: str) -> str:
    return " ".join(str(text).split())
