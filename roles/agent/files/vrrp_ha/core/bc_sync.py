# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The synchronisation of one virtual HA's binding cache between its members (draft sections 4.2 and 4.3).

The Master speaks (sync_sender.py), everybody else follows (sync_receiver.py), and both only after the guard
(sync_guard.py) has let a message in. This file says who is who. It never touches the election: that an owner waits
for its bindings, and that a member without them competes with less, is decided in virtual_ha.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..wire import bc_sync as wire
from ..wire.errors import WireError
from .binding_cache import BindingCache
from .binding_request import is_greater
from .effects import InstallBindings, RemoveBindings, Report
from .events import TimerFired
from .settings import SyncSettings, VirtualHaSettings
from .sync_events import (
    BindingsChanged,
    ConfirmationWanted,
    FlushRequested,
    RoleChanged,
    SendSync,
    SyncCompleted,
    SyncEvent,
    SyncLost,
    SyncReceived,
    SyncServed,
    SyncTimedOut,
)
from .sync_guard import SyncGuard
from .sync_offers import SyncOffers
from .sync_points import SyncPoints
from .sync_receiver import SyncReceiver
from .sync_sender import SyncSender
from .types import SECOND, Address, Instant, State, text

__all__ = [
    "BcSync",
    "BindingsChanged",
    "FlushRequested",
    "RoleChanged",
    "SendSync",
    "SyncCompleted",
    "SyncLost",
    "SyncReceived",
    "SyncServed",
    "SyncTimedOut",
]

# Members know a lifetime to 4 s, and not the same 4 s after a change of Master: a replica that is not told of an
# expiry drops the entry so much later.
REPLICA_GRACE_US = 8 * SECOND

# What a Master neither took nor contradicted it has not heard: it is offered so often before it is given up. With the
# times between requests (sync_receiver.py) that takes some ten seconds.
OFFERS_BEFORE_REMOVAL = 6

# A Master that took over without having been synchronised, as after a power cut, asks the others what they have: at
# once, and when one of them turns up within this time.
COLD_START_US = 60 * SECOND
COLD_ASK_US = 1 * SECOND

Effect = SendSync | InstallBindings | RemoveBindings | SyncCompleted | SyncServed | SyncTimedOut | SyncLost | Report


class BcSync:
    """handle(event, now) -> effects, deadline() -> when to send TimerFired, synced -> is the cache the Master's.

    One object serves one virtual HA for as long as it is configured: when the link was away, `attach` it again.
    `numbers` are the agent's message numbers, `heard` the last ones of the other members (sync_guard.py).
    """

    def __init__(
        self,
        cache: BindingCache,
        virtual_ha: VirtualHaSettings,
        settings: SyncSettings,
        local_address: Address,
        mtu: int,
        numbers: Iterator[int],
        heard: dict[Address, int] | None = None,
    ) -> None:
        self.points = SyncPoints(cache)
        self._cache = cache
        self._virtual_ha = virtual_ha
        self._settings = settings
        self._mtu = mtu
        self._state = State.INITIALIZE
        self._master: Address | None = None
        self._guard = SyncGuard(virtual_ha, local_address, numbers, heard)
        self._sender = SyncSender(cache, virtual_ha.vrid, settings, self._per_message())
        self._receiver = SyncReceiver(cache, virtual_ha.vrid, settings, is_owner=virtual_ha.is_owner)
        self._offers = SyncOffers(cache)
        self._cold_until = Instant(0)
        self._early_asker: Address | None = None  # perhaps the Master, which we had not heard of when it asked
        self._cold_asked: dict[Address, Instant] = {}  # who asked, and was asked in return, when

    @property
    def synced(self) -> bool:
        """The cache is authoritative, or equal to the Master's as far as we know."""
        return self._state is State.MASTER or self._receiver.complete

    def attach(self, local_address: Address, mtu: int) -> None:
        """The link is (back) there, perhaps with another address or MTU."""
        self._mtu = mtu
        self._guard.local_address = local_address
        self._sender.per_message = self._per_message()

    def reconfigure(self, virtual_ha: VirtualHaSettings, settings: SyncSettings) -> None:
        """New settings of the same virtual HA; what is going on goes on."""
        self._virtual_ha = virtual_ha
        self._settings = self._sender.settings = self._receiver.settings = settings
        self._receiver.is_owner = virtual_ha.is_owner
        self._guard.reconfigure(virtual_ha)
        self._sender.per_message = self._per_message()

    def deadline(self) -> Instant | None:
        """When this core wants a TimerFired."""
        times = (self._sender.deadline(), self._receiver.deadline())
        return min((due for due in times if due is not None), default=None)

    def handle(self, event: SyncEvent, now: Instant) -> list[Effect]:
        """Every event may make the Master speak; nothing is said by anybody else but a request."""
        effects = list(self._perform(self._dispatch(event, now), now))
        effects.extend(self._perform(self._sender.pump(now), now))
        return effects

    # --- events --------------------------------------------------------------------------------------------

    def _dispatch(self, event: SyncEvent, now: Instant) -> Iterator[object]:
        match event:
            case SyncReceived(source=source, payload=payload):
                try:
                    yield from self._received(source, payload, now)
                except WireError as error:
                    fields: dict[str, object] = {"source": text(source), "detail": str(error)}
                    yield Report("debug", f"dropped.{error.reason}", self._virtual_ha.vrid, fields)
            case TimerFired():
                yield from self._asking(self._receiver.timer(now), now)
            case BindingsChanged(changed=changed, removed=removed) if self._state is State.MASTER:
                self._offers.note(changed, removed, now)
                # Draft section 4.2.3: changed entries only. Removed first: a home address may be in both.
                self._sender.changed(removed)
                self._sender.changed(changed)
            case RoleChanged(state=state, master=master):
                yield from self._change_role(state, master, now)
            case ConfirmationWanted():
                self._receiver.confirm(now)
                yield from self._asking(self._receiver.timer(now), now)
            case FlushRequested():
                yield from self._sender.flush(now)

    def _change_role(self, state: State, master: Address | None, now: Instant) -> Iterator[object]:
        before, self._state, self._master = self._state, state, master
        if state is not before:
            self.points.clear()
        self._cache.grace_us = 0 if state is State.MASTER else REPLICA_GRACE_US
        match state:
            case State.MASTER if before is not State.MASTER:
                if not self._receiver.complete and self._can_offer():
                    self._cold_until = Instant(now + COLD_START_US)
                if now < self._cold_until:
                    self._cold_asked.clear()
                    yield wire.BcRequest(self._virtual_ha.vrid)
                self._receiver.rest()
                self._offers.equal_to = self._identity(self._guard.local_address)
                self._sender.start(now, with_everything=self._virtual_ha.is_owner)
            case State.BACKUP:
                self._sender.stop()
                self._receiver.follow(master, now)
                self._heed_early_asker(now)
                yield from self._asking(self._receiver.timer(now), now)  # the first request goes out at once
            case State.INITIALIZE:
                self._sender.stop()
                self._receiver.rest()
                self._receiver.complete = False

    def _received(self, source: Address, payload: bytes, now: Instant) -> Iterator[object]:
        message = wire.decode(self._guard.open(payload, source), self._settings)
        if isinstance(message, wire.BcRequest):
            yield from self._asked(source, now)
            return
        if self._state is State.BACKUP and self._master is None:
            # The answer to the request of a member that just started comes before the next advertisement. Only a
            # Master speaks so; should it not be the one, its first advertisement or digest puts that right.
            self._master = source
            self._receiver.follow(source, now)
            self._heed_early_asker(now)
        if self._state is State.MASTER and isinstance(message, wire.BcUpdate) and self._virtual_ha.sync_key:
            yield from self._offered(source, message.bindings, now)
            return
        if self._state is not State.BACKUP or source != self._master:
            raise WireError("sync_not_master", text(source))
        if isinstance(message, wire.BcUpdate):
            yield from self._told(message.bindings, now)
        elif self._settings.digest_interval_us:
            self.points.note(message.count, message.digest, now)
            yield from self._asking(self._receiver.digest(message.count, message.digest, now), now)
            if (message.count, message.digest) == (len(self._cache), self._cache.digest):
                self._offers.equal_to = self._identity(source)  # it has what we have
                self._receiver.asks_before_removal = 1
        else:
            raise WireError("sync_digest_off", text(source))

    def _asked(self, source: Address, now: Instant) -> Iterator[object]:
        """A Backup wants everything from the Master; or a Master that knows nothing for sure asks what others have."""
        if self._state is State.MASTER:
            if now < self._cold_until and now >= self._cold_asked.get(source, -COLD_ASK_US) + COLD_ASK_US:
                self._cold_asked[source] = now
                yield wire.BcRequest(self._virtual_ha.vrid)  # before the answer, which ends what the other has
            self._sender.requested(source, now)
            yield SyncServed(source)
        elif source == self._master:
            self._asked_by_master(source, now)
        elif self._master is None:
            self._early_asker = source

    def _asked_by_master(self, source: Address, now: Instant) -> None:
        if self._can_offer():
            self._cold_until = Instant(now + COLD_START_US)  # what we have from it is no better than that
            if self._offers.equal_to != self._identity(source):
                self._offer_everything(now)

    def _heed_early_asker(self, now: Instant) -> None:
        """A cold Master asks whoever turns up at once, and is known as the Master only by what it says next."""
        if self._master is not None and self._early_asker is not None:
            if self._early_asker == self._master:
                self._asked_by_master(self._early_asker, now)
            self._early_asker = None

    def _told(self, options: list[wire.BindingOption], now: Instant) -> Iterator[object]:
        """The Master's word, but for what we know better."""
        self._note_departed(options, now)
        if self._has_offers():
            options, better = self._offers.newer(options)
            self._sender.offer(better)
        for effect in self._receiver.update(options, now):
            if isinstance(effect, RemoveBindings):
                self._offers.note([], effect.bindings, now)
            yield effect

    def _note_departed(self, options: list[wire.BindingOption], now: Instant) -> None:
        """A deletion that is newer than what it deletes is the mobile node's own: core/departed.py."""
        for _lifetime, sequence, _flags, home, _care_of in [option for option in options if not option[0]]:
            if (bound := self._cache.get(home)) and is_greater(sequence, bound.sequence):
                self._cache.departed.note(home, sequence, now)

    def _offered(self, source: Address, options: list[wire.BindingOption], now: Instant) -> Iterator[object]:
        """A member, of our partition or of another one, knows something better than we, the Master."""
        vrid = self._virtual_ha.vrid
        outcome = self._offers.accept(options, now)
        if outcome.removed:
            yield RemoveBindings(vrid, outcome.removed)
        if outcome.installs:
            yield InstallBindings(vrid, outcome.installs)
        if outcome.changed or outcome.removed:
            fields: dict[str, object] = {"changed": len(outcome.changed), "removed": len(outcome.removed)}
            yield Report("info", "bindings_recovered", vrid, {"source": text(source), **fields})
        for bindings in (outcome.removed, outcome.changed, outcome.corrected):
            self._sender.changed(bindings)

    def _asking(self, outputs: Iterable[object], now: Instant) -> Iterator[object]:
        """Before we take everything from a Master, it is told what it may not know."""
        for output in outputs:
            if isinstance(output, wire.BcRequest) and self._has_offers():
                self._offer_everything(now)
            else:
                yield output

    def _offer_everything(self, now: Instant) -> None:
        self._receiver.asks_before_removal = OFFERS_BEFORE_REMOVAL
        self._sender.offer_everything(self._offers.removals.values(), now)

    def _can_offer(self) -> bool:
        return self._virtual_ha.sync_key is not None and self._settings.digest_interval_us > 0

    def _has_offers(self) -> bool:
        master = self._master
        return master is not None and self._can_offer() and self._offers.worthwhile(self._identity(master))

    def _identity(self, member: Address) -> tuple[Address, int]:
        """A member, and which start of its agent: another one may have forgotten what the first knew."""
        return member, self._guard.epoch(member)

    # --- messages ------------------------------------------------------------------------------------------

    def _perform(self, outputs: Iterable[object], now: Instant) -> Iterator[Effect]:
        """Messages become payloads here; everything else is an effect already."""
        for output in outputs:
            if isinstance(output, wire.BcDigest):
                self.points.note(output.count, output.digest, now)
            if isinstance(output, (wire.BcRequest, wire.BcUpdate, wire.BcDigest)):
                yield SendSync(self._guard.seal(wire.encode(output, self._settings)))
            else:
                yield output  # type: ignore[misc]

    def _per_message(self) -> int:
        return wire.bindings_per_message(self._mtu, self._virtual_ha.sync_key is not None)
