# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may take part in the synchronisation of a virtual HA: allowed members, authenticators, fresh counters.

Seals what is sent and opens what was received (docs/protocol.md, authenticator). Whether an honest member is the one
to be listened to is not decided here. With no key, the draft's bare messages are sent and accepted.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..wire import bc_sync as wire
from ..wire.errors import WireError
from .settings import VirtualHaSettings
from .types import Address, text

_EPOCH_SHIFT = 32


class SyncGuard:
    """One member's seal on its messages, and its view of everybody else's.

    `numbers` are this member's message numbers: 64 bits, each greater than all before it, also across a restart of the
    agent (hence an epoch in the upper 32). `heard` has the last message of each other member; it is kept up to date, so
    that whoever gave it can save it: a message that was recorded before a restart is then not heard again after it.
    """

    def __init__(
        self,
        settings: VirtualHaSettings,
        local_address: Address,
        numbers: Iterator[int],
        heard: dict[Address, int] | None = None,
    ) -> None:
        self.local_address = local_address
        self._numbers = numbers
        self._last_heard = {} if heard is None else heard
        self.reconfigure(settings)

    def reconfigure(self, settings: VirtualHaSettings) -> None:
        """Other keys, other members; what was heard before is still not heard again."""
        self._key = settings.sync_key
        accepted = (self._key, *settings.accepted_sync_keys) if self._key else ()
        self._accepted_keys = {key.key_id: key.key for key in accepted}
        addresses = [member.address for member in settings.members]
        pinned = {address for address in addresses if address is not None}
        self._allowed = pinned if pinned and len(pinned) == len(addresses) else None

    def epoch(self, source: Address) -> int:
        """Which start of its agent a member was last heard after; 0 if that is not known."""
        return self._last_heard.get(source, 0) >> _EPOCH_SHIFT

    def seal(self, payload: bytes) -> bytes:
        """The payload as it may leave this member."""
        if self._key is None:
            return payload
        return wire.sign(payload, self.local_address, self._key.key_id, self._key.key, next(self._numbers))

    def open(self, payload: bytes, source: Address) -> bytes:
        """The message in a payload from an allowed and honest member; WireError if it is none or is an old one."""
        if self._allowed is not None and source not in self._allowed:
            raise WireError("sync_not_member", text(source))
        if self._key is None:
            return payload
        body, counter = wire.verify(payload, source, self._accepted_keys)
        if counter <= self._last_heard.get(source, -1):
            raise WireError("sync_replayed", f"message {counter} from {text(source)}")
        self._last_heard[source] = counter
        return body
