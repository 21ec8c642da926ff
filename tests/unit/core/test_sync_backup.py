# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/bc_sync.py and sync_receiver.py: how a Backup gets the Master's bindings, and from whom."""

from __future__ import annotations

import pytest

from tests.unit.core.syncing import (
    NO_DIGESTS,
    STRANGER,
    SYNC,
    VRID,
    A,
    B,
    Link,
    Member,
    at,
    bare,
    binding,
    equal,
    everything,
    home,
    lonely,
    reports,
    requests,
    run,
    update_of,
)
from vrrp_ha.core.bc_sync import RoleChanged, SendSync, SyncCompleted, SyncReceived, SyncTimedOut
from vrrp_ha.core.effects import InstallBindings, RemoveBindings, Report
from vrrp_ha.core.types import State
from vrrp_ha.wire import bc_sync as wire

# --- the first synchronisation ---------------------------------------------------------------------------------


def test_backup_gets_everything_and_says_when_it_has_it():
    a, b = Member(A), Member(B)
    a.cache.put_many([binding(number) for number in range(1000)])
    link = Link(a)
    link.master(a)
    link.run(until=5)
    link.join(b, a)
    link.run(until=5.1)
    assert equal(a, b)
    assert b.sync.synced
    assert len(b.wanted(SyncCompleted)) == 1
    installed = [entry for _unused, effect in b.log if isinstance(effect, InstallBindings) for entry in effect.bindings]
    assert {entry.home_address for entry in installed} == {home(number) for number in range(1000)}
    assert isinstance(b.log[-1][1], SyncCompleted)


def test_backup_asks_on_start_though_it_has_not_heard_a_master():
    member = Member(B)
    member.tell(RoleChanged(State.BACKUP, None), at(0))
    run(member, 60)
    assert requests(member) == [0]
    assert not member.sync.synced


def test_backup_asks_a_master_that_it_hears_later_but_not_twice_within_the_second_that_is_answered_once():
    member = Member(B)
    member.tell(RoleChanged(State.BACKUP, None), at(0))
    member.tell(RoleChanged(State.BACKUP, A), at(0.25))
    run(member, 4)
    assert requests(member) == [0, 1, 2, 3]
    late = Member(B)
    late.tell(RoleChanged(State.BACKUP, None), at(0))
    late.tell(RoleChanged(State.BACKUP, A), at(5))
    assert requests(late) == [0, 5]


def test_unanswered_backup_asks_at_0_1_2_and_every_10_seconds():
    a, b = Member(A), Member(B)
    link = Link(a)
    link.master(a)
    link.loses = everything(wire.BcRequest, wire.BcUpdate, wire.BcDigest)
    link.join(b, a)
    b.sync._receiver._digest_heard = True  # a Master known for sending digests
    link.run(until=33)
    assert requests(b) == [0, 1, 2, 12, 22, 32]


def test_backup_whose_cache_is_the_masters_already_needs_no_answer():
    a, b = Member(A), Member(B)
    for member in (a, b):
        member.cache.put(binding(1))
    link = Link(a, b)
    link.loses = everything(wire.BcUpdate)
    link.master(a)
    link.run(until=0.1)
    assert b.sync.synced
    assert b.wanted(InstallBindings) == []


def test_backup_does_not_ask_again_while_the_answer_is_coming_in():
    member = lonely(sync_key=None)
    for number in range(60):
        member.tell(bare(update_of(*[binding(20 * number + more) for more in range(20)])), at(0.05 * number))
        run(member, 0.05 * number)
    assert requests(member) == [0]
    member.tell(bare(wire.BcDigest(VRID, 1201, 1)), at(3))
    run(member, 3)
    assert requests(member) == [0, 3]


def test_incomplete_answer_is_asked_for_again_within_a_second():
    a, b = Member(A), Member(B)
    a.cache.put_many([binding(number) for number in range(100)])
    link = Link(a)
    link.master(a)
    link.run(until=5)
    updates = iter(range(1000))
    link.loses = lambda sender, receiver, message: isinstance(message, wire.BcUpdate) and next(updates) == 1
    link.join(b, a)
    assert not b.sync.synced
    link.run(until=6)
    assert b.sync.synced
    assert equal(a, b)


def test_two_lossy_answers_together_are_a_complete_one():
    a, b = Member(A), Member(B)
    a.cache.put_many([binding(number) for number in range(100)])
    b.cache.put_many([binding(number) for number in range(500, 510)])
    link = Link(a)
    link.master(a)
    link.run(until=65)
    updates = iter(range(1000))
    link.loses = lambda sender, receiver, message: isinstance(message, wire.BcUpdate) and next(updates) in (0, 4)
    link.join(b, a)
    link.run(until=66)
    assert b.sync.synced
    assert equal(a, b)


def test_entries_that_the_complete_answer_did_not_contain_are_removed():
    a, b = Member(A), Member(B)
    a.cache.put_many([binding(1), binding(2)])
    b.cache.put_many([binding(2), binding(3), binding(4)])
    link = Link(a)
    link.master(a)
    link.run(until=65)
    link.join(b, a)
    assert equal(a, b)
    kinds = [type(effect) for _unused, effect in b.log if not isinstance(effect, (Report, SendSync))]
    assert kinds == [InstallBindings, RemoveBindings, SyncCompleted]
    removed = next(effect for _unused, effect in b.log if isinstance(effect, RemoveBindings))
    assert {entry.home_address for entry in removed.bindings} == {home(3), home(4)}


def test_nothing_is_removed_after_an_incomplete_answer():
    a, b = Member(A), Member(B)
    a.cache.put_many([binding(number) for number in range(100)])
    b.cache.put(binding(500))
    link = Link(a)
    link.master(a)
    link.run(until=65)
    updates = iter(range(1000))
    link.loses = lambda sender, receiver, message: isinstance(message, wire.BcUpdate) and next(updates) % 3 == 1
    link.join(b, a)
    link.run(until=100)
    assert not b.sync.synced
    assert home(500) in b.cache
    assert b.wanted(RemoveBindings) == []


def test_entry_about_to_expire_does_not_keep_a_backup_from_its_sync_for_long():
    a, b = Member(A), Member(B)
    a.cache.put_many([binding(1, expires=8.5), binding(2)])
    link = Link(a)
    link.master(a)
    link.run(until=5)
    link.join(b, a)
    link.run(until=11)
    assert b.sync.synced
    assert equal(a, b)


def test_large_cache_arrives_with_every_link_losing_a_tenth():
    a, b = Member(A), Member(B)
    a.cache.put_many([binding(number) for number in range(20_000)])
    b.cache.put_many([binding(number) for number in range(50_000, 50_100)])
    link = Link(a)
    link.master(a)
    link.run(until=5)
    number = iter(range(10**9))
    link.loses = lambda sender, receiver, message: next(number) * 7919 % 10 == 3
    link.join(b, a)
    link.run(until=15)
    assert equal(a, b)
    assert b.sync.synced


# --- without digests -------------------------------------------------------------------------------------------


def test_without_digests_a_second_answer_that_brings_nothing_new_completes_and_nothing_is_removed():
    a, b = Member(A, settings=NO_DIGESTS), Member(B, settings=NO_DIGESTS)
    a.cache.put(binding(1))
    b.cache.put(binding(2))
    link = Link(a)
    link.master(a)
    link.join(b, a)
    link.run(until=1.5)
    assert not b.sync.synced
    link.run(until=2)
    assert b.sync.synced
    assert home(1) in b.cache
    assert home(2) in b.cache
    link.run(until=60)
    assert requests(b) == [0, 1]


def test_master_that_never_sends_a_digest_is_believed_after_two_intervals():
    a, b = Member(A, settings=NO_DIGESTS), Member(B)
    a.cache.put(binding(1))
    link = Link(a)
    link.master(a)
    link.join(b, a)
    link.run(until=3.9)
    assert not b.sync.synced
    link.run(until=5)
    assert b.sync.synced
    assert home(1) in b.cache


def test_master_that_says_nothing_at_all_has_not_answered():
    member = lonely(priority=255)
    run(member, 30)
    assert not member.sync.synced
    assert member.wanted(SyncTimedOut) == [10]


def test_busy_master_without_digests_is_believed_after_four_answers():
    a, b = Member(A, settings=NO_DIGESTS), Member(B, settings=NO_DIGESTS)
    link = Link(a)
    link.master(a)
    link.join(b, a)
    for step in range(150):
        link.run(until=step / 10)
        link.put(a, binding(step))
    link.run(until=16)
    assert 12 <= b.wanted(SyncCompleted)[0] <= 14
    assert equal(a, b)


def test_digest_is_dropped_when_digests_are_switched_off():
    member = lonely(settings=NO_DIGESTS, sync_key=None)
    assert reports(member.tell(bare(wire.BcDigest(VRID, 0, 0)), at(0.5))) == ["dropped.sync_digest_off"]
    assert not member.sync.synced


# --- from whom -------------------------------------------------------------------------------------------------


def test_only_the_current_master_is_followed():
    member = lonely(sync_key=None)
    update = wire.encode(update_of(binding(1)), SYNC)
    digest = wire.encode(wire.BcDigest(VRID, 0, 0), SYNC)
    for payload in (update, digest):
        effects = member.tell(SyncReceived(STRANGER, payload), at(0.5))
        assert [(e.level, e.kind) for e in effects] == [("debug", "dropped.sync_not_master")]
    assert len(member.cache) == 0
    assert not member.sync.synced
    member.tell(SyncReceived(A, update), at(0.5))
    assert home(1) in member.cache


def test_master_follows_nobody():
    master = Member(A, sync_key=None)
    master.tell(RoleChanged(State.MASTER, A), at(0))
    for message in (update_of(binding(1)), wire.BcDigest(VRID, 1, 1)):
        effects = master.tell(SyncReceived(B, wire.encode(message, SYNC)), at(0.05))
        assert reports(effects) == ["dropped.sync_not_master"]
    assert len(master.cache) == 0


def test_member_that_just_started_follows_whoever_answers():
    member = Member(B, sync_key=None)
    member.tell(RoleChanged(State.BACKUP, None), at(0))
    member.tell(bare(update_of(binding(1))), at(0.1))
    assert home(1) in member.cache
    effects = member.tell(SyncReceived(STRANGER, wire.encode(update_of(binding(2)), SYNC)), at(0.1))
    assert reports(effects) == ["dropped.sync_not_master"]


def test_damaged_and_unsigned_messages_change_nothing_and_are_counted():
    member = lonely()
    payload = wire.encode(update_of(binding(1)), SYNC)
    assert reports(member.tell(SyncReceived(A, payload), at(0.5))) == ["dropped.sync_unauthenticated"]
    open_member = lonely(sync_key=None)
    assert reports(open_member.tell(SyncReceived(A, payload[:-1]), at(0.5))) == ["dropped.length"]
    assert len(member.cache) == len(open_member.cache) == 0


@pytest.mark.parametrize("length", range(48))
def test_no_short_message_raises(length: int):
    for member in (lonely(), lonely(sync_key=None)):
        effects = member.tell(SyncReceived(A, bytes((0x33, VRID, 0, 1, 0, 0, 0, 0) * 6)[:length]), at(0.5))
        assert effects
        assert reports(effects)[0].startswith("dropped.")
