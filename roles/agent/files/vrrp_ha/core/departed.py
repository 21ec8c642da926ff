# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile nodes that have just de-registered (RFC 6275 section 10.3.2).

A Binding Update that was sent before the mobile node came home may arrive after its de-registration, and would bind
it again. So the sequence number of the de-registration is remembered for a while, by every member that hears of it.
It is the RFC's "entry marked as invalid", of which nothing but the sequence number matters.
"""

from __future__ import annotations

from .types import SECOND, Address, Instant

MAX_DELETE_BCE_TIMEOUT_US = 10 * SECOND  # RFC 6275 section 12
MOST_DEPARTED = 65_536  # of each virtual HA; beyond that the oldest are forgotten


class Departed:
    """Sequence numbers by home address, in the order in which they are forgotten."""

    def __init__(self) -> None:
        self._entries: dict[Address, tuple[int, Instant]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, home_address: Address, sequence: int, now: Instant) -> None:
        """A de-registration with this sequence number was accepted."""
        self.forget(home_address)
        self._entries[home_address] = (sequence, Instant(now + MAX_DELETE_BCE_TIMEOUT_US))
        while self._entries and (len(self._entries) > MOST_DEPARTED or self._oldest_until() <= now):
            del self._entries[next(iter(self._entries))]

    def sequence(self, home_address: Address, now: Instant) -> int | None:
        """The sequence number of a de-registration that is to be remembered still."""
        sequence, until = self._entries.get(home_address, (None, Instant(0)))
        return sequence if now < until else None

    def forget(self, home_address: Address) -> None:
        """The home address is bound again."""
        self._entries.pop(home_address, None)

    def _oldest_until(self) -> Instant:
        return next(iter(self._entries.values()))[1]
