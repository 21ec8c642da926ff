# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bindings of one virtual HA: the owner's BC, any other member's RBC (draft section 5.1, RFC 6275 section 9.1).

Made for a million entries: a binding is one packed record and one key, about 200 octets in all, and becomes an
object only on its way out. It knows the content's digest at all times, which entries a synchronisation round has
named, and what expires next; it does not know who may change it, nor when.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from struct import Struct

from ..wire.bc_sync import LIFETIME_UNIT_US, BindingOption
from .departed import Departed
from .types import Address, Binding, Instant

# Care-of address, sequence number, flags, when it expires, its part of the digest.
_RECORD = Struct("=16sHHqQ")
_RECORD_LENGTH = _RECORD.size
_EMPTY_RECORD = bytes(_RECORD_LENGTH)

# What the digest is made of: home address, care-of address, sequence number, flags. Not the lifetime.
_CONTENT = Struct("!16s16sHH")
_DIGEST_MASK = (1 << 64) - 1

_BUCKET_US = 4_000_000
_NO_SLOT = -1

# The content in 256 parts, an entry's by the low octet of its part of the digest. A part's tally is one number, the sum
# of its entries': 64 bits of digest with 32 for the carry, how many there are, and when they expire.
PARTS = 256
_TALLY_ONE = 1 << 96
_TALLY_EXPIRY = 128

# A lifetime comes rounded, by less than one unit each time another Master passes it on. An entry whose content is
# the same keeps the expiry that it has unless the new one is further off than two such roundings explain.
_CREEP_US = 2 * LIFETIME_UNIT_US


def content_digest(home_address: Address, care_of_address: Address, sequence: int, flags: int) -> int:
    """One binding's part of the digest."""
    content = _CONTENT.pack(home_address, care_of_address, sequence, flags)
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the 256 parts of a cache that has entries; remaining_us: what is left of their lifetimes, added up."""

    number: int
    count: int
    digest: int
    remaining_us: int


class BindingCache:
    """Bindings by home address. Each has a slot, which stays its own until it is removed.

    Entries may be changed while somebody iterates or reads chunk by chunk: what was there all the time is seen
    exactly once, what came or went meanwhile perhaps.
    """

    def __init__(self) -> None:
        self.digest = 0
        # A replica waits so much longer for its Master's word before it drops an entry by itself, since members
        # differ by the rounding of lifetimes; the Master's own grace is 0.
        self.grace_us = 0
        self.departed = Departed()  # those who said so themselves
        self._slots: dict[Address, int] = {}
        self._homes: list[Address | None] = []
        self._records = bytearray()
        self._free: list[int] = []
        self._tally = [0] * PARTS
        # Entries by expiry: doubly linked lists of slots, a list per bucket of 4 s ...
        self._after = array("i")
        self._before = array("i")
        self._buckets: dict[int, int] = {}
        self._bucket_order: list[int] = []
        # ... but for buckets whose time has come, a heap. Its entries may be out of date.
        self._opened = -1
        self._due: list[tuple[int, int]] = []
        # What the current synchronisation round has named.
        self.seen_count = 0
        self.seen_digest = 0
        self._seen = bytearray()

    # --- reading -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, home_address: object) -> bool:
        return home_address in self._slots

    def __iter__(self) -> Iterator[Binding]:
        slot = 0
        while slot < len(self._homes):
            if self._homes[slot] is not None:
                yield self._binding(slot)
            slot += 1

    def get(self, home_address: Address) -> Binding | None:
        """The binding of this home address."""
        slot = self._slots.get(home_address)
        return None if slot is None else self._binding(slot)

    def chunk(self, start: int, limit: int) -> tuple[list[Binding], int | None]:
        """Bindings of at most `limit` slots from `start` (0 at first), and where to go on; None at the end."""
        end = min(start + limit, len(self._homes))
        found = [self._binding(slot) for slot in range(start, end) if self._homes[slot] is not None]
        return found, (end if end < len(self._homes) else None)

    def options(self, start: int, limit: int, now: Instant) -> tuple[list[BindingOption], int | None]:
        """The same as `chunk`, as what is sent to other members: entries with less than one unit left are left out."""
        end = min(start + limit, len(self._homes))
        records = _RECORD.iter_unpack(self._records[start * _RECORD_LENGTH : end * _RECORD_LENGTH])
        least = now + LIFETIME_UNIT_US
        found = [
            (expires - now, sequence, flags, home, care_of)
            for home, (care_of, sequence, flags, expires, _unused) in zip(self._homes[start:end], records, strict=True)
            if home is not None and expires >= least
        ]
        return found, (end if end < len(self._homes) else None)

    def tally(self) -> tuple[int, ...]:
        """What `parts` makes parts of, in a form that costs little to take."""
        return tuple(self._tally)

    @staticmethod
    def parts(tally: tuple[int, ...], now: Instant) -> list[Part]:
        """The parts that have entries; `now` as the tally was taken."""
        found = []
        for number, total in enumerate(tally):
            if total:
                count = total >> 96 & 0xFFFF_FFFF
                found.append(Part(number, count, total & _DIGEST_MASK, (total >> _TALLY_EXPIRY) - count * now))
        return found

    def in_parts(self, numbers: frozenset[int], start: int, limit: int) -> tuple[list[Binding], int | None]:
        """The same as `chunk`, of the bindings in these parts."""
        end = min(start + limit, len(self._homes))
        records = _RECORD.iter_unpack(self._records[start * _RECORD_LENGTH : end * _RECORD_LENGTH])
        found = [
            Binding(home, care_of, sequence, flags, Instant(expires))
            for home, (care_of, sequence, flags, expires, part) in zip(self._homes[start:end], records, strict=True)
            if home is not None and part % PARTS in numbers
        ]
        return found, (end if end < len(self._homes) else None)

    # --- changing one's own --------------------------------------------------------------------------------

    def put(self, binding: Binding) -> bool:
        """Add or replace; whether the kernel has to know (a new entry or another care-of address)."""
        home, care_of = binding.home_address, binding.care_of_address
        slot = self._slots.get(home)
        if slot is None:
            self._store(self._new_slot(home), home, care_of, binding.sequence, binding.flags, binding.expires)
            return True
        was_care_of, _unused, _unused, was_expires, was_part = _RECORD.unpack_from(self._records, slot * _RECORD_LENGTH)
        self._withdraw(slot, was_expires, was_part)
        self._store(slot, home, care_of, binding.sequence, binding.flags, binding.expires)
        return bool(care_of != was_care_of)

    def put_many(self, bindings: Iterable[Binding]) -> list[Binding]:
        """Add or replace; those that the kernel has to know of."""
        return [binding for binding in bindings if self.put(binding)]

    def remove(self, home_address: Address) -> Binding | None:
        """Remove, and say what was there."""
        slot = self._slots.get(home_address)
        return None if slot is None else self._remove_slot(slot)

    # --- following a Master --------------------------------------------------------------------------------

    def merge(self, options: Iterable[BindingOption], now: Instant) -> tuple[list[Binding], list[Binding]]:
        """Apply what the Master of the virtual HA says: (what the kernel has to install, what to remove before that).

        A lifetime on the wire is rounded down to whole units, so the entry is kept for almost one unit more: it
        never expires before the Master's, and sent on at once it is the same number again.
        """
        installs: list[Binding] = []
        removals: list[Binding] = []
        slots, records, seen = self._slots, self._records, self._seen
        unpack = _RECORD.unpack_from
        rounding = now + LIFETIME_UNIT_US - 1
        for lifetime, sequence, flags, home, care_of in options:
            slot = slots.get(home)
            if lifetime == 0:
                if slot is not None:
                    removals.append(self._remove_slot(slot))
                continue
            expires = Instant(rounding + lifetime)
            if slot is None:
                slot = self._new_slot(home)
                part = self._store(slot, home, care_of, sequence, flags, expires)
                installs.append(Binding(home, care_of, sequence, flags, expires))
            else:
                was_care_of, was_sequence, was_flags, was_expires, part = unpack(records, slot * _RECORD_LENGTH)
                if sequence == was_sequence and care_of == was_care_of and flags == was_flags:
                    if not was_expires <= expires <= was_expires + _CREEP_US:
                        self._reschedule(slot, was_expires, expires)
                else:
                    self._withdraw(slot, was_expires, part)
                    part = self._store(slot, home, care_of, sequence, flags, expires)
                    if care_of != was_care_of:
                        installs.append(Binding(home, care_of, sequence, flags, expires))
            if not seen[slot]:
                seen[slot] = 1
                self.seen_count += 1
                self.seen_digest = (self.seen_digest + part) & _DIGEST_MASK
        if removals and installs:
            installs = [binding for binding in installs if self._has(binding.home_address, binding.care_of_address)]
        return installs, removals

    def begin_round(self) -> None:
        """From now on note which entries `merge` names."""
        self._seen = bytearray(len(self._homes))
        self.seen_count = self.seen_digest = 0

    def remove_unseen(self) -> list[Binding]:
        """Remove what no `merge` of this round has named."""
        removed = []
        slot = self._seen.find(0)
        while slot != -1:
            if self._homes[slot] is not None:
                removed.append(self._remove_slot(slot))
            slot = self._seen.find(0, slot + 1)
        return removed

    # --- expiry --------------------------------------------------------------------------------------------

    def next_expiry(self) -> Instant | None:
        """When to call `expire`: not after the next entry expires, at most 4 s before."""
        while self._due and not self._is_current(*self._due[0]):
            heappop(self._due)
        if self._due:
            return Instant(self._due[0][0] + self.grace_us)
        while self._bucket_order and self._bucket_order[0] not in self._buckets:
            heappop(self._bucket_order)
        if self._bucket_order:
            return Instant(self._bucket_order[0] * _BUCKET_US + self.grace_us)
        return None

    def expire(self, now: Instant) -> list[Binding]:
        """Remove and return what has expired by now."""
        by = now - self.grace_us
        while self._bucket_order and self._bucket_order[0] * _BUCKET_US <= by:
            self._open(heappop(self._bucket_order))
        expired = []
        while self._due and self._due[0][0] <= by:
            entry = heappop(self._due)
            if self._is_current(*entry):
                expired.append(self._remove_slot(entry[1]))
        return expired

    # --- slots ---------------------------------------------------------------------------------------------

    def _binding(self, slot: int) -> Binding:
        home = self._homes[slot]
        assert home is not None
        care_of, sequence, flags, expires, _unused = _RECORD.unpack_from(self._records, slot * _RECORD_LENGTH)
        return Binding(home, care_of, sequence, flags, expires)

    def _has(self, home: Address, care_of: Address) -> bool:
        binding = self.get(home)
        return binding is not None and binding.care_of_address == care_of

    def _new_slot(self, home: Address) -> int:
        if self._free:
            slot = self._free.pop()
            self._homes[slot] = home
        else:
            slot = len(self._homes)
            self._homes.append(home)
            self._records += _EMPTY_RECORD
            self._after.append(_NO_SLOT)
            self._before.append(_NO_SLOT)
            self._seen.append(0)
        self._slots[home] = slot
        return slot

    def _store(self, slot: int, home: Address, care_of: Address, sequence: int, flags: int, expires: Instant) -> int:
        """Fill a slot that is in no list and counted nowhere; its part of the digest."""
        part = content_digest(home, care_of, sequence, flags)
        _RECORD.pack_into(self._records, slot * _RECORD_LENGTH, care_of, sequence, flags, expires, part)
        self.digest = (self.digest + part) & _DIGEST_MASK
        self._tally[part % PARTS] += (expires << _TALLY_EXPIRY) + _TALLY_ONE + part
        self._schedule(slot, expires)
        return part

    def _withdraw(self, slot: int, expires: Instant, part: int) -> None:
        """The reverse of `_store`."""
        self.digest = (self.digest - part) & _DIGEST_MASK
        self._tally[part % PARTS] -= (expires << _TALLY_EXPIRY) + _TALLY_ONE + part
        self._unschedule(slot, expires)
        if self._seen[slot]:
            self._seen[slot] = 0
            self.seen_count -= 1
            self.seen_digest = (self.seen_digest - part) & _DIGEST_MASK

    def _remove_slot(self, slot: int) -> Binding:
        home = self._homes[slot]
        assert home is not None
        care_of, sequence, flags, expires, part = _RECORD.unpack_from(self._records, slot * _RECORD_LENGTH)
        self._withdraw(slot, expires, part)
        self._homes[slot] = None
        self._free.append(slot)
        del self._slots[home]
        return Binding(home, care_of, sequence, flags, expires)

    # --- lists by expiry -----------------------------------------------------------------------------------

    def _schedule(self, slot: int, expires: int) -> None:
        bucket = expires // _BUCKET_US
        if bucket <= self._opened:
            heappush(self._due, (expires, slot))
            return
        first = self._buckets.get(bucket)
        self._buckets[bucket] = slot
        self._before[slot] = _NO_SLOT
        if first is None:
            self._after[slot] = _NO_SLOT
            self._order(bucket)
        else:
            self._after[slot] = first
            self._before[first] = slot

    def _unschedule(self, slot: int, expires: int) -> None:
        bucket = expires // _BUCKET_US
        if bucket <= self._opened:
            return  # found out of date when its turn in the heap comes
        before, after = self._before[slot], self._after[slot]
        if after != _NO_SLOT:
            self._before[after] = before
        if before != _NO_SLOT:
            self._after[before] = after
        elif after != _NO_SLOT:
            self._buckets[bucket] = after
        else:
            del self._buckets[bucket]

    def _reschedule(self, slot: int, was_expires: Instant, expires: Instant) -> None:
        self._unschedule(slot, was_expires)
        offset = slot * _RECORD_LENGTH
        care_of, sequence, flags, _unused, part = _RECORD.unpack_from(self._records, offset)
        _RECORD.pack_into(self._records, offset, care_of, sequence, flags, expires, part)
        self._tally[part % PARTS] += expires - was_expires << _TALLY_EXPIRY
        self._schedule(slot, expires)

    def _order(self, bucket: int) -> None:
        """A bucket that was emptied and filled again is in the heap twice; no more than every other may be so."""
        heappush(self._bucket_order, bucket)
        if len(self._bucket_order) > 2 * len(self._buckets) + 16:
            self._bucket_order = list(self._buckets)
            heapify(self._bucket_order)

    def _open(self, bucket: int) -> None:
        self._opened = max(self._opened, bucket)
        slot = self._buckets.pop(bucket, _NO_SLOT)
        while slot != _NO_SLOT:
            expires = _RECORD.unpack_from(self._records, slot * _RECORD_LENGTH)[3]
            heappush(self._due, (expires, slot))
            slot = self._after[slot]

    def _is_current(self, expires: int, slot: int) -> bool:
        if self._homes[slot] is None:
            return False
        return bool(_RECORD.unpack_from(self._records, slot * _RECORD_LENGTH)[3] == expires)
