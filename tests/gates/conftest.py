# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of the collection that tests share, and pylint: it takes as long as the rest, so it runs beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gates.collection import CONTROLLER, PLACE, copied, start


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gates)


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    if not list(PLACE.glob(".made-from-*")):
        pytest.fail("the environments of these tests are not there: tests/setup gates makes them", pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def pylint(_prepared: None) -> Iterator[subprocess.Popen[str]]:
    process = start(copied("pylint"), "ansible-test", "sanity", "--test", "pylint", "--python", CONTROLLER)
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def collection(pylint: subprocess.Popen[str]) -> Path:
    return copied("tree")
