# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts: a Debian system booted by systemd-nspawn over the base system, in a namespace made before.

Each host's processes are in a control group of its own, so that its power can be cut: one write to `cgroup.kill` ends
all of them at once, systemd-nspawn and what it leaves behind included, and needs no record of process ids that could
be out of date. The overlay is mounted in a mount namespace that dies with the host, so nothing is left mounted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.lab import topology
from tests.lab.places import CACHE, RUN, LabError, run

HIERARCHIES = tuple(
    root
    for root in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup"))
    if (root / "cgroup.procs").exists()
)
"""cgroup v2, or v2 beside systemd's named v1 hierarchy. A tmpfs at /sys/fs/cgroup has no cgroup.procs."""

# The launcher joins the control groups before anything else, so that nothing of the host is ever outside them.
LAUNCH = """
set -e
for group in $VHA_GROUPS; do mkdir -p "$group"; echo $$ > "$group/cgroup.procs"; done
exec unshare --mount --propagation slave sh -ec '
  if ! mount -t overlay overlay -o "lowerdir=$VHA_BASE,upperdir=$VHA_DISK/upper,workdir=$VHA_DISK/work" "$VHA_ROOT"
  then
    echo "no overlay here: copying the base system"
    [ -e "$VHA_DISK/copied" ] || { cp -an "$VHA_BASE/." "$VHA_DISK/upper/"; touch "$VHA_DISK/copied"; }
    mount --bind "$VHA_DISK/upper" "$VHA_ROOT"
  fi
  exec systemd-nspawn --boot --quiet --register=no --keep-unit --console=passive --link-journal=no \
    --machine="$VHA_MACHINE" --directory="$VHA_ROOT" --network-namespace-path="/run/netns/$VHA_MACHINE" \
    --capability=CAP_NET_ADMIN'
"""


def disk(node: topology.Node) -> Path:
    return CACHE / "hosts" / node.namespace


def log(node: topology.Node) -> Path:
    return RUN / f"{node.name}.log"


def _groups(node: topology.Node) -> list[Path]:
    return [root / node.namespace for root in HIERARCHIES]


def boot(node: topology.Node, base: Path) -> None:
    """Start it and return; `leader` and SSH tell when it is up. Its disk must have been prepared."""
    if not HIERARCHIES:
        raise LabError("no control groups are mounted at /sys/fs/cgroup; systemd-nspawn needs them")
    _remove_groups(node)
    root = RUN / "roots" / node.name
    for directory in (root, disk(node) / "work", disk(node) / "upper"):
        directory.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        "VHA_GROUPS": " ".join(map(str, _groups(node))),
        "VHA_BASE": str(base),
        "VHA_DISK": str(disk(node)),
        "VHA_ROOT": str(root),
        "VHA_MACHINE": node.namespace,
    }
    with log(node).open("ab") as output:
        subprocess.Popen(  # it outlives this process on purpose
            ["sh", "-c", LAUNCH], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
            start_new_session=True, cwd="/",
        )  # fmt: skip


def write_disk(node: topology.Node, files: dict[str, tuple[int, str]]) -> None:
    """Files (mode, text) into the host's own layer; only while it is off."""
    for name, (mode, text) in files.items():
        target = disk(node) / "upper" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)


def erase_disk(node: topology.Node) -> None:
    shutil.rmtree(disk(node), ignore_errors=True)


def processes(node: topology.Node) -> list[int]:
    """Every process of the host, from the control group that has them all."""
    found: list[int] = []
    for group in _groups(node)[:1]:
        for listing in group.glob("**/cgroup.procs"):
            with contextlib.suppress(OSError):
                found += map(int, listing.read_text().split())
    return found


def leader(node: topology.Node) -> int | None:
    """The host's init as seen from here, or None when it is off or not that far yet."""
    for pid in processes(node):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            ids = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
            if len(ids) == 2 and ids[1] == "1":
                return pid
    return None


def kill(node: topology.Node) -> None:
    """The power goes: SIGKILL to all of it at once."""
    deadline = time.monotonic() + 5
    while processes(node):
        if time.monotonic() > deadline:
            raise LabError(f"processes of {node.name} do not die: {processes(node)}")
        switch = _groups(node)[0] / "cgroup.kill"
        if switch.exists():
            switch.write_text("1")
        else:  # cgroup v1 alone
            for pid in processes(node):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    _remove_groups(node)


def _remove_groups(node: topology.Node) -> None:
    deadline = time.monotonic() + 2
    for group in _groups(node):
        while group.exists():
            for directory, _unused, _unused in os.walk(group, topdown=False):
                # A process that has just died holds its group for a moment more.
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
            if time.monotonic() > deadline:
                raise LabError(f"control group {group} cannot be removed")


def enter(node: topology.Node, command: list[str]) -> list[str]:
    """The command line that runs `command` inside the booted host."""
    pid = leader(node)
    if pid is None:
        raise LabError(f"{node.name} is off; tests/lab/lab power-on {node.name}")
    environment = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
    return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", *environment, *command]


def boot_state(node: topology.Node) -> str:
    """What systemd says of itself: running, starting, degraded..., or off."""
    if leader(node) is None:
        return "off"
    try:
        return run(*enter(node, ["systemctl", "is-system-running"]), check=False).strip() or "booting"
    except LabError:
        return "off"
