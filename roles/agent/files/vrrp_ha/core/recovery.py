# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full recovery (draft section 5.2.2) for one virtual HA: mobile nodes that this member cannot serve register anew.

A mobile node whose security association died with the owner can be forwarded for by an acting Master, but what it
signals cannot be understood. When it signals all the same, its binding is deleted and it is asked to register with a
home agent that it can talk to, by a Home Agent Switch message (RFC 5142); where there is no key to authenticate one
with, the operator's program is run instead.

Whoever can send packets can pretend to be such a mobile node. So a recovery waits for its turn with its binding still
in place (recovery_queue.py), one source gets few turns, and no more bindings are lost than the pace allows, whatever is
sent here. A valid Binding Update ends a recovery, also one that has not begun.

A mobile node need not be bound any more: the acting Master that deleted its binding may be dead, or its agent be
another one, or the binding have expired. Nothing of that is remembered anywhere but by the mobile node, which goes on
signalling. So it is helped, too, when no other one waits; there is nothing that it could lose.

Who may ask for a recovery is decided in signalling.py; nothing here knows packets that arrive, or the other members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice

from .binding_cache import BindingCache
from .commons import Commons
from .effects import RemoveBindings, Report, RunHook, SendPacket
from .events import TimerFired
from .home_agent_switch import TIMEOUTS_US, home_agent_switch
from .recovery_queue import RecoveryQueue, RecoveryRecord, RecoveryState, place_of
from .router_advertiser import SpeakerChanged
from .settings import NodeSettings, VirtualHaSettings
from .token_bucket import TokenBuckets
from .types import SECOND, Address, Binding, Instant, text

KEPT_FINISHED = 1000  # recoveries that are over and can still be looked at
_MOST_SOURCES = 4096


@dataclass(frozen=True, slots=True)
class TriggerSeen:
    """Signalling that no key here opens came from a mobile node of the home link, or from somebody who says so."""

    home_address: Address
    source: Address
    reason: str
    leaves: bool = False  # it asks for its binding to be deleted, and for nothing else


@dataclass(frozen=True, slots=True)
class RecoveryWanted:
    """The operator wants these to register anew."""

    home_addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class BindingsLapsed:
    """These expired here, at the acting Master, and nobody refreshed them."""

    bindings: list[Binding]


@dataclass(frozen=True, slots=True)
class MobileNodeRegistered:
    """A valid Binding Update for this home address was accepted by some virtual HA of this node."""

    home_address: Address
    vrid: int  # which


Event = TriggerSeen | RecoveryWanted | BindingsLapsed | MobileNodeRegistered | SpeakerChanged | TimerFired
Effect = RemoveBindings | SendPacket | RunHook | Report


class Recovery:
    """The recoveries of one virtual HA: a queue in order of arrival, those under way, those that are over."""

    def __init__(
        self, virtual_ha: VirtualHaSettings, node: NodeSettings, cache: BindingCache, commons: Commons
    ) -> None:
        self.totals: Counter[RecoveryState] = Counter()
        self._cache = cache
        self._settings = node.recovery
        self._pending = RecoveryQueue(node.recovery)
        self._sent: dict[Address, RecoveryRecord] = {}
        self._finished: dict[Address, RecoveryRecord] = {}
        self._heap: list[tuple[Instant, Address]] = []  # of those that were sent, some of them outdated
        self._sources = TokenBuckets(node.recovery.per_source, _MOST_SOURCES)
        self._commons = commons
        self.reconfigure(virtual_ha, node)

    def reconfigure(self, virtual_ha: VirtualHaSettings, node: NodeSettings) -> None:
        """Use these from now on; what is under way goes on."""
        self._virtual_ha = virtual_ha
        self._new_home_agent = _new_home_agent(virtual_ha, node)
        self._ipsec = node.ipsec
        self._pending.reconfigure(node.recovery)
        if node.recovery.per_source != self._settings.per_source:
            self._sources = TokenBuckets(node.recovery.per_source, _MOST_SOURCES)
        self._settings = node.recovery

    # --- the two verbs -------------------------------------------------------------------------------------

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """What to do; the bindings of RemoveBindings are out of the cache already."""
        return list(self._dispatch(event, now))

    def deadline(self) -> Instant | None:
        """When something is to be begun, sent again or given up."""
        while self._heap and not self._is_current(*self._heap[0]):
            heappop(self._heap)
        times = (self._pending.deadline(), self._heap[0][0] if self._heap else None)
        return min((t for t in times if t is not None), default=None)

    # --- what can be looked at -----------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """How many are pending and sent now, and how many ended one way and the other so far."""
        return {
            "pending": len(self._pending),
            "sent": len(self._sent),
            "done": self.totals[RecoveryState.DONE],
            "failed": self.totals[RecoveryState.FAILED],
        }

    def describe(self, now: Instant, limit: int | None = None) -> list[dict[str, object]]:
        """The recoveries that are known, as plain data: those under way, those that wait, the latest that are over."""
        return [
            {
                "home_address": text(recovery.home_address),
                "state": recovery.state.value,
                "reason": recovery.reason,
                "destination": text(recovery.destination),
                "method": recovery.method,
                "attempts": recovery.attempts,
                "since_s": (now - recovery.since) / SECOND,
                "detail": recovery.detail,
            }
            for recovery in islice(self._known(), limit)
        ]

    def _known(self) -> Iterator[RecoveryRecord]:
        yield from self._sent.values()
        yield from self._pending
        yield from reversed(self._finished.values())

    def is_under_way(self, home_address: Address) -> bool:
        """Pending or sent."""
        return home_address in self._sent or self._pending.get(home_address) is not None

    def knows(self, home_address: Address) -> bool:
        """It is, or was a while ago, being recovered."""
        return self.is_under_way(home_address) or home_address in self._finished

    # --- events --------------------------------------------------------------------------------------------

    def _dispatch(self, event: Event, now: Instant) -> Iterator[Effect]:
        match event:
            case TriggerSeen():
                yield from self._trigger(event, now)
            case RecoveryWanted(home_addresses=home_addresses):
                for home_address in home_addresses:
                    known = self._last_seen_at(home_address)
                    if known is not None and self._method(home_address):
                        yield from self._enqueue(RecoveryRecord(home_address, known, "operator", now), first=True)
            case BindingsLapsed(bindings=bindings) if self._settings.enabled and self._settings.on_expiry:
                for binding in bindings:
                    lapsed = RecoveryRecord(binding.home_address, binding.care_of_address, "expired", now)
                    yield from self._enqueue(lapsed)
            case MobileNodeRegistered():
                yield from self._registered(event)
            case SpeakerChanged(speaks=False) if len(self._pending) or self._sent:
                yield from self._give_up()
            case TimerFired():
                yield from self._send_again(now)
        while (record := self._pending.next(now)) is not None:
            yield from self._begin(record, now)

    def _trigger(self, event: TriggerSeen, now: Instant) -> Iterator[Effect]:
        """A mobile node with a binding waits for its turn; one without may have one that is free."""
        if not self._settings.enabled:
            return
        waiting = self._pending.get(event.home_address)
        if waiting is not None and place_of(waiting.destination) == place_of(event.source):
            self._pending.heard(waiting, event.source, now)  # costs nothing: it is in the queue
            return
        told = self._sent.get(event.home_address)
        bound = event.home_address in self._cache
        if not (waiting or told or bound) and not self._can_help(event):
            return
        if not self._sources.take(place_of(event.source), now):
            yield Report("debug", "recovery_limited.source")
        elif waiting is not None:
            self._pending.heard(waiting, event.source, now)
        elif told is not None:
            told.destination = event.source  # it has moved again
        elif bound:
            yield from self._enqueue(RecoveryRecord(event.home_address, event.source, event.reason, now))
        elif self._pending.take_turn(now):
            yield Report("debug", "recovery_unbound")
            yield from self._begin(RecoveryRecord(event.home_address, event.source, event.reason, now), now)
        else:
            yield Report("debug", "recovery_limited.unbound")  # it will ask again

    def _can_help(self, event: TriggerSeen) -> bool:
        """Whether a mobile node without a binding can be sent somewhere, and has no home agent yet."""
        return not event.leaves and bool(self._method(event.home_address)) and self._is_stray(event.home_address)

    def _is_stray(self, home_address: Address) -> bool:
        return self._virtual_ha.is_on_home_link(home_address) and not self._commons.is_bound(home_address)

    def _last_seen_at(self, home_address: Address) -> Address | None:
        binding = self._cache.get(home_address)
        if binding is not None:
            return binding.care_of_address
        before = self._finished.get(home_address)
        return before.destination if before is not None and before.state is RecoveryState.FAILED else None

    def _enqueue(self, recovery: RecoveryRecord, *, first: bool = False) -> Iterator[Effect]:
        if self.is_under_way(recovery.home_address):
            return
        full = len(self._pending) >= self._settings.queue
        queued = self._pending.add(recovery, first=first)
        if full:
            yield Report("debug", "recovery_limited.queue")  # this one, or who made room for it
        if queued:
            self._finished.pop(recovery.home_address, None)
            yield Report("debug", "recovery_queued")

    # --- a recovery's life ---------------------------------------------------------------------------------

    def _begin(self, recovery: RecoveryRecord, now: Instant) -> Iterator[Effect]:
        """Its turn: delete the binding, then tell the mobile node or somebody who can."""
        self._finished.pop(recovery.home_address, None)
        removed = self._cache.remove(recovery.home_address)
        if removed is not None:
            recovery.bound_to = removed.care_of_address
            self._commons.held.hold(removed, self._virtual_ha.vrid, now)
            yield RemoveBindings(self._virtual_ha.vrid, [removed])
        recovery.method = self._method(recovery.home_address)
        if not recovery.method:
            yield from self._end(recovery, RecoveryState.FAILED, "there is neither a key nor a hook")
            return
        recovery.state = RecoveryState.SENT
        self._sent[recovery.home_address] = recovery
        yield Report("info", "recovery_begun", fields=self._fields(recovery))
        yield self._hook(recovery) if recovery.method == "hook" else self._switch(recovery, recovery.destination, now)
        self._attempted(recovery, now)

    def _method(self, home_address: Address) -> str:
        if self._can_authenticate(home_address) or self._virtual_ha.insecure_bindings:
            return "switch"
        return "hook" if self._settings.hook else ""

    def _attempted(self, recovery: RecoveryRecord, now: Instant) -> None:
        due = recovery.due = Instant(now + TIMEOUTS_US[recovery.attempts])
        recovery.attempts += 1
        heappush(self._heap, (due, recovery.home_address))

    def _is_current(self, due: Instant, home_address: Address) -> bool:
        recovery = self._sent.get(home_address)
        return recovery is not None and recovery.due == due

    def _send_again(self, now: Instant) -> Iterator[Effect]:
        """RFC 5142 section 5.2. The operator's program is run once; it is given the same time."""
        while self._heap and self._heap[0][0] <= now:
            due, home_address = heappop(self._heap)
            if not self._is_current(due, home_address):
                continue
            recovery = self._sent[home_address]
            if recovery.attempts == len(TIMEOUTS_US):
                del self._sent[home_address]
                yield from self._end(recovery, RecoveryState.FAILED, "no Binding Update came")
                continue
            if recovery.method == "switch":
                # The old care-of address, too: somebody else may have said that the mobile node is elsewhere.
                for destination in {recovery.destination: None, recovery.bound_to or recovery.destination: None}:
                    yield self._switch(recovery, destination, now)
            self._attempted(recovery, now)

    def _registered(self, event: MobileNodeRegistered) -> Iterator[Effect]:
        """Late is not too late: one that had failed is done as well."""
        recovery = self._pending.pop(event.home_address)
        if recovery is not None and event.vrid != self._virtual_ha.vrid:
            removed = self._cache.remove(event.home_address)  # it went elsewhere before it was told
            if removed is not None:
                yield RemoveBindings(self._virtual_ha.vrid, [removed])
        recovery = recovery or self._sent.pop(event.home_address, None)
        if recovery is None:
            recovery = self._finished.get(event.home_address)
            if recovery is None or recovery.state is RecoveryState.DONE:
                return
        yield from self._end(recovery, RecoveryState.DONE, "")

    def _give_up(self) -> Iterator[Effect]:
        """Master no more: who is now sees to the mobile nodes itself, when they signal again."""
        unfinished = [*self._sent.values(), *self._pending.clear()]
        self._sent.clear()
        for recovery in unfinished:
            self._finish(recovery, RecoveryState.FAILED, "this member is not Master any more")
        yield Report("warning", "recoveries_given_up", fields={"recoveries": len(unfinished)})

    def _end(self, recovery: RecoveryRecord, state: RecoveryState, detail: str) -> Iterator[Effect]:
        self._finish(recovery, state, detail)
        level = "info" if state is RecoveryState.DONE else "warning"
        fields: dict[str, object] = {"home_address": text(recovery.home_address), "attempts": recovery.attempts}
        yield Report(level, f"recovery_{state.value}", fields=fields | ({"detail": detail} if detail else {}))

    def _finish(self, recovery: RecoveryRecord, state: RecoveryState, detail: str) -> None:
        recovery.state, recovery.detail = state, detail
        self.totals[state] += 1
        self._finished.pop(recovery.home_address, None)
        self._finished[recovery.home_address] = recovery
        while len(self._finished) > KEPT_FINISHED:
            del self._finished[next(iter(self._finished))]

    def _fields(self, recovery: RecoveryRecord) -> dict[str, object]:
        return {
            "home_address": text(recovery.home_address),
            "care_of_address": text(recovery.bound_to) if recovery.bound_to else None,
            "destination": text(recovery.destination),
            "reason": recovery.reason,
            "method": recovery.method,
        }

    # --- who is told ---------------------------------------------------------------------------------------

    def _has_ipsec(self, home_address: Address) -> bool:
        return bool(self._ipsec.between(home_address, self._new_home_agent))

    def _can_authenticate(self, home_address: Address) -> bool:
        return self._has_ipsec(home_address) or bool(self._commons.keys.keys_for(home_address))

    def _switch(self, recovery: RecoveryRecord, destination: Address, now: Instant) -> SendPacket:
        """The new home agent lists itself: RFC 5142 section 5.1, of a sender that is not the current one."""
        by_ipsec = self._has_ipsec(recovery.home_address)
        return home_agent_switch(
            self._new_home_agent,
            (self._new_home_agent,),
            destination,
            recovery.home_address,
            None if by_ipsec else self._commons.keys.for_sending(recovery.home_address, recovery.attempts),
            self._commons.wall_time_us(now),
        )

    def _hook(self, recovery: RecoveryRecord) -> RunHook:
        words = (
            str(self._virtual_ha.vrid),
            text(self._virtual_ha.vha_address),
            text(self._new_home_agent),
            text(recovery.home_address),
            text(recovery.destination),
            recovery.reason,
        )
        return RunHook(self._settings.hook, words)


def _new_home_agent(virtual_ha: VirtualHaSettings, node: NodeSettings) -> Address:
    """The VHA address that this member owns for the same home prefix; without one, the one that it acts for."""
    if virtual_ha.is_owner:
        return virtual_ha.vha_address
    for other in node.virtual_has:
        same_link = (other.interface, other.prefix, other.prefix_length) == (
            virtual_ha.interface,
            virtual_ha.prefix,
            virtual_ha.prefix_length,
        )
        if other.is_owner and other.mipv6_ha_mode and same_link:
            return other.vha_address
    return virtual_ha.vha_address
