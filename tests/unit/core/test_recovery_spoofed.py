# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody pretends to be mobile nodes that lost their keys: how much of the RBC that costs, at most."""

from __future__ import annotations

import pytest

from tests.unit.core.nodes import at
from tests.unit.core.recovering import acting_master, bind, deleted, esp, home, pace, switches, unreadable
from tests.unit.core.registering import HOME
from vrrp_ha.core.token_bucket import TokenBucket, TokenBuckets
from vrrp_ha.core.types import packed

VICTIMS = [home(number) for number in range(500)]
TRIGGERS = 10_000


def spoofed_source(number: int, prefixes: int) -> bytes:
    """Any address of a few prefixes of the spoofer."""
    return packed("2001:db8:66::")[:6] + (number % prefixes).to_bytes(2, "big") + number.to_bytes(8, "big")


@pytest.mark.parametrize("prefixes", [1, 65_536], ids=["one source prefix", "a prefix each"])
def test_ten_thousand_triggers_cost_no_more_than_the_pace_allows(prefixes):
    story = acting_master()
    bind(story, *VICTIMS)
    lost = []
    for number in range(TRIGGERS):
        seconds = 1 + number / 1000  # in ten seconds
        lost += deleted(story.receives(esp(VICTIMS[number % 500], spoofed_source(number, prefixes)), seconds))
        lost += deleted(story.runs_until(seconds))
    by_pace = 10 + 1 * 10
    by_source = 5 + 10 / 5
    assert len(lost) <= (by_source if prefixes == 1 else by_pace)
    assert len(story.node.bindings(51)) == 501 - len(lost)


def test_the_end_of_the_triggers_is_the_end_of_the_losses_but_for_the_queue():
    story = acting_master(queue=20)
    bind(story, *VICTIMS)
    lost = []
    for number in range(1000):
        lost += deleted(story.receives(esp(VICTIMS[number % 500], spoofed_source(number, 65_536)), 1.0))
    lost += deleted(story.runs_until(120.0))
    assert len(lost) == 10 + 20


def test_one_source_does_not_take_the_turns_of_others():
    story = acting_master()
    bind(story, *VICTIMS)
    for number in range(1000):
        story.receives(esp(VICTIMS[number % 500], spoofed_source(number, 1)), 1.0)
    assert story.state()["counters"]["recovery_limited.source"] == 995
    assert switches(story.receives(unreadable(HOME), 1.0))  # the real one, from elsewhere


def test_a_spoofer_cannot_have_many_packets_sent_to_somebody_else():
    story = acting_master()
    sent = []
    for number in range(1000):
        sent += switches(story.receives(esp(HOME, spoofed_source(number, 1)), 1.0))
    assert len(sent) == 1


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = TokenBucket(pace(0.5, 3), at(0))
    assert [bucket.take(at(0)) for _unused in range(4)] == [True, True, True, False]
    assert bucket.next_token(at(0)) == at(2)
    assert not bucket.take(at(1.999999))
    assert bucket.take(at(2))
    assert [bucket.take(at(100)) for _unused in range(4)] == [True, True, True, False]


def test_a_clock_that_seems_to_stand_still_gives_nothing():
    bucket = TokenBucket(pace(1, 1), at(10))
    assert bucket.take(at(10))
    assert not bucket.take(at(9))
    assert not bucket.take(at(10.5))
    assert bucket.take(at(11))


def test_sources_are_not_remembered_without_end():
    buckets = TokenBuckets(pace(1, 2), 100)
    for number in range(10_000):
        assert buckets.take(number.to_bytes(8, "big"), at(1))
    assert len(buckets) == 100
    buckets.take(b"late", at(10))  # by then the others are as good as new
    assert len(buckets) == 1


def test_a_source_that_is_in_use_is_remembered():
    buckets = TokenBuckets(pace(0.001, 1), 3)
    assert buckets.take(b"loud", at(1))
    for number in range(10):
        buckets.take(bytes((number,)), at(1))
        assert not buckets.take(b"loud", at(1))
