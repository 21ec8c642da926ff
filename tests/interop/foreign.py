# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's VRRP routers in a host of a segment: keepalived and FRR's vrrpd, as Debian has them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.interop.agents import LINK_LOCAL, VHA, VRID
from tests.interop.frames import virtual_mac
from tests.interop.segment import Host

FRR_DAEMONS = Path("/usr/lib/frr")


class Keepalived:
    """Debian's keepalived with the virtual MAC, told what it does by its log."""

    name = "keepalived"

    def __init__(self, host: Host, directory: Path, priority: int, interval_s: float = 0.1) -> None:
        self.host = host
        self.directory = directory
        self.priority = priority
        self.interval_s = interval_s
        directory.mkdir()
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def installed() -> bool:
        return shutil.which("keepalived") is not None

    def start(self) -> None:
        config = self.directory / "keepalived.conf"
        config.write_text(
            f"""
            global_defs {{ vrrp_version 3 }}
            vrrp_instance vha {{
              state BACKUP
              interface eth0
              use_vmac
              native_ipv6
              virtual_router_id {VRID}
              priority {self.priority}
              advert_int {self.interval_s}
              virtual_ipaddress {{
                {LINK_LOCAL}
                {VHA}
              }}
            }}
            """
        )
        own = ["-p", str(self.directory / "pid"), "-r", str(self.directory / "vrrp.pid")]
        command = ["keepalived", "-n", "-l", "-D", "-P", "-f", str(config), *own]
        self._process = _start(self.host, command, self._log)

    def stop(self) -> None:
        """Says priority 0 and ends."""
        _end(self._process)

    def kill(self) -> float:
        """SIGKILL; the time at which it was sent. Address and virtual MAC stay in the kernel."""
        assert self._process is not None
        speaker = int((self.directory / "vrrp.pid").read_text())
        self._process.send_signal(signal.SIGSTOP)  # or it would start another one
        sent = time.time()
        os.kill(speaker, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        return sent

    def states(self) -> list[str]:
        """Every state that it entered so far, the last one being that it is in."""
        said = self._log.read_text()
        return [line.split("Entering ")[1].split()[0].lower() for line in said.splitlines() if "Entering" in line]

    def complaints(self) -> list[str]:
        """What its log has to say about others' packets."""
        words = ("invalid", "ignoring", "mismatch", "bogus", "error", "received an", "wrong")
        return [line for line in self._log.read_text().splitlines() if any(word in line.lower() for word in words)]


class Frr:
    """zebra and vrrpd; the macvlan that they expect is made as their manual says."""

    name = "frr"
    interface = "vrrp6-2-1"

    def __init__(self, host: Host, directory: Path, priority: int) -> None:
        self.host = host
        self.directory = directory
        self.priority = priority
        self._seen: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        directory.mkdir()
        directory.parent.chmod(0o755)
        shutil.chown(directory, "frr", "frrvty")

    @staticmethod
    def installed() -> bool:
        return (FRR_DAEMONS / "vrrpd").exists()

    def start(self) -> None:
        self.host.run("ip", "link", "add", self.interface, "link", "eth0", "type", "macvlan", "mode", "bridge")
        self.host.run("ip", "link", "set", self.interface, "addrgenmode", "none", "address", virtual_mac(VRID))
        for address in (LINK_LOCAL, VHA):
            self.host.run("ip", "addr", "add", f"{address}/64", "dev", self.interface, "nodad")
        self.host.run("ip", "link", "set", self.interface, "up")
        vrrp = [
            f"vrrp {VRID} version 3",
            f"vrrp {VRID} priority {self.priority}",
            f"vrrp {VRID} advertisement-interval 100",
            f"vrrp {VRID} ipv6 {LINK_LOCAL}",
            f"vrrp {VRID} ipv6 {VHA}",
        ]
        self._run("zebra", "ipv6 forwarding\n")
        self._run("vrrpd", "debug vrrp\ninterface eth0\n" + "".join(f" {line}\n" for line in vrrp))

    def stop(self) -> None:
        """Says priority 0 and ends."""
        for process in reversed(self._processes):
            _end(process)
        self._processes.clear()
        self.host.run("ip", "link", "delete", self.interface)

    def states(self) -> list[str]:
        """The state that it is in, after those of the instance that its log tells of."""
        log = self.directory / "vrrpd.log"
        arrow = " -> "
        lines = [line for line in log.read_text().splitlines() if "[IPv6]" in line and arrow in line]
        return [line.split(arrow)[1].split()[0].strip(".'\"").lower() for line in lines]

    def complaints(self) -> list[str]:
        """What its log has to say about others' packets."""
        lines = (self.directory / "vrrpd.log").read_text().splitlines()
        return [line for line in lines if "discard" in line.lower() or "bad" in line.lower()]

    def _run(self, daemon: str, config: str) -> None:
        file = self.directory / f"{daemon}.conf"
        file.write_text(config)
        place = ["-i", str(self.directory / f"{daemon}.pid"), "--vty_socket", str(self.directory), "-P", "0"]
        place += ["-z", str(self.directory / "zserv"), "--log", f"file:{self.directory / daemon}.log"]
        command = [str(FRR_DAEMONS / daemon), "-f", str(file), *place, "--log-level", "debug"]
        self._processes.append(_start(self.host, command, self.directory / f"{daemon}.out"))
        wait_for((self.directory / f"{daemon}.vty").exists, f"{daemon} to listen")


Foreign = Keepalived | Frr


def wait_for(true: Callable[[], object], what: str, timeout: float = 5.0) -> None:
    limit = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < limit, f"waited {timeout} s for {what}"
        time.sleep(0.02)


def _start(host: Host, command: list[str], output: Path) -> subprocess.Popen[bytes]:
    with output.open("ab") as log:
        return subprocess.Popen(["ip", "netns", "exec", host.namespace, *command], stdout=log, stderr=log)


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
