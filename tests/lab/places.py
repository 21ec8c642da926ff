# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps things, and how it runs a command.

Two directories outside the checkout, both of the machine and not of a user, since namespaces are so too: the cache
(the Debian base system, the hosts' disks), and the run directory (what is up, generated keys and Ansible settings).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
INSTANCE = os.environ.get("VRRP_HA_LAB", "")
"""A word of up to four characters that sets this lab apart from others on the machine: `make test` has its own."""

CACHE = Path(os.environ.get("VRRP_HA_LAB_CACHE", "/var/cache/vrrp-ha-lab"))
RUN = Path(os.environ.get("VRRP_HA_LAB_RUN", f"/run/vrrp-ha-lab{INSTANCE and '-'}{INSTANCE}"))
VENV = Path(os.environ.get("VRRP_HA_VENV") or CHECKOUT / ".cache" / "venv")
SUITE = os.environ.get("VRRP_HA_LAB_SUITE")
"""The Debian that all hosts boot; when it is not set, two of three boot Debian 12 and one Debian 13."""
SIZE = int(os.environ.get("VRRP_HA_LAB_SIZE", "3"))
"""How many home agents, 3 to 40; the tests and the demo are about three."""
MORE_PACKAGES = tuple(os.environ.get("VRRP_HA_LAB_PACKAGES", "").split())
"""Debian packages in the hosts' base system beside those that every lab has."""


class LabError(Exception):
    """The lab cannot do what was asked; the text says what to do about it."""


def run(*command: str, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
    """The command's standard output; LabError with what it said on standard error when it fails."""
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not installed; run tests/setup") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)}: not done after {timeout:.0f} s") from error
    if check and done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One at a time in this directory; the lock goes with its holder, also when that crashes."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def need_root() -> None:
    if os.geteuid():
        raise LabError("the lab makes namespaces and boots systems: run it as root")


def in_namespace(namespace: str, command: Sequence[str]) -> list[str]:
    return ["ip", "netns", "exec", namespace, *command]
