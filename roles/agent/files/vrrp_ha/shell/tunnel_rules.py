# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packet filter does to tunnel packets that are let through: hop limits, segment sizes, reassembly.

The kernel gives an outer header the hop limit of the inner one and counts down the outer alone, so that a mobile node
far away could not be reached by who is near, and a traceroute would show the inside of the tunnel. RFC 2473 sections
3.1 and 6.3 have it the other way round. When a packet leaves, its inner hop limit becomes what the kernel has made of
the outer one, and the outer one is set.

Segment sizes are looked for where TCP's first option is, which is where every system puts this one, in packets without
inner extension headers; whatever else is too big is told so by ICMPv6.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import nftables as nft

_HOP_LIMIT_AT, _INNER_HOP_LIMIT_AT = 7, 47
_INNER_SOURCE_AT = 48
_TCP = b"\6"
_SYN, _SYN_RST = b"\2", b"\6"
_MAXIMUM_SEGMENT = b"\2\4"  # kind and length of the option
# From the inner IPv6 header on, which is the outer one's transport header.
_NEXT_HEADER_AT = 6
_FLAGS_AT = 40 + 13
_CHECKSUM_AT = 40 + 16
_OPTION_AT = 40 + 20

Rule = tuple[bytes, ...]


def leaving(hop_limit: int) -> Iterable[Rule]:
    """Hop limits of a packet that goes into a tunnel."""
    yield nft.load("network", _HOP_LIMIT_AT, 1), nft.store("network", _INNER_HOP_LIMIT_AT, 1)
    yield nft.constant(bytes((hop_limit,))), nft.store("network", _HOP_LIMIT_AT, 1)


def from_link_local() -> Rule:
    """Go on only if what goes into a tunnel is from an address that means nothing at its other end."""
    return nft.load("network", _INNER_SOURCE_AT, 2), nft.mask(b"\xff\xc0"), nft.equal(b"\xfe\x80")


def clamp(maximum_segment: int) -> Rule:
    """No end of a new TCP connection is to send larger segments; for packets of protocol 41 only."""
    size = maximum_segment.to_bytes(2, "big")
    return (
        nft.load("transport", _NEXT_HEADER_AT, 1),
        nft.equal(_TCP),
        nft.load("transport", _FLAGS_AT, 1),
        nft.mask(_SYN_RST),
        nft.equal(_SYN),
        nft.load("transport", _OPTION_AT, 2),
        nft.equal(_MAXIMUM_SEGMENT),
        nft.load("transport", _OPTION_AT + 2, 2),
        nft.greater(size),
        nft.constant(size),
        nft.store("transport", _OPTION_AT + 2, 2, checksum_at=_CHECKSUM_AT),
    )


def reassembly() -> Rule:
    """That this rule exists, in a chain that no packet enters, makes the kernel reassemble before it filters.

    Connection tracking has the same effect and costs every packet of the host much more.
    """
    return *nft.protocol(_TCP[0]), nft.constant(b"\0\1"), nft.transparent_proxy()
