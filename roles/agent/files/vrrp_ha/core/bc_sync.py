# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The synchronisation of one virtual HA's binding cache between its members (draft sections 4.2 and 4.3).

The Master speaks (sync_sender.py), everybody else follows (sync_receiver.py), and both only after the guard
(sync_guard.py) has let a message in. This file says who is who. It never touches the election: that an owner waits
for its bindings, and that a member without them competes with less, is decided in virtual_ha.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..wire import bc_sync as wire
from ..wire.errors import WireError
from .binding_cache import BindingCache
from .effects import InstallBindings, RemoveBindings, Report
from .events import TimerFired
from .settings import SyncSettings, VirtualHaSettings
from .sync_events import (
    BindingsChanged,
    FlushRequested,
    RoleChanged,
    SendSync,
    SyncCompleted,
    SyncEvent,
    SyncLost,
    SyncReceived,
    SyncTimedOut,
)
from .sync_guard import SyncGuard
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
    "SyncTimedOut",
]

# Members know a lifetime to 4 s, and not the same 4 s after a change of Master: a replica that is not told of an
# expiry drops the entry so much later.
REPLICA_GRACE_US = 8 * SECOND

Effect = SendSync | InstallBindings | RemoveBindings | SyncCompleted | SyncTimedOut | SyncLost | Report


class BcSync:
    """handle(event, now) -> effects, deadline() -> when to send TimerFired, synced -> is the cache the Master's.

    One object serves one virtual HA for as long as it is configured: when the link was away, `attach` it again.
    `numbers` are the agent's message numbers (sync_guard.py).
    """

    def __init__(
        self,
        cache: BindingCache,
        virtual_ha: VirtualHaSettings,
        settings: SyncSettings,
        local_address: Address,
        mtu: int,
        numbers: Iterator[int],
        accepted_keys: Mapping[int, bytes] | None = None,
    ) -> None:
        self._cache = cache
        self._virtual_ha = virtual_ha
        self._settings = settings
        self._mtu = mtu
        self._state = State.INITIALIZE
        self._master: Address | None = None
        self._guard = SyncGuard(virtual_ha, local_address, numbers, accepted_keys)
        self._sender = SyncSender(cache, virtual_ha.vrid, settings, self._per_message())
        self._receiver = SyncReceiver(cache, virtual_ha.vrid, settings, is_owner=virtual_ha.is_owner)

    @property
    def synced(self) -> bool:
        """The cache is authoritative, or equal to the Master's as far as we know."""
        return self._state is State.MASTER or self._receiver.complete

    def attach(self, local_address: Address, mtu: int) -> None:
        """The link is (back) there, perhaps with another address or MTU."""
        self._mtu = mtu
        self._guard.local_address = local_address
        self._sender.per_message = self._per_message()

    def reconfigure(
        self, virtual_ha: VirtualHaSettings, settings: SyncSettings, accepted_keys: Mapping[int, bytes] | None = None
    ) -> None:
        """New settings of the same virtual HA; what is going on goes on."""
        self._virtual_ha = virtual_ha
        self._settings = self._sender.settings = self._receiver.settings = settings
        self._receiver.is_owner = virtual_ha.is_owner
        self._guard.reconfigure(virtual_ha, accepted_keys)
        self._sender.per_message = self._per_message()

    def deadline(self) -> Instant | None:
        """When this core wants a TimerFired."""
        times = (self._sender.deadline(), self._receiver.deadline())
        return min((due for due in times if due is not None), default=None)

    def handle(self, event: SyncEvent, now: Instant) -> list[Effect]:
        """Every event may make the Master speak; nothing is said by anybody else but a request."""
        effects = list(self._perform(self._dispatch(event, now)))
        effects.extend(self._perform(self._sender.pump(now)))
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
                yield from self._receiver.timer(now)
            case BindingsChanged(changed=changed, removed=removed):
                # Draft section 4.2.3: changed entries only. Removed first: a home address may be in both.
                self._sender.changed(removed)
                self._sender.changed(changed)
            case RoleChanged(state=state, master=master):
                yield from self._change_role(state, master, now)
            case FlushRequested():
                yield from self._sender.flush(now)

    def _change_role(self, state: State, master: Address | None, now: Instant) -> Iterator[object]:
        before, self._state, self._master = self._state, state, master
        self._cache.grace_us = 0 if state is State.MASTER else REPLICA_GRACE_US
        match state:
            case State.MASTER if before is not State.MASTER:
                self._receiver.rest()
                self._sender.start(now, with_everything=self._virtual_ha.is_owner)
            case State.BACKUP:
                self._sender.stop()
                self._receiver.follow(master, now)
                yield from self._receiver.timer(now)  # the first request goes out at once
            case State.INITIALIZE:
                self._sender.stop()
                self._receiver.rest()
                self._receiver.complete = False

    def _received(self, source: Address, payload: bytes, now: Instant) -> Iterator[object]:
        message = wire.decode(self._guard.open(payload, source), self._settings)
        if isinstance(message, wire.BcRequest):
            self._sender.requested(source, now)  # a Backup leaves the answer to the Master
            return
        if self._state is State.BACKUP and self._master is None:
            # The answer to the request of a member that just started comes before the next advertisement. Only a
            # Master speaks so; should it not be the one, its first advertisement or digest puts that right.
            self._master = source
            self._receiver.follow(source, now)
        if self._state is not State.BACKUP or source != self._master:
            raise WireError("sync_not_master", text(source))
        if isinstance(message, wire.BcUpdate):
            yield from self._receiver.update(message.bindings, now)
        elif self._settings.digest_interval_us:
            yield from self._receiver.digest(message.count, message.digest, now)
        else:
            raise WireError("sync_digest_off", text(source))

    # --- messages ------------------------------------------------------------------------------------------

    def _perform(self, outputs: Iterable[object]) -> Iterator[Effect]:
        """Messages become payloads here; everything else is an effect already."""
        for output in outputs:
            if isinstance(output, (wire.BcRequest, wire.BcUpdate, wire.BcDigest)):
                yield SendSync(self._guard.seal(wire.encode(output, self._settings)))
            else:
                yield output  # type: ignore[misc]

    def _per_message(self) -> int:
        return wire.bindings_per_message(self._mtu, self._virtual_ha.sync_key is not None)
