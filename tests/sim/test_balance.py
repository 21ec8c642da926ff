# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load balance (draft section 6) under virtual time: three home agents, mobile nodes of every manner, loss, crashes."""

from __future__ import annotations

import pytest

from tests.sim.balancing import FOLLOWS, IGNORES, KEEPS, OBEYS, Balancing, marks
from tests.sim.segment import Link
from vrrp_ha.core.types import SECOND

SEEDS = range(5)
FEW_SEEDS = range(2)  # of stories that last
LOSSY = Link(latency_us=(100, 900), loss=0.05, duplication=0.02, reordering=0.02)
HIGH, LOW, RATE = 26, 22, 5
MARKS = marks(HIGH, LOW, rate=RATE)


def overloaded(seed: int, at=(60, 0, 0), manners=(FOLLOWS,), balance=MARKS, **changes) -> Balancing:
    return Balancing(seed, balance, at, manners, **changes)


def assert_relieved(fleet: Balancing) -> None:
    assert max(fleet.loads()) <= HIGH, fleet.world.story()
    assert sum(fleet.loads()) == len(fleet.nodes)
    assert fleet.nobody_moved_twice()
    assert fleet.nobody_exceeds(RATE)
    fleet.world.checks.quiet()


@pytest.mark.parametrize("manner", [FOLLOWS, KEEPS])
@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_on_one_of_three_ends_within_the_marks_and_nobody_is_unserved_at_any_time(seed: int, manner: str):
    fleet = overloaded(seed, manners=(manner,))
    fleet.run(45)
    assert_relieved(fleet)
    assert fleet.loads() == [LOW, 19, 19]
    assert not fleet.unserved
    assert len(fleet.sent) == len(fleet.told()) == 60 - LOW


@pytest.mark.parametrize("seed", SEEDS)
def test_those_who_deregister_first_are_held_for_newcomers_who_came_by_a_handoff(seed: int):
    fleet = overloaded(seed, manners=(OBEYS,))
    fleet.run(45)
    assert_relieved(fleet)


@pytest.mark.parametrize("seed", SEEDS)
def test_with_losses_everywhere_it_only_takes_longer(seed: int):
    fleet = overloaded(seed, manners=(FOLLOWS, OBEYS, KEEPS), link=LOSSY, access_loss=0.1)
    fleet.run(150)
    assert_relieved(fleet)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_overloaded_ones_do_not_flood_the_third(seed: int):
    fleet = overloaded(seed, at=(32, 0, 30), balance=marks(HIGH, LOW, rate=2))
    fleet.run(60)
    assert_relieved(fleet)
    assert fleet.most[52] <= HIGH
    assert not fleet.unserved


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_those_who_ignore_it_are_served_on_and_refused_until_their_bindings_end_then_left_alone(seed: int):
    fleet = overloaded(seed, manners=(IGNORES, FOLLOWS, FOLLOWS), interval_us=SECOND)
    fleet.run(150)
    assert_relieved(fleet)
    assert not fleet.unserved
    deaf = [node for node in fleet.nodes if node.manner == IGNORES and node.home in fleet.told()]
    assert fleet.handoffs()["failed"] > 0
    fleet.run(1500, watch=False)
    assert all(129 in node.refused for node in deaf)
    messages = len(fleet.sent)
    fleet.run(600, watch=False)
    assert len(fleet.sent) == messages
    assert all(fleet.is_bound(node) and not node.in_doubt for node in deaf)


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_where_nobody_goes_no_more_are_told_and_all_may_stay(seed: int):
    fleet = overloaded(seed, at=(200, 0, 0), manners=(IGNORES,), balance=marks(HIGH, LOW, rate=50), interval_us=SECOND)
    fleet.run(570)
    assert len(fleet.told()) < 64 + 16
    assert fleet.world.master().reports["balance_paused"]
    assert fleet.loads() == [200, 0, 0]
    assert not fleet.unserved


@pytest.mark.parametrize("seed", SEEDS)
def test_after_the_overloaded_masters_death_its_successor_goes_on_and_nobody_moves_twice(seed: int):
    fleet = overloaded(seed, manners=(FOLLOWS, OBEYS, KEEPS), access_loss=0.05)
    fleet.run(3 + fleet.world.rng.random() * 4)
    began = len(fleet.told())
    fleet.world.host("a").power_off()
    assert 0 < began < 60 - LOW
    fleet.run(1, watch=False)
    told_by_the_first = fleet.told()
    fleet.run(110)
    assert max(fleet.loads()) <= HIGH
    assert sum(fleet.loads()) == len(fleet.nodes)
    assert fleet.nobody_moved_twice()
    assert fleet.told() - told_by_the_first
    assert all(fleet.is_bound(node) for node in fleet.nodes)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_death_of_a_master_who_takes_them_loses_nobody(seed: int):
    fleet = overloaded(seed, manners=(FOLLOWS, KEEPS), access_loss=0.05)
    fleet.run(3 + fleet.world.rng.random() * 4)
    fleet.world.host("b").power_off()
    fleet.run(100)
    assert max(fleet.loads()) <= HIGH
    assert all(fleet.is_bound(node) for node in fleet.nodes)
    assert fleet.nobody_moved_twice()


@pytest.mark.parametrize("seed", SEEDS)
def test_after_the_hold_time_who_came_may_go(seed: int):
    """And not before: what the load wants then has to wait."""
    fleet = overloaded(seed, at=(40, 0, 0), balance=marks(HIGH, LOW, rate=RATE, hold_s=60))
    fleet.run(20)
    came = {node.home for node in fleet.nodes if node.went}
    until = fleet.world.now + 40 * SECOND
    fleet.run(100, watch=False)
    assert not any(sent.home in came and sent.at < until and sent.vrid != 51 for sent in fleet.sent)
