# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a booting host's kernel is told to forward, and when: its routes to home addresses as they are installed.

Listens to the kernel's own announcements in the host's namespace, from the moment the namespace exists. The times are
those of reading, so each may be a little late but never early. The listener has a real-time priority, like the agents:
with one of those busy on each processor it would read long after the fact otherwise.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
from datetime import datetime
from ipaddress import AddressValueError, IPv6Address, IPv6Network
from typing import Self

from tests.lab import network, topology
from tests.lab.places import LabError

_ROUTE = re.compile(r"^\[(\S+)\] ([0-9a-f:]+) ", re.MULTILINE)
BUFFER = 64 << 20


class RouteWatch:
    """A context in which routes to the VRID's home addresses are noted with their times."""

    def __init__(self, host: str, vrid: int) -> None:
        self._namespace = topology.node(host).namespace
        self._prefix = IPv6Network(topology.HOME_ADDRESS_PREFIXES[vrid])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._said = ""
        self._problem = "the namespace was never there"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._problem:
            raise LabError(f"no watch on the routes of {self._namespace}: {self._problem}")

    def installed_by(self, moment: float) -> int:
        """To how many home addresses there was a route at that time (CLOCK_REALTIME); once the context is left."""
        first: dict[IPv6Address, float] = {}
        for time, destination in _ROUTE.findall(self._said):
            try:
                address = IPv6Address(destination)
            except AddressValueError:
                continue
            if address in self._prefix:
                first.setdefault(address, datetime.fromisoformat(time).astimezone().timestamp())
        return sum(at <= moment for at in first.values())

    def _watch(self) -> None:
        while not network.complete(self._namespace):
            if self._stop.wait(0.002):
                return
        command = ["ip", "-6", "-tshort", "-rcvbuf", str(BUFFER), "-n", self._namespace, "monitor", "route"]
        # Into a file: a pipe would be full while this process is not scheduled.
        with tempfile.TemporaryFile("w+") as said:
            monitor = subprocess.Popen(
                ["chrt", "--rr", "50", *command],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.PIPE,
                text=True,
            )
            self._stop.wait()
            monitor.terminate()
            _unused, self._problem = monitor.communicate()
            said.seek(0)
            self._said = said.read()
