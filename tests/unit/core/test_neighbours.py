# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbour advertisements of a Master, read back by the codec."""

from __future__ import annotations

from tests.unit.core.electing import LINK_LOCAL, VHA, virtual_ha
from vrrp_ha.core import neighbours
from vrrp_ha.core.settings import HomeLink
from vrrp_ha.core.types import (
    ALL_NODES,
    FLAG_HOME_REGISTRATION,
    FLAG_LINK_LOCAL,
    UNSPECIFIED,
    Binding,
    Instant,
    packed,
)
from vrrp_ha.wire import icmpv6, ipv6
from vrrp_ha.wire.icmpv6 import NeighbourAdvertisement, NeighbourSolicitation

HOME_ADDRESS = packed("2001:db8:1::1001")
NEIGHBOUR = packed("fe80::77")
NEIGHBOUR_MAC = bytes.fromhex("020000000077")
OTHER_MAC = bytes.fromhex("020000000099")
VIRTUAL_MAC = bytes.fromhex("00005e000233")
ALL_NODES_MAC = bytes.fromhex("333300000001")
TARGET_OPTION = (icmpv6.target_link_layer(VIRTUAL_MAC),)


def read(frame):
    """(packet, message) of a frame that must be right in every checked respect."""
    packet = ipv6.decode(frame.packet)
    icmpv6.check_packet(packet)
    return packet, icmpv6.decode(packet.payload)


def binding(flags=FLAG_HOME_REGISTRATION):
    return Binding(HOME_ADDRESS, packed("2001:db8:2::77"), 1, flags, Instant(0))


def test_a_new_master_announces_every_address_as_a_router_that_overrides():
    frames = neighbours.announcements(virtual_ha())
    messages = [read(frame)[1] for frame in frames]
    assert messages == [
        NeighbourAdvertisement(target, router=True, solicited=False, override=True, options=TARGET_OPTION)
        for target in (LINK_LOCAL, VHA)
    ]
    for frame in frames:
        packet, _unused = read(frame)
        assert (packet.source, packet.destination, packet.hop_limit) == (LINK_LOCAL, ALL_NODES, 255)
        assert (frame.vrid, frame.destination_mac, frame.virtual_mac) == (51, ALL_NODES_MAC, True)


def test_a_solicitation_is_answered_to_its_sender_as_no_router_without_override():
    options = (icmpv6.source_link_layer(NEIGHBOUR_MAC),)
    solicitation = NeighbourSolicitation(HOME_ADDRESS, options)
    [frame] = neighbours.answer(virtual_ha(), NEIGHBOUR, solicitation, OTHER_MAC)
    packet, message = read(frame)
    assert message == NeighbourAdvertisement(HOME_ADDRESS, solicited=True, options=TARGET_OPTION)
    assert (packet.destination, frame.destination_mac) == (NEIGHBOUR, NEIGHBOUR_MAC)


def test_a_solicitation_without_its_option_is_answered_to_the_frames_source():
    [frame] = neighbours.answer(virtual_ha(), NEIGHBOUR, NeighbourSolicitation(HOME_ADDRESS), OTHER_MAC)
    assert frame.destination_mac == OTHER_MAC


def test_duplicate_address_detection_is_answered_to_all_nodes():
    [frame] = neighbours.answer(virtual_ha(), UNSPECIFIED, NeighbourSolicitation(HOME_ADDRESS), OTHER_MAC)
    packet, message = read(frame)
    assert message == NeighbourAdvertisement(HOME_ADDRESS, solicited=False, options=TARGET_OPTION)
    assert (packet.destination, frame.destination_mac) == (ALL_NODES, ALL_NODES_MAC)


def test_an_invalid_detection_of_duplicates_is_not_answered():
    solicitation = NeighbourSolicitation(HOME_ADDRESS, (icmpv6.source_link_layer(OTHER_MAC),))
    assert neighbours.answer(virtual_ha(), UNSPECIFIED, solicitation, OTHER_MAC) == []


def test_a_new_binding_claims_the_home_address_from_the_neighbours():
    [frame] = neighbours.intercept(virtual_ha(), [binding()])
    packet, message = read(frame)
    assert message == NeighbourAdvertisement(HOME_ADDRESS, override=True, options=TARGET_OPTION)
    assert packet.destination == ALL_NODES


def test_the_link_local_flag_claims_the_link_local_address_too():
    frames = neighbours.intercept(virtual_ha(), [binding(FLAG_HOME_REGISTRATION | FLAG_LINK_LOCAL)])
    assert [read(frame)[1].target for frame in frames] == [HOME_ADDRESS, packed("fe80::1001")]


def test_nothing_is_claimed_where_the_home_prefix_is_routed():
    assert neighbours.intercept(virtual_ha(home_link=HomeLink.ROUTED), [binding()]) == []
