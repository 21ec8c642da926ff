# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces: the macvlan of each virtual router, its addresses, and what happens to the home links.

A virtual router's macvlan `vrrp6-VRID` carries the virtual MAC (RFC 9568 section 7.3) and stays up as long as the
virtual router is configured; guard.py keeps it silent while another router is Master. Its mode is VEPA: everything
it sends goes to the wire, and what the Master sends from the same MAC still reaches the interface below (in private
mode the kernel would give those frames to our macvlan alone, and the Backup would hear no advertisement).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..core.events import LinkDown, LinkUp
from . import netlink
from .netlink import Netlink, attribute, attribute_string, attribute_u32, attributes, message, nested, u32

MACVLAN_PREFIX = "vrrp6-"
PROTOCOL = 112  # marks addresses, routes and rules as ours; the number of VRRP, unused as a routing protocol

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22

_IFF_UP = 0x1
_IFF_LOWER_UP = 0x10000
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK = 1, 3, 4, 5
_IFLA_LINKINFO, _IFLA_AF_SPEC = 18, 26
_INFO_KIND, _INFO_DATA = 1, 2
_MACVLAN_MODE, _MACVLAN_MODE_VEPA = 1, 2
_INET6_ADDR_GEN_MODE, _ADDR_GEN_MODE_NONE = 8, b"\1"
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change

_IFA_ADDRESS, _IFA_CACHEINFO, _IFA_FLAGS, _IFA_PROTO = 1, 6, 8, 11
_IFA_F_NODAD, _IFA_F_NOPREFIXROUTE = 0x02, 0x200
_IFA_F_DADFAILED, _IFA_F_TENTATIVE = 0x08, 0x40
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_FOREVER = 0xFFFFFFFF

_GROUP_LINK, _GROUP_IPV6_ADDRESS = 0x1, 0x100

# The kernel is to be a router on the macvlan (R=1 in its NAs), to learn nothing from it and to hide IPv4 addresses
# from it: an ARP answer from the virtual MAC would be wrong, and from a Backup it would move the switch port.
_SYSCTLS = (
    ("ipv6", "disable_ipv6", "0"),
    ("ipv6", "forwarding", "1"),
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "accept_redirects", "0"),
    ("ipv6", "autoconf", "0"),
    ("ipv6", "accept_dad", "0"),
    ("ipv6", "router_solicitations", "0"),
    ("ipv6", "ndisc_notify", "0"),
    ("ipv4", "arp_ignore", "8"),
)


def macvlan_name(vrid: int) -> str:
    """The name of a virtual router's macvlan."""
    return f"{MACVLAN_PREFIX}{vrid}"


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as the kernel describes it."""

    index: int
    name: str
    flags: int
    mac: bytes
    mtu: int
    below: int = 0
    kind: str = ""
    mode: int = 0

    @property
    def up(self) -> bool:
        """Administratively up, and with a carrier."""
        return self.flags & (_IFF_UP | _IFF_LOWER_UP) == _IFF_UP | _IFF_LOWER_UP


def _parse_link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = attributes(body, _LINK.size)
    info = attributes(found.get(_IFLA_LINKINFO, b""))
    kind = info.get(_INFO_KIND, b"").rstrip(b"\0").decode()
    data = attributes(info.get(_INFO_DATA, b"")) if kind == "macvlan" else {}
    return Link(
        index=index,
        name=found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        flags=flags,
        mac=found.get(_IFLA_ADDRESS, b""),
        mtu=u32(found[_IFLA_MTU]) if _IFLA_MTU in found else 0,
        below=u32(found[_IFLA_LINK]) if _IFLA_LINK in found else 0,
        kind=kind,
        mode=u32(data[_MACVLAN_MODE]) if _MACVLAN_MODE in data else 0,
    )


def all_links(route: Netlink) -> dict[str, Link]:
    """Every interface of this network namespace by name."""
    return {link.name: link for link in map(_parse_link, route.dump(RTM_GETLINK, _LINK.pack(0, 0, 0, 0, 0)))}


def all_addresses(route: Netlink) -> Iterator[tuple[int, bytes, int]]:
    """Interface index, address and flags of every IPv6 address."""
    for body in route.dump(RTM_GETADDR, _ADDRESS.pack(socket.AF_INET6, 0, 0, 0, 0)):
        yield _parse_address(body)


def _parse_address(body: bytes) -> tuple[int, bytes, int]:
    _, _, flags, _, index = _ADDRESS.unpack_from(body)
    found = attributes(body, _ADDRESS.size)
    if _IFA_FLAGS in found:
        flags = u32(found[_IFA_FLAGS])
    return index, found.get(_IFA_ADDRESS, b""), flags


def make_macvlan(route: Netlink, vrid: int, below: Link, mac: bytes) -> int:
    """Make a virtual router's macvlan, up and without addresses; returns its index."""
    name = macvlan_name(vrid)
    route.call(
        message(
            RTM_NEWLINK,
            netlink.ACK | netlink.CREATE | netlink.EXCLUSIVE,
            _LINK.pack(0, 0, 0, 0, 0)
            + attribute_string(_IFLA_IFNAME, name)
            + attribute_u32(_IFLA_LINK, below.index)
            + attribute_u32(_IFLA_MTU, below.mtu)
            + attribute(_IFLA_ADDRESS, mac)
            + nested(
                _IFLA_LINKINFO,
                attribute_string(_INFO_KIND, "macvlan"),
                nested(_INFO_DATA, attribute_u32(_MACVLAN_MODE, _MACVLAN_MODE_VEPA)),
            )
        )
    )
    index = socket.if_nametoindex(name)
    set_sysctls(name)
    route.call(
        message(
            RTM_NEWLINK,
            netlink.ACK,
            _LINK.pack(0, 0, index, 0, 0)
            + nested(_IFLA_AF_SPEC, nested(socket.AF_INET6, attribute(_INET6_ADDR_GEN_MODE, _ADDR_GEN_MODE_NONE))),
        )
        + message(RTM_NEWLINK, netlink.ACK, _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP))
    )
    return index


def is_ours(link: Link) -> bool:
    """The device was made by make_macvlan, as far as its name and kind tell."""
    return link.kind == "macvlan" and link.name.startswith(MACVLAN_PREFIX) and link.name[len(MACVLAN_PREFIX) :].isdigit()


def is_as_made(link: Link, below: Link, mac: bytes) -> bool:
    """Nothing about the device is wrong that could not be mended without making it anew."""
    return is_ours(link) and link.below == below.index and link.mac == mac and link.mode == _MACVLAN_MODE_VEPA


def mend_macvlan(route: Netlink, link: Link, below: Link) -> list[str]:
    """Make an existing macvlan up, with its MTU and settings; returns what was wrong."""
    wrong = [f"sysctl {path}" for path in wrong_sysctls(link.name)]
    set_sysctls(link.name)
    if not link.flags & _IFF_UP or link.mtu != below.mtu:
        wrong.append(f"device {link.name} was down or had another MTU than {below.name}")
        header = _LINK.pack(0, 0, link.index, _IFF_UP, _IFF_UP)
        route.call(message(RTM_NEWLINK, netlink.ACK, header + attribute_u32(_IFLA_MTU, below.mtu)))
    return wrong


def delete_links(route: Netlink, indexes: Iterable[int]) -> None:
    """Delete interfaces; the kernel takes their addresses and routes with them."""
    data = b"".join(message(RTM_DELLINK, netlink.ACK, _LINK.pack(0, 0, index, 0, 0)) for index in indexes)
    if data:
        route.call(data, ignore=(errno.ENODEV,))


def wrong_sysctls(name: str) -> list[str]:
    """Which settings of a macvlan are not what they should be, as paths below /proc/sys/net."""
    return [path for path, value in _sysctl_paths(name) if read_sysctl(path) not in (value, None)]


def set_sysctls(name: str) -> None:
    """Set what is not as it should be: hosts may forbid to write what is right already (read-only /proc/sys)."""
    for path, value in _sysctl_paths(name):
        if read_sysctl(path) not in (value, None):
            write_sysctl(path, value)


def _sysctl_paths(name: str) -> Iterator[tuple[str, str]]:
    for family, key, value in _SYSCTLS:
        yield f"{family}/conf/{name}/{key}", value


def read_sysctl(path: str) -> str | None:
    """A setting below /proc/sys/net; None when the kernel has no such setting."""
    try:
        with open(f"/proc/sys/net/{path}", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def write_sysctl(path: str, value: str) -> None:
    """Set something below /proc/sys/net; OSError names the path."""
    full = f"/proc/sys/net/{path}"
    file = os.open(full, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, full) from None
    finally:
        os.close(file)


def address_message(add: bool, index: int, address: bytes, *, preferred: bool) -> bytes:
    """Put an address on an interface or take it off: no DAD (several hosts share it), no on-link prefix.

    One that is not preferred is never chosen as the source of a tunnel or of anything else.
    """
    scope = 253 if address[:2] == b"\xfe\x80" else 0
    body = _ADDRESS.pack(socket.AF_INET6, 128, 0, scope, index) + attribute(_IFA_ADDRESS, address)
    if not add:
        return message(RTM_DELADDR, netlink.ACK, body)
    return message(
        RTM_NEWADDR,
        netlink.ACK | netlink.CREATE | netlink.REPLACE,
        body
        + attribute_u32(_IFA_FLAGS, _IFA_F_NODAD | _IFA_F_NOPREFIXROUTE)
        + attribute(_IFA_CACHEINFO, struct.pack("=IIII", _FOREVER if preferred else 0, _FOREVER, 0, 0))
        + attribute(_IFA_PROTO, bytes((PROTOCOL,))),
    )


@dataclass(slots=True)
class _Seen:
    """What is known of one interface."""

    link: Link
    link_locals: set[bytes] = field(default_factory=set)
    chosen: bytes | None = None

    def choose(self) -> bytes | None:
        """The link-local address to speak from; stays the same while it is there."""
        if self.chosen not in self.link_locals:
            self.chosen = min(self.link_locals, default=None)
        return self.chosen


class LinkMonitor:
    """Follows interfaces by name, as the kernel tells of them."""

    def __init__(self, interfaces: Iterable[str] = ()) -> None:
        self._names = set(interfaces)
        self._socket = Netlink(netlink.ROUTE, _GROUP_LINK | _GROUP_IPV6_ADDRESS)
        self._seen: dict[int, _Seen] = {}
        self._told: dict[str, LinkUp | LinkDown] = {}
        self._complete = False

    def fileno(self) -> int:
        """Readable when events() has something to look at."""
        return self._socket.fileno()

    def close(self) -> None:
        """Follow no longer."""
        self._socket.close()

    def watch(self, interfaces: Iterable[str]) -> list[LinkUp | LinkDown]:
        """Follow these from now on; returns the state of those that were not followed before."""
        self._names = set(interfaces)
        self._told = {name: event for name, event in self._told.items() if name in self._names}
        return self.events()

    def events(self) -> list[LinkUp | LinkDown]:
        """The state of every interface at first, then of those that changed. Never blocks."""
        if self._complete:
            try:
                for kind, body in self._socket.notifications():
                    self._note(kind, body)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._complete = False
        if not self._complete:
            self._read_all()
        return list(self._changes())

    def _read_all(self) -> None:
        """Notifications may mix with a dump's answers; both say the same, and the dump is made anew when unsure."""
        with_dumps = Netlink(netlink.ROUTE)
        try:
            for _ in self._socket.notifications():
                pass
            self._seen = {link.index: _Seen(link) for link in all_links(with_dumps).values()}
            for index, address, flags in all_addresses(with_dumps):
                self._note_address(RTM_NEWADDR, index, address, flags)
        finally:
            with_dumps.close()
        self._complete = True

    def _note(self, kind: int, body: bytes) -> None:
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            self._note_address(kind, *_parse_address(body))
        elif kind == RTM_NEWLINK and body[0] == socket.AF_UNSPEC:
            link = _parse_link(body)
            if link.index in self._seen:
                self._seen[link.index].link = link
            else:
                self._seen[link.index] = _Seen(link)
        elif kind == RTM_DELLINK and body[0] == socket.AF_UNSPEC:  # a bridge port's leaving has the family AF_BRIDGE
            self._seen.pop(_parse_link(body).index, None)

    def _note_address(self, kind: int, index: int, address: bytes, flags: int) -> None:
        seen = self._seen.get(index)
        if seen is None or address[:2] != b"\xfe\x80":
            return
        if kind == RTM_NEWADDR and not flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
            seen.link_locals.add(address)
        else:
            seen.link_locals.discard(address)

    def _changes(self) -> Iterator[LinkUp | LinkDown]:
        by_name = {seen.link.name: seen for seen in self._seen.values()}
        for name in sorted(self._names):
            event = _state(name, by_name.get(name))
            if self._told.get(name) != event:
                self._told[name] = event
                yield event


def _state(name: str, seen: _Seen | None) -> LinkUp | LinkDown:
    if seen is None or not seen.link.up:
        return LinkDown(name)
    address = seen.choose()
    if address is None:
        return LinkDown(name)
    return LinkUp(name, address, seen.link.mac, seen.link.mtu)
