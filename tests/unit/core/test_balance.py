# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who should take how many (core/balance.py): marks, room, and Masters that decide without asking each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vrrp_ha.core.balance import Standing, fill, shares, split
from vrrp_ha.core.balance_settings import BalanceMode, BalanceSettings

MARKS = BalanceSettings(BalanceMode.AUTO, high_water=400, low_water=350)


def one(vrid: int, bindings: int, settings: BalanceSettings = MARKS, *, usable: bool = True) -> Standing:
    return Standing(vrid, bytes(16), bindings, settings, usable)


def marks(high: int, low: int, mode: BalanceMode = BalanceMode.AUTO) -> BalanceSettings:
    return BalanceSettings(mode, high, low)


def test_everybody_on_one_of_three_is_divided_evenly_and_it_keeps_its_low_water_mark():
    assert shares(one(51, 1000), [one(52, 0), one(53, 0)]) == {52: 325, 53: 325}


def test_the_least_loaded_is_filled_first():
    assert shares(one(51, 450), [one(52, 300), one(53, 10)]) == {53: 100}


def test_nobody_is_filled_above_its_low_water_mark_while_that_is_enough():
    assert shares(one(51, 400), [one(52, 330), one(53, 340)]) == {52: 20, 53: 10}


def test_others_are_filled_up_to_their_high_water_marks_when_nothing_else_relieves_the_overloaded_one():
    found = shares(one(51, 1000, marks(340, 300)), [one(52, 0, marks(340, 300)), one(53, 0, marks(340, 300))])
    assert found == {52: 330, 53: 330}


def test_nobody_is_filled_above_its_high_water_mark():
    assert shares(one(51, 2000), [one(52, 390, marks(400, 390)), one(53, 400, marks(400, 400))]) == {52: 10}


def test_between_the_marks_only_room_below_low_water_marks_is_used():
    assert shares(one(51, 380), [one(52, 350), one(53, 340)]) == {53: 10}


def test_a_share_is_reserved_for_one_that_may_be_coming_down():
    assert shares(one(51, 380), [one(52, 360), one(53, 340)]) == {53: 7}


def test_one_without_a_master_or_marks_takes_nobody():
    assert shares(one(51, 500), [one(52, 0, usable=False), one(53, 0, BalanceSettings())]) == {}


def test_one_that_does_not_balance_itself_takes_mobile_nodes_if_it_has_marks():
    assert shares(one(51, 400), [one(52, 0, marks(400, 350, BalanceMode.OFF))]) == {52: 50}


def test_the_room_of_the_third_is_divided_between_two_overloaded_ones():
    members = [one(51, 500), one(52, 150), one(53, 450)]
    first = shares(members[0], members[1:])
    second = shares(members[2], members[:2])
    assert first == {52: 120}
    assert second == {52: 80}


def test_a_small_virtual_ha_is_filled_to_its_own_marks():
    assert shares(one(51, 1000), [one(52, 0, marks(20, 10)), one(53, 0)]) == {52: 20, 53: 400}


LOADS = st.lists(st.integers(0, 2000), min_size=2, max_size=8)


@given(LOADS)
def test_masters_that_all_follow_their_shares_fill_nobody_above_its_high_water_mark(loads: list[int]):
    members = [one(vrid, load) for vrid, load in enumerate(loads, 1)]
    coming = dict.fromkeys(range(1, len(loads) + 1), 0)
    for member in members:
        if member.bindings > member.low:
            for vrid, count in shares(member, [other for other in members if other is not member]).items():
                coming[vrid] += count
    for member in members:
        assert coming[member.vrid] <= max(0, member.high - member.bindings)


@given(LOADS)
def test_nobody_gives_more_than_brings_it_to_its_low_water_mark(loads: list[int]):
    members = [one(vrid, load) for vrid, load in enumerate(loads, 1)]
    assert sum(shares(members[0], members[1:]).values()) <= max(0, members[0].bindings - members[0].low)


@given(st.dictionaries(st.integers(1, 9), st.tuples(st.integers(0, 50), st.integers(0, 50))), st.integers(0, 300))
def test_what_is_poured_is_all_there_is_room_for(places: dict[int, tuple[int, int]], amount: int):
    level = {vrid: at for vrid, (at, _unused) in places.items()}
    room = {vrid: free for vrid, (_unused, free) in places.items()}
    poured = fill(level, room, amount)
    assert sum(poured.values()) == min(amount, sum(room.values()))
    assert all(0 <= poured[vrid] <= room[vrid] for vrid in level)
    surface = max((level[vrid] + count for vrid, count in poured.items() if count), default=0)
    assert all(level[vrid] + poured[vrid] >= surface - 1 or poured[vrid] == room[vrid] for vrid in level)


@given(st.integers(0, 1000), st.dictionaries(st.integers(1, 9), st.integers(0, 1000)))
def test_parts_add_up(count: int, wants: dict[int, int]):
    parts = split(count, wants)
    assert sum(parts.values()) == (count if sum(wants.values()) else 0)
    assert all(part >= 0 for part in parts.values())
