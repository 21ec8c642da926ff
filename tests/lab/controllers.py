# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controllers that the collection is for besides that of the pinned environment: the oldest and the newest.

Each has an ansible-core of its own, and the Python of a Debian release, from the base system that the lab's hosts boot
from: whatever runs on the controller sees that system's /usr in the place of this machine's, and all else as it is. So
no other Python has to be installed. VRRP_HA_LAB_CONTROLLER=2.21 has the lab use one of them.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.lab import base
from tests.lab.places import CACHE, CHECKOUT, RUN, VENV, LabError, locked, need_root, run, say

PLACE = CACHE / "controllers"


@dataclass(frozen=True, slots=True)
class Controller:
    """An ansible-core on a Python."""

    core: str
    python: str
    suite: str

    @property
    def requirements(self) -> Path:
        return CHECKOUT / f"tests/requirements/ansible-{self.core}.txt"

    @property
    def place(self) -> Path:
        """Its virtual environment, named after what is in it."""
        digest = hashlib.sha256(self.requirements.read_bytes() + self.python.encode()).hexdigest()[:10]
        return PLACE / f"{self.core}-{digest}"

    def seeing(self, command: Sequence[str]) -> list[str]:
        """The command, in a mount namespace made before, with the /usr of its Debian."""
        return ["sh", "-ec", 'mount --bind "$0/usr" /usr; exec "$@"', str(base.path(self.suite)), *command]

    def environment(self) -> dict[str, str]:
        return {
            # Its own SSH connections, by its own ssh.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(RUN / f"ansible/cp-{self.core}"),
            "PATH": f"{self.place}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
        }


CONTROLLERS = {
    "2.17": Controller("2.17", "3.11", "bookworm"),
    "2.21": Controller("2.21", "3.13", "trixie"),
}


def chosen() -> Controller | None:
    """The controller that the lab is to use, None for the pinned environment."""
    core = os.environ.get("VRRP_HA_LAB_CONTROLLER")
    if not core:
        return None
    try:
        controller = CONTROLLERS[core]
    except KeyError:
        raise LabError(f"VRRP_HA_LAB_CONTROLLER={core}: there are {', '.join(CONTROLLERS)}") from None
    if not controller.place.is_dir():
        raise LabError(f"the controller with ansible-core {core} is not there; tests/setup makes it")
    return controller


def prepare() -> None:
    """Make the environments that are not there yet: at the same time."""
    need_root()
    base.prepare(sorted({controller.suite for controller in CONTROLLERS.values()}))
    with locked(PLACE):
        missing = [controller for controller in CONTROLLERS.values() if not controller.place.is_dir()]
        if missing:
            say(f"making controllers with ansible-core {', '.join(controller.core for controller in missing)}")
            for leftover in PLACE.glob("*.partial"):
                shutil.rmtree(leftover)
            with ThreadPoolExecutor() as pool:
                list(pool.map(_make, missing))


def _make(controller: Controller) -> None:
    """Its Python makes the environment; the pip of this one fills it, as Debian's Python comes without."""
    partial = controller.place.with_name(f"{controller.place.name}.partial")
    venv = controller.seeing(["/usr/bin/python3", "-m", "venv", "--without-pip", str(partial)])
    run("unshare", "--mount", *venv)
    (packages,) = partial.glob("lib/python*/site-packages")
    platforms = [f"--platform={version}_{platform.machine()}" for version in ("manylinux_2_34", "manylinux2014")]
    run(
        str(VENV / "bin/pip"), "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile",
        "--only-binary=:all:", f"--python-version={controller.python}", *platforms, "--ignore-requires-python",
        f"--target={packages}", f"--requirement={controller.requirements}", timeout=300,
    )  # fmt: skip
    for script in (packages / "bin").glob("ansible*"):
        _first, text = script.read_text().split("\n", 1)
        (partial / "bin" / script.name).write_text(f"#!{controller.place}/bin/python\n{text}")
        (partial / "bin" / script.name).chmod(0o755)
    partial.rename(controller.place)


if __name__ == "__main__":
    try:
        prepare()
    except LabError as error:
        sys.exit(f"controllers: {error}")
