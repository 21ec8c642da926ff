# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new Master looks for: mobile nodes that its predecessor told to go, who went, and are bound here still.

Those who may be such were noted when they came to another virtual HA (whereabouts.py). There may be many, and a
takeover is no time for long work: a part at a time, from a second after it.
"""

from __future__ import annotations

from .balance import Surroundings
from .types import MILLISECOND, SECOND, Binding, Instant

AFTER_US = 1 * SECOND
_PART = 1000
_PAUSE_US = 10 * MILLISECOND


class Tidying:
    """Goes once through those who came elsewhere."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._next: Instant | None = None
        self._place = 0

    def begin(self, now: Instant) -> None:
        """This member has become Master."""
        self._next, self._place = Instant(now + AFTER_US), 0

    def stop(self) -> None:
        """It is Master no more."""
        self._next = None

    def deadline(self) -> Instant | None:
        """When to go on."""
        return self._next

    def go_on(self, now: Instant) -> list[Binding]:
        """What others have of mobile nodes that came to them, of the next part of them."""
        if self._next is None or self._next > now:
            return []
        found, more = self._surroundings.newcomers(self._place, _PART)
        self._place += _PART
        self._next = Instant(now + _PAUSE_US) if more else None
        return found
