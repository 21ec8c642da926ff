# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/binding_cache.py: content, digest, expiry, and what a Master's word does to a replica."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.syncing import UNIT, at, binding, care_of, home
from vrrp_ha.core.binding_cache import BindingCache, content_digest
from vrrp_ha.core.types import SECOND, Binding, Instant


def filled(*numbers: int, expires: float = 600) -> BindingCache:
    cache = BindingCache()
    cache.put_many(binding(number, expires) for number in numbers)
    return cache


def option(entry: Binding, now: Instant):
    """As the wire brings it: whole units."""
    lifetime = (entry.expires - now) // UNIT * UNIT
    return (lifetime, entry.sequence, entry.flags, entry.home_address, entry.care_of_address)


def replicate(source: BindingCache, target: BindingCache, now: Instant):
    position: int | None = 0
    results = []
    while position is not None:
        options, position = source.options(position, 7, now)
        results.append(target.merge([(o[0] // UNIT * UNIT, *o[1:]) for o in options], now))
    return results


# --- content ---------------------------------------------------------------------------------------------------


def test_kernel_has_to_know_new_entries_and_new_care_of_addresses_only():
    cache = BindingCache()
    assert cache.put(binding(1))
    assert not cache.put(binding(1, sequence=2, expires=900))
    assert cache.put(binding(1, sequence=3, at_care_of=9))
    assert cache.put_many([binding(1, sequence=4, at_care_of=9), binding(2)]) == [binding(2)]


def test_entry_replaces_the_one_with_the_same_home_address():
    cache = filled(1)
    moved = binding(1, expires=700, sequence=2, at_care_of=9)
    cache.put(moved)
    assert list(cache) == [moved]
    assert cache.get(home(1)) == moved
    assert home(1) in cache
    assert home(2) not in cache
    assert cache.get(home(2)) is None


def test_remove_says_what_was_there():
    cache = filled(1, 2)
    assert cache.remove(home(1)) == binding(1)
    assert cache.remove(home(1)) is None
    assert list(cache) == [binding(2)]
    assert len(cache) == 1


def test_chunks_show_every_entry_once_also_when_the_cache_changes_meanwhile():
    cache = filled(*range(100))
    for number in range(0, 100, 3):
        cache.remove(home(number))
    stayed = {home(number) for number in range(100) if number % 3}
    position: int | None = 0
    seen: list[bytes] = []
    while position is not None:
        found, position = cache.chunk(position, 9)
        assert len(found) <= 9
        seen += [entry.home_address for entry in found]
        cache.put(binding(1000 + len(seen)))
    assert len(seen) == len(set(seen))
    assert stayed <= set(seen)


def test_options_leave_out_what_would_read_as_a_deletion():
    cache = filled(1, expires=100)
    cache.put(binding(2, expires=103.999999))
    cache.put(binding(3, expires=104))
    options, following = cache.options(0, 10, at(100))
    assert [(o[0], o[3]) for o in options] == [(UNIT, home(3))]
    assert following is None


# --- the digest ------------------------------------------------------------------------------------------------


def test_digest_is_the_sum_of_keyed_hashes_of_the_content():
    content = home(1) + care_of(1) + pack("!HH", 7, 0xC000)
    expected = int.from_bytes(blake2b(content, digest_size=8).digest(), "big")
    assert content_digest(home(1), care_of(1), 7, 0xC000) == expected
    cache = BindingCache()
    assert cache.digest == 0
    cache.put(Binding(home(1), care_of(1), 7, 0xC000, at(1)))
    assert cache.digest == expected


def test_digest_leaves_out_the_lifetime_and_nothing_else():
    base = filled(1).digest
    assert filled(1, expires=5).digest == base
    for change in ({"sequence": 2}, {"flags": 0x4000}, {"care_of_address": care_of(2)}, {"home_address": home(2)}):
        cache = BindingCache()
        cache.put(replace(binding(1), **change))
        assert cache.digest != base, change


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(1, 40)), max_size=60), st.randoms())
def test_digest_and_length_depend_on_the_content_alone(changes: list[tuple[int, int, int]], rng: random.Random):
    cache = BindingCache()
    model: dict[bytes, Binding] = {}
    for number, sequence, expires in changes:
        if sequence == 0:
            assert cache.remove(home(number)) == model.pop(home(number), None)
        else:
            entry = binding(number, expires, sequence)
            cache.put(entry)
            model[home(number)] = entry
    other = BindingCache()
    entries = list(model.values())
    rng.shuffle(entries)
    other.put_many(entries)
    assert (len(cache), cache.digest) == (len(other), other.digest) == (len(model), other.digest)
    assert {entry.home_address: entry for entry in cache} == model


# --- expiry ----------------------------------------------------------------------------------------------------


def test_entry_expires_at_its_time_and_not_before():
    cache = filled(1, expires=100)
    assert cache.expire(at(99.999999)) == []
    assert cache.expire(at(100)) == [binding(1, 100)]
    assert len(cache) == 0
    assert cache.digest == 0
    assert cache.next_expiry() is None


def test_next_expiry_is_never_late_and_at_most_a_unit_early():
    cache = filled(1, expires=102.5)
    assert cache.next_expiry() == at(100)
    assert cache.expire(at(100)) == []
    assert cache.next_expiry() == at(102.5)


def test_refreshed_entry_does_not_expire_at_its_old_time():
    cache = filled(1, 2, expires=100)
    cache.put(binding(1, expires=200, sequence=2))
    assert cache.expire(at(150)) == [binding(2, 100)]
    assert cache.expire(at(200)) == [binding(1, 200, 2)]


def test_shortened_entry_expires_at_its_new_time():
    cache = filled(1, expires=1000)
    cache.put(binding(1, expires=10, sequence=2))
    assert cache.expire(at(10)) == [binding(1, 10, 2)]


def test_entry_that_came_with_its_time_over_expires_at_once():
    cache = filled(1, expires=-5)
    assert cache.expire(at(0)) == [binding(1, -5)]


def test_replica_waits_for_its_masters_word():
    cache = filled(1, expires=100)
    cache.grace_us = 8 * SECOND
    assert cache.expire(at(107.9)) == []
    assert cache.next_expiry() == at(108)
    cache.grace_us = 0
    assert cache.next_expiry() <= at(107.9)
    assert cache.expire(at(107.9)) == [binding(1, 100)]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-10, 90), st.booleans()), max_size=60),
    st.lists(st.integers(0, 12), max_size=20),
)
def test_expiry_agrees_with_a_scan(changes: list[tuple[int, int, bool]], steps: list[int]):
    cache = BindingCache()
    model: dict[bytes, Binding] = {}
    now = 0
    for index, (number, lifetime, remove) in enumerate(changes):
        if remove:
            cache.remove(home(number))
            model.pop(home(number), None)
        else:
            entry = binding(number, now + lifetime, sequence=index)
            cache.put(entry)
            model[home(number)] = entry
        now += steps[index % len(steps)] if steps else 0
        first = min((entry.expires for entry in model.values()), default=None)
        following = cache.next_expiry()
        assert (following is None) == (first is None)
        if first is not None:
            assert first - UNIT <= following <= first
        gone = {home_address for home_address, entry in model.items() if entry.expires <= at(now)}
        assert {entry.home_address for entry in cache.expire(at(now))} == gone
        for home_address in gone:
            del model[home_address]
    assert {entry.home_address: entry for entry in cache} == model


def test_buckets_do_not_pile_up_when_one_node_registers_forever():
    cache = BindingCache()
    for number in range(5000):
        cache.put(binding(1, expires=200_000 + number, sequence=number))
    assert len(cache._bucket_order) < 50
    assert len(cache._buckets) == 1


# --- following a Master ----------------------------------------------------------------------------------------


def test_replica_never_expires_before_the_master_and_less_than_a_unit_after():
    for microseconds in (4 * SECOND, 4 * SECOND + 1, 7_999_999, 600 * SECOND, 600_123_456):
        master, replica = BindingCache(), BindingCache()
        master.put(replace(binding(1), expires=Instant(at(10) + microseconds)))
        replicate(master, replica, at(10))
        kept = replica.get(home(1)).expires - at(10)
        assert microseconds <= kept < microseconds + UNIT


@given(st.integers(4 * SECOND, 2_000 * SECOND))
def test_lifetime_sent_on_at_once_is_the_same_number(lifetime: int):
    now = at(10)
    caches = [BindingCache() for _unused in range(6)]
    caches[0].put(replace(binding(1), expires=Instant(now + lifetime)))
    for source, target in pairwise(caches):
        replicate(source, target, now)
    sent = {option(cache.get(home(1)), now)[0] for cache in caches}
    assert sent == {lifetime // UNIT * UNIT}


@given(st.integers(200 * SECOND, 400 * SECOND), st.lists(st.integers(0, 9 * SECOND), min_size=1, max_size=20))
def test_lifetime_does_not_grow_however_often_masters_change(lifetime: int, pauses: list[int]):
    now = at(10)
    caches = [BindingCache(), BindingCache()]
    caches[0].put(replace(binding(1), expires=Instant(now + lifetime)))
    for turn, pause in enumerate(pauses):
        replicate(caches[turn % 2], caches[(turn + 1) % 2], now)
        now = Instant(now + pause)
    for cache in caches:
        assert at(10) + lifetime <= cache.get(home(1)).expires < at(10) + lifetime + UNIT


def test_shorter_lifetime_from_the_master_counts_though_the_content_is_the_same():
    replica = filled(1, expires=600)
    replica.merge([option(binding(1, expires=100), at(0))], at(0))
    assert replica.get(home(1)).expires < at(104)
    assert len(replica.expire(at(104))) == 1


def test_much_longer_lifetime_from_the_master_counts_though_the_content_is_the_same():
    replica = filled(1, expires=10)
    replica.merge([option(binding(1, expires=600), at(0))], at(0))
    assert replica.get(home(1)).expires >= at(600)
    assert replica.expire(at(599)) == []


def test_refresh_costs_the_kernel_nothing():
    replica = filled(1, expires=100)
    refreshed = binding(1, expires=900, sequence=2)
    assert replica.merge([option(refreshed, at(50))], at(50)) == ([], [])
    assert replica.get(home(1)).expires >= at(900)
    assert replica.get(home(1)).sequence == 2


def test_merge_names_what_to_install_and_what_to_remove():
    replica = filled(1, 2, 3)
    moved = binding(1, sequence=2, at_care_of=9)
    installs, removals = replica.merge(
        [
            option(moved, at(0)),
            option(binding(4), at(0)),
            (0, 1, 0, home(2), care_of(2)),
            (0, 1, 0, home(7), care_of(7)),
        ],
        at(0),
    )
    assert [(b.home_address, b.care_of_address) for b in installs] == [(home(1), care_of(9)), (home(4), care_of(4))]
    assert removals == [binding(2)]


def test_entry_that_comes_and_goes_in_one_message_is_not_installed():
    replica = BindingCache()
    installs, removals = replica.merge([option(binding(1), at(0)), (0, 1, 0, home(1), care_of(1))], at(0))
    assert installs == []
    assert [gone.home_address for gone in removals] == [home(1)]
    assert len(replica) == 0


def test_what_a_round_did_not_name_can_be_removed():
    replica = filled(1, 2, 3, 4)
    replica.remove(home(4))
    replica.begin_round()
    replica.merge([option(binding(1), at(0)), option(binding(5), at(0)), option(binding(1), at(0))], at(0))
    wanted = filled(1, 5)
    assert (replica.seen_count, replica.seen_digest) == (2, wanted.digest)
    assert sorted(gone.home_address for gone in replica.remove_unseen()) == [home(2), home(3)]
    assert (len(replica), replica.digest) == (2, wanted.digest)


def test_round_forgets_what_is_changed_or_removed_after_it_was_named():
    replica = filled(1, 2, 3)
    replica.begin_round()
    replica.merge([option(binding(number), at(0)) for number in (1, 2, 3)], at(0))
    replica.merge([(0, 1, 0, home(1), care_of(1)), option(binding(2, sequence=9), at(0))], at(0))
    replica.remove(home(3))
    only = BindingCache()
    only.put(binding(2, sequence=9))
    assert (replica.seen_count, replica.seen_digest) == (1, only.digest)


def test_slot_that_is_used_again_is_not_taken_for_named():
    replica = filled(1)
    replica.begin_round()
    replica.merge([option(binding(1), at(0))], at(0))
    replica.remove(home(1))
    replica.put(binding(2))
    assert replica.seen_count == 0
    assert [gone.home_address for gone in replica.remove_unseen()] == [home(2)]
