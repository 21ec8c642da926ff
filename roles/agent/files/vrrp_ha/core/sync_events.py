# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the synchronisation of a binding cache, and what it asks for.

Only virtual_ha.py makes the events and carries out the effects. TimerFired, InstallBindings, RemoveBindings and
Report, which other cores have too, are in events.py and effects.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import TimerFired
from .types import Address, Binding, State


@dataclass(frozen=True, slots=True)
class SyncReceived:
    """A BC_* message arrived; the checks of IPv6 and VRRP, the checksum's too, are done."""

    source: Address
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """The election is in this state now, and this is the Master as far as known (our own address: we are)."""

    state: State
    master: Address | None


@dataclass(frozen=True, slots=True)
class BindingsChanged:
    """A registration, de-registration or expiry on this member changed its cache: the others must know."""

    changed: list[Binding]
    removed: list[Binding]


@dataclass(frozen=True, slots=True)
class FlushRequested:
    """The Master is about to hand over: say now whatever is still to be said, and end with a digest."""


@dataclass(frozen=True, slots=True)
class ConfirmationWanted:
    """Much depends on it now: is the cache what the Master has at this very moment?"""


@dataclass(frozen=True, slots=True)
class SendSync:
    """Multicast this VRRP payload on the home link; its checksum is still 0."""

    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SyncCompleted:
    """The cache equals the Master's, as far as that can be known; its InstallBindings came before this."""


@dataclass(frozen=True, slots=True)
class SyncLost:
    """The cache no longer equals the Master's; a full synchronisation was asked for."""


@dataclass(frozen=True, slots=True)
class SyncTimedOut:
    """The owner has heard a Master for sync_timeout without a complete synchronisation. It keeps asking."""


@dataclass(frozen=True, slots=True)
class SyncServed:
    """A member asked this Master for everything: from now on the two have the same history."""

    source: Address = field(default=b"", compare=False)


SyncEvent = SyncReceived | RoleChanged | BindingsChanged | ConfirmationWanted | FlushRequested | TimerFired
