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
# Not only what the controller itself could use: Debian 12 has Python 3.11, Debian 13 has 3.13.
DOWNLOAD = (
    "python3 -m pip download --no-deps --only-binary :all: --python-version 3.11 "
    "--platform manylinux_2_34_x86_64 --platform manylinux2014_x86_64"
)

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
            for name, content in sorted(self._unpacked().items()):
                _add(tar, f"lib/{name}", content)
            _add(tar, "bin/vrrp-ha", self.launcher.encode(), 0o755)
            _add(tar, UNIT, self.unit.encode())
        return hashlib.sha256(target.read_bytes()).hexdigest()

    def _unpacked(self) -> dict[str, bytes]:
        """What is in the wheels; those of one package for several Pythons have names that only one of them reads."""
        files: dict[str, bytes] = {}
        origins: dict[str, str] = {}
        for wheel_name, wheel in sorted(self.wheels.items()):
            with zipfile.ZipFile(wheel) as members:
                for member in members.infolist():
                    name = member.filename
                    if member.is_dir():
                        continue
                    content = members.read(member)
                    # Which wheel it was says every one in a way of its own.
                    if files.setdefault(name, content) != content and ".dist-info/" not in name:
                        raise ReleaseError(
                            f"{name} differs between {origins[name]} and {wheel_name}, which are for different "
                            "machines; give each kind of machine a directory of wheels of its own"
                        )
                    origins.setdefault(name, wheel_name)
        return files


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def collect(files: Path, wheels: list[Path], python: str, extras: tuple[str, ...] = ()) -> Release:
    """The release that a controller has in the role's files and in the first directory with the wheels.

    extras: what the deployment makes use of that needs packages of its own, as in requirements-EXTRA.txt.
    """
    unit = files / UNIT
    if not unit.is_file():
        raise ReleaseError(f"{unit} is missing; is the collection installed whole?")
    package = {
        path.relative_to(files).as_posix(): path.read_bytes()
        for path in sorted((files / "vrrp_ha").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    found: dict[str, Path] = {}
    for name in ("requirements.txt", *(f"requirements-{extra}.txt" for extra in extras)):
        found.update(find_wheels(files / name, wheels))
    return Release(package, found, unit.read_text("utf-8"), python)


def find_wheels(requirements: Path, directories: list[Path]) -> dict[str, Path]:
    """The wheels for each pinned requirement, by file name: all that the first directory with one has of it.

    Hosts may run different Pythons, which nobody knows before they are asked, so each gets them all.
    """
    found = {}
    for name, version in _pinned(requirements):
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        each = (sorted(directory.glob(pattern)) for directory in directories)
        matches: list[Path] = next(filter(None, each), [])
        if not matches:
            places = " nor in ".join(str(directory) for directory in directories)
            raise ReleaseError(
                f"the wheel of {name} {version} is not in {places}; get it on a machine with internet access, once for "
                f"each version of Python on the hosts: {DOWNLOAD} --dest {directories[-1]} -r {requirements}"
            )
        found.update({match.name: match for match in matches})
    return found


def _pinned(requirements: Path) -> list[tuple[str, str]]:
    return re.findall(r"^([\w.-]+)==([\w.]+)", requirements.read_text("utf-8"), re.MULTILINE)
