# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.levels import band, goals
from hypothesis import given
from hypothesis import strategies as st

PLENTY = 10**9


def even(*loads, rooms=None, tolerance=10):
    found = goals(dict(enumerate(loads)), dict(enumerate(rooms or [PLENTY] * len(loads))), tolerance)
    return [found[who] for who in range(len(loads))]


def test_one_that_has_all_gives_to_the_others_down_to_the_edge_of_the_band():
    assert even(900, 0, 0) == [330, 285, 285]


def test_what_does_not_divide_stays_somewhere():
    assert even(10, 0, 0, tolerance=0) == [4, 3, 3]
    assert even(4, 3, 3, tolerance=0) == [4, 3, 3]


def test_within_the_tolerance_nobody_moves():
    assert even(110, 100, 90) == [110, 100, 90]
    assert even(111, 100, 89) == [110, 100, 90]


def test_one_that_is_empty_takes_from_the_most_loaded_first():
    assert even(104, 100, 100, 0) == [78, 78, 79, 69]
    assert even(84, 80, 80, 40, tolerance=20) == [75, 76, 76, 57]


def test_one_with_little_room_takes_no_more_than_that():
    assert even(900, 0, 0, rooms=[PLENTY, 100, PLENTY], tolerance=0) == [400, 100, 400]


def test_one_that_is_overfull_may_stay_so_and_takes_nobody():
    assert even(50, 200, 50, rooms=[60, 10, 60], tolerance=0) == [60, 180, 60]


def test_one_alone_and_nobody_at_all():
    assert even(7) == [7]
    assert even() == []
    assert even(0, 0) == [0, 0]


@st.composite
def fleets(draw):
    loads = draw(st.lists(st.integers(0, 2000), min_size=1, max_size=6))
    rooms = [draw(st.one_of(st.just(PLENTY), st.integers(0, 2000))) for _unused in loads]
    return loads, rooms, draw(st.integers(0, 100))


@given(fleets())
def test_all_end_within_the_tolerance_by_as_few_moves_as_that_takes(fleet):
    loads, rooms, tolerance = fleet
    rooms = [max(room, load) for room, load in zip(rooms, loads, strict=True)]
    least, most = band(dict(enumerate(loads)), dict(enumerate(rooms)), tolerance)
    found = even(*loads, rooms=rooms, tolerance=tolerance)
    assert sum(found) == sum(loads)
    too_many = too_few = moved = 0
    for before, after, room in zip(loads, found, rooms, strict=True):
        assert min(least, room) <= after <= min(most, room)
        too_many += max(0, before - min(most, room))
        too_few += max(0, min(least, room) - before)
        moved += max(0, before - after)
    assert moved == max(too_many, too_few)


@given(fleets())
def test_a_second_look_moves_nobody(fleet):
    loads, rooms, tolerance = fleet
    rooms = [max(room, load) for room, load in zip(rooms, loads, strict=True)]
    once = even(*loads, rooms=rooms, tolerance=tolerance)
    assert even(*once, rooms=rooms, tolerance=tolerance) == once


@pytest.mark.parametrize(("loads", "wanted"), [((900, 0, 0), (270, 330)), ((10, 0, 0), (3, 4)), ((3, 3), (3, 3))])
def test_the_band_is_the_tolerance_around_the_mean(loads, wanted):
    assert band(dict(enumerate(loads)), dict.fromkeys(range(len(loads)), PLENTY), 10) == wanted
