# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start of a tunnel packet, as an ICMPv6 error quotes it: outer headers and the original packet (RFC 2473).

Quoted is as much as fitted into the error, so that everything behind the original header may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import ipv6
from .errors import WireError
from .ipv6 import Address

ENCAPSULATION_LIMIT_OPTION = 4
_REDIRECT = 137
_LOWEST_INFORMATIONAL = 128
_FRAGMENT_OFFSET = 0xFFF8


# +----------------------------------//-----+
# | Original | Original                     |
# | Header   | Payload                      |
# +----------------------------------//-----+
#  < Original IPv6 Packet           >
#
# +---------+ - - - - - +-------------------------//--------------+
# | IPv6    | Tunnel    | Original                                |
# | Header  | Encap.    | Packet                                  |
# |         | Limit     |                                         |
# +---------+ - - - - - +-------------------------//--------------+


@dataclass(frozen=True, slots=True)
class QuotedTunnelPacket:
    """RFC 2473 section 3.1: a tunnel packet, cut off somewhere behind the original header."""

    source: Address
    destination: Address
    headers: int  # octets before the original packet
    limit_at: int | None  # where the value of a Tunnel Encapsulation Limit is
    original: bytes = field(repr=False)

    @property
    def original_source(self) -> Address:
        """Who sent the original packet."""
        return self.original[8:24]

    @property
    def original_destination(self) -> Address:
        """Whom it was for."""
        return self.original[24:40]

    @property
    def original_length(self) -> int:
        """The octets that the original packet had, quoted or not."""
        return ipv6.HEADER_LENGTH + int.from_bytes(self.original[4:6], "big")


def decode_quoted(data: bytes) -> QuotedTunnelPacket:
    """What an error's invoking packet says; WireError unless it is IPv6 in IPv6.

    A Limit may be in between, or the header of a first fragment: what the kernel has reassembled it sends in fragments.
    """
    if len(data) < ipv6.HEADER_LENGTH or data[0] >> 4 != 6:
        raise WireError("quoted", "no IPv6 packet")
    next_header, offset, limit_at = data[6], ipv6.HEADER_LENGTH, None
    for header in ipv6.extension_headers(data):
        if header.kind == ipv6.DESTINATION_OPTIONS:
            limit_at = _limit_at(header)
        elif header.kind != ipv6.FRAGMENT or _is_rest(header):
            raise WireError("quoted", "no start of a tunnel packet")
        next_header, offset = header.next_header, header.offset + len(header.data)
    if next_header != ipv6.IPV6:
        raise WireError("quoted", "no tunnel packet")
    original = data[offset:]
    if len(original) < ipv6.HEADER_LENGTH or original[0] >> 4 != 6:
        raise WireError("quoted", "no original packet")
    return QuotedTunnelPacket(data[8:24], data[24:40], offset, limit_at, original)


def _limit_at(header: ipv6.ExtensionHeader) -> int | None:
    """RFC 2473 section 4.1.1; walked by hand, since the place counts."""
    at = 2
    for kind, value in ipv6.options(header):
        if kind == ENCAPSULATION_LIMIT_OPTION and len(value) == 1:
            return header.offset + at + 2
        at += 1 if kind == ipv6.PAD1 else 2 + len(value)
    return None


def _is_rest(fragment: ipv6.ExtensionHeader) -> bool:
    """It has not the start of the packet."""
    return bool(int.from_bytes(fragment.data[2:4], "big") & _FRAGMENT_OFFSET)


def may_be_answered(original: bytes) -> bool:
    """RFC 4443 section 2.4 (e): no error is sent about an error or a Redirect, nor about what cannot be told from one.

    The addresses, of which it speaks as well, are the caller's to look at.
    """
    kind, offset = original[6], ipv6.HEADER_LENGTH
    try:
        for header in ipv6.extension_headers(original):
            kind, offset = header.next_header, header.offset + len(header.data)
            if header.kind == ipv6.FRAGMENT and _is_rest(header):
                return kind != ipv6.ICMPV6
    except WireError:
        return False
    if kind != ipv6.ICMPV6:
        return True
    return offset < len(original) and original[offset] >= _LOWEST_INFORMATIONAL and original[offset] != _REDIRECT
