# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is asked for home agents: who answers, to what, and with what (RFC 6275 section 10.5)."""

from __future__ import annotations

import pytest

from tests.unit.core.nodes import HERE, PEER, UP, Story, at, master, of, settings, virtual_ha
from tests.unit.core.registering import VHA
from vrrp_ha.core.discovery import MOST_LISTED
from vrrp_ha.core.discovery_settings import DiscoverySettings
from vrrp_ha.core.effects import Report, SendFrame, SendPacket
from vrrp_ha.core.events import Reconfigured, TimerFired
from vrrp_ha.core.router_advertiser import advertisement
from vrrp_ha.core.settings import HomeLink
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import ALL_NODES, SECOND, packed, text
from vrrp_ha.wire import icmpv6, ipv6
from vrrp_ha.wire.bc_sync import BcRequest
from vrrp_ha.wire.icmpv6 import HomeAgentInformation, PrefixInformation, RouterAdvertisement

MOBILE = packed("2001:db8:2::77")
ANYCAST = packed("2001:db8:1:0:fdff:ffff:ffff:fffe")
FOREIGN = packed("fe80::f")
FOREIGN_ADDRESS = "2001:db8:1::f"
OTHER_VHA = packed("2001:db8:1::52")


def other(**changes):
    return virtual_ha(
        vrid=52, priority=200, link_local=packed("fe80::5eff:fe00:234"), addresses=(OTHER_VHA,), **changes
    )


def icmp(source, destination, message, hop_limit=64) -> bytes:
    packet = ipv6.Packet(source, destination, hop_limit, icmpv6.NEXT_HEADER, icmpv6.encode(message))
    return ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))


def request(destination=VHA, source=MOBILE, identifier=9) -> bytes:
    return icmp(source, destination, icmpv6.DiscoveryRequest(identifier))


def advert(*addresses, preference=100, lifetime_s=1000, home_agent=True, length=64, **fields) -> RouterAdvertisement:
    options = [PrefixInformation(packed(a), length, True, False, True, 10**12, 10**12) for a in addresses]
    if lifetime_s:
        options.append(HomeAgentInformation(preference, lifetime_s * SECOND))
    return RouterAdvertisement(home_agent=home_agent, options=tuple(options), **fields)


def hears_router(story, seconds, message, source=FOREIGN, hop_limit=255):
    return story.receives(icmp(source, ALL_NODES, message, hop_limit), seconds)


def answer(effects) -> tuple[ipv6.Packet, list[str]] | None:
    for effect in of(effects, SendPacket):
        packet = ipv6.decode(effect.packet)
        icmpv6.check_packet(packet)
        reply = icmpv6.decode(packet.payload)
        assert isinstance(reply, icmpv6.DiscoveryReply)
        assert reply.identifier == 9
        return packet, [text(address) for address in reply.home_agents]
    return None


# --- who answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", [VHA, ANYCAST, packed("2001:db8:1::2")], ids=["VHA", "anycast", "other"])
def test_a_master_answers_from_its_vha_address_to_the_source(destination):
    packet, home_agents = answer(master().receives(request(destination), 2))
    assert (packet.source, packet.destination, packet.home_address) == (VHA, MOBILE, None)
    assert home_agents == [text(VHA)]


@pytest.mark.parametrize("destination", [VHA, ANYCAST])
def test_a_backup_does_not_answer(destination):
    story = master(priority=200)
    story.hears_advert(254, 1)
    assert story.state()["state"] == "backup"
    assert answer(story.receives(request(destination), 2)) is None


def test_the_anycast_address_of_another_prefix_is_not_ours():
    assert answer(master().receives(request(packed("2001:db8:7:0:fdff:ffff:ffff:fffe")), 2)) is None


def test_one_that_serves_several_answers_once_and_names_all():
    story = master(other())
    story.runs_until(5)
    _unused, home_agents = answer(story.receives(request(ANYCAST), 5))
    assert sorted(home_agents) == [text(VHA), text(OTHER_VHA)]
    packet, _unused = answer(story.receives(request(OTHER_VHA, packed("2001:db8:2:1::1")), 5))
    assert packet.source == OTHER_VHA


@pytest.mark.parametrize("source", ["fe80::7", "::", "::1"])
def test_a_source_that_cannot_be_answered_is_not(source):
    story = master()
    assert answer(story.receives(request(source=packed(source)), 2)) is None
    assert story.state()["counters"]["dropped.discovery_source"] == 1


def test_it_can_be_turned_off():
    story = master(discovery=DiscoverySettings(dhaad=False))
    assert answer(story.receives(request(), 2)) is None
    assert story.state()["counters"]["dropped.discovery_off"] == 1


def test_one_source_and_all_together_are_answered_at_a_limited_rate():
    limits = DiscoverySettings(pace=Pace(1_000_000, 10), per_source=Pace(1_000_000, 3))
    story = master(discovery=limits)
    mine = sum(answer(story.receives(request(), 2)) is not None for _unused in range(100))
    others = sum(
        answer(story.receives(request(source=packed(f"2001:db8:3:{n:x}::1")), 2)) is not None for n in range(100)
    )
    assert (mine, others) == (3, 7)
    assert answer(story.receives(request(), 3)) is not None
    assert story.state()["counters"]["dropped.discovery_limited"] == 190


# --- with what -------------------------------------------------------------------------------------------------


def test_home_agents_that_were_heard_are_listed_by_preference_until_their_lifetime_is_over():
    story = master()
    hears_router(story, 2, advert(FOREIGN_ADDRESS, preference=100))
    hears_router(story, 2, advert("2001:db8:1::e", preference=0), source=packed("fe80::e"))
    _unused, home_agents = answer(story.receives(request(), 3))
    assert home_agents == [FOREIGN_ADDRESS, text(VHA), "2001:db8:1::e"]
    _unused, home_agents = answer(story.receives(request(), 1500))
    assert home_agents == [text(VHA)]


def test_home_agents_of_other_prefixes_of_the_link_are_not_recommended():
    story = master()
    hears_router(story, 2, advert("2001:db8:5::1"))
    assert answer(story.receives(request(), 3))[1] == [text(VHA)]


def test_the_reply_is_never_longer_than_the_smallest_mtu():
    story = master()
    for number in range(1, 151):
        hears_router(story, 2, advert(f"2001:db8:1::1:{number:x}"), source=packed(f"fe80::1:{number:x}"))
    packet, home_agents = answer(story.receives(request(), 3))
    assert len(home_agents) == MOST_LISTED == 77
    assert packet.outer_length <= 1280


def test_a_virtual_ha_that_was_taken_over_is_listed_once_as_served_here():
    story = master(other())
    hears_router(story, 1.0, advert(text(OTHER_VHA), preference=3), source=packed("fe80::5eff:fe00:234"))
    story.runs_until(5)
    (link,) = story.node.home_agents(at(5))
    assert [(entry["link_local"], entry["served_here"]) for entry in link["home_agents"]] == [
        ("fe80::5eff:fe00:233", True),
        ("fe80::5eff:fe00:234", True),
    ]


def test_preference_falls_with_the_load_and_with_a_backup_that_lags():
    story = master(discovery=DiscoverySettings(preference=50))
    hears_router(story, 2, advert(FOREIGN_ADDRESS, preference=10))
    assert answer(story.receives(request(), 3))[1] == [text(VHA), FOREIGN_ADDRESS]
    for second in (4, 5, 6, 16):
        story.hears_sync(BcRequest(51), second)
    assert answer(story.receives(request(), 17))[1] == [FOREIGN_ADDRESS, text(VHA)]
    assert story.state()["home_agent"] == {"preference": 0, "advertised": False, "backups_agree": False}
    story.runs_until(32)
    assert story.state()["home_agent"] == {"preference": 50, "advertised": True, "backups_agree": True}


@pytest.mark.parametrize(
    ("source", "hop_limit", "reason"),
    [(packed("2001:db8:1::f"), 255, "dropped.router_advertisement"), (FOREIGN, 64, "dropped.hop_limit")],
    ids=["not link-local", "from afar"],
)
def test_what_is_no_valid_router_advertisement_is_not_believed(source, hop_limit, reason):
    story = master()
    hears_router(story, 2, advert(FOREIGN_ADDRESS), source, hop_limit)
    assert answer(story.receives(request(), 3))[1] == [text(VHA)]
    assert story.node.status(at(3))["counters"][reason] == 1


def test_a_plain_vrrp_router_keeps_no_list_and_answers_nothing():
    story = master(mipv6_ha_mode=False)
    hears_router(story, 2, advert(FOREIGN_ADDRESS))
    assert story.node.home_agents(at(2)) == []


# --- Neighbor Discovery ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("home_link", list(HomeLink))
def test_a_neighbour_that_looks_for_the_anycast_address_finds_the_virtual_mac(home_link):
    story = master(home_link=home_link)
    group = packed("ff02::1:ffff:fffe")
    asked = icmp(PEER, group, icmpv6.NeighbourSolicitation(ANYCAST), 255)
    assert of(story.receives(asked, 2), SendFrame) == []
    found = []
    for frame in of(story.runs_until(3.1), SendFrame):
        packet = ipv6.decode(frame.packet)
        if packet.next_header == 58 and packet.payload[0] == 136:
            found.append((frame, icmpv6.decode(packet.payload)))
    ((frame, message),) = [pair for pair in found if pair[1].target == ANYCAST]
    assert frame.virtual_mac
    assert not message.override
    assert story.state()["counters"]["anycast_solicitations"] == 1


def test_who_comes_asks_three_times_what_routers_there_are():
    """Else the list of a member that was restarted would stay empty until the next advertisements, minutes later."""
    story = Story(virtual_ha(), other())
    story.happens(UP, 0)
    asked = []
    while (due := story.node.deadline()) is not None and due <= at(30):
        for frame in of(story.node.handle(TimerFired(), due), SendFrame):
            packet = ipv6.decode(frame.packet)
            if packet.next_header == 58 and packet.payload[0] == 133:
                icmpv6.check_packet(packet)
                asked.append(due / SECOND)
                assert (packet.source, packet.destination, frame.virtual_mac) == (HERE, packed("ff02::2"), False)
                assert icmpv6.decode(packet.payload) == icmpv6.RouterSolicitation()
    assert asked == [0.5, 4.5, 8.5]


def test_a_plain_vrrp_router_asks_nobody():
    story = Story(virtual_ha(mipv6_ha_mode=False))
    story.happens(UP, 0)
    frames = of(story.runs_until(30), SendFrame)
    assert not [f for f in frames if f.packet[6] == 58 and f.packet[40] == 133]


# --- other routers ---------------------------------------------------------------------------------------------


def inconsistencies(effects) -> list[tuple]:
    kind = "router_advertisement_inconsistent"
    return [(r.fields["what"], r.fields["ours"], r.fields["theirs"]) for r in of(effects, Report) if r.kind == kind]


def test_a_router_that_contradicts_is_reported_once_for_each_thing():
    story = master()
    message = advert(FOREIGN_ADDRESS, current_hop_limit=32, managed=True)
    told = inconsistencies(hears_router(story, 2, message))
    assert told == [
        ("current_hop_limit", 64, 32),
        ("managed", False, True),
        ("valid_lifetime_s", 2_592_000, 1_000_000),
        ("preferred_lifetime_s", 604_800, 1_000_000),
    ]
    assert inconsistencies(hears_router(story, 3, message)) == []
    again = inconsistencies(hears_router(story, 4, message, source=packed("fe80::e")))
    assert len(again) == 4


def test_what_is_left_open_and_other_prefixes_contradict_nothing():
    story = master()
    message = advert("2001:db8:9::1", current_hop_limit=0, reachable_time_us=5_000_000)
    assert inconsistencies(hears_router(story, 2, message)) == []


def test_another_member_has_to_say_the_same_of_the_virtual_router_in_every_way():
    """RFC 9568 section 8.2.3."""
    story = master(priority=200)
    story.hears_advert(254, 1)
    ours = virtual_ha()
    same = advertisement(ours, HomeAgentInformation(3, SECOND))
    assert inconsistencies(hears_router(story, 2, same, source=ours.link_local)) == []
    different = advertisement(virtual_ha(home_link=HomeLink.ROUTED))
    assert inconsistencies(hears_router(story, 2, different, source=ours.link_local)) == [("on_link", True, False)]


def test_virtual_routers_that_say_the_same_are_contradicted_once():
    story = master(other())
    assert inconsistencies(hears_router(story, 2, advert(current_hop_limit=32))) == [("current_hop_limit", 64, 32)]


def test_a_flood_of_router_advertisements_is_not_all_looked_at():
    story = master()
    for number in range(1200):
        hears_router(story, 2, advert(reachable_time_us=number), source=packed(f"fe80::1:{number:x}"))
    counters = story.node.status(at(2))["counters"]
    assert counters["dropped.router_advertisement_limited"] == 200
    assert counters["dropped.home_agents_list_full"] == 700


def test_after_a_reload_what_still_differs_is_told_again():
    story = master()
    message = advert(current_hop_limit=32)
    assert inconsistencies(hears_router(story, 2, message))
    story.happens(Reconfigured(settings(virtual_ha())), 3)
    assert inconsistencies(hears_router(story, 4, message))


# --- Mobile Prefix Solicitations -------------------------------------------------------------------------------


def test_a_prefix_solicitation_without_a_home_address_option_is_not_answered():
    story = master()
    assert of(story.receives(icmp(MOBILE, VHA, icmpv6.PrefixSolicitation(7)), 2), SendPacket) == []
    assert story.node.status(at(2))["counters"]["dropped.home_address_option"] == 1
