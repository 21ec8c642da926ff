# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as a whole: up, down, power, status. Each of these may be repeated, also after one that was interrupted.

No record of process ids is kept: what belongs to the lab is told by its namespaces and control groups, whose names
are fixed by the topology, so even a run that crashed half-way leaves nothing that `down` does not find.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab import access, base, controllers, hosts, network, topology
from tests.lab.places import RUN, LabError, in_namespace, locked, need_root, run, say

BOOT_TIMEOUT_S = 60


def up() -> None:
    """Build what is missing, boot what is off, and come back when Ansible can reach every host."""
    need_root()
    systems = base.prepare()
    with locked(RUN):
        started = time.monotonic()
        access.generate()
        network.create_switch()
        for node in topology.NODES:
            if node.boots:
                _power_on(node, systems, fresh=not network.exists(node.namespace))
            else:
                network.create(node)
        _wait_until_reachable(node for node in topology.NODES if node.boots)
        say(f"lab is up ({time.monotonic() - started:.1f} s): {', '.join(topology.HOME_AGENTS)}")


def down() -> None:
    """Remove all of it: processes, namespaces, disks, keys. The base system stays for the next time."""
    need_root()
    with locked(RUN):
        for node in topology.NODES:
            if node.boots:
                hosts.kill(node)
            network.destroy(node.namespace)
            if node.boots:
                hosts.erase_disk(node)
        network.destroy(topology.SWITCH_NAMESPACE)
        for leftover in RUN.iterdir():
            if leftover.name != "lock":
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def power_off(name: str) -> float:
    """Like pulling the plug: cables dead first, then every process. Returns the monotonic time of the cut."""
    node = _host(name)
    with locked(RUN):
        network.unplug(node)
        cut = time.monotonic()
        hosts.kill(node)
        network.destroy(node.namespace, node)
    return cut


def power_on(name: str, wait: bool = True) -> None:
    """Boot it from its own disk, as power-off left it."""
    node = _host(name)
    systems = base.prepare()
    with locked(RUN):
        _power_on(node, systems, fresh=False)
        if wait:
            _wait_until_reachable([node])


def command(name: str, arguments: Sequence[str]) -> tuple[list[str], dict[str, str] | None]:
    """The command line (and environment) that runs something on a node: a host, or a plain namespace."""
    try:
        node = topology.node(name)
    except KeyError:
        known = ", ".join(node.name for node in topology.NODES)
        raise LabError(f"no node {name!r} in the lab; there are: {known}") from None
    if node.boots:
        return hosts.enter(node, list(arguments)), None
    if not network.exists(node.namespace):
        raise LabError("the lab is down; tests/lab/lab up")
    controller = controllers.chosen()
    if name == topology.CONTROLLER and controller:
        seen = in_namespace(node.namespace, controller.seeing(arguments))
        return seen, access.environment() | controller.environment()
    return in_namespace(node.namespace, arguments), access.environment()


def execute(name: str, *arguments: str, check: bool = True, timeout: float = 120) -> str:
    """Run something on a node and return its standard output; LabError when it fails."""
    line, environment = command(name, arguments)
    try:
        done = subprocess.run(
            line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{name}: {' '.join(arguments)}: not done after {timeout:.0f} s") from error
    if check and done.returncode:
        raise LabError(f"{name}: {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One line of `lab status`."""

    name: str
    kind: str
    namespace: str
    state: str
    processes: int
    management_address: str

    @property
    def up(self) -> bool:
        return self.state in ("running", "degraded", "present")


def status() -> list[NodeStatus]:
    rows = []
    for node in topology.NODES:
        present = network.exists(node.namespace)
        if node.boots:
            state = hosts.boot_state(node)
            count = len(hosts.processes(node))
        else:
            state = "present" if present else "absent"
            count = len(network.inhabitants(node.namespace))
        kind = "host" if node.boots else "namespace"
        rows.append(NodeStatus(node.name, kind, node.namespace, state, count, node.management_address or "-"))
    return rows


def _host(name: str) -> topology.Node:
    need_root()
    if name not in topology.HOME_AGENTS:
        raise LabError(f"{name!r} is not a host that can be switched; there are: {', '.join(topology.HOME_AGENTS)}")
    return topology.node(name)


def _power_on(node: topology.Node, systems: Mapping[str, Path], fresh: bool) -> None:
    assert node.suite
    if hosts.leader(node) is not None and network.exists(node.namespace):
        return
    hosts.kill(node)
    network.destroy(node.namespace, node)
    if fresh:
        hosts.erase_disk(node)
    network.create(node)
    hosts.write_disk(node, access.host_files(node.name))
    hosts.boot(node, systems[node.suite])


def _wait_until_reachable(nodes: Iterable[topology.Node]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(_wait_for_ssh, nodes))


def _wait_for_ssh(node: topology.Node) -> None:
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    probe = ("ssh", "-F", str(access.SSH_CONFIG), "-o", "ConnectTimeout=1", node.name, "true")
    patience = 3.0
    while True:
        try:
            # A session that the booting host cut off half-way would be waited for much longer than a new one takes.
            run(*in_namespace(topology.node(topology.CONTROLLER).namespace, probe), timeout=patience)
            return
        except LabError as error:
            if time.monotonic() > deadline:
                raise LabError(f"{node.name} is not reachable ({error}); its console: {hosts.log(node)}") from error
            patience *= 1.2  # on a busy machine none is done in so short a time
            time.sleep(0.1)
