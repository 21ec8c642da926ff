# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets through which packets come and go. They move octets; what is in these is the node's business.

On each home link one socket for advertisements and another for the rest, so that no advertisement waits behind a
thousand bindings; one socket for signalling from anywhere; one to send along the kernel's routes. ETH_P_ALL
on the home links, because a macvlan that has the sender's virtual MAC may take a frame away before sockets of one
protocol see it; PACKET_IGNORE_OUTGOING, so that the kernel copies nothing that the host sends.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Iterable, Mapping

from ..core.types import Address
from . import filters

_ETH_P_ALL = 0x0003
_ETH_P_IPV6 = 0x86DD
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_ALLMULTI = 2
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_TC_PRIO_CONTROL = 7
_ALL_VRRP_ROUTERS = socket.inet_pton(socket.AF_INET6, "ff02::12")
# The solicited-node group of every Mobile IPv6 Home-Agents anycast address (RFC 2526): these end alike.
_HOME_AGENTS_SOLICITED = socket.inet_pton(socket.AF_INET6, "ff02::1:ffff:fffe")
_ALL_ROUTERS = socket.inet_pton(socket.AF_INET6, "ff02::2")  # Router Solicitations; the kernel's own only if it routes

RECEIVE_BUFFER = 8 << 20
SEND_BUFFER = 4 << 20
LARGEST_PACKET = 65_575  # an IPv6 header and the largest payload

# Nothing more to read, or the interface is going: the link monitor will say so.
_NOTHING = frozenset({errno.EAGAIN, errno.ENETDOWN, errno.ENODEV, errno.ENXIO})

_libc = ctypes.CDLL(None, use_errno=True)

Received = tuple[str, bytes, bytes]  # interface, source MAC, IPv6 packet


def _buffer(sock: socket.socket, force: int, plain: int, size: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, plain, size)


def _packet_socket(program: bytes) -> socket.socket:
    """A socket that receives nothing until it is bound, and nothing unfiltered then."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    filters.attach(sock, program)
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    _buffer(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BUFFER)
    return sock


def _bind_to_all(sock: socket.socket, protocol: int) -> None:
    """Receive from every interface. Python's bind() cannot say that of a packet socket."""
    address = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(protocol), 0, 0, 0, 0)
    if _libc.bind(sock.fileno(), address, len(address)) < 0:
        raise OSError(ctypes.get_errno(), "cannot listen on all interfaces")


def _receive(sock: socket.socket) -> tuple[bytes, tuple[str, int, int, int, bytes]] | None:
    """One packet and where it came from, None when there is no more."""
    try:
        return sock.recvfrom(LARGEST_PACKET)
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise


class HomeLinkSockets:
    """Everything that is bound to one home link's interface."""

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.index = socket.if_nametoindex(interface)
        self._open: list[socket.socket] = []
        try:
            self.advertisements = self._listen(filters.advertisements())
            self.others = self._listen(filters.home_link())
            self._others_join_multicast()
            self._out = self._sender()
            self._member = self._join()
        except OSError:
            self.close()
            raise

    def advertisement(self) -> Received | None:
        """The next VRRP advertisement."""
        got = _receive(self.advertisements)
        return (self.interface, got[1][4], got[0]) if got else None

    def other(self) -> Received | None:
        """The next binding cache message or multicast solicitation."""
        got = _receive(self.others)
        return (self.interface, got[1][4], got[0]) if got else None

    def current(self) -> bool:
        """Whether the interface of that name is still the one that was opened."""
        try:
            return socket.if_nametoindex(self.interface) == self.index
        except OSError:
            return False

    def send(self, frame: bytes) -> None:
        """A whole Ethernet frame, as it is."""
        self._out.send(frame)

    def close(self) -> None:
        """Leave the link."""
        for sock in self._open:
            sock.close()

    def _keep(self, sock: socket.socket) -> socket.socket:
        self._open.append(sock)
        return sock

    def _listen(self, program: bytes) -> socket.socket:
        sock = self._keep(_packet_socket(program))
        sock.bind((self.interface, _ETH_P_ALL))
        return sock

    def _others_join_multicast(self) -> None:
        """Solicitations for home addresses go to groups that the host has not joined."""
        request = struct.pack("@iHH8x", self.index, _PACKET_MR_ALLMULTI, 0)
        self.others.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)

    def _sender(self) -> socket.socket:
        sock = self._keep(socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0))
        sock.bind((self.interface, 0))  # protocol 0: it never receives
        _buffer(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _TC_PRIO_CONTROL)
        except PermissionError:
            pass  # behind other traffic of the host, then
        return sock

    def _join(self) -> socket.socket:
        """Membership of groups by way of the IPv6 stack, which reports them by MLD to snooping switches."""
        sock = self._keep(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0))
        for group in (_ALL_VRRP_ROUTERS, _ALL_ROUTERS, _HOME_AGENTS_SOLICITED):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", self.index))
        return sock


class SignallingSocket:
    """Unicast packets to the virtual HAs, whichever interface they arrive on."""

    def __init__(self) -> None:
        self.socket = _packet_socket(filters.signalling(()))
        _bind_to_all(self.socket, _ETH_P_IPV6)
        self._base: dict[str, str] = {}

    def listen_for(self, addresses: Iterable[Address], base: Mapping[str, str]) -> None:
        """The addresses that signalling may go to, and the home link's interface under each virtual device."""
        filters.attach(self.socket, filters.signalling(addresses))
        self._base = dict(base)

    def receive(self) -> Received | None:
        """The next packet; what came in on a virtual device counts as from the interface under it."""
        got = _receive(self.socket)
        if got is None:
            return None
        packet, (interface, _protocol, _type, _hardware, mac) = got
        return self._base.get(interface, interface), mac, packet

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


class RoutedSender:
    """Whole IPv6 packets, whatever their source address, by the kernel's routes."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
        _buffer(self._socket, _SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER)

    def send(self, packet: bytes) -> None:
        """The header's destination decides; a type 2 routing header's home address is for the mobile node."""
        self._socket.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))

    def close(self) -> None:
        """Send no more."""
        self._socket.close()
