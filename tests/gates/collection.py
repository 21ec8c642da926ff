# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the collection where Ansible's tools want it, and how they are called there."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".cache/gates"
TOOLS = PLACE / "venv/bin"
CONTROLLER = "3.11"
TARGETS = ("3.8", "3.9", "3.10", "3.11")
"""What a managed host may have, oldest first; the last is what the tests themselves run with."""


def git(*arguments: str, where: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True).stdout


def copied(name: str) -> Path:
    """The files of this checkout in .../ansible_collections/mip6/vrrp_ha, known to git, which ansible-test asks."""
    place = PLACE / name / "ansible_collections/mip6/vrrp_ha"
    shutil.rmtree(PLACE / name, ignore_errors=True)
    for file in git("ls-files", "-z", "--cached", "--others", "--exclude-standard", where=ROOT).split("\0"):
        if file and (ROOT / file).exists():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, place / file, follow_symlinks=False)
    git("init", "-q", where=place)
    git("add", "-A", where=place)
    return place


def runs(python: str) -> str | None:
    """The interpreter itself, since a version manager's stand-in may be there and not work."""
    found = [shutil.which(python), *map(str, sorted(Path.home().glob(f".pyenv/versions/{python[6:]}.*/bin/{python}")))]
    for candidate in filter(None, found):
        tried = subprocess.run(
            [candidate, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=False
        )
        if tried.returncode == 0:
            return tried.stdout.strip()
    return None


@functools.cache
def oldest_target() -> str:
    """The oldest Python of this machine that the modules are for."""
    return next(version for version in TARGETS if runs(f"python{version}"))


def environment(place: Path) -> dict[str, str]:
    """ansible-test keeps its environments below HOME."""
    oldest = runs(f"python{oldest_target()}")
    assert oldest
    tools = Path(os.environ.get("VRRP_HA_VENV", ROOT / ".cache/venv")).absolute() / "bin"
    path = [str(tools), str(Path(oldest).parent), os.environ["PATH"], str(TOOLS)]
    return {
        **os.environ,
        "HOME": str(PLACE / "home"),
        "PATH": ":".join(path),
        "ANSIBLE_COLLECTIONS_PATH": str(place.parents[2]),
    }


def start(place: Path, *command: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=place,
        env={**environment(place), **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """All output of a command that has to succeed."""
    output, _nothing = process.communicate(timeout=600)
    assert process.returncode == 0, f"{process.args} failed:\n{output}"
    return output


def run(place: Path, *command: str, **more: str) -> str:
    return said(start(place, *command, **more))
