# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One home agent: every virtual HA that it takes part in, the links they are on, and the packets for them.

A packet comes in as bytes and is given to the virtual HA that it is for; whatever is wrong with it is counted under
its reason and goes no further. Deadlines are kept in a heap, so that an agent with 255 virtual routers does no more
work per event than one with a single one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count

from ..wire import icmpv6, ipv6, vrrp
from ..wire.errors import WireError
from . import neighbours, status
from .binding_cache import BindingCache
from .effects import TearDown
from .events import (
    BindingsInstalled,
    DrainRequested,
    EffectFailed,
    LinkDown,
    LinkUp,
    PacketReceived,
    Reconfigured,
    RecoverRequested,
    StopRequested,
    TimerFired,
    UndrainRequested,
)
from .recovery import MobileNodeRegistered, Recovery
from .router_advertiser import NoRandomness, Randomness
from .settings import HomeLink, NodeSettings, VirtualHaSettings
from .types import UNSPECIFIED, Binding, Instant
from .virtual_ha import VirtualHa


class Node:
    """handle(event, now) -> effects, deadline() -> when to send TimerFired."""

    def __init__(
        self,
        settings: NodeSettings,
        *,
        epoch: int,
        restored: Mapping[int, Iterable[Binding]] | None = None,
        drained: frozenset[int] = frozenset(),
        rng: Randomness | None = None,
    ) -> None:
        self.settings = settings
        self._rng = rng or NoRandomness()
        self.counters: Counter[str] = Counter()
        self._numbers = count(epoch << 32)  # of authenticated messages: none is used twice, whatever comes and goes
        self._links: dict[str, LinkUp] = {}
        self._stopping = False
        self._virtual_has: dict[int, VirtualHa] = {}
        self._leaving: dict[int, VirtualHa] = {}  # taken out of the configuration, still handing over
        self._by_address: dict[bytes, VirtualHa] = {}
        self._heap: list[tuple[Instant, int]] = []
        self._queued: dict[int, Instant] = {}
        for virtual_ha in settings.virtual_has:
            bindings = (restored or {}).get(virtual_ha.vrid, ())
            self._add(virtual_ha, bindings, virtual_ha.vrid in drained)

    # --- the two verbs -------------------------------------------------------------------------------------

    def handle(self, event: object, now: Instant) -> list[object]:
        """Everything that happens comes in here; what is to be done comes out, in order."""
        return list(self._dispatch(event, now))

    def deadline(self) -> Instant | None:
        """When the earliest timer of any virtual HA is due."""
        while self._heap:
            due, vrid = self._heap[0]
            if self._queued.get(vrid) == due:
                return due
            heappop(self._heap)
        return None

    # --- what the shell may look at ------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """StopRequested was carried out: nothing is served any more."""
        return self._stopping and all(v.stopped or v.link is None for v in self._virtual_has.values())

    @property
    def drained(self) -> frozenset[int]:
        """The VRIDs that the operator drained, to be kept across restarts."""
        return frozenset(vrid for vrid, v in self._virtual_has.items() if v.drained)

    @property
    def vrids(self) -> tuple[int, ...]:
        """Every configured virtual HA."""
        return tuple(self._virtual_has)

    def bindings(self, vrid: int) -> BindingCache:
        """The BC or RBC of one virtual HA; KeyError for one that is not configured."""
        return self._virtual_has[vrid].cache

    def recovery(self, vrid: int) -> Recovery:
        """The recoveries of one virtual HA; KeyError for one that is not configured."""
        return self._virtual_has[vrid].signalling.recovery

    def serves(self, vrid: int) -> bool:
        """This member is Master of the virtual HA, and is not handing it over."""
        virtual_ha = self._virtual_has[vrid]
        return virtual_ha.serving and not virtual_ha.leaving

    def snapshot(self) -> dict[int, BindingCache]:
        """Every cache, to be saved."""
        return {vrid: v.cache for vrid, v in self._virtual_has.items()}

    def status(self, now: Instant) -> dict[str, object]:
        """The part of the control protocol's status that the cores know; plain data."""
        return {
            "virtual_has": [status.describe(v, self.settings.host, now) for v in self._virtual_has.values()],
            "counters": dict(sorted(self.counters.items())),
        }

    # --- events --------------------------------------------------------------------------------------------

    def _dispatch(self, event: object, now: Instant) -> Iterator[object]:
        match event:
            case PacketReceived():
                try:
                    yield from self._packet(event, now)
                except WireError as error:
                    self.counters[f"dropped.{error.reason}"] += 1
            case TimerFired():
                yield from self._timer(now)
            case LinkUp(interface=interface):
                self._links[interface] = event
                for virtual_ha in self._on(interface):
                    yield from self._with(virtual_ha, virtual_ha.link_up(event, now))
            case LinkDown(interface=interface):
                self._links.pop(interface, None)
                for virtual_ha in self._on(interface):
                    yield from self._with(virtual_ha, virtual_ha.link_down(now))
            case BindingsInstalled(vrid=vrid, token=token):
                for virtual_ha in self._named((vrid,)):
                    yield from self._with(virtual_ha, virtual_ha.installed(token, now))
            case EffectFailed(vrid=vrid, effect="activate", reason=reason):
                for virtual_ha in self._named((vrid,)):
                    yield from self._with(virtual_ha, virtual_ha.activation_failed(reason, now))
            case EffectFailed(vrid=vrid, effect=effect):
                self.counters[f"failed.{effect}"] += 1
            case DrainRequested(vrids=vrids):
                for virtual_ha in self._named(vrids):
                    yield from self._with(virtual_ha, virtual_ha.drain(now))
            case UndrainRequested(vrids=vrids):
                for virtual_ha in self._named(vrids):
                    yield from self._with(virtual_ha, virtual_ha.undrain(now))
            case RecoverRequested(vrid=vrid, home_addresses=home_addresses):
                for virtual_ha in self._named((vrid,)):
                    if self.serves(vrid):
                        wanted = virtual_ha.signalling.recover(home_addresses, now)
                        yield from self._with(virtual_ha, virtual_ha.serve(wanted, now))
            case Reconfigured(settings=settings):
                yield from self._reconfigure(settings, now)
            case StopRequested():
                self._stopping = True
                for virtual_ha in list(self._virtual_has.values()):
                    yield from self._with(virtual_ha, virtual_ha.stop(now))
            case _:
                raise AssertionError(f"the node knows no event {event!r}")

    def _timer(self, now: Instant) -> Iterator[object]:
        while (due := self.deadline()) is not None and due <= now:
            vrid = heappop(self._heap)[1]
            del self._queued[vrid]
            virtual_ha = self._virtual_has.get(vrid) or self._leaving[vrid]
            yield from self._with(virtual_ha, virtual_ha.timer(now))

    def _packet(self, event: PacketReceived, now: Instant) -> Iterator[object]:
        packet = ipv6.decode(event.packet)
        if packet.next_header == vrrp.NEXT_HEADER:
            yield from self._vrrp(event.interface, packet, now)
        elif packet.next_header in (ipv6.MOBILITY, ipv6.ESP):
            virtual_ha = self._by_address.get(packet.destination)
            if virtual_ha and virtual_ha.settings.mipv6_ha_mode:
                yield from self._signal(virtual_ha, event, packet, now)
        elif packet.next_header == ipv6.ICMPV6:
            icmpv6.check_packet(packet)
            match icmpv6.decode(packet.payload):
                case icmpv6.NeighbourSolicitation() as message:
                    yield from self._neighbour_solicitation(event, packet, message)
                case icmpv6.RouterSolicitation() as message:
                    yield from self._router_solicitation(event, packet, message, now)

    def _vrrp(self, interface: str, packet: ipv6.Packet, now: Instant) -> Iterator[object]:
        """RFC 9568 section 7.1, in its order; then by message type."""
        link = self._links.get(interface)
        if link is None or packet.source == link.link_local:
            return
        vrrp.check_packet(packet)
        _version, kind, vrid = vrrp.peek(packet.payload)
        virtual_ha = self._virtual_has.get(vrid) or self._leaving.get(vrid)
        if virtual_ha is None or virtual_ha.settings.interface != interface:
            raise WireError("vrid_not_configured", str(vrid))
        if kind == vrrp.ADVERTISEMENT:
            yield from self._with(virtual_ha, virtual_ha.advert(packet.source, vrrp.decode(packet.payload), now))
        elif virtual_ha.settings.mipv6_ha_mode and kind in self._sync_types():
            yield from self._with(virtual_ha, virtual_ha.sync_message(packet.source, packet.payload, now))
        else:
            raise WireError("vrrp_type", str(kind))

    def _signal(
        self, virtual_ha: VirtualHa, event: PacketReceived, packet: ipv6.Packet, now: Instant
    ) -> Iterator[object]:
        """For one virtual HA; that a mobile node registered there ends its recoveries from all of them."""
        for effect in self._with(virtual_ha, virtual_ha.signal(event, packet, now)):
            if not isinstance(effect, MobileNodeRegistered):
                yield effect
                continue
            for other in (*self._virtual_has.values(), *self._leaving.values()):
                if other.signalling.recovery.knows(effect.home_address):
                    ended = other.signalling.registered(effect.home_address, now)
                    yield from self._with(other, other.serve(ended, now))

    def _neighbour_solicitation(
        self, event: PacketReceived, packet: ipv6.Packet, message: icmpv6.NeighbourSolicitation
    ) -> Iterator[object]:
        """RFC 6275 section 10.4.1: the home agent answers for the addresses of mobile nodes that are away."""
        link = self._links.get(event.interface)
        if link and message.target == link.link_local:  # whatever is bound: this is the kernel's to answer
            return
        for virtual_ha in self._on(event.interface):
            settings = virtual_ha.settings
            if not (virtual_ha.serving and settings.mipv6_ha_mode and settings.home_link is HomeLink.ON_LINK):
                continue
            if neighbours.stands_in_for(settings, virtual_ha.cache, message.target):
                yield from neighbours.answer(settings, packet.source, message, event.source_mac)
                return

    def _router_solicitation(
        self, event: PacketReceived, packet: ipv6.Packet, message: icmpv6.RouterSolicitation, now: Instant
    ) -> Iterator[object]:
        """RFC 4861 section 6.1.1, then to those that it is for: every virtual router of the link, or the one named."""
        if packet.source == UNSPECIFIED and neighbours.soliciting_mac(message.options) is not None:
            raise WireError("source_link_layer", "of the unspecified address")
        for virtual_ha in self._on(event.interface):
            if packet.destination[0] == 0xFF or packet.destination == virtual_ha.settings.link_local:
                yield from self._with(virtual_ha, virtual_ha.router_solicitation(now))

    # --- the set of virtual HAs ----------------------------------------------------------------------------

    def _reconfigure(self, settings: NodeSettings, now: Instant) -> Iterator[object]:
        """Only what changed is touched; what is another virtual router now is taken down and made anew."""
        before, self.settings = self.settings, settings
        wanted = {v.vrid: v for v in settings.virtual_has}
        for vrid, virtual_ha in list(self._virtual_has.items()):
            new = wanted.pop(vrid, None)
            if new is not None and _identity(new) == _identity(virtual_ha.settings):
                shared = _shared(before) != _shared(settings)
                if shared or new != virtual_ha.settings:
                    yield from self._with(virtual_ha, virtual_ha.reconfigure(new, settings, now))
                continue
            if new is None:
                yield from self._retire(virtual_ha, now)
                continue
            # Not handed over: the address itself goes. Its bindings stay where the VHA address does.
            kept = list(virtual_ha.cache) if new.vha_address == virtual_ha.settings.vha_address else []
            yield from self._with(virtual_ha, virtual_ha.link_down(now))
            yield TearDown(vrid)
            self._forget(virtual_ha)
            yield from self._begin(self._add(new, kept, virtual_ha.drained), now)
        for new in wanted.values():
            if gone := self._leaving.get(new.vrid):  # configured again before it had handed over
                yield from self._with(gone, gone.link_down(now))
            yield from self._begin(self._add(new, (), False), now)

    def _begin(self, virtual_ha: VirtualHa, now: Instant) -> Iterator[object]:
        link = self._links.get(virtual_ha.settings.interface)
        if link:
            yield from self._with(virtual_ha, virtual_ha.link_up(link, now))

    def _retire(self, virtual_ha: VirtualHa, now: Instant) -> Iterator[object]:
        """Taken out of the configuration: hand over, then remove every trace."""
        vrid = virtual_ha.settings.vrid
        self._leaving[vrid] = virtual_ha
        del self._virtual_has[vrid]
        yield from self._with(virtual_ha, virtual_ha.stop(now))

    def _add(self, settings: VirtualHaSettings, bindings: Iterable[Binding], drained: bool) -> VirtualHa:
        virtual_ha = VirtualHa(settings, self.settings, self._numbers, bindings, drained, self._rng)
        self._virtual_has[settings.vrid] = virtual_ha
        self._by_address.update((address, virtual_ha) for address in settings.addresses)
        return virtual_ha

    def _forget(self, virtual_ha: VirtualHa) -> None:
        vrid = virtual_ha.settings.vrid
        self._virtual_has.pop(vrid, None)
        self._leaving.pop(vrid, None)
        self._queued.pop(vrid, None)
        for address in virtual_ha.settings.addresses:
            if self._by_address.get(address) is virtual_ha:
                del self._by_address[address]

    def _on(self, interface: str) -> list[VirtualHa]:
        both = (*self._virtual_has.values(), *self._leaving.values())
        return [v for v in both if v.settings.interface == interface]

    def _named(self, vrids: Iterable[int]) -> list[VirtualHa]:
        return [self._virtual_has[vrid] for vrid in vrids if vrid in self._virtual_has]

    def _with(self, virtual_ha: VirtualHa, effects: Iterable[object]) -> Iterator[object]:
        """Everything that goes through a virtual HA ends here, so that its timer and its end are seen to."""
        yield from effects
        vrid = virtual_ha.settings.vrid
        if self._leaving.get(vrid) is virtual_ha and (virtual_ha.stopped or virtual_ha.link is None):
            self._forget(virtual_ha)
            yield TearDown(vrid)
            return
        due = virtual_ha.deadline()
        if due is None:
            self._queued.pop(vrid, None)
        elif self._queued.get(vrid) != due:
            self._queued[vrid] = due
            heappush(self._heap, (due, vrid))

    def _sync_types(self) -> tuple[int, int, int]:
        sync = self.settings.sync
        return sync.request_type, sync.update_type, sync.digest_type


def _identity(settings: VirtualHaSettings) -> tuple[object, ...]:
    """What makes it the same virtual router: a change of these cannot be applied to a running one."""
    return (
        settings.interface,
        settings.link_local,
        settings.addresses,
        settings.prefix,
        settings.prefix_length,
        settings.mipv6_ha_mode,
    )


def _shared(settings: NodeSettings) -> tuple[object, ...]:
    """The settings of the agent that every virtual HA follows."""
    of_all = tuple(getattr(settings, name) for name in settings.__slots__ if name not in ("host", "virtual_has"))
    return *of_all, tuple(v for v in settings.virtual_has if v.is_owner)  # where mobile nodes are switched to
