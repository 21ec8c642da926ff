# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of ICMPv6 errors about the tunnel packets of one virtual HA: its sources hear of them (RFC 2473).

A tunnel looks like one hop to those who send through it, so that an error about a tunnel packet, which comes to the
VHA address, must be translated for the source of the original packet. It comes from a router on the way to the mobile
node, or from this host's own kernel for what did not fit or had no way (RFC 2473 sections 7.1 and 8).

Nothing is remembered of a path: whatever is too big for it is dropped and reported on the way each time, the original
source remembers, and another member that takes over has nothing to learn.

Anybody can make up an error, so nothing is believed that does not quote a tunnel packet as this virtual HA sends it:
who makes one up has to know where the mobile node is. And no more is sent than the limits say (RFC 4443 section 2.4).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..wire import icmpv6, ipv6, tunnel
from ..wire.errors import WireError
from ..wire.icmpv6 import IcmpError, MessageType
from ..wire.tunnel import QuotedTunnelPacket
from .binding_cache import BindingCache
from .binding_request import is_unicast_routable
from .effects import Report, SendPacket
from .settings import VirtualHaSettings
from .token_bucket import Pace, TokenBucket, TokenBuckets
from .tunnel_settings import IPV6_HEADER, MINIMUM_MTU, TunnelSettings
from .types import Address, Instant, text

_HOP_LIMIT = 64
_ADDRESS_UNREACHABLE = 3
_HOP_LIMIT_EXCEEDED = 0
_ERRONEOUS_FIELD = 0
_ICMPV6_HEADER = 8
_MOST_QUOTED = MINIMUM_MTU - IPV6_HEADER - _ICMPV6_HEADER
_REMEMBERED = 10_000  # mobile nodes whose errors are counted apart
_WARNINGS = Pace(1_000_000 // 600, 1)  # one in ten minutes: an operator may read it
_MINIMUM_MTU = "minimum_mtu"


class _DroppedError(Exception):
    """Nobody is told; the reason becomes a counter."""


class TunnelErrors:
    """The Master's; a Backup is not asked."""

    def __init__(self, virtual_ha: VirtualHaSettings, settings: TunnelSettings, cache: BindingCache) -> None:
        self._virtual_ha = virtual_ha
        self._cache = cache
        self._warnings = TokenBucket(_WARNINGS, Instant(0))
        self._apply(settings)

    def reconfigure(self, virtual_ha: VirtualHaSettings, settings: TunnelSettings) -> None:
        """New settings of the same virtual HA."""
        self._virtual_ha = virtual_ha
        if settings != self._settings:
            self._apply(settings)

    def _apply(self, settings: TunnelSettings) -> None:
        self._settings = settings
        self._of_all = TokenBucket(settings.errors, Instant(0))
        self._of_one = TokenBuckets(settings.errors_of_one, _REMEMBERED)

    def received(self, packet: ipv6.Packet, now: Instant, *, made_here: bool) -> Iterator[object]:
        """An ICMPv6 error came to the VHA address, its checksum verified; made_here: this host's kernel wrote it."""
        try:
            quoted = self._believed(packet)
            answer = self._translated(icmpv6.decode(packet.payload), quoted, made_here)
            self._check_limits(quoted.original_destination, now)
        except _DroppedError as dropped:
            yield Report("debug", f"tunnel_error_dropped.{dropped}")
            if str(dropped) == _MINIMUM_MTU and self._warnings.take(now):
                yield Report("warning", "path_too_narrow", fields=_narrow_path(packet))
            return
        yield Report("debug", f"tunnel_error_relayed.{MessageType(answer.kind).name.lower()}")
        yield SendPacket(self._message(quoted.original_source, answer))

    def _believed(self, packet: ipv6.Packet) -> QuotedTunnelPacket:
        """The tunnel packet that the error quotes, if it is one of ours whose source may be told."""
        if not self._settings.relay_errors:
            raise _DroppedError("switched_off")
        try:
            quoted = tunnel.decode_quoted(packet.payload[_ICMPV6_HEADER:])
        except WireError:
            raise _DroppedError("not_a_tunnel") from None
        if not quoted.source == packet.destination == self._virtual_ha.vha_address:
            raise _DroppedError("not_ours")
        binding = self._cache.get(quoted.original_destination)
        if binding is None or binding.care_of_address != quoted.destination:
            raise _DroppedError("not_bound")
        if not (is_unicast_routable(quoted.original_source) and tunnel.may_be_answered(quoted.original)):
            raise _DroppedError("unanswerable")
        return quoted

    def _translated(self, error: icmpv6.Message, quoted: QuotedTunnelPacket, made_here: bool) -> IcmpError:
        """RFC 2473 sections 8.1 and 8.2."""
        original = quoted.original[:_MOST_QUOTED]
        unreachable = IcmpError(MessageType.DESTINATION_UNREACHABLE, _ADDRESS_UNREACHABLE, 0, original)
        match error:
            case IcmpError(kind=MessageType.PACKET_TOO_BIG, value=path_mtu):
                return IcmpError(MessageType.PACKET_TOO_BIG, 0, _tunnel_mtu(path_mtu, quoted), original)
            case IcmpError(kind=MessageType.DESTINATION_UNREACHABLE):
                return unreachable
            case IcmpError(kind=MessageType.TIME_EXCEEDED, code=code) if code == _HOP_LIMIT_EXCEEDED:
                # The kernel looks at the hop limit of the original packet after it has encapsulated it.
                return IcmpError(MessageType.TIME_EXCEEDED, code, 0, original) if made_here else unreachable
            case IcmpError(kind=MessageType.PARAMETER_PROBLEM, code=code, value=pointer) if (
                code == _ERRONEOUS_FIELD and pointer == quoted.limit_at
            ):
                return unreachable
        raise _DroppedError("other_problem")

    def _check_limits(self, home_address: Address, now: Instant) -> None:
        """RFC 4443 section 2.4 (f). One mobile node's path does not use up what the others' may need."""
        if not (self._of_one.take(home_address, now) and self._of_all.take(now)):
            raise _DroppedError("limited")

    def _message(self, destination: Address, error: IcmpError) -> bytes:
        payload = icmpv6.encode(error)
        packet = ipv6.Packet(self._virtual_ha.vha_address, destination, _HOP_LIMIT, ipv6.ICMPV6, payload)
        return ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))


def _tunnel_mtu(path_mtu: int, quoted: QuotedTunnelPacket) -> int:
    """RFC 2473 section 7.1: what the original source may send from now on."""
    if quoted.headers + quoted.original_length <= path_mtu:
        raise _DroppedError("not_too_big")
    if quoted.original_length <= MINIMUM_MTU:
        # (b) has the entry point fragment the tunnel packet, which the kernel does not do for what it forwards.
        raise _DroppedError(_MINIMUM_MTU)
    return max(MINIMUM_MTU, path_mtu - quoted.headers)


def _narrow_path(packet: ipv6.Packet) -> dict[str, object]:
    """What an operator has to know to do something about it."""
    mtu = int.from_bytes(packet.payload[4:8], "big")
    care_of_address = tunnel.decode_quoted(packet.payload[_ICMPV6_HEADER:]).destination
    return {"care_of_address": text(care_of_address), "path_mtu": mtu, "remedy": "set tunnel.path_mtu"}
