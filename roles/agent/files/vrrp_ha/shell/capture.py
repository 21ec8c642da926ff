# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture files as tcpdump and Wireshark write them: classic pcap and pcapng.

Yields frames, and finds the IPv6 packet in a frame. The formats are those of the IETF's opsawg drafts
(draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, draft-ietf-opsawg-pcaplinktype).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error, unpack_from

ETHERNET = 1
RAW = 101
LINUX_SLL = 113
IPV6 = 229
LINUX_SLL2 = 276

ETHERTYPE_IPV6 = 0x86DD
VLAN_TAGS = frozenset((0x8100, 0x88A8))

_PCAP_MAGICS = {  # the first four octets: byte order, ticks a second
    b"\xa1\xb2\xc3\xd4": (">", 1_000_000),
    b"\xd4\xc3\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\x3c\x4d": (">", 1_000_000_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1_000_000_000),
}
_SECTION_HEADER = b"\x0a\x0d\x0d\x0a"  # reads the same in both byte orders
_INTERFACE, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 3, 6
_TIME_RESOLUTION_OPTION = 9


class CaptureError(ValueError):
    """The file is no capture, or is damaged."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame. number counts from 1 in the file."""

    number: int
    time_ns: int | None
    link_type: int
    data: bytes
    original_length: int


def read(data: bytes) -> Iterator[Frame]:
    """Every frame of a capture file's content; CaptureError where it goes wrong."""
    if data[:4] in _PCAP_MAGICS:
        yield from _read_pcap(data)
    elif data[:4] == _SECTION_HEADER:
        yield from _read_pcapng(data)
    else:
        raise CaptureError("not a pcap or pcapng file")


def _read_pcap(data: bytes) -> Iterator[Frame]:
    order, ticks = _PCAP_MAGICS[data[:4]]
    if len(data) < 24:
        raise CaptureError("the file header is cut short")
    # The upper bits may tell of a frame check sequence, which nothing here minds.
    link_type = unpack_from(order + "I", data, 20)[0] & 0xFFFF
    record = Struct(order + "IIII")
    offset, number = 24, 0
    while offset < len(data):
        number += 1
        if offset + record.size > len(data):
            raise CaptureError(f"packet {number}: the record header is cut short")
        seconds, fraction, captured, original = record.unpack_from(data, offset)
        offset += record.size
        if offset + captured > len(data):
            raise CaptureError(f"packet {number}: the file ends within it")
        time_ns = seconds * 1_000_000_000 + fraction * (1_000_000_000 // ticks)
        yield Frame(number, time_ns, link_type, data[offset : offset + captured], original)
        offset += captured


def _read_pcapng(data: bytes) -> Iterator[Frame]:
    order, interfaces = "<", list[tuple[int, int]]()  # (link type, ticks a second)
    offset, number = 0, 0
    while offset < len(data):
        if data[offset : offset + 4] == _SECTION_HEADER:
            order = ">" if data[offset + 8 : offset + 12] == b"\x1a\x2b\x3c\x4d" else "<"
            interfaces = []
        if offset + 12 > len(data):
            raise CaptureError(f"after packet {number}: a block is cut short")
        kind, length = unpack_from(order + "II", data, offset)
        if length < 12 or length % 4 or offset + length > len(data):
            raise CaptureError(f"after packet {number}: a block of {length} octets is damaged or cut short")
        body = data[offset + 8 : offset + length - 4]
        offset += length
        try:
            if kind == _INTERFACE:
                interfaces.append((unpack_from(order + "H", body)[0], _ticks(order, body)))
            elif kind in (_ENHANCED_PACKET, _SIMPLE_PACKET):
                number += 1
                yield _pcapng_frame(number, order, kind, body, interfaces)
        except (error, IndexError) as problem:
            raise CaptureError(f"after packet {number}: a damaged block") from problem


def _ticks(order: str, body: bytes) -> int:
    """The if_tsresol option of an interface description; a million where it has none."""
    offset = 8
    while offset + 4 <= len(body):
        kind, length = unpack_from(order + "HH", body, offset)
        if kind == _TIME_RESOLUTION_OPTION and length == 1:
            exponent = body[offset + 4]
            return int(2 ** (exponent & 0x7F)) if exponent & 0x80 else int(10**exponent)
        offset += 4 + length + -length % 4
    return 1_000_000


def _pcapng_frame(number: int, order: str, kind: int, body: bytes, interfaces: list[tuple[int, int]]) -> Frame:
    if kind == _SIMPLE_PACKET:
        link_type, _unused = interfaces[0]
        original = unpack_from(order + "I", body)[0]
        return Frame(number, None, link_type, body[4 : 4 + original], original)
    interface, high, low, captured, original = unpack_from(order + "IIIII", body)
    link_type, ticks = interfaces[interface]
    if 20 + captured > len(body):
        raise CaptureError(f"packet {number}: longer than its block")
    time_ns = (high << 32 | low) * 1_000_000_000 // ticks
    return Frame(number, time_ns, link_type, body[20 : 20 + captured], original)


# Where the EtherType stands, and where the packet begins.
_LINK_HEADERS = {ETHERNET: (12, 14), LINUX_SLL: (14, 16), LINUX_SLL2: (0, 20)}


def ipv6_packet(frame: Frame) -> bytes | None:
    """The frame without its link layer; None if it carries something else than IPv6."""
    data = frame.data
    if frame.link_type == IPV6:
        return data
    if frame.link_type == RAW:
        return data if not data or data[0] >> 4 == 6 else None
    if frame.link_type not in _LINK_HEADERS:
        raise CaptureError(f"packet {frame.number}: link type {frame.link_type} is not known here")
    type_at, packet_at = _LINK_HEADERS[frame.link_type]
    ethertype = int.from_bytes(data[type_at : type_at + 2], "big")
    while ethertype in VLAN_TAGS:
        ethertype = int.from_bytes(data[packet_at + 2 : packet_at + 4], "big")
        packet_at += 4
    return data[packet_at:] if ethertype == ETHERTYPE_IPV6 else None
