# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""VRRP version 3 for IPv6: the ADVERTISEMENT and the checks that every VRRP message must pass.

RFC 9568 (and, identical on the wire, RFC 5798) section 5. The draft's binding cache messages share the first
eight octets and these checks, but are in bc_sync.py. Which VRIDs exist is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from .errors import WireError
from .ipv6 import VRRP, Address, Packet, check_checksum

NEXT_HEADER = VRRP
HOP_LIMIT = 255
VERSION = 3
ADVERTISEMENT = 1
HEADER_LENGTH = 8
CHECKSUM_OFFSET = 6
CENTISECOND_US = 10_000
MAXIMUM_INTERVAL = 0xFFF

_HEADER = Struct("!BBBBHH")

#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |Version| Type  | Virtual Rtr ID|   Priority    |IPvX Addr Count|
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |Reserve| Max Advertise Interval|          Checksum             |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                       IPvX Address(es)                        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class Advertisement:
    """RFC 9568 section 5.1. The interval is in microseconds here and in centiseconds on the wire."""

    vrid: int
    priority: int
    interval_us: int
    addresses: tuple[Address, ...]


def check_packet(packet: Packet) -> None:
    """RFC 9568 section 7.1, in its order, for any type of VRRP message; the VRID is the caller's to check.

    An unknown type is not refused here, since the types of the binding cache messages are settings.
    """
    if packet.next_header != NEXT_HEADER:
        raise WireError("next_header", f"{packet.next_header}")
    if packet.hop_limit != HOP_LIMIT:
        raise WireError("hop_limit", f"{packet.hop_limit}")
    _unused, kind, _unused = peek(packet.payload)
    if kind == ADVERTISEMENT:
        _check_length(packet.payload)
    check_checksum(packet)


def peek(payload: bytes) -> tuple[int, int, int]:
    """(version, type, VRID) of any VRRP message; WireError unless it has a whole header and version 3."""
    if len(payload) < HEADER_LENGTH:
        raise WireError("truncated", f"VRRP message of {len(payload)} octets")
    version = payload[0] >> 4
    if version != VERSION:
        raise WireError("version", f"VRRP version {version}")
    return version, payload[0] & 0xF, payload[1]


def _check_length(payload: bytes) -> None:
    count = payload[3]
    if count == 0:
        raise WireError("address_count", "0")
    if len(payload) != HEADER_LENGTH + 16 * count:
        raise WireError("length", f"{count} addresses in {len(payload)} octets")


def decode(payload: bytes) -> Advertisement:
    """An ADVERTISEMENT; reserved bits are ignored (RFC 9568 section 5.2.6), the checksum was checked before."""
    _unused, kind, vrid = peek(payload)
    if kind != ADVERTISEMENT:
        raise WireError("type", f"VRRP type {kind}")
    _check_length(payload)
    interval = int.from_bytes(payload[4:6], "big") & MAXIMUM_INTERVAL
    addresses = tuple([payload[at : at + 16] for at in range(HEADER_LENGTH, len(payload), 16)])
    return Advertisement(vrid, payload[2], interval * CENTISECOND_US, addresses)


def encode(advertisement: Advertisement) -> bytes:
    """The payload of an ADVERTISEMENT with its checksum still 0; the interval is rounded down to centiseconds."""
    interval = advertisement.interval_us // CENTISECOND_US
    if not 0 <= interval <= MAXIMUM_INTERVAL:
        raise ValueError(f"an interval of {interval} centiseconds does not fit 12 bits")
    count = len(advertisement.addresses)
    if not 1 <= count <= 255:
        raise ValueError(f"an advertisement cannot carry {count} addresses")
    first = VERSION << 4 | ADVERTISEMENT
    header = _HEADER.pack(first, advertisement.vrid, advertisement.priority, count, interval, 0)
    return header + b"".join(advertisement.addresses)
