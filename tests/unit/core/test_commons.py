# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several virtual HAs of one node, with the same mobile nodes' keys: what one accepted is no good at another."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.core.nodes import UP, Story, at, of, virtual_ha
from tests.unit.core.recovering import OWN, OWN_VHA
from tests.unit.core.registering import CARE_OF, ELSEWHERE, HOME, KEYS, acknowledged, update
from vrrp_ha.core.effects import SendPacket
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.types import Binding
from vrrp_ha.wire import ipv6


def serving_both() -> Story:
    """Master of VRIDs 51 and 52."""
    story = Story(virtual_ha(), OWN)
    story.happens(UP, 0)
    story.runs_until(0.95)
    assert {v["state"] for v in story.node.status(at(0))["virtual_has"]} == {"master"}
    return story


def status(story: Story, octets: bytes, seconds: float) -> tuple[int, int]:
    """(status, sequence number) of the answer."""
    answer, _mh = acknowledged(of(story.receives(octets, seconds), SendPacket))
    return answer.status, answer.sequence


def readdressed(octets: bytes, destination: bytes = OWN_VHA) -> bytes:
    """The same packet to another home agent, its checksum put right: the authenticator does not notice."""
    packet = replace(ipv6.decode(octets), destination=destination)
    return ipv6.encode(ipv6.with_checksum(packet, 4))


def test_an_update_that_one_virtual_ha_accepted_is_refused_by_the_other():
    story = serving_both()
    octets = update(seconds=1)
    assert status(story, octets, 1) == (0, 1)
    assert status(story, readdressed(octets), 2) == (144, 1)
    assert story.node.bindings(52).get(HOME) is None


def test_also_after_it_was_deregistered_where_it_was_meant_for():
    story = serving_both()
    octets = update(seconds=1)
    assert status(story, octets, 1) == (0, 1)
    assert status(story, update(seconds=2, sequence=2, lifetime_s=0), 2) == (0, 2)
    assert status(story, readdressed(octets), 3)[0] == 144
    assert len(story.node.bindings(52)) == 0


def test_a_deregistration_cannot_be_sent_again_to_the_virtual_ha_that_the_mobile_node_went_to():
    story = serving_both()
    status(story, update(seconds=1), 1)
    assert status(story, update(seconds=2, sequence=2, destination=OWN_VHA), 2) == (0, 2)
    farewell = update(seconds=3, sequence=3, lifetime_s=0)
    assert status(story, farewell, 3) == (0, 3)
    assert status(story, readdressed(farewell), 4)[0] == 144
    assert story.node.bindings(52).get(HOME)


def test_a_mobile_node_may_go_to_another_virtual_ha_with_a_new_update():
    story = serving_both()
    assert status(story, update(seconds=1), 1) == (0, 1)
    assert status(story, update(seconds=1.5, sequence=2, destination=OWN_VHA), 1.5) == (0, 2)
    assert status(story, update(seconds=2, sequence=3, lifetime_s=0), 2) == (0, 3)
    assert story.node.bindings(51).get(HOME) is None
    assert story.node.bindings(52).get(HOME).care_of_address == CARE_OF


def test_one_that_counts_anew_there_is_told_where_to_go_on():
    story = serving_both()
    assert status(story, update(seconds=1, sequence=40), 1) == (0, 40)
    assert status(story, update(seconds=1.5, sequence=1, destination=OWN_VHA), 1.5) == (135, 40)
    assert status(story, update(seconds=2, sequence=41, destination=OWN_VHA), 2) == (0, 41)


def test_what_another_member_accepted_is_known_by_its_binding():
    """This member is Master of 52 alone; of 51 it has the RBC, and of the timestamp it knows nothing."""
    story = serving_both()
    octets = update(seconds=1, sequence=7)
    story.node.bindings(51).put(Binding(HOME, CARE_OF, 7, 0xC000, at(600)))
    assert status(story, readdressed(octets), 2) == (135, 7)
    assert len(story.node.bindings(52)) == 0
    assert status(story, update(seconds=3, sequence=8, destination=OWN_VHA), 3) == (0, 8)


def test_also_what_it_accepted_before_that():
    story = serving_both()
    older = update(seconds=1, sequence=6, care_of=ELSEWHERE)
    story.node.bindings(51).put(Binding(HOME, CARE_OF, 7, 0xC000, at(600)))
    assert status(story, readdressed(older), 2) == (135, 7)
    assert len(story.node.bindings(52)) == 0


def test_a_deregistration_that_another_member_got_is_known_by_what_it_told_of_it():
    story = serving_both()
    assert status(story, update(seconds=1, sequence=7, destination=OWN_VHA), 1) == (0, 7)
    farewell = update(seconds=2, sequence=9, lifetime_s=0)
    story.node.bindings(51).departed.note(HOME, 9, at(2))
    assert status(story, readdressed(farewell), 3) == (135, 9)
    assert story.node.bindings(52).get(HOME)
    assert status(story, update(seconds=4, sequence=10, lifetime_s=0, destination=OWN_VHA), 4) == (0, 10)


def test_timestamps_outlive_a_change_of_keys_for_every_virtual_ha():
    story = serving_both()
    octets = update(seconds=1)
    assert status(story, octets, 1)[0] == 0
    more = (*KEYS, replace(KEYS[0], spi=KEYS[0].spi + 1))
    story.happens(Reconfigured(replace(story.node.settings, mobile_node_keys=more)), 1.5)
    assert status(story, readdressed(octets), 2)[0] == 144
    assert status(story, update(seconds=3, sequence=2, spi=more[1].spi, destination=OWN_VHA), 3)[0] == 0


def test_a_new_virtual_ha_has_the_same_keys_and_memory():
    story = Story(virtual_ha())
    story.happens(UP, 0)
    story.runs_until(0.95)
    octets = update(seconds=1)
    assert status(story, octets, 1)[0] == 0
    both = replace(story.node.settings, virtual_has=(*story.node.settings.virtual_has, OWN))
    story.happens(Reconfigured(both), 1.1)
    story.runs_until(2)
    assert status(story, readdressed(octets), 2.5)[0] == 144
    assert status(story, update(seconds=3, sequence=2, destination=OWN_VHA), 3)[0] == 0
