# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node makes of Neighbor and Router Solicitations, and what it says as a router."""

from __future__ import annotations

from tests.unit.core.nodes import (
    HERE,
    PEER,
    PEER_MAC,
    UP,
    Story,
    at,
    master,
    of,
    virtual_ha,
)
from tests.unit.core.registering import HOME, VIRTUAL_HA, update
from vrrp_ha.core.effects import (
    SendFrame,
)
from vrrp_ha.core.events import (
    DrainRequested,
)
from vrrp_ha.core.types import UNSPECIFIED, packed
from vrrp_ha.wire import icmpv6, ipv6
from vrrp_ha.wire.icmpv6 import NeighbourAdvertisement, NeighbourSolicitation, RouterSolicitation

ALL_ROUTERS = packed("ff02::2")
LINK_LOCAL_HOME = packed("fe80::1001")


def solicit(target: bytes) -> bytes:
    payload = icmpv6.encode(NeighbourSolicitation(target))
    packet = ipv6.Packet(PEER, packed("ff02::1:ff00:1001"), 255, 58, payload)
    return ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))


def test_master_answers_for_bound_home_addresses_only():
    story = master(priority=200)
    assert story.receives(solicit(HOME), 1.0) == []
    story.receives(update(seconds=1.1), 1.1)
    (frame,) = story.receives(solicit(HOME), 1.2)
    answer = icmpv6.decode(ipv6.decode(frame.packet).payload)
    assert isinstance(answer, NeighbourAdvertisement)
    assert (answer.target, answer.router, answer.solicited) == (HOME, False, True)
    assert frame.destination_mac == PEER_MAC


def test_backup_does_not_answer_for_home_addresses():
    story = master(priority=200)
    story.receives(update(seconds=1.1), 1.1)
    story.hears_advert(210, 1.15)
    assert story.receives(solicit(HOME), 1.2) == []


def test_master_answers_for_the_link_local_address_of_a_node_that_asked_for_it():
    story = master(priority=200)
    story.receives(update(seconds=1.0, flags="AH"), 1.0)
    assert story.receives(solicit(LINK_LOCAL_HOME), 1.1) == []
    story.receives(update(seconds=1.2, sequence=2, flags="AHL"), 1.2)
    (frame,) = story.receives(solicit(LINK_LOCAL_HOME), 1.3)
    assert icmpv6.decode(ipv6.decode(frame.packet).payload).target == LINK_LOCAL_HOME
    assert story.receives(solicit(packed("fe80::1002")), 1.3) == []


def test_a_mobile_node_does_not_get_the_address_of_a_router():
    story = master(priority=200)
    for number, address in enumerate((VIRTUAL_HA.link_local, HERE), 2):
        home = VIRTUAL_HA.prefix[:8] + address[8:]
        story.receives(update(home=home, sequence=number, seconds=number, flags="AHL"), number)
        assert home not in story.node.bindings(51)
        assert story.receives(solicit(address), number) == []
    assert story.state()["counters"]["refused.duplicate_address"] == 2


def test_a_link_local_address_that_is_wanted_with_a_refresh_is_claimed_from_the_neighbours():
    story = master(priority=200)
    story.receives(update(seconds=1.0, flags="AH"), 1.0)
    effects = story.receives(update(seconds=1.2, sequence=2, flags="AHL"), 1.2)
    neighbours = [ipv6.decode(f.packet).payload for f in of(effects, SendFrame) if f.packet[6] == 58]
    assert [icmpv6.decode(payload).target for payload in neighbours] == [HOME, LINK_LOCAL_HOME]
    assert not [
        f for f in of(story.receives(update(seconds=2, sequence=3, flags="AHL"), 2), SendFrame) if f.packet[6] == 58
    ]


def solicit_router(destination: bytes = ALL_ROUTERS, source: bytes = PEER, options: tuple = ()) -> bytes:
    payload = icmpv6.encode(RouterSolicitation(options))
    return ipv6.encode(ipv6.with_checksum(ipv6.Packet(source, destination, 255, 58, payload), icmpv6.CHECKSUM_OFFSET))


def router_advertisements(effects: list) -> list[int]:
    """The VRIDs that they are of."""
    packets = [(frame.vrid, ipv6.decode(frame.packet)) for frame in of(effects, SendFrame)]
    return [vrid for vrid, p in packets if p.next_header == 58 and p.payload[0] == 134]


def test_new_master_advertises_itself_as_a_router_soon():
    story = Story(virtual_ha())
    story.happens(UP, 0)
    assert router_advertisements(story.runs_until(0.3)) == []
    assert router_advertisements(story.runs_until(0.9)) == [51]
    assert story.state()["counters"]["router_advertisements_sent"] == 1


def test_every_master_of_the_link_answers_a_router_solicitation_or_the_one_that_is_asked():
    other = virtual_ha(vrid=52, addresses=(packed("2001:db8:1::52"),), link_local=packed("fe80::5eff:fe00:234"))
    story = master(other)
    story.runs_until(40)
    story.receives(solicit_router(), 40)
    assert sorted(router_advertisements(story.runs_until(40.6))) == [51, 52]
    story.receives(solicit_router(other.link_local), 50)
    story.receives(solicit_router(HERE), 50)
    assert router_advertisements(story.runs_until(50.6)) == [52]


def test_backup_does_not_answer_router_solicitations():
    story = Story(virtual_ha(priority=200))
    story.happens(UP, 0)
    story.hears_advert(250, 0.1)
    said = story.receives(solicit_router(), 0.11) + story.runs_until(0.4)
    assert router_advertisements(said) == []
    assert story.state()["counters"]["router_solicitations_received"] == 1


def test_master_that_handed_over_says_nothing_more_as_a_router():
    story = master(priority=200)
    story.runs_until(40)
    story.happens(DrainRequested((51,)), 40)
    assert story.state()["leaving"]
    story.receives(solicit_router(), 40.01)
    story.hears_advert(150, 40.05)
    assert story.state()["state"] == "backup"
    story.receives(solicit_router(), 40.1)
    assert router_advertisements(story.runs_until(40.3)) == []


def test_invalid_router_solicitations_are_dropped():
    story = master(priority=200)
    story.runs_until(40)
    link_layer = (icmpv6.source_link_layer(PEER_MAC),)
    story.receives(solicit_router(source=UNSPECIFIED, options=link_layer), 40)
    assert router_advertisements(story.runs_until(41)) == []
    assert story.node.status(at(41))["counters"] == {"dropped.source_link_layer": 1}
    story.receives(solicit_router(source=UNSPECIFIED), 41)
    assert router_advertisements(story.runs_until(42)) == [51]
