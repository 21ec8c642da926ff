# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which virtual HA a packet is for: the checks of the IPv6, VRRP and ICMPv6 layers, then by destination and type.

What is wrong with a packet is raised as WireError; node.py counts it under its reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..wire import icmpv6, ipv6, vrrp
from ..wire.errors import WireError
from . import address_detection, binding_error, neighbours
from .anycast_neighbour import AnycastSolicited
from .discovery import Discovery
from .events import PacketReceived
from .ipsec import Ipsec
from .prefix_advertiser import PrefixSolicited
from .roster import Roster
from .router_advertiser import Randomness, SolicitationReceived
from .settings import HomeLink, SyncSettings
from .types import UNSPECIFIED, Instant


class Reception:
    """Takes packets in and gives them to the virtual HAs of the roster."""

    def __init__(self, roster: Roster, sync: SyncSettings, ipsec: Ipsec, rng: Randomness) -> None:
        self._roster = roster
        self._ipsec = ipsec
        self.discovery = Discovery(roster, rng)
        self.reconfigure(sync)

    def reconfigure(self, sync: SyncSettings) -> None:
        """The VRRP message types of the binding cache's synchronisation are these from now on."""
        self._sync_types = (sync.request_type, sync.update_type, sync.digest_type)

    def received(self, event: PacketReceived, now: Instant) -> Iterator[object]:
        """What is to be done about a packet; WireError if it is not a good one, or for nobody here."""
        packet = self._ipsec.inbound(ipv6.decode(event.packet))
        if binding_error.needs_binding(packet):
            yield from self._with_home_address(event, packet, now)
            return
        match packet.next_header:
            case vrrp.NEXT_HEADER:
                yield from self._vrrp(event.interface, packet, now)
            case ipv6.MOBILITY | ipv6.ESP:
                yield from self._signal(event, packet, now)
            case ipv6.ICMPV6:
                yield from self._icmpv6(event, packet, now)

    # --- VRRP ----------------------------------------------------------------------------------------------

    def _vrrp(self, interface: str, packet: ipv6.Packet, now: Instant) -> Iterator[object]:
        """RFC 9568 section 7.1, in its order; then by message type."""
        link = self._roster.links.get(interface)
        if link is None or packet.source == link.link_local:
            return
        vrrp.check_packet(packet)
        _version, kind, vrid = vrrp.peek(packet.payload)
        virtual_ha = self._roster.find(vrid)
        if virtual_ha is None or virtual_ha.settings.interface != interface:
            raise WireError("vrid_not_configured", str(vrid))
        attend = self._roster.attend
        if kind == vrrp.ADVERTISEMENT:
            yield from attend(virtual_ha, virtual_ha.advert(packet.source, vrrp.decode(packet.payload), now))
        elif virtual_ha.settings.mipv6_ha_mode and kind in self._sync_types:
            yield from attend(virtual_ha, virtual_ha.sync_message(packet.source, packet.payload, now))
        else:
            raise WireError("vrrp_type", str(kind))

    # --- mobility signalling -------------------------------------------------------------------------------

    def _signal(self, event: PacketReceived, packet: ipv6.Packet, now: Instant) -> Iterator[object]:
        """From a mobile node, or about what was sent to one."""
        virtual_ha = self._roster.find_address(packet.destination)
        if virtual_ha and virtual_ha.settings.mipv6_ha_mode:
            caused = self._roster.attend(virtual_ha, virtual_ha.signal(event, packet, now))
            yield from self._roster.spread(caused, now)

    def _with_home_address(self, event: PacketReceived, packet: ipv6.Packet, now: Instant) -> Iterator[object]:
        """RFC 6275 section 9.3.1: what is not about a registration, from who says to be a mobile node that has one."""
        virtual_ha = self._roster.find_address(packet.destination)
        is_bound = virtual_ha is not None and binding_error.is_bound_there(packet, virtual_ha.cache)
        if is_bound and packet.next_header == ipv6.ICMPV6:
            yield from self._icmpv6(event, packet, now)
        else:
            yield from self._signal(event, packet, now)

    # --- ICMPv6 --------------------------------------------------------------------------------------------

    def _icmpv6(self, event: PacketReceived, packet: ipv6.Packet, now: Instant) -> Iterator[object]:
        icmpv6.check_packet(packet)
        match icmpv6.decode(packet.payload):
            case icmpv6.NeighbourSolicitation() as message:
                yield from self._claim(event, packet, message, now)
                yield from self._neighbour_solicitation(event, packet, message, now)
            case icmpv6.NeighbourAdvertisement() as message:
                yield from self._claim(event, packet, message, now)
            case icmpv6.RouterSolicitation() as message:
                yield from self._router_solicitation(event, packet, message, now)
            case icmpv6.IcmpError():
                yield from self._signal(event, packet, now)
            case icmpv6.RouterAdvertisement() as message:
                yield from self.discovery.advertised(event.interface, packet.source, message, now)
            case icmpv6.DiscoveryRequest() as message:
                yield from self.discovery.requested(packet, message, now)
            case icmpv6.PrefixSolicitation() as message:
                yield from self._prefix_solicitation(packet, message, now)

    def _claim(
        self,
        event: PacketReceived,
        packet: ipv6.Packet,
        message: icmpv6.NeighbourAdvertisement | icmpv6.NeighbourSolicitation,
        now: Instant,
    ) -> Iterator[object]:
        """RFC 4862 section 5.4: a neighbour says that it has an address, or that it is about to."""
        claimed = address_detection.claim(message, packet.source, event.source_mac)
        for virtual_ha in self._roster.on(event.interface):
            if claimed and virtual_ha.signalling.tentative:
                yield from self._roster.attend(virtual_ha, virtual_ha.claimed(claimed, now))

    def _neighbour_solicitation(
        self, event: PacketReceived, packet: ipv6.Packet, message: icmpv6.NeighbourSolicitation, now: Instant
    ) -> Iterator[object]:
        """RFC 6275 section 10.4.1: the home agent answers for the addresses of mobile nodes that are away."""
        link = self._roster.links.get(event.interface)
        if link and (
            message.target == link.link_local or message.target in link.addresses
        ):  # whatever is bound: this is the kernel's to answer
            return
        at_anycast = self.discovery.at_anycast(message.target)
        if at_anycast and at_anycast.settings.interface == event.interface:
            mac = neighbours.soliciting_mac(message.options)
            if mac is None or packet.source != UNSPECIFIED:
                question = AnycastSolicited(packet.source, mac or event.source_mac)
                yield from self._roster.attend(at_anycast, at_anycast.asked(question, now))
            return
        for virtual_ha in self._roster.on(event.interface):
            settings = virtual_ha.settings
            if not (virtual_ha.serving and settings.mipv6_ha_mode and settings.home_link is HomeLink.ON_LINK):
                continue
            is_test = packet.source == UNSPECIFIED
            defended = is_test and virtual_ha.signalling.defends(message.target, now)
            if defended or neighbours.stands_in_for(settings, virtual_ha.cache, message.target):
                yield from neighbours.answer(settings, packet.source, message, event.source_mac)
                return

    def _router_solicitation(
        self, event: PacketReceived, packet: ipv6.Packet, message: icmpv6.RouterSolicitation, now: Instant
    ) -> Iterator[object]:
        """RFC 4861 section 6.1.1, then to those that it is for: every virtual router of the link, or the one named."""
        if packet.source == UNSPECIFIED and neighbours.soliciting_mac(message.options) is not None:
            raise WireError("source_link_layer", "of the unspecified address")
        for virtual_ha in self._roster.on(event.interface):
            if packet.destination[0] == 0xFF or packet.destination == virtual_ha.settings.link_local:
                yield from self._roster.attend(virtual_ha, virtual_ha.asked(SolicitationReceived(), now))

    def _prefix_solicitation(
        self, packet: ipv6.Packet, message: icmpv6.PrefixSolicitation, now: Instant
    ) -> Iterator[object]:
        """RFC 6275 section 6.7: a Home Address option MUST be there."""
        virtual_ha = self._roster.find_address(packet.destination)
        if virtual_ha is None or not virtual_ha.settings.mipv6_ha_mode:
            return
        if packet.home_address is None or packet.routing_home_address is not None:
            raise WireError("home_address_option", "none in a Mobile Prefix Solicitation, or for somebody else")
        question = PrefixSolicited(packet.source, packet.destination, packet.home_address, message.identifier)
        yield from self._roster.attend(virtual_ha, virtual_ha.asked(question, now))
