# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of the collection that tests share, and pylint: it takes as long as the rest, so it runs beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.gates.collection import CONTROLLER, PLACE, copied, start


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gates)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """One worker has all of these tests, since they share a copy, and has them first, since they take longest."""
    return Scheduling(config, log)


class Scheduling(LoadScopeScheduling):
    """Any other test is for whichever worker has time."""

    def _split_scope(self, nodeid: str) -> str:
        return "gates" if nodeid.startswith("tests/gates/") else nodeid


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
