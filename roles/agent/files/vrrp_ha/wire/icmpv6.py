# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMPv6 as a home agent needs it: neighbours, routers, home agent discovery, mobile prefixes, errors.

RFC 4861 section 4, RFC 6275 sections 6.5 to 6.8 and 7, RFC 4443 section 3. Options of Neighbor Discovery are in
nd_options.py. What may be answered, and by whom, is for core/ to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct

from .errors import WireError
from .ipv6 import ICMPV6, Address, Packet, check_checksum
from .nd_options import (
    AdvertisementInterval,
    HomeAgentInformation,
    LinkLayerAddress,
    Mtu,
    Nonce,
    Option,
    OptionType,
    PrefixInformation,
    UnknownOption,
    decode_options,
    encode_options,
    first,
    source_link_layer,
    target_link_layer,
)

# Of nd_options.py, for whoever speaks of these messages.
__all__ = [
    "AdvertisementInterval",
    "HomeAgentInformation",
    "LinkLayerAddress",
    "Mtu",
    "Nonce",
    "Option",
    "OptionType",
    "PrefixInformation",
    "UnknownOption",
    "first",
    "source_link_layer",
    "target_link_layer",
]

NEXT_HEADER = ICMPV6
CHECKSUM_OFFSET = 2
FIXED_LENGTH = 4
ND_HOP_LIMIT = 255
SECOND_US = 1_000_000
MILLISECOND_US = 1_000

ROUTER = 0x80
SOLICITED = 0x40
OVERRIDE = 0x20

MANAGED = 0x80
OTHER = 0x40
HOME_AGENT = 0x20


class MessageType(IntEnum):
    """The ICMPv6 types that are understood here."""

    DESTINATION_UNREACHABLE = 1
    PACKET_TOO_BIG = 2
    TIME_EXCEEDED = 3
    PARAMETER_PROBLEM = 4
    ROUTER_SOLICITATION = 133
    ROUTER_ADVERTISEMENT = 134
    NEIGHBOUR_SOLICITATION = 135
    NEIGHBOUR_ADVERTISEMENT = 136
    DISCOVERY_REQUEST = 144
    DISCOVERY_REPLY = 145
    PREFIX_SOLICITATION = 146
    PREFIX_ADVERTISEMENT = 147


NEIGHBOUR_DISCOVERY = frozenset(range(MessageType.ROUTER_SOLICITATION, 138))  # Redirect (137) included


@dataclass(frozen=True, slots=True)
class IcmpError:
    """RFC 4443 section 3: types 1 to 4. value: the MTU of type 2, the pointer of type 4."""

    kind: int
    code: int
    value: int
    invoking: bytes = field(repr=False)  # as much of the packet as fitted


@dataclass(frozen=True, slots=True)
class RouterSolicitation:
    """RFC 4861 section 4.1."""

    options: tuple[Option, ...] = ()


# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |     Type      |     Code      |          Checksum             |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# | Cur Hop Limit |M|O|H| Reserved|       Router Lifetime         |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                         Reachable Time                        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                          Retrans Timer                        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class RouterAdvertisement:
    """RFC 4861 section 4.2 with the H bit of RFC 6275 section 7.1."""

    current_hop_limit: int = 0
    managed: bool = False
    other: bool = False
    home_agent: bool = False
    router_lifetime_us: int = 0
    reachable_time_us: int = 0
    retransmit_us: int = 0
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class NeighbourSolicitation:
    """RFC 4861 section 4.3."""

    target: Address
    options: tuple[Option, ...] = ()


# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |     Type      |     Code      |          Checksum             |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |R|S|O|                     Reserved                            |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                   Target Address (16 octets)                  |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class NeighbourAdvertisement:
    """RFC 4861 section 4.4."""

    target: Address
    router: bool = False
    solicited: bool = False
    override: bool = False
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscoveryRequest:
    """RFC 6275 section 6.5: which home agents are there?"""

    identifier: int


@dataclass(frozen=True, slots=True)
class DiscoveryReply:
    """RFC 6275 section 6.6: these are, the best first."""

    identifier: int
    home_agents: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class PrefixSolicitation:
    """RFC 6275 section 6.7."""

    identifier: int
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class PrefixAdvertisement:
    """RFC 6275 section 6.8."""

    identifier: int
    managed: bool = False
    other: bool = False
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A type that is not understood here."""

    kind: int
    code: int
    data: bytes  # everything after the checksum


Message = (
    IcmpError
    | RouterSolicitation
    | RouterAdvertisement
    | NeighbourSolicitation
    | NeighbourAdvertisement
    | DiscoveryRequest
    | DiscoveryReply
    | PrefixSolicitation
    | PrefixAdvertisement
    | UnknownMessage
)

_ERROR = Struct("!I")
_ROUTER = Struct("!BBHII")
_IDENTIFIED = Struct("!HH")


def check_packet(packet: Packet) -> None:
    """Checksum, and the hop limit of 255 that Neighbor Discovery asks for (RFC 4861 sections 6.1 and 7.1)."""
    if packet.next_header != NEXT_HEADER:
        raise WireError("next_header", f"{packet.next_header}")
    payload = packet.payload
    if len(payload) < FIXED_LENGTH:
        raise WireError("truncated", f"ICMPv6 message of {len(payload)} octets")
    if payload[0] in NEIGHBOUR_DISCOVERY and packet.hop_limit != ND_HOP_LIMIT:
        raise WireError("hop_limit", f"{packet.hop_limit}")
    check_checksum(packet)


def decode(payload: bytes) -> Message:
    """A message whose packet was checked; reserved bits are ignored."""
    if len(payload) < FIXED_LENGTH:
        raise WireError("truncated", f"ICMPv6 message of {len(payload)} octets")
    kind, code = payload[0], payload[1]
    minimum = _MINIMUM_LENGTHS.get(kind)
    if minimum is None:
        return UnknownMessage(kind, code, payload[4:])
    if len(payload) < minimum:
        raise WireError("truncated", f"ICMPv6 type {kind} of {len(payload)} octets")
    if kind <= MessageType.PARAMETER_PROBLEM:
        return IcmpError(kind, code, _ERROR.unpack_from(payload, 4)[0], payload[8:])
    if code != 0:
        raise WireError("code", f"ICMPv6 type {kind} with code {code}")
    if kind in NEIGHBOUR_DISCOVERY:
        return _decode_neighbour_discovery(kind, payload)
    identifier, bits = _IDENTIFIED.unpack_from(payload, 4)
    if kind == MessageType.DISCOVERY_REQUEST:
        return DiscoveryRequest(identifier)
    if kind == MessageType.DISCOVERY_REPLY:
        if len(payload) % 16 != 8:
            raise WireError("length", f"home agent addresses in {len(payload) - 8} octets")
        return DiscoveryReply(identifier, tuple([payload[at : at + 16] for at in range(8, len(payload), 16)]))
    options = decode_options(payload, 8)
    if kind == MessageType.PREFIX_SOLICITATION:
        return PrefixSolicitation(identifier, options)
    return PrefixAdvertisement(identifier, bool(bits >> 8 & MANAGED), bool(bits >> 8 & OTHER), options)


def _decode_neighbour_discovery(kind: int, payload: bytes) -> Message:
    options = decode_options(payload, _MINIMUM_LENGTHS[kind])
    if kind == MessageType.ROUTER_SOLICITATION:
        return RouterSolicitation(options)
    if kind == MessageType.ROUTER_ADVERTISEMENT:
        hop_limit, flags, lifetime, reachable, retransmit = _ROUTER.unpack_from(payload, 4)
        return RouterAdvertisement(
            hop_limit,
            bool(flags & MANAGED),
            bool(flags & OTHER),
            bool(flags & HOME_AGENT),
            lifetime * SECOND_US,
            reachable * MILLISECOND_US,
            retransmit * MILLISECOND_US,
            options,
        )
    target = payload[8:24]
    if target[0] == 0xFF:  # RFC 4861 sections 7.1.1 and 7.1.2
        raise WireError("target", "a multicast address")
    if kind == MessageType.NEIGHBOUR_SOLICITATION:
        return NeighbourSolicitation(target, options)
    flags = payload[4]
    return NeighbourAdvertisement(
        target, bool(flags & ROUTER), bool(flags & SOLICITED), bool(flags & OVERRIDE), options
    )


# Where the options (or addresses, or the invoking packet) begin.
_MINIMUM_LENGTHS: dict[int, int] = {
    MessageType.DESTINATION_UNREACHABLE: 8,
    MessageType.PACKET_TOO_BIG: 8,
    MessageType.TIME_EXCEEDED: 8,
    MessageType.PARAMETER_PROBLEM: 8,
    MessageType.ROUTER_SOLICITATION: 8,
    MessageType.ROUTER_ADVERTISEMENT: 16,
    MessageType.NEIGHBOUR_SOLICITATION: 24,
    MessageType.NEIGHBOUR_ADVERTISEMENT: 24,
    MessageType.DISCOVERY_REQUEST: 8,
    MessageType.DISCOVERY_REPLY: 8,
    MessageType.PREFIX_SOLICITATION: 8,
    MessageType.PREFIX_ADVERTISEMENT: 8,
}


def options_offset(payload: bytes) -> int | None:
    """Where the options of a message begin; None for a type that has none."""
    if payload[0] in NEIGHBOUR_DISCOVERY or payload[0] in (146, 147):
        return _MINIMUM_LENGTHS.get(payload[0])
    return None


def encode(message: Message) -> bytes:
    """The payload with its checksum still 0; times are rounded down to seconds or milliseconds."""
    match message:
        case NeighbourAdvertisement(target, router, solicited, override, options):
            flags = ROUTER * router | SOLICITED * solicited | OVERRIDE * override
            data = bytes((flags, 0, 0, 0)) + target + encode_options(options)
            return _encode(MessageType.NEIGHBOUR_ADVERTISEMENT, data)
        case NeighbourSolicitation(target, options):
            return _encode(MessageType.NEIGHBOUR_SOLICITATION, bytes(4) + target + encode_options(options))
        case RouterSolicitation(options):
            return _encode(MessageType.ROUTER_SOLICITATION, bytes(4) + encode_options(options))
        case RouterAdvertisement(hop_limit, managed, other, home_agent, lifetime, reachable, retransmit, options):
            flags = MANAGED * managed | OTHER * other | HOME_AGENT * home_agent
            times = (lifetime // SECOND_US, reachable // MILLISECOND_US, retransmit // MILLISECOND_US)
            data = _ROUTER.pack(hop_limit, flags, *times) + encode_options(options)
            return _encode(MessageType.ROUTER_ADVERTISEMENT, data)
        case DiscoveryRequest(identifier):
            return _encode(MessageType.DISCOVERY_REQUEST, _IDENTIFIED.pack(identifier, 0))
        case DiscoveryReply(identifier, home_agents):
            data = _IDENTIFIED.pack(identifier, 0) + b"".join(home_agents)
            return _encode(MessageType.DISCOVERY_REPLY, data)
        case PrefixSolicitation(identifier, options):
            data = _IDENTIFIED.pack(identifier, 0) + encode_options(options)
            return _encode(MessageType.PREFIX_SOLICITATION, data)
        case PrefixAdvertisement(identifier, managed, other, options):
            flags = MANAGED * managed | OTHER * other
            data = _IDENTIFIED.pack(identifier, flags << 8) + encode_options(options)
            return _encode(MessageType.PREFIX_ADVERTISEMENT, data)
        case IcmpError(kind, code, value, invoking):
            return _encode(kind, _ERROR.pack(value) + invoking, code)
        case UnknownMessage(kind, code, data):
            return _encode(kind, data, code)


def _encode(kind: int, data: bytes, code: int = 0) -> bytes:
    return bytes((kind, code, 0, 0)) + data
