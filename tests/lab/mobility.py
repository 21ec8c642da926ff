# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile nodes and traffic: registrations by Scapy-built updates, tunnels by iproute2, flows that are counted.

The programs in mn/ do the work, each in a process of its own; none of them shares code with the agent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from tests.lab import access, topology
from tests.lab.places import CHECKOUT, LabError

TOOLS = CHECKOUT / "tests/lab/mn"
PACKETS_PER_SECOND = 100
MASTER_DOWN_FACTOR = 3


def home_address(vrid: int, number: int = 1) -> str:
    """The home address of the VRID's mobile node of that number, from 1."""
    return str(IPv6Network(topology.HOME_ADDRESS_PREFIXES[vrid])[number])


@dataclass(frozen=True, slots=True)
class MobileNode:
    """One MN that carries traffic, and where it is now."""

    name: str
    vrid: int
    link: str = topology.FOREIGN_1

    @property
    def namespace(self) -> str:
        return topology.node(self.name).namespace

    @property
    def care_of(self) -> str:
        return topology.MN_ADDRESSES[self.name][self.link]

    @property
    def device(self) -> str:
        return next(port.interface for port in topology.node(self.name).ports if port.link == self.link)

    @property
    def home(self) -> str:
        return home_address(self.vrid)

    def register(self, count: int = 1, first: int = 1, lifetime: int = 3600, **options: object) -> dict[str, Any]:
        """Bind home addresses FIRST, FIRST + 1... to this care-of address; what bind.py counted."""
        answer: dict[str, Any] = _tool("bind.py", *self._registration(count, first, lifetime, options))
        return answer

    def _registration(self, count: int, first: int, lifetime: int, options: dict[str, object]) -> list[str]:
        return [
            "--netns", self.namespace, "--home-agent", topology.VIRTUAL_HAS[self.vrid],
            "--home-address", home_address(self.vrid, first), "--count", str(count), "--care-of", self.care_of,
            "--key", access.mobile_node_key(self.vrid).hex(), "--spi", str(access.spi(self.vrid)),
            "--lifetime", str(lifetime), "--json", *_options(options),
        ]  # fmt: skip

    def must_register(self, count: int = 1, first: int = 1, lifetime: int = 3600) -> dict[str, Any]:
        answer = self.register(count, first, lifetime)
        if answer["accepted"] != count:
            raise LabError(f"{self.name}: {count} registrations with VRID {self.vrid}: {answer}")
        return answer

    @contextmanager
    def registering(self, rate: int, first: int) -> Iterator[None]:
        """Meanwhile one home address after the other is bound, so many a second."""
        command = self._registration(100_000, first, 3600, {"rate": rate})
        process = subprocess.Popen([sys.executable, str(TOOLS / "bind.py"), *command], stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def open_tunnel(self) -> None:
        _tool(
            "tunnel.py", "up", "--netns", self.namespace, "--device", self.device,
            "--home-agent", topology.VIRTUAL_HAS[self.vrid], "--care-of", self.care_of, "--home-address", self.home,
            answers=False,
        )  # fmt: skip

    def close_tunnel(self) -> None:
        _tool("tunnel.py", "down", "--netns", self.namespace, answers=False)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a flow went through."""

    name: str
    figures: dict[str, Any]

    @property
    def sent(self) -> int:
        return int(self.figures["sent"])

    @property
    def lost(self) -> int:
        return int(self.figures["lost"])

    @property
    def lost_ms(self) -> float:
        """The time for which nothing got through, counted in packets."""
        return self.lost * 1000 / PACKETS_PER_SECOND

    @property
    def outage_ms(self) -> float:
        """The longest time without an arrival, as a user feels it; one packet's interval when all is well."""
        return float(self.figures["outage_ms"])


class Flow:
    """100 packets a second from one namespace to another for so many seconds, in the background."""

    def __init__(self, name: str, sender: str, source: str, receiver: str, to: str, port: int, seconds: float) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [
                sys.executable, str(TOOLS / "flow.py"), "run", "--from-netns", topology.node(sender).namespace,
                "--to-netns", topology.node(receiver).namespace, "--source", source, "--to", to, "--port", str(port),
                "--rate", str(PACKETS_PER_SECOND), "--seconds", str(seconds),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._deadline = time.monotonic() + seconds + 30

    def finish(self) -> Measured:
        try:
            output, errors = self._process.communicate(timeout=self._deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise LabError(f"the flow {self.name} does not end") from None
        if self._process.returncode:
            raise LabError(f"the flow {self.name}: {errors.strip()[-500:]}")
        return Measured(self.name, json.loads(output))


def flows(node: MobileNode, seconds: float) -> list[Flow]:
    """Correspondent to mobile node and back, both through the home agent."""
    port = 5000 + node.vrid
    here = topology.CN_ADDRESS
    return [
        Flow(f"CN to {node.name} (VRID {node.vrid})", "cn", here, node.name, node.home, port, seconds),
        Flow(f"{node.name} to CN (VRID {node.vrid})", node.name, node.home, "cn", here, port, seconds),
    ]


def master_down_ms(priority: int, interval_ms: float = 100) -> float:
    """Master_Down_Interval of a backup of that priority (RFC 9568 section 6.1)."""
    return MASTER_DOWN_FACTOR * interval_ms + interval_ms * (256 - priority) / 256


def is_home_address(text: str, vrid: int) -> bool:
    return IPv6Address(text) in IPv6Network(topology.HOME_ADDRESS_PREFIXES[vrid])


def _options(options: dict[str, object]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flags.append(f"--{name.replace('_', '-')}")
        if value is not True:
            flags.append(str(value))
    return flags


def _tool(name: str, *arguments: str, answers: bool = True) -> Any:
    done = subprocess.run(
        [sys.executable, str(TOOLS / name), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120, check=False, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if answers and done.stdout.strip():
        return json.loads(done.stdout)
    if done.returncode or answers:
        raise LabError(f"{name} {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-1000:]}")
    return None
