# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/bc_sync.py and sync_sender.py: what a Master says about its cache, to whom and when."""

from __future__ import annotations

import pytest

from tests.unit.core.syncing import (
    NO_DIGESTS,
    STRANGER,
    SYNC,
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
    home,
    opened,
    pair,
)
from vrrp_ha.core.bc_sync import BindingsChanged, FlushRequested, RoleChanged, SendSync, SyncReceived
from vrrp_ha.core.effects import Report
from vrrp_ha.core.events import TimerFired
from vrrp_ha.core.settings import SyncSettings
from vrrp_ha.core.types import SECOND, State
from vrrp_ha.wire import bc_sync as wire

BARE_REQUEST = wire.encode(wire.BcRequest(VRID), SYNC)


def master(**changes) -> Member:
    """Master since 0 s, its first digest already sent; requests need no signature."""
    member = Member(A, sync_key=None, **changes)
    member.tell(RoleChanged(State.MASTER, A), at(0))
    run(member, 1)
    member.log.clear()
    return member


def run(member: Member, until: float) -> None:
    while (due := member.sync.deadline()) is not None and due <= at(until):
        member.tell(TimerFired(), due)


def ask(member: Member, seconds: float, source: bytes = B) -> None:
    member.tell(SyncReceived(source, BARE_REQUEST), at(seconds))


def lifetimes(message: wire.BcUpdate) -> dict[bytes, int]:
    return {option[3]: option[0] for option in message.bindings}


def dumps(member: Member) -> list[float]:
    """When a whole answer began: one update, for these small caches."""
    return [when for when, _unused in member.said(wire.BcUpdate)]


# --- changes ---------------------------------------------------------------------------------------------------


def test_change_goes_out_at_once_and_again_after_100_ms():
    member = master()
    member.cache.put(binding(1))
    member.tell(BindingsChanged([binding(1)], []), at(2.5))
    run(member, 3)
    said = member.said(wire.BcUpdate)
    assert [when for when, _unused in said] == [2.5, 2.6]
    assert said[0][1] == wire.BcUpdate(VRID, [(596 * SECOND, 1, 0xC000, home(1), care_of(1))])
    assert said[1][1] == said[0][1]


@pytest.mark.parametrize("sends", [1, 2, 4])
def test_change_is_sent_as_often_as_the_settings_say(sends: int):
    member = master(settings=SyncSettings(delta_sends=sends))
    member.cache.put(binding(1))
    member.tell(BindingsChanged([binding(1)], []), at(2.5))
    run(member, 4)
    assert [when for when, _unused in member.said(wire.BcUpdate)] == pytest.approx(
        [2.5 + 0.1 * n for n in range(sends)]
    )


def test_only_what_changed_goes_out():
    member = master()
    member.cache.put_many([binding(number) for number in range(100)])
    member.tell(BindingsChanged([binding(7)], []), at(2.5))
    assert [lifetimes(update).keys() for _unused, update in member.said(wire.BcUpdate)] == [{home(7)}]


def test_changes_of_one_event_share_messages():
    member = master()
    entries = [binding(number) for number in range(100)]
    member.cache.put_many(entries)
    member.tell(BindingsChanged(entries, []), at(2.5))
    assert [len(update.bindings) for _unused, update in member.said(wire.BcUpdate)] == [36, 36, 28]


def test_messages_fit_the_link():
    member = master(mtu=1280)
    entries = [binding(number) for number in range(100)]
    member.cache.put_many(entries)
    member.tell(BindingsChanged(entries, []), at(2.5))
    sizes = [len(effect.payload) + 40 for _unused, effect in member.log if isinstance(effect, SendSync)]
    assert max(sizes) <= 1280 < max(sizes) + 40


def test_removal_goes_out_as_lifetime_zero_twice():
    member = master()
    member.tell(BindingsChanged([], [binding(1)]), at(2.5))
    run(member, 3)
    assert [lifetimes(update) for _unused, update in member.said(wire.BcUpdate)] == [{home(1): 0}] * 2


def test_repeat_carries_what_is_true_by_then():
    member = master()
    member.cache.put(binding(1))
    member.tell(BindingsChanged([binding(1)], []), at(2.5))
    member.cache.remove(home(1))
    member.tell(BindingsChanged([], [binding(1)]), at(2.55))
    member.cache.put(binding(2))
    member.tell(BindingsChanged([binding(2)], []), at(2.56))
    run(member, 4)
    assert [
        (when, lifetimes(update)[home(1)])
        for when, update in member.said(wire.BcUpdate)
        if home(1) in lifetimes(update)
    ] == [
        (2.5, 596 * SECOND),
        (2.55, 0),
        (2.6, 0),
        (2.65, 0),
    ]


def test_repeats_of_a_busy_master_share_messages():
    member = master()
    for number in range(20):
        member.cache.put(binding(number))
        member.tell(BindingsChanged([binding(number)], []), at(2.5) + 1000 * number)
    run(member, 3)
    sizes = [len(update.bindings) for _unused, update in member.said(wire.BcUpdate)]
    assert sizes == [1] * 20 + [20]


def test_live_entry_is_never_sent_as_a_deletion():
    member = master()
    member.cache.put(binding(1, expires=6.55))
    member.tell(BindingsChanged([binding(1, expires=6.55)], []), at(2.5))
    run(member, 4)
    assert [lifetimes(update) for _unused, update in member.said(wire.BcUpdate)] == [{home(1): UNIT}]


def test_burst_is_cut_into_turns():
    member = master()
    entries = [binding(number) for number in range(3000)]
    member.cache.put_many(entries)
    member.tell(BindingsChanged(entries, []), at(1.5))
    assert 0 < len(member.log) <= 16  # that it was asked, and 15 messages
    run(member, 1.55)
    told = {home_address for _unused, update in member.said(wire.BcUpdate) for home_address in lifetimes(update)}
    assert len(told) == 3000
    run(member, 4)
    assert sum(len(update.bindings) for _unused, update in member.said(wire.BcUpdate)) == 6000


def test_backup_says_nothing_about_its_cache():
    member = Member(B)
    member.tell(RoleChanged(State.BACKUP, A), at(0))
    member.tell(BindingsChanged([], [binding(1)]), at(1))
    assert member.said(wire.BcUpdate) == []


def test_former_master_takes_back_what_it_was_about_to_say():
    member = master()
    member.cache.put(binding(1))
    member.tell(BindingsChanged([binding(1)], []), at(2.5))
    member.tell(RoleChanged(State.BACKUP, B), at(2.55))
    run(member, 30)
    assert dumps(member) == [2.5]


# --- everything ------------------------------------------------------------------------------------------------


def test_request_is_answered_with_everything_and_a_digest():
    member = master()
    member.cache.put_many([binding(number) for number in range(50)])
    ask(member, 2.5)
    updates = [message for _unused, message in member.said(wire.BcUpdate)]
    assert {home_address for update in updates for home_address in lifetimes(update)} == {home(n) for n in range(50)}
    assert member.said()[-1] == (2.5, wire.BcDigest(VRID, 50, member.cache.digest))


def test_empty_cache_is_a_digest():
    member = master()
    ask(member, 2.5)
    assert member.said() == [(2.5, wire.BcDigest(VRID, 0, 0))]


def test_backup_does_not_answer():
    member = Member(C, sync_key=None)
    member.tell(RoleChanged(State.BACKUP, A), at(0))
    member.cache.put(binding(1))
    ask(member, 1)
    assert member.said(wire.BcUpdate) == []


def test_requests_of_one_member_close_together_are_answered_once():
    member = master()
    member.cache.put(binding(1))
    for when in (2.5, 2.6, 3.39):
        ask(member, when)
    run(member, 10)
    assert dumps(member) == [2.5]


def test_second_member_that_asks_soon_after_is_answered_a_little_later():
    member = master()
    member.cache.put(binding(1))
    ask(member, 2.5)
    ask(member, 2.6, C)
    ask(member, 2.7, STRANGER)
    run(member, 10)
    assert dumps(member) == [2.5, 3.4]


def test_member_that_asks_again_after_a_second_is_answered_again():
    member = master()
    member.cache.put(binding(1))
    ask(member, 2.5)
    ask(member, 3.499)  # it was quicker on the way than the first time
    assert dumps(member) == [2.5, 3.499]


def test_dump_is_cut_into_turns_at_300_000_bindings_a_second():
    member = master()
    member.cache.put_many([binding(number) for number in range(30_000)])
    ask(member, 2.5)
    assert 0 < len(member.log) <= 16  # that it was asked, and 15 messages
    run(member, 2.6)
    assert sum(len(update.bindings) for _unused, update in member.said(wire.BcUpdate)) == 30_000
    when, last = member.said()[-1]
    assert isinstance(last, wire.BcDigest)
    assert when <= 2.6


def test_request_during_a_dump_gets_a_whole_one_of_its_own():
    member = master()
    member.cache.put_many([binding(number) for number in range(900_000, 900_000 + 700_000, 700)])
    member.cache.put_many([binding(number) for number in range(2000)])
    ask(member, 2.5)
    member.tell(TimerFired(), at(2.501))
    ask(member, 2.5015, C)
    run(member, 10)
    digests = [when for when, message in member.said(wire.BcDigest)]
    first_end = digests[0]
    assert first_end > 2.5015
    second = [when for when, _unused in member.said(wire.BcUpdate) if when > first_end]
    assert second[0] == 3.4
    assert sum(len(u.bindings) for when, u in member.said(wire.BcUpdate) if when > first_end) == len(member.cache)


def test_change_does_not_wait_for_the_end_of_a_dump():
    member = master()
    member.cache.put_many([binding(number) for number in range(5000)])
    ask(member, 2.5)
    member.cache.put(binding(1, sequence=2))
    effects = member.tell(BindingsChanged([binding(1, sequence=2)], []), at(2.5005))
    assert [opened(effect.payload).bindings[0][1] for effect in effects] == [2]


def test_entries_with_little_time_left_are_left_out_of_a_dump():
    member = master()
    member.cache.put_many([binding(1, expires=6), binding(2, expires=60)])
    ask(member, 2.5)
    assert [lifetimes(update).keys() for _unused, update in member.said(wire.BcUpdate)] == [{home(2)}]


def test_owner_that_takes_over_says_everything_and_any_other_member_nothing():
    for priority, expected in ((255, [0.0]), (200, [])):
        member = Member(A, priority=priority)
        member.cache.put(binding(1))
        member.tell(RoleChanged(State.MASTER, A), at(0))
        run(member, 1)
        assert dumps(member) == expected


# --- the digest ------------------------------------------------------------------------------------------------


def test_digest_comes_every_interval():
    member = Member(A)
    member.cache.put(binding(1))
    member.tell(RoleChanged(State.MASTER, A), at(0))
    run(member, 7)
    assert member.said(wire.BcDigest) == [
        (when, wire.BcDigest(VRID, 1, member.cache.digest)) for when in (0.1, 2.1, 4.1, 6.1)
    ]


def test_no_digest_when_switched_off():
    member = Member(A, settings=NO_DIGESTS)
    member.cache.put(binding(1))
    member.tell(RoleChanged(State.MASTER, A), at(0))
    member.tell(FlushRequested(), at(1))
    assert member.sync.deadline() is None
    assert member.log == []


def test_backup_sends_no_digest():
    _link, _a, b = pair()
    _link.run(until=30)
    assert b.said() == []


def test_flush_says_what_is_pending_once_and_ends_with_a_digest():
    member = master()
    member.cache.put(binding(1))
    member.tell(BindingsChanged([binding(1)], []), at(2.5))
    member.log.clear()
    member.tell(FlushRequested(), at(2.55))
    assert [type(message) for _unused, message in member.said()] == [wire.BcUpdate, wire.BcDigest]
    run(member, 4)
    assert [type(message) for _unused, message in member.said()] == [wire.BcUpdate, wire.BcDigest]


def test_request_from_a_member_without_the_key_is_not_answered():
    member = Member(A)
    member.tell(RoleChanged(State.MASTER, A), at(0))
    effects = member.tell(SyncReceived(B, BARE_REQUEST), at(0.05))
    assert [(type(effect), effect.kind) for effect in effects] == [(Report, "dropped.sync_unauthenticated")]


def test_changed_mtu_and_address_are_used():
    member = master()
    member.sync.attach(C, 9000)
    entries = [binding(number) for number in range(300)]
    member.cache.put_many(entries)
    member.tell(BindingsChanged(entries, []), at(2.5))
    assert [len(update.bindings) for _unused, update in member.said(wire.BcUpdate)] == [223, 77]


def test_new_settings_apply_to_what_goes_on():
    link = Link(master())
    member = link.members[0]
    member.sync.reconfigure(member.sync._virtual_ha, SyncSettings(delta_sends=1, digest_interval_us=10 * SECOND))
    member.cache.put(binding(1))
    member.tell(BindingsChanged([binding(1)], []), at(1.5))
    run(member, 20)
    assert dumps(member) == [1.5]
    assert [when for when, _unused in member.said(wire.BcDigest)] == [2.1, 12.1]
