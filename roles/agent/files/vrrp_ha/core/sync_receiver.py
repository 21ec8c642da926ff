# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a member that is not the Master keeps its cache equal to the Master's (draft section 4.2.2, docs/protocol.md).

Applies what the Master says, asks for everything until it has it, and compares digests to notice what it missed.
It is told only what really comes from the current Master; bc_sync.py sees to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..wire.bc_sync import BcRequest, BindingOption
from .binding_cache import BindingCache
from .effects import InstallBindings, RemoveBindings, Report
from .settings import SyncSettings
from .sync_events import SyncCompleted, SyncLost, SyncTimedOut
from .types import MILLISECOND, SECOND, Address, Instant

# Ask at 0, 1 and 2 s, then every 10 s; a digest that differs is a reason to ask again earlier than that.
ASK_AGAIN_US = 1 * SECOND
ASK_FIRST = 3
ASK_LATER_US = 10 * SECOND
# Long updates this close together are the answer coming in; a million bindings take some 3 s.
BEING_SERVED_US = 300 * MILLISECOND
LONG_UPDATE = 16
LONGEST_ANSWER_US = 5 * SECOND
# Without digests: how often a Master is asked at least, and how often at most when new entries keep coming.
ROUNDS = 2
ROUNDS_OF_BUSY_MASTER = 4
# A member that has asked so often in vain may hold on to an entry whose deletion it missed: note anew what is named.
FRESH_ROUND = 5

Output = BcRequest | InstallBindings | RemoveBindings | SyncCompleted | SyncLost | SyncTimedOut | Report


class SyncReceiver:
    """A Backup's part, and that of an owner that returns. Idle while this member is Master or off the link."""

    def __init__(self, cache: BindingCache, vrid: int, settings: SyncSettings, *, is_owner: bool) -> None:
        self.settings = settings
        self.is_owner = is_owner
        self.complete = False
        self.asks_before_removal = 1  # what the Master does not have is offered to it that often
        self._cache = cache
        self._vrid = vrid
        self._listening = False
        self._master: Address | None = None
        self._following_since = Instant(0)
        self._digest_heard = False
        # Asking.
        self._asks = 0
        self._asked_at: Instant | None = None
        self._ask_at: Instant | None = None
        self._asked_master: Address | None = None
        self._served_at: Instant | None = None
        self._judge_at: Instant | None = None
        self._timeout_at: Instant | None = None
        self._seen_when_asked = 0
        # Doubting.
        self._differed: tuple[int, int] | None = None
        self._differed_at = Instant(0)
        self._doubt_until: Instant | None = None

    # --- roles ---------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """This member is Master, or off the link: there is nobody to follow."""
        self._listening = False
        self._master = None
        self._stop_asking()
        self._trust()

    def follow(self, master: Address | None, now: Instant) -> None:
        """This member is Backup, and this is its Master; None while none was heard."""
        if self._listening and master == self._master:
            return
        begins = not self._listening
        self._listening = True
        self._master = master
        self._following_since = now
        self._digest_heard = False
        self._trust()
        if not self.complete and (begins or master is not None):
            self._begin_asking(now)

    def confirm(self, now: Instant) -> None:
        """What is taken for complete may lack the changes of the last moment: ask for everything once more."""
        if self._listening and self._master is not None and self.complete:
            self.complete = False
            self._trust()
            self._begin_asking(now)

    # --- what the Master says ------------------------------------------------------------------------------

    def update(self, options: Sequence[BindingOption], now: Instant) -> Iterator[Output]:
        """Draft section 4.2.2."""
        installs, removals = self._cache.merge(options, now)
        if len(options) >= LONG_UPDATE:
            self._served_at = now
        self._doubt_until = None  # perhaps that was what was missing; the next digest will tell
        if self._differed == self._own_digest():
            self._trust()
        if removals:
            yield RemoveBindings(self._vrid, removals)
        if installs:
            yield InstallBindings(self._vrid, installs)

    def digest(self, count: int, digest: int, now: Instant) -> Iterator[Output]:
        """What the Master has, in short."""
        self._digest_heard = True
        masters = (count, digest)
        if masters == self._own_digest():
            self._trust()
            yield from self._completed()
        elif self.complete:
            yield from self._doubt(masters, now)
        elif masters == (self._cache.seen_count, self._cache.seen_digest) and self._asks >= self.asks_before_removal:
            removals = self._cache.remove_unseen()
            yield Report("info", "stale_bindings_removed", self._vrid, {"bindings": len(removals)})
            yield RemoveBindings(self._vrid, removals)
            yield from self._completed()
        elif self._ask_at is not None and self._asked_at is not None:
            # The answer is over, or never came, or was not complete.
            patience = min(ASK_LATER_US, ASK_AGAIN_US << max(0, self._asks - ASK_FIRST))
            self._ask_at = Instant(min(self._ask_at, max(now, self._asked_at + patience)))
            self._served_at = None

    # --- time ----------------------------------------------------------------------------------------------

    def timer(self, now: Instant) -> Iterator[Output]:
        """Whatever is due by now."""
        if self._doubt_until is not None and now >= self._doubt_until:
            yield from self._lost(now)
        if self._judge_at is not None and now >= self._judge_at:
            yield from self._judge(now)
        if self._ask_at is not None and now >= self._ask_at:
            yield from self._ask(now)
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timeout_at = None
            yield SyncTimedOut()

    def deadline(self) -> Instant | None:
        """When `timer` has something to do."""
        times = (self._doubt_until, self._judge_at, self._ask_at, self._timeout_at)
        return min((due for due in times if due is not None), default=None)

    # --- asking --------------------------------------------------------------------------------------------

    def _begin_asking(self, now: Instant) -> None:
        self._asks = 0
        self._ask_at = now
        # A Master that we had not heard of may have heard us: it answers no second request within a second.
        if self._asked_at is not None and self._asked_master is None:
            self._ask_at = Instant(max(now, self._asked_at + ASK_AGAIN_US))
        if self._master is not None:
            self._judge_at = Instant(now + ASK_AGAIN_US)
            if self.is_owner:
                self._timeout_at = Instant(now + self.settings.sync_timeout_us)

    def _stop_asking(self) -> None:
        self._ask_at = self._judge_at = self._timeout_at = None
        self._asked_at = self._asked_master = None

    def _ask(self, now: Instant) -> Iterator[Output]:
        served = self._served_at is not None and now < self._served_at + BEING_SERVED_US
        if self._asks and served and self._asked_at is not None and now < self._asked_at + LONGEST_ANSWER_US:
            self._ask_at = Instant(now + BEING_SERVED_US)
            return
        if self._asks % FRESH_ROUND == 0:
            self._cache.begin_round()
        self._seen_when_asked = self._cache.seen_count
        self._asks += 1
        self._asked_at, self._asked_master = now, self._master
        self._ask_at = None
        if self._master is not None:  # with nobody to answer, once is enough
            self._ask_at = Instant(now + (ASK_AGAIN_US if self._asks < ASK_FIRST else ASK_LATER_US))
        yield BcRequest(self._vrid)

    def _judge(self, now: Instant) -> Iterator[Output]:
        """A Master that sends no digests: be content when asking again brings nothing new."""
        self._judge_at = None
        if self._digest_heard:
            return
        silent_us = 2 * self.settings.digest_interval_us
        assert self._asked_at is not None
        answered = now >= self._following_since + silent_us and now >= self._asked_at + ASK_AGAIN_US
        # Where digests are expected, a Master that said nothing at all did not answer; where not, it may have nothing.
        answered = answered and (self._cache.seen_count > 0 or not self.settings.digest_interval_us)
        nothing_new = self._asks >= ROUNDS and self._cache.seen_count == self._seen_when_asked
        if answered and (nothing_new or self._asks >= ROUNDS_OF_BUSY_MASTER):
            yield from self._completed()
        else:
            self._judge_at = Instant(now + ASK_AGAIN_US)

    # --- being equal, or not -------------------------------------------------------------------------------

    def _own_digest(self) -> tuple[int, int]:
        return len(self._cache), self._cache.digest

    def _completed(self) -> Iterator[Output]:
        if not self.complete:
            self.complete = True
            self._stop_asking()
            yield SyncCompleted()

    def _trust(self) -> None:
        self._differed = self._doubt_until = None

    def _doubt(self, masters: tuple[int, int], now: Instant) -> Iterator[Output]:
        """A digest may overtake the update that it includes: it takes a second one, or silence, to be sure."""
        interval = self.settings.digest_interval_us
        if self._differed is None:
            self._differed_at = now
            self._doubt_until = Instant(now + interval // 2)
        self._differed = masters
        if now >= self._differed_at + interval // 4:
            yield from self._lost(now)

    def _lost(self, now: Instant) -> Iterator[Output]:
        fields: dict[str, object] = {"bindings": len(self._cache)}
        if self._differed is not None:
            fields["master_bindings"] = self._differed[0]
        self.complete = False
        self._trust()
        self._begin_asking(now)
        yield Report("warning", "cache_differs", self._vrid, fields)
        yield SyncLost()
        yield from self._ask(now)
