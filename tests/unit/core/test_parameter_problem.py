# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 6275 section 9.2: whoever sends a Mobility Header that cannot be right is told where it is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.core.nodes import UP, Story, master, of, virtual_ha
from tests.unit.core.registering import CARE_OF, HOME, VHA, update
from vrrp_ha.core.effects import SendPacket
from vrrp_ha.core.types import packed
from vrrp_ha.wire import icmpv6, ipv6

AT = 40 + 24  # of the Mobility Header, behind a Home Address option


def wrong(octet: int, value: int, source: bytes = CARE_OF) -> bytes:
    """A Binding Update with one octet of its header changed, and a checksum that is right."""
    packet = ipv6.decode(update(key=None, care_of=source, seconds=1.0))
    payload = bytearray(packet.payload)
    payload[octet] = value
    if octet == 1:
        payload = payload[: 8 + 8 * value]
    return ipv6.encode(ipv6.with_checksum(replace(packet, payload=bytes(payload)), 4))


WRONG_PROTO = wrong(0, 58)
TOO_SHORT = wrong(1, 0)


def problems(effects: list) -> list[tuple[ipv6.Packet, icmpv6.IcmpError]]:
    found = []
    for effect in of(effects, SendPacket):
        packet = ipv6.decode(effect.packet)
        icmpv6.check_packet(packet)
        found.append((packet, icmpv6.decode(packet.payload)))
    return found


@pytest.mark.parametrize(("octets", "pointer"), [(WRONG_PROTO, AT), (TOO_SHORT, AT + 1)])
def test_the_sender_is_told_which_field_is_wrong(octets, pointer):
    story = master()
    ((packet, error),) = problems(story.receives(octets, 1.0))
    assert (packet.source, packet.destination) == (VHA, CARE_OF)
    assert packet.routing_home_address is None  # straight to the source, whatever is bound
    assert (error.kind, error.code, error.value, error.invoking) == (4, 0, pointer, octets)
    assert len(story.node.bindings(51)) == 0


def test_a_bound_home_address_does_not_change_where_it_goes():
    story = master()
    story.receives(update(seconds=1.0), 1.0)
    elsewhere = packed("2001:db8:7::7")
    ((packet, _error),) = problems(story.receives(wrong(0, 58, elsewhere), 1.1))
    assert (packet.destination, packet.routing_home_address) == (elsewhere, None)
    assert story.node.bindings(51).get(HOME).care_of_address == CARE_OF


def test_a_damaged_packet_is_dropped_without_a_word():
    octets = bytearray(WRONG_PROTO)
    octets[AT + 4] ^= 1  # the checksum
    assert problems(master().receives(bytes(octets), 1.0)) == []


def test_a_source_that_cannot_be_answered_is_not():
    assert problems(master().receives(wrong(0, 58, packed("fe80::77")), 1.0)) == []


def test_a_backup_says_nothing():
    story = Story(virtual_ha(priority=200))
    story.happens(UP, 0)
    story.hears_advert(255, 0.1)
    assert story.receives(WRONG_PROTO, 0.2) == []


def test_a_flood_is_answered_at_a_limited_rate():
    story = master()
    answers = sum(len(problems(story.receives(WRONG_PROTO, 1.0 + number / 1000))) for number in range(1000))
    assert 19 <= answers <= 20  # a burst of 10, and 10 more in a second
    counters = story.state()["counters"]
    assert counters["parameter_problems_sent"] == answers
    assert counters["parameter_problems_limited"] == 1000 - answers


def test_as_much_is_quoted_as_fits_the_minimum_mtu():
    packet = ipv6.decode(WRONG_PROTO)
    payload = bytes((58, 255)) + packet.payload[2:] + bytes(2048 - len(packet.payload))
    octets = ipv6.encode(ipv6.with_checksum(replace(packet, payload=payload), 4))
    ((answer, error),) = problems(master().receives(octets, 1.0))
    assert answer.outer_length == 1280
    assert octets.startswith(error.invoking)
