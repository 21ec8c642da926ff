# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/sync_guard.py: whose binding messages are let in."""

from __future__ import annotations

from itertools import count

import pytest

from tests.unit.core.syncing import KEY, OTHER_KEY, STRANGER, SYNC, VRID, A, B, virtual_ha
from vrrp_ha.core.settings import Member as PlannedMember
from vrrp_ha.core.sync_guard import SyncGuard
from vrrp_ha.wire import bc_sync as wire
from vrrp_ha.wire.errors import WireError

REQUEST = wire.encode(wire.BcRequest(VRID), SYNC)


def guard(address=A, epoch=1, **changes) -> SyncGuard:
    return SyncGuard(virtual_ha(**changes), address, count(epoch << 32))


def refused(receiver: SyncGuard, payload: bytes, source: bytes) -> str:
    with pytest.raises(WireError) as caught:
        receiver.open(payload, source)
    return caught.value.reason


def test_member_opens_what_a_member_sealed():
    sealed = guard(A).seal(REQUEST)
    assert len(sealed) == len(REQUEST) + wire.TRAILER_LENGTH
    assert guard(B).open(sealed, A) == REQUEST


def test_message_is_let_in_once():
    sender, receiver = guard(A), guard(B)
    sealed = sender.seal(REQUEST)
    receiver.open(sealed, A)
    assert refused(receiver, sealed, A) == "sync_replayed"
    receiver.open(sender.seal(REQUEST), A)


def test_older_message_is_refused_though_it_was_not_seen_before():
    sender, receiver = guard(A), guard(B)
    older, newer = sender.seal(REQUEST), sender.seal(REQUEST)
    receiver.open(newer, A)
    assert refused(receiver, older, A) == "sync_replayed"


def test_restarted_sender_is_heard_and_what_it_said_before_is_not():
    receiver, before = guard(B), guard(A, epoch=1)
    last_words = [before.seal(REQUEST) for _unused in range(10)]
    receiver.open(last_words[0], A)
    receiver.open(guard(A, epoch=2).seal(REQUEST), A)
    assert refused(receiver, last_words[9], A) == "sync_replayed"


def test_restarted_receiver_that_remembers_does_not_hear_what_was_recorded_before():
    sender, heard = guard(A), {}
    recorded = [sender.seal(REQUEST) for _unused in range(3)]
    SyncGuard(virtual_ha(), B, count(1 << 32), heard).open(recorded[2], A)
    restarted = SyncGuard(virtual_ha(), B, count(2 << 32), dict(heard))
    assert [refused(restarted, payload, A) for payload in recorded] == ["sync_replayed"] * 3
    restarted.open(sender.seal(REQUEST), A)


def test_counters_are_per_sender():
    receiver = guard(B)
    receiver.open(guard(A, epoch=9).seal(REQUEST), A)
    receiver.open(guard(STRANGER, epoch=1).seal(REQUEST), STRANGER)


def test_message_under_another_senders_address_is_refused():
    assert refused(guard(B), guard(A).seal(REQUEST), STRANGER) == "sync_bad_mac"


def test_message_without_authenticator_is_refused_when_there_is_a_key():
    assert refused(guard(B), REQUEST, A) == "sync_unauthenticated"


def test_bare_messages_are_for_virtual_has_without_a_key():
    assert guard(A, sync_key=None).seal(REQUEST) == REQUEST
    assert guard(B, sync_key=None).open(REQUEST, A) == REQUEST


def test_unknown_key_is_refused_and_an_accepted_one_is_not():
    sealed = guard(A, sync_key=OTHER_KEY).seal(REQUEST)
    assert refused(guard(B), sealed, A) == "sync_unknown_key"
    assert guard(B, accepted_sync_keys=(OTHER_KEY,)).open(sealed, A) == REQUEST


def test_replay_is_refused_after_a_change_of_keys_too():
    receiver, sealed = guard(B), guard(A).seal(REQUEST)
    receiver.open(sealed, A)
    receiver.reconfigure(virtual_ha(sync_key=OTHER_KEY, accepted_sync_keys=(KEY,)))
    assert refused(receiver, sealed, A) == "sync_replayed"


def test_only_pinned_members_are_let_in_when_all_are_pinned():
    pinned = (PlannedMember("a", 255, A), PlannedMember("b", 200, B))
    receiver = guard(B, members=pinned)
    assert receiver.open(guard(A).seal(REQUEST), A) == REQUEST
    assert refused(receiver, guard(STRANGER).seal(REQUEST), STRANGER) == "sync_not_member"
    half_pinned = (PlannedMember("a", 255, A), PlannedMember("b", 200))
    assert guard(B, members=half_pinned).open(guard(STRANGER).seal(REQUEST), STRANGER) == REQUEST


def test_forged_message_does_not_use_up_the_counter():
    receiver = guard(B)
    forged = bytearray(guard(A, epoch=99).seal(REQUEST))
    forged[-1] ^= 1
    assert refused(receiver, bytes(forged), A) == "sync_bad_mac"
    receiver.open(guard(A, epoch=1).seal(REQUEST), A)


def test_keys_are_changed_step_by_step_without_a_message_lost():
    """Two members that take each step one after the other, in any order."""
    steps = [
        {"sync_key": KEY},
        {"sync_key": KEY, "accepted_sync_keys": (OTHER_KEY,)},
        {"sync_key": OTHER_KEY, "accepted_sync_keys": (KEY,)},
        {"sync_key": OTHER_KEY},
    ]
    a, b = guard(A), guard(B)
    for step in steps[1:]:
        for member in (a, b):
            member.reconfigure(virtual_ha(**step))
            assert b.open(a.seal(REQUEST), A) == REQUEST
            assert a.open(b.seal(REQUEST), B) == REQUEST
    assert refused(b, guard(A, epoch=2).seal(REQUEST), A) == "sync_unknown_key"


def test_a_key_that_was_taken_out_is_good_for_nothing():
    receiver = guard(B, accepted_sync_keys=(OTHER_KEY,))
    sender = guard(A, sync_key=OTHER_KEY)
    receiver.open(sender.seal(REQUEST), A)
    receiver.reconfigure(virtual_ha())
    assert refused(receiver, sender.seal(REQUEST), A) == "sync_unknown_key"
