# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handoffs (RFC 5142) that an operator asks for: who is told what, how often, and what becomes of the old binding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab.mn import binding
from tests.unit.core.handing_off import (
    HERE,
    THERE,
    appears_there,
    bind,
    cancels,
    counts,
    fleet,
    marks,
    registers,
    reported,
    states,
    told,
    wants,
    with_another_master,
)
from tests.unit.core.nodes import vrrp_types
from tests.unit.core.recovering import OWN_VHA, deleted, home, switches
from tests.unit.core.registering import CARE_OF, ELSEWHERE, HOME, KEY, VHA, at
from vrrp_ha.core.balance_settings import BalanceMode
from vrrp_ha.core.events import PacketReceived, Reconfigured
from vrrp_ha.wire import mobility

HOME_TEXT = "2001:db8:1::1001"
ADMINISTRATIVELY_PROHIBITED = 129
FAST = marks(1000, 900, BalanceMode.OFF, rate=1000)


def handed_off(story, address: bytes = HOME, seconds: float = 2.0) -> list:
    registers(story, address, seconds - 0.5)
    effects = wants(story, address, seconds=seconds)
    assert told(effects) == [address]
    return effects


def signed_by(key: bytes, packet, care_of: bytes) -> bool:
    option = mobility.first(mobility.decode(packet.payload).options, mobility.Authentication)
    return binding.sign(key, care_of, HOME, packet.payload[: option.covered]) == option.authenticator


# --- what is sent ------------------------------------------------------------------------------------------


def test_the_current_home_agent_names_the_other_one_to_where_the_mobile_node_is():
    ((packet, message),) = switches(handed_off(fleet()))
    assert message.home_agents == (OWN_VHA,)
    assert (packet.source, packet.destination, packet.routing_home_address) == (VHA, CARE_OF, HOME)
    assert signed_by(KEY, packet, CARE_OF)


def test_the_binding_stays_until_the_other_one_stands():
    story = fleet()
    assert not deleted(handed_off(story))
    assert story.node.bindings(HERE).get(HOME)
    assert states(story) == {HOME_TEXT: "sent"}


def test_an_unanswered_one_is_sent_again_after_5_10_and_20_seconds_then_it_has_failed():
    story = fleet()
    handed_off(story, seconds=2.0)
    times = []
    while (due := story.node.deadline()) < at(70):
        if told(story.runs_until(due / 1e6)):
            times.append(round(due / 1e6))
    assert times == [7, 17, 37]
    assert states(story) == {HOME_TEXT: "failed"}
    assert counts(story) == {"pending": 0, "sent": 0, "done": 0, "failed": 1, "refused_extensions": 0}
    assert story.node.bindings(HERE).get(HOME)  # RFC 5142 section 5.3: it is served on


def test_no_more_are_told_than_the_pace_allows_whoever_wants_it():
    story = fleet(marks(1000, 900, BalanceMode.OFF, rate=2))
    homes = bind(story, 6, 1.5)
    when = dict.fromkeys(told(wants(story, *homes, seconds=2.0)), 2.0)
    while len(when) < 6:
        due = story.node.deadline() / 1e6
        when |= {address: round(due, 3) for address in told(story.runs_until(due))}
    assert list(when) == homes
    assert list(when.values()) == [2.0, 2.5, 3.0, 3.5, 4.0, 4.5]


def test_what_is_sent_again_counts_for_the_pace_and_comes_first():
    story = fleet(marks(1000, 900, BalanceMode.OFF, rate=0.25))
    first, second, third = bind(story, 3, 1.5)
    wants(story, first, second, third, seconds=2.0)
    assert told(story.runs_until(6.0)) == [second]
    assert told(story.runs_until(10.0)) == [first]


def test_so_many_of_any_are_told_but_not_more_than_64_without_an_answer():
    story = fleet(FAST)
    bind(story, 100, 1.5)
    effects = wants(story, seconds=2.0, count=80) + story.runs_until(4.0)
    assert len(told(effects)) == 64
    assert counts(story)["pending"] == 16
    more = []
    for address in told(effects):
        more += registers(story, address, 4.5, sequence=2, destination=OWN_VHA)
    assert len(told(more + story.runs_until(5.5))) == 16


def test_a_wish_for_more_than_can_go_ends_when_all_are_told():
    story = fleet(FAST)
    bind(story, 5, 1.5)
    assert len(told(wants(story, seconds=2.0, count=50) + story.runs_until(4.0))) == 5
    assert counts(story)["pending"] == 0


def test_cancelled_are_those_that_wait():
    story = fleet()
    homes = bind(story, 3, 1.5)
    wants(story, *homes, seconds=2.0)
    wants(story, seconds=2.0, count=10)
    cancels(story, 2.1)
    assert counts(story) == {"pending": 0, "sent": 1, "done": 0, "failed": 2, "refused_extensions": 0}
    assert not told(story.runs_until(6.9))


def test_without_another_virtual_ha_of_the_home_link_it_fails_and_nothing_is_refused():
    story = fleet()
    registers(story, HOME, 1.5)
    effects = wants(story, HOME, seconds=2.0, to=99)
    assert not told(effects)
    assert reported(effects, "handoff_failed")[0]["detail"] == "there is no other virtual HA that could take it"
    assert status_of(registers(story, HOME, 3.0, sequence=2)) == 0


def test_a_mobile_node_without_a_key_cannot_be_told():
    story = fleet()
    registers(story, HOME, 1.5)
    story.happens(Reconfigured(replace(story.node.settings, mobile_node_keys=())), 1.9)
    assert not told(wants(story, HOME, seconds=2.0))
    assert counts(story)["pending"] == 0


# --- an answer ---------------------------------------------------------------------------------------------


def test_it_is_done_when_the_mobile_node_deregisters():
    story = fleet()
    handed_off(story)
    registers(story, HOME, 2.1, sequence=2, destination=OWN_VHA)
    effects = registers(story, HOME, 2.2, sequence=2, lifetime_s=0)
    assert status_of(effects) == 0
    assert deleted(effects) == [HOME]
    assert states(story) == {HOME_TEXT: "done"}
    assert story.node.bindings(THERE).get(HOME)


def test_it_is_done_when_the_mobile_node_deregisters_before_it_registers_anew():
    story = fleet()
    handed_off(story)
    registers(story, HOME, 2.1, sequence=2, lifetime_s=0)
    assert states(story) == {HOME_TEXT: "done"}
    assert not told(story.runs_until(30))


def test_one_that_does_not_deregister_is_removed_everywhere_after_a_while_at_the_other():
    story = fleet()
    handed_off(story)
    assert not deleted(registers(story, HOME, 2.1, sequence=2, destination=OWN_VHA))
    assert states(story) == {HOME_TEXT: "done"}
    assert not deleted(story.runs_until(12.0))
    effects = story.runs_until(12.2)
    assert deleted(effects) == [HOME]
    assert 3 in vrrp_types(effects)
    assert story.node.bindings(HERE).get(HOME) is None
    assert story.node.bindings(THERE).get(HOME)


def test_one_that_registers_from_elsewhere_at_the_other_is_removed_at_once():
    story = fleet()
    handed_off(story)
    effects = registers(story, HOME, 2.1, sequence=2, care_of=ELSEWHERE, destination=OWN_VHA)
    assert deleted(effects) == [HOME]
    assert story.node.bindings(THERE).get(HOME).care_of_address == ELSEWHERE


def test_one_that_moves_while_both_stand_is_removed_at_once():
    story = fleet()
    handed_off(story)
    registers(story, HOME, 2.1, sequence=2, destination=OWN_VHA)
    assert deleted(registers(story, HOME, 2.5, sequence=3, care_of=ELSEWHERE, destination=OWN_VHA)) == [HOME]


def test_the_answer_is_seen_in_the_cache_of_a_virtual_ha_that_another_member_serves():
    story = with_another_master(FAST)
    handed_off(story)
    assert not deleted(appears_there(story, HOME, 2.1, sequence=2))
    assert states(story) == {HOME_TEXT: "done"}
    story.hears_advert(255, 2.2, THERE)
    assert deleted(appears_there(story, HOME, 2.3, care_of=ELSEWHERE, sequence=3)) == [HOME]


def test_one_that_went_by_itself_while_it_waited_is_not_told():
    story = fleet(marks(1000, 900, BalanceMode.OFF, rate=0.1))
    first, second = bind(story, 2, 1.5)
    wants(story, first, second, seconds=2.0)
    registers(story, second, 3.0, sequence=2, destination=OWN_VHA)
    registers(story, first, 3.0, sequence=2, destination=OWN_VHA)
    assert not told(story.runs_until(13))
    assert counts(story)["done"] == 2


def test_a_binding_that_ends_takes_its_handoff_with_it():
    story = fleet()
    registers(story, HOME, 1.5, lifetime_s=8)
    wants(story, HOME, seconds=2.0)
    story.runs_until(11)
    assert states(story) == {HOME_TEXT: "failed"}
    assert status_of(registers(story, HOME, 12.0, sequence=5)) == 0


@pytest.mark.parametrize("leaves_first", [False, True])
def test_the_other_one_does_not_ask_the_link_whether_its_home_address_is_taken(leaves_first: bool):
    story = fleet()
    handed_off(story)
    tested = [replace(v, duplicate_address_detection=True) for v in story.node.settings.virtual_has]
    story.happens(Reconfigured(replace(story.node.settings, virtual_has=tuple(tested))), 2.1)
    if leaves_first:
        registers(story, HOME, 2.2, sequence=2, lifetime_s=0)
    registers(story, HOME, 3.0, sequence=3, destination=OWN_VHA)
    assert story.node.bindings(THERE).get(HOME)
    registers(story, home(7), 3.0, destination=OWN_VHA)
    assert story.node.bindings(THERE).get(home(7)) is None  # it does ask about others


# --- one that wants to stay --------------------------------------------------------------------------------


def extends(story, seconds: float, sequence: int = 2, **more) -> list:
    return registers(story, HOME, seconds, sequence=sequence, **more)


def status_of(effects: list) -> int:
    """Of the acknowledgement among what is sent; there may be a Home Agent Switch beside it."""
    switched = [packet for packet, _unused in switches(effects)]
    assert len(switched) <= 1
    found = [binding.acknowledgement(e.packet, VHA) for e in effects if hasattr(e, "packet") and not told([e])]
    (answer,) = [answer for answer in found if answer]
    return answer[0].status


def test_no_extension_is_granted_and_the_binding_is_as_before():
    story = fleet(FAST)
    handed_off(story)
    before = story.node.bindings(HERE).get(HOME)
    assert status_of(extends(story, 3.0)) == ADMINISTRATIVELY_PROHIBITED
    assert story.node.bindings(HERE).get(HOME) == before
    assert counts(story)["refused_extensions"] == 1


def test_it_is_told_again_where_it_is_now():
    story = fleet(FAST)
    handed_off(story)
    effects = extends(story, 3.0, care_of=ELSEWHERE)
    ((packet, message),) = switches(effects)
    assert (packet.destination, message.home_agents) == (ELSEWHERE, (OWN_VHA,))
    assert signed_by(KEY, packet, ELSEWHERE)


def test_one_that_never_answered_is_refused_as_well_and_told_again():
    story = fleet(FAST)
    handed_off(story)
    story.runs_until(70)
    assert states(story) == {HOME_TEXT: "failed"}
    effects = extends(story, 71)
    assert status_of(effects) == ADMINISTRATIVELY_PROHIBITED
    assert told(effects) == [HOME]
    assert states(story) == {HOME_TEXT: "sent"}
    registers(story, HOME, 71.1, sequence=9, destination=OWN_VHA)
    assert states(story) == {HOME_TEXT: "done"}


def test_one_that_only_waits_for_its_turn_is_not_refused():
    story = fleet(marks(1000, 900, BalanceMode.OFF, rate=0.1))
    first, second = bind(story, 2, 1.5)
    wants(story, first, second, seconds=2.0)
    assert status_of(registers(story, second, 3.0, sequence=2)) == 0


def test_one_that_has_gone_may_come_back():
    story = fleet()
    handed_off(story)
    registers(story, HOME, 2.1, sequence=2, lifetime_s=0)
    assert status_of(registers(story, HOME, 2.5, sequence=3)) == 0


def test_when_the_other_one_is_gone_it_may_stay():
    story = with_another_master(FAST)
    handed_off(story)
    story.runs_until(2.2)
    story.node._roster.configured[THERE]._election = None  # as after a link that went down
    extends(story, 2.3)
    assert states(story) == {HOME_TEXT: "failed"}
    assert status_of(extends(story, 3.0, sequence=3)) == 0


@pytest.mark.parametrize("forged", [{"key": bytes(16)}, {"timestamp": 1}])
def test_a_forged_wish_to_stay_counts_for_nothing(forged: dict):
    story = fleet(FAST)
    handed_off(story)
    assert not told(extends(story, 3.0, **forged))
    assert counts(story)["refused_extensions"] == 0


# --- the Master changes ------------------------------------------------------------------------------------


def test_a_master_that_is_one_no_more_gives_up():
    story = fleet(FAST)
    handed_off(story)
    bind(story, 3, 2.5)
    reported_then = story.node._roster.configured[HERE].link_down(at(3.0))
    assert reported(list(reported_then), "handoffs_given_up") == [{"handoffs": 1}]
    assert counts(story)["sent"] == 0
    assert not told(story.runs_until(70))


def test_only_a_master_is_asked():
    story = with_another_master(FAST)
    address = home(1)
    appears_there(story, address, 1.2)
    assert not told(story.happens(PacketReceived("eth1", bytes(6), bytes(40), 0), 1.3))
    story.node.handoffs(THERE)
    wants(story, address, seconds=1.4)
    assert counts(story, THERE)["pending"] == 0
