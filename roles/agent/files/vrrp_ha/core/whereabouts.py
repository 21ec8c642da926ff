# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where mobile nodes are bound and where they came from, as the caches of one member show it.

Nothing in a binding says that its mobile node came from another virtual HA. But whoever follows both caches sees it:
the home address appears in one while it stands in the other, or has just gone from there. Every member that takes
part in both notes that, Master or not, so that one that takes over knows whom to leave alone. A binding that was not
seen to come, because it was in a snapshot or in a first copy of the cache, may have come just before: it counts as
having come then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from .balance import Standing
from .effects import InstallBindings, RemoveBindings
from .types import SECOND, Address, Binding, Instant

if TYPE_CHECKING:
    from .roster import Roster
    from .settings import VirtualHaSettings
    from .virtual_ha import VirtualHa

# A mobile node that de-registers before it registers anew has been nowhere for a while.
DEPARTED_US = 60 * SECOND
LATELY_US = 10 * SECOND  # nobody else on the link has taken its address meanwhile
MOST_NOTED = 100_000


class _Notes:
    """When something was noted of a home address. Kept in that order, so that the oldest go first."""

    def __init__(self) -> None:
        self._at: dict[Address, tuple[Instant, int]] = {}

    def note(self, home_address: Address, now: Instant, vrid: int) -> None:
        self._at.pop(home_address, None)
        self._at[home_address] = (now, vrid)

    def note_many(self, home_addresses: Iterable[Address], now: Instant, vrid: int) -> None:
        """The same of many, and quicker: those that are known keep their place and are forgotten a little late."""
        self._at.update(dict.fromkeys(home_addresses, (now, vrid)))

    def __bool__(self) -> bool:
        return bool(self._at)

    def get(self, home_address: Address) -> tuple[Instant, int] | None:
        return self._at.get(home_address)

    def part(self, start: int, count: int) -> list[tuple[Address, int]]:
        """(home address, VRID) of so many, from that one."""
        return [
            (home_address, vrid) for home_address, (_unused, vrid) in islice(self._at.items(), start, start + count)
        ]

    def forget(self, before: int) -> None:
        while self._at:
            oldest = next(iter(self._at))
            if self._at[oldest][0] >= before and len(self._at) <= MOST_NOTED:
                return
            del self._at[oldest]


class Whereabouts:
    """One for a node; `around(vrid)` is what one virtual HA is told."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._others: dict[int, list[VirtualHa]] = {}
        self._arrived = _Notes()
        self._departed = _Notes()

    def around(self, vrid: int) -> Around:
        """The surroundings of a virtual HA, now and later."""
        return Around(self, vrid)

    def note(self, effect: InstallBindings | RemoveBindings, now: Instant) -> Iterator[tuple[VirtualHa, Binding]]:
        """A cache changed. Yields what is new to another virtual HA that knows the mobile node as well."""
        virtual_ha = self._roster.find(effect.vrid)
        others = self.others(effect.vrid)
        if virtual_ha is None or not others:
            return
        if isinstance(effect, RemoveBindings):
            self._departed.forget(now - DEPARTED_US)
            for binding in effect.bindings:
                self._departed.note(binding.home_address, now, effect.vrid)
            return
        self._arrived.forget(now - max(other.settings.balance.hold_us for other in (virtual_ha, *others)))
        if not virtual_ha.synced:
            self._arrived.note_many((binding.home_address for binding in effect.bindings), now, effect.vrid)
        elif self._departed:
            for binding in effect.bindings:
                if self.just_left(binding.home_address, effect.vrid, now, DEPARTED_US):
                    self._arrived.note(binding.home_address, now, effect.vrid)
        for other in others:
            if not len(other.cache):
                continue
            for binding in effect.bindings:
                if binding.home_address in other.cache:
                    self._arrived.note(binding.home_address, now, effect.vrid)
                    yield other, binding

    def others(self, vrid: int) -> list[VirtualHa]:
        """The virtual HAs that serve the same home prefix on the same link."""
        found = self._others.get(vrid)
        if found is None:
            found = self._others[vrid] = self._look_for_others(vrid)
        return found

    def regroup(self) -> None:
        """The virtual HAs of the node are not the same any more."""
        self._others.clear()

    def _look_for_others(self, vrid: int) -> list[VirtualHa]:
        this = self._roster.find(vrid)
        if this is None or not this.settings.mipv6_ha_mode:
            return []
        return [
            other
            for other in self._roster.configured.values()
            if other is not this and other.settings.mipv6_ha_mode and _place(other.settings) == _place(this.settings)
        ]

    def arrived_since(self, home_address: Address, since: Instant) -> bool:
        """It came from another virtual HA after that, or may have."""
        noted = self._arrived.get(home_address)
        return noted is not None and noted[0] >= since

    def newcomers(self, vrid: int, start: int, count: int) -> tuple[list[Binding], bool]:
        """Surroundings.newcomers() of a virtual HA."""
        caches = {other.settings.vrid: other.cache for other in self.others(vrid)}
        part = self._arrived.part(start, count)
        found = [caches[there].get(home_address) for home_address, there in part if there in caches]
        return [binding for binding in found if binding is not None], len(part) == count

    def just_left(self, home_address: Address, vrid: int, now: Instant, within_us: int) -> bool:
        """It was bound at another one than this until then."""
        noted = self._departed.get(home_address)
        return noted is not None and noted[1] != vrid and noted[0] >= now - within_us


class Around:
    """Surroundings (balance.py) of one virtual HA."""

    def __init__(self, whereabouts: Whereabouts, vrid: int) -> None:
        self._whereabouts = whereabouts
        self._vrid = vrid

    def others(self) -> Sequence[Standing]:
        """As they are now."""
        return [standing(other) for other in self._whereabouts.others(self._vrid)]

    def elsewhere(self, home_address: Address) -> int | None:
        """Where it is bound as well."""
        bound = (o.settings.vrid for o in self._whereabouts.others(self._vrid) if home_address in o.cache)
        return next(bound, None)

    def left_lately(self, home_address: Address, now: Instant) -> bool:
        """As Whereabouts knows."""
        return self._whereabouts.just_left(home_address, self._vrid, now, LATELY_US)

    def newcomers(self, start: int, count: int) -> tuple[list[Binding], bool]:
        """As Whereabouts knows."""
        return self._whereabouts.newcomers(self._vrid, start, count)

    def arrived_since(self, home_address: Address, since: Instant) -> bool:
        """As Whereabouts knows."""
        return self._whereabouts.arrived_since(home_address, since)


def standing(virtual_ha: VirtualHa) -> Standing:
    """A virtual HA as seen by others."""
    return Standing(
        virtual_ha.settings.vrid,
        virtual_ha.settings.vha_address,
        len(virtual_ha.cache),
        virtual_ha.settings.balance,
        usable=virtual_ha.synced
        and virtual_ha.master is not None
        and len(virtual_ha.cache) < virtual_ha.settings.policy.maximum_bindings,
    )


def _place(settings: VirtualHaSettings) -> tuple[object, ...]:
    return settings.interface, settings.prefix, settings.prefix_length
