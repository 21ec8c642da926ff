# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packet sockets let through, as classic BPF programs.

The kernel decides for each packet of the host, so that none but those that the agent is for ever reaches Python.
Offsets count from the IPv6 header (the sockets are SOCK_DGRAM). A load beyond the end of a packet drops it.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable

from ..core.types import Address

_SO_ATTACH_FILTER = 26
_MOST_INSTRUCTIONS = 4096

_ETH_P_IPV6 = 0x86DD
_PACKET_OTHERHOST = 3
_ANCILLARY = 0xFFFFF000  # SKF_AD_OFF: what follows is not in the packet
_SOURCE_MAC = 0xFFE00000 + 6  # SKF_LL_OFF: the frame's header, which is there though the socket does not show it
_PROTOCOL, _PACKET_TYPE, _INTERFACE, _VLAN_PRESENT = 0, 4, 8, 48

# Where things are in a packet without extension headers.
_NEXT_HEADER, _HOP_LIMIT, _DESTINATION, _UPPER = 6, 7, 24, 40
_FLAGS, _ROUTER = _UPPER + 4, 0x80  # of a Neighbor Advertisement
_VRRP, _ICMPV6, _MOBILITY, _ESP, _DESTINATION_OPTIONS, _HOP_BY_HOP = 112, 58, 135, 50, 60, 0
_ROUTER_SOLICITATION, _ROUTER_ADVERTISEMENT, _NEIGHBOR_SOLICITATION = 133, 134, 135
_NEIGHBOR_ADVERTISEMENT = 136
_DHAAD_REQUEST, _PREFIX_SOLICITATION = 144, 146
_VRRP_ADVERTISEMENT = 1
_LOOPBACK_INDEX = 1
_INFORMATIONAL = 0x80  # the bit that ICMPv6 errors do not have
_IPV6, _FRAGMENT = 41, 44
_QUOTED_NEXT_HEADER = _UPPER + 8 + _NEXT_HEADER  # of the packet that an ICMPv6 error is about

Instruction = tuple[int, int | str, int | str, int]  # code, jump if true, jump if false (labels), operand


class Program:
    """A small assembler: conditional jumps name labels, which must stand further down."""

    def __init__(self) -> None:
        self._code: list[Instruction] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """What follows is known by this name."""
        self._labels[name] = len(self._code)

    def load_byte(self, offset: int) -> None:
        """A := the octet at an offset."""
        self._code.append((0x30, 0, 0, offset))

    def load_word(self, offset: int) -> None:
        """A := four octets at an offset, network order."""
        self._code.append((0x20, 0, 0, offset))

    def load_ancillary(self, what: int) -> None:
        """A := something the kernel knows of the packet."""
        self._code.append((0x20, 0, 0, _ANCILLARY + what))

    def mask(self, bits: int) -> None:
        """A := A and bits."""
        self._code.append((0x54, 0, 0, bits))

    def if_equal(self, value: int, then: str = "", otherwise: str = "") -> None:
        """Jump if A is the value (no label: go on)."""
        self._code.append((0x15, then, otherwise, value))

    def result(self, accept: bool) -> None:
        """The end: the whole packet or none of it."""
        self._code.append((0x06, 0, 0, 0x40000 if accept else 0))

    def assemble(self) -> bytes:
        """struct sock_filter[]."""
        result = []
        for i, (code, true, false, operand) in enumerate(self._code):
            jumps = [self._labels[j] - i - 1 if isinstance(j, str) and j else 0 for j in (true, false)]
            result.append(struct.pack("=HBBI", code, *jumps, operand))
        return b"".join(result)


def _received_here() -> Program:
    """The packet was for this host, or for all, on the very interface (no VLAN on top of it)."""
    program = Program()
    program.load_ancillary(_PROTOCOL)
    program.if_equal(_ETH_P_IPV6, otherwise="drop")
    program.load_ancillary(_VLAN_PRESENT)
    program.if_equal(0, otherwise="drop")
    program.load_ancillary(_PACKET_TYPE)
    program.if_equal(_PACKET_OTHERHOST, then="drop")
    program.load_byte(_NEXT_HEADER)
    return program


def advertisements() -> bytes:
    """VRRP messages of type 1 and nothing else: they never wait behind anything."""
    program = _received_here()
    program.if_equal(_VRRP, otherwise="drop")
    program.load_byte(_UPPER)
    program.mask(0x0F)
    program.if_equal(_VRRP_ADVERTISEMENT, otherwise="drop")
    program.result(accept=True)
    program.label("drop")
    program.result(accept=False)
    return program.assemble()


def home_link() -> bytes:
    """Every other VRRP message; multicast Router and Neighbor Solicitations and Advertisements.

    But for what home agents advertise for mobile nodes that register (virtual MAC, R=0): there may be thousands in a
    second, and nobody here would do anything about them.
    """
    program = _received_here()
    program.if_equal(_VRRP, then="vrrp")
    program.if_equal(_ICMPV6, otherwise="drop")
    program.load_byte(_UPPER)
    program.if_equal(_ROUTER_SOLICITATION, then="multicast")
    program.if_equal(_NEIGHBOR_ADVERTISEMENT, then="advertised")
    program.if_equal(_ROUTER_ADVERTISEMENT, then="multicast")
    program.if_equal(_NEIGHBOR_SOLICITATION, then="multicast", otherwise="drop")
    program.label("advertised")
    program.load_byte(_FLAGS)
    program.mask(_ROUTER)
    program.if_equal(0, otherwise="multicast")
    program.load_word(_SOURCE_MAC)
    program.if_equal(0x00005E00, otherwise="multicast")
    program.load_byte(_SOURCE_MAC + 4)
    program.if_equal(0x02, then="drop")
    program.label("multicast")
    program.load_byte(_DESTINATION)
    program.if_equal(0xFF, then="accept", otherwise="drop")
    program.label("vrrp")
    program.load_byte(_UPPER)
    program.mask(0x0F)
    program.if_equal(_VRRP_ADVERTISEMENT, then="drop")
    program.label("accept")
    program.result(accept=True)
    program.label("drop")
    program.result(accept=False)
    return program.assemble()


def signalling(addresses: Iterable[Address]) -> bytes:
    """Unicast to this host: mobility signalling to one of the addresses; Router and Neighbor Solicitations to any.

    ICMPv6 errors about tunnel packets of the addresses also from the loopback: what the host itself could not send.
    """
    program = Program()
    program.load_ancillary(_PACKET_TYPE)
    program.if_equal(_PACKET_OTHERHOST, then="drop")
    program.load_ancillary(_INTERFACE)
    program.if_equal(_LOOPBACK_INDEX, then="loopback")
    program.load_byte(_DESTINATION)
    program.if_equal(0xFF, then="drop")
    program.load_byte(_NEXT_HEADER)
    program.if_equal(_ICMPV6, then="icmpv6")
    for header in (_DESTINATION_OPTIONS, _HOP_BY_HOP, _ESP):
        program.if_equal(header, then="to-us")
    program.if_equal(_MOBILITY, then="to-us", otherwise="drop")
    program.label("icmpv6")
    program.load_byte(_UPPER)
    program.if_equal(_DHAAD_REQUEST, then="to-us")
    program.if_equal(_PREFIX_SOLICITATION, then="to-us")
    program.if_equal(_ROUTER_SOLICITATION, then="on-link")
    program.if_equal(_NEIGHBOR_SOLICITATION, then="on-link", otherwise="error")
    program.label("loopback")
    program.load_byte(_NEXT_HEADER)
    program.if_equal(_ICMPV6, otherwise="drop")
    program.load_byte(_UPPER)
    program.label("error")
    program.mask(_INFORMATIONAL)
    program.if_equal(0, otherwise="drop")
    program.load_byte(_QUOTED_NEXT_HEADER)
    for header in (_DESTINATION_OPTIONS, _FRAGMENT):
        program.if_equal(header, then="to-us")
    program.if_equal(_IPV6, then="to-us", otherwise="drop")
    program.label("on-link")
    program.load_byte(_HOP_LIMIT)
    program.if_equal(255, otherwise="drop")
    program.result(accept=True)
    program.label("drop")  # near enough for the jumps above; the addresses may be many
    program.result(accept=False)
    program.label("to-us")
    for i, address in enumerate(sorted(set(addresses))):
        words = struct.unpack("!4I", address)
        for word in (3, 2, 1, 0):  # the last differs most
            program.load_word(_DESTINATION + 4 * word)
            program.if_equal(words[word], otherwise=f"not-{i}")
        program.result(accept=True)
        program.label(f"not-{i}")
    program.result(accept=False)
    return program.assemble()


def attach(sock: socket.socket, program: bytes) -> None:
    """Let the kernel apply the program to the socket from now on, in place of an earlier one."""
    count = len(program) // 8
    if count > _MOST_INSTRUCTIONS:
        raise ValueError(f"a filter of {count} instructions is too long for the kernel")
    buffer = ctypes.create_string_buffer(program)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", count, ctypes.addressof(buffer)))
