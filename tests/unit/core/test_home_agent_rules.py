# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the draft and of RFC 6275 that have no other place: what must not happen, and what changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.layers.inet6 import (
    HAO,
    MIP6MH_BU,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrRouting,
)

from tests.unit.core.nodes import UP, Story, at, master, of, settings, virtual_ha
from tests.unit.core.recovering import LOST_SPI, OWN, OWN_VHA, acting_master
from tests.unit.core.registering import (
    CARE_OF,
    ELSEWHERE,
    HOME,
    OTHER_HOME,
    VHA,
    HomeAgent,
    acknowledged,
    reports,
    text,
    update,
)
from vrrp_ha.core.effects import InstallBindings, RemoveBindings, SendFrame, SendPacket, TearDown
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.settings import NodeSettings, RouterAdvertisementSettings
from vrrp_ha.core.types import SECOND, Binding, packed
from vrrp_ha.wire import bc_sync, ipv6


def replicated(story: Story, effects: list) -> list[tuple[int, bytes]]:
    """(VRID, home address) of every binding in the BC_UPDATEs among the effects."""
    found = []
    for frame in of(effects, SendFrame):
        packet = ipv6.decode(frame.packet)
        if packet.next_header == 112 and packet.payload[0] & 0xF == story.node.settings.sync.update_type:
            body, _trailer = bc_sync.split_trailer(packet.payload, story.node.settings.sync)
            message = bc_sync.decode(body, story.node.settings.sync)
            found += [(message.vrid, option[3]) for option in message.bindings]
    return found


def changes(effects: list) -> list:
    return [effect for effect in effects if isinstance(effect, InstallBindings | RemoveBindings)]


# --- draft section 4: one cache for each virtual HA --------------------------------------------------------


def test_a_member_backs_up_others_without_mixing_their_bindings_with_its_own():
    """Owner of 52, acting Master of 51: each VRID has its own bindings, and says nothing of the other's."""
    story = acting_master()
    effects = story.receives(update(home=OTHER_HOME, destination=OWN_VHA, seconds=1.0), 1.0)
    assert [(effect.vrid, effect.bindings[0].home_address) for effect in changes(effects)] == [(52, OTHER_HOME)]
    assert replicated(story, effects) == [(52, OTHER_HOME)]
    assert set(replicated(story, story.runs_until(4.0))) == {(51, HOME), (52, OTHER_HOME)}  # repeats of both
    assert [binding.home_address for binding in story.node.bindings(51)] == [HOME]
    assert [binding.home_address for binding in story.node.bindings(52)] == [OTHER_HOME]


def test_a_request_for_one_virtual_ha_brings_the_bindings_of_no_other():
    story = acting_master()
    story.receives(update(home=OTHER_HOME, destination=OWN_VHA, seconds=1.0), 1.0)
    story.runs_until(3.0)
    effects = story.hears_sync(bc_sync.BcRequest(51), 3.0) + story.runs_until(3.2)
    assert replicated(story, effects) == [(51, HOME)]


def test_a_backup_keeps_what_its_master_says_apart_from_what_it_owns():
    story = Story(virtual_ha(priority=200), OWN)
    story.happens(UP, 0)
    story.hears_advert(255, 0.1)
    effects = story.hears_sync(bc_sync.BcUpdate(51, [(600_000_000, 7, 0xC000, HOME, CARE_OF)]), 0.2)
    assert [effect.vrid for effect in changes(effects)] == [51]
    assert HOME in story.node.bindings(51)
    assert HOME not in story.node.bindings(52)


# --- RFC 6275 section 6.1: headers of mobility signalling --------------------------------------------------


def test_no_message_of_a_home_agent_has_a_home_address_option():
    """Answers of both kinds, and a Home Agent Switch."""
    story = acting_master()
    effects = story.receives(update(home=OTHER_HOME, seconds=1.0), 1.0)
    effects += story.receives(update(home=OTHER_HOME, seconds=1.1, sequence=1), 1.1)
    effects += story.receives(update(spi=LOST_SPI, key=bytes(16), care_of=ELSEWHERE, seconds=1.2, sequence=2), 1.2)
    sent = [ipv6.decode(effect.packet) for effect in of(effects, SendPacket)]
    assert [packet.payload[2] for packet in sent] == [6, 6, 12]
    assert [packet.home_address for packet in sent] == [None, None, None]


def test_a_type_2_routing_header_is_for_mobile_nodes_and_is_dropped_here():
    """Neither believed to be from the home address in it, nor forwarded to it, nor answered with its reverse."""
    home_agent = HomeAgent()
    routing = IPv6ExtHdrRouting(type=2, segleft=1, addresses=[text(OTHER_HOME)])
    option = IPv6ExtHdrDestOpt(options=[HAO(hoa=text(HOME))])
    octets = bytes(IPv6(src=text(CARE_OF), dst=text(VHA)) / routing / option / MIP6MH_BU(seq=1, flags="AH", mhtime=150))
    assert reports(home_agent.receive(octets)) == [("debug", "dropped.routing_header")]
    assert len(home_agent.cache) == 0


@pytest.mark.parametrize("bits", [0x0001, 0x0400, 0x0FFF])
def test_reserved_bits_of_a_binding_update_change_nothing(bits):
    home_agent = HomeAgent(keys=(), insecure_bindings=True)
    octets = bytearray(update(key=None))
    octets[64 + 3] = 0xFF  # after the MH Type
    octets[64 + 8 : 64 + 10] = (0xC000 | bits).to_bytes(2, "big")
    packet = ipv6.with_checksum(ipv6.decode(bytes(octets)), 4)
    assert home_agent.answer(ipv6.encode(packet)).status == 0
    assert home_agent.cache.get(HOME).flags == 0xC000


# --- sections 6.3 and 9.1: the Home Address option by itself -----------------------------------------------


def test_a_home_address_option_alone_changes_no_binding():
    story = master()
    story.receives(update(seconds=1.0), 1.0)
    option = IPv6ExtHdrDestOpt(options=[HAO(hoa=text(HOME))])
    ping = bytes(IPv6(src=text(ELSEWHERE), dst=text(VHA)) / option / ICMPv6EchoRequest())
    assert changes(story.receives(ping, 2.0)) == []
    assert story.node.bindings(51).get(HOME).care_of_address == CARE_OF


# --- sections 9.5.4 and 10.3.1 -----------------------------------------------------------------------------


def test_a_refusal_is_answered_without_the_a_bit_too():
    home_agent = HomeAgent()
    assert home_agent.answer(update(sequence=100)).status == 0
    assert home_agent.answer(update(flags="H", sequence=100, seconds=1), 1).status == 135


def test_nothing_but_its_mobile_node_or_its_lifetime_ends_a_binding():
    """No replacement policy: however many others come, and whatever is refused meanwhile."""
    home_agent = HomeAgent(keys=(), insecure_bindings=True)
    assert home_agent.answer(update(key=None, lifetime_s=600)).status == 0
    for number in range(2000):
        home = HOME[:12] + (0x20000 + number).to_bytes(4, "big")
        home_agent.receive(update(home=home, key=None, seconds=1), 1)
    home_agent.receive(update(key=None, sequence=1, care_of=ELSEWHERE, seconds=2), 2)
    home_agent.receive(update(home=OTHER_HOME, key=None, lifetime_s=0, seconds=3), 3)
    assert home_agent.bound() == CARE_OF
    assert home_agent.cache.next_expiry() <= at(600)
    assert len(home_agent.cache) == 2001


@pytest.mark.parametrize(
    ("preferred_s", "valid_s", "status"),
    [(604_800, 2_592_000, 0), (600, 604_800, 0), (599, 604_800, 1), (0, 604_800, 1), (600, 604, 0), (600, 600, 1)],
)
def test_a_mobile_node_is_told_to_ask_when_its_prefix_may_end_or_be_deprecated_before_its_binding(
    preferred_s, valid_s, status
):
    """And nothing else follows from the preferred lifetime: what is granted is what was asked for."""
    lifetimes = RouterAdvertisementSettings(
        preferred_lifetime_us=preferred_s * SECOND, valid_lifetime_us=valid_s * SECOND
    )
    answer = HomeAgent(router_advertisements=lifetimes).answer(update(lifetime_s=600))
    assert (answer.status, answer.lifetime_s) == (status, 600)


OTHER_PREFIX = packed("2001:db8:11::")


def moved_to_another_prefix(story: Story, **changes) -> NodeSettings:
    (before,) = story.node.settings.virtual_has
    return replace(story.node.settings, virtual_has=(replace(before, prefix=OTHER_PREFIX, **changes),))


def test_a_binding_goes_with_the_home_prefix_that_is_taken_away():
    story = master()
    story.receives(update(seconds=1.0), 1.0)
    effects = story.happens(Reconfigured(moved_to_another_prefix(story)), 2.0)
    assert of(effects, TearDown)
    assert of(effects, InstallBindings) == []
    assert len(story.node.bindings(51)) == 0


def test_a_binding_of_a_home_prefix_that_grew_stays():
    story = master()
    story.receives(update(seconds=1.0), 1.0)
    wider = replace(story.node.settings.virtual_has[0], prefix=packed("2001:db8::"), prefix_length=32)
    story.happens(Reconfigured(replace(story.node.settings, virtual_has=(wider,))), 2.0)
    assert HOME in story.node.bindings(51)


def test_a_binding_of_another_prefix_does_not_come_back_from_a_snapshot():
    binding = Binding(HOME, CARE_OF, 1, 0xC000, at(600))
    stays = Binding(OTHER_PREFIX[:15] + b"\1", CARE_OF, 1, 0xC000, at(600))
    story = Story(virtual_ha(prefix=OTHER_PREFIX), restored={51: [binding, stays]})
    assert list(story.node.bindings(51)) == [stays]


# --- RFC 4285 section 6 ------------------------------------------------------------------------------------


def test_the_timestamp_is_looked_at_only_after_the_authenticator():
    """Whoever has no key learns nothing of this member's clock."""
    answer, mh = acknowledged(HomeAgent().receive(update(key=b"wrong" * 4, timestamp=1)))
    assert (answer.status, answer.timestamp) == (146, 1)
    assert mh


@pytest.mark.parametrize(("skew_s", "status"), [(-7.1, 144), (-6.9, 0), (6.9, 0), (7.1, 144)])
def test_a_clock_may_be_off_by_seven_seconds_when_nothing_else_is_said(skew_s, status):
    story = master()
    assert story.node.settings == settings(*story.node.settings.virtual_has)  # what is left out has its default
    answer, _mh = acknowledged(of(story.receives(update(seconds=1.0 + skew_s), 1.0), SendPacket))
    assert answer.status == status
