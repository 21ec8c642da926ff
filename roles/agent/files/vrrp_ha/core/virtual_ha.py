# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual HA on this member: its election, binding cache, synchronisation and registrations, tied together.

The cores know nothing of each other; what one of them wants becomes an event of its siblings or an effect for the
shell in `_apply`, the one table to read first. What a member does when it starts, takes over, hands over or returns
as owner (draft section 4.2, docs/protocol.md "returning owner") is decided here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..wire import ipv6, vrrp
from .address_detection import AddressClaimed
from .advertising import Advertising, Question
from .announcer import Announcer
from .bc_sync import BcSync
from .binding_cache import BindingCache
from .commons import Commons
from .effects import (
    Activate,
    Advertise,
    BecomeBackup,
    BecomeInitialize,
    BecomeMaster,
    Deactivate,
    InstallBindings,
    RemoveBindings,
    Report,
    RunHook,
    SendFrame,
    SendPacket,
    SetUp,
)
from .election import Election
from .eligibility import Eligibility
from .events import (
    AdvertReceived,
    LinkLost,
    LinkUp,
    PacketReceived,
    PriorityChanged,
    Release,
    Shutdown,
    Startup,
    TimerFired,
)
from .home_agent_service import BackupAsked, CacheChanged
from .recovery import MobileNodeRegistered
from .router_advertiser import Randomness, SpeakerChanged
from .settings import NodeSettings, VirtualHaSettings
from .signalling import Signalling
from .sync_events import (
    BindingsChanged,
    ConfirmationWanted,
    FlushRequested,
    RoleChanged,
    SendSync,
    SyncCompleted,
    SyncLost,
    SyncReceived,
    SyncServed,
    SyncTimedOut,
)
from .sync_points import SyncPoints
from .types import SECOND, Address, Binding, Instant, State
from .vrrp_frames import VrrpFrames

RETRY_ACTIVATION_US = 5 * SECOND


class VirtualHa:
    """A member's part in one virtual router; in plain VRRP (MIPv6_HA_Mode false) only the election matters."""

    def __init__(
        self,
        settings: VirtualHaSettings,
        node: NodeSettings,
        numbers: Iterator[int],
        restored: Iterable[Binding],
        drained: bool,
        rng: Randomness,
        commons: Commons,
    ) -> None:
        self.settings = settings
        self.node = node
        self.cache = BindingCache()
        self.cache.put_many(list(restored))
        self.counters: Counter[str] = Counter()
        self.since = Instant(0)
        self.link: LinkUp | None = None
        self.stopping = False
        self.alarm: str | None = None
        self._numbers = numbers
        self._heard = commons.heard.setdefault(settings.vrid, {})
        self._election: Election | None = None
        self._sync: BcSync | None = None
        self.signalling = Signalling(settings, node, self.cache, commons)
        self._announcer = Announcer(settings)
        self.advertising = Advertising(settings, self.cache, rng)
        self._frames = VrrpFrames(settings, self.counters)
        self._eligibility = Eligibility(drained)
        self._retry_at: Instant | None = None
        self._role: tuple[State, Address | None] = (State.INITIALIZE, None)

    # --- what the outside asks -----------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the election stands; Initialize while the link is down."""
        return self._election.state if self._election else State.INITIALIZE

    @property
    def master(self) -> Address | None:
        """The link-local address of the Master as far as known; this member's own when it is the one."""
        return self._election.master if self._election else None

    @property
    def stopped(self) -> bool:
        """Out of the election for good, with nothing left to hand over."""
        return self.stopping and self.state is State.INITIALIZE

    @property
    def serving(self) -> bool:
        """This member forwards for the virtual HA now."""
        return self.state is State.MASTER

    @property
    def leaving(self) -> bool:
        """Master that handed over and forwards on until its successor is heard."""
        return bool(self._election and self._election.leaving)

    @property
    def synced(self) -> bool:
        """The cache is authoritative or known to equal the Master's."""
        return bool(self._sync and self._sync.synced) if self.settings.mipv6_ha_mode else True

    @property
    def points(self) -> SyncPoints | None:
        """When its cache can be compared with other members'; None while it has no part in the synchronisation."""
        return self._sync.points if self._sync else None

    @property
    def effective_priority(self) -> int:
        """What this member competes with."""
        return self._eligibility.priority(self.settings, self.node)

    @property
    def drained(self) -> bool:
        """The operator wants it out of service while another member can serve."""
        return self._eligibility.drained

    def deadline(self) -> Instant | None:
        """When this virtual HA wants a TimerFired."""
        times = [self._retry_at, self.cache.next_expiry(), self.signalling.deadline()]
        times += [core.deadline() for core in self._cores]
        return min((t for t in times if t is not None), default=None)

    # --- what happened -------------------------------------------------------------------------------------

    def link_up(self, link: LinkUp, now: Instant) -> Iterator[object]:
        """Startup (RFC 9568 section 6.4.1, draft section 4.2.1), again whenever the link's address changed."""
        self.signalling.attach(link)
        if self._election:
            if link == self.link:
                return
            yield from self._lose_link(now)
        self.link = link
        yield SetUp(self.settings)
        if len(self.cache):
            yield InstallBindings(self.settings.vrid, list(self.cache))
        yield from self._start(now)

    def link_down(self, now: Instant) -> Iterator[object]:
        """The link is gone: nothing can be served or said."""
        self.link = None
        self._retry_at = None
        yield from self._lose_link(now)

    def advert(self, source: Address, advert: vrrp.Advertisement, now: Instant) -> Iterator[object]:
        """A valid advertisement for this VRID."""
        self.counters["adverts_received"] += 1
        if self._election:
            yield from self._drive(self._election.handle(AdvertReceived(source, advert), now), now)

    def sync_message(self, source: Address, payload: bytes, now: Instant) -> Iterator[object]:
        """A VRRP message of another type, its checksum already verified: BC_REQUEST, BC_UPDATE or BC_DIGEST."""
        if self._sync:
            yield from self._drive(self._sync.handle(SyncReceived(source, payload), now), now)

    def signal(self, event: PacketReceived, packet: ipv6.Packet, now: Instant) -> Iterator[object]:
        """A mobile node's message to the VHA address; a Master answers, anybody else must not (RFC 9568 6.4.2)."""
        if not self.serving:
            self.counters["dropped.not_master"] += 1
            return
        yield from self.serve(self.signalling.received(event, packet, now), now)

    def claimed(self, event: AddressClaimed, now: Instant) -> Iterator[object]:
        """A neighbour has an address."""
        yield from self.serve(self.signalling.claimed(event, now), now)

    def serve(self, effects: Iterable[object], now: Instant) -> Iterator[object]:
        """Carry out what mobile nodes caused, and replicate what it changed in the cache."""
        for effect in effects:
            if isinstance(effect, InstallBindings):
                yield from self._replicate(effect.bindings, [], now)
            elif isinstance(effect, RemoveBindings):
                yield from self._replicate([], effect.bindings, now)
            yield from self._apply(effect, now)

    def asked(self, question: Question, now: Instant) -> Iterator[object]:
        """Somebody wants to know of it; nobody but a Master answers (RFC 9568 sections 6.4.2 and 6.4.3)."""
        self.counters[question.counter] += 1
        yield from self._drive(self.advertising.handle(question, now), now)

    def timer(self, now: Instant) -> Iterator[object]:
        """Whatever was due by now."""
        if self._retry_at is not None and self._retry_at <= now:
            self._retry_at = None
            if self.link and not self._election:
                yield from self._start(now)
        if expired := self.cache.expire(now):
            yield RemoveBindings(self.settings.vrid, expired)
            self.counters["bindings_expired"] += len(expired)
            if self.serving:
                yield from self._replicate([], expired, now)
                yield from self.serve(self.signalling.lapsed(expired, now), now)
        yield from self.serve(self.signalling.handle(TimerFired(), now), now)
        for core in self._cores:
            due = core.deadline()
            if due is not None and due <= now:
                yield from self._drive(core.handle(TimerFired(), now), now)

    def drain(self, now: Instant) -> Iterator[object]:
        """Stay out of service while another member can serve (make before break)."""
        if self.drained:
            return
        self._eligibility.drained = True
        yield Report("info", "drained", self.settings.vrid)
        if self._election:
            yield from self._flush(now)
            resign = PriorityChanged(self.effective_priority, resign=True)
            yield from self._drive(self._election.handle(resign, now), now)

    def undrain(self, now: Instant) -> Iterator[object]:
        """Back into the election; an owner takes over when its bindings are surely the Master's."""
        if not self.drained:
            return
        self._eligibility.drained = False
        yield Report("info", "undrained", self.settings.vrid)
        if self._election:  # also while leaving: it ends that
            yield from self._drive(self._election.handle(PriorityChanged(self.effective_priority), now), now)
            if self._sync and self.settings.is_owner:
                yield from self._drive(self._sync.handle(ConfirmationWanted(), now), now)
            yield from self._take_back()

    def installed(self, token: int, now: Instant) -> Iterator[object]:
        """The bindings of the completed sync are in the kernel: the owner takes over."""
        if self._eligibility.is_answer(token) and self._election and self.state is State.BACKUP and not self.drained:
            yield from self._drive(self._election.handle(Release(), now), now)

    def activation_failed(self, reason: str, now: Instant) -> Iterator[object]:
        """A Master that cannot forward must not be one: let another member serve, try again later."""
        self.alarm = f"cannot serve: {reason}"
        if self.serving and self.link:
            yield self._frames.advertisement(0)
            yield from self._lose_link(now)
            self._retry_at = Instant(now + RETRY_ACTIVATION_US)

    def stop(self, now: Instant) -> Iterator[object]:
        """Leave the election for good, handing over when Master."""
        self.stopping = True
        self._retry_at = None
        if self._election:
            yield from self._flush(now)
            yield from self._drive(self._election.handle(Shutdown(), now), now)

    def reconfigure(self, settings: VirtualHaSettings, node: NodeSettings, now: Instant) -> Iterator[object]:
        """New settings of the same virtual router: nothing that did not change is touched."""
        before, self.settings, self.node = self.settings, settings, node
        self.advertising.reconfigure(settings, now)
        self._frames.reconfigure(settings)
        self.signalling.reconfigure(settings, node)
        host_part = ("accept_mode", "home_link", "is_owner")
        if self.link and any(getattr(before, name) != getattr(settings, name) for name in host_part):
            yield SetUp(settings)
        if self._sync:
            self._sync.reconfigure(settings, node.sync)
        if self._election and before != settings:
            self._election.reconfigure(settings)
        yield from self._compete(now)

    # --- how the cores meet --------------------------------------------------------------------------------

    @property
    def _cores(self) -> list[Election | BcSync | Announcer | Advertising]:
        """Everything with a timer of its own, in the order in which timers that are due together are served."""
        return [core for core in (self._election, self._sync, self._announcer, self.advertising) if core is not None]

    def _start(self, now: Instant) -> Iterator[object]:
        assert self.link
        settings, link = self.settings, self.link
        self._election = Election(settings, link.link_local)
        self._frames.attach(link.link_local)
        if self._sync:
            self._sync.attach(link.link_local, link.mtu)
        elif settings.mipv6_ha_mode:
            self._sync = BcSync(
                self.cache, settings, self.node.sync, link.link_local, link.mtu, self._numbers, self._heard
            )
        hold = settings.mipv6_ha_mode and settings.is_owner and not self.drained
        yield from self._drive(self._election.handle(PriorityChanged(self.effective_priority), now), now)
        yield from self._drive(self._election.handle(Startup(hold=hold), now), now)

    def _lose_link(self, now: Instant) -> Iterator[object]:
        if self._election:
            yield from self._drive(self._election.handle(LinkLost(), now), now)
        self._election = None
        self._role = (State.INITIALIZE, None)

    def _drive(self, effects: Iterable[object], now: Instant) -> Iterator[object]:
        """Carry out what a core wants, then tell the others if the roles on the link changed."""
        for effect in effects:
            yield from self._apply(effect, now)
        role = (self.state, self.master)
        if role != self._role:
            if role[0] is not self._role[0]:
                self.since = now
            self._role = role
            if self._sync:
                yield from self._drive(self._sync.handle(RoleChanged(*role), now), now)
        speaker = SpeakerChanged(speaks=self.serving and not self.leaving)
        yield from self._announcer.handle(speaker, now)
        yield from self.advertising.handle(speaker, now)
        yield from self.serve(self.signalling.handle(speaker, now), now)

    def _apply(self, effect: object, now: Instant) -> Iterator[object]:
        """The table: what one core asks for, and who gets to hear of it."""
        vrid = self.settings.vrid
        match effect:
            case Advertise(priority=priority):
                yield self._frames.advertisement(priority)
            case BecomeMaster():
                self.alarm = None
                yield Activate(vrid)
            case BecomeBackup(was_master=was_master) | BecomeInitialize(was_master=was_master):
                if was_master:
                    yield Deactivate(vrid)
            case SendSync(payload=payload):
                self.counters["sync_sent"] += 1
                yield self._frames.message(payload, virtual_mac=self.serving)
            case SyncCompleted():
                yield from self._synchronised(now)
            case SyncTimedOut():
                yield from self._not_synchronised(now)
            case SyncServed(source=source):
                yield from self._has_history(now)
                yield from self.advertising.handle(BackupAsked(source), now)
            case SyncLost():
                self.counters["sync_lost"] += 1
            case Report(level="debug", kind=kind):
                self.counters[kind] += 1
            case Report(level=level, kind=kind, fields=fields):
                self.counters[kind] += 1
                yield Report(level, kind, vrid, fields)
            case InstallBindings() | RemoveBindings() | SendPacket() | SendFrame() | RunHook() | MobileNodeRegistered():
                yield effect
            case _:
                raise AssertionError(f"no core may ask for {effect!r}")

    def _synchronised(self, now: Instant) -> Iterator[object]:
        """A complete copy of the Master's cache is here."""
        self.alarm = None
        self.counters["sync_completed"] += 1
        yield Report("info", "synchronised", self.settings.vrid, {"bindings": len(self.cache)})
        yield from self._has_history(now)
        yield from self._take_back()

    def _has_history(self, now: Instant) -> Iterator[object]:
        """What this member has, another one has too: it competes with its full priority."""
        if self._eligibility.gains_history():
            yield from self._compete(now)

    def _not_synchronised(self, now: Instant) -> Iterator[object]:
        """An owner hears a Master but does not get its bindings."""
        if not self.settings.is_owner or self.state is not State.BACKUP:
            return
        if self.node.sync.owner_takes_over_unsynced:
            yield Report("warning", "owner_takes_over_unsynced", self.settings.vrid)
            assert self._election
            yield from self._drive(self._election.handle(Release(), now), now)
            return
        self.alarm = "the owner cannot get its bindings from the acting Master and stays Backup"
        yield Report("error", "owner_unsynced", self.settings.vrid, {"bindings": len(self.cache)})

    def _compete(self, now: Instant) -> Iterator[object]:
        if self._election and self._election.priority != self.effective_priority and not self.leaving:
            change = PriorityChanged(self.effective_priority)
            yield from self._drive(self._election.handle(change, now), now)
            yield from self._take_back()

    def _take_back(self) -> Iterator[object]:
        """An owner with the Master's bindings is Master as soon as they are in the kernel."""
        if self.settings.is_owner and self.state is State.BACKUP and self.synced and not self.drained:
            yield from self._eligibility.confirm(self.settings.vrid)

    def _replicate(self, changed: list[Binding], removed: list[Binding], now: Instant) -> Iterator[object]:
        if self._sync:
            yield from self._drive(self._sync.handle(BindingsChanged(changed, removed), now), now)
        yield from self.advertising.handle(CacheChanged(changed), now)

    def _flush(self, now: Instant) -> Iterator[object]:
        if self._sync and self.serving:
            yield from self._drive(self._sync.handle(FlushRequested(), now), now)
