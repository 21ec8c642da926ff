# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces and cables. Nothing here touches the machine's own network namespace except to create others.

A namespace is destroyed by killing what runs in it first (by pidfd, and only after a second look at where the
process lives) and by removing its cables at the switch's end, so that nothing waits for the kernel's lazy clean-up.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from tests.lab import topology
from tests.lab.places import RUN, LabError, run

NETNS = Path("/run/netns")
MADE = RUN / "made"
"""A file for each namespace that was completed, so that one left half-made by a crash is made anew."""


def exists(namespace: str) -> bool:
    return (NETNS / namespace).exists()


def _ip_batch(namespace: str, lines: list[str], force: bool = False) -> None:
    if lines:
        flags = ["-force"] if force else []
        run("ip", "-6", *flags, "-n", namespace, "-batch", "-", stdin="\n".join(lines) + "\n", check=not force)


def _sysctl(namespace: str, *settings: str) -> None:
    run("ip", "netns", "exec", namespace, "sysctl", "-q", "-w", *settings)


def complete(namespace: str) -> bool:
    return exists(namespace) and (MADE / namespace).exists()


def _mark(namespace: str) -> None:
    MADE.mkdir(parents=True, exist_ok=True)
    (MADE / namespace).touch()


def create_switch() -> None:
    if complete(topology.SWITCH_NAMESPACE):
        return
    # Every cable ends here: without the switch the others are not complete either.
    for node in topology.NODES:
        destroy(node.namespace)
    destroy(topology.SWITCH_NAMESPACE)
    run("ip", "netns", "add", topology.SWITCH_NAMESPACE)
    # A switch has no address: its bridges must not speak IPv6 on the links they connect.
    _sysctl(topology.SWITCH_NAMESPACE, "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    lines = ["link set lo up"]
    for link in topology.LINKS:
        lines += [f"link add {link} type bridge stp_state 0 mcast_snooping 0", f"link set {link} up"]
    _ip_batch(topology.SWITCH_NAMESPACE, lines)
    _mark(topology.SWITCH_NAMESPACE)


def create(node: topology.Node) -> None:
    """The node's namespace with its cables, addresses and routes; cables stay unplugged until `plug`."""
    if complete(node.namespace):
        return
    destroy(node.namespace, node)
    run("ip", "netns", "add", node.namespace)
    _sysctl(
        node.namespace,
        "net.ipv6.conf.all.accept_ra=0",
        "net.ipv6.conf.default.accept_ra=0",
        f"net.ipv6.conf.all.forwarding={int(node.forwards)}",
    )
    lines = ["link set lo up"]
    for port in node.ports:
        outer = topology.switch_port(node, port)
        run(
            "ip", "link", "add", port.interface, "netns", node.namespace, "address", node.mac(port),
            "type", "veth", "peer", "name", outer, "netns", topology.SWITCH_NAMESPACE,
        )  # fmt: skip
        lines.append(f"link set {port.interface} addrgenmode none up")
        addresses = (f"{port.link_local}/64", *port.addresses)
        lines += [f"addr add {address} dev {port.interface} nodad" for address in addresses]
    _ip_batch(
        topology.SWITCH_NAMESPACE,
        [f"link set {topology.switch_port(node, port)} master {port.link}" for port in node.ports],
    )
    plug(node)
    # Routes need a carrier, or the kernel marks them linkdown and leaves them out.
    lines += [f"route add {route}" for route in node.routes]
    lines += [f"rule add {rule}" for rule in node.rules]
    _ip_batch(node.namespace, lines)
    _mark(node.namespace)


def plug(node: topology.Node) -> None:
    _ip_batch(topology.SWITCH_NAMESPACE, [f"link set {topology.switch_port(node, port)} up" for port in node.ports])


def unplug(node: topology.Node) -> None:
    """All cables at once: not a frame more in either direction."""
    _ip_batch(
        topology.SWITCH_NAMESPACE,
        [f"link set {topology.switch_port(node, port)} down" for port in node.ports],
        force=True,
    )


def destroy(namespace: str, node: topology.Node | None = None) -> None:
    (MADE / namespace).unlink(missing_ok=True)
    if not exists(namespace):
        return
    kill_inhabitants(namespace)
    if node is not None and exists(topology.SWITCH_NAMESPACE):
        cables = [f"link del {topology.switch_port(node, port)}" for port in node.ports]
        _ip_batch(topology.SWITCH_NAMESPACE, cables, force=True)
    run("ip", "netns", "del", namespace)


def inhabitants(namespace: str) -> list[int]:
    """Processes whose network namespace this is."""
    with contextlib.suppress(FileNotFoundError):
        wanted = (NETNS / namespace).stat().st_ino
        return [pid for pid in _processes() if _lives_in(pid, wanted)]
    return []


def kill_inhabitants(namespace: str) -> None:
    deadline = time.monotonic() + 5
    wanted = (NETNS / namespace).stat().st_ino
    while victims := [pid for pid in _processes() if _lives_in(pid, wanted)]:
        if time.monotonic() > deadline:
            raise LabError(f"processes {victims} in {namespace} do not die")
        for pid in victims:
            _kill(pid, wanted)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _lives_in(pid: int, inode: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino == inode
    except OSError:  # gone, or a zombie, which has no namespace any more
        return False


def _kill(pid: int, inode: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        # The number may have been given to another process since it was listed; the handle cannot.
        if _lives_in(pid, inode):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], 2)
    finally:
        os.close(handle)
