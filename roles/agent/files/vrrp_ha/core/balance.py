# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many mobile nodes of a virtual HA should go where (draft section 6), from the loads that every member knows.

The virtual HAs of a home link are compared by their bindings: each member has the RBC of every one that it takes part
in. Several Masters may decide at the same time and cannot ask each other. So each works out the same division of all
the room that there is among all who are overloaded, from the same facts, and takes no more than its own share of it;
what it has under way it takes off afterwards, since nobody else sees that.

Which mobile nodes go, and how, is in handoff.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .balance_settings import BalanceMode, BalanceSettings
from .types import Address, Binding, Instant


@dataclass(frozen=True, slots=True)
class Standing:
    """A virtual HA of the home link as this member knows it."""

    vrid: int
    vha_address: Address
    bindings: int
    settings: BalanceSettings
    usable: bool = True  # it has a Master, and what is said of its bindings is right

    @property
    def high(self) -> int:
        """The high-water mark; of one without marks, so many that it never matters."""
        return self.bindings if self.settings.high_water is None else self.settings.high_water

    @property
    def low(self) -> int:
        """The low-water mark; of one without marks what it has, so that it neither gives nor takes."""
        return self.bindings if self.settings.low_water is None else self.settings.low_water

    @property
    def full(self) -> bool:
        """As it is, no more should come."""
        return self.settings.high_water is not None and self.bindings >= self.settings.high_water


class Surroundings(Protocol):
    """What a virtual HA is told of the others that serve the same home prefix on the same link."""

    def others(self) -> Sequence[Standing]:
        """All of them that this member takes part in."""

    def elsewhere(self, home_address: Address, /) -> int | None:
        """The VRID of another one in whose cache it is."""

    def left_lately(self, home_address: Address, now: Instant, /) -> bool:
        """It was in the cache of another one a moment ago."""

    def newcomers(self, start: int, count: int, /) -> tuple[list[Binding], bool]:
        """What others have of those that came to them, of so many from there, the oldest first; are there more?"""

    def arrived_since(self, home_address: Address, since: Instant, /) -> bool:
        """It came from another one after that, or may have: it was not seen to come."""


class Alone:
    """The surroundings of a virtual HA without others."""

    def others(self) -> Sequence[Standing]:
        """Nobody."""
        return ()

    def elsewhere(self, _home_address: Address, /) -> int | None:
        """Nowhere."""

    def left_lately(self, _home_address: Address, _now: Instant, /) -> bool:
        """There was nowhere to be."""
        return False

    def newcomers(self, _start: int, _count: int, /) -> tuple[list[Binding], bool]:
        """Nobody."""
        return [], False

    def arrived_since(self, _home_address: Address, _since: Instant, /) -> bool:
        """There is nowhere to come from."""
        return False


def shares(of: Standing, others: Iterable[Standing]) -> dict[int, int]:
    """How many mobile nodes `of` should hand to whom, by VRID, if it is to come down to its low-water mark.

    Others are filled up to their low-water marks, the least loaded first. When that is not enough to bring an
    overloaded one down to its high-water mark, they are filled up to their high-water marks for the rest.
    Sources that might be coming down, because they are above their low-water mark, have their share reserved.
    """
    others = list(others)
    targets = sorted((o for o in others if o.usable), key=lambda o: o.vrid)
    sources = [o for o in others if o.settings.mode is BalanceMode.AUTO and o.bindings > o.low]
    sources = sorted([*sources, of], key=lambda s: s.vrid)
    load = {s.vrid: s.bindings for s in sources}
    level = {t.vrid: t.bindings for t in targets}
    mine = dict.fromkeys(level, 0)
    for want_to, fill_to in (
        ({s.vrid: s.low for s in sources}, {t.vrid: t.low for t in targets}),
        ({s.vrid: s.high for s in sources}, {t.vrid: t.high for t in targets}),
    ):
        wants = {vrid: max(0, load[vrid] - want_to[vrid]) for vrid in load}
        room = {vrid: max(0, fill_to[vrid] - level[vrid]) for vrid in level}
        for vrid, count in fill(level, room, sum(wants.values())).items():
            level[vrid] += count
            for source, part in split(count, wants).items():
                load[source] -= part
                if source == of.vrid:
                    mine[vrid] += part
    return {vrid: count for vrid, count in mine.items() if count and vrid != of.vrid}


def fill(level: Mapping[int, int], room: Mapping[int, int], amount: int) -> dict[int, int]:
    """Pour an amount where the level is lowest, nowhere more than there is room for: what goes where."""

    def poured(to: int) -> dict[int, int]:
        return {vrid: min(max(0, to - level[vrid]), room[vrid]) for vrid in level}

    low, high = 0, max((level[vrid] + room[vrid] for vrid in level), default=0)
    while low < high:  # the highest surface that the amount is enough for
        middle = (low + high + 1) // 2
        if sum(poured(middle).values()) <= amount:
            low = middle
        else:
            high = middle - 1
    result = poured(low)
    rest = amount - sum(result.values())
    for vrid, count in poured(low + 1).items():
        if rest and count > result[vrid]:
            result[vrid] += 1
            rest -= 1
    return result


def split(count: int, wants: Mapping[int, int]) -> dict[int, int]:
    """Divide in proportion, in whole numbers that add up; in the order of the wants."""
    total = sum(wants.values())
    parts: dict[int, int] = {}
    before = 0
    for vrid, want in wants.items():
        after = before + want
        parts[vrid] = count * after // total - count * before // total if total else 0
        before = after
    return parts
