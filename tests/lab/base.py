# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian systems that lab hosts boot from, one a release: made once with debootstrap, then only read.

A directory's name carries a digest of what it was made from, so a changed package list makes a new one. The mirror
and proxies are those of the machine's own apt.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab import topology
from tests.lab.places import CACHE, MORE_PACKAGES, LabError, locked, run, say

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "iproute2", "nftables", "procps",
    "iputils-ping", "tcpdump", *MORE_PACKAGES,
)  # fmt: skip
RECIPE = "1"
"""To be raised when `_finish` does something else than before."""

MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
    "console-getty.service", "systemd-logind.service",
)  # fmt: skip


def path(suite: str) -> Path:
    digest = hashlib.sha256("\n".join((suite, RECIPE, *PACKAGES, *MASKED)).encode()).hexdigest()[:10]
    return CACHE / f"base-{suite}-{digest}"


def mirror(suite: str) -> str:
    """The Debian archive that this machine's apt uses, from its own parsed sources."""
    if override := os.environ.get("VRRP_HA_LAB_MIRROR"):
        return override
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Identifier: Packages")
    rows = [row.split() for row in listed.splitlines()]
    found = [row[0] for row in rows if len(row) == 3 and row[2] == "main"]
    exact = [row[0] for row in rows if len(row) == 3 and row[1:] == [suite, "main"]]
    debian = [uri for uri in found if uri.rstrip("/").endswith("/debian")]
    for choice in (*exact, *debian):
        return choice
    raise LabError("apt's sources name no Debian mirror; set VRRP_HA_LAB_MIRROR to one")


def proxies() -> dict[str, str]:
    """apt's proxy settings as the environment variables that debootstrap's downloader reads."""
    found = {}
    for line in run("apt-config", "dump").splitlines():
        if match := re.fullmatch(r'Acquire::(https?)::Proxy "(.*)";', line):
            scheme, proxy = match.groups()
            if proxy and proxy != "DIRECT":
                found[f"{scheme}_proxy"] = proxy
    return found


def prepare(suites: Iterable[str] = topology.SUITES) -> dict[str, Path]:
    """The base systems' directories by suite, made if they are not there yet: at the same time."""
    bases = {suite: path(suite) for suite in suites}
    with locked(CACHE):
        missing = [suite for suite, base in bases.items() if not base.is_dir()]
        if missing:
            for leftover in CACHE.glob("*.partial"):
                shutil.rmtree(leftover)
            say(f"making the hosts' base systems: {', '.join(missing)} (about a minute, once)")
            with ThreadPoolExecutor() as pool:
                list(pool.map(_make, missing))
    return bases


def _make(suite: str) -> None:
    archive, base = mirror(suite), path(suite)
    partial, log = base.with_suffix(".partial"), CACHE / f"debootstrap-{suite}.log"
    with log.open("wb") as output:
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(partial), archive],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=proxies() | os.environ, check=False,
        )  # fmt: skip
    if done.returncode:
        tail = log.read_text(errors="replace").splitlines()[-5:]
        raise LabError(f"debootstrap of {suite} from {archive} failed (whole log: {log}):\n" + "\n".join(tail))
    _finish(partial)
    partial.rename(base)


def _finish(root: Path) -> None:
    """What makes a boot quick and every host its own."""
    for unit in MASKED:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (root / "etc/machine-id").write_text("")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text("UseDNS no\nPasswordAuthentication no\n")
    for archive in (root / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
