# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan to look at: who backs up what in which order, and what everybody serves when one fails.

Pure: virtual HAs in the shape of the variable vrrp_ha_virtual_has in, plain data, aligned text or Markdown out. So it
works for virtual HAs that were written by hand just as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from .planner.load import loads, loads_after_failures
from .planner.model import LinkPlan, VirtualHa, natural

NOBODY = "-"


def plan_data(virtual_has: Sequence[Mapping[str, Any]], drained: Collection[str] = ()) -> dict[str, Any]:
    """The virtual HAs of one link as data: `hosts`, `virtual_has` with the rank of each member, and `loads`.

    `loads.now` has the virtual HAs that each host serves, `loads.without` the same by failed host.
    """
    link = link_of(virtual_has)
    return {
        "hosts": sorted(link.hosts, key=natural),
        "virtual_has": [
            {
                "vrid": entry.vrid,
                "name": entry.name,
                "address": entry.address,
                "order": entry.order,
                "priorities": dict(entry.priorities),
            }
            for entry in sorted(link.virtual_has.values(), key=lambda entry: entry.vrid)
        ],
        "loads": {"now": loads(link, drained), "without": loads_after_failures(link, drained)},
    }


def link_of(virtual_has: Sequence[Mapping[str, Any]]) -> LinkPlan:
    """The planner's view of virtual HAs that an operator may have written."""
    entries = {}
    for document in virtual_has:
        name = str(document.get("name") or f"VRID {document['vrid']}")
        priorities = {str(member): int(priority) for member, priority in document["priorities"].items()}
        address = str(next(iter(document.get("addresses") or []), ""))
        entries[str(document["vrid"])] = VirtualHa(name, int(document["vrid"]), address, priorities)
    hosts = {member: member for entry in entries.values() for member in entry.priorities}
    return LinkPlan("", "", hosts, entries)


def fleet_virtual_has(lists: Iterable[Sequence[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """The hosts' lists of virtual HAs as one, each virtual HA once. Two links may use the same VRID."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for virtual_has in lists:
        for entry in virtual_has:
            members = tuple(sorted((str(name), str(value)) for name, value in entry["priorities"].items()))
            found.setdefault((int(entry["vrid"]), tuple(entry.get("addresses") or ()), members), entry)
    return list(found.values())


def plan_rows(virtual_has: Sequence[Mapping[str, Any]], drained: Collection[str] = ()) -> tuple[list[list[str]], ...]:
    """Two tables with the same hosts as columns: the members' ranks, and the loads."""
    data = plan_data(virtual_has, drained)
    hosts = data["hosts"]
    ranks = [["VRID", "NAME", "ADDRESS", *hosts]]
    for entry in data["virtual_has"]:
        rank = {member: rank_of(position) for position, member in enumerate(entry["order"])}
        cells = [rank.get(host, NOBODY) for host in hosts]
        ranks.append([str(entry["vrid"]), entry["name"], entry["address"], *cells])
    served = data["loads"]
    loaded = [["LOAD", *hosts], ["now", *_cells(served["now"], hosts)]]
    failing = [host for host in hosts if host in served["without"]]
    loaded += [[f"without {host}", *_cells(served["without"][host], hosts)] for host in failing]
    return ranks, loaded


def _cells(served: Mapping[str, int], hosts: Iterable[str]) -> list[str]:
    return [str(served[host]) if host in served else NOBODY for host in hosts]


def rank_of(position: int) -> str:
    """The place in the order of taking over, for people."""
    if position == 0:
        return "owner"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th") if position % 100 not in (11, 12, 13) else "th"
    return f"{position}{ending}"


def plan_table(virtual_has: Sequence[Mapping[str, Any]], drained: Collection[str] = ()) -> list[str]:
    """The virtual HAs of one link and the loads as aligned lines."""
    ranks, loaded = plan_rows(virtual_has, drained)
    return [*_aligned(ranks), "", *_aligned(loaded)]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def plan_markdown(virtual_has: Sequence[Mapping[str, Any]], drained: Collection[str] = ()) -> str:
    """The same for a page or a pull request."""
    return "\n\n".join("\n".join(piped(rows)) for rows in plan_rows(virtual_has, drained)) + "\n"


def piped(rows: list[list[str]]) -> Iterable[str]:
    """The lines of a table in Markdown, the first row its head."""
    for position, row in enumerate(rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        if position == 0:
            yield "|" + "---|" * len(row)
