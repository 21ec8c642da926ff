# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mobile nodes say to one virtual HA that this member is Master of: registrations, and what nobody here can read.

Ties Registration, Recovery and Handoffs together. RemoveBindings and InstallBindings among the effects are changes
that this member made to the cache: virtual_ha.py replicates them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..wire import ipv6, mobility
from . import binding_error, neighbours, parameter_problem
from .address_detection import AddressClaimed
from .binding_cache import BindingCache
from .binding_request import MobilityReceived, is_unicast_routable
from .commons import Commons
from .effects import InstallBindings, RemoveBindings, Report
from .events import LOOPBACK, LinkUp, PacketReceived, TimerFired
from .handoff import Handoffs
from .handoff_events import BindingsGone, ExtensionRefused, HandoffEvent
from .recovery import BindingsLapsed, MobileNodeRegistered, Recovery, RecoveryWanted, TriggerSeen
from .recovery import Event as RecoveryEvent
from .registration import Registration
from .router_advertiser import SpeakerChanged
from .settings import NodeSettings, VirtualHaSettings
from .tunnel_errors import TunnelErrors
from .types import FLAG_LINK_LOCAL, Address, Binding, Instant


class Signalling:
    """The Master's side of mobility signalling; a Backup is not asked."""

    def __init__(self, settings: VirtualHaSettings, node: NodeSettings, cache: BindingCache, commons: Commons) -> None:
        self._settings, self._node = settings, node
        self._cache = cache
        self._commons = commons
        self._own_addresses: set[Address] = set()  # none until the link is there
        self._registration = Registration(settings, commons, cache)
        self._note_own_addresses()
        self.recovery = Recovery(settings, node, cache, commons)
        self.handoffs = Handoffs(settings, node, commons, cache, self.recovery.is_under_way)
        self._registration.prohibits = self.handoffs.prohibits
        self._tunnel_errors = TunnelErrors(settings, node.tunnel, cache)

    @property
    def tentative(self) -> int:
        """Registrations that wait for Duplicate Address Detection."""
        return len(self._registration.detection)

    def attach(self, link: LinkUp) -> None:
        """The home link is there, or the node has other addresses on it."""
        self._own_addresses = {link.link_local, *link.addresses}
        self._note_own_addresses()

    def reconfigure(self, settings: VirtualHaSettings, node: NodeSettings) -> None:
        """New settings of the same virtual HA."""
        self._settings, self._node = settings, node
        self._registration.reconfigure(settings)
        self._note_own_addresses()
        self.recovery.reconfigure(settings, node)
        self.handoffs.reconfigure(settings, node)
        self._tunnel_errors.reconfigure(settings, node.tunnel)

    def received(self, event: PacketReceived, packet: ipv6.Packet, now: Instant) -> Iterator[object]:
        """A Mobility Header, ESP or an ICMPv6 error came to an address of the virtual HA."""
        if binding_error.needs_binding(packet) and not binding_error.is_bound_there(packet, self._cache):
            yield Report("debug", "dropped.unknown_binding")
            yield from self._binding_error(packet, binding_error.UNKNOWN_BINDING, now)
            return
        if packet.next_header == ipv6.ICMPV6:
            yield from self._tunnel_errors.received(packet, now, made_here=event.interface == LOOPBACK)
            return
        if packet.next_header == ipv6.ESP:
            yield Report("debug", "dropped.esp")
            yield from self._unreadable(packet, "esp", now)
            return
        before = self._cache.get(packet.logical_source)
        source_mac = event.source_mac if event.interface == self._settings.interface else None
        received = MobilityReceived(packet, event.wall_time_us, source_mac)
        for effect in self._followed(self._registration.handle(received, now), before, now):
            yield effect
            match effect:
                case Report(kind="refused.administratively_prohibited"):
                    yield from self.handoffs.handle(ExtensionRefused(packet.logical_source, packet.source), now)
                case Report(kind="dropped.unknown_spi"):
                    yield from self._unreadable(packet, "unknown_spi", now)
                case Report(kind=kind) if kind.startswith("dropped."):
                    reason = kind.removeprefix("dropped.")
                    if status := binding_error.STATUSES.get(reason):
                        yield from self._binding_error(packet, status, now)
                    yield from parameter_problem.about(event.packet, packet, reason, self._commons.errors, now)

    def _binding_error(self, packet: ipv6.Packet, status: int, now: Instant) -> Iterator[object]:
        yield from binding_error.about(packet, status, self._settings, self._commons.errors, now)

    def claimed(self, event: AddressClaimed, now: Instant) -> Iterable[object]:
        """A neighbour has an address, perhaps one that a mobile node wants to have bound."""
        return self._registration.handle(event, now)

    def _followed(self, effects: Iterable[object], before: Binding | None, now: Instant) -> Iterator[object]:
        """What registrations come to, and what follows from that. Before: what was bound, where one is concerned."""
        for effect in effects:
            yield effect
            match effect:
                case InstallBindings(bindings=[binding]):
                    if before is None or binding.flags & ~before.flags & FLAG_LINK_LOCAL:
                        yield from neighbours.intercept(self._settings, [binding])
                    self.handoffs.registered(binding.home_address)
                    yield MobileNodeRegistered(binding.home_address, self._settings.vrid)
                case RemoveBindings(bindings=[binding]):
                    yield MobileNodeRegistered(binding.home_address, self._settings.vrid)
                    yield from self.handoffs.handle(BindingsGone([binding], answered=True), now)

    def defends(self, target: Address, now: Instant) -> bool:
        """Whether an address that is bound no more is still a mobile node's: it was told to register anew."""
        return self._commons.held.defender(target, now) == self._settings.vrid

    def lapsed(self, expired: list[Binding], now: Instant) -> Iterator[object]:
        """These bindings expired."""
        yield from self.handoffs.handle(BindingsGone(expired, answered=False), now)
        if not self._settings.is_owner:
            yield from self._recovering(BindingsLapsed(expired), now)

    def recover(self, home_addresses: tuple[Address, ...], now: Instant) -> Iterable[object]:
        """The operator asks; also for the virtual HA that this member owns."""
        return self._recovering(RecoveryWanted(home_addresses), now)

    def registered(self, event: MobileNodeRegistered, now: Instant) -> Iterable[object]:
        """The mobile node registered with some virtual HA of this node."""
        return self._recovering(event, now)

    def hand_off(self, event: HandoffEvent, now: Instant) -> Iterable[object]:
        """The operator asks for it, or another virtual HA of the node has news of a mobile node."""
        return self.handoffs.handle(event, now)

    def handle(self, event: SpeakerChanged | TimerFired, now: Instant) -> Iterator[object]:
        """Time passed, or another member is to be asked from now on."""
        yield from self._followed(self._registration.handle(event, now), None, now)
        yield from self._recovering(event, now)
        yield from self.handoffs.handle(event, now)

    def deadline(self) -> Instant | None:
        """When it wants a TimerFired."""
        times = (self._registration.deadline(), self.recovery.deadline(), self.handoffs.deadline())
        return min((due for due in times if due is not None), default=None)

    def _recovering(self, event: RecoveryEvent, now: Instant) -> Iterator[object]:
        for effect in self.recovery.handle(event, now):
            yield effect
            if isinstance(effect, RemoveBindings):
                yield from self.handoffs.handle(BindingsGone(effect.bindings, answered=False), now)

    def _unreadable(self, packet: ipv6.Packet, reason: str, now: Instant) -> Iterator[object]:
        """Draft section 5.2.2, which speaks of the RBC: an owner that cannot read a packet lost no key by a failover.

        The packet is described there as it is after the Home Address option was processed. On the wire its source is
        the care-of address, mostly another one than is bound: a mobile node that did not move has little to say.
        """
        home_address = packet.home_address
        if self._settings.is_owner or home_address is None:
            return
        if is_unicast_routable(home_address) and is_unicast_routable(packet.source):
            leaves = packet.next_header == mobility.NEXT_HEADER and _asks_for_removal(packet)
            yield from self._recovering(TriggerSeen(home_address, packet.source, reason, leaves), now)

    def _note_own_addresses(self) -> None:
        """What this node has on the home link by itself: it does not hear its own answers."""
        here = [v for v in self._node.virtual_has if v.interface == self._settings.interface]
        virtual = {address for v in (self._settings, *here) for address in (v.link_local, *v.addresses)}
        self._registration.own_addresses = frozenset(virtual | self._own_addresses)


def _asks_for_removal(packet: ipv6.Packet) -> bool:
    """A Binding Update that was validated, though not authenticated: it wants nothing more from this home agent."""
    update = mobility.decode(packet.payload)
    return isinstance(update, mobility.BindingUpdate) and update.lifetime_us == 0
