# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node that is told to register anew keeps its home address: nobody gets it, so nothing is tested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.core.nodes import at, of
from tests.unit.core.recovering import OWN_VHA, acting_master, esp, home, registration_at_own
from tests.unit.core.registering import CARE_OF, ELSEWHERE, HOME, update
from vrrp_ha.core.effects import SendFrame
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.held_addresses import MOST_HELD, HeldAddresses
from vrrp_ha.core.types import FLAG_HOME_REGISTRATION, FLAG_LINK_LOCAL, UNSPECIFIED, Binding, packed
from vrrp_ha.wire import icmpv6, ipv6

LINK_LOCAL = packed("fe80::1001")


@pytest.fixture
def story():
    """Duplicate Address Detection is on, and HOME has just been told to register anew."""
    story = acting_master()
    tested = tuple(replace(v, duplicate_address_detection=True) for v in story.node.settings.virtual_has)
    story.happens(Reconfigured(replace(story.node.settings, virtual_has=tested)), 0.97)
    story.receives(esp(), 1.0)
    assert story.node.bindings(51).get(HOME) is None
    return story


def solicit(story, target: bytes, seconds: float, source: bytes = UNSPECIFIED) -> list[icmpv6.NeighbourAdvertisement]:
    """What is answered to who tests, or looks for, an address."""
    group = packed("ff02::1:ff00:0")[:13] + target[13:]
    message = icmpv6.encode(icmpv6.NeighbourSolicitation(target))
    packet = ipv6.Packet(source, group, 255, ipv6.ICMPV6, message)
    effects = story.receives(ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET)), seconds)
    frames = [ipv6.decode(frame.packet) for frame in of(effects, SendFrame)]
    found = [icmpv6.decode(frame.payload) for frame in frames if frame.next_header == ipv6.ICMPV6]
    return [message for message in found if isinstance(message, icmpv6.NeighbourAdvertisement)]


def test_it_is_bound_at_once_at_the_new_home_agent(story):
    story.receives(registration_at_own(1.1), 1.1)
    assert story.node.bindings(52).get(HOME).care_of_address == ELSEWHERE


def test_who_comes_later_or_was_never_bound_is_tested(story):
    story.receives(registration_at_own(11.1), 11.1)
    assert story.node.bindings(52).get(HOME) is None
    story.receives(update(home=home(7), destination=OWN_VHA, seconds=1.2), 1.2)
    assert story.node.bindings(52).get(home(7)) is None


def test_nobody_gets_the_address_meanwhile(story):
    (defence,) = solicit(story, HOME, 1.5)
    assert (defence.target, defence.router, defence.solicited) == (HOME, False, False)
    assert solicit(story, HOME, 11.5) == []


def test_who_looks_for_it_is_not_answered_since_nothing_could_be_forwarded(story):
    assert solicit(story, HOME, 1.5, packed("fe80::77")) == []


def test_its_link_local_address_is_another_one_unless_it_was_defended_as_well(story):
    assert solicit(story, LINK_LOCAL, 1.5) == []
    with_l = update(care_of=ELSEWHERE, destination=OWN_VHA, seconds=1.6, flags="AHL")
    story.receives(with_l, 1.6)
    assert story.node.bindings(52).get(HOME) is None  # that one has to be tested
    held = HeldAddresses()
    held.hold(Binding(HOME, CARE_OF, 1, FLAG_HOME_REGISTRATION | FLAG_LINK_LOCAL, at(600)), 51, at(1))
    assert held.are_held(HOME, FLAG_LINK_LOCAL, at(2))
    assert held.defender(LINK_LOCAL, at(2)) == 51


def test_what_is_held_is_bounded():
    held = HeldAddresses()
    for number in range(MOST_HELD + 10):
        held.hold(Binding(number.to_bytes(16, "big"), CARE_OF, 1, 0, at(600)), 51, at(1))
    assert len(held) == MOST_HELD
    held.hold(Binding(HOME, CARE_OF, 1, 0, at(600)), 51, at(20))
    assert len(held) == 1
