# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a collection has to pass before others take it, by the tools that they use. No file says what to ignore."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.gates.collection import CONTROLLER, TOOLS, oldest_target, run, said

DOCS = ("--plugin-docs", "--validate-collection-refs", "all", "--disallow-unknown-collection-refs")


def ran(output: str) -> set[str]:
    return set(re.findall(r'^Running sanity test "(.*?)"', output, re.MULTILINE))


def test_nothing_is_ignored(collection: Path) -> None:
    assert not list(collection.glob("tests/sanity/ignore*"))


def test_sanity_is_clean_and_every_test_of_it_ran(collection: Path) -> None:
    """A test whose tool is missing is left out without a failure, as shellcheck is."""
    output = run(collection, "ansible-test", "sanity", "--skip-test", "pylint", "--python", CONTROLLER)
    there = set(re.findall(r"^[a-z0-9-]+$", run(collection, "ansible-test", "sanity", "--list-tests"), re.MULTILINE))
    assert "shellcheck" in there
    assert ran(output) == there - {"pylint"}, output
    skipped = [line for line in output.splitlines() if "kipping" in line or "kipped" in line]
    assert not skipped, output


@pytest.mark.parametrize("version", [oldest_target()])
def test_modules_are_imported_and_compiled_by_the_oldest_python_here(collection: Path, version: str) -> None:
    output = run(collection, "ansible-test", "sanity", "--test", "import", "--test", "compile", "--python", version)
    assert ran(output) == {"import", "compile"}, output
    assert output.count(f"on Python {version}") == 2, output


def test_unit_tests_pass_in_the_environment_of_ansible_test(collection: Path) -> None:
    output = run(collection, "ansible-test", "units", "--venv", "--requirements", "--python", CONTROLLER)
    assert re.search(r"\d+ passed", output), output


def test_documentation_has_no_errors(collection: Path) -> None:
    run(collection, str(TOOLS / "antsibull-docs"), "lint-collection-docs", *DOCS, ".")


def test_changelog_is_valid(collection: Path) -> None:
    run(collection, "antsibull-changelog", "lint")


def test_importer_takes_the_built_collection(collection: Path, tmp_path: Path) -> None:
    """It exits with 0 whatever it says. A release names its repository; until one does, a placeholder stands in."""
    metadata = collection / "galaxy.yml"
    before = metadata.read_text()
    if not re.search("^repository:", before, re.MULTILINE):
        metadata.write_text(before + "repository: https://example.invalid/mip6/vrrp_ha\n")
    try:
        run(collection, "ansible-galaxy", "collection", "build", "--output-path", str(tmp_path))
    finally:
        metadata.write_text(before)
    [built] = tmp_path.glob("*.tar.gz")
    output = run(tmp_path, str(TOOLS / "python"), "-m", "galaxy_importer.main", str(built))
    assert "Loading role agent" in output, output
    assert not [line for line in output.splitlines() if line.startswith(("WARNING", "ERROR"))], output


@pytest.mark.parametrize("needs", [[], ["netaddr>=1"]])
def test_an_execution_environment_gets_what_the_collection_says_that_it_needs(
    collection: Path, tmp_path: Path, needs: list[str]
) -> None:
    """It needs nothing; that this was read at all is shown by something else instead."""
    place = tmp_path / "ansible_collections/mip6/vrrp_ha"
    shutil.copytree(collection / "meta", place / "meta")
    shutil.copy2(collection / "galaxy.yml", place)
    if needs:
        (place / "meta/python.txt").write_text("\n".join(needs))
        (place / "meta/execution-environment.yml").write_text("version: 1\ndependencies: {python: meta/python.txt}\n")
    told = yaml.safe_load(run(collection, str(TOOLS / "ansible-builder"), "introspect", "--sanitize", str(tmp_path)))
    assert [line.split()[0] for line in told["python"]] == needs
    assert told["system"] == []


def test_every_file_tells_its_licence(collection: Path) -> None:
    run(collection, str(TOOLS / "reuse"), "lint")


def test_pylint_is_clean(pylint: subprocess.Popen[str]) -> None:
    assert ran(said(pylint)) == {"pylint"}
