# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents as processes in the hosts of a segment, from the checkout, each with its own files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.frames import Frame
from tests.interop.segment import Host

VRID = 51
LINK_LOCAL = "fe80::5eff:fe00:233"
VHA = "2001:db8:1::51"
ADDRESSES = (LINK_LOCAL, VHA)
PREFIX = "2001:db8:1::/64"
FILES = Path(__file__).resolve().parents[2] / "roles/agent/files"
SYNC_KEY = {"name": "fleet", "key_id": 1, "key": "00112233445566778899aabbccddeeff"}


def virtual_ha(priority: int, **changes: object) -> dict[str, object]:
    """A virtual HA of a configuration file, with adverts every 10 cs."""
    return {
        "vrid": VRID,
        "name": "vha-a",
        "interface": "eth0",
        "link_local_address": LINK_LOCAL,
        "addresses": [VHA],
        "prefix": PREFIX,
        "priority": priority,
        "advertisement_interval": 10,
        "sync_key": "fleet",
        "duplicate_address_detection": False,
        **changes,
    }


class Agent:
    """`vrrp-ha run` in a host's namespace."""

    def __init__(self, host: Host, directory: Path, *virtual_has: dict[str, object], **settings: object) -> None:
        self.host = host
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.config = directory / "agent.json"
        self.socket = directory / "control.sock"
        self.log = directory / "log"
        self.settings: dict[str, object] = {
            "format": 1,
            "host": host.name,
            "keys_file": str(directory / "keys.json"),
            "state_directory": str(directory / "state"),
            "control_socket": str(self.socket),
            "control_group": "root",
            "sync": {"digest_interval": 0.5},
            **settings,
        }
        keys = directory / "keys.json"
        keys.write_text(json.dumps({"format": 1, "sync_keys": [SYNC_KEY], "mobile_node_keys": []}))
        keys.chmod(0o600)
        (directory / "state").mkdir(exist_ok=True)
        self.configure(*virtual_has)
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0

    def configure(self, *virtual_has: dict[str, object]) -> None:
        """Write the configuration; a running agent learns of it by `reload`."""
        self.config.write_text(json.dumps({**self.settings, "virtual_has": list(virtual_has)}))

    def start(self) -> Agent:
        assert self.process is None
        command = ["ip", "netns", "exec", self.host.namespace, sys.executable, "-m", "vrrp_ha", "run"]
        environment = {**os.environ, "PYTHONPATH": str(FILES), "PYTHONDONTWRITEBYTECODE": "1"}
        self.started = time.time()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--config", str(self.config)],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        return self

    def signal(self, number: int) -> float:
        """Send a signal; the time at which it was sent."""
        assert self.process is not None
        sent = time.time()
        self.process.send_signal(number)
        return sent

    def stop(self, *, timeout: float = 10.0) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None

    def kill(self) -> float:
        """SIGKILL; the time at which it was sent. What it leaves in the kernel stays."""
        sent = self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()
        self.process = None
        return sent

    def call(self, name: str, **arguments: object) -> dict:
        """One call of the control protocol."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(json.dumps({"v": 1, "id": 1, "call": name, "args": arguments}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
        assert answer["ok"], answer
        return answer["result"]

    def status(self, vrid: int = VRID) -> dict:
        """The status of one virtual HA."""
        return next(each for each in self.call("status")["virtual_has"] if each["vrid"] == vrid)

    def wait_until(self, true: Callable[[dict], object], *, timeout: float = 10.0, vrid: int = VRID) -> dict:
        """The first status that this is true of."""
        limit = time.monotonic() + timeout
        status: dict | None = None
        while time.monotonic() < limit:
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            try:
                status = self.status(vrid)
            except (FileNotFoundError, ConnectionError, StopIteration):
                status = None
            if status is not None and true(status):
                return status
            time.sleep(0.02)
        raise AssertionError(f"{self.host.name} after {timeout} s: {status}\n{self.log.read_text()[-3000:]}")

    def wait_for_state(self, state: str, *, timeout: float = 10.0) -> dict:
        return self.wait_until(lambda status: status["state"] == state, timeout=timeout)


@contextmanager
def running(*agents: Agent) -> Iterator[None]:
    """These agents, started in this order and stopped at the end whatever happened."""
    try:
        for agent in agents:
            agent.start()
        yield
    finally:
        for agent in reversed(agents):
            if agent.process is not None:
                agent.stop()


def advert_of(host: str, priority: int | None = None, vrid: int = VRID) -> Callable[[Frame], bool]:
    """Matches advertisements that this host sends, of this priority if given."""

    def match(frame: Frame) -> bool:
        advert = frame.advert if frame.host == host else None
        return advert is not None and advert.vrid == vrid and priority in (None, advert.priority)

    return match
