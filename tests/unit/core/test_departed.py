# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A delayed Binding Update does not bind a mobile node that came home meanwhile (RFC 6275 section 10.3.2)."""

from __future__ import annotations

import pytest

from tests.unit.core.nodes import UP, Story, at, master, of
from tests.unit.core.registering import CARE_OF, ELSEWHERE, HOME, HomeAgent, update
from vrrp_ha.core import departed
from vrrp_ha.core.departed import Departed
from vrrp_ha.core.effects import RemoveBindings, SendFrame
from vrrp_ha.core.types import packed
from vrrp_ha.wire.bc_sync import BcUpdate


@pytest.fixture
def came_home() -> HomeAgent:
    """Bound with sequence number 100 at 0 s, de-registered with 103 at 10 s."""
    home_agent = HomeAgent()
    assert home_agent.answer(update(sequence=100)).status == 0
    assert home_agent.answer(update(at_home=True, sequence=103, lifetime_s=0, seconds=10), 10).status == 0
    return home_agent


@pytest.mark.parametrize("sequence", [99, 102, 103])
def test_delayed_binding_update_is_refused_with_the_sequence_number_of_the_de_registration(came_home, sequence):
    answer = came_home.answer(update(sequence=sequence, seconds=12), 12)
    assert (answer.status, answer.sequence) == (135, 103)
    assert came_home.bound() is None


def test_whoever_leaves_home_again_is_bound_at_once(came_home):
    assert came_home.answer(update(sequence=104, care_of=ELSEWHERE, seconds=12), 12).status == 0
    assert came_home.bound() == ELSEWHERE


def test_after_ten_seconds_any_sequence_number_will_do(came_home):
    assert came_home.answer(update(sequence=50, seconds=19.9), 19.9).status == 135
    assert came_home.answer(update(sequence=51, seconds=20.0), 20.0).status == 0


def test_a_de_registration_whose_answer_was_lost_is_accepted_again(came_home):
    effects = came_home.receive(update(at_home=True, sequence=104, lifetime_s=0, seconds=11), 11)
    assert not of(effects, RemoveBindings)
    assert came_home.answer(update(at_home=True, sequence=105, lifetime_s=0, seconds=12), 12).status == 0
    assert came_home.answer(update(sequence=105, seconds=21), 21).status == 135


def test_whoever_was_never_bound_has_nothing_to_de_register(came_home):
    home = packed("2001:db8:1::1002")
    assert came_home.answer(update(home, at_home=True, lifetime_s=0, seconds=11), 11).status == 133


def test_answer_to_who_is_at_home_goes_to_its_mac_since_the_route_into_its_tunnel_may_still_be_there():
    home_agent = HomeAgent()
    mac = bytes.fromhex("020000000077")
    home_agent.receive(update(sequence=1))
    effects = home_agent.receive(update(at_home=True, sequence=2, lifetime_s=0, seconds=1), 1, source_mac=mac)
    (frame,) = of(effects, SendFrame)
    assert (frame.destination_mac, frame.packet[24:40]) == (mac, HOME)


# --- the other members -------------------------------------------------------------------------------------------


def test_a_backup_that_hears_of_a_de_registration_refuses_what_was_delayed_when_it_is_master():
    story = Story(master(priority=200).node.settings.virtual_has[0])
    story.happens(UP, 0)
    story.hears_advert(250, 0.1)
    story.hears_sync(BcUpdate(51, [(600_000_000, 100, 0xC000, HOME, CARE_OF)]), 0.2)
    story.hears_sync(BcUpdate(51, [(0, 103, 0xC000, HOME, CARE_OF)]), 0.3)
    assert HOME not in story.node.bindings(51)
    story.runs_until(2.0)
    assert story.state()["state"] == "master"
    story.receives(update(sequence=102, seconds=2.1), 2.1)
    assert story.state()["counters"]["refused.sequence_out_of_window"] == 1
    assert HOME not in story.node.bindings(51)


def test_what_expired_or_is_recovered_may_come_back_with_any_sequence_number():
    story = Story(master(priority=200).node.settings.virtual_has[0])
    story.happens(UP, 0)
    story.hears_advert(250, 0.1)
    story.hears_sync(BcUpdate(51, [(600_000_000, 100, 0xC000, HOME, CARE_OF)]), 0.2)
    story.hears_sync(BcUpdate(51, [(0, 100, 0xC000, HOME, CARE_OF)]), 0.3)
    story.runs_until(2.0)
    story.receives(update(sequence=7, seconds=2.1), 2.1)
    assert HOME in story.node.bindings(51)


# --- its memory --------------------------------------------------------------------------------------------------


def test_no_more_is_remembered_than_fits_and_nothing_for_longer_than_it_counts(monkeypatch):
    monkeypatch.setattr(departed, "MOST_DEPARTED", 3)
    memory = Departed()
    for number in range(5):
        memory.note(bytes(15) + bytes((number,)), number, at(0))
    assert [memory.sequence(bytes(15) + bytes((n,)), at(1)) for n in range(5)] == [None, None, 2, 3, 4]
    memory.note(HOME, 9, at(10))
    assert len(memory) == 1
