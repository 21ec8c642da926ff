# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Binding Acknowledgement (RFC 6275 section 9.5.4): what it says, and by which way it reaches the mobile node."""

from __future__ import annotations

from ..wire import ipv6, mobility
from ..wire.mobility import BindingStatus
from .binding_request import BindingRequest
from .effects import SendFrame, SendPacket
from .settings import MobileNodeKey

HOP_LIMIT = 64


def acknowledge(
    vrid: int,
    request: BindingRequest,
    key: MobileNodeKey | None,
    status: BindingStatus,
    lifetime_us: int,
    sequence: int | None = None,
    timestamp: int | None = None,
) -> SendPacket | SendFrame:
    """To where the Binding Update came from, by the home address unless that is where it came from."""
    options: list[mobility.Option] = []
    identifier = mobility.first(request.update.options, mobility.MobileNodeIdentifier)
    if identifier is not None:
        options.append(identifier)
    if request.timestamp is not None:
        options.append(request.timestamp if timestamp is None else mobility.ReplayProtection(timestamp))
    answer = mobility.BindingAck(
        status, request.update.sequence if sequence is None else sequence, lifetime_us, False, tuple(options)
    )
    if key is None:
        payload = mobility.encode(answer)
    else:
        payload = mobility.encode_authenticated(answer, key.spi, key.key, request.care_of_address, request.home_address)
    came_from = request.packet
    packet = ipv6.Packet(
        source=came_from.destination,
        destination=came_from.source,
        hop_limit=HOP_LIMIT,
        next_header=mobility.NEXT_HEADER,
        payload=payload,
        routing_home_address=came_from.home_address,
    )
    octets = ipv6.encode(ipv6.with_checksum(packet, mobility.CHECKSUM_OFFSET))
    if came_from.source == request.home_address and request.source_mac is not None:
        # Section 10.3.2 asks for this where it is refused: what is bound still, our own route would take to the tunnel.
        # The route of what is bound no more goes as well, but not before this does.
        return SendFrame(vrid, request.source_mac, octets)
    return SendPacket(octets)
