# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces around a data plane, without agents: two HAs on a switch, a router, a CN and two MNs behind it.

Packets of the MN are built here and sent by a raw socket, so that nothing of the data plane judges itself.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vrrp_ha.core.settings import VirtualHaSettings
from vrrp_ha.core.types import Binding, packed
from vrrp_ha.shell.dataplane import DataPlane

VHA, OTHER_VHA = "2001:db8:1::51", "2001:db8:1::52"
HOME, OTHER_HOME = "2001:db8:1::1001", "2001:db8:1::1002"
CARE_OF, OTHER_CARE_OF = "2001:db8:2::77", "2001:db8:2::78"
CN = "2001:db8:9::5"
HA1_ADDRESS = "2001:db8:1::a1"
VIRTUAL_MAC, OTHER_VIRTUAL_MAC = "00:00:5e:00:02:33", "00:00:5e:00:02:34"
ETH_P_ALL, ETH_P_IPV6 = 0x0003, 0x86DD
SO_TIMESTAMPNS = 35

_libc = ctypes.CDLL(None, use_errno=True)


def settings(vrid: int = 51, **changes: object) -> VirtualHaSettings:
    """A virtual HA of the home link, not its owner."""
    values: dict[str, object] = {
        "vrid": vrid,
        "interface": "eth1",
        "priority": 200,
        "link_local": packed(f"fe80::5eff:fe00:2{vrid:02x}"),
        "addresses": (packed(f"2001:db8:1::{vrid}"),),
        "prefix": packed("2001:db8:1::"),
        "prefix_length": 64,
    }
    return VirtualHaSettings(**{**values, **changes})  # type: ignore[arg-type]


def binding(home: str, care_of: str) -> Binding:
    return Binding(packed(home), packed(care_of), 1, 0xC000, 0)  # type: ignore[arg-type]


def many_bindings(amount: int) -> list[Binding]:
    home, care_of = packed("2001:db8:1::")[:12], packed("2001:db8:2::")[:12]
    return [
        Binding(home + (0x10000 + i).to_bytes(4, "big"), care_of + i.to_bytes(4, "big"), 1, 0xC000, 0)  # type: ignore[arg-type]
        for i in range(amount)
    ]


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread in a network namespace; sockets opened meanwhile stay there."""
    with Path("/proc/thread-self/ns/net").open() as home, Path("/run/netns", namespace).open() as there:
        assert _libc.setns(there.fileno(), 0) == 0
        try:
            yield
        finally:
            assert _libc.setns(home.fileno(), 0) == 0


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class Host:
    """One namespace."""

    def __init__(self, name: str) -> None:
        self.namespace = name
        ip("netns", "add", name)
        with inside(name):
            for key, value in (
                ("default/accept_dad", 0),
                ("default/accept_ra", 0),
                ("default/router_solicitations", 0),
            ):
                Path(f"/proc/sys/net/ipv6/conf/{key}").write_text(str(value))
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str) -> str:
        return ip("-n", self.namespace, *words)

    def run(self, *command: str, check: bool = True) -> str:
        whole = ["ip", "netns", "exec", self.namespace, *command]
        return subprocess.run(whole, check=check, capture_output=True, text=True).stdout

    def sysctl(self, key: str) -> str:
        return self.run("sysctl", "-n", key).strip()

    def connect(self, interface: str, other: Host, port: str, *addresses: str) -> None:
        self.ip("link", "add", interface, "type", "veth", "peer", port, "netns", other.namespace)
        for address in addresses:
            self.ip("addr", "add", address, "dev", interface, "nodad")
        self.ip("link", "set", interface, "up")
        other.ip("link", "set", port, "up")

    def mac(self, interface: str) -> str:
        return self.run("cat", f"/sys/class/net/{interface}/address").strip()

    @contextmanager
    def socket(self, family: int, kind: int, protocol: int = 0) -> Iterator[socket.socket]:
        with inside(self.namespace):
            opened = socket.socket(family, kind, protocol)
        opened.settimeout(1)
        with opened:
            yield opened

    @contextmanager
    def capture(self, interface: str, protocol: int = ETH_P_ALL) -> Iterator[Capture]:
        with self.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol)) as sock:
            with inside(self.namespace):
                sock.bind((interface, protocol))
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            yield Capture(sock)


class Capture:
    """What an interface receives and sends."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def first(self, match: Callable[[bytes], object], within: float = 1.0) -> bytes | None:
        """The first frame that matches and was received; None when there is none in time."""
        return next((frame for _unused, frame in self.frames(match, within)), None)

    def frames(self, match: Callable[[bytes], object], within: float) -> Iterator[tuple[float, bytes]]:
        """Time of arrival (as time.time) and content of the frames that match."""
        end = time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                frame, ancillary, _unused, origin = self._socket.recvmsg(65536, 64)
            except TimeoutError:
                return
            if origin[2] != socket.PACKET_OUTGOING and match(frame):
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                yield seconds + nanoseconds / 1e9, frame


class HomeLink:
    """All of it; a context manager."""

    def __init__(self) -> None:
        prefix = f"vdp{os.getpid()}"
        self.switch, self.ha1, self.ha2, self.router, self.cn, self.mn = self.hosts = [
            Host(f"{prefix}{name}") for name in ("sw", "a", "b", "r", "c", "m")
        ]

    def __enter__(self) -> HomeLink:
        switch, router = self.switch, self.router
        switch.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        switch.ip("link", "set", "br0", "addrgenmode", "none")
        switch.ip("link", "set", "br0", "up")
        self.ha1.connect("eth1", switch, "ha1", f"{HA1_ADDRESS}/64")
        self.ha2.connect("eth1", switch, "ha2", "2001:db8:1::a2/64")
        router.connect("home", switch, "router", "2001:db8:1::1/64")
        for port in ("ha1", "ha2", "router"):
            switch.ip("link", "set", port, "addrgenmode", "none")
            switch.ip("link", "set", port, "master", "br0")
        router.connect("cn", self.cn, "eth0", "2001:db8:9::1/64")
        router.connect("mn", self.mn, "eth0", "2001:db8:2::1/64")
        router.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        self.cn.ip("addr", "add", f"{CN}/64", "dev", "eth0", "nodad")
        self.cn.ip("route", "add", "default", "via", "2001:db8:9::1")
        for address in (CARE_OF, OTHER_CARE_OF):
            self.mn.ip("addr", "add", f"{address}/64", "dev", "eth0", "nodad")
        self.mn.ip("route", "add", "default", "via", "2001:db8:2::1")
        for ha in (self.ha1, self.ha2):
            ha.ip("route", "add", "default", "via", "2001:db8:1::1")
        # The agent answers solicitations for home addresses; here nobody does, so the router knows.
        for home, mac in ((HOME, VIRTUAL_MAC), (OTHER_HOME, VIRTUAL_MAC)):
            router.ip("neigh", "replace", home, "lladdr", mac, "dev", "home", "nud", "permanent")
        for ha in (self.ha1, self.ha2):
            _until(lambda ha=ha: "tentative" not in ha.ip("addr", "show", "dev", "eth1"))
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            ip("netns", "delete", host.namespace)

    @contextmanager
    def dataplane(self, host: Host) -> Iterator[DataPlane]:
        """A data plane on a host. Every call of it has to be made inside the namespace, as a whole agent would be."""
        with inside(host.namespace):
            plane = DataPlane(1000, 900)
            plane.start()
            try:
                yield plane
            finally:
                plane.stop()


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def settle(plane: DataPlane, seconds: float = 20.0) -> list[tuple[int, int]]:
    """Let the data plane do all it has queued; returns the markers."""
    passed = []
    end = time.monotonic() + seconds
    while plane.pending:
        passed += plane.work(10_000)
        assert time.monotonic() < end, "the queue does not get empty"
    return passed


# --- packets -----------------------------------------------------------------------------------------------


def ipv6(source: str, destination: str, next_header: int, payload: bytes, hop_limit: int = 64) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), next_header, hop_limit)
    return head + packed(source) + packed(destination) + payload


def checksum(source: str, destination: str, next_header: int, payload: bytes) -> int:
    data = packed(source) + packed(destination) + struct.pack("!II", len(payload), next_header) + payload
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def udp(source: str, destination: str, data: bytes, port: int = 7777) -> bytes:
    segment = struct.pack("!HHHH", port, port, 8 + len(data), 0) + data
    value = checksum(source, destination, 17, segment)
    return ipv6(source, destination, 17, segment[:6] + struct.pack("!H", value) + segment[8:])


def icmpv6(source: str, destination: str, kind: int, body: bytes, hop_limit: int = 64) -> bytes:
    segment = struct.pack("!BBH", kind, 0, 0) + body
    value = checksum(source, destination, 58, segment)
    return ipv6(source, destination, 58, segment[:2] + struct.pack("!H", value) + segment[4:], hop_limit)


def solicitation(target: str, source: str, mac: str) -> bytes:
    """A frame that asks for the MAC of an address."""
    group = packed("ff02::1:ff00:0")[:13] + packed(target)[13:]
    option = b"\1\1" + bytes.fromhex(mac.replace(":", ""))
    packet = icmpv6(source, socket.inet_ntop(socket.AF_INET6, group), 135, bytes(4) + packed(target) + option, 255)
    return b"\x33\x33" + group[12:] + bytes.fromhex(mac.replace(":", "")) + b"\x86\xdd" + packet
