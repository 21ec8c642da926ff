# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbor Discovery for the Mobile IPv6 Home-Agents anycast address of a home prefix: RFC 4861 section 7.2.7.

Every home agent of the link has it. Each answers after a random delay and without the Override flag, so that a
neighbour keeps the first answer. The MAC is the virtual one: whoever is Master next is reached by it, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..wire import icmpv6
from ..wire.icmpv6 import NeighbourAdvertisement
from . import neighbours
from .effects import SendFrame
from .events import TimerFired
from .home_agents import anycast_address
from .router_advertiser import Randomness, SpeakerChanged
from .settings import VirtualHaSettings
from .types import ALL_NODES, SECOND, UNSPECIFIED, Address, Instant

MAX_ANYCAST_DELAY_US = 1 * SECOND  # RFC 4861 section 10
_MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class AnycastSolicited:
    """A valid Neighbor Solicitation for the anycast address arrived; `mac` is where an answer would go."""

    source: Address
    mac: bytes = field(repr=False)
    counter: ClassVar[str] = "anycast_solicitations"


class AnycastNeighbour:
    """Answers for the anycast address while this member speaks for the virtual HA."""

    def __init__(self, settings: VirtualHaSettings, rng: Randomness) -> None:
        self._settings = settings
        self._rng = rng
        self._speaks = False
        self._waiting: dict[tuple[Address, bytes], Instant] = {}

    def handle(self, event: SpeakerChanged | AnycastSolicited | TimerFired, now: Instant) -> list[SendFrame]:
        """The answers that are due."""
        match event:
            case SpeakerChanged(speaks=speaks):
                self._speaks = speaks
                if not speaks:
                    self._waiting.clear()
            case AnycastSolicited(source=source, mac=mac) if self._speaks and len(self._waiting) < _MOST_WAITING:
                delay = self._rng.randint(0, MAX_ANYCAST_DELAY_US)
                self._waiting.setdefault((source, mac), Instant(now + delay))
            case TimerFired():
                due = [asked for asked, when in self._waiting.items() if when <= now]
                for asked in due:
                    del self._waiting[asked]
                return [self._answer(*asked) for asked in due]
        return []

    def deadline(self) -> Instant | None:
        """When the next answer is due."""
        return min(self._waiting.values(), default=None)

    def reconfigure(self, settings: VirtualHaSettings) -> None:
        """Other settings of the same virtual HA."""
        self._settings = settings

    def _answer(self, source: Address, mac: bytes) -> SendFrame:
        """Section 7.2.4; to who looks for duplicates, which of an anycast address nobody should, as to all."""
        settings = self._settings
        message = NeighbourAdvertisement(
            anycast_address(settings.prefix, settings.prefix_length),
            router=True,
            solicited=source != UNSPECIFIED,
            options=(icmpv6.target_link_layer(settings.virtual_mac),),
        )
        if source == UNSPECIFIED:
            return neighbours.from_virtual_router(settings, message, ALL_NODES, neighbours.ALL_NODES_MAC)
        return neighbours.from_virtual_router(settings, message, source, mac)
