# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Master of a virtual HA tells the others about its cache (draft section 4.2.3, docs/protocol.md).

Changes at once and again a little later, everything when somebody asks, and a digest now and then; of a former
Master, what its successor may not know. Yields messages; who signs and sends them is bc_sync.py's business. Work is cut
into turns, so that a dump of a million bindings never keeps an advertisement waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from ..wire.bc_sync import LIFETIME_UNIT_US, BcDigest, BcRequest, BcUpdate, BindingOption
from .binding_cache import BindingCache
from .settings import SyncSettings
from .types import MILLISECOND, Address, Binding, Instant

REPEAT_US = 100 * MILLISECOND
COALESCE_US = 20 * MILLISECOND  # changes this close together are repeated together
ANSWER_US = 900 * MILLISECOND  # requests within this are answered once; members ask again after a second
FIRST_DIGEST_US = 100 * MILLISECOND  # a new Master's: the others should know soon whether they follow it
# Some 300,000 bindings a second, which is what the other end can take in; a turn is well below 2 ms of work.
TURN_BINDINGS = 512
NEXT_TURN_US = 1 * MILLISECOND

Message = BcRequest | BcUpdate | BcDigest
_Change = tuple[Binding, int]  # how often it is still to be sent


class SyncSender:
    """The Master's part, and a former Master's. Idle, with no deadline, while this member is neither."""

    def __init__(self, cache: BindingCache, vrid: int, settings: SyncSettings, per_message: int) -> None:
        self.settings = settings
        self.per_message = per_message
        self._cache = cache
        self._vrid = vrid
        self._active = False
        self._ready: deque[_Change] = deque()
        self._later: deque[tuple[Instant, list[_Change]]] = deque()
        self._next_turn = Instant(0)
        self._digest_at: Instant | None = None
        self._dump_position: int | None = None
        self._dump_started: Instant | None = None
        self._offer_position: int | None = None
        self._asking: set[Address] = set()
        self._answered: set[Address] = set()

    # --- events --------------------------------------------------------------------------------------------

    def start(self, now: Instant, *, with_everything: bool) -> None:
        """This member is the Master now; an owner that returned begins with all that it has."""
        self.stop()
        self._active = True
        self._next_turn = now
        if self.settings.digest_interval_us:
            self._digest_at = Instant(now + min(FIRST_DIGEST_US, self.settings.digest_interval_us))
        if with_everything:
            self._start_dump(now)

    def stop(self) -> None:
        """Somebody else speaks for this virtual HA."""
        self._active = False
        self._ready.clear()
        self._later.clear()
        self._digest_at = self._dump_position = self._dump_started = self._offer_position = None
        self._asking.clear()
        self._answered.clear()

    def changed(self, bindings: Iterable[Binding]) -> None:
        """Added, replaced, removed: what is sent of each is what the cache has of it at that time."""
        if self._active:
            sends = max(1, self.settings.delta_sends)
            self._ready.extend((binding, sends) for binding in bindings)

    def requested(self, source: Address, now: Instant) -> None:
        """Somebody wants everything. Who asks while others are being answered gets a whole answer after that."""
        if not self._active:
            return
        within = self._dump_started is not None and now < self._dump_started + ANSWER_US
        if not (within and source in self._answered):
            self._asking.add(source)

    def offer(self, bindings: Iterable[Binding]) -> None:
        """Tell a Master that may know less than we do what we have of these, once."""
        self._ready.extend((binding, 1) for binding in bindings)

    def offer_everything(self, removed: Iterable[Binding], now: Instant) -> None:
        """Tell it all that we have and what we removed, and ask for everything after that."""
        self.offer(removed)
        self._offer_position = 0
        self._next_turn = now

    def flush(self, now: Instant) -> Iterator[Message]:
        """Everything that was still to be said, once, and the digest."""
        if not self._active:
            return
        for _unused, changes in self._later:
            self._ready.extend(changes)
        self._later.clear()
        yield from self._send_changes(len(self._ready), now)
        self._later.clear()
        if self.settings.digest_interval_us:
            yield self._digest(now)

    def pump(self, now: Instant) -> Iterator[Message]:
        """What is due by now, a turn's worth at most."""
        while self._later and self._later[0][0] <= now:
            self._ready.extend(self._later.popleft()[1])
        budget = TURN_BINDINGS
        if self._ready and self._may_go_on(now):
            budget -= min(budget, len(self._ready))
            yield from self._send_changes(TURN_BINDINGS, now)
        if self._offer_position is not None and budget and now >= self._next_turn:
            yield from self._send_part_of_offer(self._offer_position, budget, now)
        if self._asking and self._dump_position is None and now >= self._dump_due():
            self._start_dump(now)
        if self._dump_position is not None and budget and now >= self._next_turn:
            yield from self._send_part_of_dump(self._dump_position, budget, now)
        elif self._digest_at is not None and now >= self._digest_at and self._dump_position is None:
            yield self._digest(now)

    def deadline(self) -> Instant | None:
        """When there is something to send."""
        times = []
        if self._ready or self._dump_position is not None or self._offer_position is not None:
            times.append(self._next_turn)
        elif self._asking:
            times.append(self._dump_due())
        if self._later:
            times.append(self._later[0][0])
        if self._digest_at is not None and self._dump_position is None:
            times.append(self._digest_at)
        return min(times, default=None)

    # --- changes -------------------------------------------------------------------------------------------

    def _may_go_on(self, now: Instant) -> bool:
        """A burst of changes that does not fit one turn is sent at the pace of a dump."""
        return len(self._ready) <= TURN_BINDINGS or now >= self._next_turn

    def _send_changes(self, limit: int, now: Instant) -> Iterator[Message]:
        options: dict[Address, BindingOption] = {}
        again: dict[Address, _Change] = {}
        for _unused in range(min(limit, len(self._ready))):
            binding, sends = self._ready.popleft()
            home = binding.home_address
            option = self._option(binding, now)
            if option is not None:
                options[home] = option
            left = max(sends - 1, again[home][1] if home in again else 0)
            if left:
                again[home] = (binding, left)
        if self._ready:
            self._next_turn = Instant(now + NEXT_TURN_US)
        if again:
            self._repeat(list(again.values()), now)
        yield from self._updates(list(options.values()))

    def _repeat(self, changes: list[_Change], now: Instant) -> None:
        due = Instant(now + REPEAT_US)
        if self._later and due - self._later[-1][0] <= COALESCE_US:
            self._later[-1][1].extend(changes)
        else:
            self._later.append((due, changes))

    def _option(self, binding: Binding, now: Instant) -> BindingOption | None:
        home = binding.home_address
        current = self._cache.get(home)
        if current is None:
            return (0, binding.sequence, binding.flags, home, binding.care_of_address)
        remaining = current.expires - now
        if remaining < LIFETIME_UNIT_US:
            return None  # it would read as a deletion, which will come soon enough
        return (remaining, current.sequence, current.flags, home, current.care_of_address)

    # --- everything, and the digest ------------------------------------------------------------------------

    def _dump_due(self) -> Instant:
        return Instant(0) if self._dump_started is None else Instant(self._dump_started + ANSWER_US)

    def _start_dump(self, now: Instant) -> None:
        self._dump_position = 0
        self._dump_started = now
        self._answered, self._asking = self._asking, set()

    def _send_part_of_dump(self, position: int, limit: int, now: Instant) -> Iterator[Message]:
        options, self._dump_position = self._cache.options(position, limit, now)
        self._next_turn = Instant(now + NEXT_TURN_US)
        yield from self._updates(options)
        if self._dump_position is None and self.settings.digest_interval_us:
            yield self._digest(now)

    def _send_part_of_offer(self, position: int, limit: int, now: Instant) -> Iterator[Message]:
        options, self._offer_position = self._cache.options(position, limit, now)
        self._next_turn = Instant(now + NEXT_TURN_US)
        yield from self._updates(options)
        if self._offer_position is None:
            yield BcRequest(self._vrid)

    def _digest(self, now: Instant) -> BcDigest:
        self._digest_at = Instant(now + self.settings.digest_interval_us)
        return BcDigest(self._vrid, len(self._cache), self._cache.digest)

    def _updates(self, options: list[BindingOption]) -> Iterator[Message]:
        for start in range(0, len(options), self.per_message):
            yield BcUpdate(self._vrid, options[start : start + self.per_message])
