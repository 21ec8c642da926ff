# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Home agents that are found whatever happens to members: each virtual HA is known to every member."""

from __future__ import annotations

import pytest

from tests.sim.host import Host
from tests.sim.segment import Link
from tests.sim.trouble import UPDATE_TYPE
from tests.sim.world import FIRST_VRID, World
from vrrp_ha.core.home_agents import anycast_address
from vrrp_ha.core.types import MILLISECOND, SECOND, Address, packed
from vrrp_ha.wire import icmpv6

THREE = ((255, 200, 150), (150, 255, 200), (200, 150, 255))
SEEDS = range(6)
LOSSY = Link(latency_us=(100, 900), loss=0.05, duplication=0.02, reordering=0.02)


def fleet(seed: int, **changes) -> World:
    """Three members, each the owner of a virtual HA that the others back up."""
    world = World(seed, priorities=THREE, interval_us=100 * MILLISECOND, **changes)
    world.start()
    world.run(12)
    for node in world.add_mobile_nodes(2):
        node.register()
    world.run(4)
    assert all(node.acknowledged for node in world.mobile_nodes)
    return world


def listed(host: Host) -> set[Address]:
    assert host.node
    (link,) = host.node.home_agents(host.local(host.world.now))
    return {packed(address) for home_agent in link["home_agents"] for address in home_agent["addresses"]}


def everything(world: World) -> set[Address]:
    return {virtual_ha.vha_address for virtual_ha in world.virtual_has}


def replies(node) -> list[icmpv6.DiscoveryReply]:
    return [message for message in node.heard if isinstance(message, icmpv6.DiscoveryReply)]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_member_knows_every_virtual_ha_and_a_failure_changes_nothing_of_that(seed: int):
    world = fleet(seed)
    assert all(listed(host) == everything(world) for host in world.hosts)
    dead = world.rng.choice(world.hosts)
    dead.power_off()
    world.run(2)
    left = [host for host in world.hosts if host is not dead]
    assert all(listed(host) == everything(world) for host in left)
    dead.start()
    world.time_until(lambda: listed(dead) == everything(world), at_most=15)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mobile_node_finds_all_home_agents_by_the_anycast_address_while_members_come_and_go(seed: int):
    world = fleet(seed)
    node = world.mobile_nodes[0]
    anycast = anycast_address(node.virtual_ha.prefix, node.virtual_ha.prefix_length)
    for number, victim in enumerate(world.hosts):
        victim.kill()
        world.run(2)
        node.ask(anycast, icmpv6.DiscoveryRequest(number))
        node.ask(node.virtual_ha.vha_address, icmpv6.DiscoveryRequest(100 + number))
        world.run(1)
        victim.start()
        world.run(15)
    answered = replies(node)
    assert sorted(reply.identifier for reply in answered) == [0, 1, 2, 100, 101, 102]
    assert all(set(reply.home_agents) == everything(world) for reply in answered)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_home_prefix_is_told_to_who_is_bound_by_whoever_is_master(seed: int):
    world = fleet(seed, link=LOSSY)
    node = world.mobile_nodes[0]
    world.master(FIRST_VRID).power_off()
    world.run(2)
    for number in range(10):
        node.ask(node.virtual_ha.vha_address, icmpv6.PrefixSolicitation(number))
        world.run(2)
    told = [message for message in node.heard if isinstance(message, icmpv6.PrefixAdvertisement)]
    assert len(told) >= 5
    assert all(message.options[0].prefix == node.virtual_ha.vha_address for message in told)
    assert all(message.options[0].valid_lifetime_us == 2_592_000 * SECOND for message in told)


@pytest.mark.parametrize("seed", SEEDS)
def test_who_cannot_synchronise_a_backup_is_recommended_by_nobody_else_until_it_can(seed: int):
    """RFC 9568 section 8.2.3: new mobile nodes are not drawn to what a Backup could not take over."""
    world = fleet(seed)
    vrid, vha = FIRST_VRID, world.virtual_has[0].vha_address
    master, behind = world.master(vrid), world.host("c")
    node = world.mobile_nodes[0]

    def is_update(sender: Host, receiver: Host, packet: bytes) -> bool:
        return receiver is behind and packet[6] == 112 and packet[40] & 15 == UPDATE_TYPE and packet[41] == vrid

    world.segment.drops = is_update
    node.move()
    world.time_until(lambda: not master.about(vrid)["home_agent"]["backups_agree"], at_most=60)
    others = [host for host in world.hosts if host is not master]
    world.time_until(lambda: all(vha not in listed(host) for host in others), at_most=40)
    assert vha in listed(master)
    node.ask(vha, icmpv6.DiscoveryRequest(1))
    world.run(1)
    assert replies(node)[-1].home_agents[-1] == vha
    world.segment.drops = None
    world.time_until(lambda: all(listed(host) == everything(world) for host in world.hosts), at_most=90)
