# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator itself: it can be believed only if it repeats itself and would notice what it looks for."""

from __future__ import annotations

import pytest

from tests.sim.checks import SimulationError
from tests.sim.segment import Link
from tests.sim.trouble import Restlessness, Trouble
from tests.sim.world import FIRST_VRID, World
from vrrp_ha.core.types import SECOND

TERRIBLE = Link(latency_us=(100, 2_000), loss=0.1, duplication=0.05, reordering=0.05)


def troubled(seed: int) -> World:
    world = World(seed, link=TERRIBLE, access_loss=0.05)
    world.start()
    world.add_mobile_nodes(5)
    Restlessness(world, mean_us=2 * SECOND)
    Trouble(world).run(60)
    return world


def served() -> World:
    """Three members at rest, a of them Master, with a registered mobile node."""
    world = World(1)
    world.start()
    world.run(10)
    (node,) = world.add_mobile_nodes(1)
    node.register()
    world.run(5)
    world.checks.quiet()
    return world


def test_same_seed_gives_the_same_trace():
    assert troubled(7).trace == troubled(7).trace


def test_another_seed_gives_another_trace():
    assert troubled(7).trace != troubled(8).trace


def test_time_of_a_host_is_its_own_and_can_be_turned_back():
    world = World(3)
    a, b = world.hosts[:2]
    assert a.local(world.now) != b.local(world.now)
    for host in (a, b):
        for local in (host.local(0), host.local(12_345_678), host.local(10**12)):
            assert host.local(host.true(local)) >= local
            assert host.local(host.true(local) - 2) < local


def test_failure_names_its_seed():
    with pytest.raises(SimulationError, match="seed 1\n"):
        served().checks.fail("something")


def test_lost_binding_is_noticed():
    world = served()
    for host in world.hosts:
        host.node.bindings(FIRST_VRID).remove(world.mobile_nodes[0].home)
        host.kernel.routes[FIRST_VRID].clear()
    with pytest.raises(SimulationError, match="is lost"):
        world.checks.quiet()


def test_cache_that_differs_is_noticed():
    world = served()
    host = world.host("b")
    host.node.bindings(FIRST_VRID).remove(world.mobile_nodes[0].home)
    host.kernel.routes[FIRST_VRID].clear()
    with pytest.raises(SimulationError, match="b has 0, Master a 1"):
        world.checks.quiet()


def test_kernel_that_differs_from_its_agent_is_noticed():
    world = served()
    world.host("c").kernel.routes[FIRST_VRID].clear()
    with pytest.raises(SimulationError, match="kernel of c"):
        world.checks.quiet()


def test_two_masters_in_one_partition_are_noticed():
    world = World(1)
    world.checks.watch(SECOND, 7 * SECOND)
    world.start()
    world.segment.drops = lambda _sender, receiver, _packet: receiver.name == "b"
    with pytest.raises(SimulationError, match=r"of \['a', 'b', 'c'\] are Master \['a', 'b'\]"):
        world.run(30)


def test_nobody_serving_is_noticed():
    world = served()
    world.checks.watch(SECOND, 7 * SECOND)
    world.host("a").kernel.active.clear()
    with pytest.raises(SimulationError, match=r"are Master \['a'\], serve "):
        world.run(30)


def test_owner_that_takes_over_without_its_bindings_is_noticed():
    world = served()
    a = world.host("a")
    a.power_off(disk_lost=True)
    world.run(10)
    a.start()
    world.segment.drops = lambda _sender, receiver, packet: receiver is a and packet[40] & 0xF in (3, 4)
    a.world.run(2)
    a.node._roster.configured[FIRST_VRID]._election.held = False
    with pytest.raises(SimulationError, match="owner a advertises without"):
        world.run(5)
