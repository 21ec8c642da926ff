# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a booting host's kernel is told to forward, and when: its routes to home addresses as they are installed.

Listens to the kernel's own announcements in the host's namespace, from the moment the namespace exists. The times are
those of reading, so each may be a little late but never early.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from ipaddress import IPv6Network
from typing import Self

from tests.lab import topology
from tests.lab.mn import netns

NETLINK_ROUTE, RTMGRP_IPV6_ROUTE, RTM_NEWROUTE, RTA_DST = 0, 0x400, 24, 1
SO_RCVBUFFORCE = 33


class RouteWatch:
    """A context in which routes to the VRID's home addresses are noted with their times."""

    def __init__(self, host: str, vrid: int) -> None:
        self._namespace = topology.node(host).namespace
        self._prefix = IPv6Network(topology.HOME_ADDRESS_PREFIXES[vrid]).network_address.packed[:10]
        self._first: dict[bytes, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def installed_by(self, moment: float) -> int:
        """To how many home addresses there was a route at that time (CLOCK_REALTIME)."""
        return sum(at <= moment for at in list(self._first.values()))

    def _watch(self) -> None:
        while not self._stop.wait(0.001):
            with contextlib.suppress(OSError):
                netns.enter(self._namespace)
                break
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as kernel:
            kernel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            kernel.bind((0, RTMGRP_IPV6_ROUTE))
            kernel.settimeout(0.2)
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    self._note(kernel.recv(1 << 16), time.time())

    def _note(self, data: bytes, now: float) -> None:
        while len(data) >= 28:
            length, kind = struct.unpack_from("=IH", data)
            home = _destination(data[28:length]) if kind == RTM_NEWROUTE and data[17] == 128 else None
            if home is not None and home.startswith(self._prefix):
                self._first.setdefault(home, now)
            data = data[max(length + 3 & ~3, 16) :]


def _destination(attributes: bytes) -> bytes | None:
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == RTA_DST:
            return attributes[4:20]
        attributes = attributes[max(length + 3 & ~3, 4) :]
    return None
