# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/sync_points.py and the parts of a cache: what members are compared by while bindings change."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.unit.core.syncing import at, binding, care_of, everything, home, nothing, pair
from vrrp_ha.core.bc_sync import RoleChanged
from vrrp_ha.core.binding_cache import PARTS, BindingCache
from vrrp_ha.core.fingerprints import digest, fingerprint, of_virtual_ha
from vrrp_ha.core.ipsec_settings import SecurityAssociation
from vrrp_ha.core.types import SECOND, State, packed
from vrrp_ha.wire import bc_sync as wire
from vrrp_ha.wire.esp import Algorithm, Keys


def parts(cache: BindingCache, now: float = 0):
    return cache.parts(cache.tally(), at(now))


def content(found):
    """Lifetimes left out, which members round."""
    return {(part.number, part.count, part.digest) for part in found}


def test_parts_add_up_to_the_cache_whatever_was_done_to_it():
    rng = random.Random(3)
    cache = BindingCache()
    for step in range(3000):
        number = rng.randrange(400)
        match rng.randrange(4):
            case 0:
                cache.remove(home(number))
            case 1:
                cache.put(binding(number, expires=rng.randrange(1, 900), sequence=step))
            case 2:  # a Master's word: a refresh, and one of which only the lifetime is another
                cache.merge([(rng.randrange(1, 200) * 4 * SECOND, step, 0xC000, home(number), care_of(9))], at(1))
            case 3:
                if bound := cache.get(home(number)):
                    option = (900 * SECOND, bound.sequence, bound.flags, bound.home_address, bound.care_of_address)
                    cache.merge([option], at(step))
    found = parts(cache, 7)
    assert sum(part.count for part in found) == len(cache) > 100
    assert sum(part.digest for part in found) % (1 << 64) == cache.digest
    assert sum(part.remaining_us for part in found) == sum(entry.expires - at(7) for entry in cache)
    numbers = frozenset(part.number for part in found[:50])
    inside, _unused = cache.in_parts(numbers, 0, 1000)
    outside, _unused = cache.in_parts(frozenset(range(PARTS)) - numbers, 0, 1000)
    assert len(inside) == sum(part.count for part in found[:50])
    assert {entry.home_address for entry in (*inside, *outside)} == {entry.home_address for entry in cache}


def test_an_entry_that_differs_makes_no_other_part_differ():
    one, other = BindingCache(), BindingCache()
    for cache in (one, other):
        cache.put_many(binding(number) for number in range(1000))
    other.put(binding(5, sequence=2))
    differing = {number for number, _count, _digest in content(parts(one)) ^ content(parts(other))}
    assert 1 <= len(differing) <= 2
    for cache in (one, other):
        rows, _unused = cache.in_parts(frozenset(differing), 0, 1000)
        assert home(5) in [entry.home_address for entry in rows]


def test_master_and_backup_note_the_same_moments_however_fast_bindings_change():
    link, a, b = pair()
    for number in range(3000):
        link.put(a, binding(number % 100, sequence=number))
        link.run(until=10 + number / 300)
    ours, theirs = (member.sync.points.describe(link.now) for member in (b, a))
    assert len(ours) == len(theirs) >= 5
    assert [(point["bindings"], point["digest"]) for point in ours] == [(p["bindings"], p["digest"]) for p in theirs]
    assert all((point["held_bindings"], point["held_digest"]) == (point["bindings"], point["digest"]) for point in ours)
    assert len({point["digest"] for point in ours}) >= 5
    noted = [[(digest, content(found)) for digest, found in member.sync.points.parts()] for member in (a, b)]
    assert noted[0] == noted[1]


def test_what_a_backup_missed_shows_in_one_part_of_what_it_held_then():
    link, a, b = pair()
    link.loses = everything(wire.BcUpdate)
    link.put(a, binding(1))
    link.run(until=11)
    link.loses = nothing
    link.put(a, *(binding(number) for number in range(2, 50)))
    link.run(until=12.1)
    last = b.sync.points.describe(link.now)[-1]
    assert (last["bindings"], last["held_bindings"]) == (49, 48)
    mine, masters = (dict(member.sync.points.parts()) for member in (b, a))
    (newest, found), *_rest = masters.items()
    assert len({number for number, _count, _digest in content(found) ^ content(mine[newest])}) == 1


def test_points_are_of_the_present_role():
    link, _a, b = pair()
    link.run(until=20)
    assert b.sync.points.describe(link.now)
    link.tell(b, RoleChanged(State.MASTER, b.address))
    assert all(point["age_s"] == 0 for point in b.sync.points.describe(link.now))


def test_only_the_last_points_are_kept():
    link, _a, b = pair()
    link.run(until=100)
    points = b.sync.points.describe(link.now)
    assert len(points) == 8
    assert [point["age_s"] for point in points] == sorted((point["age_s"] for point in points), reverse=True)
    assert len(list(b.sync.points.parts())) == 1  # nothing changed


KEYS = Keys(4096, Algorithm.AES_CBC_HMAC_SHA_256_128, bytes(range(16)), bytes(range(32)))
ASSOCIATION = SecurityAssociation(home(1), KEYS, replace(KEYS, spi=4097))


def test_associations_are_told_apart_by_all_that_matters_and_show_no_key():
    other_key = replace(KEYS, encryption=bytes(16))
    others = [
        replace(ASSOCIATION, inbound=other_key),
        replace(ASSOCIATION, outbound=other_key),
        replace(ASSOCIATION, inbound=replace(KEYS, authentication=bytes(32))),
        replace(ASSOCIATION, inbound=replace(KEYS, spi=5000)),
        replace(ASSOCIATION, identity="someone@example.net"),
        replace(ASSOCIATION, prefix_discovery=False),
    ]
    assert len({fingerprint(one) for one in (ASSOCIATION, *others)}) == 7
    assert len(fingerprint(ASSOCIATION)) == 16


def test_a_virtual_ha_has_the_associations_that_hold_with_it():
    here, elsewhere = packed("2001:db8:1::51"), packed("2001:db8:1::52")
    bound_here = replace(ASSOCIATION, home_address=home(2), home_agent=here)
    bound_elsewhere = replace(ASSOCIATION, home_address=home(3), home_agent=elsewhere)
    found = of_virtual_ha((ASSOCIATION, bound_here, bound_elsewhere), here)
    assert sorted(found) == [home(1), home(2)]
    assert digest(found) == digest(dict(reversed(found.items())))
    assert digest(found) != digest(of_virtual_ha((ASSOCIATION,), here))
