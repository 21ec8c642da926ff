# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of the control protocol as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_EVENT_FRAME = ("number", "time", "level", "kind", "vrid")


def table(heading: list[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Columns as wide as their longest cell."""
    cells = [heading, *([("-" if cell in (None, "") else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heading))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def status(result: dict[str, Any]) -> Iterator[str]:
    """`vrrp-ha status`."""
    health = "healthy" if result["healthy"] else "NOT HEALTHY"
    current = "" if result["config_current"] else ", files on disk are newer than what is loaded (vrrp-ha reload)"
    yield f"{result['host']}: {health}, up {duration(result['uptime_s'])}, version {result['version']}{current}"
    for warning in result["warnings"]:
        yield f"  ! {warning}"
    if count := result.get("security_associations"):
        yield f"IPsec security associations: {count}"
    if not result["virtual_has"]:
        yield "no virtual HAs are configured"
        return
    yield ""
    heading = ["VRID", "NAME", "INTERFACE", "ADDRESS", "STATE", "SINCE", "PRIORITY", "MASTER", "BINDINGS", "SYNCED"]
    yield from table(heading, map(_status_row, result["virtual_has"]))
    for entry in result["virtual_has"]:
        yield from _status_of_recoveries(entry)


def _status_row(entry: dict[str, Any]) -> list[object]:
    marks = [word for word in ("leaving", "drained") if entry[word]]
    state = " ".join([entry["state"], *([f"({', '.join(marks)})"] if marks else [])])
    priority = str(entry["priority"])
    if entry["effective_priority"] != entry["priority"]:
        priority += f" (now {entry['effective_priority']})"
    master = entry["master_name"] or entry["master"]
    synced = ("yes" if entry["synced"] else "no") if entry["mipv6_ha_mode"] else "-"
    return [
        entry["vrid"], entry["name"], entry["interface"], entry["address"], state, duration(entry["since_s"]),
        priority, master, entry["bindings"], synced,
    ]  # fmt: skip


def _status_of_recoveries(entry: dict[str, Any]) -> Iterator[str]:
    """Nothing where there never were any."""
    counts = entry.get("recoveries") or {}
    limited = sum(count for name, count in entry["counters"].items() if name.startswith("recovery_limited."))
    if any(counts.values()) or limited:
        words = ", ".join(f"{number} {state}" for state, number in counts.items())
        turned_away = f", {limited} triggers turned away by limits" if limited else ""
        yield f"VRID {entry['vrid']}: recoveries: {words}{turned_away}"


def bindings(result: dict[str, Any]) -> Iterator[str]:
    """`vrrp-ha bindings`."""
    columns = ("home_address", "care_of_address", "sequence", "flags")
    rows = [[*(entry[column] for column in columns), duration(entry["remaining_s"])] for entry in result["bindings"]]
    if rows:
        yield from table(["HOME ADDRESS", "CARE-OF ADDRESS", "SEQUENCE", "FLAGS", "REMAINING"], rows)
    yield f"{len(rows)} of {result['total']} bindings of VRID {result['vrid']}, digest {result['digest']}"
    if result["next"]:
        yield f"more with --after {result['next']}"


def recoveries(result: dict[str, Any]) -> Iterator[str]:
    """`vrrp-ha recoveries`."""
    yield from _told(result, "recoveries", "home_address", "state", "reason", "destination", "method", "attempts")


def home_agents(result: dict[str, Any]) -> Iterator[str]:
    """`vrrp-ha home-agents`."""
    heading = ["INTERFACE", "LINK-LOCAL ADDRESS", "ADDRESSES", "PREFERENCE", "LIFETIME"]
    yield from table(
        heading,
        [
            [
                link["interface"],
                entry["link_local"],
                ", ".join(entry["addresses"]),
                entry["preference"],
                "served here" if entry["served_here"] else duration(entry["lifetime_s"]),
            ]
            for link in result["links"]
            for entry in link["home_agents"]
        ],
    )


def handoffs(result: dict[str, Any]) -> Iterator[str]:
    """`vrrp-ha handoffs`."""
    yield from _told(result, "handoffs", "home_address", "state", "reason", "to", "destination", "attempts")


def _told(result: dict[str, Any], of: str, *columns: str) -> Iterator[str]:
    """The mobile nodes that are told of another home agent, and how many there are in each state."""
    rows = [
        [*(entry[column] for column in columns), duration(entry["since_s"]), entry["detail"]] for entry in result[of]
    ]
    if rows:
        yield from table([*(column.replace("_", " ").upper() for column in columns), "SINCE", "DETAIL"], rows)
    counts = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in result["counts"].items())
    yield f"VRID {result['vrid']}: {counts}"


def event(entry: dict[str, Any]) -> str:
    """One line of `vrrp-ha events`."""
    vrid = f" vrid={entry['vrid']}" if "vrid" in entry else ""
    fields = "".join(f" {name}={value}" for name, value in entry.items() if name not in _EVENT_FRAME)
    return f"{entry['number']:6} {entry['time']} {entry['level']:7} {entry['kind']}{vrid}{fields}"


def duration(seconds: float) -> str:
    """3.2s, 4m05s, 7h02m, 12d03h."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"
