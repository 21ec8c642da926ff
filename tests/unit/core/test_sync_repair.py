# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/bc_sync.py and sync_receiver.py: how a Backup stays equal to its Master, and notices when it is not."""

from __future__ import annotations

import pytest

from tests.unit.core.syncing import (
    VRID,
    A,
    B,
    C,
    Link,
    Member,
    at,
    bare,
    binding,
    equal,
    everything,
    home,
    lonely,
    nothing,
    pair,
    requests,
    run,
    update_of,
)
from vrrp_ha.core.bc_sync import SyncCompleted, SyncLost
from vrrp_ha.core.effects import InstallBindings, RemoveBindings
from vrrp_ha.wire import bc_sync as wire


def test_changes_arrive_as_batches():
    link, a, b = pair()
    link.put(a, *[binding(number) for number in range(35)])
    installs = [effect for _unused, effect in b.log if isinstance(effect, InstallBindings)]
    assert [len(effect.bindings) for effect in installs] == [35]
    link.remove(a, home(0), home(1))
    removals = [effect for _unused, effect in b.log if isinstance(effect, RemoveBindings)]
    assert [len(effect.bindings) for effect in removals] == [2]
    assert equal(a, b)


def test_repeats_and_refreshes_cost_the_kernel_nothing():
    link, a, b = pair()
    link.put(a, binding(1))
    link.run(until=11)
    link.put(a, binding(1, expires=900, sequence=2))
    link.run(until=30)
    assert len(b.wanted(InstallBindings)) == 1
    assert b.cache.get(home(1)).expires >= at(900)
    assert b.wanted(SyncLost) == []


def test_expiry_of_the_master_removes_the_entry_everywhere_at_once():
    link, a, b = pair()
    link.put(a, binding(1, expires=50))
    link.run(until=60)
    assert b.wanted(RemoveBindings) == [50]
    assert b.wanted(SyncLost) == []


def test_single_loss_is_made_good_by_the_repeat():
    link, a, b = pair()
    link.loses = everything(wire.BcUpdate)
    link.put(a, binding(1))
    link.loses = nothing
    link.run(until=10.1)
    assert equal(a, b)


def drop_updates(link: Link, a: Member, moment: float) -> None:
    """A change at that moment of which nothing arrives."""
    link.run(until=moment)
    link.loses = everything(wire.BcUpdate)
    link.put(a, binding(round(moment * 1000)))
    link.run(until=moment + 0.15)
    link.loses = nothing


@pytest.mark.parametrize("moment", [10.0 + step / 4 for step in range(9)])
def test_backup_that_missed_updates_has_repaired_itself_within_two_digest_intervals(moment: float):
    link, a, b = pair()
    drop_updates(link, a, moment)
    assert not equal(a, b)
    link.run(until=moment + 4)
    assert equal(a, b)
    assert b.sync.synced
    assert len(b.wanted(SyncLost)) == len(b.wanted(SyncCompleted)) == 1
    assert b.wanted(SyncLost)[0] == requests(b)[0]


def test_backup_that_missed_updates_repairs_itself_also_when_others_go_on_arriving():
    link, a, b = pair()
    drop_updates(link, a, 10.5)
    for step in range(60):
        link.put(a, binding(step))
        link.run(until=10.7 + step / 10)
    assert equal(a, b)
    assert b.wanted(SyncLost)[0] <= 10.5 + 4


def test_missed_deletion_is_repaired():
    link, a, b = pair()
    link.put(a, binding(1), binding(2))
    link.run(until=12)
    link.loses = everything(wire.BcUpdate)
    link.remove(a, home(1))
    link.run(until=12.15)
    link.loses = nothing
    link.run(until=16)
    assert equal(a, b)
    assert home(1) not in b.cache


def test_digest_that_overtakes_an_update_does_no_harm():
    member = lonely(sync_key=None)
    member.tell(bare(wire.BcDigest(VRID, 0, 0)), at(0.5))
    assert member.sync.synced
    other = Member(A)
    other.cache.put(binding(1))
    member.tell(bare(wire.BcDigest(VRID, 1, other.cache.digest)), at(2.5))
    member.tell(bare(update_of(binding(1), now=2.6)), at(2.6))
    run(member, 4)
    member.tell(bare(wire.BcDigest(VRID, 1, other.cache.digest)), at(4.5))
    run(member, 6)
    assert member.wanted(SyncLost) == []


def test_two_digests_in_quick_succession_are_no_proof():
    member = lonely(sync_key=None)
    member.tell(bare(wire.BcDigest(VRID, 0, 0)), at(0.5))
    for when in (2.5, 2.51):
        member.tell(bare(wire.BcDigest(VRID, 1, 99)), at(when))
    assert member.sync.synced
    member.tell(bare(wire.BcDigest(VRID, 1, 99)), at(3.1))
    assert not member.sync.synced


def test_replica_whose_lifetime_ends_first_waits_for_the_master():
    """After a change of Master the new one's lifetime may be the longer one, by less than a unit."""
    a, b, c = Member(A), Member(B), Member(C)
    b.cache.put(binding(1, expires=103.5))
    c.cache.put(binding(1, expires=100.5))
    link = Link(a, b, c)
    link.master(b)
    link.run(until=120)
    assert c.wanted(SyncLost) == []
    assert c.wanted(RemoveBindings) == [103.5]
