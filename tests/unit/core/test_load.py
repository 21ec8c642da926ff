# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load balance (draft section 6): what a Master does by itself about too many bindings, and whom it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from tests.unit.core.handing_off import (
    ADVISE,
    HERE,
    THERE,
    appears_there,
    bind,
    counts,
    fleet,
    marks,
    reconfigure,
    registers,
    reported,
    told,
    with_another_master,
)
from tests.unit.core.nodes import UP, Story, at, virtual_ha
from tests.unit.core.recovering import OWN, OWN_VHA, deleted, home, switches
from tests.unit.core.registering import CARE_OF, VHA, update
from vrrp_ha.core.balance_settings import BalanceMode, BalanceSettings
from vrrp_ha.core.events import LinkDown
from vrrp_ha.core.types import Binding
from vrrp_ha.wire.bc_sync import BcDigest

FAST = marks(10, 8, rate=1000)
REGISTERED = 1.5


def crowd(story, count: int, seconds: float = REGISTERED, **more) -> list[bytes]:
    return bind(story, count, seconds, **more)


def follow(story, effects: list, seconds: float, sequence: int = 2) -> None:
    """Everybody who was told does as RFC 5142 says."""
    for packet, message in switches(effects):
        old = packet.source
        address = packet.routing_home_address
        registers(story, address, seconds, sequence=sequence, destination=message.home_agents[0])
        registers(story, address, seconds + 0.001, sequence=sequence + 1, lifetime_s=0, destination=old)


def restarted(here: BalanceSettings) -> Story:
    """Its snapshot has bindings; nobody knows how they came."""
    restored = {HERE: [Binding(home(number), CARE_OF, 1, 0xC000, at(3000)) for number in range(12)]}
    story = Story(virtual_ha(balance=here), replace(OWN, balance=FAST), restored=restored)
    story.happens(UP, 0)
    return story


def asked(effects: list) -> list[bytes]:
    """Whom a Home Agent Switch went to, each once."""
    return list(dict.fromkeys(told(effects)))


def loads(story) -> tuple[int, int]:
    return len(story.node.bindings(HERE)), len(story.node.bindings(THERE))


def balance(story, vrid: int = HERE) -> dict:
    return story.state(vrid)["balance"]


# --- when, how many, how fast ------------------------------------------------------------------------------


def test_above_the_high_water_mark_as_many_are_told_as_bring_it_to_the_low_one():
    story = fleet(FAST)
    crowd(story, 12)
    effects = story.runs_until(4)
    assert len(told(effects)) == 4
    assert [message.home_agents for _unused, message in switches(effects)] == [(OWN_VHA,)] * 4
    follow(story, effects, 4.5)
    story.runs_until(30)
    assert loads(story) == (8, 4)
    assert counts(story) == {"pending": 0, "sent": 0, "done": 4, "failed": 0, "refused_extensions": 0}


def test_at_the_high_water_mark_nobody_is():
    story = fleet(FAST)
    crowd(story, 10)
    assert not told(story.runs_until(20))
    assert balance(story)["overloaded"] is False


def test_those_who_stand_at_both_count_as_gone():
    story = fleet(FAST)
    crowd(story, 12)
    effects = story.runs_until(6)
    for address in told(effects):
        registers(story, address, 6, sequence=2, destination=OWN_VHA)
    assert loads(story) == (12, 4)
    assert balance(story)["load"] == 8
    assert not told(story.runs_until(20))
    assert loads(story) == (8, 4)


def test_one_a_second_by_default():
    story = fleet(marks(10, 8))
    crowd(story, 14)
    times = []
    while len(times) < 6:
        due = story.node.deadline() / 1e6
        times += [due] * len(told(story.runs_until(due)))
    assert [later - earlier for earlier, later in pairwise(times)] == [1.0] * 5


def test_what_is_under_way_counts_as_moved():
    story = fleet(FAST, marks(10, 3, rate=1000))
    crowd(story, 20)
    assert len(told(story.runs_until(4))) == 10  # fills the other up to its mark, in thought
    assert balance(story)["advice"] == []


def test_when_all_are_full_it_says_so_and_leaves_everybody_in_peace():
    story = fleet(FAST)
    crowd(story, 12)
    bind(story, 10, REGISTERED, first=100, destination=OWN_VHA)
    effects = story.runs_until(20)
    assert not told(effects)
    assert reported(effects, "balance_no_room") == [{"load": 12, "high_water": 10, "low_water": 8}]


def test_only_the_master_of_the_overloaded_one_acts():
    story = with_another_master(FAST)
    for number in range(12):
        appears_there(story, home(number), 1.2)
    assert loads(story) == (0, 12)
    assert not told(story.runs_until(1.3))
    assert balance(story, THERE)["overloaded"] is False


def test_nobody_is_sent_to_one_whose_bindings_are_not_known():
    story = with_another_master(FAST)
    crowd(story, 12)
    effects = []
    for step in range(16, 60):
        story.hears_advert(255, step / 10, THERE)
        story.hears_sync(BcDigest(THERE, 5, 1), step / 10)
        effects += story.runs_until(step / 10)
    assert not story.state(THERE)["synced"]
    assert not told(effects)
    assert reported(effects, "balance_no_room")


# --- modes -------------------------------------------------------------------------------------------------


def test_off_does_and_says_nothing():
    story = fleet(marks(10, 8, BalanceMode.OFF))
    crowd(story, 12)
    effects = story.runs_until(10)
    assert not told(effects)
    assert not reported(effects, "balance_overloaded")


def test_advise_says_what_it_would_do_once():
    story = fleet(marks(10, 8, ADVISE))
    crowd(story, 12)
    effects = story.runs_until(20)
    assert not told(effects)
    assert reported(effects, "balance_overloaded") == [
        {"load": 12, "high_water": 10, "low_water": 8, "advice": "4 to VRID 52"}
    ]
    assert balance(story) == {
        "mode": "advise", "high_water": 10, "low_water": 8, "load": 12, "overloaded": True,
        "advice": [{"to": 52, "count": 4}],
    }  # fmt: skip


def test_auto_can_be_switched_on_later():
    story = fleet(marks(10, 8, ADVISE, rate=1000))
    crowd(story, 12)
    story.runs_until(5)
    assert len(told(reconfigure(story, 5, mode=BalanceMode.AUTO) + story.runs_until(8))) == 4


# --- whom --------------------------------------------------------------------------------------------------


def test_those_whose_bindings_live_longest_go_first():
    story = fleet(FAST)
    crowd(story, 8)
    late = bind(story, 4, 3.0, first=100)
    assert sorted(asked(story.runs_until(10))) == sorted(late)


def test_one_that_would_expire_before_it_was_told_often_enough_stays():
    story = fleet(FAST)
    crowd(story, 8)
    for number in range(100, 104):
        registers(story, home(number), REGISTERED, lifetime_s=40)
    assert not set(told(story.runs_until(10))) & {home(number) for number in range(100, 104)}


def test_one_that_did_not_follow_is_not_asked_again_within_the_hold_time():
    story = fleet(marks(10, 8, rate=1000, hold_s=200))
    crowd(story, 12)
    first = asked(story.runs_until(50))
    assert len(first) == 4
    second = asked(story.runs_until(75))
    assert counts(story)["failed"] == 4
    assert len(second) == 4
    assert not set(first) & set(second)


def test_one_that_does_not_answer_is_left_alone_for_a_day():
    story = fleet(marks(10, 8, rate=1000, hold_s=1))
    crowd(story, 12)
    first = asked(story.runs_until(50))
    assert not set(first) & set(asked(story.runs_until(300)))


def test_while_nobody_goes_at_all_no_more_are_told_and_those_who_were_may_stay():
    story = fleet(marks(10, 8, rate=1000))
    crowd(story, 40)
    effects = story.runs_until(300)
    assert 16 <= len(asked(effects)) < 32
    assert reported(effects, "balance_paused") == [{"failures": 16}]
    story.receives(update(home=home(1), seconds=301, sequence=2), 301)
    assert story.node.bindings(HERE).get(home(1)).sequence == 2


def test_a_new_master_removes_those_who_went_after_its_predecessor_had_told_them():
    story = with_another_master(marks(100, 90), priority=200)
    registers(story, home(1), 1.2)
    appears_there(story, home(1), 1.3, sequence=2)
    story.hears_advert(255, 1.35, HERE)
    assert story.state(HERE)["state"] == "backup"
    effects = []
    for step in range(14, 200):
        story.hears_advert(255, step / 10, THERE)
        effects += story.runs_until(step / 10)
    assert story.state(HERE)["state"] == "master"
    assert deleted(effects) == [home(1)]


def test_one_that_came_by_a_handoff_is_not_handed_off_again_within_the_hold_time():
    there = marks(10, 4, BalanceMode.OFF, rate=1000, hold_s=300)
    story = fleet(marks(10, 8, rate=1000, hold_s=300), there)
    crowd(story, 12)
    effects = story.runs_until(6)
    came = set(told(effects))
    follow(story, effects, 6)
    bind(story, 4, 7.0, first=200, destination=OWN_VHA)
    story.runs_until(20)
    reconfigure(story, 20, THERE, mode=BalanceMode.AUTO, high_water=6, low_water=5)
    went = {p.routing_home_address for p, _unused in switches(story.runs_until(90)) if p.source == OWN_VHA}
    assert went
    assert not went & came


def test_one_that_is_at_both_is_not_asked():
    story = fleet(FAST)
    crowd(story, 12)
    for number in range(1, 7):
        registers(story, home(number), 1.6, sequence=2, destination=OWN_VHA)
    assert not {home(number) for number in range(1, 7)} & set(told(story.runs_until(8)))


def test_one_that_went_elsewhere_without_being_told_leaves_nothing_behind():
    story = fleet(marks(100, 90))
    registers(story, home(1), 2.0)
    registers(story, home(1), 3.0, sequence=2, destination=OWN_VHA)
    story.runs_until(13.5)
    assert loads(story) == (0, 1)


def test_one_that_came_back_at_once_stays():
    story = fleet(marks(100, 90))
    registers(story, home(1), 2.0)
    registers(story, home(1), 3.0, sequence=2, destination=OWN_VHA)
    registers(story, home(1), 4.0, sequence=3, destination=VHA)
    story.runs_until(20)
    assert loads(story) == (1, 0)


# --- the Master changes ------------------------------------------------------------------------------------


def test_a_new_master_waits_for_those_whom_its_predecessor_may_have_told():
    story = restarted(marks(10, 8, rate=1000, hold_s=30))
    assert not told(story.runs_until(29))
    assert len(asked(story.runs_until(45))) == 4


def test_what_was_not_seen_to_come_may_have_come_just_before():
    """The same, but the hold time is longer than the wait for a predecessor's."""
    story = restarted(marks(10, 8, rate=1000, hold_s=300))
    assert not told(story.runs_until(299))
    assert len(asked(story.runs_until(320))) == 4


def test_the_load_is_nobodys_business_without_a_link():
    story = fleet(FAST)
    crowd(story, 12)
    story.happens(LinkDown("eth1"), 1.6)
    assert not told(story.runs_until(20))
