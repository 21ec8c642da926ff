# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent while it runs: one loop that gives the node what happened and carries out what it asks for.

A turn takes about two milliseconds at most: everything that can be long (packets in a storm, bindings on their way
into the kernel, answers to operators, snapshots) is done in pieces, and advertisements and due timers come before
the next piece. A timer acts only after every advertisement that was queued by then was heard, so that a Backup that
was stopped for a while does not take over from a Master that is alive.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator

from .. import __version__
from ..core.events import (
    BindingsInstalled,
    DrainRequested,
    PacketReceived,
    Reconfigured,
    StopRequested,
    TimerFired,
    UndrainRequested,
)
from ..core.node import Node
from ..core.types import MILLISECOND, SECOND, Instant
from . import config, process
from .calls import Calls
from .clock import Timer, monotonic, wall_clock_us
from .config import Configuration, ConfigurationError
from .control import ControlServer
from .current import FilesOnDisk
from .dataplane import DataPlaneError
from .host import Host
from .journal import Journal
from .notify import ServiceManager
from .sockets import Received
from .state import StateDirectory, StateError

PIECE_US = 1 * MILLISECOND  # for packets, and again for the data plane
ADVERTISEMENTS_US = 100 * MILLISECOND  # a flood of advertisements does not keep timers waiting longer
BUSY_US = 200 * MILLISECOND  # then others get the processor for a moment, real-time priority or not
SNAPSHOT_US = 10 * SECOND
RETRY_US = 2 * SECOND
STOP_PATIENCE_US = 10 * SECOND
IN_NEED_OF_RESTART = ("state_directory", "control_socket", "control_group", "first_table", "decapsulation_table")


class Agent:
    """Made from a configuration that was checked; run() returns when the agent was told to stop."""

    def __init__(
        self, configuration: Configuration, journal: Journal, state: StateDirectory, service: ServiceManager
    ) -> None:
        self.configuration = configuration
        self.journal = journal
        self._state = state
        self._service = service
        self._epoll = select.epoll()
        self._timer = Timer()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._started = monotonic()
        self._files = FilesOnDisk(configuration)
        self._restart_needed: list[str] = []
        self.host = Host(configuration.shell, journal, self._watch)
        self.node = self._make_node()
        self._control = ControlServer(
            configuration.shell.control_socket, configuration.shell.control_group, self._epoll, Calls(self).handle
        )
        self._stop_by: Instant | None = None
        self._busy_since: Instant | None = None
        self._saving: Iterator[None] | None = None
        self._saved: object = None
        self._periodic: list[_Periodic] = []
        journal.on_event = self._control.wake

    # --- life ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop, then hand over and leave no trace on the host."""
        try:
            self._start()
            while not self._finished():
                self._turn()
        finally:
            self._finish()

    def _make_node(self) -> Node:
        now = monotonic()
        restored = {}
        try:
            restored = self._state.bindings(now, wall_clock_us())
        except StateError as error:
            self.journal.report("error", "bindings_not_restored", None, {"reason": str(error)})
        if restored:
            number = sum(map(len, restored.values()))
            self.journal.report("info", "bindings_restored", None, {"bindings": number})
        epoch = self._state.next_epoch()
        return Node(self.configuration.node, epoch=epoch, restored=restored, drained=self._state.drained())

    def _start(self) -> None:
        fields = {"version": __version__, "host": self.configuration.node.host}
        self.journal.report("info", "started", None, fields)
        for warning in self.configuration.warnings:
            self.journal.report("warning", "configuration", None, {"warning": warning})
        self._epoll.register(self._timer, select.EPOLLIN)
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._epoll.register(self._wake_receiver, select.EPOLLIN)
        signal.set_wakeup_fd(self._wake_sender.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # the number arrives through the socket
        self.host.start()
        for event in self.host.follow(self.configuration.node):
            self._handle(event)
        refused = process.settle()
        if refused:
            self.journal.report("info", "without", None, {"what": "; ".join(refused)})
        now = monotonic()
        self._periodic = [
            _Periodic(SNAPSHOT_US, self._begin_snapshot, now),
            _Periodic(RETRY_US, self._retry, now),
        ]
        if self._service.watchdog_interval_us:
            self._periodic.append(_Periodic(self._service.watchdog_interval_us, self._service.alive, now))
        self._service.ready(f"{len(self.node.vrids)} virtual HAs")

    def _finished(self) -> bool:
        return self._stop_by is not None and (self.node.stopped or monotonic() >= self._stop_by)

    def _stop(self) -> None:
        if self._stop_by is not None:
            self._stop_by = monotonic()  # asked twice: without handing over
            return
        self._service.stopping()
        self.journal.report("info", "stopping")
        self._stop_by = Instant(monotonic() + STOP_PATIENCE_US)
        self._handle(StopRequested())

    def _finish(self) -> None:
        signal.set_wakeup_fd(-1)
        self._control.close()
        self.host.stop()
        if self._saving:
            for _ in self._saving:
                pass
        for _ in self._state.save_bindings(self.node.snapshot(), monotonic(), wall_clock_us()):
            pass
        self._state.close()
        self.journal.report("info", "stopped")

    # --- the loop ------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        ready = self._epoll.poll(0 if self._busy_since is not None else -1)
        others = False
        for descriptor, events in ready:
            if descriptor == self._timer.fileno():
                self._timer.clear()
            elif descriptor == self._wake_receiver.fileno():
                self._signals()
            elif descriptor == self.host.monitor_descriptor:
                for event in self.host.link_events():
                    self._handle(event)
            elif self._control.owns(descriptor):
                self._control.ready(descriptor, events)
            else:
                others = True
        self._hear_advertisements()
        self._fire()
        if others:
            self._hear_others()
        busy = self._install()
        self._housekeeping()
        busy = self._snapshot() or busy
        busy = self._control.work() or busy
        self._rest(busy)
        self._timer.arm(self._next_deadline())

    def _handle(self, event: object) -> None:
        """One event of the node and everything that follows from it."""
        events = [event]
        while events:
            for effect in self.node.handle(events.pop(0), monotonic()):
                failure = self.host.perform(effect)
                if failure:
                    events.append(failure)

    def _hear_advertisements(self) -> None:
        until = monotonic() + ADVERTISEMENTS_US
        for received in self.host.advertisements():
            self._packet(received)
            if monotonic() >= until:
                return

    def _fire(self) -> None:
        """The node's timer, if it is due; the advertisements of before were heard."""
        due = self.node.deadline()
        if due is not None and due <= monotonic():
            self._hear_advertisements()
            self._handle(TimerFired())

    def _hear_others(self) -> None:
        """Binding messages, neighbours, mobile nodes: a piece of what is queued, in turns."""
        until = monotonic() + PIECE_US
        sources = self.host.sources()
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
                due = self.node.deadline()
                if now >= until or (due is not None and due <= now):
                    return

    def _packet(self, received: Received) -> None:
        interface, mac, packet = received
        self._handle(PacketReceived(interface, mac, packet, wall_clock_us()))

    def _install(self) -> bool:
        dataplane = self.host.dataplane
        if not dataplane.pending:
            return False
        try:
            for vrid, token in dataplane.work(PIECE_US):
                self._handle(BindingsInstalled(vrid, token))
        except DataPlaneError as error:
            self._handle(self.host.failed(error))
        return bool(dataplane.pending)

    def _rest(self, busy: bool) -> None:
        now = monotonic()
        if not busy:
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now
        elif now - self._busy_since > BUSY_US:
            time.sleep(20e-6)  # a wait, be it short: the kernel's limit for real-time processes starts anew
            self._busy_since = now

    def _next_deadline(self) -> Instant | None:
        times = [periodic.due for periodic in self._periodic]
        times += [time for time in (self.node.deadline(), self._stop_by) if time is not None]
        return min(times, default=None)

    def _watch(self, descriptor: int) -> None:
        self._epoll.register(descriptor, select.EPOLLIN)

    def _signals(self) -> None:
        for number in self._wake_receiver.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP:
                try:
                    self.reload()
                except ConfigurationError as error:
                    for problem in error.problems:
                        self.journal.report("error", "not_reloaded", None, {"problem": str(problem)})

    # --- now and then --------------------------------------------------------------------------------------

    def _housekeeping(self) -> None:
        now = monotonic()
        for periodic in self._periodic:
            if periodic.due <= now:
                periodic.due = Instant(now + periodic.interval_us)
                periodic.action()

    def _begin_snapshot(self) -> None:
        caches = self.node.snapshot()
        content = [(vrid, len(cache), cache.digest) for vrid, cache in caches.items()]
        if self._saving is None and content != self._saved and self._stop_by is None:
            self._saved = content
            self._saving = self._state.save_bindings(caches, monotonic(), wall_clock_us())

    def _snapshot(self) -> bool:
        if self._saving is None:
            return False
        try:
            next(self._saving)
        except StopIteration:
            self._saving = None
        return self._saving is not None

    def _retry(self) -> None:
        """What the kernel refused may go now."""
        if self.host.failures:
            try:
                self.repair()
            except DataPlaneError as error:
                self.host.failed(error)

    # --- what operators ask for ----------------------------------------------------------------------------

    def drain(self, vrids: tuple[int, ...]) -> list[int]:
        """Take these virtual HAs out of service here; returns those that were in it."""
        return self._change_drained(DrainRequested(vrids))

    def undrain(self, vrids: tuple[int, ...]) -> list[int]:
        """Back into service; returns those that were drained."""
        return self._change_drained(UndrainRequested(vrids))

    def _change_drained(self, event: DrainRequested | UndrainRequested) -> list[int]:
        before = self.node.drained
        self._handle(event)
        changed = sorted(before ^ self.node.drained)
        if changed:
            self._state.save_drained(self.node.drained)
        return changed

    def repair(self) -> list[str]:
        """Make the host's state what it should be."""
        repaired = self.host.repair()
        for text in repaired:
            self.journal.report("warning", "repaired", None, {"what": text})
        return repaired

    def reload(self) -> dict[str, object]:
        """Read the files again and apply what changed; ConfigurationError, and nothing changed, if they are bad."""
        new = config.load(self.configuration.path)
        before = {v.vrid: v for v in self.configuration.node.virtual_has}
        after = {v.vrid: v for v in new.node.virtual_has}
        old_shell, self.configuration = self.configuration.shell, new
        self._files = FilesOnDisk(new)
        for name in IN_NEED_OF_RESTART:
            if getattr(old_shell, name) != getattr(new.shell, name) and name not in self._restart_needed:
                self._restart_needed.append(name)
        drained = self.node.drained
        self._handle(Reconfigured(new.node))
        for event in self.host.follow(new.node):
            self._handle(event)
        if drained != self.node.drained:
            self._state.save_drained(self.node.drained)
        result: dict[str, object] = {
            "changed": sorted(vrid for vrid in before if vrid in after and before[vrid] != after[vrid]),
            "added": sorted(after.keys() - before.keys()),
            "removed": sorted(before.keys() - after.keys()),
            "restart_needed": self._restart_needed,
        }
        self.journal.report("info", "reloaded", None, result)
        return result

    def status(self) -> dict[str, object]:
        """Everything that `vrrp-ha status` shows."""
        now = monotonic()
        status = self.node.status(now)
        alarms = list(self._alarms(status["virtual_has"]))
        counters = dict(status.pop("counters"))  # type: ignore[call-overload]
        counters |= {f"host.{name}": count for name, count in {**self.host.counters}.items()}
        counters |= {f"dataplane.{name}": count for name, count in self.host.dataplane.counters().items()}
        return {
            "format": 1,
            "host": self.configuration.node.host,
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": (now - self._started) / SECOND,
            "config_digest": self.configuration.digest,
            "config_current": self._files.are_current(),
            "healthy": not alarms,
            "warnings": [*alarms, *self._remarks()],
            **status,
            "counters": counters,
        }

    def _alarms(self, virtual_has: object) -> Iterator[str]:
        assert isinstance(virtual_has, list)
        for name in sorted({v.interface for v in self.configuration.node.virtual_has} - self.host.links.keys()):
            yield f"interface {name} is down or has no link-local address"
        for (vrid, effect), reason in self.host.failures.items():
            yield f"vrid {vrid}: {effect} failed: {reason}"
        for virtual_ha in virtual_has:
            if virtual_ha["alarm"]:
                yield f"vrid {virtual_ha['vrid']}: {virtual_ha['alarm']}"

    def _remarks(self) -> Iterator[str]:
        yield from self.configuration.warnings
        if self._state.failure:
            yield f"state is not saved: {self._state.failure}"
        if self._control.warning:
            yield self._control.warning
        if self._restart_needed:
            yield f"changed in the configuration, but in use only after a restart: {', '.join(self._restart_needed)}"


class _Periodic:
    """Something to do now and then."""

    def __init__(self, interval_us: int, action: Callable[[], None], now: Instant) -> None:
        self.interval_us = interval_us
        self.action = action
        self.due = Instant(now + interval_us)
