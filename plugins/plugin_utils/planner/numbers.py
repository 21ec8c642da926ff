# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, VRIDs and addresses of the virtual HAs of a link: pinned ones, else those they have, else the lowest free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from .addresses import number_of, text_of
from .model import Link, LinkPlan, Pin, Problem, VirtualHa, natural


@dataclass
class Numbered:
    """A virtual HA with its numbers, still without members."""

    name: str
    pin: Pin
    vrid: int = 0
    address: str = ""
    vrid_why: str = ""
    address_why: str = ""


UNPINNED = Pin()


def name_virtual_has(link: Link, agents: int, previous: LinkPlan | None) -> list[Numbered]:
    """Which virtual HAs the link has.

    None of the previous plan goes because an HA has left: mobile nodes use its address. Some go when they are retired,
    or fewer are wanted.
    """
    known = {} if previous is None else previous.virtual_has
    by_vrid = {entry.vrid: name for name, entry in known.items()}
    pins: dict[str, Pin] = {}
    nameless = []
    for pin in link.pins:
        name = pin.name or by_vrid.get(pin.vrid or 0)
        if name is None or name in pins or (pin.name is None and name in link.retired):
            nameless.append(pin)
        else:
            pins[name] = pin
    kept = [name for name in known if name not in link.retired and name not in pins]
    settled = len(pins) + len(nameless)
    wanted = link.wanted if link.wanted is not None else max(settled + len(kept), agents * link.per_ha)
    kept.sort(key=natural)
    kept = kept[: max(0, wanted - settled)]
    names = set(pins) | set(kept)
    fresh = _fresh_names(link, names | set(known))
    for pin in sorted(nameless, key=lambda pin: pin.vrid or 0):
        name = next(fresh)
        names.add(name)
        pins[name] = pin
    while len(names) < wanted:
        names.add(next(fresh))
    return [Numbered(name, pins.get(name, UNPINNED)) for name in sorted(names, key=natural)]


def _fresh_names(link: Link, used: set[str]) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        name = f"{link.name}-{number}"
        if name not in used and name not in link.retired:
            yield name


def number_vrids(link: Link, virtual_has: list[Numbered], previous: LinkPlan | None) -> list[Problem]:
    """Give each virtual HA its VRID."""
    known = {} if previous is None else previous.virtual_has
    allowed = link.vrids - link.reserved
    taken = {entry.pin.vrid for entry in virtual_has if entry.pin.vrid is not None}
    waiting = []
    for entry in virtual_has:
        before = known.get(entry.name)
        if entry.pin.vrid is not None:
            entry.vrid, entry.vrid_why = entry.pin.vrid, "it is pinned"
        elif before is not None and before.vrid in allowed and before.vrid not in taken:
            entry.vrid = before.vrid
            taken.add(before.vrid)
        else:
            if before is not None:
                entry.vrid_why = f"{before.vrid} " + _why_not(before.vrid, link, taken)
            waiting.append(entry)
    if not waiting:
        return []
    # What a virtual HA has that goes just now is the last to be given to another: mobile nodes may still use it.
    going = {before.vrid for before in _going(virtual_has, previous)}
    free = sorted(allowed - taken, key=lambda vrid: (vrid in going, vrid))
    for entry, vrid in zip(waiting, free):
        entry.vrid = vrid
    if len(waiting) <= len(free):
        return []
    remedy = "allow more in vrids, reserve fewer in reserved_vrids, or want fewer virtual HAs"
    message = f"{len(virtual_has)} virtual HAs need a VRID each, and {len(allowed)} are allowed"
    if len(allowed) >= len(virtual_has):
        message += ", some of them to others"
    return [Problem(link.name, message, remedy)]


def _going(virtual_has: list[Numbered], previous: LinkPlan | None) -> list[VirtualHa]:
    """The virtual HAs of the previous plan that are not in this one."""
    names = {entry.name for entry in virtual_has}
    return [] if previous is None else [entry for name, entry in previous.virtual_has.items() if name not in names]


def _why_not(vrid: int, link: Link, taken: set[int]) -> str:
    if vrid in link.reserved:
        return "is reserved"
    return "is pinned to another" if vrid in taken else "is outside the allowed VRIDs"


def number_addresses(link: Link, virtual_has: list[Numbered], previous: LinkPlan | None) -> list[Problem]:
    """Give each virtual HA its address. A pinned one need not be in the pool."""
    known = {} if previous is None else previous.virtual_has
    taken = {entry.pin.address for entry in virtual_has if entry.pin.address is not None}
    waiting = []
    for entry in virtual_has:
        before = known.get(entry.name)
        if entry.pin.address is not None:
            entry.address, entry.address_why = text_of(entry.pin.address), "it is pinned"
            continue
        if before is not None:
            address = number_of(before.address)
            if address in link.pool and address not in taken:
                entry.address = before.address
                taken.add(address)
                continue
            entry.address_why = f"{before.address} is " + (
                "another's now" if address in taken else "not in the link's addresses"
            )
        waiting.append(entry)
    going = {number_of(before.address) for before in _going(virtual_has, previous)}
    free = (address for address in link.pool if address not in taken and address not in going)
    again = (address for address in link.pool if address not in taken and address in going)
    for entry, address in zip(waiting, chain(free, again)):
        entry.address = text_of(address)
    missing = sum(1 for entry in waiting if not entry.address)
    if not missing:
        return []
    message = f"its addresses hold {len(link.pool)}, and {missing} more are needed for {len(virtual_has)} virtual HAs"
    return [Problem(link.name, message, "add to the link's addresses, or want fewer virtual HAs")]
