# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a new Master announces the virtual addresses to its neighbours (RFC 9568 sections 6.4.1 and 6.4.2).

At once after the advertisement that takes over; a moment later, since a frame that the former Master had under way has
perhaps moved the switch's port back to it; and once more for switches and neighbours that missed it.
"""

from __future__ import annotations

from . import neighbours
from .events import TimerFired
from .router_advertiser import SpeakerChanged
from .settings import VirtualHaSettings
from .types import MILLISECOND, SECOND, Instant

ANNOUNCE_AFTER_US = (0, 2 * MILLISECOND, 20 * MILLISECOND, 1 * SECOND)


class Announcer:
    """Unsolicited Neighbor Advertisements of one virtual router, whose addresses never change."""

    def __init__(self, settings: VirtualHaSettings) -> None:
        self._settings = settings
        self._speaks = False
        self._due: list[Instant] = []

    def handle(self, event: SpeakerChanged | TimerFired, now: Instant) -> list[object]:
        """What to send now. A new speaker begins with its timer, so after what made it one."""
        match event:
            case SpeakerChanged(speaks=speaks) if speaks is not self._speaks:
                self._speaks = speaks
                self._due = [Instant(now + delay) for delay in ANNOUNCE_AFTER_US] if speaks else []
            case TimerFired() if self._due and self._due[0] <= now:
                del self._due[0]
                return list(neighbours.announcements(self._settings))
        return []

    def deadline(self) -> Instant | None:
        """When the next announcement is due."""
        return self._due[0] if self._due else None
