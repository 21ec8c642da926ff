# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mobile nodes that wait for their recovery, in the order in which they are served, and the turns there are.

Anybody can send a packet that puts a mobile node here. A real mobile node that is not answered says it again, after a
second and then ever more slowly (RFC 6275 section 11.8); somebody who sends ten thousand packets with made-up sources
mostly does not. So those who were heard again from the same place come first, and when the queue is full one that was
not heard again in all the time it had makes room. Within either group it is first come, first served.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .settings import RecoverySettings
from .token_bucket import TokenBucket
from .types import SECOND, Address, Instant

# A mobile node's first three transmissions come 1 and 2 s apart: twice as long is a fair chance.
CHANCE_US = 6 * SECOND
_AGAIN_US = SECOND // 2  # nearer to the first one it may be the same packet, duplicated
_SOURCE_OCTETS = 8


class RecoveryState(Enum):
    """How far a recovery is."""

    PENDING = "pending"  # waits for its turn
    SENT = "sent"  # the binding is deleted, the mobile node was told to register anew or the hook was run
    DONE = "done"  # a valid Binding Update came
    FAILED = "failed"  # none came, or nobody could be told


@dataclass(slots=True)
class RecoveryRecord:
    """One mobile node's recovery."""

    home_address: Address
    destination: Address  # where it was heard last
    reason: str
    since: Instant
    state: RecoveryState = RecoveryState.PENDING
    bound_to: Address | None = None  # the care-of address of the binding that was deleted
    attempts: int = 0
    due: Instant | None = None  # when it is sent again or given up
    method: str = ""  # switch or hook
    detail: str = ""


def place_of(source: Address) -> bytes:
    """A /64: whoever has one address of it can have the others."""
    return source[:_SOURCE_OCTETS]


class RecoveryQueue:
    """Two lines and a pace."""

    def __init__(self, settings: RecoverySettings) -> None:
        self._settings = settings
        self._once: dict[Address, RecoveryRecord] = {}  # heard once
        self._first: dict[Address, RecoveryRecord] = {}  # heard again, or wanted by the operator
        self._pace = TokenBucket(settings.pace, Instant(0))
        self._next: Instant | None = None

    def __len__(self) -> int:
        return len(self._once) + len(self._first)

    def __iter__(self) -> Iterator[RecoveryRecord]:
        yield from (*self._first.values(), *self._once.values())

    def get(self, home_address: Address) -> RecoveryRecord | None:
        """Its place in the queue, if it has one."""
        return self._first.get(home_address) or self._once.get(home_address)

    def reconfigure(self, settings: RecoverySettings) -> None:
        """Another pace begins with a full bucket; who waits goes on waiting."""
        if settings.pace != self._settings.pace:
            self._pace = TokenBucket(settings.pace, self._next or Instant(0))
        self._settings = settings

    def add(self, record: RecoveryRecord, *, first: bool = False) -> bool:
        """Let it wait; False if there is no room."""
        if len(self) >= self._settings.queue and not self._make_room(record.since):
            return False
        if not len(self):
            self._next = self._pace.next_token(record.since)
        (self._first if first else self._once)[record.home_address] = record
        return True

    def heard(self, record: RecoveryRecord, source: Address, now: Instant) -> None:
        """It came once more, and from there."""
        again = place_of(source) == place_of(record.destination) and now >= record.since + _AGAIN_US
        if again and record.home_address in self._once:
            self._first[record.home_address] = self._once.pop(record.home_address)
        record.destination = source

    def pop(self, home_address: Address) -> RecoveryRecord | None:
        """It need not wait any more."""
        return self._first.pop(home_address, None) or self._once.pop(home_address, None)

    def clear(self) -> list[RecoveryRecord]:
        """Nobody waits any more; those who did."""
        waiting = list(self)
        self._first.clear()
        self._once.clear()
        return waiting

    # --- turns ---------------------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """When the next one may have its turn."""
        return self._next if len(self) else None

    def next(self, now: Instant) -> RecoveryRecord | None:
        """The one whose turn it is, out of the queue."""
        if not len(self) or self._next is None or self._next > now or not self._pace.take(now):
            return None
        self._next = self._pace.next_token(now)
        line = self._first or self._once
        return line.pop(next(iter(line)))

    def take_turn(self, now: Instant) -> bool:
        """A turn for one that does not wait, if nobody waits."""
        return not len(self) and self._pace.take(now)

    def _make_room(self, now: Instant) -> bool:
        for oldest in self._once.values():
            if oldest.since + CHANCE_US <= now:
                del self._once[oldest.home_address]
                return True
            return False
        return False
