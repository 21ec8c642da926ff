# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a virtual router sends Router Advertisements, and what they say: RFC 4861 section 6.2, RFC 9568 section 8.2.3.

Only a Master has them sent (RFC 9568 sections 6.4.2 and 6.4.3); who that is, this file is told. Everything is
multicast to all nodes, answers to solicitations too, which RFC 4861 section 6.2.6 calls the usual case.

A member that is Master no more falls silent and takes nothing back: its successor speaks for the same address, and
hosts are to keep their router. When the virtual router is taken out of service for good, no member can know that it
was the last one; then hosts find out by Neighbor Unreachability Detection, or when the lifetime is over. Only when
the operator turns the advertisements off is there a last one with a lifetime of 0 (section 6.2.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from ..wire.icmpv6 import (
    AdvertisementInterval,
    HomeAgentInformation,
    Option,
    PrefixInformation,
    RouterAdvertisement,
    source_link_layer,
)
from . import neighbours
from .effects import Report, SendFrame
from .events import TimerFired
from .settings import HomeLink, VirtualHaSettings
from .types import ALL_NODES, MILLISECOND, SECOND, Instant

# RFC 4861 section 10.
MAX_INITIAL_INTERVAL_US = 16 * SECOND
MAX_INITIAL_ADVERTISEMENTS = 3
MAX_DELAY_US = 500 * MILLISECOND

CURRENT_HOP_LIMIT = 64  # RFC 4861 section 6.2.1: AdvCurHopLimit

# RFC 6275 section 7.5: what mobile nodes are told of short intervals allows for their clocks and ours.
SHORT_INTERVAL_US = 200 * MILLISECOND
SCHEDULING_US = 20 * MILLISECOND

# A preference that goes up and down with the load is not worth a multicast each time.
SERVICE_DELAY_US = 30 * SECOND


class Randomness(Protocol):
    """What the cores ask of a random number generator; random.Random has it."""

    def randint(self, a: int, b: int, /) -> int:
        """A whole number from a to b, both included."""


class NoRandomness:
    """Always the middle, for callers that want every run to be the same."""

    def randint(self, a: int, b: int, /) -> int:
        """The middle of a and b."""
        return (a + b) // 2


@dataclass(frozen=True, slots=True)
class SpeakerChanged:
    """This member speaks for the virtual router, or not: it is Master and did not hand over. May be said again."""

    speaks: bool


@dataclass(frozen=True, slots=True)
class SolicitationReceived:
    """A valid Router Solicitation arrived on the link."""

    counter: ClassVar[str] = "router_solicitations_received"


@dataclass(frozen=True, slots=True)
class ServiceChanged:
    """What the virtual router says of itself as a home agent is not what it was."""


class RouterAdvertiser:
    """An advertising interface in the words of RFC 4861 section 6.2.1, for one virtual router.

    `service` gives what it has to say as a home agent when it is about to speak.
    """

    def __init__(
        self,
        settings: VirtualHaSettings,
        rng: Randomness,
        service: Callable[[], HomeAgentInformation | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._service = service
        self._speaks = False
        self._next: Instant | None = None
        self._last: Instant | None = None
        self._initial = 0  # advertisements that are still to follow each other faster

    def handle(
        self, event: SpeakerChanged | SolicitationReceived | ServiceChanged | TimerFired, now: Instant
    ) -> list[object]:
        """What to send now: nothing, or one advertisement."""
        match event:
            case SpeakerChanged(speaks=True) if not self._speaks:
                self._speaks = True
                self._begin(now)
            case SpeakerChanged(speaks=False):
                self._speaks = False
                self._next = None
            case SolicitationReceived():
                self._solicited(now)
            case ServiceChanged() if self._next is not None:
                earliest = (
                    self._soon(now) if self._last is None else max(self._soon(now), self._last + SERVICE_DELAY_US)
                )
                self._next = min(self._next, Instant(earliest))
            case TimerFired() if self._next is not None and self._next <= now:
                return [self._advertise(now), Report("debug", "router_advertisements_sent")]
        return []

    def deadline(self) -> Instant | None:
        """When the next advertisement is due; None for one that does not speak."""
        return self._next

    def reconfigure(self, settings: VirtualHaSettings, now: Instant) -> None:
        """Section 6.2.4: hosts are told of what has changed as fast as of a new router."""
        before, self._settings = self._settings, settings
        was, is_ = before.router_advertisements, settings.router_advertisements
        if not self._speaks or (was == is_ and home_prefix(before) == home_prefix(settings)):
            if self._speaks and before.discovery != settings.discovery:
                self.handle(ServiceChanged(), now)
            return
        if is_.enabled:
            self._next = None
            self._begin(now)
        else:  # section 6.2.5; who was no default router need not say so
            self._next = self._soon(now) if was.enabled and was.router_lifetime_us else None

    # --- timing --------------------------------------------------------------------------------------------

    def _begin(self, now: Instant) -> None:
        """Section 6.2.4, of an interface that becomes an advertising one. The first one comes at random, too: one
        member may take over many virtual routers at the same time."""
        settings = self._settings.router_advertisements
        if settings.enabled and settings.unsolicited:
            self._initial = MAX_INITIAL_ADVERTISEMENTS
            self._next = self._soon(now)

    def _solicited(self, now: Instant) -> None:
        """Section 6.2.6: what is due earlier answers as well."""
        if self._next is not None:
            self._next = min(self._next, self._soon(now))
        elif self._speaks and self._settings.router_advertisements.enabled:  # one that speaks only when it is asked
            self._next = self._soon(now)

    def _soon(self, now: Instant) -> Instant:
        """After a random delay, which counts from when the rate limit allows one if that is later than now."""
        start = now
        if self._last is not None:
            start = max(now, Instant(self._last + self._settings.router_advertisements.minimum_delay_us))
        return Instant(start + self._rng.randint(0, MAX_DELAY_US))

    def _advertise(self, now: Instant) -> SendFrame:
        settings = self._settings.router_advertisements
        self._last = now
        self._next = None
        if settings.enabled and settings.unsolicited:
            interval = self._rng.randint(settings.minimum_interval_us, settings.maximum_interval_us)
            self._initial = max(0, self._initial - 1)
            if self._initial:
                interval = min(interval, MAX_INITIAL_INTERVAL_US)
            self._next = Instant(now + interval)
        message = advertisement(self._settings, self._service())
        return neighbours.from_virtual_router(self._settings, message, ALL_NODES, neighbours.ALL_NODES_MAC)


def home_prefix(settings: VirtualHaSettings) -> PrefixInformation:
    """The home prefix; of a home agent with its address in it (the R bit, RFC 6275 section 7.2)."""
    own = settings.router_advertisements
    return PrefixInformation(
        settings.vha_address if settings.mipv6_ha_mode else settings.prefix,
        settings.prefix_length,
        on_link=settings.home_link is HomeLink.ON_LINK,
        autonomous=own.autonomous,
        router_address=settings.mipv6_ha_mode,
        valid_lifetime_us=own.valid_lifetime_us,
        preferred_lifetime_us=own.preferred_lifetime_us,
    )


def advertisement(settings: VirtualHaSettings, service: HomeAgentInformation | None = None) -> RouterAdvertisement:
    """What the virtual router says of itself and of the home prefix; the same on every member (RFC 9568 8.2.3)."""
    own = settings.router_advertisements
    options: list[Option] = [source_link_layer(settings.virtual_mac), home_prefix(settings)]
    if own.interval_option and own.unsolicited:
        interval = own.maximum_interval_us
        options.append(AdvertisementInterval(interval + SCHEDULING_US * (interval < SHORT_INTERVAL_US)))
    if service is not None:
        options.append(service)
    return RouterAdvertisement(
        current_hop_limit=CURRENT_HOP_LIMIT,
        managed=own.managed,
        other=own.other,
        home_agent=settings.mipv6_ha_mode,
        router_lifetime_us=own.router_lifetime_us if own.enabled else 0,
        options=tuple(options),
    )
