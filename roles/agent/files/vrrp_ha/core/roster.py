# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual HAs of a node: found by VRID, by address and by link, with the deadline of each.

Deadlines are kept in a heap, so that an agent with 255 virtual routers does no more work per event than one with a
single one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from .binding_cache import BindingCache
from .effects import TearDown
from .events import LinkUp
from .recovery import MobileNodeRegistered
from .types import Address, Instant
from .virtual_ha import VirtualHa


class Roster:
    """Who there is. What goes through a virtual HA goes through attend(), which sees to its timer and its end."""

    def __init__(self) -> None:
        self.configured: dict[int, VirtualHa] = {}
        self.leaving: dict[int, VirtualHa] = {}  # taken out of the configuration, still handing over
        self.links: dict[str, LinkUp] = {}  # by interface, those that are up
        self._by_address: dict[bytes, VirtualHa] = {}
        self._heap: list[tuple[Instant, int]] = []
        self._queued: dict[int, Instant] = {}

    def __iter__(self) -> Iterator[VirtualHa]:
        """Those that are leaving, too, which come last."""
        yield from (*self.configured.values(), *self.leaving.values())

    def caches(self) -> list[BindingCache]:
        """The binding caches of all of them."""
        return [virtual_ha.cache for virtual_ha in self]

    def find(self, vrid: int) -> VirtualHa | None:
        """By VRID, also one that is leaving."""
        return self.configured.get(vrid) or self.leaving.get(vrid)

    def find_address(self, address: Address) -> VirtualHa | None:
        """The one that has this among its virtual addresses."""
        return self._by_address.get(address)

    def on(self, interface: str) -> list[VirtualHa]:
        """Those of a home link."""
        return [virtual_ha for virtual_ha in self if virtual_ha.settings.interface == interface]

    def named(self, vrids: Iterable[int]) -> list[VirtualHa]:
        """Those of the configuration that are meant; others do not exist any more."""
        return [self.configured[vrid] for vrid in vrids if vrid in self.configured]

    def add(self, virtual_ha: VirtualHa) -> None:
        """A new one, or one in place of another with its VRID."""
        self.configured[virtual_ha.settings.vrid] = virtual_ha
        self._by_address.update((address, virtual_ha) for address in virtual_ha.settings.addresses)

    def retire(self, virtual_ha: VirtualHa) -> None:
        """Not configured any more; it may still hand over."""
        vrid = virtual_ha.settings.vrid
        self.leaving[vrid] = self.configured.pop(vrid)

    def forget(self, virtual_ha: VirtualHa) -> None:
        """It is gone."""
        vrid = virtual_ha.settings.vrid
        self.configured.pop(vrid, None)
        self.leaving.pop(vrid, None)
        self._queued.pop(vrid, None)
        for address in virtual_ha.settings.addresses:
            if self._by_address.get(address) is virtual_ha:
                del self._by_address[address]

    # --- their timers --------------------------------------------------------------------------------------

    def deadline(self) -> Instant | None:
        """When the earliest timer of any virtual HA is due."""
        while self._heap:
            due, vrid = self._heap[0]
            if self._queued.get(vrid) == due:
                return due
            heappop(self._heap)
        return None

    def next_due(self, now: Instant) -> VirtualHa | None:
        """One whose timer is due; it is taken as served."""
        due = self.deadline()
        if due is None or due > now:
            return None
        vrid = heappop(self._heap)[1]
        del self._queued[vrid]
        return self.find(vrid)

    def attend(self, virtual_ha: VirtualHa, effects: Iterable[object]) -> Iterator[object]:
        """The effects of something that happened to a virtual HA, then what follows from it for the node."""
        yield from effects
        vrid = virtual_ha.settings.vrid
        if self.leaving.get(vrid) is virtual_ha and (virtual_ha.stopped or virtual_ha.link is None):
            self.forget(virtual_ha)
            yield TearDown(vrid)
            return
        due = virtual_ha.deadline()
        if due is None:
            self._queued.pop(vrid, None)
        elif self._queued.get(vrid) != due:
            self._queued[vrid] = due
            heappush(self._heap, (due, vrid))

    def spread(self, effects: Iterable[object], now: Instant) -> Iterator[object]:
        """That a mobile node registered with one virtual HA ends its recoveries from all of them."""
        for effect in effects:
            if not isinstance(effect, MobileNodeRegistered):
                yield effect
                continue
            for other in list(self):
                if other.signalling.recovery.knows(effect.home_address):
                    ended = other.signalling.registered(effect, now)
                    yield from self.attend(other, other.serve(ended, now))
