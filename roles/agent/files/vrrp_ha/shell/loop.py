# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: what happened goes to the node, what the node wants done is done, one timer is armed anew.

A turn takes about two milliseconds at most: everything that can be long (packets in a storm, bindings on their way
into the kernel, answers to operators, snapshots) is done in pieces, and advertisements and due timers come before
the next piece. A timer acts only after every advertisement that was queued by then was heard, so that a Backup that
was stopped for a while does not take over from a Master that is alive.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from ..core.events import BindingsInstalled, EffectFailed, LinkDown, LinkUp, PacketReceived, TimerFired
from ..core.types import MILLISECOND, Instant
from .clock import Timer, monotonic, wall_clock_us
from .poller import Poller
from .sockets import Received

PIECE_US = 1 * MILLISECOND  # for packets, and again for the data plane
ADVERTISEMENTS_US = 100 * MILLISECOND  # a flood of advertisements does not keep timers waiting longer
BUSY_US = 5 * MILLISECOND  # then others get the processor for a moment, real-time priority or not
PAUSE_S = 100e-6


class NodeLike(Protocol):
    """What the loop needs of core.node.Node."""

    def handle(self, event: object, now: Instant) -> list[object]:
        """Effects to be carried out in order."""

    def deadline(self) -> Instant | None:
        """When it wants a TimerFired."""


class HostLike(Protocol):
    """What the loop needs of host.Host."""

    def perform(self, effect: object) -> EffectFailed | None:
        """Carry out one effect."""

    def link_events(self) -> list[LinkUp | LinkDown]:
        """What changed on the links."""

    def advertisements(self) -> Iterator[Received]:
        """Those that are queued."""

    def sources(self) -> list[Callable[[], Received | None]]:
        """Where all other packets come from."""

    def work(self, budget_us: int) -> tuple[list[BindingsInstalled | EffectFailed], Instant | None]:
        """A piece of the data plane's queue: what came of it, and when to come back, None if there is no more."""


class Loop:
    """Turns for as long as its owner calls turn()."""

    def __init__(self, poller: Poller, node: NodeLike, host: HostLike) -> None:
        self._poller = poller
        self._node = node
        self._host = host
        self._timer = Timer()
        poller.add(self._timer.fileno(), lambda _: self._timer.clear())
        self._others_waiting = False
        self._install_at: Instant | None = None
        self._busy_since: Instant | None = None
        self._workers: list[Callable[[], bool]] = []
        self._periodic: list[_Periodic] = []

    # --- what else there is to do --------------------------------------------------------------------------

    def also(self, worker: Callable[[], bool]) -> None:
        """Call this in every turn for a piece of work of about a millisecond; True when there is more of it."""
        self._workers.append(worker)

    def every(self, interval_us: int, action: Callable[[], None]) -> None:
        """Do something short now and then."""
        self._periodic.append(_Periodic(interval_us, action, monotonic()))

    def others_are_waiting(self) -> None:
        """Packets other than advertisements can be read."""
        self._others_waiting = True

    # --- a turn --------------------------------------------------------------------------------------------

    def turn(self, latest: Instant | None = None) -> None:
        """Wait for something, until `latest` at most, and do a piece of everything that is to be done."""
        self._timer.arm(self._next_deadline(latest))
        self._poller.poll(wait=self._busy_since is None)
        self._hear_advertisements()
        self._fire()
        unread = self._others_waiting and self._hear_others()
        self._others_waiting = False
        results, self._install_at = self._host.work(PIECE_US)
        for result in results:
            self.handle(result)
        busy = self._install_at is not None and self._install_at <= monotonic()
        for worker in self._workers:
            busy = worker() or busy
        self._housekeeping()
        self._rest(busy or unread)

    def handle(self, event: object) -> None:
        """One event for the node, and everything that follows from it."""
        events = [event]
        while events:
            for effect in self._node.handle(events.pop(0), monotonic()):
                failure = self._host.perform(effect)
                if failure:
                    events.append(failure)

    def links_changed(self) -> None:
        """The link monitor has something to tell."""
        for event in self._host.link_events():
            self.handle(event)

    def _hear_advertisements(self) -> None:
        until = monotonic() + ADVERTISEMENTS_US
        for received in self._host.advertisements():
            self._packet(received)
            if monotonic() >= until:
                return

    def _fire(self) -> None:
        """The node's timer, if it is due; the advertisements of before were heard."""
        if self._is_due(monotonic()):
            self._hear_advertisements()
            self.handle(TimerFired())

    def _is_due(self, now: Instant) -> bool:
        due = self._node.deadline()
        return due is not None and due <= now

    def _hear_others(self) -> bool:
        """Binding messages, neighbours, mobile nodes: a piece of what is queued, in turns. True: there may be more."""
        until = monotonic() + PIECE_US
        sources = self._host.sources()
        while sources:
            for source in list(sources):
                received = source()
                if received is None:
                    sources.remove(source)
                    continue
                # A new Master's first bindings must not be looked at before its advertisement.
                self._hear_advertisements()
                self._packet(received)
                now = monotonic()
                if now >= until or self._is_due(now):
                    return True
        return False

    def _packet(self, received: Received) -> None:
        interface, mac, packet = received
        self.handle(PacketReceived(interface, mac, packet, wall_clock_us()))

    def _housekeeping(self) -> None:
        now = monotonic()
        for periodic in self._periodic:
            if periodic.due <= now:
                periodic.due = Instant(now + periodic.interval_us)
                periodic.action()

    def _rest(self, busy: bool) -> None:
        """A busy loop does not wait in poll, so that it is ready for the next piece at once."""
        now = monotonic()
        if not busy:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now
        elif now - self._busy_since > BUSY_US:
            time.sleep(PAUSE_S)  # for the kernel's workers; its limit for real-time processes counts anew from here
            self._busy_since = now

    def _next_deadline(self, latest: Instant | None) -> Instant | None:
        times = [periodic.due for periodic in self._periodic]
        times += [due for due in (self._node.deadline(), self._install_at, latest) if due is not None]
        return min(times, default=None)


class _Periodic:
    """Something to do now and then."""

    def __init__(self, interval_us: int, action: Callable[[], None], now: Instant) -> None:
        self.interval_us = interval_us
        self.action = action
        self.due = Instant(now + interval_us)
