# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""255 virtual routers on one link between two agents, advertisements every second: prints figures, asserts nothing.

PYTHONPATH=roles/agent/files:. python3 tests/bench/bench_many.py [VIRTUAL_ROUTERS]     (as root)
Processor time and memory are what /proc says of the two processes. The takeover is measured from the SIGKILL of the
Master to the moment when the Backup says that it serves all of them, asked every 20 ms.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.kernel.agents import Agent, Link, until

MEASURED_S = 20.0


def processor_s(agent: Agent) -> float:
    fields = Path(f"/proc/{agent.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(agent: Agent) -> float:
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def masters(agent: Agent) -> int:
    return sum(entry["state"] == "master" for entry in agent.call("status")["virtual_has"])


def is_settled(master: Agent, backup: Agent, number: int) -> bool:
    synced = all(entry["synced"] for entry in backup.call("status")["virtual_has"])
    return synced and masters(master) == number and masters(backup) == 0


def measure(number: int, directory: Path) -> None:
    with Link("ab") as link:
        agents = [
            Agent(link, host, directory, dict.fromkeys(range(1, number + 1), priority))
            for host, priority in (("a", 200), ("b", 150))
        ]
        for agent in agents:
            for entry in agent.config["virtual_has"]:
                entry["advertisement_interval"] = 100
        master, backup = agents
        try:
            started = time.monotonic()
            for agent in agents:
                agent.start()
            until(lambda: is_settled(master, backup, number), 60)
            print(f"settled          {time.monotonic() - started:6.1f} s after both were started")
            time.sleep(3)
            before = [processor_s(agent) for agent in agents]
            time.sleep(MEASURED_S)
            for name, agent, earlier in zip(("Master", "Backup"), agents, before, strict=True):
                share = (processor_s(agent) - earlier) / MEASURED_S
                print(f"{name}           {100 * share:6.1f} % of a core, {memory_mb(agent):.0f} MB")
            killed = time.monotonic()
            master.kill()
            until(lambda: masters(backup) == number, 20)
            print(f"all taken over   {time.monotonic() - killed:6.2f} s after SIGKILL of the Master")
        finally:
            for agent in agents:
                if agent.process and agent.process.poll() is None:
                    agent.kill()


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 255
    print(f"{number} virtual routers")
    with tempfile.TemporaryDirectory() as directory:
        measure(number, Path(directory))


if __name__ == "__main__":
    main()
