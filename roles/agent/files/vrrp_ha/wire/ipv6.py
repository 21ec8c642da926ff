# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv6 packets down to the upper layer, and the upper layer's checksum.

Owns the fixed header, the extension headers (RFC 8200 section 4), the Home Address option and the type 2
routing header (RFC 6275 sections 6.3 and 6.4) and the pseudo-header that these two change. Knows nothing of
what the upper layer says. Fragments are refused: no message of ours is ever fragmented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from .errors import WireError

Address = bytes  # 16 octets, network order

HOP_BY_HOP = 0
IPV6 = 41
ROUTING = 43
FRAGMENT = 44
ESP = 50
AUTHENTICATION = 51
ICMPV6 = 58
NO_NEXT_HEADER = 59
DESTINATION_OPTIONS = 60
VRRP = 112
MOBILITY = 135

EXTENSION_HEADERS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS))

PAD1 = 0
PADN = 1
HOME_ADDRESS_OPTION = 0xC9
HOME_ADDRESS_ROUTING = 2

HEADER_LENGTH = 40

_FIXED = Struct("!IHBB16s16s")
_PSEUDO_TAIL = Struct("!II")
_VERSION_6 = 6 << 28


@dataclass(frozen=True, slots=True)
class Packet:
    """An IPv6 packet with what its extension headers say about mobility.

    source and destination are those of the fixed header. payload is the whole upper layer, its checksum included.
    """

    source: Address
    destination: Address
    hop_limit: int
    next_header: int  # of the upper layer, whatever extension headers come before it
    payload: bytes = field(repr=False)
    home_address: Address | None = None  # of a Home Address option: who really speaks
    routing_home_address: Address | None = None  # of a type 2 routing header still to be followed: who is meant
    outer_length: int = field(default=0, compare=False)  # octets of the whole packet as received; 0 if made here
    protected: bool = field(default=False, compare=False)  # it came in ESP, which told who sent it

    @property
    def logical_source(self) -> Address:
        """The source in the pseudo-header: the home address where there is one (RFC 6275 section 11.3.1)."""
        return self.home_address or self.source

    @property
    def logical_destination(self) -> Address:
        """The destination in the pseudo-header: the final one (RFC 8200 section 8.1)."""
        return self.routing_home_address or self.destination


@dataclass(frozen=True, slots=True)
class ExtensionHeader:
    """One extension header; data is the whole of it, next header and length included."""

    kind: int
    next_header: int
    offset: int
    data: bytes


def checksum(source: Address, destination: Address, next_header: int, payload: bytes) -> int:
    """The checksum to put into a payload whose checksum field is 0; 0 if the payload is right as it is.

    RFC 8200 section 8.1. A number modulo 0xFFFF is the ones' complement sum of its 16-bit digits, which lets
    one division of a long integer do what a loop would.
    """
    length = len(payload)
    octets = source + destination + _PSEUDO_TAIL.pack(length, next_header) + payload
    if length & 1:
        octets += b"\0"
    return -int.from_bytes(octets, "big") % 0xFFFF


def with_checksum(packet: Packet, offset: int) -> Packet:
    """The packet with the right checksum in the two octets at this offset of its payload."""
    payload = packet.payload[:offset] + b"\0\0" + packet.payload[offset + 2 :]
    value = checksum(packet.logical_source, packet.logical_destination, packet.next_header, payload)
    return Packet(
        packet.source,
        packet.destination,
        packet.hop_limit,
        packet.next_header,
        payload[:offset] + value.to_bytes(2, "big") + payload[offset + 2 :],
        packet.home_address,
        packet.routing_home_address,
        packet.outer_length,
    )


def check_checksum(packet: Packet) -> None:
    """Raise WireError unless the upper layer's checksum is right."""
    if checksum(packet.logical_source, packet.logical_destination, packet.next_header, packet.payload):
        raise WireError("checksum", f"next header {packet.next_header}, {len(packet.payload)} octets")


def decode(data: bytes) -> Packet:
    """The packet at the start of data; what follows its payload length (link padding) is ignored."""
    if len(data) < HEADER_LENGTH:
        raise WireError("truncated", f"{len(data)} octets, an IPv6 header has {HEADER_LENGTH}")
    first, payload_length, next_header, hop_limit, source, destination = _FIXED.unpack_from(data)
    if first >> 28 != 6:
        raise WireError("ip_version", f"version {first >> 28}")
    end = HEADER_LENGTH + payload_length
    if len(data) < end:
        raise WireError("truncated", f"payload length {payload_length}, {len(data) - HEADER_LENGTH} octets there")
    if source[0] == 0xFF:
        raise WireError("source", "a multicast address")
    if next_header not in EXTENSION_HEADERS:
        return Packet(source, destination, hop_limit, next_header, data[HEADER_LENGTH:end], outer_length=end)

    home_address: Address | None = None
    routing_home_address: Address | None = None
    offset = HEADER_LENGTH
    for header in extension_headers(data[:end]):
        if header.kind == ROUTING:
            routing_home_address = _routing_home_address(header)
        elif header.kind == FRAGMENT:
            raise WireError("fragment")
        else:
            home_address = _home_address(header, home_address)
        next_header = header.next_header
        offset = header.offset + len(header.data)
    return Packet(
        source, destination, hop_limit, next_header, data[offset:end], home_address, routing_home_address, end
    )


def extension_headers(data: bytes) -> Iterator[ExtensionHeader]:
    """Every extension header of a packet with a complete fixed header, in order, up to the upper layer."""
    kind = data[6]
    offset = HEADER_LENGTH
    while kind in EXTENSION_HEADERS:
        if kind == HOP_BY_HOP and offset != HEADER_LENGTH:
            raise WireError("extension_header", "hop-by-hop options not first")
        if offset + 8 > len(data):
            raise WireError("truncated", f"extension header {kind} at {offset}")
        length = 8 if kind == FRAGMENT else 8 * (data[offset + 1] + 1)
        if offset + length > len(data):
            raise WireError("truncated", f"extension header {kind} at {offset} has {length} octets")
        header = ExtensionHeader(kind, data[offset], offset, data[offset : offset + length])
        yield header
        kind = header.next_header
        offset += length


def options(header: ExtensionHeader) -> Iterator[tuple[int, bytes]]:
    """The options of a hop-by-hop or destination options header as (type, data), padding included."""
    data = header.data
    offset = 2
    while offset < len(data):
        kind = data[offset]
        if kind == PAD1:
            yield kind, b""
            offset += 1
            continue
        if offset + 2 > len(data) or offset + 2 + data[offset + 1] > len(data):
            raise WireError("option_length", f"option {kind} at {header.offset + offset}")
        end = offset + 2 + data[offset + 1]
        yield kind, data[offset + 2 : end]
        offset = end


def _home_address(header: ExtensionHeader, found: Address | None) -> Address | None:
    """RFC 6275 section 6.3; unknown options as RFC 8200 section 4.2 says."""
    for kind, value in options(header):
        if kind == HOME_ADDRESS_OPTION and header.kind == DESTINATION_OPTIONS:
            if len(value) != 16:
                raise WireError("option_length", f"home address option of {len(value)} octets")
            if found is not None:
                raise WireError("home_address_option", "more than one")
            if value[0] == 0xFF or not any(value):
                raise WireError("home_address_option", "not a unicast address")
            found = value
        elif kind > PADN and kind >> 6:  # the two high bits: 00 is to be skipped, the others to be discarded
            raise WireError("option_unrecognised", f"option 0x{kind:02x}")
    return found


def _routing_home_address(header: ExtensionHeader) -> Address | None:
    """RFC 6275 section 6.4; any other routing header is skipped only when it is used up (RFC 8200 section 4.4)."""
    kind, segments_left = header.data[2], header.data[3]
    if segments_left == 0:
        return None
    if kind != HOME_ADDRESS_ROUTING:
        raise WireError("routing_header", f"type {kind} with {segments_left} segments left")
    if segments_left != 1 or len(header.data) != 24:
        raise WireError("routing_header", f"type 2, {segments_left} segments left, {len(header.data)} octets")
    address = header.data[8:24]
    if address[0] == 0xFF or not any(address):
        raise WireError("routing_header", "not a unicast address")
    return address


def encode(packet: Packet) -> bytes:
    """The bytes of a packet; its routing header (if any) comes before its destination options, as RFC 8200 has it."""
    extension = b""
    next_header = packet.next_header
    if packet.home_address is not None:
        # PadN brings the option to its alignment of 8n + 6.
        extension = bytes((next_header, 2, PADN, 2, 0, 0, HOME_ADDRESS_OPTION, 16)) + packet.home_address
        next_header = DESTINATION_OPTIONS
    if packet.routing_home_address is not None:
        fixed = bytes((next_header, 2, HOME_ADDRESS_ROUTING, 1, 0, 0, 0, 0))
        extension = fixed + packet.routing_home_address + extension
        next_header = ROUTING
    length = len(extension) + len(packet.payload)
    if length > 0xFFFF:
        raise ValueError(f"an IPv6 packet cannot carry {length} octets")
    fixed = _FIXED.pack(_VERSION_6, length, next_header, packet.hop_limit, packet.source, packet.destination)
    return fixed + extension + packet.payload
