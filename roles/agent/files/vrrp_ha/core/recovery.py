# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full recovery (draft section 5.2.2) for one virtual HA: mobile nodes that this member cannot serve register anew.

A mobile node whose security association died with the owner can be forwarded for by an acting Master, but what it
signals cannot be understood. When it signals all the same, its binding is deleted and it is asked to register with a
home agent that it can talk to, by a Home Agent Switch message (RFC 5142); where there is no key to authenticate one
with, the operator's program is run instead.

Whoever can send packets can pretend to be such a mobile node. So a recovery waits for its turn with its binding still
in place, one source gets few turns, and no more bindings are lost than the pace allows, whatever is sent here. A valid
Binding Update ends a recovery, also one that has not begun.

Who may ask for a recovery is decided in signalling.py; nothing here knows packets that arrive, or the other members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush

from .binding_cache import BindingCache
from .commons import Commons
from .effects import RemoveBindings, Report, RunHook, SendPacket
from .events import TimerFired
from .home_agent_switch import TIMEOUTS_US, home_agent_switch
from .router_advertiser import SpeakerChanged
from .settings import NodeSettings, VirtualHaSettings
from .token_bucket import TokenBucket, TokenBuckets
from .types import SECOND, Address, Binding, Instant, text

KEPT_FINISHED = 1000  # recoveries that are over and can still be looked at
_MOST_SOURCES = 4096
_SOURCE_OCTETS = 8  # a /64: whoever has one address of it can have the others


class RecoveryState(Enum):
    """How far a recovery is."""

    PENDING = "pending"  # waits for its turn
    SENT = "sent"  # the binding is deleted, the mobile node was told to register anew or the hook was run
    DONE = "done"  # a valid Binding Update came
    FAILED = "failed"  # none came, or nobody could be told


@dataclass(frozen=True, slots=True)
class TriggerSeen:
    """Signalling that no key here opens came from a mobile node with a binding, or from somebody who says so."""

    home_address: Address
    source: Address
    reason: str


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


Event = TriggerSeen | RecoveryWanted | BindingsLapsed | MobileNodeRegistered | SpeakerChanged | TimerFired
Effect = RemoveBindings | SendPacket | RunHook | Report


@dataclass(slots=True)
class _Recovery:
    """One mobile node's."""

    home_address: Address
    destination: Address  # where it was heard last
    reason: str
    since: Instant
    state: RecoveryState = RecoveryState.PENDING
    attempts: int = 0
    due: Instant | None = None  # when it is sent again or given up
    method: str = ""  # switch or hook
    detail: str = ""


class Recovery:
    """The recoveries of one virtual HA: a queue in order of arrival, those under way, those that are over."""

    def __init__(
        self, virtual_ha: VirtualHaSettings, node: NodeSettings, cache: BindingCache, commons: Commons
    ) -> None:
        self.totals: Counter[RecoveryState] = Counter()
        self._cache = cache
        self._settings = node.recovery
        self._pending: dict[Address, _Recovery] = {}
        self._sent: dict[Address, _Recovery] = {}
        self._finished: dict[Address, _Recovery] = {}
        self._heap: list[tuple[Instant, Address]] = []  # of those that were sent, some of them outdated
        self._pace = TokenBucket(node.recovery.pace, Instant(0))
        self._sources = TokenBuckets(node.recovery.per_source, _MOST_SOURCES)
        self._next: Instant | None = None  # when the first pending one may begin
        self._commons = commons
        self.reconfigure(virtual_ha, node)

    def reconfigure(self, virtual_ha: VirtualHaSettings, node: NodeSettings) -> None:
        """Use these from now on; what is under way goes on."""
        self._virtual_ha = virtual_ha
        self._new_home_agent = _new_home_agent(virtual_ha, node)
        self._ipsec = node.ipsec
        if node.recovery.pace != self._settings.pace:
            self._pace = TokenBucket(node.recovery.pace, self._next or Instant(0))
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
        times = (self._next if self._pending else None, self._heap[0][0] if self._heap else None)
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

    def describe(self, now: Instant) -> list[dict[str, object]]:
        """Every recovery that is known, as plain data: those that wait, those under way, those that are over."""
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
            for group in (self._pending, self._sent, self._finished)
            for recovery in group.values()
        ]

    def is_under_way(self, home_address: Address) -> bool:
        """Pending or sent."""
        return home_address in self._pending or home_address in self._sent

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
                    if (known := self._last_seen_at(home_address)) is not None:
                        yield from self._enqueue(_Recovery(home_address, known, "operator", now))
            case BindingsLapsed(bindings=bindings) if self._settings.enabled and self._settings.on_expiry:
                for binding in bindings:
                    yield from self._enqueue(_Recovery(binding.home_address, binding.care_of_address, "expired", now))
            case MobileNodeRegistered(home_address=home_address):
                yield from self._registered(home_address)
            case SpeakerChanged(speaks=False) if self._pending or self._sent:
                yield from self._give_up()
            case TimerFired():
                yield from self._send_again(now)
        yield from self._begin(now)

    def _trigger(self, event: TriggerSeen, now: Instant) -> Iterator[Effect]:
        """Only a mobile node with a binding has something to recover, or one that is being recovered already."""
        under_way = self._pending.get(event.home_address) or self._sent.get(event.home_address)
        if not self._settings.enabled or (under_way is None and event.home_address not in self._cache):
            return
        if not self._sources.take(event.source[:_SOURCE_OCTETS], now):
            yield Report("debug", "recovery_limited.source")
        elif under_way is not None:
            under_way.destination = event.source  # it may have moved again
        else:
            yield from self._enqueue(_Recovery(event.home_address, event.source, event.reason, now))

    def _last_seen_at(self, home_address: Address) -> Address | None:
        binding = self._cache.get(home_address)
        if binding is not None:
            return binding.care_of_address
        before = self._finished.get(home_address)
        return before.destination if before is not None and before.state is RecoveryState.FAILED else None

    def _enqueue(self, recovery: _Recovery) -> Iterator[Effect]:
        if self.is_under_way(recovery.home_address):
            return
        if len(self._pending) >= self._settings.queue:
            yield Report("debug", "recovery_limited.queue")
            return
        if not self._pending:
            self._next = self._pace.next_token(recovery.since)
        self._finished.pop(recovery.home_address, None)
        self._pending[recovery.home_address] = recovery
        yield Report("debug", "recovery_queued")

    # --- a recovery's life ---------------------------------------------------------------------------------

    def _begin(self, now: Instant) -> Iterator[Effect]:
        """Those whose turn it is: delete the binding, then tell the mobile node or somebody who can."""
        while self._pending and self._next is not None and self._next <= now and self._pace.take(now):
            self._next = self._pace.next_token(now)
            recovery = self._pending.pop(next(iter(self._pending)))
            removed = self._cache.remove(recovery.home_address)
            if removed is not None:
                yield RemoveBindings(self._virtual_ha.vrid, [removed])
            if self._can_authenticate(recovery.home_address) or self._virtual_ha.insecure_bindings:
                recovery.method = "switch"
            elif self._settings.hook:
                recovery.method = "hook"
            else:
                yield from self._end(recovery, RecoveryState.FAILED, "there is neither a key nor a hook")
                continue
            recovery.state = RecoveryState.SENT
            self._sent[recovery.home_address] = recovery
            yield Report("info", "recovery_begun", fields=self._fields(recovery, removed))
            yield self._hook(recovery) if recovery.method == "hook" else self._switch(recovery)
            self._attempted(recovery, now)

    def _attempted(self, recovery: _Recovery, now: Instant) -> None:
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
                yield self._switch(recovery)
            self._attempted(recovery, now)

    def _registered(self, home_address: Address) -> Iterator[Effect]:
        """Late is not too late: one that had failed is done as well."""
        recovery = self._pending.pop(home_address, None) or self._sent.pop(home_address, None)
        if recovery is None:
            recovery = self._finished.get(home_address)
            if recovery is None or recovery.state is RecoveryState.DONE:
                return
        yield from self._end(recovery, RecoveryState.DONE, "")

    def _give_up(self) -> Iterator[Effect]:
        """Master no more: who is now sees to the mobile nodes itself."""
        unfinished = [*self._pending.values(), *self._sent.values()]
        self._pending.clear()
        self._sent.clear()
        for recovery in unfinished:
            self._finish(recovery, RecoveryState.FAILED, "this member is not Master any more")
        yield Report("warning", "recoveries_given_up", fields={"recoveries": len(unfinished)})

    def _end(self, recovery: _Recovery, state: RecoveryState, detail: str) -> Iterator[Effect]:
        self._finish(recovery, state, detail)
        level = "info" if state is RecoveryState.DONE else "warning"
        fields: dict[str, object] = {"home_address": text(recovery.home_address), "attempts": recovery.attempts}
        yield Report(level, f"recovery_{state.value}", fields=fields | ({"detail": detail} if detail else {}))

    def _finish(self, recovery: _Recovery, state: RecoveryState, detail: str) -> None:
        recovery.state, recovery.detail = state, detail
        self.totals[state] += 1
        self._finished.pop(recovery.home_address, None)
        self._finished[recovery.home_address] = recovery
        while len(self._finished) > KEPT_FINISHED:
            del self._finished[next(iter(self._finished))]

    def _fields(self, recovery: _Recovery, removed: Binding | None) -> dict[str, object]:
        return {
            "home_address": text(recovery.home_address),
            "care_of_address": text(removed.care_of_address) if removed else None,
            "destination": text(recovery.destination),
            "reason": recovery.reason,
            "method": recovery.method,
        }

    # --- who is told ---------------------------------------------------------------------------------------

    def _has_ipsec(self, home_address: Address) -> bool:
        return bool(self._ipsec.between(home_address, self._new_home_agent))

    def _can_authenticate(self, home_address: Address) -> bool:
        return self._has_ipsec(home_address) or bool(self._commons.keys.keys_for(home_address))

    def _switch(self, recovery: _Recovery) -> SendPacket:
        """The new home agent lists itself: RFC 5142 section 5.1, of a sender that is not the current one."""
        by_ipsec = self._has_ipsec(recovery.home_address)
        return home_agent_switch(
            self._new_home_agent,
            (self._new_home_agent,),
            recovery.destination,
            recovery.home_address,
            None if by_ipsec else self._commons.keys.for_sending(recovery.home_address, recovery.attempts),
        )

    def _hook(self, recovery: _Recovery) -> RunHook:
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
