# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbor Discovery for the Home-Agents anycast address (RFC 4861 section 7.2.7)."""

from __future__ import annotations

from tests.unit.core.electing import LINK_LOCAL, at, virtual_ha
from tests.unit.core.test_router_advertiser import Dice
from vrrp_ha.core.anycast_neighbour import AnycastNeighbour, AnycastSolicited
from vrrp_ha.core.events import TimerFired
from vrrp_ha.core.router_advertiser import SpeakerChanged
from vrrp_ha.core.types import ALL_NODES, UNSPECIFIED, packed
from vrrp_ha.wire import icmpv6, ipv6

ASKER, MAC = packed("fe80::77"), bytes.fromhex("020000000077")


def speaking(part=0.5) -> AnycastNeighbour:
    core = AnycastNeighbour(virtual_ha(), Dice(part))
    core.handle(SpeakerChanged(True), at(0))
    return core


def answer(core):
    (frame,) = core.handle(TimerFired(), core.deadline())
    packet = ipv6.decode(frame.packet)
    icmpv6.check_packet(packet)
    return frame, packet, icmpv6.decode(packet.payload)


def test_the_answer_comes_after_a_random_delay_and_overrides_nobody():
    core = speaking(0.3)
    assert core.handle(AnycastSolicited(ASKER, MAC), at(10)) == []
    assert core.deadline() == at(10.3)
    frame, packet, message = answer(core)
    assert (frame.destination_mac, packet.source, packet.destination) == (MAC, LINK_LOCAL, ASKER)
    assert (message.router, message.solicited, message.override) == (True, True, False)
    assert message.target == packed("2001:db8:1:0:fdff:ffff:ffff:fffe")
    assert message.options == (icmpv6.target_link_layer(bytes.fromhex("00005e000233")),)
    assert core.deadline() is None


def test_who_looks_for_duplicates_is_answered_as_all_are():
    core = speaking()
    core.handle(AnycastSolicited(UNSPECIFIED, MAC), at(10))
    frame, packet, message = answer(core)
    assert (frame.destination_mac.hex(), packet.destination, message.solicited) == ("333300000001", ALL_NODES, False)


def test_a_question_that_is_repeated_is_answered_once():
    core = speaking()
    for tenth in range(5):
        core.handle(AnycastSolicited(ASKER, MAC), at(10 + tenth / 10))
    assert len(core.handle(TimerFired(), at(12))) == 1


def test_a_backup_and_one_that_handed_over_say_nothing():
    core = AnycastNeighbour(virtual_ha(), Dice(0.5))
    core.handle(AnycastSolicited(ASKER, MAC), at(1))
    assert core.deadline() is None
    core = speaking()
    core.handle(AnycastSolicited(ASKER, MAC), at(1))
    core.handle(SpeakerChanged(False), at(1.1))
    assert core.deadline() is None


def test_a_flood_of_questions_has_an_end():
    core = speaking(1.0)
    for number in range(1000):
        core.handle(AnycastSolicited(packed(f"fe80::{number + 1:x}"), MAC), at(1))
    assert len(core.handle(TimerFired(), at(2))) == 100
