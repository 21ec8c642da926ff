# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member may know better than its Master: after a split of the link, a Master's restart, or a takeover.

The draft has the Master right in everything: a member whose cache differs takes over the Master's. Where there were
two Masters for a while, or one came back from an old snapshot, that would lose what mobile nodes were promised. So
a member whose cache was right under one Master, and is not what another one has, offers its own before it takes
the other's; and a Master accepts from members what is newer by its sequence number (RFC 6275 section 9.5.1). What was
de-registered is remembered: offered by a member that does not know of it, it must not come back to life. All this
only with a sync_key: otherwise anybody on the link could offer bindings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..wire.bc_sync import LIFETIME_UNIT_US, BindingOption
from .binding_cache import BindingCache
from .binding_request import is_greater
from .types import Address, Binding, Instant

REMEMBERED_REMOVALS = 16_384


@dataclass(slots=True)
class Outcome:
    """What became of an offer."""

    changed: list[Binding] = field(default_factory=list)
    installs: list[Binding] = field(default_factory=list)  # those of the changed that the kernel has to know
    removed: list[Binding] = field(default_factory=list)
    corrected: list[Binding] = field(default_factory=list)  # the member is behind: it wants to hear of these


class SyncOffers:
    """What one member has to offer, and what a Master makes of others' offers.

    A Master is known by its address and by which start of its agent it is; None is for never having had the right
    cache, and so nothing to offer.
    """

    def __init__(self, cache: BindingCache) -> None:
        self.equal_to: tuple[Address, int] | None = None
        self.removals: dict[Address, Binding] = {}
        self._cache = cache

    def note(self, changed: Iterable[Binding], removed: Iterable[Binding], now: Instant) -> None:
        """What a registration or the Master's word did to the cache. What just expired will do so everywhere."""
        for binding in (*removed, *changed):
            self.removals.pop(binding.home_address, None)
        self._remember({b.home_address: b for b in removed if b.expires > now + 2 * LIFETIME_UNIT_US})

    def worthwhile(self, master: tuple[Address, int]) -> bool:
        """Whether our cache was once right, and not by this Master's word."""
        return self.equal_to is not None and self.equal_to != master

    def newer(self, options: Iterable[BindingOption]) -> tuple[list[BindingOption], list[Binding]]:
        """(what of a Master's words to believe, what we know better)."""
        believed: list[BindingOption] = []
        better: list[Binding] = []
        for option in options:
            bound = self._cache.get(option[3])
            if bound is not None and is_greater(bound.sequence, option[1]):
                better.append(bound)
            else:
                believed.append(option)
        return believed, better

    def accept(self, options: Iterable[BindingOption], now: Instant) -> Outcome:
        """As Master, take what is newer than what we have, and note what the member has to be told."""
        outcome = Outcome()
        heard_of: dict[Address, Binding] = {}
        for lifetime, sequence, flags, home, care_of in options:
            bound = self._cache.get(home)
            ours = bound or heard_of.get(home) or self.removals.get(home)
            if lifetime == 0:
                if bound is not None and is_greater(bound.sequence, sequence):
                    outcome.corrected.append(bound)
                    continue
                if bound is not None:
                    self._cache.remove(home)
                    outcome.removed.append(bound)
                if ours is None or not is_greater(ours.sequence, sequence):
                    # Also of what is unknown here: the Master that removed it may be this one, before it was restarted.
                    heard_of[home] = Binding(home, care_of, sequence, flags, now)
            elif ours is None or is_greater(sequence, ours.sequence):
                binding = Binding(home, care_of, sequence, flags, Instant(now + lifetime + LIFETIME_UNIT_US - 1))
                outcome.changed.append(binding)
                if self._cache.put(binding):
                    outcome.installs.append(binding)
            elif bound is None or bound.sequence != sequence:
                outcome.corrected.append(ours)
        self.note(outcome.changed, outcome.removed, now)
        self._remember(heard_of)
        return outcome

    def _remember(self, removals: dict[Address, Binding]) -> None:
        for home, binding in removals.items():
            if home not in self._cache:
                self.removals.pop(home, None)
                self.removals[home] = binding
        while len(self.removals) > REMEMBERED_REMOVALS:
            del self.removals[next(iter(self.removals))]
