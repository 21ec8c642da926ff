# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Duplicate Address Detection for home addresses that are to be bound (RFC 6275 section 10.3.1, RFC 4862 section 5.4).

A first registration waits here while the home link is asked whether anybody has its addresses: one solicitation, one
second (DupAddrDetectTransmits and RetransTimer). Nothing is bound meanwhile, and nothing of it is replicated: a mobile
node whose home agent dies while it waits sends its Binding Update again, to whoever is Master then.

What is remembered is bounded, and a Binding Update that comes again changes what will be bound, not when. Whether
a registration may be accepted at all is for registration.py to say, before the test and once more after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, takewhile

from ..wire import icmpv6, ipv6
from ..wire.icmpv6 import LinkLayerAddress, NeighbourAdvertisement, NeighbourSolicitation, OptionType
from .binding_request import BindingRequest
from .effects import SendFrame
from .settings import HomeLink, MobileNodeKey, VirtualHaSettings
from .types import FLAG_LINK_LOCAL, SECOND, UNSPECIFIED, Address, Instant

RETRANS_TIMER_US = 1 * SECOND  # RFC 4861 section 10
AT_ONCE = 16  # registrations that end in one turn of the agent: below 2 ms of work
MOST_TENTATIVE = 8192  # of each virtual HA; a mobile node that finds no room sends its Binding Update again

LINK_LOCAL_PREFIX = bytes.fromhex("fe80000000000000")
_SOLICITED_NODE_PREFIX = bytes.fromhex("ff0200000000000000000001ff")
_MULTICAST_MAC = b"\x33\x33"
_VIRTUAL_MACS = bytes.fromhex("00005e0002")  # RFC 9568 section 7.3: of whatever IPv6 virtual router


@dataclass(frozen=True, slots=True)
class AddressClaimed:
    """A neighbour has this address, or is about to take it."""

    target: Address
    source_mac: bytes


@dataclass(frozen=True, slots=True)
class Tentative:
    """A registration that waits for its addresses to be found unique."""

    request: BindingRequest
    key: MobileNodeKey | None
    targets: tuple[Address, ...]
    ends: Instant


class AddressDetection:
    """The registrations of one virtual HA that wait, in the order in which their waiting ends."""

    def __init__(self) -> None:
        self._waiting: dict[Address, Tentative] = {}  # by home address
        self._targets: dict[Address, Address] = {}  # the home address that each tested address belongs to

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """No other registration can wait."""
        return len(self._waiting) >= MOST_TENTATIVE

    def get(self, home_address: Address) -> Tentative | None:
        """The registration of this home address that waits."""
        return self._waiting.get(home_address)

    def begin(self, request: BindingRequest, key: MobileNodeKey | None, now: Instant) -> tuple[Address, ...]:
        """Let it wait; the addresses that the link has to be asked about. In place of one that tests fewer of them."""
        targets = addresses_of(request.home_address, request.update.flags)
        self.remove(request.home_address)
        self._waiting[request.home_address] = Tentative(request, key, targets, Instant(now + RETRANS_TIMER_US))
        self._targets.update(dict.fromkeys(targets, request.home_address))
        return targets

    def replace(self, request: BindingRequest, key: MobileNodeKey | None) -> bool:
        """A newer Binding Update of a mobile node that waits; False if more addresses are to be tested now."""
        waiting = self._waiting[request.home_address]
        if set(addresses_of(request.home_address, request.update.flags)) - set(waiting.targets):
            return False
        newer = Tentative(request, key, waiting.targets, waiting.ends)
        self._waiting[request.home_address] = newer
        return True

    def remove(self, home_address: Address) -> Tentative | None:
        """It waits no more."""
        waiting = self._waiting.pop(home_address, None)
        for target in waiting.targets if waiting else ():
            if self._targets.get(target) == home_address:
                del self._targets[target]
        return waiting

    def claimed(self, target: Address) -> Tentative | None:
        """Somebody has this address: the registration that it was tested for fails."""
        home_address = self._targets.get(target)
        return None if home_address is None else self.remove(home_address)

    def ended(self, now: Instant) -> list[Tentative]:
        """Those that nobody objected to in time, a turn's worth at most."""
        over = list(islice(takewhile(lambda waiting: waiting.ends <= now, self._waiting.values()), AT_ONCE))
        for waiting in over:
            self.remove(waiting.request.home_address)
        return over

    def clear(self) -> None:
        """This member is not the one to ask any more."""
        self._waiting.clear()
        self._targets.clear()

    def deadline(self) -> Instant | None:
        """When the first of them has waited long enough."""
        return next((waiting.ends for waiting in self._waiting.values()), None)


def is_wanted(settings: VirtualHaSettings) -> bool:
    """Where the home prefix is routed nobody else can have a home address: there is nothing to detect."""
    return settings.duplicate_address_detection and settings.home_link is HomeLink.ON_LINK


def addresses_of(home_address: Address, flags: int) -> tuple[Address, ...]:
    """What is to be unique: the home address, with the L flag the link-local address derived from it as well."""
    if flags & FLAG_LINK_LOCAL:
        return home_address, LINK_LOCAL_PREFIX + home_address[8:]
    return (home_address,)


def probe(settings: VirtualHaSettings, target: Address) -> SendFrame:
    """The solicitation of RFC 4862 section 5.4.2, with the virtual MAC as its sender's."""
    group = _SOLICITED_NODE_PREFIX + target[13:]
    message = icmpv6.encode(NeighbourSolicitation(target))
    packet = ipv6.Packet(UNSPECIFIED, group, icmpv6.ND_HOP_LIMIT, icmpv6.NEXT_HEADER, message)
    whole = ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))
    return SendFrame(settings.vrid, _MULTICAST_MAC + group[12:], whole)


def claim(
    message: NeighbourAdvertisement | NeighbourSolicitation, source: Address, source_mac: bytes
) -> AddressClaimed | None:
    """What a message says about who has an address (RFC 4862 sections 5.4.3 and 5.4.4); None: nothing that counts.

    Another home agent may still stand in for a mobile node that comes over from it, or be asked by it at the same
    time. What comes from the MAC of a virtual router is such a home agent's word, and no claim; but for an
    advertisement as a router, which is for an address of its own.
    """
    mac, is_home_agents = source_mac, source_mac[:5] == _VIRTUAL_MACS
    if isinstance(message, NeighbourAdvertisement):
        if message.solicited:
            return None  # RFC 4861 section 7.1.2: to a multicast address, which is all that is heard here
        mac = _target_mac(message) or source_mac
        is_home_agents = is_home_agents or mac[:5] == _VIRTUAL_MACS
        if message.router:
            return AddressClaimed(message.target, mac)
    elif source != UNSPECIFIED:
        return None  # it looks for somebody
    return None if is_home_agents else AddressClaimed(message.target, mac)


def _target_mac(message: NeighbourAdvertisement) -> bytes | None:
    for option in message.options:
        if isinstance(option, LinkLayerAddress) and option.kind == OptionType.TARGET_LINK_LAYER:
            return option.address[:6]
    return None
