# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's routes and source checks against a binding cache, looked at while both change; nothing is mended.

The kernel's lists are read in pieces between other work, so what differs at first may have been on its way. It is
looked for again a little later, and only what differs in the same way each time, and was not touched since, is told.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from ..core.types import MILLISECOND, SECOND, Address, text
from . import forwarding, netlink
from .clock import monotonic
from .netlink import Netlink

if TYPE_CHECKING:
    from ..core.binding_cache import BindingCache
    from .bindings import BindingTable, Installer
    from .guard import Guard

_CHUNK = 64
_SCAN = 1000
_LOOKS = 3
_PAUSE_US = 100 * MILLISECOND
_PATIENCE_US = 2 * SECOND  # for what is queued for the kernel

# (what, home address or prefix, care-of address that it should have, one that it has); None: not there.
Difference = tuple[str, str, str | None, str | None]


@dataclass(slots=True)
class Examined:
    """What came of it. settled: nothing that was queued by then is still to come."""

    settled: bool = True
    routes: int = 0
    source_checks: int = 0
    differences: list[Difference] = field(default_factory=list)

    def describe(self, limit: int) -> dict[str, object]:
        """As the control protocol has it."""
        names = ("what", "home_address", "wanted", "found")
        return {
            "settled": self.settled,
            "routes": self.routes,
            "source_checks": self.source_checks,
            "differences": [dict(zip(names, one, strict=True)) for one in self.differences[:limit]],
            "more": max(0, len(self.differences) - limit),
        }


def examine(
    installer: Installer, guard: Guard, table: BindingTable, cache: BindingCache
) -> Generator[str, None, Examined]:
    """Compare; yields after each piece."""
    result = Examined()
    touched: set[Address] = set()
    table.watchers.append(touched)
    try:
        differing = yield from _look(result, guard, table, cache)
        for _unused in range(_LOOKS - 1):
            if not differing:
                break
            result.settled = yield from _quiet(installer)
            again = yield from _look(result, guard, table, cache)
            differing = {key: difference for key, difference in differing.items() if again.get(key) == difference}
        result.differences = [differing[key] for key in sorted(differing) if key[1][-16:] not in touched]
    finally:
        table.watchers.remove(touched)
    return result


def _quiet(installer: Installer) -> Generator[str, None, bool]:
    """Until what was queued is done, and a moment longer; whether that came."""
    start = monotonic()
    while (now := monotonic()) < start + _PATIENCE_US:
        if now >= start + _PAUSE_US and not installer.pending:
            return True
        yield ""
    return False


_Key = tuple[str, bytes]  # what, and the home address at its end


def _look(
    result: Examined, guard: Guard, table: BindingTable, cache: BindingCache
) -> Generator[str, None, dict[_Key, Difference]]:
    differing: dict[_Key, Difference] = {}
    yield from _look_at_cache(table, cache, differing)
    result.routes = yield from _look_at_routes(table, differing)
    result.source_checks = yield from _look_at_bound(guard, table, differing)
    return differing


def _look_at_cache(table: BindingTable, cache: BindingCache, differing: dict[_Key, Difference]) -> Iterator[str]:
    """What the data plane was told against the cache."""
    place: int | None = 0
    while place is not None:
        bindings, place = cache.chunk(place, _SCAN)
        for binding in bindings:
            home, care_of = binding.home_address, binding.care_of_address
            if table.installed.get(home) != care_of:
                found = table.installed.get(home)
                differing["binding", home] = _difference("binding", home, care_of, found)
        yield ""
    homes = list(table.installed)
    for start in range(0, len(homes), _SCAN):
        for home in homes[start : start + _SCAN]:
            if home not in cache and home in table.installed:
                differing["binding", home] = _difference("binding", home, None, table.installed[home])
        yield ""


def _look_at_routes(table: BindingTable, differing: dict[_Key, Difference]) -> Generator[str, None, int]:
    seen: set[Address] = set()
    number = 0
    if table.routes is None:
        return 0
    with closing(Netlink(netlink.ROUTE)) as reader:
        for number, found in enumerate(forwarding.all_routes(reader, table.table), 1):
            home = found.destination
            wanted = table.installed.get(home) if found.length == 128 else None
            if wanted is not None and found.care_of == wanted and found.device == table.routes.index:
                seen.add(home)
            elif wanted is not None:
                seen.add(home)
                other = text(found.care_of) if found.care_of not in (None, wanted) else "not a tunnel of ours"
                differing["route", home] = ("route", text(home), text(wanted), other)
            else:
                where = str(IPv6Network((home, found.length))) if found.length != 128 else text(home)
                to = text(found.care_of) if found.care_of else "not a tunnel of ours"
                differing["route", bytes((found.length,)) + home] = ("route", where, None, to)
            if number % _CHUNK == 0:
                yield ""
    yield from _missing("route", table, seen, differing)
    return number


def _look_at_bound(guard: Guard, table: BindingTable, differing: dict[_Key, Difference]) -> Generator[str, None, int]:
    seen: set[Address] = set()
    number = 0
    with closing(Netlink(netlink.NETFILTER)) as reader:
        for number, pair in enumerate(guard.bound(table.vrid, reader), 1):
            care_of, home = pair[:16], pair[16:]
            if table.installed.get(home) == care_of:
                seen.add(home)
            else:
                differing["source check", pair] = ("source check", text(home), None, text(care_of))
            if number % _CHUNK == 0:
                yield ""
    yield from _missing("source check", table, seen, differing)
    return number


def _missing(what: str, table: BindingTable, seen: set[Address], differing: dict[_Key, Difference]) -> Iterator[str]:
    homes = list(table.installed)
    for start in range(0, len(homes), _SCAN):
        for home in homes[start : start + _SCAN]:
            if home not in seen and (wanted := table.installed.get(home)) is not None:
                differing[what, home] = _difference(what, home, wanted, None)
        yield ""


def _difference(what: str, home: Address, wanted: Address | None, found: Address | None) -> Difference:
    return what, text(home), text(wanted) if wanted else None, text(found) if found else None
