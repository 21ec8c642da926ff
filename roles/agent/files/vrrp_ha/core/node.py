# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One home agent: every virtual HA that it takes part in, and all that happens to them.

Who there is, is in roster.py; which of them a packet is for, in reception.py. Whatever is wrong with a packet is
counted here under its reason and goes no further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from ..wire.errors import WireError
from . import status
from .binding_cache import BindingCache
from .commons import Commons, Heard
from .effects import InstallBindings, RemoveBindings, TearDown
from .events import (
    BindingsInstalled,
    DrainRequested,
    EffectFailed,
    HandoffRequested,
    LinkDown,
    LinkUp,
    PacketReceived,
    Reconfigured,
    RecoverRequested,
    StopRequested,
    TimerFired,
    UndrainRequested,
)
from .handoff import Handoffs
from .handoff_events import StandsElsewhere
from .ipsec import Ipsec
from .reception import Reception
from .recovery import Recovery
from .roster import Roster
from .router_advertiser import NoRandomness, Randomness
from .settings import NodeSettings, VirtualHaSettings
from .sync_points import SyncPoints
from .types import Binding, Instant, State
from .virtual_ha import VirtualHa
from .whereabouts import Whereabouts


class Node:
    """handle(event, now) -> effects, deadline() -> when to send TimerFired."""

    def __init__(
        self,
        settings: NodeSettings,
        *,
        epoch: int,
        restored: Mapping[int, Iterable[Binding]] | None = None,
        drained: frozenset[int] = frozenset(),
        heard: Heard | None = None,
        rng: Randomness | None = None,
        wall_offset_us: int | None = None,
    ) -> None:
        self.settings = settings
        self._rng = rng or NoRandomness()
        self.counters: Counter[str] = Counter()
        self._numbers = count(epoch << 32)  # of authenticated messages: none is used twice, whatever comes and goes
        self._stopping = False
        self._roster = Roster()
        self._attend = self._roster.attend
        self._whereabouts = Whereabouts(self._roster)
        self._commons = Commons(settings, self._roster.caches, heard, wall_offset_us, self._whereabouts.around)
        self._ipsec = Ipsec(settings.ipsec, settings.host, epoch, self.counters)
        self._reception = Reception(self._roster, settings.sync, self._ipsec, self._rng)
        for virtual_ha in settings.virtual_has:
            bindings = (restored or {}).get(virtual_ha.vrid, ())
            self._add(virtual_ha, bindings, virtual_ha.vrid in drained)

    # --- the two verbs -------------------------------------------------------------------------------------

    def handle(self, event: object, now: Instant) -> list[object]:
        """Everything that happens comes in here; what is to be done comes out, in order."""
        return list(map(self._ipsec.outbound, self._noting(self._dispatch(event, now), now)))

    def deadline(self) -> Instant | None:
        """When the earliest timer of any virtual HA is due, or that of what is common to them."""
        due, asking = self._roster.deadline(), self._reception.discovery.deadline()
        return due if asking is None or (due is not None and due <= asking) else asking

    # --- what the shell may look at ------------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """StopRequested was carried out: nothing is served any more."""
        return self._stopping and all(v.stopped or v.link is None for v in self._roster.configured.values())

    @property
    def drained(self) -> frozenset[int]:
        """The VRIDs that the operator drained, to be kept across restarts."""
        return frozenset(vrid for vrid, v in self._roster.configured.items() if v.drained)

    @property
    def vrids(self) -> tuple[int, ...]:
        """Every configured virtual HA."""
        return tuple(self._roster.configured)

    def state(self, vrid: int) -> State:
        """Where the election of one virtual HA stands; KeyError for one that is not configured."""
        return self._roster.configured[vrid].state

    def bindings(self, vrid: int) -> BindingCache:
        """The BC or RBC of one virtual HA; KeyError for one that is not configured."""
        return self._roster.configured[vrid].cache

    def points(self, vrid: int) -> SyncPoints | None:
        """When that can be compared with other members'; KeyError for one that is not configured."""
        return self._roster.configured[vrid].points

    def recovery(self, vrid: int) -> Recovery:
        """The recoveries of one virtual HA; KeyError for one that is not configured."""
        return self._roster.configured[vrid].signalling.recovery

    def handoffs(self, vrid: int) -> Handoffs:
        """The handoffs of one virtual HA; KeyError for one that is not configured."""
        return self._roster.configured[vrid].signalling.handoffs

    def others(self, vrid: int) -> list[int]:
        """The virtual HAs that serve the same home prefix on the same link, by VRID."""
        return [other.settings.vrid for other in self._whereabouts.others(vrid)]

    def serves(self, vrid: int) -> bool:
        """This member is Master of the virtual HA, and is not handing it over."""
        virtual_ha = self._roster.configured[vrid]
        return virtual_ha.serving and not virtual_ha.leaving

    def snapshot(self) -> dict[int, BindingCache]:
        """Every cache, to be saved."""
        return {vrid: v.cache for vrid, v in self._roster.configured.items()}

    @property
    def heard(self) -> Heard:
        """The number of the last synchronisation message of each other member, to be saved."""
        return self._commons.heard

    def home_agents(self, now: Instant) -> list[dict[str, object]]:
        """The Home Agents List of each home link (RFC 6275 section 10.1), with those that this member serves."""
        return self._reception.discovery.describe(now)

    def status(self, now: Instant) -> dict[str, object]:
        """The part of the control protocol's status that the cores know; plain data."""
        return {"virtual_has": [self.describe(vrid, now) for vrid in self.vrids], **self.totals()}

    def describe(self, vrid: int, now: Instant) -> dict[str, object]:
        """One virtual HA's part of the status; KeyError for one that is not configured."""
        return status.describe(self._roster.configured[vrid], self.settings.host, now)

    def totals(self) -> dict[str, object]:
        """The part of the status that is no virtual HA's."""
        return {
            "security_associations": len(self.settings.ipsec.associations),
            "counters": dict(sorted(self.counters.items())),
        }

    def _noting(self, effects: Iterable[object], now: Instant) -> Iterator[object]:
        """What becomes of a cache may matter to another virtual HA that hands mobile nodes off."""
        for effect in effects:
            yield effect
            if isinstance(effect, (InstallBindings, RemoveBindings)):
                for other, binding in self._whereabouts.note(effect, now):
                    news = other.signalling.hand_off(StandsElsewhere(binding), now)
                    yield from self._noting(self._attend(other, other.serve(news, now)), now)

    # --- events --------------------------------------------------------------------------------------------

    def _dispatch(self, event: object, now: Instant) -> Iterator[object]:
        match event:
            case PacketReceived():
                self._commons.note_wall_time(event.wall_time_us, now)
                try:
                    yield from self._reception.received(event, now)
                except WireError as error:
                    self.counters[f"dropped.{error.reason}"] += 1
            case TimerFired():
                yield from self._timer(now)
            case LinkUp(interface=interface):
                self._roster.links[interface] = event
                for virtual_ha in self._roster.on(interface):
                    yield from self._attend(virtual_ha, virtual_ha.link_up(event, now))
                self._reception.discovery.link_up(interface, now)
            case LinkDown(interface=interface):
                self._roster.links.pop(interface, None)
                for virtual_ha in self._roster.on(interface):
                    yield from self._attend(virtual_ha, virtual_ha.link_down(now))
            case BindingsInstalled(vrid=vrid, token=token):
                for virtual_ha in self._roster.named((vrid,)):
                    yield from self._attend(virtual_ha, virtual_ha.installed(token, now))
            case EffectFailed(vrid=vrid, effect="activate", reason=reason):
                for virtual_ha in self._roster.named((vrid,)):
                    yield from self._attend(virtual_ha, virtual_ha.activation_failed(reason, now))
            case EffectFailed(vrid=vrid, effect=effect):
                self.counters[f"failed.{effect}"] += 1
            case DrainRequested(vrids=vrids):
                for virtual_ha in self._roster.named(vrids):
                    yield from self._attend(virtual_ha, virtual_ha.drain(now))
            case UndrainRequested(vrids=vrids):
                for virtual_ha in self._roster.named(vrids):
                    yield from self._attend(virtual_ha, virtual_ha.undrain(now))
            case RecoverRequested(vrid=vrid, home_addresses=home_addresses):
                for virtual_ha in self._roster.named((vrid,)):
                    if self.serves(vrid):
                        wanted = virtual_ha.signalling.recover(home_addresses, now)
                        yield from self._attend(virtual_ha, virtual_ha.serve(wanted, now))
            case HandoffRequested(vrid=vrid, wanted=wanted):
                for virtual_ha in self._roster.named((vrid,)):
                    if self.serves(vrid):
                        asked = virtual_ha.signalling.hand_off(wanted, now)
                        yield from self._attend(virtual_ha, virtual_ha.serve(asked, now))
            case Reconfigured(settings=settings):
                yield from self._reconfigure(settings, now)
            case StopRequested():
                self._stopping = True
                for virtual_ha in list(self._roster.configured.values()):
                    yield from self._attend(virtual_ha, virtual_ha.stop(now))
            case _:
                raise AssertionError(f"the node knows no event {event!r}")

    def _timer(self, now: Instant) -> Iterator[object]:
        yield from self._reception.discovery.timer(now)
        while virtual_ha := self._roster.next_due(now):
            yield from self._roster.spread(self._attend(virtual_ha, virtual_ha.timer(now)), now)

    # --- the set of virtual HAs ----------------------------------------------------------------------------

    def _reconfigure(self, settings: NodeSettings, now: Instant) -> Iterator[object]:
        """Only what changed is touched; what is another virtual router now is taken down and made anew."""
        before, self.settings = self.settings, settings
        self._ipsec.reconfigure(settings.ipsec)
        self._reception.reconfigure(settings.sync)
        self._reception.discovery.reconfigure({v.interface for v in settings.virtual_has})
        self._commons.reconfigure(settings)
        wanted = {v.vrid: v for v in settings.virtual_has}
        for vrid, virtual_ha in list(self._roster.configured.items()):
            new = wanted.pop(vrid, None)
            if new is not None and _identity(new) == _identity(virtual_ha.settings):
                shared = _shared(before) != _shared(settings)
                if shared or new != virtual_ha.settings:
                    yield from self._attend(virtual_ha, virtual_ha.reconfigure(new, settings, now))
                continue
            if new is None:
                yield from self._retire(virtual_ha, now)
                continue
            # Not handed over: the address itself goes. Its bindings stay where the VHA address does.
            kept = list(virtual_ha.cache) if new.vha_address == virtual_ha.settings.vha_address else []
            yield from self._attend(virtual_ha, virtual_ha.link_down(now))
            yield TearDown(vrid)
            self._roster.forget(virtual_ha)
            yield from self._begin(self._add(new, kept, virtual_ha.drained), now)
        for new in wanted.values():
            if gone := self._roster.leaving.get(new.vrid):  # configured again before it had handed over
                yield from self._attend(gone, gone.link_down(now))
            yield from self._begin(self._add(new, (), False), now)

    def _begin(self, virtual_ha: VirtualHa, now: Instant) -> Iterator[object]:
        link = self._roster.links.get(virtual_ha.settings.interface)
        if link:
            yield from self._attend(virtual_ha, virtual_ha.link_up(link, now))

    def _retire(self, virtual_ha: VirtualHa, now: Instant) -> Iterator[object]:
        """Taken out of the configuration: hand over, then remove every trace."""
        self._roster.retire(virtual_ha)
        self._whereabouts.regroup()
        yield from self._attend(virtual_ha, virtual_ha.stop(now))

    def _add(self, settings: VirtualHaSettings, bindings: Iterable[Binding], drained: bool) -> VirtualHa:
        """With what it had bound before, but for home addresses of a prefix that is gone (RFC 6275 section 10.3.1)."""
        kept = [binding for binding in bindings if settings.is_home(binding.home_address)]
        virtual_ha = VirtualHa(settings, self.settings, self._numbers, kept, drained, self._rng, self._commons)
        self._roster.add(virtual_ha)
        self._whereabouts.regroup()
        return virtual_ha


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
    owned = tuple(v for v in settings.virtual_has if v.is_owner)  # where mobile nodes are switched to
    own_addresses = tuple((v.interface, v.link_local, v.addresses) for v in settings.virtual_has)
    return *of_all, owned, own_addresses
