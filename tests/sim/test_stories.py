# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator goes through, one story at a time, each with many seeds of latencies, clocks and moments."""

from __future__ import annotations

import pytest

from tests.sim.host import Host
from tests.sim.segment import Link
from tests.sim.trouble import UPDATE_TYPE
from tests.sim.world import FIRST_VRID, World
from vrrp_ha.core.settings import SyncSettings
from vrrp_ha.core.types import MILLISECOND, SECOND

SEEDS = range(20)
LOSSY = Link(latency_us=(100, 900), loss=0.05, duplication=0.02, reordering=0.02)
INTERVAL = 100 * MILLISECOND
# A frame that the former Master had under way may have moved the switch's port back until the new one speaks again.
HANDOVER_US = 3 * MILLISECOND


def fleet(seed: int, *, nodes: int = 10, settle: float = 5, **changes) -> World:
    """At rest at some moment, a is Master, every mobile node registered."""
    world = World(seed, **({"interval_us": INTERVAL} | changes))
    world.checks.watch(SECOND, 5 * world.master_down_us)
    world.start()
    world.run(5 + 5 * world.master_down_us / SECOND)
    for node in world.add_mobile_nodes(nodes):
        node.register()
    world.run(settle + world.rng.random())
    assert all(node.acknowledged for node in world.mobile_nodes)
    world.checks.quiet()
    return world


def is_master(host: Host) -> bool:
    return host.running and host.is_master(FIRST_VRID)


def has_everything(host: Host) -> bool:
    return all(host.world.checks.has(host, node) for node in host.world.mobile_nodes if node.acknowledged)


# --- unplanned -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_dead_master_is_succeeded_within_master_down_interval_by_a_member_with_every_binding(seed: int):
    world = fleet(seed)
    a, b = world.host("a"), world.host("b")
    died = world.now
    a.power_off()
    world.time_until(lambda: is_master(b), at_most=1)
    assert has_everything(b)
    world.run(1)
    assert world.checks.outage(FIRST_VRID, died) <= 3 * INTERVAL + INTERVAL * 56 // 256 + 2 * MILLISECOND


@pytest.mark.parametrize("seed", SEEDS)
def test_last_member_has_every_binding_after_all_others_died_one_after_the_other(seed: int):
    world = fleet(seed)
    for name in "ab":
        world.host(name).power_off()
        world.run(2 * world.rng.random() + 0.5)
    world.time_until(lambda: is_master(world.host("c")))
    assert has_everything(world.host("c"))


@pytest.mark.parametrize("seed", SEEDS)
def test_owner_that_lost_its_disk_has_every_binding_before_its_first_advertisement(seed: int):
    world = fleet(seed)
    a = world.host("a")
    a.power_off(disk_lost=True)
    world.run(3)
    for node in world.mobile_nodes[:5]:
        node.move()
    world.run(2)
    a.start()
    took = world.time_until(lambda: is_master(a), at_most=3)
    assert took < 2
    assert has_everything(a)
    world.run(5)
    world.checks.quiet()


@pytest.mark.parametrize("seed", SEEDS)
def test_owner_that_restarts_before_anybody_noticed_gets_back_what_its_snapshot_has_not(seed: int):
    """Its snapshot is older than the bindings, and it may be Master again before a backup is."""
    world = fleet(seed, snapshot_us=0)
    a = world.host("a")
    a.power_off()
    world.run(0.15 * world.rng.random())
    a.start()
    world.run(8)
    assert is_master(a)
    world.checks.quiet()
    assert world.checks.excuses == 0
    assert has_everything(a)


@pytest.mark.parametrize("seed", SEEDS)
def test_master_that_was_stopped_and_continued_does_no_harm(seed: int):
    world = fleet(seed)
    world.host("a").stall(2 * SECOND)
    world.run(1.5)
    assert is_master(world.host("b"))
    for node in world.mobile_nodes:
        node.move()
    world.run(10)
    assert [host.name for host in world.masters(FIRST_VRID)] == ["a"]
    world.checks.quiet()


@pytest.mark.parametrize("seed", SEEDS)
def test_backup_that_was_stopped_and_continued_does_not_take_over(seed: int):
    world = fleet(seed)
    b = world.host("b")
    became = b.reports["became_master"]
    b.stall(world.rng.randint(500, 2000) * MILLISECOND)
    world.run(10)
    assert b.reports["became_master"] == became
    world.checks.quiet()


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_link_that_lost_power_comes_back_with_what_was_saved(seed: int):
    """The freshest snapshot counts, whoever has it."""
    world = fleet(seed, snapshot_us=0)
    world.rng.choice(world.hosts).save()
    for host in world.hosts:
        host.power_off()
        host.power_on()
    world.run(30)
    world.start()
    world.run(10)
    world.checks.excused.clear()
    world.checks.quiet()
    assert has_everything(world.master())


# --- partitions and losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_registered_while_the_owner_was_cut_off_survives_its_return(seed: int):
    world = fleet(seed)
    a, b, c = world.hosts
    world.segment.partition([b, c], [a])
    world.checks.trouble()
    world.run(3)
    assert is_master(a)
    assert is_master(b)
    for node in world.mobile_nodes[:5]:
        node.move()
    world.run(3)
    world.segment.heal()
    world.checks.trouble()
    world.run(10)
    assert [host.name for host in world.masters(FIRST_VRID)] == ["a"]
    world.checks.quiet()
    assert world.checks.excuses == 0


@pytest.mark.parametrize("name", ["b", "c"])
@pytest.mark.parametrize("seed", SEEDS)
def test_backup_that_missed_updates_repairs_itself_within_two_digest_intervals(seed: int, name: str):
    world = fleet(seed)
    deaf = world.host(name)
    world.segment.drops = lambda _sender, receiver, packet: receiver is deaf and packet[40] & 0xF == 3
    for node in world.mobile_nodes:
        node.move()
    world.run(1)
    assert not has_everything(deaf)
    world.segment.drops = None
    world.run(4)
    assert has_everything(deaf)
    assert deaf.about(FIRST_VRID)["synced"]


@pytest.mark.parametrize("seed", SEEDS)
def test_lossy_link_keeps_every_cache_the_same(seed: int):
    world = fleet(seed, link=LOSSY, access_loss=0.05, interval_us=1 * SECOND, nodes=30, settle=45)
    for _unused in range(5):
        for node in world.mobile_nodes:
            node.move()
        world.run(20)
        world.checks.quiet()


@pytest.mark.parametrize("seed", SEEDS)
def test_owner_returns_over_a_lossy_link_with_500_bindings(seed: int):
    world = fleet(seed, link=LOSSY, interval_us=1 * SECOND, nodes=500, settle=30)
    a = world.host("a")
    a.power_off(disk_lost=True)
    world.run(10)
    a.start()
    world.time_until(lambda: is_master(a), at_most=20)
    world.run(15)
    world.checks.quiet()


# --- first registrations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_master_that_dies_while_addresses_are_tested_leaves_nobody_unregistered(seed: int):
    world = fleet(seed, nodes=5)
    newcomers = world.add_mobile_nodes(20)
    for node in newcomers:
        world.after(world.rng.randint(0, SECOND), node.register)
    world.run(0.9 + 0.2 * world.rng.random())
    assert world.host("a").about(FIRST_VRID)["tentative"]
    world.host("a").power_off()
    world.time_until(lambda: all(node.acknowledged for node in newcomers), at_most=20)
    assert has_everything(world.host("b"))
    world.run(1)
    assert has_everything(world.host("c"))
    assert world.host("b").about(FIRST_VRID)["tentative"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_address_of_a_neighbour_is_bound_nowhere(seed: int):
    world = fleet(seed)
    (node,) = world.add_mobile_nodes(1)
    world.segment.add_neighbour(node.home)
    node.register()
    world.run(20)
    assert node.acknowledged is None
    assert set(node.refused) == {134}, node.refused
    assert not [host for host in world.hosts if host.holds(FIRST_VRID, node.home)]
    assert world.host("a").reports["duplicate_address"] >= 1
    world.segment.neighbours.clear()
    node.register()
    world.run(5)
    assert has_everything(world.host("c"))


@pytest.mark.parametrize("seed", SEEDS)
def test_two_virtual_has_that_stand_in_for_the_same_mobile_node_are_no_duplicates(seed: int):
    """It registers with one of them while the other still has its binding, at another member."""
    world = fleet(seed, nodes=3, priorities=((255, 200, 150), (200, 255, 150)))
    for node in world.mobile_nodes[:3]:
        node.be_silent()
        node.virtual_ha = world.virtual_has[1]
        node.register()
    world.run(5)
    assert not any(134 in node.refused for node in world.mobile_nodes)
    for node in world.mobile_nodes[:3]:
        assert world.host("b").holds(FIRST_VRID + 1, node.home)


# --- planned ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval_us", [10 * MILLISECOND, INTERVAL, 1 * SECOND])
@pytest.mark.parametrize("seed", SEEDS)
def test_drain_and_return_leave_nobody_unserved(seed: int, interval_us: int):
    world = fleet(seed, interval_us=interval_us)
    a, b = world.host("a"), world.host("b")
    began = world.now
    a.drain()
    world.time_until(lambda: is_master(b) and not is_master(a))
    world.run(5)
    for node in world.mobile_nodes:
        node.move()
    world.run(5)
    a.undrain()
    world.time_until(lambda: is_master(a) and not is_master(b))
    world.run(5)
    assert world.checks.outage(FIRST_VRID, began) <= HANDOVER_US
    world.checks.quiet()


@pytest.mark.parametrize("seed", SEEDS)
def test_undrained_owner_that_missed_the_last_changes_gets_them_before_it_takes_over(seed: int):
    """Their loss has not shown yet: the next digest has not come."""
    world = fleet(seed, interval_us=1 * SECOND, settle=8)
    a, b = world.host("a"), world.host("b")
    a.drain()
    world.run(10)
    assert is_master(b)
    world.segment.drops = lambda _sender, receiver, packet: receiver is a and packet[40] & 0xF == UPDATE_TYPE
    for node in world.mobile_nodes:
        node.move()
    world.run(0.5)
    assert not has_everything(a)
    world.segment.drops = None
    a.undrain()
    world.time_until(lambda: is_master(a), at_most=3)
    assert has_everything(a)


@pytest.mark.parametrize("seed", SEEDS)
def test_stop_and_start_of_every_member_in_turn_loses_nothing(seed: int):
    world = fleet(seed)
    began = world.now
    for host in world.hosts:
        host.stop()
        world.time_until(lambda host=host: not host.running)
        world.run(world.rng.random())
        host.start()
        world.run(6)
    assert world.checks.outage(FIRST_VRID, began) <= HANDOVER_US
    assert world.checks.excuses == 0
    world.checks.quiet()


@pytest.mark.parametrize("seed", SEEDS)
def test_bindings_registered_during_a_handover_are_not_lost(seed: int):
    world = fleet(seed, nodes=60)
    for step, node in enumerate(world.mobile_nodes):
        world.after(step * 2 * MILLISECOND, node.move)
    world.run(0.05)
    world.host("a").drain()
    world.run(10)
    for step, node in enumerate(world.mobile_nodes):
        world.after(step * 2 * MILLISECOND, node.move)
    world.host("a").undrain()
    world.run(20)
    world.checks.quiet()


# --- other fleets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_fleet_without_digests_brings_its_owner_back(seed: int):
    world = fleet(seed, sync=SyncSettings(digest_interval_us=0))
    a = world.host("a")
    a.power_off(disk_lost=True)
    world.run(5)
    a.start()
    world.time_until(lambda: is_master(a), at_most=5)
    assert has_everything(a)


@pytest.mark.parametrize("seed", SEEDS)
def test_expired_bindings_are_gone_everywhere(seed: int):
    world = fleet(seed, interval_us=4 * SECOND, settle=30)
    for node in world.mobile_nodes:
        node.be_silent()
    world.run(560)
    assert len(world.master().node.bindings(FIRST_VRID)) == 10
    world.run(60)
    for host in world.hosts:
        assert len(host.node.bindings(FIRST_VRID)) == 0
        assert host.kernel.routes[FIRST_VRID] == {}
        assert host.about(FIRST_VRID)["counters"].get("sync_lost", 0) == 0
