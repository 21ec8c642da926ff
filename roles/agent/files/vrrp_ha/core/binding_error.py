# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binding Error messages: RFC 6275 sections 9.2, 9.3.1 and 9.3.3.

Status 1: a packet has a Home Address option that nothing bound here agrees with. It tells a mobile node that this home
agent does not know it; Binding Updates and ESP, by which it would make itself known, are left alone. Status 2: a
Mobility Header of a type that is not understood, as those of route optimization are not.

Anybody can send such packets in somebody else's name, so the answer is 64 octets long, goes to no address but a
unicast one, never to this home agent itself, and no faster than the limit. A Binding Error is of a type
that is known, and is not answered.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..wire import ipv6, mobility
from .binding_cache import BindingCache
from .binding_request import is_unicast_routable
from .effects import Report, SendPacket
from .settings import VirtualHaSettings
from .token_bucket import TokenBucket
from .types import UNSPECIFIED, Instant

UNKNOWN_BINDING = 1
UNRECOGNIZED_TYPE = 2

STATUSES = {"unknown_mobility_type": UNRECOGNIZED_TYPE, "home_address": UNKNOWN_BINDING}
"""By the reason for which a Mobility Header was dropped."""

_EXEMPT = (ipv6.MOBILITY, ipv6.ESP, ipv6.AUTHENTICATION)
_HOP_LIMIT = 64


def needs_binding(packet: ipv6.Packet) -> bool:
    """Section 9.3.1: it has a Home Address option, and is not of those by which a mobile node makes itself known."""
    return packet.home_address is not None and packet.next_header not in _EXEMPT and not packet.protected


def is_bound_there(packet: ipv6.Packet, cache: BindingCache) -> bool:
    """Section 9.3.1: the home address of the option is bound to the source."""
    binding = cache.get(packet.home_address) if packet.home_address else None
    return binding is not None and binding.care_of_address == packet.source


def about(
    packet: ipv6.Packet, status: int, settings: VirtualHaSettings, limit: TokenBucket, now: Instant
) -> Iterator[object]:
    """What to send about a packet that was dropped."""
    if not is_unicast_routable(packet.source) or packet.source in settings.addresses:
        return
    if status == UNKNOWN_BINDING and packet.home_address is None:
        return  # nobody said that there was one
    if not limit.take(now):
        yield Report("debug", "binding_errors_limited")
        return
    message = mobility.BindingError(status, packet.home_address or UNSPECIFIED)
    answer = ipv6.Packet(packet.destination, packet.source, _HOP_LIMIT, ipv6.MOBILITY, mobility.encode(message))
    yield SendPacket(ipv6.encode(ipv6.with_checksum(answer, mobility.CHECKSUM_OFFSET)))
    yield Report("debug", "binding_errors_sent")
