# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How even loads are to be: as few as possible move until every load is within the tolerance of its fair share.

Pure integers. The fair share is the mean, or less for those that have no room for that much; the others share the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, floor


def band(loads: Mapping[int, int], rooms: Mapping[int, int], tolerance: float) -> tuple[int, int]:
    """The lowest and the highest load that is even enough, for those that have room for it; tolerance in percent.

    Whole numbers next to the mean are always even enough: the rest of a division has to be somewhere.
    """
    mean = _mean(loads, rooms)
    part = Fraction(str(tolerance)) / 100
    return min(floor(mean), ceil(mean * (1 - part))), max(ceil(mean), floor(mean * (1 + part)))


def goals(loads: Mapping[int, int], rooms: Mapping[int, int], tolerance: float) -> dict[int, int]:
    """The loads to aim at, of the same sum: as many as there are now when those are even enough.

    Whoever is above the band comes down to its upper edge, whoever is below it up to its lower one; if that is not the
    same number, the rest goes to the least loaded, or comes from the most loaded.
    """
    rooms = {who: max(rooms[who], load) for who, load in loads.items()}
    if not loads:
        return {}
    low, high = band(loads, rooms, tolerance)
    total = sum(loads.values())

    def within(least: int, most: int) -> dict[int, int]:
        raised = {who: max(load, min(least, rooms[who])) for who, load in loads.items()}
        return {who: min(load, most, rooms[who]) for who, load in raised.items()}

    def amount(least: int, most: int) -> int:
        return sum(within(least, most).values())

    if amount(low, high) <= total:
        least = _last(low, high, lambda level: amount(level, high) <= total)
        found, beyond, step = within(least, high), within(min(least + 1, high), high), 1
    else:
        most = high - _last(0, high - low, lambda less: amount(low, high - less) >= total)
        found, beyond, step = within(low, most), within(low, max(most - 1, low)), -1
    left = abs(total - sum(found.values()))
    for who in sorted(loads):
        if left and found[who] != beyond[who]:
            found[who] += step
            left -= 1
    return found


def _mean(loads: Mapping[int, int], rooms: Mapping[int, int]) -> Fraction:
    """The level up to which all would be filled."""
    total = sum(loads.values())
    level = _last(0, max(total, 0), lambda level: sum(min(level, room) for room in rooms.values()) <= total)
    left = total - sum(min(level, room) for room in rooms.values())
    wider = sum(room > level for room in rooms.values())
    return Fraction(level) + (Fraction(left, wider) if wider else 0)


def _last(first: int, last: int, holds: Callable[[int], bool]) -> int:
    """The last number for which it holds; it does for the first one, and for all before one for which it does."""
    while first < last:
        middle = (first + last + 1) // 2
        if holds(middle):
            first = middle
        else:
            last = middle - 1
    return first
