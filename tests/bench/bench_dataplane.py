# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the kernel's data plane takes for many bindings, in a namespace of its own: prints figures, asserts nothing.

PYTHONPATH=roles/agent/files:. python3 tests/bench/bench_dataplane.py [BINDINGS]     (as root)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.kernel.home_link import Host, inside, ip, many_bindings, settings
from vrrp_ha.shell.dataplane import DataPlane, cleanup


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def show(name: str, text: str) -> None:
    print(f"{name:44s} {text}", flush=True)


def drained(plane: DataPlane) -> tuple[float, float, int]:
    """Seconds until nothing is left, the longest single call in ms, and the number of calls."""
    start, longest, calls = time.perf_counter(), 0.0, 0
    while plane.pending:
        longest = max(longest, milliseconds(lambda: plane.work(1000)))
        calls += 1
    return time.perf_counter() - start, longest, calls


def kernel_memory() -> int:
    """kB of the kernel's own."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(lines[key].split()[0]) for key in ("Slab", "Percpu", "VmallocUsed"))


def resident() -> int:
    """kB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def takeovers(plane: DataPlane, name: str) -> None:
    taken, given = [], []
    for _unused in range(20):
        taken.append(milliseconds(lambda: plane.activate(51)))
        given.append(milliseconds(lambda: plane.deactivate(51)))
        drained(plane)
    show(f"activate, {name}", f"{statistics.median(taken):9.3f} ms median {max(taken):9.3f} ms worst of 20")
    show(f"deactivate, {name}", f"{statistics.median(given):9.3f} ms median {max(given):9.3f} ms worst of 20")


def run(amount: int) -> None:
    plane = DataPlane(1000, 900)
    show("start", f"{milliseconds(plane.start):9.3f} ms")
    show("set_up", f"{milliseconds(lambda: plane.set_up(settings())):9.3f} ms")
    takeovers(plane, "no bindings")
    found = many_bindings(amount)
    before, process = kernel_memory(), resident()
    plane.install(51, found)
    plane.confirm(51, 1)
    seconds, longest, calls = drained(plane)
    rate = f"{amount / seconds:11,.0f} /s"
    show(f"install {amount:,} bindings", f"{seconds:9.3f} s {rate}, longest call {longest:.1f} ms of {calls}")
    show(
        "the same again, nothing to change",
        f"{milliseconds(lambda: (plane.install(51, found), drained(plane))):9.3f} ms",
    )
    kernel, agent = (1024 * (now - then) // amount for now, then in ((kernel_memory(), before), (resident(), process)))
    show("memory per binding", f"kernel {kernel} octets, data plane {agent} octets")
    takeovers(plane, f"{amount:,} bindings")
    show("reconcile, everything right", f"{milliseconds(plane.reconcile):9.3f} ms at once")
    seconds, longest, _unused = drained(plane)
    show("   and in pieces", f"{seconds:9.3f} s, longest call {longest:.1f} ms")
    plane.remove(51, found[: amount // 2])
    seconds, longest, _unused = drained(plane)
    show(f"remove {amount // 2:,}", f"{seconds:9.3f} s, longest call {longest:.1f} ms")
    plane.install(51, found)
    drained(plane)
    show("stop or clean-up", f"{milliseconds(lambda: cleanup(1000, 900)):9.3f} ms")


def main() -> None:
    host = Host(f"vdb{os.getpid()}")
    try:
        host.ip("link", "add", "eth1", "type", "veth", "peer", "far")
        host.ip("link", "set", "far", "up")
        host.ip("link", "set", "eth1", "up")
        program = "import vrrp_ha.shell.dataplane"
        environment = {**os.environ, "PYTHONPATH": "roles/agent/files"}
        bare = milliseconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True, env=environment))
        whole = milliseconds(lambda: subprocess.run([sys.executable, "-c", program], check=True, env=environment))
        show("importing the data plane", f"{whole - bare:9.3f} ms after {bare:.1f} ms for Python itself")
        with inside(host.namespace):
            run(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    finally:
        ip("netns", "delete", host.namespace)


if __name__ == "__main__":
    main()
