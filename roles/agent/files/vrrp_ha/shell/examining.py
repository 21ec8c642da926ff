# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of the control protocol by which members are compared entry by entry: `examine` and `rows`.

Made for caches of any size: 256 parts stand for all entries, and only the rows of parts that differ are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeGuard

from ..core import fingerprints
from ..core.binding_cache import PARTS, BindingCache, Part
from ..core.types import SECOND, Address, Binding, text
from .clock import monotonic
from .examination import examine

if TYPE_CHECKING:
    from .agent import Agent
    from .control import Answer, Json

MOST_DIFFERENCES = 1000
MOST_ROWS = 5000
MOST_FINGERPRINTS = 200
_SCAN = 1000
_BATCH = 50

Row = Callable[[Binding], "Json"]


def whole_host(agent: Agent) -> Answer:
    """What belongs to no binding."""
    faults = [{"vrid": fault.vrid, "text": fault.text} for fault in agent.host.dataplane.faults()]
    yield json.dumps({"faults": faults})


def virtual_ha(agent: Agent, vrid: int, limit: int) -> Answer:
    """A virtual HA's cache in parts, as it was at the last moments that other members noted too, and the kernel."""
    node, in_kernel = agent.node, agent.host.dataplane.to_examine(vrid)
    cache, points = node.bindings(vrid), node.points(vrid)
    known = fingerprints.of_virtual_ha(node.settings.ipsec.associations, _vha_address(agent, vrid))
    start: Json = {
        "vrid": vrid,
        "bindings": len(cache),
        "digest": f"{cache.digest:016x}",
        "associations": {
            "count": len(known),
            "digest": fingerprints.digest(known),
            "fingerprints": {text(home): known[home] for home in sorted(known)[:MOST_FINGERPRINTS]},
        },
    }
    tallies: list[Json] = []
    for digest, parts in list(points.parts()) if points else ():
        tallies.append({"digest": f"{digest:016x}", "parts": [*map(_part, parts)]})
    if not tallies:
        tallies.append({"digest": None, "parts": [*map(_part, cache.parts(cache.tally(), monotonic()))]})
    yield json.dumps(start)[:-1] + ', "points": ['
    for number, tally in enumerate(tallies):
        yield (", " if number else "") + json.dumps(tally)
    yield '], "kernel": '
    examined = (yield from examine(*in_kernel, cache)) if in_kernel else None
    yield json.dumps(examined.describe(limit) if examined else None) + "}"


def rows(cache: BindingCache, vrid: int, parts: list[int], homes: Iterable[Address], row: Row) -> Answer:
    """The bindings of as many of these parts as hold no more than MOST_ROWS, of the first in any case; or of homes."""
    yield json.dumps({"vrid": vrid, "parts": _as_many(cache, parts)})[:-1] + ', "bindings": ['
    comma = ""
    for batch in _batches(cache, frozenset(_as_many(cache, parts)), homes):
        for start in range(0, len(batch), _BATCH):
            yield comma + ", ".join(json.dumps(row(binding)) for binding in batch[start : start + _BATCH])
            comma = ", "
        yield ""
    yield "]}"


def _as_many(cache: BindingCache, parts: list[int]) -> list[int]:
    counts = {part.number: part.count for part in cache.parts(cache.tally(), monotonic())}
    chosen: list[int] = []
    total = 0
    for number in parts:
        total += counts.get(number, 0)
        if chosen and total > MOST_ROWS:
            break
        chosen.append(number)
    return chosen


def _batches(cache: BindingCache, parts: frozenset[int], homes: Iterable[Address]) -> Iterable[list[Binding]]:
    yield [binding for home in homes if (binding := cache.get(home))]
    place: int | None = 0 if parts else None
    while place is not None:
        batch, place = cache.in_parts(parts, place, _SCAN)
        yield batch


def _part(part: Part) -> list[object]:
    return [part.number, part.count, f"{part.digest:016x}", round(part.remaining_us / SECOND)]


def _vha_address(agent: Agent, vrid: int) -> Address:
    return next(v.vha_address for v in agent.node.settings.virtual_has if v.vrid == vrid)


def valid_parts(value: object) -> TypeGuard[list[int]]:
    """A list of numbers of parts. JSON's true is none, though Python takes it for 1."""
    return isinstance(value, list) and all(
        isinstance(number, int) and not isinstance(number, bool) and 0 <= number < PARTS for number in value
    )
