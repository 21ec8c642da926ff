# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home link in network namespaces with real agents on it, and what a test does to them.

A bridge; hosts `a` and `b`, home agents; host `c`, which is all the others: an observer of the link, the router to
a foreign prefix, a mobile node there (its care-of address is c's own) and a correspondent node.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import hmac
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

FILES = Path(__file__).parents[2] / "roles" / "agent" / "files"
VHA, PREFIX, HOME = "2001:db8:1::51", "2001:db8:1::/64", "2001:db8:1::1001"
CARE_OF, FOREIGN = "2001:db8:2::77", "2001:db8:2::/64"
KEY = bytes(range(16))
SPI = 256
SYNC_KEY = "00112233445566778899aabbccddeeff"
ADDRESSES = {"a": "2001:db8:1::a", "b": "2001:db8:1::b", "c": "2001:db8:1::c", "d": "2001:db8:1::d"}
MACS = {"a": "02:00:00:00:00:0a", "b": "02:00:00:00:00:0b", "c": "02:00:00:00:00:0c", "d": "02:00:00:00:00:0d"}
ETH_P_IPV6 = 0x86DD
PATIENCE_S = 20.0
"""For an agent to start, however busy the machine is; no test is about that."""

_libc = ctypes.CDLL(None, use_errno=True)


def until(condition: Callable[[], Any], seconds: float = 5.0, what: str = "") -> Any:
    """Wait for something to be true, and return it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        time.sleep(0.01)


class Link:
    """The namespaces; a context manager."""

    def __init__(self, hosts: str = "abc") -> None:
        self.name = f"vh{os.getpid()}"
        self.hosts = hosts

    def __enter__(self) -> Link:
        self._ip("netns", "add", self.namespace("br"))
        self._in("br", "link add br0 type bridge mcast_snooping 0")
        self._in("br", "link set br0 up")
        for host in self.hosts:
            self._ip("netns", "add", self.namespace(host))
            self._in(host, "link set lo up")
            self._in("br", f"link add v{host} type veth peer name eth1 netns {self.namespace(host)}")
            self._in("br", f"link set v{host} master br0 up")
            self.run(host, "sysctl", "-qw", "net.ipv6.conf.eth1.accept_dad=0")
            self._in(host, f"link set eth1 address {MACS[host]} up")
            self._in(host, f"addr add {ADDRESSES[host]}/64 dev eth1 nodad")
            if host != "c":
                self._in(host, f"route add {FOREIGN} via {ADDRESSES['c']}")
        if "c" in self.hosts:
            self._in("c", f"addr add {CARE_OF}/128 dev lo nodad")
        return self

    def __exit__(self, *_: object) -> None:
        for host in ("br", *self.hosts):
            subprocess.run(["ip", "netns", "del", self.namespace(host)], check=False)

    def namespace(self, host: str) -> str:
        return f"{self.name}{host}"

    def run(self, host: str, *command: str) -> str:
        """Run a command on a host; its output."""
        full = ["ip", "netns", "exec", self.namespace(host), *command]
        return subprocess.run(full, check=True, capture_output=True, text=True).stdout

    @contextlib.contextmanager
    def on(self, host: str) -> Iterator[None]:
        """Sockets made inside belong to the host."""
        with Path("/proc/self/ns/net").open() as here, Path("/run/netns", self.namespace(host)).open() as there:
            assert _libc.setns(there.fileno(), 0) == 0
            try:
                yield
            finally:
                assert _libc.setns(here.fileno(), 0) == 0

    def carrier(self, host: str, *, up: bool) -> None:
        """Plug a host's cable in or out."""
        self._in("br", f"link set v{host} {'up' if up else 'down'}")

    def traces(self, host: str) -> dict[str, str]:
        """Everything on a host that an agent might have changed."""
        sysctl = "net.ipv6.conf.all.forwarding net.ipv6.conf.eth1.seg6_enabled net.ipv6.conf.all.seg6_enabled"
        return {
            "rules": self.run(host, "ip", "-6", "rule"),
            "links": self.run(host, "sh", "-c", "ip -br link | cut -d@ -f1 | cut -d' ' -f1"),
            "addresses": self.run(host, "sh", "-c", "ip -br -6 addr | awk '{$2 = \"\"; print}'"),
            "routes": self.run(host, "ip", "-6", "route", "show", "table", "all", "proto", "112"),
            "tunnels": self.run(host, "ip", "-6", "route", "show", "table", "all", "dev", "lo"),
            "nftables": self.run(host, "nft", "list", "ruleset"),
            "sysctls": self.run(host, "sysctl", *sysctl.split()),
        }

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def _in(self, host: str, command: str) -> None:
        self._ip("-n", self.namespace(host), *command.split())


def virtual_ha(vrid: int = 51, **changes: Any) -> dict[str, Any]:
    return {
        "vrid": vrid,
        "interface": "eth1",
        "addresses": [f"2001:db8:1::{vrid}"],
        "prefix": PREFIX,
        "advertisement_interval": 10,
        "sync_key": "fleet",
        "duplicate_address_detection": False,  # answers come at once; test_home_link_duties.py is about the other way
        **changes,
    }


class Agent:
    """A real agent on one host of a link."""

    def __init__(self, link: Link, host: str, directory: Path, priorities: dict[int, int]) -> None:
        self.link, self.host = link, host
        self.directory = directory / host
        self.directory.mkdir(parents=True)
        self.config_path = self.directory / "agent.json"
        self.keys_path = self.directory / "keys.json"
        self.config: dict[str, Any] = {
            "format": 1,
            "host": host,
            "keys_file": str(self.keys_path),
            "state_directory": str(self.directory / "state"),
            "control_socket": str(self.directory / "control.sock"),
            "control_group": "daemon",
            "virtual_has": [virtual_ha(vrid, priority=priority) for vrid, priority in priorities.items()],
        }
        self.keys: dict[str, Any] = {
            "format": 1,
            "sync_keys": [{"name": "fleet", "key_id": 1, "key": SYNC_KEY}],
            "mobile_node_keys": [{"spi": SPI, "key": KEY.hex(), "home_addresses": PREFIX}],
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}

    def write(self) -> None:
        self.config_path.write_text(json.dumps(self.config))
        self.keys_path.write_text(json.dumps(self.keys))
        self.keys_path.chmod(0o600)

    def start(self, *, wait: bool = True) -> Agent:
        self.write()
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("run"), stdout=log, stderr=log, env={**environment(), **self.environment}
            )
        if wait:
            until(self.answers, PATIENCE_S, f"agent {self.host} answers; its log: {self.log()}")
        return self

    def command(self, *arguments: str) -> list[str]:
        enter = ["ip", "netns", "exec", self.link.namespace(self.host)]
        return [*enter, sys.executable, "-m", "vrrp_ha", *arguments, "--config", str(self.config_path)]

    def ctl(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the vrrp-ha command for this agent."""
        return subprocess.run(
            self.command(*arguments), check=check, capture_output=True, text=True, env=environment(), **options
        )

    def call(self, name: str, **arguments: Any) -> Any:
        """A call over the control socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect(self.config["control_socket"])
            client.sendall(json.dumps({"v": 1, "id": 1, "call": name, "args": arguments}).encode() + b"\n")
            with client.makefile("rb") as lines:
                answer = json.loads(lines.readline())
        assert answer["ok"], answer
        return answer["result"]

    def answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, f"agent {self.host} ended: {self.log()}"
        try:
            return bool(self.call("status"))
        except OSError:
            return False

    def virtual_ha(self, vrid: int = 51) -> dict[str, Any]:
        return next(v for v in self.call("status")["virtual_has"] if v["vrid"] == vrid)

    def is_state(self, state: str, vrid: int = 51) -> bool:
        return bool(self.virtual_ha(vrid)["state"] == state)

    def becomes(self, state: str, vrid: int = 51, seconds: float = 5.0) -> None:
        until(lambda: self.is_state(state, vrid), seconds, f"{self.host} becomes {state} of {vrid}: {self.log()}")

    def bound(self, vrid: int = 51) -> dict[str, str]:
        """Care-of address by home address."""
        bindings = self.call("bindings", vrid=vrid, limit=10_000)["bindings"]
        return {b["home_address"]: b["care_of_address"] for b in bindings}

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut: nothing is said or cleaned up."""
        self.signal(signal.SIGKILL)
        assert self.process
        self.process.wait()

    def stop(self) -> int:
        """Orderly; returns the exit code."""
        assert self.process
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.process.wait(15)

    def cleanup(self) -> None:
        self.ctl("cleanup")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(FILES)}


# --- what is on the link -----------------------------------------------------------------------------------


class Observer:
    """Sees every IPv6 packet that reaches host c's interface, with the kernel's time of arrival."""

    def __init__(self, link: Link) -> None:
        with link.on("c"):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: a full sync is no reason to miss any
        self.socket.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS

    def frames(self, seconds: float) -> Iterator[tuple[float, bytes]]:
        """(time, frame) of everything that arrives within some seconds from now, and of what is queued."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                return
            frame, ancillary, _flags, address = self.socket.recvmsg(65536, 64)
            if address[2] == 4:  # PACKET_OUTGOING
                continue
            whole, nanoseconds = struct.unpack("@qq", ancillary[0][2])
            yield whole + nanoseconds / 1e9, frame

    def advertisements(self, seconds: float, vrid: int = 51) -> Iterator[tuple[float, bytes, int]]:
        """(time, source address, priority) of the VRRP advertisements of a virtual router."""
        for when, frame in self.frames(seconds):
            packet = frame[14:]
            if packet[6] == 112 and packet[40] == 0x31 and packet[41] == vrid:
                yield when, packet[8:24], packet[42]

    def drop(self) -> None:
        """Forget what is queued."""
        for _unused in self.frames(0.001):
            pass

    def close(self) -> None:
        self.socket.close()


# --- a mobile node, written from the RFCs without the agent's own codecs -------------------------------------


def packed(address: str) -> bytes:
    return IPv6Address(address).packed


def checksum(source: bytes, destination: bytes, next_header: int, payload: bytes) -> int:
    data = source + destination + struct.pack("!II", len(payload), next_header) + payload + b"\0" * (len(payload) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def binding_update(
    sequence: int,
    *,
    home: str = HOME,
    care_of: str = CARE_OF,
    vha: str = VHA,
    lifetime_s: int = 600,
    spi: int = SPI,
    key: bytes = KEY,
    flags: int = 0xC000,
) -> bytes:
    """A whole IPv6 packet: RFC 6275 section 6.1.7 with the options of RFC 4283 and RFC 4285."""
    ntp = int((time.time() + 2_208_988_800) * 2**32)
    message = struct.pack("!BBBBH", 59, 9, 5, 0, 0)
    message += struct.pack("!HHH", sequence, flags, lifetime_s // 4)
    message += b"\x01\x00" + b"\x03\x10" + packed(care_of)
    message += b"\x08\x10\x01mn1@example.com"
    message += b"\x0a\x08" + ntp.to_bytes(8) + b"\x00"
    message += b"\x09\x11\x01" + struct.pack("!I", spi)
    message += hmac.new(key, packed(care_of) + packed(home) + message, hashlib.sha1).digest()[:12]
    message = message[:4] + struct.pack("!H", checksum(packed(home), packed(vha), 135, message)) + message[6:]
    home_address = b"\x87\x02\x01\x02\0\0\xc9\x10" + packed(home)
    payload = home_address + message
    return struct.pack("!IHBB", 6 << 28, len(payload), 60, 64) + packed(care_of) + packed(vha) + payload


class MobileNode:
    """Host c in another role: away from home, at its care-of address."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.sequence = 0
        with link.on("c"):
            self._out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._seen = Observer(link)

    def register(self, patience: float = 1.0, **options: Any) -> int:
        """Send a Binding Update and return the status of the acknowledgement."""
        self.sequence += 1
        packet = binding_update(**{"sequence": self.sequence, **options})
        self._seen.drop()
        for _unused in range(3):
            self._out.sendto(packet, (options.get("vha", VHA), 0))
            for _unused, frame in self._seen.frames(patience):
                upper = frame[14 + 40 + 24 :]  # behind a type 2 routing header
                if frame[14 + 6] == 43 and upper[2] == 6:
                    return upper[6]
        raise AssertionError("no Binding Acknowledgement")

    def send(self, packet: bytes) -> None:
        """A whole IPv6 packet, to where its header says."""
        self._out.sendto(packet, (str(IPv6Address(packet[24:40])), 0))

    def receives_tunnelled(self, seconds: float = 1.0) -> bool:
        """Whether a packet that a correspondent sends to the home address arrives at the care-of address."""
        self._seen.drop()
        payload = struct.pack("!BBHHH", 128, 0, 0, 1, 1)
        value = checksum(packed(ADDRESSES["c"]), packed(HOME), 58, payload)
        payload = payload[:2] + struct.pack("!H", value) + payload[4:]
        inner = struct.pack("!IHBB", 6 << 28, len(payload), 58, 64) + packed(ADDRESSES["c"]) + packed(HOME) + payload
        self._out.sendto(inner, (HOME, 0))
        for _unused, frame in self._seen.frames(seconds):
            packet = frame[14:]
            if packet[6] == 41 and packet[8:24] == packed(VHA) and packet[24:40] == packed(CARE_OF):
                return packet[64:80] == packed(HOME)
        return False

    def close(self) -> None:
        self._out.close()
        self._seen.close()
