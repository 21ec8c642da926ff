# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two plans, why, and what of it moves a service that may be in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .model import LinkPlan, Plan, VirtualHa, natural

Reasons = Mapping[tuple[str, str], str]
"""By virtual HA and what changes."""


@dataclass(frozen=True)
class Change:
    """One difference. `moves`: on a live fleet mobile nodes would notice it, unless it is done by procedure.

    `vrid` is the VRID that the virtual HA had.
    """

    link: str
    virtual_ha: str | None
    what: str
    before: str | None
    after: str | None
    why: str = ""
    moves: bool = False
    vrid: int | None = None

    def line(self) -> str:
        """The change for people."""
        where = f"{self.link}: {self.virtual_ha}" if self.virtual_ha else self.link
        if self.before is None:
            text = f"{where}: {self.what} {self.after} added"
        elif self.after is None:
            text = f"{where}: {self.what} {self.before} removed"
        else:
            text = f"{where}: {self.what} {self.before} -> {self.after}"
        return text + (f" ({self.why})" if self.why else "") + (" [MOVES A LIVE SERVICE]" if self.moves else "")

    def document(self) -> dict[str, Any]:
        """The change as plain data."""
        return asdict(self) | {"line": self.line()}


def compare(before: Plan | None, after: Plan, reasons: Mapping[str, Reasons] | None = None) -> list[Change]:
    """Every difference between two plans, link by link."""
    known = before.links if before is not None else {}
    found = []
    for name in sorted(set(known) | set(after.links), key=natural):
        if known.get(name) != after.links.get(name):
            found += _of_link(known.get(name), after.links.get(name), (reasons or {}).get(name, {}))
    return found


def _of_link(before: LinkPlan | None, after: LinkPlan | None, reasons: Reasons) -> list[Change]:
    if before is None:
        return [] if after is None else [Change(after.name, None, "link", None, _summary(after))]
    if after is None:
        return [Change(before.name, None, "link", _summary(before), None, moves=bool(before.virtual_has))]
    found = []
    if before.prefix != after.prefix:
        found.append(Change(after.name, None, "prefix", before.prefix, after.prefix, moves=True))
    renamed = _renamed(before, after)
    for old, new in renamed.items():
        found.append(Change(after.name, None, "host", old, new, "the same machine under another name"))
    for host in sorted(set(before.hosts) - set(after.hosts) - set(renamed), key=natural):
        found.append(Change(after.name, None, "host", host, None))
    for host in sorted(set(after.hosts) - set(before.hosts) - set(renamed.values()), key=natural):
        found.append(Change(after.name, None, "host", None, host))
    titles = _retitled(before, after)
    for name in sorted((set(before.virtual_has) - set(titles)) | set(after.virtual_has), key=natural):
        old_name = next((old for old, new in titles.items() if new == name), name)
        old_one, new_one = before.virtual_has.get(old_name), after.virtual_has.get(name)
        if old_one != new_one:
            found += _of_virtual_ha(after.name, old_one, new_one, renamed, reasons)
    return found


def _retitled(before: LinkPlan, after: LinkPlan) -> dict[str, str]:
    """Virtual HAs that have another name and are the same for mobile nodes."""
    gone = {(e.vrid, e.address): name for name, e in before.virtual_has.items() if name not in after.virtual_has}
    return {
        gone[entry.vrid, entry.address]: name
        for name, entry in after.virtual_has.items()
        if name not in before.virtual_has and (entry.vrid, entry.address) in gone
    }


def _summary(link: LinkPlan) -> str:
    return f"{link.prefix} with {len(link.hosts)} HAs and {len(link.virtual_has)} virtual HAs"


def _renamed(before: LinkPlan, after: LinkPlan) -> dict[str, str]:
    return {old: new for old, new in successors(before, after.hosts).items() if old != new}


def successors(before: LinkPlan, hosts: Mapping[str, str]) -> dict[str, str]:
    """For each host of a plan that is still there: what it is called now.

    A machine is known by its identity, whatever its name; by its name when nothing else has its identity.
    """
    if before.hosts == hosts:
        return {name: name for name in hosts}
    by_identity = {identity: name for name, identity in hosts.items()}
    found = {old: by_identity[identity] for old, identity in before.hosts.items() if identity in by_identity}
    taken = set(found.values())
    for old in before.hosts:
        if old not in found and old in hosts and old not in taken:
            found[old] = old
    return found


def _of_virtual_ha(
    link: str, before: VirtualHa | None, after: VirtualHa | None, renamed: Mapping[str, str], reasons: Reasons
) -> list[Change]:
    if before is None or after is None:
        if before is not None:
            return [Change(link, before.name, "virtual HA", _described(before), None, "", True, before.vrid)]
        return [] if after is None else [Change(link, after.name, "virtual HA", None, _described(after))]

    def change(what: str, old: object, new: object, moves: bool = False) -> None:
        if old != new:
            why = reasons.get((after.name, what), "")
            found.append(Change(link, after.name, what, str(old), str(new), why, moves, before.vrid))

    found: list[Change] = []
    change("name", before.name, after.name)
    change("VRID", before.vrid, after.vrid, moves=True)
    change("address", before.address, after.address, moves=True)
    mode = {True: "on", False: "off"}
    change("MIPv6_HA_Mode", mode[before.mipv6_ha_mode], mode[after.mipv6_ha_mode], moves=True)
    owner = renamed.get(before.owner or "", before.owner)
    if owner != after.owner:
        why = reasons.get((after.name, "owner"), "")
        owners = before.owner or "nobody", after.owner or "nobody"
        found.append(Change(link, after.name, "owner", *owners, why, True, before.vrid))
    order = [renamed.get(name, name) for name in before.order if name != before.owner]
    backups = [name for name in after.order if name != after.owner]
    if order != backups:
        change("backups", ", ".join(order) or "none", ", ".join(backups) or "none")
    else:
        values = {renamed.get(name, name): value for name, value in before.priorities.items()}
        if owner == after.owner and values != after.priorities:
            listed = _listed(before.priorities), _listed(after.priorities)
            change("priorities", *listed)
    return found


def _listed(priorities: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {priority}" for name, priority in priorities.items())


def _described(entry: VirtualHa) -> str:
    order = entry.order
    backups = f", backups {', '.join(order[1:])}" if len(order) > 1 else ""
    return f"VRID {entry.vrid}, {entry.address}, owner {order[0] if order else 'nobody'}{backups}"
