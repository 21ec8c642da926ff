# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 6275 sections 9.2, 9.3.1 and 9.3.3: who is told by a Binding Error, and who never. All by Scapy."""

from __future__ import annotations

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    HAO,
    MIP6MH_BE,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    MIP6MH_CoTI,
    MIP6MH_Generic,
    MIP6MH_HoTI,
)
from scapy.layers.ipsec import AH
from scapy.packet import Raw

from tests.unit.core.nodes import UP, Story, master, of, virtual_ha
from tests.unit.core.registering import CARE_OF, ELSEWHERE, HOME, VHA, text, update
from vrrp_ha.core.effects import RemoveBindings, SendPacket
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.policy_settings import LimitSettings
from vrrp_ha.core.settings import NodeSettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import packed


def from_care_of(upper, source: bytes = CARE_OF, home: bytes | None = HOME) -> bytes:
    packet = IPv6(src=text(source), dst=text(VHA))
    if home is not None:
        packet /= IPv6ExtHdrDestOpt(options=[HAO(hoa=text(home))])
    return bytes(packet / upper)


PING = from_care_of(ICMPv6EchoRequest())
DATAGRAM = from_care_of(UDP(sport=1, dport=2) / b"hello")
UNKNOWN_TYPE = from_care_of(MIP6MH_Generic(mhtype=99, msg=b"\0" * 2))


def errors(effects: list) -> list[tuple[str, str, int, str]]:
    """(source, destination, status, home address) of every Binding Error; there is nothing else to be sent."""
    found = []
    for effect in of(effects, SendPacket):
        packet = IPv6(effect.packet)
        assert packet.nh == 135, packet.summary()
        wire = bytes(packet)
        del packet[MIP6MH_BE].cksum
        assert bytes(packet) == wire, "the checksum"
        found.append((packet.src, packet.dst, packet[MIP6MH_BE].status, packet[MIP6MH_BE].ha))
    return found


# --- status 1 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("octets", [PING, DATAGRAM])
def test_who_uses_a_home_address_that_is_not_bound_is_told(octets):
    story = master()
    assert errors(story.receives(octets, 1)) == [(text(VHA), text(CARE_OF), 1, text(HOME))]
    assert story.state()["counters"]["binding_errors_sent"] == 1


def test_so_is_one_that_is_somewhere_else_than_it_is_bound_and_that_stays_bound():
    story = master()
    story.receives(update(seconds=1), 1)
    effects = story.receives(from_care_of(UDP(), ELSEWHERE), 1.5)
    assert errors(effects) == [(text(VHA), text(ELSEWHERE), 1, text(HOME))]
    assert of(effects, RemoveBindings) == []
    assert story.node.bindings(51).get(HOME).care_of_address == CARE_OF


@pytest.mark.parametrize("octets", [PING, DATAGRAM])
def test_one_that_is_where_it_is_bound_is_not(octets):
    story = master()
    story.receives(update(seconds=1), 1)
    assert errors(story.receives(octets, 1.5)) == []


@pytest.mark.parametrize("upper", [AH(), Raw(b"")])
def test_what_may_come_before_there_is_a_binding_is_not(upper):
    octets = bytearray(from_care_of(upper))
    octets[40] = 51 if isinstance(upper, AH) else 50
    assert errors(master().receives(bytes(octets), 1)) == []


def test_a_binding_update_with_a_home_address_that_cannot_be_one_is():
    link_local = packed("fe80::77")
    octets = update(home=link_local, seconds=1)
    assert errors(master().receives(octets, 1)) == [(text(VHA), text(CARE_OF), 1, text(link_local))]


# --- status 2 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upper", [MIP6MH_Generic(mhtype=99, msg=b"\0" * 2), MIP6MH_HoTI(), MIP6MH_CoTI()])
@pytest.mark.parametrize("home", [HOME, None])
def test_a_type_that_is_not_understood_is_said_to_be(upper, home):
    """Route optimization's are among them: a mobile node that hears this stops trying (section 11.3.6)."""
    effects = master().receives(from_care_of(upper, home=home), 1)
    assert errors(effects) == [(text(VHA), text(CARE_OF), 2, text(home) if home else "::")]


def test_a_damaged_one_is_dropped_without_a_word():
    octets = bytearray(UNKNOWN_TYPE)
    octets[-1] ^= 1
    assert errors(master().receives(bytes(octets), 1)) == []


def test_an_error_is_not_answered_by_an_error():
    assert errors(master().receives(from_care_of(MIP6MH_BE(status=2, ha=text(HOME))), 1)) == []


# --- never -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["ff02::1", "::", "fe80::77", "::1", text(VHA)])
@pytest.mark.parametrize("upper", [UDP(), MIP6MH_HoTI()])
def test_nothing_goes_to_who_is_not_one_other_node(source, upper):
    assert errors(master().receives(from_care_of(upper, packed(source)), 1)) == []


@pytest.mark.parametrize("octets", [PING, DATAGRAM, UNKNOWN_TYPE, from_care_of(MIP6MH_HoTI(), home=None)])
def test_the_answer_is_of_64_octets_whatever_the_question(octets):
    (answer,) = of(master().receives(octets + bytes(500), 1), SendPacket)
    assert len(answer.packet) == 64


@pytest.mark.parametrize("octets", [DATAGRAM, UNKNOWN_TYPE])
def test_a_backup_says_nothing(octets):
    story = Story(virtual_ha(priority=200))
    story.happens(UP, 0)
    story.hears_advert(255, 0.1)
    assert errors(story.receives(octets, 0.2)) == []


def test_nor_does_a_plain_router():
    story = master(mipv6_ha_mode=False)
    assert errors(story.receives(DATAGRAM, 1)) == []


def test_a_flood_of_both_kinds_is_answered_at_one_limited_rate():
    story = master()
    limits = LimitSettings(errors=Pace(10_000_000, 5))
    story.happens(Reconfigured(NodeSettings("ha1", story.node.settings.virtual_has, limits=limits)), 0.96)
    sent = 0
    for number in range(1000):
        octets = (DATAGRAM, UNKNOWN_TYPE)[number % 2]
        sent += len(errors(story.receives(octets, 1 + number / 1000)))
    assert 14 <= sent <= 15
    assert story.state()["counters"]["binding_errors_limited"] == 1000 - sent
