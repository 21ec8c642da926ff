# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/bc_sync.py: what a change of Master, a returning owner or a lost link means for the synchronisation."""

from __future__ import annotations

from tests.unit.core.syncing import (
    SYNC,
    A,
    B,
    C,
    Link,
    Member,
    at,
    binding,
    care_of,
    equal,
    everything,
    home,
    lonely,
    nothing,
    pair,
    reports,
    requests,
    run,
    update_of,
)
from vrrp_ha.core.bc_sync import RoleChanged, SyncCompleted, SyncReceived, SyncTimedOut
from vrrp_ha.core.types import State
from vrrp_ha.wire import bc_sync as wire


def test_master_is_synced_by_being_master():
    member = Member(A)
    assert not member.sync.synced
    member.tell(RoleChanged(State.MASTER, A), at(0))
    assert member.sync.synced
    assert member.wanted(SyncCompleted) == []


def test_member_that_became_master_without_a_sync_is_not_synced_afterwards():
    a, b = Member(A), Member(B)
    a.tell(RoleChanged(State.MASTER, A), at(0))
    b.cache.put(binding(1))
    link = Link(b)
    link.master(b)
    link.loses = everything(wire.BcUpdate)
    link.join(a, b)
    assert not a.sync.synced
    link.loses = nothing
    link.run(until=5)
    assert len(a.wanted(SyncCompleted)) == 1
    assert equal(a, b)


def test_backup_stays_synced_when_the_new_masters_digest_equals_its_own():
    link, a, b = pair()
    c = Member(C)
    link.join(c, a)
    link.put(a, *[binding(number) for number in range(50)])
    link.run(until=15)
    for member in (b, c):
        member.log.clear()
    link.members.remove(a)
    link.master(b)
    link.run(until=40)
    assert requests(c) == []
    assert c.sync.synced
    assert c.wanted(SyncCompleted) == []


def test_backup_that_differs_from_the_new_master_is_brought_right_by_its_digest():
    link, a, b = pair()
    c = Member(C)
    link.join(c, a)
    link.run(until=15)
    link.loses = lambda sender, receiver, message: receiver is c
    link.put(a, binding(1))
    link.run(until=15.15)
    link.loses = nothing
    link.members.remove(a)
    link.master(b)
    link.run(until=19)
    assert equal(b, c)
    assert c.sync.synced


def test_returning_owner_completes_before_anything_else_and_says_everything_as_master():
    a, b = Member(A, priority=255), Member(B)
    b.cache.put_many([binding(number) for number in range(100)])
    link = Link(b)
    link.master(b)
    link.run(until=5)
    link.join(a, b)
    assert a.sync.synced
    assert equal(a, b)
    link.master(a)
    assert sum(len(update.bindings) for _unused, update in a.said(wire.BcUpdate)) == 100


def test_owner_that_gets_no_complete_answer_says_so_once_and_goes_on_asking():
    a, b = Member(A), Member(B, priority=255)
    a.cache.put(binding(1))
    link = Link(a)
    link.master(a)
    link.loses = everything(wire.BcUpdate)
    link.join(b, a)
    link.run(until=60)
    assert b.wanted(SyncTimedOut) == [10]
    assert max(requests(b)) > 40
    link.loses = nothing
    link.run(until=80)
    assert b.sync.synced


def test_sync_timeout_is_the_owners_alone():
    a, b = Member(A), Member(B)
    a.cache.put(binding(1))
    link = Link(a)
    link.master(a)
    link.loses = everything(wire.BcUpdate)
    link.join(b, a)
    link.run(until=60)
    assert b.wanted(SyncTimedOut) == []


def test_member_off_the_link_waits_in_silence_and_begins_anew():
    link, _a, b = pair()
    b.tell(RoleChanged(State.INITIALIZE, None), link.now)
    assert b.sync.deadline() is None
    assert not b.sync.synced
    b.log.clear()
    link.run(until=20)
    link.tell(b, RoleChanged(State.BACKUP, None))
    assert requests(b) == [20]
    link.tell(b, RoleChanged(State.BACKUP, A))
    link.run(until=23)
    assert b.sync.synced


def test_unsynced_backup_asks_a_new_master_at_once():
    member = lonely()
    run(member, 3)
    member.tell(RoleChanged(State.BACKUP, C), at(5))
    assert requests(member) == [0, 1, 2, 5]


def test_forged_flood_from_the_masters_address_changes_nothing():
    link, a, b = pair()
    for _unused in range(50):
        forged = wire.sign(wire.encode(update_of(binding(1), now=10), SYNC), A, 1, b"not the key.....", 1 << 40)
        assert reports(b.tell(SyncReceived(A, forged), at(10))) == ["dropped.sync_bad_mac"]
    link.put(a, binding(2))
    assert equal(a, b)
    assert care_of(2) == b.cache.get(home(2)).care_of_address
