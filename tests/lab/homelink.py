# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen on the home link: every VRRP message with the time at which the kernel saw it.

An observer of its own, with a packet socket in the router's namespace; it decodes the few octets it needs itself and
shares no code with the agent.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv6Address
from itertools import pairwise
from typing import Self

from tests.lab import topology
from tests.lab.mn import netns

ETH_P_IPV6 = 0x86DD
VRRP = 112
ADVERTISEMENT = 1
SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_ALLMULTI = 263, 1, 2


@dataclass(frozen=True, slots=True)
class Seen:
    """One VRRP message; `at` is CLOCK_REALTIME in seconds."""

    at: float
    source: IPv6Address
    kind: int
    vrid: int
    priority: int


class HomeLink:
    """A context in which `seen` grows."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._stop = threading.Event()
        # A socket stays in the namespace it was made in; only the thread that makes it has to go there.
        with ThreadPoolExecutor(max_workers=1) as pool:
            self._socket = pool.submit(_open).result()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def adverts(self, vrid: int, host: str | None = None, since: float = 0) -> list[Seen]:
        """Advertisements for that VRID, of one host or of all."""
        source = IPv6Address(topology.node(host).ports[-1].link_local) if host else None
        return [
            message
            for message in list(self.seen)
            if message.kind == ADVERTISEMENT
            and message.vrid == vrid
            and message.at >= since
            and source in (None, message.source)
        ]

    def changes(self, vrid: int) -> int:
        """How often another host began to advertise it as its Master."""
        sources = [message.source for message in self.adverts(vrid) if message.priority]
        return sum(earlier != later for earlier, later in pairwise(sources))

    def longest_silence(self, vrid: int) -> float:
        """Seconds between two advertisements for that VRID, whoever sent them, at most."""
        return max(later.at - earlier.at for earlier, later in pairwise(self.adverts(vrid)))

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                packet, ancillary, _unused, _unused = self._socket.recvmsg(2048, 64)
            except TimeoutError:
                continue
            if len(packet) >= 48 and packet[6] == VRRP:
                first, vrid, priority = struct.unpack_from("!BBB", packet, 40)
                self.seen.append(Seen(_stamp(ancillary), IPv6Address(packet[8:24]), first & 15, vrid, priority))


def _only_vrrp(watcher: socket.socket) -> None:
    """Leave the rest to the kernel (BPF): the home link may carry thousands of packets a second."""
    program = [(0x30, 0, 0, 6), (0x15, 0, 1, VRRP), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]  # load, equal?, take, leave
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    watcher.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))


def _open() -> socket.socket:
    netns.enter(topology.node("router").namespace)
    watcher = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6))
    _only_vrrp(watcher)
    watcher.bind(("eth1", ETH_P_IPV6))
    watcher.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    membership = struct.pack("iHH8s", socket.if_nametoindex("eth1"), PACKET_MR_ALLMULTI, 0, b"")
    watcher.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
    watcher.settimeout(0.2)
    return watcher


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", data)
            return float(seconds + nanoseconds / 1e9)
    raise OSError("no time stamp with a packet")
