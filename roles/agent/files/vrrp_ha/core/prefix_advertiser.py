# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mobile nodes that are away are told of their home prefix: RFC 6275 sections 6.7, 6.8 and 10.6.

A solicitation is answered at once. Unasked, every mobile node is told once in MaxMobPfxAdvInterval, and after a change
of the prefix within that time but not before MinMobPfxAdvInterval. The RFC has a random delay for each mobile node, so
that not all are told at once; here a walk through the binding cache gives each its own part of the time, and within it
a random moment. It needs no memory per mobile node and comes to the same, at a steady rate.

RFC 4285 has nothing for these messages, and ESP (ipsec.py) not every mobile node has. So only who is bound is answered,
at the care-of address that its authenticated Binding Update named and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar

from ..wire import icmpv6, ipv6
from .binding_cache import BindingCache
from .effects import Report, SendPacket
from .events import TimerFired
from .home_agent_service import CacheChanged
from .router_advertiser import Randomness, SpeakerChanged, home_prefix
from .settings import VirtualHaSettings
from .token_bucket import Pace, TokenBucket, TokenBuckets
from .types import SECOND, Address, Binding, Instant

HOP_LIMIT = 64

# RFC 6275 section 12.
PREFIX_ADV_TIMEOUT_US = 3 * SECOND
PREFIX_ADV_RETRIES = 3

ONE_PER_SECOND = Pace(1_000_000, 1)  # section 6.8: no more to any mobile node
_BEGINNING = Instant(0)
_MOST_NODES = 10_000
_MOST_UNAWARE = 100_000
_MOST_WAITING = 10_000
_SLOTS_AT_ONCE = 1000
_TELL_NEWS_AGAIN = 2  # times to those that did not answer, each when they turn up


@dataclass(frozen=True, slots=True)
class PrefixSolicited:
    """A well-formed Mobile Prefix Solicitation with a Home Address option arrived at an address of the virtual HA."""

    source: Address
    destination: Address
    home_address: Address
    identifier: int
    counter: ClassVar[str] = "prefix_solicitations"


@dataclass(slots=True)
class _Walk:
    """Through the cache, slot by slot."""

    news_of: Instant | None  # when the prefix changed that they are told of
    until: Instant  # it should be over by then
    position: int = 0
    told: int = 0
    part_until: Instant = _BEGINNING  # the end of the present mobile node's part of the time
    due: Instant = _BEGINNING


Event = PrefixSolicited | CacheChanged | SpeakerChanged | TimerFired


class PrefixAdvertiser:
    """Mobile Prefix Advertisements of one virtual HA; only its Master sends any."""

    def __init__(self, settings: VirtualHaSettings, cache: BindingCache, rng: Randomness) -> None:
        self._settings = settings
        self._cache = cache
        self._rng = rng
        self._speaks = False
        self._walk: _Walk | None = None
        self._changed_at: Instant | None = None
        # Told, and not heard of since; for each how often, and how often it is to be told anew.
        self._waiting: dict[Address, tuple[int, int]] = {}
        self._timeouts: list[tuple[Instant, Address, int]] = []
        self._unaware: dict[Address, int] = {}  # did not answer to something new: told again when they turn up
        self._limit(Instant(0))

    def handle(self, event: Event, now: Instant) -> list[object]:
        """What to send now."""
        match event:
            case SpeakerChanged(speaks=speaks):
                if speaks is not self._speaks:
                    self._speaks = speaks
                    self._begin(now)
            case PrefixSolicited():
                return list(self._solicited(event, now))
            case CacheChanged(renewed=renewed) if self._unaware:
                for binding in renewed:
                    if (anew := self._unaware.pop(binding.home_address, None)) is not None:
                        self._wait(binding.home_address, 0, anew, Instant(now + SECOND))
            case TimerFired():
                return [*self._again(now), *self._go_on(now)]
        return []

    def deadline(self) -> Instant | None:
        """When the next one is due."""
        times = [self._walk.due] if self._walk else []
        if self._timeouts:
            times.append(self._timeouts[0][0])
        return min(times, default=None)

    def reconfigure(self, settings: VirtualHaSettings, now: Instant) -> None:
        """Section 10.6.2: what changed of the prefix is told. A Backup remembers it, in case it becomes Master soon."""
        before, self._settings = self._settings, settings
        if before.discovery != settings.discovery:
            self._limit(now)
            self._begin(now)
        if home_prefix(before) != home_prefix(settings):
            self._changed_at = now
            if self._walk is None or self._walk.news_of is None:  # else whoever comes last hears the latest, then all
                self._begin(now)

    def _limit(self, now: Instant) -> None:
        discovery = self._settings.discovery
        self._everybody = TokenBucket(discovery.pace, now)
        self._each = TokenBuckets(ONE_PER_SECOND, _MOST_NODES)

    # --- asked ---------------------------------------------------------------------------------------------

    def _solicited(self, event: PrefixSolicited, now: Instant) -> Iterator[object]:
        """Section 10.6.3. The source has to be where the mobile node is bound: nobody else is told anything."""
        binding = self._cache.get(event.home_address)
        if not self._settings.discovery.prefix_solicitations:
            yield Report("debug", "dropped.prefix_solicitation_off")
        elif not self._speaks:
            yield Report("debug", "dropped.not_master")
        elif binding is None or binding.care_of_address != event.source:
            yield Report("debug", "dropped.prefix_solicitation_unbound")
        elif not self._each.take(event.home_address, now) or not self._everybody.take(now):
            yield Report("debug", "dropped.prefix_solicitation_limited")
        else:
            self._waiting.pop(event.home_address, None)
            self._unaware.pop(event.home_address, None)
            yield self._advertise(binding, event.destination, event.identifier)
            yield Report("debug", "prefix_solicitations_answered")

    # --- unasked -------------------------------------------------------------------------------------------

    def _begin(self, now: Instant) -> None:
        """Start a walk, or stop it, according to the settings and to who is Master."""
        discovery = self._settings.discovery
        if self._walk and self._changed_at is None:
            self._changed_at = self._walk.news_of
        if not (self._speaks and discovery.prefix_advertisements):
            self._walk = None
            self._waiting.clear()
            self._timeouts.clear()
            self._unaware.clear()
            return
        longest = discovery.maximum_prefix_interval_us
        if self._changed_at is None or now >= self._changed_at + longest:
            self._start(_Walk(None, Instant(now + longest // 2)), now)
        else:
            preferred = self._settings.router_advertisements.preferred_lifetime_us
            start = Instant(now + discovery.minimum_prefix_interval_us)
            self._start(_Walk(self._changed_at, Instant(max(start, now + min(longest, preferred)))), start)
        self._changed_at = None

    def _start(self, walk: _Walk, when: Instant) -> None:
        """A walk that is half an interval long finds everybody once in an interval, also who came behind it."""
        self._walk = walk
        self._next_part(walk, when)

    def _next_part(self, walk: _Walk, now: Instant) -> None:
        """The next mobile node's share of the time that is left, and a moment within it."""
        left = max(1, len(self._cache) - walk.told)
        slowest = 1_000_000 * SECOND // self._settings.discovery.prefix_rate_millionths
        begins = max(walk.part_until, now)
        share = max(slowest, (walk.until - begins) // left)
        walk.part_until = Instant(begins + share)
        walk.due = Instant(begins + self._rng.randint(0, share))

    def _go_on(self, now: Instant) -> Iterator[object]:
        walk = self._walk
        if walk is None or now < walk.due:
            return
        for _unused in range(_SLOTS_AT_ONCE):
            found, place = self._cache.chunk(walk.position, 1)
            walk.position = 0 if place is None else place
            for binding in found:
                walk.told += 1
                yield from self._tell(binding, 0, 0 if walk.news_of is None else _TELL_NEWS_AGAIN, now)
            if place is None:
                self._after(walk, now)
                return
            if found:
                break
        self._next_part(walk, now)

    def _after(self, walk: _Walk, now: Instant) -> None:
        """The next one begins where this one was to end, also if nobody was there to be told."""
        self._walk = None
        if self._changed_at is not None:
            self._begin(now)
            return
        begins = Instant(max(now + SECOND, walk.part_until if walk.told else walk.until))
        half = self._settings.discovery.maximum_prefix_interval_us // 2
        self._start(_Walk(None, Instant(begins + half)), begins)

    def _again(self, now: Instant) -> Iterator[object]:
        """Section 10.6.2: after 3, 6 and 12 s, until the mobile node answers by a solicitation."""
        while self._timeouts and self._timeouts[0][0] <= now:
            _unused, home_address, attempts = heappop(self._timeouts)
            waiting = self._waiting.get(home_address)
            if waiting is None or waiting[0] != attempts:
                continue
            del self._waiting[home_address]
            binding = self._cache.get(home_address)
            if binding is None:
                continue
            if attempts <= PREFIX_ADV_RETRIES:
                yield from self._tell(binding, attempts, waiting[1], now)
            elif waiting[1] and len(self._unaware) < _MOST_UNAWARE:
                self._unaware[home_address] = waiting[1] - 1

    def _tell(self, binding: Binding, attempts: int, anew: int, now: Instant) -> Iterator[object]:
        """attempts: how often it was told the same before; anew: how often all that is to be done again."""
        home_address = binding.home_address
        if attempts == 0 and home_address in self._waiting:
            return  # what is sent again has the latest in it
        if not self._each.take(home_address, now):
            self._wait(home_address, attempts, anew, Instant(now + SECOND))
            return
        self._wait(home_address, attempts + 1, anew, Instant(now + (PREFIX_ADV_TIMEOUT_US << attempts)))
        yield self._advertise(binding, self._settings.vha_address, self._rng.randint(0, 0xFFFF))
        yield Report("debug", "prefix_advertisements_sent")

    def _wait(self, home_address: Address, attempts: int, anew: int, until: Instant) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[home_address] = attempts, anew
            heappush(self._timeouts, (until, home_address, attempts))

    # --- the message ---------------------------------------------------------------------------------------

    def _advertise(self, binding: Binding, source: Address, identifier: int) -> SendPacket:
        """Section 10.6.3. M and O stay clear: there is no DHCPv6 for absent mobile nodes here (section 6.8)."""
        message = icmpv6.PrefixAdvertisement(identifier, options=(home_prefix(self._settings),))
        packet = ipv6.Packet(
            source,
            binding.care_of_address,
            HOP_LIMIT,
            icmpv6.NEXT_HEADER,
            icmpv6.encode(message),
            routing_home_address=binding.home_address,
        )
        return SendPacket(ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET)))
