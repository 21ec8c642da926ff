# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything by which one virtual HA makes itself known: as a router, as a home agent, by its prefix, to neighbours.

Ties RouterAdvertiser, HomeAgentService, AnycastNeighbour and PrefixAdvertiser together, so that virtual_ha.py has one
core to tell who speaks.
"""

from __future__ import annotations

from collections.abc import Iterator

from .anycast_neighbour import AnycastNeighbour, AnycastSolicited
from .binding_cache import BindingCache
from .events import TimerFired
from .home_agent_service import BackupAsked, CacheChanged, HomeAgentService
from .prefix_advertiser import PrefixAdvertiser, PrefixSolicited
from .router_advertiser import Randomness, RouterAdvertiser, SolicitationReceived, SpeakerChanged
from .settings import VirtualHaSettings
from .types import Instant

Question = SolicitationReceived | AnycastSolicited | PrefixSolicited
Event = Question | SpeakerChanged | BackupAsked | CacheChanged | TimerFired


class Advertising:
    """handle(event, now) -> effects, deadline() -> when to send TimerFired."""

    def __init__(self, settings: VirtualHaSettings, cache: BindingCache, rng: Randomness) -> None:
        self.service = HomeAgentService(settings, cache)
        self._router = RouterAdvertiser(settings, rng, self.service.information)
        self._anycast = AnycastNeighbour(settings, rng)
        self._prefixes = PrefixAdvertiser(settings, cache, rng)
        self._has_service = settings.mipv6_ha_mode
        self._speaks: bool | None = None

    def handle(self, event: Event, now: Instant) -> list[object]:
        """What to send now."""
        if isinstance(event, SpeakerChanged):
            if event.speaks is self._speaks:  # as it is almost always, after everything that happens
                return []
            self._speaks = event.speaks
        return list(self._dispatch(event, now))

    def deadline(self) -> Instant | None:
        """When the first of the four wants a TimerFired."""
        times = (self._router.deadline(), self.service.deadline(), self._anycast.deadline(), self._prefixes.deadline())
        return min([due for due in times if due is not None], default=None)

    def reconfigure(self, settings: VirtualHaSettings, now: Instant) -> None:
        """Other settings of the same virtual router."""
        self.service.reconfigure(settings)
        self._router.reconfigure(settings, now)
        self._anycast.reconfigure(settings)
        self._prefixes.reconfigure(settings, now)

    def _dispatch(self, event: Event, now: Instant) -> Iterator[object]:
        match event:
            case SpeakerChanged():
                yield from self._router.handle(event, now)
                if self._has_service:
                    yield from self._anycast.handle(event, now)
                    yield from self._prefixes.handle(event, now)
            case SolicitationReceived():
                yield from self._router.handle(event, now)
            case AnycastSolicited():
                yield from self._anycast.handle(event, now)
            case PrefixSolicited():
                yield from self._prefixes.handle(event, now)
            case BackupAsked():
                yield from self._serve(event, now)
            case CacheChanged():
                yield from self._serve(event, now)
                yield from self._prefixes.handle(event, now)
            case TimerFired():
                yield from self._serve(event, now)
                yield from self._router.handle(event, now)
                yield from self._anycast.handle(event, now)
                yield from self._prefixes.handle(event, now)

    def _serve(self, event: BackupAsked | CacheChanged | TimerFired, now: Instant) -> Iterator[object]:
        for news in self.service.handle(event, now):
            yield from self._router.handle(news, now)
