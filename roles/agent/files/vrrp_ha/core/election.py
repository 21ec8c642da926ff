# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The election of one virtual router: RFC 9568 section 6.4, with every transition in this file.

It knows priorities, addresses and time; not bindings, packets or the kernel. Beyond the RFC: an owner may be
held in Backup until it has its bindings, a leaving Master stays Master until somebody else is, a router that
starts may wait before it preempts, and a learned interval is bounded. "Master" is the RFC's "Active".
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from ..wire.vrrp import Advertisement
from .effects import Advertise, BecomeBackup, BecomeInitialize, BecomeMaster, Report
from .events import AdvertReceived, LinkLost, PriorityChanged, Release, Shutdown, Startup, TimerFired
from .settings import VirtualHaSettings
from .types import CENTISECOND, Address, Instant, State, text

OWNER_PRIORITY = 255
RESIGNATION = 0

# A mismatch is worth a line in the log once it is no mere moment in a change of the whole fleet's configuration.
LASTING_MISMATCH = 3

Event = Startup | Release | Shutdown | LinkLost | PriorityChanged | AdvertReceived | TimerFired
Effect = Advertise | BecomeMaster | BecomeBackup | BecomeInitialize | Report


class Leaving(Enum):
    """Why a Master has resigned."""

    TO_STOP = "to_stop"
    TO_DRAIN = "to_drain"


class Election:
    """One router's part in the election of the Master of one virtual router.

    `local_address` is the link-local address that its advertisements come from; assign it when it changes.
    `master` is the router last heard as Master, also when it is about to be preempted; our own address as Master.
    """

    def __init__(self, settings: VirtualHaSettings, local_address: Address) -> None:
        self.settings = settings
        self.local_address = local_address
        self.state = State.INITIALIZE
        self.master: Address | None = None
        self.priority = settings.priority
        self.held = False
        self._leaving: Leaving | None = None
        self._deadline: Instant | None = None
        self._preempts_from = Instant(0)
        self._learned_interval_us: int | None = None
        self._mismatches: dict[str, int] = {}

    @property
    def leaving(self) -> bool:
        """Resigned (priority 0 was advertised), and still forwarding until a successor is heard."""
        return self._leaving is not None

    @property
    def master_interval_us(self) -> int:
        """Active_Adver_Interval of RFC 9568 section 6.1, within its bound."""
        if self._learned_interval_us is None:
            return self.settings.interval_us
        return min(self._learned_interval_us, self._maximum_interval_us)

    @property
    def skew_time_us(self) -> int:
        """Skew_Time of RFC 9568 section 6.1, in microseconds where the RFC has centiseconds."""
        return (256 - self.priority) * self.master_interval_us // 256

    @property
    def master_down_interval_us(self) -> int:
        """Active_Down_Interval of RFC 9568 section 6.1."""
        return 3 * self.master_interval_us + self.skew_time_us

    @property
    def _maximum_interval_us(self) -> int:
        return self.settings.maximum_interval_factor * self.settings.interval_us

    @property
    def _handover_us(self) -> int:
        """How long a Master that resigned waits for its successor.

        A backup answers priority 0 after its Skew_Time, which is below one interval whatever its priority; the
        centisecond is for the way there and back. Who is silent after that is not there or did not hear.
        """
        return self.settings.interval_us + CENTISECOND

    def deadline(self) -> Instant | None:
        """When to send TimerFired: the Active_Down_Timer, the Adver_Timer, or the end of a hand-over."""
        return self._deadline

    def reconfigure(self, settings: VirtualHaSettings) -> None:
        """Take over changed settings without a change of state; the effective priority has an event of its own."""
        before = self._timer_us
        self.settings = settings
        if self._deadline is not None and not self.leaving:
            self._deadline = Instant(self._deadline + self._timer_us - before)

    @property
    def _timer_us(self) -> int:
        """What the running timer was set to, but for the one that priority 0 sets."""
        return self.settings.interval_us if self.state is State.MASTER else self.master_down_interval_us

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """RFC 9568 section 6.4. Raises ValueError for a priority that no router can have."""
        if isinstance(event, TimerFired) and (self._deadline is None or now < self._deadline):
            return []
        if isinstance(event, AdvertReceived) and event.source == self.local_address:
            return []
        if isinstance(event, PriorityChanged) and not 1 <= event.priority <= OWNER_PRIORITY:
            raise ValueError(f"priority {event.priority} is not in 1..{OWNER_PRIORITY}")
        if isinstance(event, LinkLost):
            return list(self._become_initialize("link_lost"))
        if self.leaving:
            return list(self._while_leaving(event, now))
        match self.state:
            case State.INITIALIZE:
                return list(self._in_initialize(event, now))
            case State.BACKUP:
                return list(self._in_backup(event, now))
            case State.MASTER:
                return list(self._in_master(event, now))

    # --- the states ------------------------------------------------------------------------------------------

    def _in_initialize(self, event: Event, now: Instant) -> Iterator[Effect]:
        """RFC 9568 section 6.4.1."""
        match event:
            case Startup(hold=hold):
                self._mismatches.clear()
                self._learned_interval_us = None
                self._preempts_from = Instant(now + self.settings.preempt_delay_us)
                self.held = hold
                if self.priority == OWNER_PRIORITY and not hold:
                    yield from self._become_master("startup", now)
                else:
                    yield from self._become_backup("startup", None, now)
            case PriorityChanged(priority=priority):
                self.priority = priority

    def _in_backup(self, event: Event, now: Instant) -> Iterator[Effect]:
        """RFC 9568 section 6.4.2; a held owner is here too."""
        match event:
            case Shutdown():
                yield from self._become_initialize("shutdown")
            case TimerFired():
                yield from self._become_master("master_down", now)
            case AdvertReceived(advert=Advertisement(priority=0)):
                # A held owner has not got its bindings: those that have go first.
                self._deadline = Instant(now + (self.master_down_interval_us if self.held else self.skew_time_us))
            case AdvertReceived(source=source, advert=advert):
                yield from self._check_mismatch(source, advert)
                # Also when it is discarded: bindings come from whoever serves, until the moment it is preempted.
                self.master = source
                if advert.priority >= self.priority or not self._preempts(now):
                    yield from self._learn_interval(source, advert)
                    self._deadline = Instant(now + self.master_down_interval_us)
            case PriorityChanged(priority=priority):
                skew_before = self.skew_time_us
                self.priority = priority
                if self._deadline is not None:
                    self._deadline = Instant(self._deadline + self.skew_time_us - skew_before)
                # An owner that comes back takes over with its bindings, as one that starts does; nobody else is held.
                self.held = priority == OWNER_PRIORITY and self.settings.mipv6_ha_mode
                if priority == OWNER_PRIORITY and not self.held:
                    yield from self._become_master("owner", now)
            case Release() if self.held:
                self.held = False
                if self.priority == OWNER_PRIORITY:
                    yield from self._become_master("released", now)

    def _in_master(self, event: Event, now: Instant) -> Iterator[Effect]:
        """RFC 9568 section 6.4.3."""
        match event:
            case Shutdown():
                yield from self._resign(Leaving.TO_STOP, now)
            case TimerFired():
                yield Advertise(self.priority)
                self._deadline = self._next_slot(now)
            case AdvertReceived(source=source, advert=advert) if self.priority == OWNER_PRIORITY:
                # Section 7.1: an owner discards advertisements; section 8.3.2: a second one is worth a line.
                yield from self._check_second_owner(source, advert)
            case AdvertReceived(advert=Advertisement(priority=0)):
                yield Advertise(self.priority)
                self._deadline = Instant(now + self.settings.interval_us)
            case AdvertReceived(source=source, advert=advert):
                yield from self._check_mismatch(source, advert)
                if (advert.priority, source) > (self.priority, self.local_address):
                    yield from self._learn_interval(source, advert)
                    yield from self._become_backup("higher_priority", source, now)
                else:
                    yield Advertise(self.priority)
            case PriorityChanged(priority=priority, resign=resign):
                self.priority = priority
                if resign:
                    yield from self._resign(Leaving.TO_DRAIN, now)

    def _while_leaving(self, event: Event, now: Instant) -> Iterator[Effect]:
        """A Master that has resigned: it says no more, and forwards on until there is a successor."""
        match event:
            case AdvertReceived(source=source, advert=advert) if advert.priority > RESIGNATION:
                if self._leaving is Leaving.TO_STOP:
                    yield from self._become_initialize("handed_over", successor=source)
                else:
                    yield from self._check_mismatch(source, advert)
                    yield from self._learn_interval(source, advert)
                    yield from self._become_backup("handed_over", source, now)
            case TimerFired() if self._leaving is Leaving.TO_STOP:
                yield from self._become_initialize("shutdown")
            case TimerFired():
                # Some service beats none: serve on with the lowered priority, which any other member preempts.
                yield from self._stay_master(now)
                yield self._report("warning", "nobody_took_over", "drain", self.master)
            case Shutdown():
                self._leaving = Leaving.TO_STOP
            case PriorityChanged(priority=priority, resign=resign):
                self.priority = priority
                if not resign and self._leaving is Leaving.TO_DRAIN:
                    yield from self._stay_master(now)

    # --- the transitions -------------------------------------------------------------------------------------

    def _become_master(self, reason: str, now: Instant) -> Iterator[Effect]:
        self.state = State.MASTER
        self.master = self.local_address
        self.held = False
        self._deadline = Instant(now + self.settings.interval_us)
        yield BecomeMaster()
        yield Advertise(self.priority)
        yield self._report("info", "became_master", reason, self.master)

    def _become_backup(self, reason: str, master: Address | None, now: Instant) -> Iterator[Effect]:
        was_master = self.state is State.MASTER
        self.state = State.BACKUP
        self.master = master
        self._leaving = None
        self._deadline = Instant(now + self.master_down_interval_us)
        yield BecomeBackup(was_master)
        yield self._report("info", "became_backup", reason, master)

    def _become_initialize(self, reason: str, successor: Address | None = None) -> Iterator[Effect]:
        if self.state is State.INITIALIZE:
            return
        was_master = self.state is State.MASTER
        self.state = State.INITIALIZE
        self.master = None
        self.held = False
        self._leaving = None
        self._deadline = None
        yield BecomeInitialize(was_master)
        yield self._report("info", "became_initialize", reason, successor)

    def _resign(self, leaving: Leaving, now: Instant) -> Iterator[Effect]:
        self._leaving = leaving
        self._deadline = Instant(now + self._handover_us)
        yield Advertise(RESIGNATION)

    def _stay_master(self, now: Instant) -> Iterator[Effect]:
        self._leaving = None
        self._deadline = Instant(now + self.settings.interval_us)
        yield Advertise(self.priority)

    # --- the rules -------------------------------------------------------------------------------------------

    def _preempts(self, now: Instant) -> bool:
        """Whether a lower priority is not to be listened to (Preempt_Mode, section 6.1): an owner always preempts."""
        if self.held:
            return False
        return self.priority == OWNER_PRIORITY or (self.settings.preempt and now >= self._preempts_from)

    def _next_slot(self, now: Instant) -> Instant:
        """The first slot after now, counted from the last: no drift, and no burst after a stall."""
        last = self._deadline if self._deadline is not None else now
        slots = (now - last) // self.settings.interval_us + 1
        return Instant(last + slots * self.settings.interval_us)

    def _learn_interval(self, source: Address, advert: Advertisement) -> Iterator[Effect]:
        """Section 5.2.7, but an interval far above ours must not silence us, nor a 0 have us take over at once."""
        self._learned_interval_us = advert.interval_us or None
        if advert.interval_us <= self._maximum_interval_us:
            self._mismatches.pop("interval_clamped", None)
        elif self._mismatches.setdefault("interval_clamped", 0) == 0:
            self._mismatches["interval_clamped"] = 1
            yield self._mismatch("interval_clamped", source, advert.interval_us, self._maximum_interval_us)

    def _check_mismatch(self, source: Address, advert: Advertisement) -> Iterator[Effect]:
        """Section 7.1, what SHOULD and MAY be verified: only ever a line in the log, once while it lasts."""
        ours = (self.settings.link_local, *self.settings.addresses)
        if self._lasts("interval_mismatch", advert.interval_us != self.settings.interval_us):
            yield self._mismatch("interval_mismatch", source, advert.interval_us, self.settings.interval_us)
        if self._lasts("address_mismatch", set(advert.addresses) != set(ours)):
            theirs = [text(address) for address in advert.addresses]
            yield self._mismatch("address_mismatch", source, theirs, [text(address) for address in ours])

    def _check_second_owner(self, source: Address, advert: Advertisement) -> Iterator[Effect]:
        if self._lasts("second_owner", advert.priority == OWNER_PRIORITY):
            yield self._mismatch("second_owner", source, advert.priority, self.priority)

    def _lasts(self, kind: str, mismatch: bool) -> bool:
        """Whether this advertisement makes the mismatch a lasting one."""
        self._mismatches[kind] = self._mismatches.get(kind, 0) + 1 if mismatch else 0
        return self._mismatches[kind] == LASTING_MISMATCH

    def _mismatch(self, kind: str, source: Address, theirs: object, ours: object) -> Report:
        fields: dict[str, object] = {"source": text(source), "theirs": theirs, "ours": ours}
        return Report("warning", kind, self.settings.vrid, fields)

    def _report(self, level: str, kind: str, reason: str, master: Address | None) -> Report:
        fields: dict[str, object] = {"reason": reason, "master": None if master is None else text(master)}
        return Report(level, kind, self.settings.vrid, fields)
