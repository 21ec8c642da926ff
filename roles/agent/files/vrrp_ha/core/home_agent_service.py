# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual HA says of itself as a home agent: its preference, and whether it is to be advertised at all.

RFC 9568 section 8.2.3: options that advertise a special service SHOULD NOT be sent unless the Backups "have a complete
and synchronized database for this service". A Backup says nothing while it has one, and asks for it while it has not;
so the Master takes its Backups to agree unless one of them has been asking for some time. Meanwhile the Home Agent
Information option is left out: with a router lifetime of 0 other home agents then list this one no more (RFC 6275
section 10.5.1), and it lists itself last. It serves all the same, and new mobile nodes go elsewhere if they can.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field

from ..wire.icmpv6 import HomeAgentInformation
from .events import TimerFired
from .home_agents import DEFAULT_PREFERENCE, preference
from .router_advertiser import ServiceChanged
from .settings import VirtualHaSettings
from .types import SECOND, Address, Binding, Instant

# A Backup that starts, missed something, or heard of another Master for a moment asks a few times within seconds and
# has everything; one that cannot be synchronised asks at once, after 1 and 2 s, then every 10 s.
PATIENCE_US = 11 * SECOND
ASKS_NO_MORE_US = 15 * SECOND
_MOST_MEMBERS = 64


@dataclass(frozen=True, slots=True)
class BackupAsked:
    """A Backup wants the whole cache (BC_REQUEST)."""

    source: Address


@dataclass(frozen=True, slots=True)
class CacheChanged:
    """The binding cache changed at the Master; these bindings came or were renewed."""

    renewed: list[Binding] = field(repr=False)


class HomeAgentService:
    """handle(event, now) -> ServiceChanged or nothing; information() is the option to be sent."""

    def __init__(self, settings: VirtualHaSettings, cache: Sized) -> None:
        self._settings = settings
        self._cache = cache
        self._asking: dict[Address, tuple[Instant, Instant]] = {}  # since when, and when last
        self._said: HomeAgentInformation | None = self.information()
        self._preference = self.preference

    @property
    def backups_agree(self) -> bool:
        """No Backup has been without a complete cache for some time."""
        return not self._asking or not any(last - since >= PATIENCE_US for since, last in self._asking.values())

    @property
    def preference(self) -> int:
        """How this home agent stands beside the others of its link."""
        discovery = self._settings.discovery
        if not self.backups_agree:
            return DEFAULT_PREFERENCE
        if discovery.preference is not None:
            return discovery.preference
        return preference(len(self._cache), self._settings.balance.high_water or discovery.full_at)

    def information(self) -> HomeAgentInformation | None:
        """The option of RFC 6275 section 7.4, which is left out where it would say what goes without saying."""
        discovery = self._settings.discovery
        if not (self._settings.mipv6_ha_mode and discovery.home_agent_information and self.backups_agree):
            return None
        said = HomeAgentInformation(self.preference, discovery.home_agent_lifetime_us)
        default = HomeAgentInformation(DEFAULT_PREFERENCE, self._settings.router_advertisements.router_lifetime_us)
        return None if said == default else said

    def handle(self, event: BackupAsked | CacheChanged | TimerFired, now: Instant) -> list[ServiceChanged]:
        """Whether there is something new to say."""
        if isinstance(event, CacheChanged) and self.preference == self._preference:
            return []  # quickly: this is every Binding Update
        if isinstance(event, BackupAsked):
            since, last = self._asking.pop(event.source, (now, now))
            self._asking[event.source] = (now if now - last >= ASKS_NO_MORE_US else since, now)
            if len(self._asking) > _MOST_MEMBERS:
                del self._asking[next(iter(self._asking))]
        elif isinstance(event, TimerFired):
            for source in [source for source, (_unused, last) in self._asking.items() if now - last >= ASKS_NO_MORE_US]:
                del self._asking[source]
        self._preference = self.preference
        said = self.information()
        if said == self._said:
            return []
        self._said = said
        return [ServiceChanged()]

    def deadline(self) -> Instant | None:
        """When the first of those that asked counts as content."""
        if not self._asking:
            return None
        return Instant(min(last for _unused, last in self._asking.values()) + ASKS_NO_MORE_US)

    def reconfigure(self, settings: VirtualHaSettings) -> None:
        """Other settings of the same virtual HA; that they are told is seen to elsewhere."""
        self._settings = settings
        self._preference = self.preference
        self._said = self.information()
