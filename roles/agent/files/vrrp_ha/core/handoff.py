# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handoffs (draft section 6, RFC 5142) of one virtual HA: its Master asks mobile nodes to use another one.

A handoff is asked for by the operator, or by the load (balance.py). The mobile node is sent a Home Agent Switch, at
the pace of the settings, again while it does not answer. Make before break: its binding here forwards as before
until it has de-registered, or stands at another virtual HA long enough for everything to have arrived. Meanwhile
nothing prolongs it (RFC 5142 section 5.3): registration.py asks `prohibits`.

Every home address that was told has one Handoff in `_told` for as long as its binding is here, whatever came of it;
those that are unanswered are in `_sent` as well. Nothing of this is known to other members: a new Master waits until
those whom its predecessor told are where they were sent, then goes by the load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from .binding_cache import BindingCache
from .binding_request import is_greater
from .candidates import Candidates
from .commons import Commons
from .effects import RemoveBindings, Report, SendPacket
from .events import HandoffsCancelled, HandoffWanted, TimerFired
from .handoff_events import (
    OF_ITSELF,
    OF_LOAD,
    BindingsGone,
    ExtensionRefused,
    Handoff,
    HandoffEvent,
    HandoffState,
    StandsElsewhere,
)
from .handoff_history import HandoffHistory
from .handoff_message import HandoffMessages
from .handoff_queue import HandoffQueue
from .handoff_tidying import Tidying
from .home_agent_switch import TIMEOUTS_US
from .load import Load
from .router_advertiser import SpeakerChanged
from .settings import NodeSettings, VirtualHaSettings
from .token_bucket import TokenBucket
from .types import SECOND, Address, Binding, Instant, text

OVERLAP_US = 10 * SECOND  # both bindings stand: several tries of a Binding Update (RFC 6275 section 11.8)
MOST_UNANSWERED = 64  # RFC 5142 section 7: a feedback loop, should the new home agent not serve those who come
MOST_FAILURES = 16  # while nobody goes; then something is wrong that more of them would not mend


Effect = RemoveBindings | SendPacket | Report


class Handoffs:
    """The handoffs of one virtual HA: those that wait, those under way, those that are over."""

    def __init__(
        self,
        virtual_ha: VirtualHaSettings,
        node: NodeSettings,
        commons: Commons,
        cache: BindingCache,
        is_recovering: Callable[[Address], bool],
    ) -> None:
        self.refused_extensions = 0
        self._virtual_ha = virtual_ha
        self._cache = cache
        self._held = commons.held
        self._surroundings = commons.around(virtual_ha.vrid)
        self._is_recovering = is_recovering
        self._speaks = False
        self._candidates = Candidates(cache, self._may_be_told)
        self._pending = HandoffQueue(cache, self._candidates, self._may_be_named)
        self._repeats: dict[Address, Handoff] = {}  # of those sent, to be told again when there is a token
        self._sent: dict[Address, Handoff] = {}
        self._told: dict[Address, Handoff] = {}
        self._overlapping = 0  # of those told, how many are done
        self._failures = 0  # of mobile nodes since whose turn nobody has gone
        self._history = HandoffHistory()
        self._heap: list[tuple[Instant, Address]] = []  # of those told, some of them outdated
        self._pace = TokenBucket(virtual_ha.balance.pace, Instant(0))
        self._next: Instant | None = None  # when there is a token for what waits
        self._load = Load(virtual_ha, cache, self._surroundings)
        self._tidying = Tidying(self._surroundings)
        self._messages = HandoffMessages(virtual_ha, node, commons, self._surroundings)

    def reconfigure(self, virtual_ha: VirtualHaSettings, node: NodeSettings) -> None:
        """Use these from now on; what is under way goes on."""
        if virtual_ha.balance.pace != self._virtual_ha.balance.pace:
            self._pace = TokenBucket(virtual_ha.balance.pace, self._next or Instant(0))
        self._virtual_ha = virtual_ha
        self._messages.reconfigure(virtual_ha, node)
        self._load.reconfigure(virtual_ha)

    # --- the two verbs -------------------------------------------------------------------------------------

    def handle(self, event: HandoffEvent, now: Instant) -> list[Effect]:
        """What to do; the bindings of RemoveBindings are out of the cache already."""
        return list(self._dispatch(event, now))

    def deadline(self) -> Instant | None:
        """When somebody is to be told, given up or removed, or the load is to be looked at."""
        while self._heap and not self._is_current(*self._heap[0]):
            heappop(self._heap)
        times = (self._next, self._load.deadline(), self._tidying.deadline(), self._heap[0][0] if self._heap else None)
        return min((t for t in times if t is not None), default=None)

    # --- what can be looked at -----------------------------------------------------------------------------

    def prohibits(self, home_address: Address) -> bool:
        """The mobile node was told to go: what is bound stays as it is until it ends."""
        handoff = self._told.get(home_address)
        return handoff is not None and handoff.reason != OF_ITSELF

    def registered(self, home_address: Address) -> None:
        """It registered here, which nobody does who was told to go."""
        if (handoff := self._told.get(home_address)) is not None:
            self._let_go(handoff)

    def is_under_way(self, home_address: Address) -> bool:
        """Pending or sent."""
        return home_address in self._pending or home_address in self._sent

    def counts(self) -> dict[str, int]:
        """How many are pending and sent now, how the others ended so far, and how often one wanted to stay."""
        return {
            "pending": len(self._pending),
            "sent": len(self._sent),
            "done": self._history.totals[HandoffState.DONE],
            "failed": self._history.totals[HandoffState.FAILED],
            "refused_extensions": self.refused_extensions,
        }

    def balance(self) -> dict[str, object]:
        """The marks, what counts as load here, and what is being done about it."""
        return self._load.describe(self._leaving(), self._under_way())

    def describe(self, now: Instant) -> list[dict[str, object]]:
        """Every handoff that is known, as plain data: those that wait, those under way, those that are over."""
        groups = (self._pending.named, self._sent, self._history.finished)
        return [handoff.describe(now) for group in groups for handoff in group.values()]

    def unnamed(self) -> list[dict[str, object]]:
        """How many of those that wait the operator did not name, by where they are to go."""
        return [{"to": to, "count": count} for to, count in self._pending.unnamed().items()]

    # --- events --------------------------------------------------------------------------------------------

    def _dispatch(self, event: HandoffEvent, now: Instant) -> Iterator[Effect]:
        match event:
            case HandoffWanted():
                self._pending.add(event, now)
            case HandoffsCancelled():
                for handoff in self._pending.clear():
                    yield from self._end(handoff, HandoffState.FAILED, "cancelled")
            case StandsElsewhere(binding=binding):
                yield from self._stands_elsewhere(binding, now)
            case BindingsGone(bindings=bindings, answered=answered):
                for binding in bindings:
                    yield from self._gone(binding, answered, now)
            case ExtensionRefused(home_address=home_address, source=source):
                self._refused(home_address, source)
            case SpeakerChanged(speaks=speaks) if speaks != self._speaks:
                self._speaks = speaks
                self._load.speaker_changed(speaks, now)
                if speaks:
                    self._tidying.begin(now)
                else:
                    yield from self._give_up()
            case SpeakerChanged():
                return
            case TimerFired():
                yield from self._timer(now)
        yield from self._tell(now)

    def _stands_elsewhere(self, binding: Binding, now: Instant) -> Iterator[Effect]:
        """What is said of one that was told is its answer. Of another it counts if its sequence number is greater:
        no virtual HA that knows of this binding accepts a lower one (registration.py)."""
        home_address = binding.home_address
        here = self._cache.get(home_address)
        handoff = self._told.get(home_address)
        if here is None or not self._speaks:
            return
        if handoff is None:
            if not is_greater(binding.sequence, here.sequence):
                return
            handoff = self._pending.named.pop(home_address, None)
            if handoff is None:
                handoff = Handoff(home_address, binding.care_of_address, OF_ITSELF, now)
            self._told[home_address] = handoff
        if handoff.state is not HandoffState.DONE:
            yield from self._end(handoff, HandoffState.DONE, "")
            self._overlapping += 1
            self._wake(handoff, Instant(now + OVERLAP_US))
        if here.care_of_address != binding.care_of_address:  # it is not there any more
            yield from self._remove(handoff)

    def _gone(self, binding: Binding, answered: bool, now: Instant) -> Iterator[Effect]:
        home_address = binding.home_address
        if (pending := self._pending.named.pop(home_address, None)) is not None:
            yield from self._end(pending, HandoffState.FAILED, "not bound here any more")
        if (handoff := self._told.get(home_address)) is None:
            return
        self._let_go(handoff)
        if answered and handoff.state is not HandoffState.DONE:
            self._held.hold(binding, self._virtual_ha.vrid, now)  # it is on its way to where it was told to go
            yield from self._end(handoff, HandoffState.DONE, "")
        elif handoff.state is HandoffState.SENT:
            yield from self._end(handoff, HandoffState.FAILED, "the binding ended")

    def _refused(self, home_address: Address, source: Address) -> None:
        """It is there, then; it is told again where it is now, which it may not have heard where it was."""
        self.refused_extensions += 1
        handoff = self._told.get(home_address)
        if handoff is None or handoff.state is HandoffState.DONE:
            return
        handoff.destination = source
        if handoff.state is HandoffState.FAILED:
            self._history.finished.pop(home_address, None)
            handoff.state, handoff.detail = HandoffState.SENT, ""
            handoff.attempts = len(TIMEOUTS_US) - 1
            self._sent[home_address] = handoff
        handoff.attempts = min(handoff.attempts, len(TIMEOUTS_US) - 1)
        self._repeats[home_address] = handoff

    def _give_up(self) -> Iterator[Effect]:
        """Master no more: who is now goes by the load that it sees."""
        unfinished = [*self._pending.clear(), *self._sent.values()]
        self._tidying.stop()
        self._overlapping = self._failures = 0
        for group in (self._sent, self._repeats, self._told):
            group.clear()
        for handoff in unfinished:
            self._finish(handoff, HandoffState.FAILED, "this member is not Master any more")
        if unfinished:
            yield Report("warning", "handoffs_given_up", fields={"handoffs": len(unfinished)})

    # --- timers --------------------------------------------------------------------------------------------

    def _wake(self, handoff: Handoff, due: Instant) -> None:
        handoff.due = due
        heappush(self._heap, (due, handoff.home_address))

    def _is_current(self, due: Instant, home_address: Address) -> bool:
        handoff = self._told.get(home_address)
        return handoff is not None and handoff.due == due

    def _timer(self, now: Instant) -> Iterator[Effect]:
        while self._heap and self._heap[0][0] <= now:
            due, home_address = heappop(self._heap)
            if not self._is_current(due, home_address):
                continue
            handoff = self._told[home_address]
            handoff.due = None
            if handoff.state is HandoffState.DONE:
                yield from self._remove(handoff)
            elif handoff.attempts < len(TIMEOUTS_US):
                self._repeats[home_address] = handoff
            else:
                yield from self._unanswered(handoff, now)
        if self._speaks:
            for binding in self._tidying.go_on(now):
                yield from self._stands_elsewhere(binding, now)
            self._history.forget(now, self._virtual_ha.balance.hold_us)
            yield from self._load.look(now, self._leaving(), self._under_way())

    def _unanswered(self, handoff: Handoff, now: Instant) -> Iterator[Effect]:
        """RFC 5142 section 5.3. Where nobody goes at all they are not to blame: they may stay, others are not told."""
        yield from self._end(handoff, HandoffState.FAILED, "it neither de-registered nor went elsewhere")
        self._history.unanswered(handoff.home_address, now)
        if handoff.done_then != self._history.totals[HandoffState.DONE]:
            return
        self._failures += 1
        if self._failures < MOST_FAILURES:
            return
        self._failures = 0
        self._load.pause(now)
        for told in [told for told in self._told.values() if told.state is HandoffState.FAILED]:
            self._let_go(told)
        yield Report("warning", "balance_paused", fields={"failures": MOST_FAILURES})

    def _remove(self, handoff: Handoff) -> Iterator[Effect]:
        """The other binding stands, and the mobile node does not say that it has done with this one."""
        self._let_go(handoff)
        removed = self._cache.remove(handoff.home_address)
        if removed is not None:
            yield RemoveBindings(self._virtual_ha.vrid, [removed])
            yield Report("debug", "handoff_binding_removed")

    def _let_go(self, handoff: Handoff) -> None:
        """Its binding here is gone, or as if it had never been told."""
        del self._told[handoff.home_address]
        handoff.due = None
        self._overlapping -= handoff.state is HandoffState.DONE

    # --- who is told ---------------------------------------------------------------------------------------

    def _tell(self, now: Instant) -> Iterator[Effect]:
        """Everybody whose turn it is. Those who were told before come first, then those whom the operator wants."""
        self._next = None
        while self._speaks:
            token = self._pace.next_token(now)
            if token > now:
                self._next = token if self._anybody_waits(now) else None
                return
            handoff = self._next_one(now)
            if handoff is None:
                self._next = self._pending.search_at
                return
            self._pace.take(now)
            yield from self._send(handoff, now)

    def _anybody_waits(self, now: Instant) -> bool:
        if self._repeats:
            return True
        return len(self._sent) < MOST_UNANSWERED and bool(self._pending or self._next_target(now))

    def _next_one(self, now: Instant) -> Handoff | None:
        if self._repeats:
            return self._repeats.pop(next(iter(self._repeats)))
        if len(self._sent) >= MOST_UNANSWERED:
            return None
        if self._pending and (wanted := self._pending.next(now)) is not None:
            return wanted
        to = self._next_target(now)
        if to is None or self._pending:
            return None
        binding = self._candidates.next(now)
        if binding is None:
            self._load.nobody_can_go(now, self._candidates.exhausted)
            return None
        return Handoff(binding.home_address, binding.care_of_address, OF_LOAD, now, to)

    def _next_target(self, now: Instant) -> int | None:
        return self._load.next_target(now, self._leaving(), self._under_way())

    def _send(self, handoff: Handoff, now: Instant) -> Iterator[Effect]:
        home_address = handoff.home_address
        home_agents = self._messages.home_agents(handoff, self._under_way())
        if not home_agents:
            if home_address in self._told:
                self._let_go(handoff)
            yield from self._end(handoff, HandoffState.FAILED, "there is no other virtual HA that could take it")
            return
        first = handoff.state is HandoffState.PENDING
        if first and (binding := self._cache.get(home_address)):
            handoff.destination = binding.care_of_address  # it may have moved while it waited
        handoff.state = HandoffState.SENT
        self._sent[home_address] = self._told[home_address] = handoff
        self._wake(handoff, Instant(now + TIMEOUTS_US[handoff.attempts]))
        yield self._messages.message(handoff, home_agents, now)
        handoff.attempts += 1
        if first:
            self._history.asked(home_address, now)
            handoff.done_then = self._history.totals[HandoffState.DONE]
            fields: dict[str, object] = {"home_address": text(home_address), "to": handoff.to, "reason": handoff.reason}
            yield Report("info", "handoff_sent", fields=fields)
        else:
            yield Report("debug", "handoff_sent_again")

    def _may_be_named(self, home_address: Address) -> bool:
        """Whether the operator may want it to go: it was not told so already, and there is a way to tell it."""
        told = self._told.get(home_address)
        return self._messages.can_be_told(home_address) and (told is None or told.state is HandoffState.FAILED)

    def _may_be_told(self, home_address: Address, now: Instant) -> bool:
        """Whether it may be chosen."""
        hold = self._virtual_ha.balance.hold_us
        return not (
            self._history.is_left_alone(home_address, now, hold)
            or self._surroundings.arrived_since(home_address, Instant(now - hold))
            or self._is_recovering(home_address)
            or self._surroundings.elsewhere(home_address) is not None
            or home_address in self._told
            or not self._may_be_named(home_address)
            or not self._messages.usable(home_address)
        )

    # --- what counts as moved ------------------------------------------------------------------------------

    def _under_way(self) -> Counter[int]:
        """How many were told to go where, and are not seen there yet."""
        return Counter(handoff.to for handoff in self._sent.values() if handoff.to is not None)

    def _leaving(self) -> int:
        """How many of the bindings here are as good as gone."""
        return len(self._sent) + self._overlapping

    # --- the end of a handoff ------------------------------------------------------------------------------

    def _end(self, handoff: Handoff, state: HandoffState, detail: str) -> Iterator[Effect]:
        yield self._finish(handoff, state, detail)

    def _finish(self, handoff: Handoff, state: HandoffState, detail: str) -> Report:
        self._sent.pop(handoff.home_address, None)
        self._repeats.pop(handoff.home_address, None)
        if state is HandoffState.DONE:
            self._failures = 0
        return self._history.end(handoff, state, detail)
