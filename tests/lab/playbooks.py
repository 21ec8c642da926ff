# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as a user has it: built into a tarball, installed from that, run by ansible-playbook over SSH."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import access, fleet, topology
from tests.lab.places import CHECKOUT, RUN, LabError

_RECAP = re.compile(r"^(\S+)\s+: (ok=\d+.*)$", re.MULTILINE)
_MODULE = re.compile(r"^(?:<\S+> )?Using module file ", re.MULTILINE)
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*)\] \*+$|^changed: \[(\S+?)(?: -> [^]]*)?\]", re.MULTILINE)
_SSH = re.compile(r"^<([0-9a-f:.]+)> SSH: EXEC ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Play:
    """What a run of ansible-playbook (or ansible) came to."""

    command: str
    returncode: int
    output: str
    seconds: float
    recap: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.returncode == 0

    @property
    def changed(self) -> int:
        return sum(host["changed"] for host in self.recap.values())

    @property
    def changed_tasks(self) -> list[tuple[str, str]]:
        """Every change, sorted: the task's name and the host."""
        found, task = [], ""
        for name, host in _TASK.findall(self.output):
            task = name or task
            if host:
                found.append((task, host))
        return sorted(found)

    @property
    def ssh_operations(self) -> dict[str, int]:
        """How often each host was asked something over SSH; needs the run to have been `-vvv`."""
        by_address = {topology.node(name).management_address: name for name in topology.HOME_AGENTS}
        counts = dict.fromkeys(topology.HOME_AGENTS, 0)
        for address in _SSH.findall(self.output):
            counts[by_address[address]] += 1
        return counts

    @property
    def module_calls(self) -> int:
        """How many modules were sent to hosts, all hosts together; needs the run to have been `-vvv`."""
        return len(_MODULE.findall(self.output))

    def must_succeed(self) -> Play:
        if not self.ok:
            raise LabError(f"{self.command} ended with {self.returncode}:\n{self.output[-6000:]}")
        return self


def install() -> Path:
    """Build the checkout and install the tarball where the lab's Ansible looks; returns the tarball."""
    build = RUN / "build"
    shutil.rmtree(build, ignore_errors=True)
    galaxy = ("ansible-galaxy", "collection")
    fleet.execute(topology.CONTROLLER, *galaxy, "build", "--output-path", str(build), str(CHECKOUT))
    (tarball,) = build.glob("mip6-vrrp_ha-*.tar.gz")
    where = ("--force", "-p", str(access.COLLECTIONS))
    fleet.execute(topology.CONTROLLER, *galaxy, "install", "--offline", *where, str(tarball))
    return tarball


def playbook(name: str, *arguments: str, timeout: float = 300, environment: Mapping[str, str] | None = None) -> Play:
    """Run one of the collection's playbooks, or a file, on the controller."""
    which = name if "/" in name else f"mip6.vrrp_ha.{name}"
    more = [f"{variable}={value}" for variable, value in (environment or {}).items()]
    return _run([*(["env", *more] if more else []), "ansible-playbook", which, *arguments], timeout)


def module(name: str, pattern: str, *arguments: str, timeout: float = 120) -> Play:
    """Run one module by the ansible command."""
    return _run(["ansible", pattern, "-m", name, *arguments], timeout)


def planned_virtual_has() -> list[dict[str, Any]]:
    """What the inventory gives every host: the virtual HAs of the accepted plan."""
    line, environment = fleet.command(topology.CONTROLLER, ["ansible-inventory", "--host", topology.HOME_AGENTS[0]])
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, cwd=RUN)
    if done.returncode:
        raise LabError(f"ansible-inventory ended with {done.returncode}: {done.stderr[-2000:]}")
    virtual_has: list[dict[str, Any]] = json.loads(done.stdout)["vrrp_ha_virtual_has"]
    return virtual_has


def _run(command: list[str], timeout: float) -> Play:
    line, environment = fleet.command(topology.CONTROLLER, command)
    started = time.monotonic()
    try:
        done = subprocess.run(
            line, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=timeout, check=False, cwd=RUN,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        output = error.output.decode(errors="replace") if isinstance(error.output, bytes) else str(error.output)
        raise LabError(f"{' '.join(command)}: not done after {timeout:.0f} s:\n{output[-6000:]}") from error
    if "[DEPRECATION WARNING]" in done.stdout:
        raise LabError(f"{' '.join(command)}: it uses what Ansible is to do without:\n{done.stdout[-6000:]}")
    recap = {
        host: {key: int(value) for key, value in (pair.split("=") for pair in counts.split())}
        for host, counts in _RECAP.findall(done.stdout)
    }
    return Play(" ".join(command), done.returncode, done.stdout, time.monotonic() - started, recap)
