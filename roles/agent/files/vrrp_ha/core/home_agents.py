# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The home agents of a link: the list that is learnt from Router Advertisements, and how one of them is recommended.

RFC 6275 sections 10.1 and 10.5.1. What this member serves itself is not in the list; discovery.py puts the two
together. Nothing here has a timer: what is over is taken out whenever somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from ..wire.icmpv6 import HomeAgentInformation, PrefixInformation, RouterAdvertisement, first
from .binding_request import is_unicast_routable
from .router_advertiser import Randomness
from .types import Address, Instant

# Somebody on the link could invent any number of home agents, and of addresses for each.
MOST_HOME_AGENTS = 300  # every virtual router of a link, and some
MOST_ADDRESSES = 16

BEST_PREFERENCE = 64
DEFAULT_PREFERENCE = 0  # RFC 6275 section 7.4, of those that name none

_ANYCAST_IDENTIFIER = 0x7E  # RFC 2526: Mobile IPv6 Home-Agents
ANYCAST_LAST_OCTET = 0xFE
_UNIVERSAL_BIT = 1 << 57

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class HomeAgent:
    """One home agent of a link, as it is recommended."""

    link_local: Address
    preference: int
    expires: Instant | None  # None: it is served here, and does not expire
    addresses: tuple[Address, ...]


@dataclass(slots=True)
class _Entry:
    preference: int
    expires: Instant
    addresses: dict[Address, Instant] = field(default_factory=dict)  # and until when their prefix is valid


class HomeAgentsList:
    """The Home Agents List of one link, the home agents of this member left out."""

    def __init__(self) -> None:
        self._entries: dict[Address, _Entry] = {}

    def heard(self, source: Address, advertisement: RouterAdvertisement, now: Instant) -> bool:
        """A valid advertisement arrived (section 10.5.1, in its order); False if it found no room in the list."""
        if not advertisement.home_agent:
            self._entries.pop(source, None)
            return True
        information = first(advertisement.options, HomeAgentInformation)
        preference = information.preference if information else DEFAULT_PREFERENCE
        lifetime_us = information.lifetime_us if information else advertisement.router_lifetime_us
        if lifetime_us == 0:
            self._entries.pop(source, None)
            return True
        entry = self._entries.get(source)
        if entry is None:
            self._expire(now)
            if len(self._entries) >= MOST_HOME_AGENTS:
                return False
            entry = self._entries[source] = _Entry(preference, now)
        entry.preference = preference
        entry.expires = Instant(now + lifetime_us)
        # Every address is learned, also after one that there was no room for.
        learned = [_learn(entry, option, now) for option in advertisement.options if _is_address(option)]
        return all(learned)

    def entries(self, now: Instant) -> list[HomeAgent]:
        """Those whose lifetime is not over, with the addresses whose prefixes are still valid."""
        self._expire(now)
        return [
            HomeAgent(link_local, entry.preference, entry.expires, tuple(entry.addresses))
            for link_local, entry in self._entries.items()
        ]

    def _expire(self, now: Instant) -> None:
        for link_local in [key for key, entry in self._entries.items() if entry.expires <= now]:
            del self._entries[link_local]
        for entry in self._entries.values():
            for address in [address for address, valid_until in entry.addresses.items() if valid_until <= now]:
                del entry.addresses[address]


def _is_address(option: object) -> bool:
    return isinstance(option, PrefixInformation) and option.router_address and is_unicast_routable(option.prefix)


def _learn(entry: _Entry, option: object, now: Instant) -> bool:
    assert isinstance(option, PrefixInformation)
    if option.valid_lifetime_us == 0:
        entry.addresses.pop(option.prefix, None)
    elif option.prefix in entry.addresses or len(entry.addresses) < MOST_ADDRESSES:
        entry.addresses[option.prefix] = Instant(now + option.valid_lifetime_us)
    else:
        return False
    return True


# --- recommending ------------------------------------------------------------------------------------------


def preference(load: int, high_water: int) -> int:
    """RFC 6275 section 7.4, by the number of bindings: 64 with none, down to 1 from the high-water mark on.

    In steps, so that home agents that are about equally loaded are equal and share new mobile nodes between them; and
    never 0, which is what home agents have that say nothing.
    """
    free = max(0, high_water - load)
    return 1 - -(BEST_PREFERENCE - 1) * free // max(1, high_water)  # rounded up


def recommended(home_agents: Iterable[HomeAgent], most: int, rng: Randomness) -> tuple[Address, ...]:
    """Their addresses as section 10.5.1 wants them listed: by preference, at random among equals, the best `most`."""
    by_preference: dict[int, list[HomeAgent]] = {}
    for home_agent in home_agents:
        by_preference.setdefault(home_agent.preference, []).append(home_agent)
    addresses: list[Address] = []
    for value in sorted(by_preference, reverse=True):
        for home_agent in _shuffled(by_preference[value], rng):
            addresses += _shuffled(home_agent.addresses, rng)
    return tuple(addresses[:most])


def _shuffled(items: Iterable[_Item], rng: Randomness) -> list[_Item]:
    result = list(items)
    for last in range(len(result) - 1, 0, -1):
        other = rng.randint(0, last)
        result[last], result[other] = result[other], result[last]
    return result


# --- the anycast address -----------------------------------------------------------------------------------


def anycast_address(prefix: Address, prefix_length: int) -> Address:
    """Mobile IPv6 Home-Agents (RFC 2526 section 2): all ones but the last 7 bits; of a /64 the universal bit is 0."""
    host_part = (1 << (128 - prefix_length)) - 1
    identifier = (host_part & ~0x7F) | _ANYCAST_IDENTIFIER
    if prefix_length == 64:
        identifier &= ~_UNIVERSAL_BIT
    return (int.from_bytes(prefix, "big") | identifier).to_bytes(16, "big")


def is_on(address: Address, prefix: Address, prefix_length: int) -> bool:
    """Whether an address is of a prefix."""
    host_bits = 128 - prefix_length
    return int.from_bytes(address, "big") >> host_bits == int.from_bytes(prefix, "big") >> host_bits
