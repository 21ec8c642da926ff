# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links and routers that the tests of a file share, since starting them takes longer than most tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.agents import Agent, running, virtual_ha
from tests.interop.segment import Segment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A place with a short path, since a Unix socket's must be."""
    path = Path(tempfile.mkdtemp(prefix="vhi"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def segment() -> Iterator[Segment]:
    with Segment() as link:
        yield link


@dataclass
class Pair:
    """Two virtual-HA members that keep their bindings alike: a has priority 200, b has 150."""

    segment: Segment
    a: Agent
    b: Agent
    settles: bool = True

    def settle(self) -> None:
        """Wait until a is Master with its whole priority, and b its Backup; what never does is waited for once."""
        if not self.settles:
            pytest.fail("they did not settle before", pytrace=False)
        self.settles = False
        self.a.wait_until(lambda status: status["state"] == "master" and status["effective_priority"] == 200)
        self.b.wait_until(lambda status: status["state"] == "backup" and status["effective_priority"] == 150)
        self.settles = True


@pytest.fixture(scope="module")
def members(segment: Segment, directory: Path) -> Iterator[Pair]:
    """The two, running."""
    a = Agent(segment.add("a", "fe80::a", "2001:db8:1::a"), directory / "a", virtual_ha(200))
    b = Agent(segment.add("b", "fe80::b", "2001:db8:1::b"), directory / "b", virtual_ha(150))
    with running(a, b):
        yield Pair(segment, a, b)


@pytest.fixture
def pair(members: Pair) -> Pair:
    """The two, settled."""
    members.settle()
    return members
