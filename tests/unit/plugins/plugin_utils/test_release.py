# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.release import ReleaseError, collect

PYTHON = "/usr/bin/python3"


@pytest.fixture
def files(tmp_path):
    """A role's files and a wheel, in small."""
    made = tmp_path / "files"
    (made / "vrrp_ha" / "core").mkdir(parents=True)
    (made / "vrrp_ha" / "__init__.py").write_text("")
    (made / "vrrp_ha" / "core" / "node.py").write_text("# node\n")
    (made / "vrrp-ha.service").write_text("[Service]\n")
    (made / "requirements.txt").write_text("# needs\npyroute2==0.9.7\n")
    (made / "wheels").mkdir()
    with zipfile.ZipFile(made / "wheels" / "pyroute2-0.9.7-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pyroute2/__init__.py", "")
    return made


def digest(files):
    return collect(files, [files / "wheels"], PYTHON).digest


def test_the_same_content_has_the_same_digest(files):
    assert digest(files) == digest(files)


@pytest.mark.parametrize("name", ["vrrp_ha/core/node.py", "vrrp-ha.service", "wheels/pyroute2-0.9.7-py3-none-any.whl"])
def test_every_part_is_in_the_digest(files, name):
    before = digest(files)
    (files / name).write_bytes((files / name).read_bytes() + b"#")
    assert digest(files) != before


def test_what_python_compiles_is_not_in_the_digest(files):
    before = digest(files)
    (files / "vrrp_ha" / "__pycache__").mkdir()
    (files / "vrrp_ha" / "__pycache__" / "node.cpython-311.pyc").write_bytes(b"x")
    assert digest(files) == before


def test_the_archive_is_laid_out_as_on_the_host(files, tmp_path):
    target = tmp_path / "release.tar.gz"
    collect(files, [files / "wheels"], PYTHON).archive(target)
    with tarfile.open(target) as tar:
        modes = {member.name: member.mode for member in tar}
    assert modes == {
        "lib/vrrp_ha/__init__.py": 0o644,
        "lib/vrrp_ha/core/node.py": 0o644,
        "lib/pyroute2/__init__.py": 0o644,
        "bin/vrrp-ha": 0o755,
        "vrrp-ha.service": 0o644,
    }


def test_a_missing_wheel_is_named_with_the_command_that_gets_it(files):
    with pytest.raises(ReleaseError, match=r"wheel of pyroute2 0.9.7 is not in .*pip download --no-deps"):
        collect(files, [Path("/nowhere")], PYTHON)


def test_an_incomplete_collection_is_said(files):
    (files / "vrrp-ha.service").unlink()
    with pytest.raises(ReleaseError, match=r"vrrp-ha.service is missing"):
        digest(files)
