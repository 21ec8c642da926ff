# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of the agent, put together on the controller: the package, the wheels it needs, its unit and launcher.

Its digest names it on the hosts. The same content has the same digest on every controller, and computing it reads
each file once; the archive is made only for a host that lacks the release.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile
from pathlib import Path

UNIT = "vrrp-ha.service"
DIGEST_LENGTH = 16

LAUNCHER = """\
#!{python} -B
# The vrrp-ha command of the release that this file is in.
import os
import sys

sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib")
from vrrp_ha.cli import main

sys.exit(main())
"""


class ReleaseError(Exception):
    """The controller lacks a part of the release; says which, and how to get it."""


class Release:
    """The parts of a release on the controller."""

    def __init__(self, package: dict[str, bytes], wheels: dict[str, Path], unit: str, python: str) -> None:
        self.package = package
        self.wheels = wheels
        self.unit = unit
        self.launcher = LAUNCHER.format(python=python)
        self.digest = self._digest()

    def _digest(self) -> str:
        total = hashlib.sha256()
        parts = {**self.package, "launcher": self.launcher.encode(), UNIT: self.unit.encode()}
        parts.update({name: wheel.read_bytes() for name, wheel in self.wheels.items()})
        for name in sorted(parts):
            total.update(f"{name}\0{len(parts[name])}\0".encode() + parts[name])
        return total.hexdigest()[:DIGEST_LENGTH]

    def archive(self, target: Path) -> str:
        """Write the release as one archive, laid out as on the host; returns the archive's SHA-256."""
        with tarfile.open(target, "w:gz", compresslevel=6) as tar:
            for name, content in sorted(self.package.items()):
                _add(tar, f"lib/{name}", content)
            for wheel in self.wheels.values():
                with zipfile.ZipFile(wheel) as members:
                    for member in members.infolist():
                        if not member.is_dir():
                            _add(tar, f"lib/{member.filename}", members.read(member))
            _add(tar, "bin/vrrp-ha", self.launcher.encode(), 0o755)
            _add(tar, UNIT, self.unit.encode())
        return hashlib.sha256(target.read_bytes()).hexdigest()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def collect(files: Path, wheels: list[Path], python: str) -> Release:
    """The release that a controller has in the role's files and in the first directory with the wheels."""
    unit = files / UNIT
    if not unit.is_file():
        raise ReleaseError(f"{unit} is missing; is the collection installed whole?")
    package = {
        path.relative_to(files).as_posix(): path.read_bytes()
        for path in sorted((files / "vrrp_ha").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    return Release(package, find_wheels(files / "requirements.txt", wheels), unit.read_text("utf-8"), python)


def find_wheels(requirements: Path, directories: list[Path]) -> dict[str, Path]:
    """The wheel for each pinned requirement, by file name."""
    found = {}
    for name, version in _pinned(requirements):
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        matches = [path for directory in directories for path in sorted(directory.glob(pattern))]
        if not matches:
            places = " nor in ".join(str(directory) for directory in directories)
            raise ReleaseError(
                f"the wheel of {name} {version} is not in {places}; get it once, on a machine with internet access: "
                f"python3 -m pip download --no-deps --only-binary :all: --dest {directories[-1]} -r {requirements}"
            )
        found[matches[0].name] = matches[0]
    return found


def _pinned(requirements: Path) -> list[tuple[str, str]]:
    return re.findall(r"^([\w.-]+)==([\w.]+)", requirements.read_text("utf-8"), re.MULTILINE)
