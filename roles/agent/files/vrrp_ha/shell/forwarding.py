# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes and rules: the tunnel to every mobile node and the way out of the reverse tunnels.

Rules while an agent runs, by preference (lower first):

     10  ipproto ipv6 lookup DECAP              DECAP has `VHA/128 encap seg6local action End.DX6 nh6 ::`
     20  lookup local                           moved from 0, so that DECAP comes first
     30  to HOME_PREFIX lookup FIRST+VRID       one per virtual HA; its table holds its bindings
  32766  lookup main

A binding is the route `HoA/128 encap seg6 mode encap.red segs CoA dev mip6-VRID`: one segment, hence no routing header,
hence plain IPv6 in IPv6 (RFC 2473; RFC 8986 section 5.2), whose source is the VHA address because the kernel takes it
from the device. A virtual HA's table is asked before main because main has the home prefix as on-link; and home
addresses lie in the home prefix, so nothing else, multicast and link-local included, is ever tunnelled.

All of it is there on Backups as well, behind the closed gate of the device (devices.py).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from . import netlink
from .devices import PROTOCOL
from .netlink import Failure, Netlink, attribute, attribute_u32, attributes, message, nested, u32

if TYPE_CHECKING:
    from ..core.types import Address

DECAPSULATION_PREFERENCE = 10
LOCAL_PREFERENCE = 20
BINDINGS_PREFERENCE = 30

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34

_IPPROTO_IPV6 = 41
_TABLE_LOCAL = 255
_PROTOCOL_KERNEL = 2
_SCOPE_UNIVERSE, _TYPE_UNICAST, _TYPE_LOCAL = 0, 1, 2
_RTA_DST, _RTA_OIF, _RTA_TABLE, _RTA_ENCAP_TYPE, _RTA_ENCAP = 1, 4, 15, 21, 22
_ENCAP_SEG6, _ENCAP_SEG6_LOCAL = 5, 7
_SEG6_IPTUNNEL_SRH = 1
_MODE_ENCAP_REDUCED = 3
_SEG6_LOCAL_ACTION, _SEG6_LOCAL_NH6 = 1, 5
_ACTION_END_DX6 = 5
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths of dst and src, tos, table, protocol, scope, type, flags

_FRA_DST, _FRA_PRIORITY, _FRA_TABLE, _FRA_SUPPRESS_PREFIXLEN = 1, 6, 15, 14
_FRA_PROTOCOL, _FRA_IP_PROTO = 21, 22
_ACTION_TO_TABLE = 1
_RULE = struct.Struct("=BBBBBBBBI")  # family, lengths of dst and src, tos, table, two reserved, action, flags


@dataclass(frozen=True, slots=True)
class Rule:
    """A routing policy rule, as far as ours go. extra: it has conditions that ours never have."""

    preference: int
    table: int
    protocol: int = PROTOCOL
    prefix: Address = b""
    prefix_length: int = 0
    ip_protocol: int = 0
    extra: bool = False

    def message(self, *, add: bool) -> bytes:
        """The request that makes or removes exactly this rule."""
        body = _RULE.pack(socket.AF_INET6, self.prefix_length, 0, 0, 0, 0, 0, _ACTION_TO_TABLE, 0)
        body += attribute_u32(_FRA_PRIORITY, self.preference) + attribute_u32(_FRA_TABLE, self.table)
        body += attribute(_FRA_PROTOCOL, bytes((self.protocol,)))
        if self.prefix_length:
            body += attribute(_FRA_DST, self.prefix)
        if self.ip_protocol:
            body += attribute(_FRA_IP_PROTO, bytes((self.ip_protocol,)))
        if add:
            return message(RTM_NEWRULE, netlink.ACK | netlink.CREATE | netlink.EXCLUSIVE, body)
        return message(RTM_DELRULE, netlink.ACK, body)


LOCAL_AT_ZERO = Rule(0, _TABLE_LOCAL, _PROTOCOL_KERNEL)
LOCAL_MOVED = Rule(LOCAL_PREFERENCE, _TABLE_LOCAL)


def decapsulation_rule(table: int) -> Rule:
    """Tunnelled packets see the decapsulation table first; only active VHA addresses are in it."""
    return Rule(DECAPSULATION_PREFERENCE, table, ip_protocol=_IPPROTO_IPV6)


def bindings_rule(table: int, prefix: Address, prefix_length: int) -> Rule:
    """Packets for the home prefix see this virtual HA's bindings before the prefix itself."""
    return Rule(BINDINGS_PREFERENCE, table, prefix=prefix, prefix_length=prefix_length)


def all_rules(route: Netlink) -> list[Rule]:
    """Every IPv6 rule of this network namespace."""
    return list(map(_parse_rule, route.dump(RTM_GETRULE, _RULE.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0))))


def _parse_rule(body: bytes) -> Rule:
    plain = {_FRA_DST, _FRA_PRIORITY, _FRA_TABLE, _FRA_SUPPRESS_PREFIXLEN, _FRA_PROTOCOL, _FRA_IP_PROTO}
    _unused, prefix_length, source_length, tos, table, _unused, _unused, action, flags = _RULE.unpack_from(body)
    found = attributes(body, _RULE.size)
    suppress = u32(found.get(_FRA_SUPPRESS_PREFIXLEN, b"\xff\xff\xff\xff"))
    elsewhere = source_length or tos or flags or action != _ACTION_TO_TABLE or suppress != 0xFFFFFFFF
    return Rule(
        preference=u32(found.get(_FRA_PRIORITY, bytes(4))),
        table=u32(found[_FRA_TABLE]) if _FRA_TABLE in found else table,
        protocol=found.get(_FRA_PROTOCOL, b"\0")[0],
        prefix=found.get(_FRA_DST, b""),
        prefix_length=prefix_length,
        ip_protocol=found.get(_FRA_IP_PROTO, b"\0")[0],
        extra=bool(elsewhere or set(found) - plain),
    )


def move_local_rule(route: Netlink) -> bool:
    """Make room before the local table; the new rule comes before the old one goes, so no packet misses it.

    An operator who has moved the rule already (VRFs want that) keeps it where it is. Tells whether it was moved.
    """
    if not any(rule.table == _TABLE_LOCAL and rule.preference == 0 for rule in all_rules(route)):
        return False
    route.call(LOCAL_MOVED.message(add=True), ignore=(errno.EEXIST,))
    route.call(_any_protocol(LOCAL_AT_ZERO))
    return True


def restore_local_rule(route: Netlink) -> bool:
    """Undo move_local_rule; tells whether there was anything to undo."""
    rules = all_rules(route)
    if LOCAL_MOVED not in rules:
        return False
    if not any(rule.table == _TABLE_LOCAL and rule.preference == 0 for rule in rules):
        route.call(LOCAL_AT_ZERO.message(add=True), ignore=(errno.EEXIST,))
    route.call(LOCAL_MOVED.message(add=False), ignore=(errno.ENOENT,))
    return True


def _any_protocol(rule: Rule) -> bytes:
    """Remove a rule whoever made it: an `ip rule` command leaves another protocol than the kernel."""
    body = _RULE.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, _ACTION_TO_TABLE, 0)
    body += attribute_u32(_FRA_PRIORITY, rule.preference) + attribute_u32(_FRA_TABLE, rule.table)
    return message(RTM_DELRULE, netlink.ACK, body)


# --- routes ------------------------------------------------------------------------------------------------


def decapsulation_message(table: int, vha: Address, index: int) -> bytes:
    """`VHA/128 encap seg6local action End.DX6 nh6 ::`: the inner packet is routed as if it had come by itself."""
    body = _ROUTE.pack(socket.AF_INET6, 128, 0, 0, 0, PROTOCOL, _SCOPE_UNIVERSE, _TYPE_UNICAST, 0)
    body += attribute(_RTA_DST, vha) + attribute_u32(_RTA_TABLE, table) + attribute_u32(_RTA_OIF, index)
    return message(
        RTM_NEWROUTE,
        netlink.ACK | netlink.CREATE | netlink.REPLACE,
        body
        + attribute(_RTA_ENCAP_TYPE, struct.pack("=H", _ENCAP_SEG6_LOCAL))
        + nested(
            _RTA_ENCAP,
            attribute_u32(_SEG6_LOCAL_ACTION, _ACTION_END_DX6),
            attribute(_SEG6_LOCAL_NH6, bytes(16)),
        ),
    )


def local_message(address: Address, index: int) -> bytes:
    """Packets for this address are for this host. Ours, so that it can come and go without the address."""
    body = _local_head(address, index, PROTOCOL)
    return message(RTM_NEWROUTE, netlink.ACK | netlink.CREATE | netlink.REPLACE, body)


def no_local_message(address: Address, index: int) -> bytes:
    """Undo local_message()."""
    return message(RTM_DELROUTE, netlink.ACK, _local_head(address, index, PROTOCOL))


def no_kernel_local_message(address: Address, index: int) -> bytes:
    """The route that the kernel makes for an address goes: an address may stay when nothing is to be delivered."""
    return message(RTM_DELROUTE, netlink.ACK, _local_head(address, index, _PROTOCOL_KERNEL))


def _local_head(address: Address, index: int, protocol: int) -> bytes:
    body = _ROUTE.pack(socket.AF_INET6, 128, 0, 0, 0, protocol, _SCOPE_UNIVERSE, _TYPE_LOCAL, 0)
    body += attribute(_RTA_DST, address) + attribute_u32(_RTA_TABLE, _TABLE_LOCAL)
    return body + attribute_u32(_RTA_OIF, index)


class BindingRoutes:
    """The packed form of one virtual HA's routes: two addresses to fill in, so that a hundred cost a join."""

    def __init__(self, table: int, index: int) -> None:
        self.index = index
        marker_home, marker_care_of = b"\xa5" * 16, b"\x5a" * 16
        body = _ROUTE.pack(socket.AF_INET6, 128, 0, 0, 0, PROTOCOL, _SCOPE_UNIVERSE, _TYPE_UNICAST, 0)
        body += attribute(_RTA_DST, marker_home) + attribute_u32(_RTA_TABLE, table)
        self._remove = message(RTM_DELROUTE, 0, body).split(marker_home)
        segment_header = struct.pack("=iBBBBBBH", _MODE_ENCAP_REDUCED, 0, 2, 4, 0, 0, 0, 0)
        body += attribute_u32(_RTA_OIF, index)
        body += attribute(_RTA_ENCAP_TYPE, struct.pack("=H", _ENCAP_SEG6))
        body += nested(_RTA_ENCAP, attribute(_SEG6_IPTUNNEL_SRH, segment_header + marker_care_of))
        packed = message(RTM_NEWROUTE, netlink.CREATE | netlink.REPLACE, body)
        head, rest = packed.split(marker_home)
        self._add = head, *rest.split(marker_care_of)
        self._home_at = len(head)

    def install(self, route: Netlink, bindings: Iterable[tuple[Address, Address]]) -> list[tuple[Address, Failure]]:
        """Add or replace routes; returns the home addresses whose route the kernel refused."""
        head, middle, tail = self._add
        data = b"".join([part for home, care_of in bindings for part in (head, home, middle, care_of, tail)])
        return [(self._home_of(failure), failure) for failure in route.transact(data)] if data else []

    def remove(self, route: Netlink, homes: Iterable[Address]) -> list[tuple[Address, Failure]]:
        """Remove routes; one that is not there is as good as removed."""
        head, tail = self._remove
        data = b"".join([part for home in homes for part in (head, home, tail)])
        failures = route.transact(data) if data else []
        return [(self._home_of(failure), failure) for failure in failures if failure.error != errno.ESRCH]

    def _home_of(self, failure: Failure) -> Address:
        return failure.request[self._home_at : self._home_at + 16]


class Route(NamedTuple):
    """A route of one of our tables: a binding's (care_of is set) or another."""

    table: int
    destination: Address
    length: int
    device: int
    care_of: Address | None

    def removal(self) -> bytes:
        """The request that removes it."""
        body = _ROUTE.pack(socket.AF_INET6, self.length, 0, 0, 0, 0, 0, 0, 0)
        body += attribute(_RTA_DST, self.destination) + attribute_u32(_RTA_TABLE, self.table)
        return message(RTM_DELROUTE, netlink.ACK, body)


def all_routes(route: Netlink, table: int) -> Iterator[Route]:
    """Every route of a table."""
    header = _ROUTE.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0)
    like: _Template | None = None
    for body in route.dump(RTM_GETROUTE, header + attribute_u32(_RTA_TABLE, table)):
        found = like.match(body) if like else None
        if found is None:
            found = _parse_route(body)
            if found.care_of is not None and like is None:
                like = _Template(body, found, found.care_of)
        if found.table == table:
            yield found


class _Template:
    """Bindings differ in two addresses only and come by the thousand: comparing what is the same is ten times quicker
    than parsing.
    """

    def __init__(self, body: bytes, route: Route, care_of: Address) -> None:
        self._route = route
        self._home_at = body.index(route.destination)
        self._care_of_at = body.index(care_of, self._home_at + 16)
        self._same = self._without_addresses(body)

    def match(self, body: bytes) -> Route | None:
        """The route that this describes, if it is a binding like the one that was parsed."""
        if self._without_addresses(body) != self._same:
            return None
        home, care_of = body[self._home_at : self._home_at + 16], body[self._care_of_at : self._care_of_at + 16]
        return Route(self._route.table, home, 128, self._route.device, care_of)

    def _without_addresses(self, body: bytes) -> bytes:
        return body[: self._home_at] + body[self._home_at + 16 : self._care_of_at] + body[self._care_of_at + 16 :]


def _parse_route(body: bytes) -> Route:
    _unused, length, _unused, _unused, table, _unused, _unused, _unused, _unused = _ROUTE.unpack_from(body)
    found = attributes(body, _ROUTE.size)
    return Route(
        table=u32(found[_RTA_TABLE]) if _RTA_TABLE in found else table,
        destination=found.get(_RTA_DST, bytes(16)),
        length=length,
        device=u32(found[_RTA_OIF]) if _RTA_OIF in found else 0,
        care_of=_care_of(found) if length == 128 else None,
    )


def _care_of(found: dict[int, bytes]) -> Address | None:
    if found.get(_RTA_ENCAP_TYPE, b"\0\0")[:2] != struct.pack("=H", _ENCAP_SEG6):
        return None
    tunnel = attributes(found.get(_RTA_ENCAP, b"")).get(_SEG6_IPTUNNEL_SRH, b"")
    return tunnel[12:28] if len(tunnel) == 28 and u32(tunnel) == _MODE_ENCAP_REDUCED else None
