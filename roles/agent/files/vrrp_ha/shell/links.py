# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces and their addresses as the kernel describes them, and what happens to the home links."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import netlink
from .netlink import Netlink, attribute_string, attributes, u32

if TYPE_CHECKING:
    from ..core.events import LinkDown, LinkUp

MACVLAN_PREFIX = "vrrp6-"

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
IFF_UP = 0x1
_IFF_LOWER_UP = 0x10000
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK = 1, 3, 4, 5
IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_AF_SPEC, IFLA_GROUP = 16, 18, 26, 27
INFO_KIND, INFO_DATA = 1, 2
MACVLAN_MODE = 1
IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change

IFA_ADDRESS, IFA_CACHEINFO, IFA_FLAGS, IFA_PROTO = 1, 6, 8, 11
_IFA_F_DADFAILED, _IFA_F_TENTATIVE = 0x08, 0x40
IFADDR = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index

_GROUP_LINK, _GROUP_IPV6_ADDRESS = 0x1, 0x100


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
    group: int = 0

    @property
    def is_set_up(self) -> bool:
        """Administratively up."""
        return bool(self.flags & IFF_UP)

    @property
    def up(self) -> bool:
        """Administratively up, and with a carrier."""
        return self.flags & (IFF_UP | _IFF_LOWER_UP) == IFF_UP | _IFF_LOWER_UP


def _parse_link(body: bytes) -> Link:
    _unused, _unused, index, flags, _unused = IFINFO.unpack_from(body)
    found = attributes(body, IFINFO.size)
    info = attributes(found.get(IFLA_LINKINFO, b""))
    kind = info.get(INFO_KIND, b"").rstrip(b"\0").decode()
    data = attributes(info.get(INFO_DATA, b"")) if kind == "macvlan" else {}
    return Link(
        index=index,
        name=found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        flags=flags,
        mac=found.get(IFLA_ADDRESS, b""),
        mtu=u32(found[IFLA_MTU]) if IFLA_MTU in found else 0,
        below=u32(found[IFLA_LINK]) if IFLA_LINK in found else 0,
        kind=kind,
        mode=u32(data[MACVLAN_MODE]) if MACVLAN_MODE in data else 0,
        group=u32(found[IFLA_GROUP]) if IFLA_GROUP in found else 0,
    )


def all_links(route: Netlink) -> dict[str, Link]:
    """Every interface of this network namespace by name."""
    return {link.name: link for link in map(_parse_link, route.dump(RTM_GETLINK, IFINFO.pack(0, 0, 0, 0, 0)))}


def links_named(route: Netlink, *names: str) -> dict[str, Link]:
    """Those of these interfaces that there are, by name; costs the same however many others there are."""
    found = {}
    for name in names:
        body = route.get(RTM_GETLINK, IFINFO.pack(0, 0, 0, 0, 0) + attribute_string(IFLA_IFNAME, name))
        if body is not None:
            found[name] = _parse_link(body)
    return found


def all_addresses(route: Netlink) -> Iterator[tuple[int, bytes, int]]:
    """Interface index, address and flags of every IPv6 address."""
    for body in route.dump(RTM_GETADDR, IFADDR.pack(socket.AF_INET6, 0, 0, 0, 0)):
        yield _parse_address(body)


def _parse_address(body: bytes) -> tuple[int, bytes, int]:
    _unused, _unused, flags, _unused, index = IFADDR.unpack_from(body)
    found = attributes(body, IFADDR.size)
    if IFA_FLAGS in found:
        flags = u32(found[IFA_FLAGS])
    return index, found.get(IFA_ADDRESS, b""), flags


@dataclass(slots=True)
class _Seen:
    """What is known of one interface."""

    link: Link
    link_locals: set[bytes] = field(default_factory=set)
    addresses: set[bytes] = field(default_factory=set)  # also those that cannot be used yet
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
                self._complete = False  # some notifications were lost
        if not self._complete:
            self._read_all()
        return list(self._changes())

    def _read_all(self) -> None:
        """The whole state, by a socket of its own: what is notified meanwhile is read after it and says the same."""
        chosen = {index: seen.chosen for index, seen in self._seen.items()}
        with closing(Netlink(netlink.ROUTE)) as reader:
            self._seen = {link.index: _Seen(link, chosen=chosen.get(link.index)) for link in all_links(reader).values()}
            for index, address, flags in all_addresses(reader):
                self._note_address(RTM_NEWADDR, index, address, flags)
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
        if seen is None:
            return
        (seen.addresses.add if kind == RTM_NEWADDR else seen.addresses.discard)(address)
        if address[:2] != b"\xfe\x80":
            return
        if kind == RTM_NEWADDR and not flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
            seen.link_locals.add(address)
        else:
            seen.link_locals.discard(address)

    def _changes(self) -> Iterator[LinkUp | LinkDown]:
        by_name = {seen.link.name: seen for seen in self._seen.values()}
        for name in sorted(self._names):
            event = _state(name, by_name.get(name))
            told = self._told.get(name)
            if told != event or _addresses(told) != _addresses(event):
                self._told[name] = event
                yield event


def _state(name: str, seen: _Seen | None) -> LinkUp | LinkDown:
    from ..core.events import LinkDown, LinkUp  # here, because a clean-up has no use for it and no time

    if seen is None or not seen.link.up:
        return LinkDown(name)
    address = seen.choose()
    if address is None:
        return LinkDown(name)
    return LinkUp(name, address, seen.link.mac, seen.link.mtu, frozenset(seen.addresses))


def _addresses(event: LinkUp | LinkDown | None) -> frozenset[bytes]:
    return getattr(event, "addresses", frozenset())
