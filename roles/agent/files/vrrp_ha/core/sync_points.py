# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments at which a member's cache can be compared with its Master's, however fast bindings change.

Each BC_DIGEST is one: the Master notes what it had when it sent it, a Backup what it heard and what it had itself. Two
members that are asked seconds apart still have the last of these moments in common, without a common clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .binding_cache import BindingCache, Part
from .types import SECOND, Instant

MOST_POINTS = 8  # 16 s with the default digest interval


@dataclass(frozen=True, slots=True)
class SyncPoint:
    """One of them. masters, held: number and digest of bindings; tally: BindingCache.tally() of what was held."""

    at: Instant
    masters: tuple[int, int]
    held: tuple[int, int]
    tally: tuple[int, ...]


class SyncPoints:
    """The last ones of one virtual HA, for as long as this member's role is the same."""

    def __init__(self, cache: BindingCache) -> None:
        self._cache = cache
        self._points: deque[SyncPoint] = deque(maxlen=MOST_POINTS)

    def clear(self) -> None:
        """Another role begins."""
        self._points.clear()

    def note(self, count: int, digest: int, now: Instant) -> None:
        """The Master says this of its cache."""
        tally = self._cache.tally()
        if self._points and self._points[-1].tally == tally:
            tally = self._points[-1].tally  # kept once where nothing changes
        self._points.append(SyncPoint(now, (count, digest), (len(self._cache), self._cache.digest), tally))

    def parts(self) -> Iterator[tuple[int, list[Part]]]:
        """What was held at each point, with the Master's digest at it: the last one first, each digest once."""
        told: set[int] = set()
        for point in reversed(list(self._points)):
            if point.masters[1] not in told:
                told.add(point.masters[1])
                yield point.masters[1], self._cache.parts(point.tally, point.at)

    def describe(self, now: Instant) -> list[dict[str, object]]:
        """As the status has them, the oldest first."""
        return [
            {
                "age_s": (now - point.at) / SECOND,
                "bindings": point.masters[0],
                "digest": f"{point.masters[1]:016x}",
                "held_bindings": point.held[0],
                "held_digest": f"{point.held[1]:016x}",
            }
            for point in self._points
        ]
