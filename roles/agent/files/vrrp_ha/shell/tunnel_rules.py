# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packet filter does to tunnel packets: who may send what, hop limits, segment sizes, reassembly.

The kernel gives an outer header the hop limit of the inner one and counts down the outer alone, so that a mobile node
far away could not be reached by who is near, and a traceroute would show the inside of the tunnel. RFC 2473 sections
3.1 and 6.3 have it the other way round. When a packet leaves, its inner hop limit becomes what the kernel has made of
the outer one, and the outer one is set.

Segment sizes are looked for where TCP's first option is, which is where every system puts this one, in packets without
inner extension headers; whatever else is too big is told so by ICMPv6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import nftables as nft

_IPV6, _DESTINATION_OPTIONS = b"\x29", b"\x3c"
_NEXT_HEADER_AT, _HOP_LIMIT_AT, _SOURCE_AT, _DESTINATION_AT = 6, 7, 8, 24
_HEADER = 40
_LIMIT = 8  # RFC 2473 section 4.1.1: a destination options header that some tunnels put in between
_LIMIT_HEADER = b"\x29\0\4\1"  # next header, length, option type and length
_TCP = b"\6"
_SYN, _SYN_RST = b"\2", b"\6"
_MAXIMUM_SEGMENT = b"\2\4"  # kind and length of the option
# From the inner IPv6 header on, which is the outer one's transport header.
_FLAGS_AT = _HEADER + 13
_CHECKSUM_AT = _HEADER + 16
_OPTION_AT = _HEADER + 20

Rule = tuple[bytes, ...]


class Chains(NamedTuple):
    """The chains of one virtual HA."""

    virtual: str  # what is for its addresses
    limit: str  # and is a tunnel packet with an encapsulation limit
    leaving: str  # tunnel packets from its address
    clamp: str  # tunnel packets in either direction


def received(chains: Chains, bound: str) -> Iterator[tuple[str, Rule]]:
    """Chain and expressions of the rules for tunnel packets to the VHA address: who may send what through a tunnel."""
    next_header = nft.load("network", _NEXT_HEADER_AT, 1)
    clamped = nft.verdict("jump", chains.clamp)
    yield chains.virtual, (next_header, nft.equal(_IPV6), clamped)
    yield chains.limit, (clamped,)
    yield from _checked(chains.virtual, bound, _HEADER, next_header, nft.equal(_IPV6))
    limited = nft.load("network", _HEADER, 4), nft.equal(_LIMIT_HEADER), nft.verdict("goto", chains.limit)
    yield chains.virtual, (next_header, nft.equal(_DESTINATION_OPTIONS), *limited)
    yield from _checked(chains.limit, bound, _HEADER + _LIMIT)
    # Also behind any other extension header, and in fragments, where the inner source is not where we look.
    spoofed = nft.count("tunnel_spoofed"), nft.verdict("drop")
    yield chains.virtual, (*nft.protocol(_IPV6[0]), *spoofed)
    yield chains.limit, spoofed


def _checked(chain: str, bound: str, inner: int, *condition: bytes) -> Iterator[tuple[str, Rule]]:
    first = nft.load("network", inner + _DESTINATION_AT, 1), nft.equal(b"\xff")
    yield chain, (*condition, *first, nft.count("tunnel_multicast"), nft.verdict("drop"))
    yield chain, (*condition, *_link_local(inner + _DESTINATION_AT), *_DROP_LINK_LOCAL)
    outer_source = nft.load("network", _SOURCE_AT, 16)
    inner_source = nft.load("network", inner + _SOURCE_AT, 16, nft.SECOND)
    yield chain, (*condition, outer_source, inner_source, nft.in_set(bound), nft.verdict("accept"))


def leaving(chains: Chains, hop_limit: int, maximum_segment: int | None) -> Iterator[tuple[str, Rule]]:
    """Chain and expressions of the rules for tunnel packets from the VHA address: scopes, hop limits, segments."""
    yield chains.leaving, (*_link_local(_HEADER + _SOURCE_AT), *_DROP_LINK_LOCAL)
    inner_at = _HEADER + _HOP_LIMIT_AT
    yield chains.leaving, (nft.load("network", _HOP_LIMIT_AT, 1), nft.store("network", inner_at, 1))
    yield chains.leaving, (nft.constant(bytes((hop_limit,))), nft.store("network", _HOP_LIMIT_AT, 1))
    yield chains.leaving, (nft.verdict("jump", chains.clamp),)
    if maximum_segment is not None:
        yield chains.clamp, _clamp(maximum_segment)


_DROP_LINK_LOCAL = nft.count("tunnel_link_local"), nft.verdict("drop")


def _link_local(at: int) -> Rule:
    return nft.load("network", at, 2), nft.mask(b"\xff\xc0"), nft.equal(b"\xfe\x80")


def _clamp(maximum_segment: int) -> Rule:
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
