# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways in which a run of a playbook is broken off, and what such a run must not leave behind.

Each way starts the playbook, does its worst at the given moment, and comes back when nothing of the run is under way on
the controller any more.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import agents, faults, fleet, hosts, topology
from tests.lab.places import RUN, LabError

MODULE = (b"/usr/bin/python3", b"")
"""What a module looks like on a host: it came over standard input."""

LEFT = r"""
find /etc/vrrp-ha /etc/systemd/system /etc/sysctl.d /opt/vrrp-ha /usr/local/bin -maxdepth 2 \
    '(' -name '.vrrp-ha-*' -o -name '.new-*' -o -name '*.new' ')' 2>/dev/null
find /root/.ansible/tmp /tmp /run -name 'keys.json' 2>/dev/null
find /run/vrrp-ha-procedure.json -size +0 2>/dev/null
[ -e /opt/vrrp-ha ] || systemctl show -p LoadState vrrp-ha.service | grep -v not-found
true
"""


@dataclass(frozen=True, slots=True)
class Broken:
    """A run that was broken off: how it ended (None: it was killed) and what it had said by then."""

    returncode: int | None
    output: str
    note: str = ""

    def said(self) -> str:
        """One line: how it ended, in which task, and why if it says so."""
        tasks = [line.partition("[")[2].rpartition("]")[0] for line in self.output.splitlines() if "TASK [" in line]
        ended = "killed" if self.returncode is None else f"ended with {self.returncode}"
        why = [line.strip() for line in self.output.splitlines() if "msg:" in line] if self.returncode else []
        return f"{self.note or '-'}; {ended} in '{tasks[-1] if tasks else 'nothing'}' {' '.join(why)[:600]}"


Way = Callable[[Sequence[str], float, random.Random], Broken]


class _Run:
    """ansible-playbook at work in the background."""

    def __init__(self, words: Sequence[str]) -> None:
        name, *arguments = words
        line, environment = fleet.command(topology.CONTROLLER, ["ansible-playbook", f"mip6.vrrp_ha.{name}", *arguments])
        self._output = tempfile.TemporaryFile(dir=RUN)  # noqa: SIM115
        self.process = subprocess.Popen(
            line, env=environment, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT, cwd=RUN
        )

    def is_over(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ended(self, note: str = "", killed: bool = False) -> Broken:
        """Wait for its end."""
        if not self.is_over(300):
            self.process.kill()
            raise LabError(f"the playbook does not end:\n{self._said()}")
        return Broken(None if killed else self.process.returncode, self._said(), note)

    def _said(self) -> str:
        self._output.seek(0)
        return self._output.read().decode(errors="replace")[-8000:]


def controller_killed(words: Sequence[str], moment: float, _rng: random.Random) -> Broken:
    """SIGKILL of ansible-playbook and nothing else: what it forked goes on for a while."""
    run = _Run(words)
    if run.is_over(moment):
        return run.ended("was over before")
    run.process.kill()
    return run.ended(killed=True)


def all_killed(words: Sequence[str], moment: float, _rng: random.Random) -> Broken:
    """SIGKILL of ansible-playbook with everything that it started."""
    run = _Run(words)
    if run.is_over(moment):
        return run.ended("was over before")
    victims = [run.process.pid, *_descendants(run.process.pid)]
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return run.ended(f"{len(victims)} processes", killed=True)


def module_killed(words: Sequence[str], moment: float, rng: random.Random) -> Broken:
    """SIGKILL of the first modules that are seen at work on hosts after that moment, some time into their work."""
    run = _Run(words)
    killed: list[str] = []
    while not run.is_over(moment if not killed else 0.005):
        moment = 0.005
        found = [(name, pid) for name in topology.HOME_AGENTS for pid in _modules(name)]
        if found:
            time.sleep(rng.uniform(0, 0.6))
            for name, pid in found:
                if pid in _modules(name):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    killed.append(name)
            break
    return run.ended(f"module on {', '.join(killed) or 'no host'}")


def link_lost(words: Sequence[str], moment: float, rng: random.Random) -> Broken:
    """A host cannot be reached by the controller for some seconds."""
    host, seconds = rng.choice(topology.HOME_AGENTS), rng.uniform(2, 8)
    run = _Run(words)
    run.is_over(moment)
    with faults.management_cut_off(host):
        run.is_over(seconds)
    return run.ended(f"{host} was out of reach for {seconds:.1f} s")


def power_lost(words: Sequence[str], moment: float, rng: random.Random) -> Broken:
    """A host's power is cut; it comes back when the playbook has given up."""
    host = rng.choice(topology.HOME_AGENTS)
    run = _Run(words)
    run.is_over(moment)
    was_over = run.is_over(0)
    fleet.power_off(host)
    try:
        broken = run.ended(f"{host} lost its power")
        if not was_over and broken.returncode and f"{host}" not in broken.output.split("PLAY RECAP")[0]:
            raise LabError(f"the playbook does not say what is wrong with {host}:\n{broken.output}")
        others = [name for name in topology.HOME_AGENTS if name != host]
        agents.wait_for("one Master for each VRID", lambda: all(_one_master(vrid, others) for vrid in topology.OWNERS))
    finally:
        fleet.power_on(host)
    return broken


WAYS: dict[str, Way] = {
    "controller": controller_killed,
    "all": all_killed,
    "module": module_killed,
    "link": link_lost,
    "power": power_lost,
}


def left_behind() -> dict[str, list[str]]:
    """By host, what no finished run leaves: parts of files and releases, keys, a claim, a unit without a file."""
    found = {name: fleet.execute(name, "sh", "-c", LEFT).split("\n")[:-1] for name in topology.HOME_AGENTS}
    found |= {"the controller": [str(path) for path in RUN.glob("**/.vrid_plan.*")]}
    return {name: lines for name, lines in found.items() if lines}


def _one_master(vrid: int, among: Sequence[str]) -> bool:
    states = [(agents.virtual_ha(name, vrid) or {}).get("state") for name in among]
    return states.count("master") == 1


def _modules(host: str) -> list[int]:
    """The processes that are a module at work."""
    found = []
    for pid in hosts.processes(topology.node(host)):
        with contextlib.suppress(OSError):
            if tuple(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")) == MODULE:
                found.append(pid)
    return found


def _descendants(pid: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(entry.read_text(errors="replace").rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    waiting = [pid]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found
