# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a Master has too much to do, and which virtual HA should take the next one of its mobile nodes.

Above the high-water mark it becomes overloaded, and it is so until it is at the low-water mark, or until the others
are full. The division of the room there is in balance.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .balance import Standing, Surroundings, fill, shares
from .balance_settings import BalanceMode
from .binding_cache import BindingCache
from .effects import Report
from .settings import VirtualHaSettings
from .types import MILLISECOND, SECOND, Instant

LOOK_US = 2 * SECOND
# A new Master may have a predecessor whose mobile nodes are still on their way: as long as one is waited for.
SETTLE_US = 60 * SECOND
_NOBODY_US = 10 * SECOND
SEARCH_US = 100 * MILLISECOND


class Load:
    """The load of one virtual HA and what follows from it, while this member speaks for it.

    leaving: how many bindings here are as good as gone. under_way: how many were told to go where, by VRID, and are
    not seen there yet. Both count as moved.
    """

    def __init__(self, virtual_ha: VirtualHaSettings, cache: BindingCache, surroundings: Surroundings) -> None:
        self._virtual_ha = virtual_ha
        self._settings = virtual_ha.balance
        self._cache = cache
        self._surroundings = surroundings
        self._look_at: Instant | None = None  # None: does not speak
        self._not_before = Instant(0)  # nobody is handed off
        self._overloaded = False
        self._told: str | None = None  # what was reported last

    def reconfigure(self, virtual_ha: VirtualHaSettings) -> None:
        """Use these from now on."""
        self._virtual_ha = virtual_ha
        self._settings = virtual_ha.balance
        if self._settings.mode is BalanceMode.OFF:
            self._overloaded = False
            self._told = None

    def speaker_changed(self, speaks: bool, now: Instant) -> None:
        """This member is Master now, or is not any more."""
        self._overloaded = False
        self._told = None
        self._look_at = now if speaks else None
        self._not_before = Instant(now + min(self._settings.hold_us, SETTLE_US)) if len(self._cache) else now

    def deadline(self) -> Instant | None:
        """When it is time to look."""
        return self._look_at if self._settings.mode is not BalanceMode.OFF else None

    def look(self, now: Instant, leaving: int, under_way: Mapping[int, int]) -> Iterator[Report]:
        """Find out whether there is too much to do, and say so when that changes."""
        if self._look_at is None or self._look_at > now or self._settings.mode is BalanceMode.OFF:
            return
        self._look_at = Instant(now + LOOK_US)
        own, load = self._own(), self._load(leaving)
        was, self._overloaded = self._overloaded, load > own.high or (self._overloaded and load > own.low)
        advice = self._advice(leaving, under_way) if self._overloaded else {}
        if not advice and not under_way and load <= own.high:
            self._overloaded = False  # between the marks, and the others are full
        fields: dict[str, object] = {"load": load, "high_water": own.high, "low_water": own.low}
        if self._overloaded and not advice and not under_way:
            yield from self._tell("balance_no_room", "warning", fields)
        elif self._overloaded:
            yield from self._tell("balance_overloaded", "warning", fields | {"advice": _text(advice)})
        elif was:
            yield from self._tell("balance_relieved", "info", fields)

    def next_target(self, now: Instant, leaving: int, under_way: Mapping[int, int]) -> int | None:
        """The VRID of the virtual HA that the next mobile node should go to; None if none should go now."""
        if not self._overloaded or self._settings.mode is not BalanceMode.AUTO or now < self._not_before:
            return None
        advice = self._advice(leaving, under_way)
        return max(advice, key=lambda vrid: (advice[vrid], -vrid), default=None)  # which fills them evenly

    def pause(self, now: Instant) -> None:
        """Those who were told do not arrive."""
        self._not_before = Instant(now + max(self._settings.hold_us, SETTLE_US))

    def nobody_can_go(self, now: Instant, exhausted: bool) -> None:
        """All who are here may not be asked, or those that were looked at: try again later."""
        self._not_before = Instant(now + (_NOBODY_US if exhausted else SEARCH_US))
        if self._look_at is not None:
            self._look_at = min(self._look_at, self._not_before)

    def describe(self, leaving: int, under_way: Mapping[int, int]) -> dict[str, object]:
        """Plain data for the status."""
        settings = self._settings
        return {
            "mode": settings.mode.value,
            "high_water": settings.high_water,
            "low_water": settings.low_water,
            "load": self._load(leaving),
            "overloaded": self._overloaded,
            "advice": [
                {"to": vrid, "count": count}
                for vrid, count in (self._advice(leaving, under_way) if self._overloaded else {}).items()
            ],
        }

    def _own(self) -> Standing:
        return Standing(self._virtual_ha.vrid, self._virtual_ha.vha_address, len(self._cache), self._settings)

    def _load(self, leaving: int) -> int:
        return len(self._cache) - leaving

    def _advice(self, leaving: int, under_way: Mapping[int, int]) -> dict[int, int]:
        """How many more should go where."""
        own, others = self._own(), self._surroundings.others()
        level = {other.vrid: other.bindings + under_way.get(other.vrid, 0) for other in others}
        mine = shares(own, others)
        room = {vrid: max(0, mine.get(vrid, 0) - under_way.get(vrid, 0)) for vrid in level}
        to_go = max(0, self._load(leaving) - own.low)
        return {vrid: count for vrid, count in fill(level, room, to_go).items() if count}

    def _tell(self, kind: str, level: str, fields: dict[str, object]) -> Iterator[Report]:
        if kind != self._told:
            self._told = kind
            yield Report(level, kind, fields=fields)


def _text(advice: Mapping[int, int]) -> str:
    return ", ".join(f"{count} to VRID {vrid}" for vrid, count in advice.items())
