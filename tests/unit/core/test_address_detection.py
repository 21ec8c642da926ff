# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home address is bound once the home link was asked and nobody objected (RFC 6275 10.3.1, RFC 4862 5.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6, in6_chksum

from tests.unit.core.nodes import PEER, PEER_MAC, UP, Story, at, master, of, virtual_ha
from tests.unit.core.registering import (
    CARE_OF,
    ELSEWHERE,
    HOME,
    VHA,
    VIRTUAL_HA,
    WALL,
    acknowledged,
    update,
)
from vrrp_ha.core import address_detection
from vrrp_ha.core.address_detection import RETRANS_TIMER_US
from vrrp_ha.core.effects import InstallBindings, RemoveBindings, Report, SendFrame, SendPacket
from vrrp_ha.core.events import DrainRequested, PacketReceived
from vrrp_ha.core.settings import HomeLink
from vrrp_ha.core.types import ALL_NODES, SECOND, UNSPECIFIED, packed
from vrrp_ha.wire import icmpv6, ipv6, mobility
from vrrp_ha.wire.icmpv6 import NeighbourAdvertisement, NeighbourSolicitation

OTHER_MAC = bytes.fromhex("02000000bad0")
VIRTUAL_MAC_OF_ANOTHER = bytes.fromhex("00005e000299")
LINK_LOCAL_HOME = packed("fe80::1001")


def detecting(**changes) -> Story:
    """A Master that asks the link first."""
    return master(**{"priority": 200, "duplicate_address_detection": True} | changes)


def hears(story: Story, message, seconds: float, *, source=PEER, destination=ALL_NODES, mac=OTHER_MAC) -> list:
    packet = ipv6.Packet(source, destination, 255, 58, icmpv6.encode(message))
    octets = ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))
    return story.happens(PacketReceived("eth1", mac, octets, WALL + round(seconds * SECOND)), seconds)


def advertisement(target: bytes = HOME, mac: bytes = OTHER_MAC, **flags) -> NeighbourAdvertisement:
    return NeighbourAdvertisement(target, override=True, options=(icmpv6.target_link_layer(mac),), **flags)


def probes(effects: list) -> list[bytes]:
    """What the link is asked about."""
    messages = [ipv6.decode(frame.packet) for frame in of(effects, SendFrame)]
    solicitations = [p for p in messages if p.next_header == 58 and p.payload[0] == 135]
    return [icmpv6.decode(p.payload).target for p in solicitations]


def answers(effects: list) -> list:
    """The status of every acknowledgement."""
    packets = [ipv6.decode(effect.packet) for effect in effects if isinstance(effect, SendPacket | SendFrame)]
    return [int(mobility.decode(p.payload).status) for p in packets if p.next_header == 135]


def is_bound(story: Story, home: bytes = HOME) -> bytes | None:
    found = story.node.bindings(51).get(home)
    return found.care_of_address if found else None


# --- nobody objects --------------------------------------------------------------------------------------------


def test_first_registration_is_answered_and_bound_after_a_second_of_silence():
    story = detecting()
    effects = story.receives(update(seconds=1.0), 1.0)
    assert probes(effects) == [HOME]
    assert not answers(effects)
    assert story.state()["tentative"] == 1
    assert not answers(story.runs_until(1.99))
    assert is_bound(story) is None

    effects = story.runs_until(2.0)
    assert answers(effects) == [0]
    assert is_bound(story) == CARE_OF
    assert len(of(effects, InstallBindings)) == 1
    claimed = [icmpv6.decode(ipv6.decode(f.packet).payload) for f in of(effects, SendFrame) if f.packet[6] == 58]
    assert [m.target for m in claimed if isinstance(m, NeighbourAdvertisement) and not m.router] == [HOME]
    assert story.state()["tentative"] == 0
    assert 3 in [f.packet[40] & 0xF for f in of(effects, SendFrame) if f.packet[6] == 112]  # the others hear of it


def test_lifetime_begins_when_it_is_bound():
    story = detecting()
    story.receives(update(seconds=1.0, lifetime_s=600), 1.0)
    effects = [e for e in story.runs_until(2.0) if not isinstance(e, SendFrame)]
    answer, _unused = acknowledged(effects)
    assert answer.lifetime_s == 600
    assert story.node.bindings(51).get(HOME).expires == at(602)


def test_the_solicitation_is_the_one_of_rfc_4862():
    story = detecting()
    (frame,) = of(story.receives(update(seconds=1.0), 1.0), SendFrame)
    assert frame.virtual_mac
    assert frame.destination_mac == bytes.fromhex("3333ff001001")
    packet = IPv6(frame.packet)
    assert (packet.src, packet.dst, packet.hlim) == ("::", "ff02::1:ff00:1001", 255)
    solicitation = packet[ICMPv6ND_NS]
    assert solicitation.tgt == "2001:db8:1::1001"
    assert not solicitation.payload  # no Source Link-Layer Address option: it would not be valid
    assert in6_chksum(58, packet, frame.packet[40:]) == 0


def test_link_local_address_is_tested_as_well_with_the_l_flag():
    story = detecting()
    assert probes(story.receives(update(seconds=1.0, flags="AHL"), 1.0)) == [HOME, LINK_LOCAL_HOME]
    assert answers(hears(story, advertisement(LINK_LOCAL_HOME), 1.5)) == [134]
    assert not answers(story.runs_until(3))


def test_a_refresh_and_a_move_are_answered_at_once():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    story.runs_until(2.5)
    effects = story.receives(update(seconds=3.0, sequence=2, care_of=ELSEWHERE), 3.0)
    assert answers(effects) == [0]
    assert not probes(effects)


def test_restored_binding_is_not_tested():
    first = detecting()
    first.receives(update(seconds=1.0), 1.0)
    first.runs_until(2.5)
    bindings = list(first.node.bindings(51))
    story = Story(virtual_ha(priority=200, duplicate_address_detection=True), restored={51: bindings})
    story.happens(UP, 0)
    story.runs_until(0.95)
    assert answers(story.receives(update(seconds=3.0, sequence=2), 3.0)) == [0]


def test_a_node_that_de_registered_is_tested_again():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    story.runs_until(2.5)
    story.receives(update(seconds=3.0, sequence=2, lifetime_s=0), 3.0)
    assert probes(story.receives(update(seconds=4.0, sequence=3), 4.0)) == [HOME]
    assert answers(story.runs_until(5.0)) == [0]


@pytest.mark.parametrize("changes", [{"home_link": HomeLink.ROUTED}, {"duplicate_address_detection": False}])
def test_nothing_is_tested_where_nothing_can_be_or_the_operator_does_not_want_it(changes):
    effects = detecting(**changes).receives(update(seconds=1.0), 1.0)
    assert not probes(effects)
    assert answers(effects) == [0]


# --- somebody objects ------------------------------------------------------------------------------------------


def test_address_of_a_neighbour_is_refused_and_reported():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    effects = hears(story, advertisement(), 1.3)
    assert answers(effects) == [134]
    (report,) = [r for r in of(effects, Report) if r.kind == "duplicate_address"]
    assert report.level == "warning"
    assert report.fields["claimed_by"] == "02:00:00:00:ba:d0"
    assert report.fields["home_address"] == "2001:db8:1::1001"
    assert not answers(story.runs_until(3))
    assert is_bound(story) is None


def test_somebody_who_tests_the_same_address_is_an_objection():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    group = packed("ff02::1:ff00:1001")
    assert answers(hears(story, NeighbourSolicitation(HOME), 1.3, source=UNSPECIFIED, destination=group)) == [134]


def test_somebody_who_looks_for_the_address_is_none():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    assert hears(story, NeighbourSolicitation(HOME), 1.3, destination=packed("ff02::1:ff00:1001")) == []
    assert answers(story.runs_until(2.0)) == [0]


def test_an_advertisement_that_is_not_valid_is_none():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    assert hears(story, advertisement(solicited=True), 1.3) == []
    assert answers(story.runs_until(2.0)) == [0]


def test_another_address_is_none():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    hears(story, advertisement(packed("2001:db8:1::1002")), 1.3)
    assert answers(story.runs_until(2.0)) == [0]


def test_another_home_agent_that_stands_in_for_the_mobile_node_is_none():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    hears(story, advertisement(mac=VIRTUAL_MAC_OF_ANOTHER), 1.3, mac=VIRTUAL_MAC_OF_ANOTHER)
    solicitation = NeighbourSolicitation(HOME)  # it is asked by the same mobile node, at the same time
    hears(story, solicitation, 1.4, source=UNSPECIFIED, destination=ALL_NODES, mac=VIRTUAL_MAC_OF_ANOTHER)
    assert answers(story.runs_until(2.0)) == [0]


def test_a_virtual_router_that_has_the_address_itself_is_an_objection():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    of_a_router = advertisement(mac=VIRTUAL_MAC_OF_ANOTHER, router=True)
    assert answers(hears(story, of_a_router, 1.3, mac=VIRTUAL_MAC_OF_ANOTHER)) == [134]


def test_objections_over_another_link_do_not_count():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    packet = ipv6.Packet(PEER, ALL_NODES, 255, 58, icmpv6.encode(advertisement()))
    octets = ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))
    story.happens(PacketReceived("eth2", PEER_MAC, octets, WALL), 1.3)
    assert answers(story.runs_until(2.0)) == [0]


@pytest.mark.parametrize(
    ("home", "flags"),
    [
        (packed("2001:db8:1::52"), "AH"),  # another virtual HA of this node
        (packed("2001:db8:1::77"), "AH"),
        (VIRTUAL_HA.prefix[:8] + VIRTUAL_HA.link_local[8:], "AHL"),
        (VIRTUAL_HA.prefix[:8] + UP.link_local[8:], "AHL"),
    ],
)
def test_what_this_node_itself_has_on_the_link_is_refused_without_asking(home, flags):
    other = virtual_ha(vrid=52, addresses=(packed("2001:db8:1::52"),), link_local=packed("fe80::5eff:fe00:234"))
    story = Story(virtual_ha(priority=200, duplicate_address_detection=True), other)
    story.happens(UP, 0)
    story.runs_until(0.95)
    again = story.happens(replace(UP, addresses=frozenset((packed("2001:db8:1::77"), UP.link_local))), 0.96)
    assert again == []  # it is the same link
    effects = story.receives(update(home=home, seconds=1.0, flags=flags), 1.0)
    assert answers(effects) == [134]
    assert not probes(effects)


# --- while it waits --------------------------------------------------------------------------------------------


def test_binding_updates_that_come_again_do_not_prolong_it_and_the_last_one_counts():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    effects = story.receives(update(seconds=1.7, sequence=2, care_of=ELSEWHERE), 1.7)
    assert not probes(effects)
    assert not answers(effects)
    effects = [e for e in story.runs_until(2.0) if not isinstance(e, SendFrame)]
    answer, _unused = acknowledged(effects)
    assert (answer.status, answer.sequence) == (0, 2)
    assert is_bound(story) == ELSEWHERE
    assert not answers(story.runs_until(4))


def test_an_older_binding_update_does_not_replace_a_newer_one():
    story = detecting()
    story.receives(update(seconds=1.0, sequence=7, care_of=ELSEWHERE), 1.0)
    story.receives(update(seconds=1.2, sequence=6), 1.2)
    story.runs_until(2.0)
    assert is_bound(story) == ELSEWHERE


def test_a_link_local_address_that_is_wanted_later_is_tested_for_a_whole_second():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    assert probes(story.receives(update(seconds=1.8, sequence=2, flags="AHL"), 1.8)) == [HOME, LINK_LOCAL_HOME]
    assert not answers(story.runs_until(2.7))
    assert answers(story.runs_until(2.8)) == [0]


def test_de_registration_ends_it_and_an_older_binding_update_does_not_begin_it_again():
    story = detecting()
    story.receives(update(seconds=1.0, sequence=5), 1.0)
    effects = story.receives(update(seconds=1.5, sequence=6, lifetime_s=0), 1.5)
    assert answers(effects) == [0]
    assert not of(effects, RemoveBindings)
    assert answers(story.receives(update(seconds=1.6, sequence=5), 1.6)) == [135]
    assert not answers(story.runs_until(3))
    assert is_bound(story) is None


def test_a_member_that_is_master_no_more_does_not_answer_what_it_was_asked_before():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    story.hears_advert(250, 1.2)
    assert story.state()["state"] == "backup"
    assert not answers(story.runs_until(1.45))
    assert story.state()["tentative"] == 0
    story.runs_until(3.0)  # nobody is heard: Master again
    assert is_bound(story) is None


def test_what_waits_is_forgotten_when_service_is_handed_over():
    story = detecting()
    story.receives(update(seconds=1.0), 1.0)
    story.happens(DrainRequested((51,)), 1.2)
    assert story.state()["tentative"] == 0


def test_what_became_wrong_meanwhile_is_refused_after_all():
    """Two mobile nodes whose tunnels would end in each other."""
    story = detecting()
    other = packed("2001:db8:1::1002")
    story.receives(update(seconds=1.0, care_of=other), 1.0)
    story.receives(update(seconds=1.1, home=other, care_of=HOME), 1.1)
    assert sorted(answers(story.runs_until(2.2))) == [0, 174]


def test_a_storm_of_first_registrations_fills_no_memory(monkeypatch):
    monkeypatch.setattr(address_detection, "MOST_TENTATIVE", 10)
    story = detecting()
    for number in range(30):
        home = VHA[:8] + (0x2000 + number).to_bytes(8, "big")
        story.receives(update(home=home, seconds=1.0), 1.0)
    assert story.state()["tentative"] == 10
    assert story.state()["counters"]["dropped.tentative_full"] == 20
    assert answers(story.runs_until(1.0 + RETRANS_TIMER_US / SECOND)) == [0] * 10
    assert probes(story.receives(update(home=VHA[:8] + bytes(6) + b"\x20\x1d", seconds=3.0), 3.0))
