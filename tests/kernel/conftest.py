# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Home links for the tests with real kernels."""

import os

import pytest

from tests.kernel.agents import Agent, Link, MobileNode, Observer, until


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/kernel" in str(item.path):
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def link():
    with Link() as link:
        yield link


@pytest.fixture
def observer(link):
    observer = Observer(link)
    yield observer
    observer.close()


@pytest.fixture
def mobile_node(link):
    node = MobileNode(link)
    yield node
    node.close()


@pytest.fixture
def new_agent(link, tmp_path):
    """Makes agents; those that still run at the end are killed."""
    made = []

    def make(host, priorities):
        agent = Agent(link, host, tmp_path, priorities)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        if agent.process and agent.process.poll() is None:
            agent.kill()


@pytest.fixture
def pair(new_agent):
    """The owner on host a, Master; a backup on host b."""
    a, b = new_agent("a", {51: 255}), new_agent("b", {51: 200})
    a.start()
    b.start()
    a.becomes("master")
    until(lambda: b.virtual_ha()["synced"])  # before, it competes with a lowered priority
    return a, b
