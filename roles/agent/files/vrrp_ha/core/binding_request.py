# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Binding Update that may be looked at: what RFC 6275 sections 9.2 and 9.5.1 silently discard is not.

Pure functions of one packet. Whether it is authentic, and what is bound already, is for registration.py to ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..wire import ipv6, mobility
from ..wire.mobility import BindingStatus
from .types import FLAG_HOME_REGISTRATION, Address

NONCE_INDICES_OPTION = 4  # RFC 6275 section 6.2.6


@dataclass(frozen=True, slots=True)
class MobilityReceived:
    """A Mobility Header message came to an address of the virtual HA. The MH checksum is not verified yet."""

    packet: ipv6.Packet
    wall_time_us: int  # microseconds since 1970
    source_mac: bytes | None = field(default=None)  # of the frame, if it came over the home link


class DiscardedError(Exception):
    """The packet is dropped without an answer."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class RefusedError(Exception):
    """The Binding Update is answered with this status and changes nothing."""

    def __init__(
        self, status: BindingStatus, sequence: int | None = None, timestamp: int | None = None, reason: str = ""
    ) -> None:
        self.status = status
        self.sequence = sequence  # None: the Binding Update's own
        self.timestamp = timestamp
        self.reason = reason  # of the operator's policy


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A Binding Update with what its packet says about it."""

    packet: ipv6.Packet
    update: mobility.BindingUpdate
    home_address: Address
    care_of_address: Address
    wall_time_us: int
    source_mac: bytes | None
    authentication: mobility.Authentication | None
    timestamp: mobility.ReplayProtection | None

    @property
    def claims(self) -> tuple[bytes, ...]:
        """The network access identifiers in it (RFC 4283 section 3.1): what the mobile node says that it is called."""
        options = self.update.options
        named = [option for option in options if isinstance(option, mobility.MobileNodeIdentifier)]
        return tuple([option.identifier for option in named if option.subtype == mobility.NAI])


def validate(event: MobilityReceived) -> BindingRequest:
    """RFC 6275 sections 9.2 and 9.5.1: what is silently discarded whoever sent it."""
    packet = event.packet
    if packet.routing_home_address is not None:
        raise DiscardedError("routing_header")  # meant for somebody else; none of ours is at home here
    mobility.check_packet(packet)
    update = mobility.decode(packet.payload)
    if isinstance(update, mobility.UnknownMessage):
        raise DiscardedError("unknown_mobility_type")
    if not isinstance(update, mobility.BindingUpdate):
        raise DiscardedError("mobility_type")
    home_address = packet.logical_source
    if not is_unicast_routable(home_address):
        raise DiscardedError("home_address")
    # Section 6.1.7. The source has to be one as well, being where the answer goes (9.5.4).
    care_of_address = mobility.care_of_address(packet, update)
    if not is_unicast_routable(care_of_address) or not is_unicast_routable(packet.source):
        raise DiscardedError("care_of_address")
    if packet.protected and update.lifetime_us and mobility.first(update.options, mobility.AlternateCareOf) is None:
        raise DiscardedError("care_of_unprotected")  # RFC 3776 section 4.3: ESP does not cover the packet's source
    if update.flags & FLAG_HOME_REGISTRATION:
        for option in update.options:
            if isinstance(option, mobility.UnknownOption) and option.kind == NONCE_INDICES_OPTION:
                raise DiscardedError("nonce_indices")
    return BindingRequest(
        packet,
        update,
        home_address,
        care_of_address,
        event.wall_time_us,
        event.source_mac,
        _mn_ha_option(update),
        mobility.first(update.options, mobility.ReplayProtection),
    )


def is_greater(sequence: int, last: int) -> bool:
    """RFC 6275 section 9.5.1: the last one and the 32768 before it are not."""
    return 0 < (sequence - last) & 0xFFFF < 0x8000


def is_unicast_routable(address: Address) -> bool:
    """Neither multicast nor link-local, nor unspecified, loopback or an IPv4 address in disguise."""
    if address[0] == 0xFF or (address[0] == 0xFE and address[1] & 0xC0 == 0x80):
        return False
    return address[0] != 0 or (any(address[:10]) or address[10:12] not in (b"\0\0", b"\xff\xff"))


def _mn_ha_option(update: mobility.BindingUpdate) -> mobility.Authentication | None:
    """RFC 4285 section 5: at most one, and nothing after it but MN-AAA ones (which are an AAA server's to judge)."""
    found: mobility.Authentication | None = None
    others = False
    for option in update.options:
        if not isinstance(option, mobility.Authentication):
            if found is not None:
                raise DiscardedError("authentication_option")
        elif option.subtype != mobility.MN_HA:
            others = True
        elif found is not None or others:
            raise DiscardedError("authentication_option")
        else:
            found = option
    return found
