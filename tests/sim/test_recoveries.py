# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile nodes whose key only a dead owner had, while what is left of the fleet loses packets, splits and dies, too.

Nobody is lost: in the end every one of them is registered with a home agent that it shares a key with, or its recovery
has failed and an operator can see that.
"""

from __future__ import annotations

import pytest

from tests.sim.mobile import KEY, OTHER_KEY, OTHER_SPI, SPI, MobileNode
from tests.sim.segment import Link
from tests.sim.test_stories import LOSSY, fleet
from tests.sim.trouble import Trouble
from tests.sim.world import FIRST_VRID, PREFIX, World
from vrrp_ha.core.settings import MobileNodeKey, RecoverySettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import text

SEEDS = range(8)
GOOD = Link()
EVERYBODY_OWNS_ONE = ((255, 200, 150), (150, 255, 200), (200, 150, 255))
ORPHANS = 20
# At most 32 s until a mobile node says it again, and its turn then.
LAST_RETRY_S = 32
BRISK = RecoverySettings(pace=Pace(5_000_000, 5), per_source=Pace(10_000_000, 1000), hook="/usr/local/bin/orphan")


def range_of(vrid: int) -> bytes:
    return PREFIX[:8] + bytes((0, 0, 0, vrid)) + bytes(4)


def keys(*, others_have_one: bool) -> dict[str, tuple[MobileNodeKey, ...]]:
    """a has every key; the others those of their own mobile nodes, and perhaps another one of a's."""
    own = tuple(MobileNodeKey(SPI, KEY, range_of(vrid), 96) for vrid in (FIRST_VRID + 1, FIRST_VRID + 2))
    second = (MobileNodeKey(OTHER_SPI, OTHER_KEY, range_of(FIRST_VRID), 96),) if others_have_one else ()
    return {"b": own + second, "c": own + second}


def orphaned(
    seed: int, *, others_have_a_key: bool = True, access_loss: float = 0.0, link: Link = GOOD
) -> tuple[World, list[MobileNode]]:
    """a is dead, and all its mobile nodes move within a second."""
    own = keys(others_have_one=others_have_a_key)
    world = fleet(seed, nodes=ORPHANS, priorities=EVERYBODY_OWNS_ONE, keys=own, recovery=BRISK, link=link, settle=20)
    world.host("a").power_off()
    world.time_until(lambda: world.host("b").is_master(FIRST_VRID), at_most=2)
    world.run(1)
    world.access_loss = access_loss
    orphans = [node for node in world.mobile_nodes if node.virtual_ha.vrid == FIRST_VRID]
    for node in orphans:
        world.after(world.rng.randint(0, 1_000_000), node.move)
    world.run(1)
    assert not all_served(orphans)
    return world, orphans


def is_served(node: MobileNode) -> bool:
    """It was told so, and the Master of its virtual HA knows it, kernel included; or nobody is left who could."""
    if node in node.world.checks.excused:
        return True
    if node.acknowledged is None or node.in_doubt:
        return False
    return any(
        node.world.checks.has(host, node) and host.kernel.routes[node.virtual_ha.vrid].get(node.home) == node.care_of
        for host in node.world.masters(node.virtual_ha.vrid)
    )


def all_served(nodes: list[MobileNode]) -> bool:
    return all(is_served(node) for node in nodes)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("link", [GOOD, LOSSY], ids=["good link", "lossy link"])
def test_every_one_is_switched_and_its_old_binding_is_gone_everywhere(seed: int, link: Link):
    world, orphans = orphaned(seed, link=link, access_loss=0.1 if link is LOSSY else 0.0)
    world.time_until(lambda: all_served(orphans), at_most=120)
    assert all(node.switched for node in orphans)
    world.run(10)
    for host in (world.host("b"), world.host("c")):
        assert len(host.node.bindings(FIRST_VRID)) == 0
        assert host.kernel.routes[FIRST_VRID] == {}
    assert world.host("b").about(FIRST_VRID)["recoveries"]["pending"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_what_an_acting_master_had_deleted_when_it_died_its_successor_brings_to_an_end(seed: int):
    world, orphans = orphaned(seed, access_loss=0.2)
    world.run(world.rng.uniform(0.2, 4))
    world.host("b").power_off()
    world.time_until(lambda: world.host("c").is_master(FIRST_VRID), at_most=2)
    world.time_until(lambda: all_served(orphans), at_most=8 * LAST_RETRY_S)
    assert {node.virtual_ha.vrid for node in orphans} <= {FIRST_VRID + 1, FIRST_VRID + 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_agent_that_is_restarted_in_the_middle_goes_on_with_them(seed: int):
    world, orphans = orphaned(seed, access_loss=0.2)
    c = world.host("c")
    c.power_off()
    world.run(world.rng.uniform(0.2, 4))
    world.host("b").kill()
    world.run(0.5)
    world.host("b").start()
    world.time_until(lambda: all_served(orphans), at_most=8 * LAST_RETRY_S)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_split_in_the_middle_loses_nobody(seed: int):
    world, orphans = orphaned(seed, access_loss=0.1)
    a, b, c = world.hosts
    world.run(world.rng.uniform(0.2, 3))
    served, cut_off = ([b], [c]) if world.rng.random() < 0.5 else ([c], [b])
    world.segment.partition([*served, a], cut_off)
    world.checks.trouble()
    world.run(world.rng.uniform(2, 10))
    world.segment.heal()
    world.checks.trouble()
    world.time_until(lambda: all_served(orphans), at_most=8 * LAST_RETRY_S)
    world.run(10)
    assert all_served(orphans)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_else_goes_wrong_everybody_is_served_in_the_end(seed: int):
    world, orphans = orphaned(seed, link=LOSSY, access_loss=0.05)
    trouble = Trouble(world, hosts=world.hosts[1:])
    trouble.run(60)
    world.time_until(lambda: all_served(orphans), at_most=8 * LAST_RETRY_S)


@pytest.mark.parametrize("seed", SEEDS)
def test_where_nobody_else_has_a_key_the_operators_program_hears_of_each_and_each_is_seen_to_have_failed(seed: int):
    world, orphans = orphaned(seed, others_have_a_key=False)
    b = world.host("b")
    world.run(80)
    assert {arguments[3] for arguments in b.hooks} == {text(node.home) for node in orphans}
    known = b.node.recovery(FIRST_VRID).describe(b.local(world.now))
    assert {entry["home_address"] for entry in known} == {text(node.home) for node in orphans}
    assert {entry["state"] for entry in known} <= {"failed", "sent"}  # a mobile node that still signals begins anew
    assert b.reports["recovery_failed"] >= ORPHANS
    world.host("a").start()
    world.time_until(lambda: all_served(orphans), at_most=2 * LAST_RETRY_S)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_owner_that_returns_brings_nothing_back_though_who_deleted_it_was_restarted(seed: int):
    """It has an old snapshot, and the acting Master, alone for a moment when it started, asks what others have."""
    world, orphans = orphaned(seed)
    a, b, c = world.hosts
    world.time_until(lambda: all_served(orphans), at_most=4 * LAST_RETRY_S)
    world.run(1)
    b.power_off()
    b.power_on()
    world.run(3)
    world.segment.partition([a, c], [b])
    world.checks.trouble()
    b.start()
    world.run(0.6)
    world.segment.heal()
    world.checks.trouble()
    world.run(5)
    a.start()
    world.run(15)
    assert [len(host.node.bindings(FIRST_VRID)) for host in world.hosts] == [0, 0, 0]
    assert all_served(orphans)
