# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMPv6 Parameter Problem about a Mobility Header that cannot be right: RFC 6275 section 9.2.

For two faults only, a Payload Proto that is not 59 and a Header Len too small for its MH Type, and only after the
checksum was found right. It goes straight to the source of the packet, whatever is bound, and no faster than the
limit (RFC 4443 section 2.4): anybody can send such a packet in somebody else's name.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..wire import icmpv6, ipv6
from ..wire.icmpv6 import IcmpError, MessageType
from .binding_request import is_unicast_routable
from .effects import Report, SendPacket
from .token_bucket import TokenBucket
from .types import Instant

POINTERS = {"payload_protocol": 0, "header_length": 1}
"""By the reason of the WireError: the octet of the Mobility Header that is wrong."""

_ERRONEOUS_FIELD = 0
_HOP_LIMIT = 64
_MOST_QUOTED = 1280 - ipv6.HEADER_LENGTH - 8  # the error fits the minimum MTU


def about(received: bytes, packet: ipv6.Packet, reason: str, limit: TokenBucket, now: Instant) -> Iterator[object]:
    """What the Master sends about a packet that was dropped for this reason; received: its octets as they came."""
    octets = received[: packet.outer_length]
    if reason not in POINTERS or not is_unicast_routable(packet.source):
        return
    if not octets.endswith(packet.payload):  # it came within ESP, and is not spoken of in the clear
        return
    if not limit.take(now):
        yield Report("debug", "parameter_problems_limited")
        return
    pointer = packet.outer_length - len(packet.payload) + POINTERS[reason]
    error = IcmpError(MessageType.PARAMETER_PROBLEM, _ERRONEOUS_FIELD, pointer, octets[:_MOST_QUOTED])
    answer = ipv6.Packet(packet.destination, packet.source, _HOP_LIMIT, ipv6.ICMPV6, icmpv6.encode(error))
    yield SendPacket(ipv6.encode(ipv6.with_checksum(answer, icmpv6.CHECKSUM_OFFSET)))
    yield Report("debug", "parameter_problems_sent")
