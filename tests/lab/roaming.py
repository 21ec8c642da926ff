# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile nodes whose owner dies: which host has which of their keys, and the programs in mn/ that play them.

Three kinds. Those of VRID 51's range have a key that every member knows. An *orphan* has a key that the owner alone
knows, and another one that it shares with all other members. Of a *keyless* one nobody but the owner knows a key.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import Any

from tests.lab import access, topology
from tests.lab.mobility import TOOLS, MobileNode
from tests.lab.places import RUN, LabError

OWNER, VRID = "ha1", 51
ORPHANS = IPv6Network("2001:db8:1:0:b::/80")
KEYLESS = IPv6Network("2001:db8:1:0:c::/80")
OWNERS_SPI, OTHERS_SPI = 900, 901
HOST_VARIABLES = RUN / "inventory/host_vars"


@dataclass(frozen=True, slots=True)
class Keys:
    """Of orphans and keyless ones: what the owner knows, and what the others do."""

    owners: str = field(default_factory=lambda: secrets.token_hex(16))
    others: str = field(default_factory=lambda: secrets.token_hex(16))

    def write(self) -> None:
        """Into the inventory, as host variables."""
        known = json.loads(access.KEYS.read_text())["vrrp_ha_mobile_node_keys"]
        HOST_VARIABLES.mkdir(exist_ok=True)
        for host in topology.HOME_AGENTS:
            if host == OWNER:
                own = [_key(OWNERS_SPI, self.owners, prefix) for prefix in (ORPHANS, KEYLESS)]
            else:
                own = [_key(OTHERS_SPI, self.others, ORPHANS)]
            place = HOST_VARIABLES / f"{host}.yml"
            place.touch(mode=0o600)
            place.write_text(json.dumps({"vrrp_ha_mobile_node_keys": known + own}))


def _key(spi: int, key: str, prefix: IPv6Network) -> dict[str, object]:
    return {"spi": spi, "key": key, "home_addresses": str(prefix)}


@dataclass(frozen=True, slots=True)
class Times:
    """One mobile node's, in seconds since the first of all sent its first update; None for what did not happen."""

    updated: float | None
    told: float | None
    registered: float | None


@dataclass(frozen=True, slots=True)
class Roamed:
    """What roam.py saw."""

    figures: dict[str, Any]

    @property
    def times(self) -> list[Times]:
        return [Times(*entry) for entry in self.figures["times"]]

    def summary(self) -> str:
        """For who wants to read it: how long the first and the last waited, and how long they took then."""
        lines = []
        for name, number in (("first", 0), ("last", -1)):
            one = self.times[number]
            if one.updated is not None and one.registered is not None:
                told = one.updated if one.told is None else one.told
                lines.append(
                    f"{name}: told after {told - one.updated:.3f} s, registered {one.registered - told:.3f} s later"
                )
        return f"{self.updates} updates, {self.switches} switches; " + "; ".join(lines)

    def __getattr__(self, name: str) -> Any:
        return self.figures[name]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Mobile nodes with consecutive home addresses behind one mobile node's care-of address."""

    at: MobileNode
    prefix: IPv6Network
    first: int
    count: int
    keys: Keys

    @property
    def homes(self) -> list[str]:
        return [str(self.prefix[self.first + number]) for number in range(self.count)]

    def register(self, lifetime: int = 3600) -> None:
        """With the owner, or whoever has its key."""
        _run("bind.py", *self._common(), "--lifetime", str(lifetime), "--json")

    def roam(self, *options: str, seconds: float = 60) -> Roaming:
        """Move to where `at` is now, and follow Home Agent Switches; in the background."""
        new = () if self._known else ("--new-key", self.keys.others, "--new-spi", str(OTHERS_SPI))
        return Roaming([*self._common(), *new, *options], seconds)

    def _common(self) -> list[str]:
        return [
            "--netns", self.at.namespace, "--home-agent", topology.VIRTUAL_HAS[VRID], "--home-address", self.homes[0],
            "--count", str(self.count), "--care-of", self.at.care_of, "--key", self._key, "--spi", str(self._spi),
        ]  # fmt: skip

    @property
    def _known(self) -> bool:
        return self.prefix == IPv6Network(topology.HOME_ADDRESS_PREFIXES[VRID])

    @property
    def _key(self) -> str:
        return access.mobile_node_key(VRID).hex() if self._known else self.keys.owners

    @property
    def _spi(self) -> int:
        return access.spi(VRID) if self._known else OWNERS_SPI


class Roaming:
    """roam.py at work."""

    def __init__(self, arguments: list[str], seconds: float) -> None:
        self._process = _start("roam.py", *arguments, "--seconds", str(seconds))
        self._deadline = time.monotonic() + seconds + 20

    def finish(self) -> Roamed:
        return Roamed(_finish(self._process, self._deadline - time.monotonic()))


class Spoofing:
    """spoof.py at work: a host on the second mobile node's links."""

    def __init__(self, victims: Crowd, count: int, rate: float) -> None:
        self._process = _start(
            "spoof.py", "--netns", topology.node("mn2").namespace, "--home-agent", topology.VIRTUAL_HAS[VRID],
            "--home-address", victims.homes[0], "--victims", str(victims.count), "--count", str(count),
            "--rate", str(rate),
        )  # fmt: skip

    def finish(self) -> dict[str, Any]:
        return _finish(self._process, 60)


def _run(name: str, *arguments: str) -> dict[str, Any]:
    process = _start(name, *arguments)
    answer = _finish(process, 60)
    if process.returncode:
        raise LabError(f"{name}: {answer}")
    return answer


def _start(name: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-B", str(TOOLS / name), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _finish(process: subprocess.Popen[str], patience: float) -> dict[str, Any]:
    try:
        output, errors = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        raise LabError(f"{process.args!r} does not end") from None
    if not output.strip():
        raise LabError(f"{process.args!r}: {errors.strip()[-1000:]}")
    found: dict[str, Any] = json.loads(output)
    return found
