# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts' agents, asked by their control sockets: quick enough to watch a takeover happen.

The sockets are reached through the hosts' file systems in /proc, so neither SSH nor a Python start is in the way.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.lab import hosts, topology
from tests.lab.places import LabError

SOCKET = "run/vrrp-ha/control.sock"


class NoAnswerError(LabError):
    """No agent answers on that host."""


class Agent:
    """A connection to one host's agent, made anew when that has gone."""

    def __init__(self, host: str, timeout: float = 5) -> None:
        self.host = host
        self._timeout = timeout
        self._stream: Any = None

    def call(self, name: str, **arguments: object) -> Any:
        try:
            return self._call(name, arguments)
        except (OSError, ValueError) as error:
            self.close()
            raise NoAnswerError(f"{self.host}: no answer from the agent: {error}") from error

    def _call(self, name: str, arguments: dict[str, object]) -> Any:
        if self._stream is None:
            leader = hosts.leader(topology.node(self.host))
            if leader is None:
                raise ConnectionError("the host is off")
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout)
            connection.connect(f"/proc/{leader}/root/{SOCKET}")
            self._stream = connection.makefile("rwb")
        self._stream.write(json.dumps({"v": 1, "id": 1, "call": name, "args": arguments}).encode() + b"\n")
        self._stream.flush()
        answer = json.loads(self._stream.readline())
        if not answer["ok"]:
            raise LabError(f"{self.host}: {name}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def virtual_ha(self, vrid: int) -> dict[str, Any]:
        """The status of one virtual HA; NoAnswerError while there is none."""
        for found in self.call("status")["virtual_has"]:
            if found["vrid"] == vrid:
                return dict(found)
        raise LabError(f"{self.host}: no virtual HA {vrid}")


def virtual_ha(host: str, vrid: int) -> dict[str, Any] | None:
    """The status of one virtual HA on a host, or None when no agent answers there."""
    agent = Agent(host)
    try:
        return agent.virtual_ha(vrid)
    except NoAnswerError:
        return None
    finally:
        agent.close()


def master(vrid: int) -> str | None:
    """The one host that is Master of it, or None when none or several are."""
    found = [host for host in topology.HOME_AGENTS if (virtual_ha(host, vrid) or {}).get("state") == "master"]
    return found[0] if len(found) == 1 else None


def wait_for_master(vrid: int, host: str, seconds: float) -> None:
    """Wait until that one host is."""
    wait_for(f"{host} is Master of {vrid}", lambda: master(vrid) == host, seconds)


def counts(vrid: int) -> dict[str, int | None]:
    """How many bindings each member holds; None for a member that is down."""
    found = {host: virtual_ha(host, vrid) for host in topology.HOME_AGENTS}
    return {host: None if status is None else status["bindings"] for host, status in found.items()}


def in_agreement(vrid: int, total: int | None = None) -> bool:
    """Every member is there and holds the same bindings (that many)."""
    found = [virtual_ha(host, vrid) for host in topology.HOME_AGENTS]
    digests = {(status["bindings"], status["digest"]) for status in found if status is not None}
    return None not in found and len(digests) == 1 and total in (None, next(iter(digests))[0])


def events(host: str) -> list[dict[str, Any]]:
    """What the agent has recorded since it started."""
    agent = Agent(host)
    try:
        return list(agent.call("events", after=0, limit=1000)["events"])
    finally:
        agent.close()


def synchronised_by(host: str, vrid: int, moment: float) -> int:
    """How many bindings it had collected when it last said so before that time (CLOCK_REALTIME)."""
    count = 0
    for event in events(host):
        if event["kind"] == "synchronised" and event["vrid"] == vrid:
            at = datetime.fromisoformat(event["time"]).timestamp()
            count = event["bindings"] if at < moment else count
    return count


def wait_for(what: str, condition: Callable[[], object], timeout: float = 30, pause: float = 0.02) -> Any:
    """The condition's value once it is true; LabError that says what did not happen."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise LabError(f"not within {timeout:g} s: {what}")
        time.sleep(pause)
    return value
