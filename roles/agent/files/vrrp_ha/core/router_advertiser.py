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

from dataclasses import dataclass
from typing import Protocol

from ..wire.icmpv6 import PrefixInformation, RouterAdvertisement, source_link_layer
from . import neighbours
from .effects import Report, SendFrame
from .events import TimerFired
from .settings import HomeLink, VirtualHaSettings
from .types import ALL_NODES, MILLISECOND, SECOND, Instant

# RFC 4861 section 10.
MAX_INITIAL_INTERVAL_US = 16 * SECOND
MAX_INITIAL_ADVERTISEMENTS = 3
MIN_DELAY_BETWEEN_US = 3 * SECOND
MAX_DELAY_US = 500 * MILLISECOND

# RFC 4861 section 6.2.1: AdvCurHopLimit, AdvValidLifetime, AdvPreferredLifetime.
CURRENT_HOP_LIMIT = 64
VALID_LIFETIME_US = 2_592_000 * SECOND
PREFERRED_LIFETIME_US = 604_800 * SECOND


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


class RouterAdvertiser:
    """An advertising interface in the words of RFC 4861 section 6.2.1, for one virtual router."""

    def __init__(self, settings: VirtualHaSettings, rng: Randomness) -> None:
        self._settings = settings
        self._rng = rng
        self._speaks = False
        self._next: Instant | None = None
        self._last: Instant | None = None
        self._initial = 0  # advertisements that are still to follow each other faster

    def handle(self, event: SpeakerChanged | SolicitationReceived | TimerFired, now: Instant) -> list[object]:
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
        if not self._speaks or (was == is_ and before.home_link is settings.home_link):
            return
        if is_.enabled:
            self._begin(now)
        else:  # section 6.2.5; who was no default router need not say so
            self._next = self._soon(now) if was.enabled and was.router_lifetime_us else None

    # --- timing --------------------------------------------------------------------------------------------

    def _begin(self, now: Instant) -> None:
        """Section 6.2.4, of an interface that becomes an advertising one. The first one comes at random, too: one
        member may take over many virtual routers at the same time."""
        if self._settings.router_advertisements.enabled:
            self._initial = MAX_INITIAL_ADVERTISEMENTS
            self._next = self._soon(now)

    def _solicited(self, now: Instant) -> None:
        """Section 6.2.6: what is due earlier answers as well."""
        if self._next is not None:
            self._next = min(self._next, self._soon(now))

    def _soon(self, now: Instant) -> Instant:
        """After a random delay, which counts from when the rate limit allows one if that is later than now."""
        start = now if self._last is None else max(now, self._last + MIN_DELAY_BETWEEN_US)
        return Instant(start + self._rng.randint(0, MAX_DELAY_US))

    def _advertise(self, now: Instant) -> SendFrame:
        settings = self._settings.router_advertisements
        self._last = now
        self._next = None
        if settings.enabled:
            interval = self._rng.randint(settings.minimum_interval_us, settings.maximum_interval_us)
            self._initial = max(0, self._initial - 1)
            if self._initial:
                interval = min(interval, MAX_INITIAL_INTERVAL_US)
            self._next = Instant(now + interval)
        message = advertisement(self._settings)
        return neighbours.from_virtual_router(self._settings, message, ALL_NODES, neighbours.ALL_NODES_MAC)


def advertisement(settings: VirtualHaSettings) -> RouterAdvertisement:
    """What the virtual router says of itself and of the home prefix; the same on every member (RFC 9568 8.2.3)."""
    own = settings.router_advertisements
    prefix = PrefixInformation(
        settings.prefix,
        settings.prefix_length,
        on_link=settings.home_link is HomeLink.ON_LINK,
        autonomous=own.autonomous,
        router_address=False,
        valid_lifetime_us=VALID_LIFETIME_US,
        preferred_lifetime_us=PREFERRED_LIFETIME_US,
    )
    return RouterAdvertisement(
        current_hop_limit=CURRENT_HOP_LIMIT,
        router_lifetime_us=own.router_lifetime_us if own.enabled else 0,
        options=(source_link_layer(settings.virtual_mac), prefix),
    )
