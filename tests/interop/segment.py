# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link in network namespaces: a bridge, hosts on it, and a tap on every port.

A tap sees what its host sends, stamped by the kernel, whoever it is for; a frame injected at a port reaches that
host alone. So tests know who said what, and can talk to one host behind the others' backs.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.interop.frames import Frame

SO_TIMESTAMPNS = 35
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SETTLE = 0.02  # how long a frame may take to come through a bridge and a tap on a busy machine

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = count()


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in a network namespace; sockets opened meanwhile stay there."""
    with Path("/proc/thread-self/ns/net").open() as home, Path("/run/netns", namespace).open() as there:
        if _libc.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        try:
            yield
        finally:
            _libc.setns(home.fileno(), 0)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Host:
    """A namespace with one interface, eth0, on the segment."""

    def __init__(self, segment: Segment, name: str, link_local: str, address: str) -> None:
        self.segment = segment
        self.name = name
        self.link_local = link_local
        self.address = address
        self.namespace = f"{segment.prefix}-{name}"
        self.port = f"to-{name}"
        ip("netns", "add", self.namespace)
        with inside(self.namespace):
            for setting, value in (("default/accept_dad", 0), ("default/accept_ra", 0), ("all/forwarding", 1)):
                Path(f"/proc/sys/net/ipv6/conf/{setting}").write_text(str(value))
        ip("-n", segment.lan, "link", "add", self.port, "type", "veth", "peer", "eth0", "netns", self.namespace)
        ip("-n", self.namespace, "link", "set", "lo", "up")
        ip("-n", self.namespace, "link", "set", "eth0", "addrgenmode", "none")
        ip("-n", self.namespace, "addr", "add", f"{link_local}/64", "dev", "eth0", "nodad")
        ip("-n", self.namespace, "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
        ip("-n", self.namespace, "link", "set", "eth0", "up")
        ip("-n", segment.lan, "link", "set", self.port, "master", "br0", "up")

    @property
    def mac(self) -> str:
        with inside(self.namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as probe:
            probe.bind(("eth0", 0))
            return bytes(probe.getsockname()[4]).hex(":")

    def run(self, *command: str) -> str:
        """The output of a command in this namespace."""
        whole = ["ip", "netns", "exec", self.namespace, *command]
        return subprocess.run(whole, check=True, capture_output=True, text=True).stdout

    def receive(self, frame: bytes) -> float:
        """Have this host alone receive a frame; the time at which it was sent."""
        sent = time.time()
        self.segment.taps[self.name].send(frame)
        return sent


class Segment:
    """The link. Use it as a context manager; everything is gone afterwards."""

    def __init__(self) -> None:
        self.prefix = f"vhi{os.getpid()}x{next(_numbers)}"
        self.lan = f"{self.prefix}-lan"
        self.hosts: dict[str, Host] = {}
        self.taps: dict[str, socket.socket] = {}
        self.seen: list[Frame] = []
        self._news = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Segment:
        ip("netns", "add", self.lan)
        ip("-n", self.lan, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip("-n", self.lan, "link", "set", "br0", "addrgenmode", "none")
        ip("-n", self.lan, "link", "set", "br0", "up")
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.close()
        self._thread.join(5)
        for tap in self.taps.values():
            tap.close()
        for namespace in (self.lan, *(host.namespace for host in self.hosts.values())):
            ip("netns", "delete", namespace)

    def add(self, name: str, link_local: str, address: str) -> Host:
        """One more host on the link."""
        host = self.hosts[name] = Host(self, name, link_local, address)
        with inside(self.lan):
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        tap.bind((host.port, ETH_P_ALL))
        tap.setblocking(False)
        self.taps[name] = tap
        self._selector.register(tap, selectors.EVENT_READ, name)
        self._wake.send(b"x")
        return host

    def multicast(self, frame: bytes) -> float:
        """Have every host receive a frame; the time at which it was sent."""
        return min([host.receive(frame) for host in self.hosts.values()])

    def frames(self, match: Callable[[Frame], object], *, since: float = 0.0) -> list[Frame]:
        """What was sent since that time, and matches."""
        with self._news:
            return [frame for frame in self.seen if frame.time >= since and match(frame)]

    def wait_for(self, match: Callable[[Frame], object], *, since: float, timeout: float) -> Frame:
        """The first frame that matches; AssertionError when none comes in time."""
        limit = time.monotonic() + timeout
        checked = 0
        with self._news:
            while True:
                while checked < len(self.seen):
                    frame = self.seen[checked]
                    checked += 1
                    if frame.time >= since and match(frame):
                        return frame
                left = limit - time.monotonic()
                assert left > 0, f"nothing such was sent within {timeout} s"
                self._news.wait(left)

    def _listen(self) -> None:
        while True:
            for key, _unused in self._selector.select():
                if key.data is None:
                    if not self._woken.recv(64):
                        return
                    continue
                self._read(key.data, key.fileobj)  # type: ignore[arg-type]

    def _read(self, name: str, tap: socket.socket) -> None:
        fresh = []
        while True:
            try:
                data, ancillary, _unused, origin = tap.recvmsg(65536, 64)
            except (BlockingIOError, OSError):
                break
            if origin[2] == PACKET_OUTGOING:
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            fresh.append(Frame(seconds + nanoseconds / 1e9, name, data))
        with self._news:
            self.seen.extend(fresh)
            self._news.notify_all()
