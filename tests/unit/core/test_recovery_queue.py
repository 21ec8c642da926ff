# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for a recovery, and who comes first: real mobile nodes say it again, spoofers mostly do not."""

from __future__ import annotations

from tests.unit.core.nodes import at
from tests.unit.core.recovering import acting_master, bind, deleted, esp, home, pace, switches
from tests.unit.core.registering import ELSEWHERE
from vrrp_ha.core.recovery_queue import RecoveryQueue, RecoveryRecord
from vrrp_ha.core.settings import RecoverySettings
from vrrp_ha.core.types import packed

FARTHER = packed("2001:db8:5::1")


def queue(rate: float = 1, burst: int = 1, room: int = 3) -> RecoveryQueue:
    return RecoveryQueue(RecoverySettings(pace=pace(rate, burst), queue=room))


def record(number: int, seconds: float = 1.0) -> RecoveryRecord:
    return RecoveryRecord(home(number), ELSEWHERE, "esp", at(seconds))


def served(waiting: RecoveryQueue, *moments: float) -> list[bytes]:
    found = (waiting.next(at(moment)) for moment in moments)
    return [entry.home_address for entry in found if entry]


def test_first_come_first_served():
    waiting = queue()
    for number in (1, 2, 3):
        assert waiting.add(record(number))
    assert served(waiting, 1, 1, 2, 2.5, 3) == [home(1), home(2), home(3)]
    assert waiting.deadline() is None


def test_who_says_it_again_overtakes_who_does_not():
    waiting = queue()
    entries = [record(number) for number in (1, 2, 3)]
    for entry in entries:
        waiting.add(entry)
    waiting.heard(entries[2], ELSEWHERE, at(2))
    waiting.heard(entries[1], ELSEWHERE, at(2.1))
    assert served(waiting, 2.2, 3.2, 4.2) == [home(3), home(2), home(1)]


def test_a_duplicate_or_another_place_is_not_saying_it_again():
    waiting = queue()
    entries = [record(number) for number in (1, 2, 3)]
    for entry in entries:
        waiting.add(entry)
    waiting.heard(entries[2], ELSEWHERE, at(1.4))
    waiting.heard(entries[1], FARTHER, at(2.5))
    assert entries[1].destination == FARTHER  # it has moved, perhaps
    assert served(waiting, 3) == [home(1)]
    waiting.heard(entries[1], FARTHER, at(3.5))
    assert served(waiting, 4) == [home(2)]


def test_a_full_queue_drops_who_had_a_chance_to_say_it_again_and_did_not():
    waiting = queue()
    entries = [record(number) for number in (1, 2, 3)]
    for entry in entries:
        waiting.add(entry)
    assert not waiting.add(record(4, 6.9))
    waiting.heard(entries[0], ELSEWHERE, at(2))
    assert waiting.add(record(4, 7))
    assert [entry.home_address for entry in waiting] == [home(1), home(3), home(4)]


def test_nobody_who_said_it_again_is_ever_dropped():
    waiting = queue()
    for number in (1, 2, 3):
        waiting.add(entry := record(number))
        waiting.heard(entry, ELSEWHERE, at(2))
    assert not waiting.add(record(4, 100))


def test_those_whom_the_operator_wants_come_before_those_heard_once():
    waiting = queue()
    waiting.add(record(1))
    waiting.add(record(2), first=True)
    assert served(waiting, 2) == [home(2)]


def test_another_pace_is_followed_from_now_on():
    waiting = queue()
    for number in (1, 2, 3):
        waiting.add(record(number))
    assert served(waiting, 1, 1.1) == [home(1)]
    waiting.reconfigure(RecoverySettings(pace=pace(10, 2), queue=3))
    assert served(waiting, 2, 2) == [home(2), home(3)]


# --- the same with packets ---------------------------------------------------------------------------------


def test_a_real_mobile_node_is_served_soon_whatever_a_spoofer_has_put_into_the_queue():
    story = acting_master()
    victims = [home(number) for number in range(500)]
    real = home(9000)
    bind(story, *victims, real)
    for number in range(10_000):
        source = packed("2001:db8:66::")[:6] + number.to_bytes(2, "big") + bytes(7) + b"\1"
        story.receives(esp(victims[number % 500], source), 1 + number / 10_000)
    assert story.state()["recoveries"]["pending"] > 400  # seven minutes at this pace
    told_at = None
    for again in (2.0, 3.0, 5.0, 9.0):
        told = [p.routing_home_address for p, _unused in switches(story.receives(esp(real), again))]
        told += [p.routing_home_address for p, _unused in switches(story.runs_until(again + 0.9))]
        if real in told:
            told_at = again
            break
    assert told_at is not None
    assert told_at <= 3.0


def test_repeating_oneself_from_one_place_uses_up_nobody_elses_share():
    """All behind one /64: what one says again while it waits must not count as another one's trigger."""
    story = acting_master(pace=pace(0.1, 1))
    homes = [home(number) for number in range(5)]
    bind(story, *homes)
    for moment in (1.0, 2.0, 4.0):
        for address in homes:
            story.receives(esp(address), moment)
    assert story.state()["counters"].get("recovery_limited.source", 0) <= 3  # the one that was served, it may ask again
    assert story.state()["recoveries"]["pending"] == 4
    assert deleted(story.runs_until(60)) == homes[1:]
