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


# --- packages that only some deployments need ----------------------------------------------------------------


def add_wheel(files, name, **members):
    with zipfile.ZipFile(files / "wheels" / name, "w") as wheel:
        for path, content in members.items():
            wheel.writestr(path.replace("__", "/"), content)


@pytest.fixture
def with_esp(files):
    (files / "requirements-esp.txt").write_text("cffi==2.0\n")
    for python in ("cp311", "cp313"):
        members = {"cffi__api.py": "api", f"_cffi.{python}.so": python, "cffi-2.0.dist-info__WHEEL": python}
        add_wheel(files, f"cffi-2.0-{python}-{python}-linux_x86_64.whl", **members)
    return files


def contents(release, tmp_path):
    release.archive(tmp_path / "release.tar.gz")
    with tarfile.open(tmp_path / "release.tar.gz") as tar:
        return {member.name for member in tar}


def test_only_a_deployment_that_asks_for_it_carries_an_extra(with_esp, tmp_path):
    plain = collect(with_esp, [with_esp / "wheels"], PYTHON)
    more = collect(with_esp, [with_esp / "wheels"], PYTHON, ("esp",))
    assert plain.digest != more.digest
    assert "lib/cffi/api.py" not in contents(plain, tmp_path)


def test_the_wheels_for_every_python_are_carried_together(with_esp, tmp_path):
    names = contents(collect(with_esp, [with_esp / "wheels"], PYTHON, ("esp",)), tmp_path)
    assert {"lib/cffi/api.py", "lib/_cffi.cp311.so", "lib/_cffi.cp313.so"} <= names


def test_wheels_for_different_machines_in_one_directory_are_refused(with_esp, tmp_path):
    add_wheel(with_esp, "cffi-2.0-cp311-abi3-linux_aarch64.whl", **{"cffi__api.py": "another"})
    with pytest.raises(ReleaseError, match=r"api.py differs between cffi-2.0-cp311-abi3.* and .*directory of wheels"):
        contents(collect(with_esp, [with_esp / "wheels"], PYTHON, ("esp",)), tmp_path)


def test_the_first_directory_with_a_wheel_counts(with_esp, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (with_esp / "wheels" / "cffi-2.0-cp311-cp311-linux_x86_64.whl").rename(
        own / "cffi-2.0-cp311-cp311-linux_x86_64.whl"
    )
    names = contents(collect(with_esp, [own, with_esp / "wheels"], PYTHON, ("esp",)), tmp_path)
    assert "lib/_cffi.cp311.so" in names
    assert "lib/_cffi.cp313.so" not in names


def test_a_missing_wheel_of_an_extra_is_named_with_its_file(with_esp):
    for wheel in (with_esp / "wheels").glob("cffi*"):
        wheel.unlink()
    with pytest.raises(
        ReleaseError, match=r"wheel of cffi 2.0 is not in .*--python-version 3.11 .*requirements-esp.txt"
    ):
        collect(with_esp, [with_esp / "wheels"], PYTHON, ("esp",))
