# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node signals that no RBC has any more: deleted by an acting Master that is gone, given up, or expired."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.core.nodes import of
from tests.unit.core.recovering import (
    HOOK,
    LOST_SPI,
    OWN_VHA,
    acting_master,
    bind,
    deleted,
    esp,
    home,
    hooks,
    known,
    pace,
    registration_at_own,
    switches,
    unreadable,
)
from tests.unit.core.registering import ELSEWHERE, HOME, update
from vrrp_ha.core.effects import Report
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.types import packed
from vrrp_ha.wire import bc_sync

HOME_TEXT = "2001:db8:1::1001"
STRAY, STRAY_TEXT = home(7), "2001:db8:1::1:7"
TRIGGERS = pytest.mark.parametrize("trigger", [esp, unreadable], ids=["esp", "unknown_spi"])


@TRIGGERS
def test_what_another_acting_master_deleted_and_did_not_bring_to_an_end_begins_anew(trigger):
    """The successor has the RBC without the entry: the condition of draft section 5.2.2 would fail."""
    story = acting_master()
    story.hears_advert(255, 1.0)
    story.hears_sync(bc_sync.BcUpdate(51, [(0, 1, 0xC000, HOME, ELSEWHERE)]), 1.1)
    assert story.node.bindings(51).get(HOME) is None
    story.hears_advert(0, 1.2)
    story.runs_until(2.0)
    assert story.state()["state"] == "master"
    effects = story.receives(trigger(HOME), 2.0)
    assert not deleted(effects)
    ((packet, message),) = switches(effects)
    assert (packet.destination, message.home_agents) == (ELSEWHERE, (OWN_VHA,))
    assert known(story, 2.0) == [(HOME_TEXT, "sent")]


@TRIGGERS
def test_one_that_was_given_up_begins_anew_when_the_mobile_node_is_heard_again(trigger):
    story = acting_master()
    story.receives(esp(), 1.0)
    story.runs_until(80)
    assert known(story, 80) == [(HOME_TEXT, "failed")]
    assert switches(story.receives(trigger(HOME), 90.0))
    assert known(story, 90) == [(HOME_TEXT, "sent")]
    story.receives(registration_at_own(91), 91)
    assert known(story, 91) == [(HOME_TEXT, "done")]


def test_it_is_told_again_like_any_other_and_ends_visibly():
    story = acting_master()
    story.receives(esp(STRAY), 1.0)
    assert len(switches(story.runs_until(80))) == 3
    assert known(story, 80) == [(STRAY_TEXT, "failed")]
    assert story.state()["counters"]["recovery_unbound"] == 1


def test_without_a_key_the_hook_is_run():
    story = acting_master(keys=False, hook=HOOK)
    (run,) = hooks(story.receives(esp(STRAY), 1.0))
    assert run.arguments[3] == STRAY_TEXT


# --- who is not helped -------------------------------------------------------------------------------------


def test_nobody_is_told_to_go_where_it_is():
    story = acting_master()
    story.receives(update(home=STRAY, care_of=ELSEWHERE, destination=OWN_VHA, seconds=1.0), 1.0)
    assert story.node.bindings(52).get(STRAY)
    assert not switches(story.receives(esp(STRAY), 1.5))
    assert known(story, 1.5) == []


def test_a_mobile_node_that_takes_its_leave_of_the_dead_owner_is_not_called_back():
    """RFC 5142 section 6.1 has it de-register, under a key that nobody here has."""
    story = acting_master()
    leave = update(home=STRAY, care_of=ELSEWHERE, spi=LOST_SPI, key=bytes(16), sequence=2, lifetime_s=0, seconds=1.0)
    assert not switches(story.receives(leave, 1.0))


def test_who_is_not_of_the_home_link_is_none_of_our_business():
    story = acting_master()
    everywhere = replace(story.node.settings.mobile_node_keys[0], prefix=packed("::"), prefix_length=0)
    story.happens(Reconfigured(replace(story.node.settings, mobile_node_keys=(everywhere,))), 0.97)
    assert not switches(story.receives(esp(packed("2001:db8:77::1")), 1.0))


@pytest.mark.parametrize("how", [{"keys": False}, {"enabled": False}], ids=["neither key nor hook", "switched off"])
def test_nothing_is_noted_of_who_cannot_be_helped(how):
    story = acting_master(**how)
    assert not switches(story.receives(esp(STRAY), 1.0))
    assert known(story, 1.0) == []


def test_an_owner_drops_it():
    story = acting_master(priority=255, owns=False)
    assert not switches(story.receives(esp(STRAY), 1.0))


# --- and what it costs the others --------------------------------------------------------------------------


def test_those_with_a_binding_come_first():
    story = acting_master(pace=pace(1, 1), per_source=pace(1, 10_000))
    bind(story, home(1), home(2))
    story.receives(esp(home(1)), 1.0)
    story.receives(esp(home(2)), 1.0)  # waits
    assert not switches(story.receives(esp(STRAY), 1.9))
    assert story.state()["counters"]["recovery_limited.unbound"] == 1
    assert deleted(story.runs_until(2.0)) == [home(2)]
    assert not switches(story.receives(esp(STRAY), 2.5))
    assert switches(story.receives(esp(STRAY), 3.1))  # it went on asking


def test_made_up_home_addresses_use_no_more_turns_than_there_are_and_leave_nothing_behind():
    story = acting_master()
    sent = []
    for number in range(5000):
        source = packed("2001:db8:66::")[:6] + number.to_bytes(2, "big") + bytes(7) + b"\1"
        sent += switches(story.receives(esp(home(number), source), 1 + number / 1000))
    assert len(sent) <= 10 + 5
    assert story.state()["recoveries"]["pending"] == 0
    assert len(known(story, 6)) == len(sent)


def test_one_source_gets_few():
    story = acting_master(pace=pace(50, 100))
    sent = [switch for number in range(100) for switch in switches(story.receives(esp(home(number)), 1.0))]
    assert len(sent) == 5
    assert story.state()["counters"]["recovery_limited.source"] == 95


def test_the_operator_can_see_it_in_the_journal():
    story = acting_master()
    (begun,) = [r for r in of(story.receives(esp(STRAY), 1.0), Report) if r.kind == "recovery_begun"]
    assert begun.fields["home_address"] == STRAY_TEXT
    assert begun.fields["care_of_address"] is None
