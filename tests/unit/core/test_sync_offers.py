# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/sync_offers.py: what a Master does not know is not lost when others do."""

from __future__ import annotations

import pytest

from tests.unit.core.syncing import (
    NO_DIGESTS,
    UNIT,
    VRID,
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
    nothing,
    pair,
    reports,
)
from vrrp_ha.core.bc_sync import BindingsChanged, RoleChanged, SyncReceived
from vrrp_ha.core.effects import InstallBindings, RemoveBindings
from vrrp_ha.core.sync_offers import SyncOffers
from vrrp_ha.core.types import SECOND, State
from vrrp_ha.wire import bc_sync as wire


def split() -> tuple[Link, Member, Member]:
    """A and B were in sync on bindings 1 to 9 and are both Master now, from 20 s, neither hearing the other."""
    link, a, b = pair()
    link.put(a, *[binding(number) for number in range(1, 10)])
    link.run(until=20)
    assert equal(a, b)
    link.loses = lambda sender, receiver, message: True
    link.tell(b, RoleChanged(State.MASTER, B))
    return link, a, b


def heal(link: Link, winner: Member, loser: Member) -> None:
    """At 30 s they hear each other again."""
    link.run(until=30)
    link.loses = nothing
    link.tell(loser, RoleChanged(State.BACKUP, winner.address))


def test_what_was_registered_with_the_loser_of_a_split_survives():
    link, a, b = split()
    link.put(b, binding(10), binding(1, sequence=2, at_care_of=77))
    heal(link, winner=a, loser=b)
    link.run(until=40)
    assert equal(a, b)
    assert a.cache.get(home(10)).care_of_address == care_of(10)
    assert a.cache.get(home(1)).care_of_address == care_of(77)
    installed = [
        e.home_address for _unused, effect in a.log if isinstance(effect, InstallBindings) for e in effect.bindings
    ]
    assert installed.count(home(10)) == installed.count(home(1)) == 1


def test_what_was_removed_by_the_loser_is_removed():
    link, a, b = split()
    link.remove(b, home(3))
    heal(link, winner=a, loser=b)
    link.run(until=40)
    assert home(3) not in a.cache
    assert equal(a, b)
    assert [e.home_address for _unused, x in a.log if isinstance(x, RemoveBindings) for e in x.bindings] == [home(3)]


def test_what_was_removed_by_the_winner_does_not_come_back():
    link, a, b = split()
    link.remove(a, home(3))
    heal(link, winner=a, loser=b)
    link.run(until=40)
    assert home(3) not in a.cache
    assert home(3) not in b.cache


def test_member_that_offers_what_was_removed_is_told_so_at_once():
    link, a, b = split()
    link.remove(a, home(3))
    heal(link, winner=a, loser=b)
    link.run(until=33)
    assert b.sync.synced
    assert [e.home_address for _unused, x in b.log if isinstance(x, RemoveBindings) for e in x.bindings] == [home(3)]


def test_newer_registration_wins_whoever_has_it():
    link, a, b = split()
    link.put(a, binding(1, sequence=5, at_care_of=50), binding(2, sequence=2, at_care_of=20))
    link.put(b, binding(1, sequence=4, at_care_of=40), binding(2, sequence=3, at_care_of=30))
    heal(link, winner=a, loser=b)
    link.run(until=40)
    for member in (a, b):
        assert member.cache.get(home(1)).care_of_address == care_of(50)
        assert member.cache.get(home(2)).care_of_address == care_of(30)


def test_third_member_hears_of_what_was_recovered():
    link, a, b = split()
    link.put(b, binding(10))
    heal(link, winner=a, loser=b)
    c = Member(C)
    link.join(c, a)
    link.run(until=40)
    assert equal(a, c)
    assert home(10) in c.cache


def test_dump_that_a_third_member_asked_for_does_not_overwrite_what_is_newer():
    link, a, b = split()
    link.put(b, binding(1, sequence=2, at_care_of=77))
    heal(link, winner=a, loser=b)
    link.join(Member(C), a)
    assert b.cache.get(home(1)).care_of_address == care_of(77)
    assert a.cache.get(home(1)).care_of_address == care_of(77)


def test_master_that_restarted_from_an_old_snapshot_gets_back_what_it_forgot():
    link, a, b = pair()
    link.put(a, binding(1))
    link.run(until=15)
    link.members.remove(a)
    again = Member(A, epoch=2)
    link.members.append(again)
    link.tell(again, RoleChanged(State.MASTER, A))
    link.run(until=25)
    assert home(1) in again.cache
    assert equal(again, b)


def test_member_that_missed_an_update_of_its_master_offers_nothing():
    link, a, b = pair()
    link.put(a, binding(1))
    link.run(until=12)
    link.loses = everything(wire.BcUpdate)
    link.remove(a, home(1))
    link.run(until=12.2)
    link.loses = nothing
    link.run(until=20)
    assert b.said(wire.BcUpdate) == []
    assert equal(a, b)
    assert home(1) not in a.cache


def test_member_that_never_had_the_right_cache_offers_nothing():
    a, b = Member(A), Member(B)
    b.cache.put(binding(1))
    link = Link(a)
    link.master(a)
    link.run(until=65)
    link.join(b, a)
    link.run(until=70)
    assert b.said(wire.BcUpdate) == []
    assert len(a.cache) == len(b.cache) == 0


def test_member_whose_new_master_has_the_same_cache_offers_nothing():
    link, a, b = split()
    heal(link, winner=a, loser=b)
    link.run(until=40)
    assert [when for when, _unused in b.said(wire.BcUpdate) if when > 20] == []


def test_offer_that_is_lost_is_made_again():
    link, a, b = split()
    link.put(b, binding(10))
    heal(link, winner=a, loser=b)
    link.loses = lambda sender, receiver, message: sender is b and isinstance(message, wire.BcUpdate)
    link.run(until=32.5)
    assert home(10) not in a.cache
    link.loses = nothing
    link.run(until=40)
    assert home(10) in a.cache
    assert equal(a, b)


def test_last_word_of_a_master_that_was_just_succeeded_is_heard():
    """Its update and its successor's first advertisement pass each other on the link."""
    link, a, b = pair()
    link.tell(b, RoleChanged(State.MASTER, B))
    link.put(a, binding(1))
    assert home(1) in b.cache


def test_master_that_starts_cold_asks_and_gets_what_others_restored():
    """After a power cut of the whole link: everybody has what was on its disk, and nobody was synchronised."""
    a, b = Member(A), Member(B)
    a.cache.put(binding(1))
    b.cache.put_many([binding(number) for number in range(1, 1000)])
    link = Link(a, b)
    link.master(a)
    link.run(until=5)
    assert len(a.cache) == 999
    assert equal(a, b)
    assert b.wanted(RemoveBindings) == []


def test_member_that_turns_up_soon_after_a_cold_start_is_asked_too():
    a, b = Member(A), Member(B)
    b.cache.put(binding(1))
    link = Link(a)
    link.master(a)
    link.run(until=30)
    link.join(b, a)
    link.run(until=35)
    assert home(1) in a.cache


def test_master_that_was_synchronised_by_a_cold_one_asks_too():
    a, b, c = Member(A), Member(B), Member(C)
    c.cache.put(binding(1))
    link = Link(a, b)
    link.master(a)
    link.run(until=5)
    link.master(b)
    link.run(until=10)
    link.join(c, b)
    link.run(until=15)
    for member in (a, b, c):
        assert home(1) in member.cache


def test_what_was_removed_does_not_come_back_from_an_old_snapshot_after_the_master_was_restarted():
    """The one that removed it has forgotten that; another member remembers, and tells it when it starts cold."""
    link, a, b = pair()
    link.put(a, *[binding(number) for number in range(1, 10)])
    link.run(until=15)
    link.remove(a, home(3))
    link.run(until=20)
    link.members.remove(a)
    again = Member(A, epoch=2)
    link.members.append(again)
    link.master(again)
    link.run(until=25)
    assert equal(again, b)
    old = Member(C)
    old.cache.put_many([binding(number) for number in range(1, 10)])
    link.join(old, again)
    link.run(until=40)
    for member in (again, b, old):
        assert home(3) not in member.cache
        assert len(member.cache) == 8


def test_a_removal_that_was_heard_of_does_not_stand_in_the_way_of_a_new_registration():
    offers = SyncOffers(Member(A).cache)
    offers.accept([(0, 5, 0, home(1), care_of(1))], at(10))
    assert offers.removals[home(1)].sequence == 5
    offers.accept([(0, 4, 0, home(1), care_of(1))], at(10))
    assert offers.removals[home(1)].sequence == 5
    assert not offers.accept([(UNIT, 5, 0, home(1), care_of(1))], at(10)).changed
    assert offers.accept([(UNIT, 6, 0, home(1), care_of(1))], at(10)).changed
    assert home(1) not in offers.removals


def test_master_that_was_synchronised_asks_nobody():
    link, _a, b = pair()
    link.run(until=65)
    link.master(b)
    link.run(until=75)
    assert b.said(wire.BcRequest) == []


def test_cold_start_does_not_make_the_members_talk_without_end():
    a, b, c = Member(A), Member(B), Member(C)
    for number, member in enumerate((a, b, c)):
        member.cache.put_many([binding(100 * number + entry) for entry in range(50)])
    link = Link(a, b, c)
    link.master(a)
    link.run(until=10)
    assert len(a.cache) == 150
    assert equal(a, b)
    assert equal(a, c)
    assert sum(len(member.said()) for member in link.members) < 60


@pytest.mark.parametrize("changes", [{"sync_key": None}, {"settings": NO_DIGESTS}])
def test_without_a_key_or_digests_the_master_is_right_in_everything(changes):
    a, b = Member(A, **changes), Member(B, **changes)
    link = Link(a, b)
    link.master(b)
    link.put(b, binding(1))
    link.run(until=5)
    link.members.remove(b)
    link.tell(a, RoleChanged(State.MASTER, A))
    a.cache.remove(home(1))
    link.members.append(b)
    link.tell(b, RoleChanged(State.BACKUP, A))
    link.run(until=15)
    assert home(1) not in a.cache
    assert [when for when, _unused in b.said(wire.BcUpdate) if when >= 5] == []


def test_forged_offer_changes_nothing():
    _link, a, _b = pair()
    option = (600 * SECOND, 1, 0xC000, home(1), care_of(1))
    forged = wire.sign(wire.encode(wire.BcUpdate(VRID, [option]), a.settings), B, 1, b"not the key.....", 1 << 40)
    assert reports(a.tell(SyncReceived(B, forged), at(10))) == ["dropped.sync_bad_mac"]
    assert len(a.cache) == 0


def test_only_so_many_removals_are_remembered():
    member = Member(A)
    member.tell(RoleChanged(State.MASTER, A), at(0))
    gone = [binding(number) for number in range(20_000)]
    member.tell(BindingsChanged([], gone), at(1))
    assert 16_000 < len(member.sync._offers.removals) < 17_000
    assert home(19_999) in member.sync._offers.removals
    expired = [binding(number, expires=1) for number in range(20_000, 20_010)]
    member.tell(BindingsChanged([], expired), at(1))
    assert home(20_001) not in member.sync._offers.removals


def test_offered_lifetime_is_rounded_like_any_other():
    _link, a, b = split()
    option = (UNIT, 9, 0xC000, home(50), care_of(50))
    payload = b.sync._guard.seal(wire.encode(wire.BcUpdate(VRID, [option]), b.settings))
    a.tell(SyncReceived(B, payload), at(20))
    assert a.cache.get(home(50)).expires == at(20) + 2 * UNIT - 1
