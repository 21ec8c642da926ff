# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Solicited-node groups of home addresses (RFC 4861 section 7.2.8), so that switches with MLD snooping let neighbours'
solicitations through to us.

Every member is in them all the time, by the home link's interface and the member's own MAC: a takeover has nothing to
join, and solicitations reach the successor at once. What a host hears does not depend on them (sockets.py).

The kernel keeps groups in a list that it walks for each one that joins or leaves, and answers every MLD query with all
of them. Measured on Linux 6.18: 1,000 groups join in 15 ms, 4,000 in 0.25 s and 16,000 in 11 s, and leave in 40 us,
0.2 ms and 3 ms each. So there is a limit, of home addresses; those beyond it are left to switches that flood what they
do not know. Joining is queued, and done a few groups at a time.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.types import Address, Binding

_PREFIX = bytes.fromhex("ff0200000000000000000001ff")
_SOCKET_FULL = (errno.ENOMEM, errno.ENOBUFS)  # net.core.optmem_max
_AT_ONCE = 16  # some 0.2 ms of the kernel's with a thousand of them

Group = bytes  # the last three octets of an address: a link-local one that goes with it has the same


class Memberships:
    """The groups that one interface is in, on as many sockets as that takes."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._sockets: list[socket.socket] = []
        self._by_group: dict[Group, socket.socket] = {}

    def join(self, group: Group) -> None:
        """Be a member; OSError if the kernel does not want that."""
        if group in self._by_group:
            return
        try:
            self._by_group[group] = self._join(group, new=not self._sockets)
        except OSError as error:
            if error.errno not in _SOCKET_FULL:
                raise
            self._by_group[group] = self._join(group, new=True)

    def leave(self, group: Group) -> None:
        """Be a member no more."""
        sock = self._by_group.pop(group, None)
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, self._request(group))

    def close(self) -> None:
        """Leave all of them."""
        for sock in self._sockets:
            sock.close()

    def _join(self, group: Group, *, new: bool) -> socket.socket:
        if new:
            self._sockets.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        sock = self._sockets[-1]
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, self._request(group))
        return sock

    def _request(self, group: Group) -> bytes:
        return _PREFIX + group + struct.pack("@I", self._index)


class SolicitedNodeGroups:
    """Which groups the home addresses that are bound need, on which interface. One for the whole host."""

    def __init__(self, limit: int, memberships: Callable[[int], Memberships] = Memberships) -> None:
        self.limit = limit
        self._make = memberships
        self.full = False  # a home address came when there was no room
        self._homes: dict[tuple[int, Address], str] = {}  # by VRID and home address, the interface
        self._wanted: Counter[tuple[str, Group]] = Counter()
        self._queue: deque[tuple[str, Group]] = deque()
        self._open: dict[str, Memberships] = {}

    @property
    def pending(self) -> bool:
        """There are groups to join or to leave."""
        return bool(self._queue)

    def __len__(self) -> int:
        return len(self._wanted)

    def bound(self, vrid: int, interface: str, bindings: Iterable[Binding]) -> bool:
        """These are bound, new or not; whether this is the first time that there is no room for one of them."""
        was_full = self.full
        for binding in bindings:
            key = (vrid, binding.home_address)
            if key in self._homes:
                continue
            if len(self._homes) >= self.limit:
                self.full = True
                break
            self._homes[key] = interface
            self._change(interface, binding.home_address, 1)
        return self.full and not was_full

    def unbound(self, vrid: int, bindings: Iterable[Binding]) -> None:
        """These are bound no more."""
        for binding in bindings:
            interface = self._homes.pop((vrid, binding.home_address), None)
            if interface is not None:
                self._change(interface, binding.home_address, -1)

    def forget(self, vrid: int) -> None:
        """The virtual HA is gone, or its home prefix is not on the link any more."""
        for key in [key for key in self._homes if key[0] == vrid]:
            self._change(self._homes.pop(key), key[1], -1)

    def link_up(self, interface: str, index: int) -> None:
        """There is an interface of this name: join everything on it."""
        self.link_down(interface)
        self._open[interface] = self._make(index)
        self._queue.extend(wanted for wanted in self._wanted if wanted[0] == interface)

    def link_down(self, interface: str) -> None:
        """It is gone, or to be left alone."""
        memberships = self._open.pop(interface, None)
        if memberships:
            memberships.close()

    def close(self) -> None:
        """Leave all groups."""
        for interface in list(self._open):
            self.link_down(interface)

    def work(self) -> OSError | None:
        """Join or leave a few; what went wrong, if anything did."""
        problem = None
        for _unused in range(min(_AT_ONCE, len(self._queue))):
            interface, group = self._queue.popleft()
            memberships = self._open.get(interface)
            if memberships is None:
                continue
            try:
                if (interface, group) in self._wanted:
                    memberships.join(group)
                else:
                    memberships.leave(group)
            except OSError as error:
                problem = error
        return problem

    def _change(self, interface: str, home_address: Address, by: int) -> None:
        wanted = (interface, home_address[13:])
        self._wanted[wanted] += by
        if self._wanted[wanted] == 0:
            del self._wanted[wanted]
        self._queue.append(wanted)
