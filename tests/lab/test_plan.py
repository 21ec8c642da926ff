# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan meets a fleet in use: what was not accepted, and what would move a service, is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import access, playbooks, story, topology
from tests.lab.homelink import HomeLink

INVENTORY = access.INVENTORIES[0]


class Plan:
    """A copy of the lab's inventory that may be changed."""

    def __init__(self, place: Path) -> None:
        shutil.copytree(INVENTORY, place)
        self.source = place / "vrid_plan.yml"
        self.lock = place / "vrid_plan.lock.yml"
        self._arguments = [argument for path in (place, access.INVENTORIES[1]) for argument in ("-i", str(path))]

    def pin(self, owner: str) -> None:
        self.source.write_text(self.source.read_text() + f"    pins: [{{name: vha-a, owner: {owner}}}]\n")

    def play(self, name: str, *arguments: str) -> playbooks.Play:
        return playbooks.playbook(name, *self._arguments, *arguments)


@pytest.fixture
def plan(deployed: None, tmp_path: Path) -> Iterator[Plan]:
    yield Plan(tmp_path / "inventory")
    if not playbooks.playbook("verify").ok:
        for vrid in topology.OWNERS:
            playbooks.playbook("failover", "-e", f"vrid={vrid}", "-e", "to=plan", "-e", "vrrp_ha_force=true")
        playbooks.playbook("deploy", "-e", "vrrp_ha_moves=accept").must_succeed()
    story.wait_for_owners()


def test_the_fleet_is_deployed_from_the_plan(plan: Plan) -> None:
    planned = plan.play("plan").must_succeed()
    assert planned.changed == 0
    assert plan.play("deploy").must_succeed().changed == 0
    plan.play("verify").must_succeed()


def test_a_plan_that_was_not_accepted_touches_no_host(plan: Plan) -> None:
    plan.pin("ha2")
    refused = plan.play("deploy", "-vvv")
    assert not refused.ok
    assert "home: vha-a: owner ha1 -> ha2 (it is pinned) [MOVES A LIVE SERVICE]" in refused.output
    assert "ansible-playbook mip6.vrrp_ha.plan -i" in refused.output
    assert refused.ssh_operations == dict.fromkeys(topology.HOME_AGENTS, 0)


def test_a_move_of_a_service_in_use_is_refused_before_anything_is_changed(plan: Plan) -> None:
    plan.pin("ha2")
    plan.play("plan").must_succeed()
    with HomeLink() as link:
        refused = plan.play("deploy")
        assert link.longest_silence(51) < 0.15
    assert not refused.ok
    assert refused.changed == 0
    assert "VRID 51: this host is its Master and is to own it no more; first fail over to ha2" in refused.output
    assert "nothing was changed on any host" in refused.output
