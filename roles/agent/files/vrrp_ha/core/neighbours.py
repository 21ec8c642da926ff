# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Master tells its neighbours: where the virtual addresses are, and the home addresses of absent nodes.

Pure functions. Whether anything is to be said at all, and for which targets, is known to virtual_ha.py and
node.py. RFC 9568 sections 6.4.1 and 6.4.2, RFC 6275 section 10.4.1, RFC 4861 section 7.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..wire import icmpv6, ipv6
from ..wire.icmpv6 import LinkLayerAddress, NeighbourAdvertisement, NeighbourSolicitation, OptionType
from .binding_cache import BindingCache
from .effects import SendFrame
from .settings import HomeLink, VirtualHaSettings
from .types import ALL_NODES, FLAG_LINK_LOCAL, UNSPECIFIED, Address, Binding

ALL_NODES_MAC = bytes.fromhex("333300000001")
LINK_LOCAL_PREFIX = bytes.fromhex("fe80000000000000")


def announcements(settings: VirtualHaSettings) -> list[SendFrame]:
    """An unsolicited advertisement for every virtual address, to be sent after a takeover's first ADVERTISEMENT."""
    return [
        _advertise(settings, NeighbourAdvertisement(target, router=True, override=True), ALL_NODES, ALL_NODES_MAC)
        for target in (settings.link_local, *settings.addresses)
    ]


def intercept(settings: VirtualHaSettings, bindings: Iterable[Binding]) -> list[SendFrame]:
    """Claim the home addresses of mobile nodes that have just left the link (RFC 6275 section 10.4.1).

    Nothing where the home prefix is routed, since nobody resolves home addresses there. With the L flag a node's
    link-local address, of the same interface identifier, is claimed as well.
    """
    if settings.home_link is not HomeLink.ON_LINK:
        return []
    return [
        _advertise(settings, NeighbourAdvertisement(target, override=True), ALL_NODES, ALL_NODES_MAC)
        for binding in bindings
        for target in _targets(binding)
    ]


def answer(
    settings: VirtualHaSettings, source: Address, solicitation: NeighbourSolicitation, source_mac: bytes
) -> list[SendFrame]:
    """Answer for (and against Duplicate Address Detection defend) the address of a mobile node that is away.

    The Override flag is clear, as RFC 4861 section 7.2.4 asks of a proxy: a node that came home is believed first.
    """
    option = soliciting_mac(solicitation.options)
    if source == UNSPECIFIED:
        if option is not None:  # RFC 4861 section 7.1.1: not valid
            return []
        advertisement = NeighbourAdvertisement(solicitation.target)
        return [_advertise(settings, advertisement, ALL_NODES, ALL_NODES_MAC)]
    advertisement = NeighbourAdvertisement(solicitation.target, solicited=True)
    return [_advertise(settings, advertisement, source, option or source_mac)]


def stands_in_for(settings: VirtualHaSettings, cache: BindingCache, target: Address) -> bool:
    """Whether an address is that of a mobile node that is away: its home address, or with the L flag its link-local.

    A home address is the home prefix and the node's interface identifier, so that the binding of a link-local
    address is found by its home address. Identifiers have 64 bits (RFC 4291 section 2.5.1); where the home prefix is
    shorter than that, only home addresses of its first /64 are found.
    """
    if target[:8] != LINK_LOCAL_PREFIX:
        return target in cache
    binding = cache.get(settings.prefix[:8] + target[8:])
    return binding is not None and bool(binding.flags & FLAG_LINK_LOCAL) and target != settings.link_local


def _targets(binding: Binding) -> Iterator[Address]:
    yield binding.home_address
    if binding.flags & FLAG_LINK_LOCAL:
        yield LINK_LOCAL_PREFIX + binding.home_address[8:]


def soliciting_mac(options: tuple[icmpv6.Option, ...]) -> bytes | None:
    """The MAC that a solicitation says it is from, if it does."""
    for option in options:
        if isinstance(option, LinkLayerAddress) and option.kind == OptionType.SOURCE_LINK_LAYER:
            return option.address[:6]
    return None


def _advertise(
    settings: VirtualHaSettings, advertisement: NeighbourAdvertisement, destination: Address, destination_mac: bytes
) -> SendFrame:
    message = NeighbourAdvertisement(
        advertisement.target,
        advertisement.router,
        advertisement.solicited,
        advertisement.override,
        (icmpv6.target_link_layer(settings.virtual_mac),),
    )
    return from_virtual_router(settings, message, destination, destination_mac)


def from_virtual_router(
    settings: VirtualHaSettings, message: icmpv6.Message, destination: Address, destination_mac: bytes
) -> SendFrame:
    """From the virtual router's link-local address, with its MAC: right for whoever is Master next, too."""
    packet = ipv6.Packet(
        settings.link_local, destination, icmpv6.ND_HOP_LIMIT, icmpv6.NEXT_HEADER, icmpv6.encode(message)
    )
    whole = ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))
    return SendFrame(settings.vrid, destination_mac, whole)
