# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent while it runs: the node, the host and the loop between them, from start to stop; and what operators ask.

docs/reference/control-protocol.md says what the calls answer; calls.py turns them into the methods here.
"""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Iterator
from typing import Any

from .. import __version__
from ..core.commons import Heard
from ..core.events import (
    DrainRequested,
    HandoffRequested,
    HandoffsCancelled,
    HandoffWanted,
    Reconfigured,
    RecoverRequested,
    StopRequested,
    UndrainRequested,
)
from ..core.node import Node
from ..core.types import SECOND, Address, Instant
from . import balance_config, config, metrics, process
from .calls import Calls
from .clock import monotonic, wall_clock_us
from .config import Configuration, ConfigurationError
from .control import ControlServer
from .current import FilesOnDisk
from .hooks import REAP_US
from .host import Host
from .journal import Journal
from .loop import Loop
from .metrics_file import MetricsFile
from .metrics_server import MetricsServer
from .notify import ServiceManager
from .poller import Poller
from .state import StateDirectory, StateError

SNAPSHOT_US = 10 * SECOND
RETRY_US = 2 * SECOND
STOP_PATIENCE_US = 10 * SECOND
IN_NEED_OF_RESTART = (
    "state_directory",
    "control_socket",
    "control_group",
    "first_table",
    "decapsulation_table",
    "solicited_node_groups",
)


class Agent:
    """Made from a configuration that was checked; run() returns when the agent was told to stop."""

    def __init__(
        self, configuration: Configuration, journal: Journal, state: StateDirectory, service: ServiceManager
    ) -> None:
        self.configuration = configuration
        self.journal = journal
        self.node = _make_node(configuration, state, journal)
        self._state = state
        self._service = service
        self._started = monotonic()
        self._files = FilesOnDisk(configuration)
        self._started_with = configuration.shell
        self._stop_by: Instant | None = None
        self._saving: Iterator[None] | None = None
        self._saved: object = None
        self._saved_heard: Heard = {}
        poller = Poller()
        self.host = Host(configuration.shell, journal, poller)
        self._loop = Loop(poller, self.node, self.host)
        self.host.connect(self._loop.links_changed, self._loop.others_are_waiting)
        shell = configuration.shell
        self._control = ControlServer(shell.control_socket, shell.control_group, poller, Calls(self).handle)
        self._metrics_file = MetricsFile(configuration.metrics, self.metrics)
        self._metrics_server = MetricsServer(poller, self.metrics)
        self._signals, self._signalled = socket.socketpair()
        self._signals.setblocking(False)
        self._signalled.setblocking(False)
        poller.add(self._signals.fileno(), self._on_signals)

    # --- life ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop, then hand over and leave no trace on the host."""
        try:
            self._start()
            while self._stop_by is None or not (self.node.stopped or monotonic() >= self._stop_by):
                self._loop.turn(latest=self._stop_by)
        finally:
            self._finish()

    def _start(self) -> None:
        self.journal.on_event = self._control.wake
        fields = {"version": __version__, "host": self.configuration.node.host}
        self.journal.report("info", "started", None, fields)
        for warning in self.configuration.warnings:
            self.journal.report("warning", "configuration", None, {"warning": warning})
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # the number arrives through the socket
        self.host.start()
        for event in self.host.follow(self.configuration.node):
            self._loop.handle(event)
        refused = process.settle()
        if refused:
            self.journal.report("info", "without", None, {"what": "; ".join(refused)})
        self._loop.also(self._snapshot)
        self._loop.also(self._control.work)
        self._loop.also(self.host.work_on_groups)
        self._loop.also(self._metrics_file.work)
        self._loop.also(self._metrics_server.work)
        self._loop.every(SNAPSHOT_US, self._begin_snapshot)
        self._loop.every(SNAPSHOT_US, self._save_heard)
        self._loop.every(RETRY_US, self._retry)
        self._loop.every(SECOND, self._metrics_file.begin)
        self._loop.every(SECOND, self._metrics_server.tick)
        self._metrics_server.follow(self.configuration.metrics.listen)
        self._loop.every(REAP_US, self.host.hooks.reap)
        if self._service.watchdog_interval_us:
            self._loop.every(self._service.watchdog_interval_us, self._service.alive)
        self._service.ready(f"{len(self.node.vrids)} virtual HAs")

    def _stop(self) -> None:
        if self._stop_by is not None:
            self._stop_by = monotonic()  # asked twice: without handing over
            return
        self._service.stopping()
        self.journal.report("info", "stopping")
        self._stop_by = Instant(monotonic() + STOP_PATIENCE_US)
        self._loop.handle(StopRequested())

    def _finish(self) -> None:
        signal.set_wakeup_fd(-1)
        self._control.close()
        self._metrics_file.close()
        self._metrics_server.close()
        self.host.stop()
        for _unused in self._saving or ():
            pass
        for _unused in self._state.save_bindings(self.node.snapshot(), monotonic(), wall_clock_us()):
            pass
        self._save_heard()
        self._state.close()
        self.journal.report("info", "stopped")

    def _on_signals(self, _events: int) -> None:
        for number in self._signals.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP:
                self._reload_by_signal()

    def _reload_by_signal(self) -> None:
        try:
            self.reload()
        except ConfigurationError as error:
            for problem in error.problems:
                self.journal.report("error", "not_reloaded", None, {"problem": str(problem)})

    # --- now and then --------------------------------------------------------------------------------------

    def _begin_snapshot(self) -> None:
        caches = self.node.snapshot()
        content = [(vrid, len(cache), cache.digest) for vrid, cache in caches.items()]
        if self._saving is None and content != self._saved and self._stop_by is None:
            self._saved = content
            self._saving = self._state.save_bindings(caches, monotonic(), wall_clock_us())

    def _save_heard(self) -> None:
        """Nothing is written where nobody was heard since."""
        heard = {vrid: dict(numbers) for vrid, numbers in self.node.heard.items()}
        if heard != self._saved_heard:
            self._saved_heard = heard
            self._state.save_heard(heard)

    def _snapshot(self) -> bool:
        """A piece of the snapshot that is being made."""
        if self._saving is not None and next(self._saving, self) is self:
            self._saving = None
        return self._saving is not None

    def _retry(self) -> None:
        """What the kernel refused may go now."""
        if self.host.failures:
            self.repair()

    # --- what operators ask for ----------------------------------------------------------------------------

    def drain(self, vrids: tuple[int, ...]) -> list[int]:
        """Take these virtual HAs out of service here; returns those that were in it."""
        return self._change_drained(DrainRequested(vrids))

    def undrain(self, vrids: tuple[int, ...]) -> list[int]:
        """Back into service; returns those that were drained."""
        return self._change_drained(UndrainRequested(vrids))

    def _change_drained(self, event: DrainRequested | UndrainRequested) -> list[int]:
        before = self.node.drained
        self._loop.handle(event)
        changed = sorted(before ^ self.node.drained)
        if changed:
            self._state.save_drained(self.node.drained)
        return changed

    def recover(self, vrid: int, home_addresses: tuple[Address, ...]) -> list[Address]:
        """Have these mobile nodes register anew; returns those that are going to."""
        self._loop.handle(RecoverRequested(vrid, home_addresses))
        recovery = self.node.recovery(vrid)
        return [home_address for home_address in home_addresses if recovery.is_under_way(home_address)]

    def hand_off(self, vrid: int, wanted: HandoffWanted | HandoffsCancelled) -> None:
        """Have mobile nodes use another virtual HA, or not any more."""
        self._loop.handle(HandoffRequested(vrid, wanted))

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
        drained = self.node.drained
        self.configuration, self._files = new, FilesOnDisk(new)
        self._metrics_file.follow(new.metrics)
        self._metrics_server.follow(new.metrics.listen)
        self._loop.handle(Reconfigured(new.node))
        for event in self.host.follow(new.node):
            self._loop.handle(event)
        if drained != self.node.drained:
            self._state.save_drained(self.node.drained)
        result: dict[str, object] = {
            "changed": sorted(vrid for vrid in before if vrid in after and before[vrid] != after[vrid]),
            "added": sorted(after.keys() - before.keys()),
            "removed": sorted(before.keys() - after.keys()),
            "restart_needed": self._restart_needed(),
        }
        self.journal.report("info", "reloaded", None, result)
        return result

    def _restart_needed(self) -> list[str]:
        """What was loaded since the start and is in use only after another."""
        now, then = self.configuration.shell, self._started_with
        return [name for name in IN_NEED_OF_RESTART if getattr(now, name) != getattr(then, name)]

    def status(self) -> dict[str, Any]:
        """Everything that `vrrp-ha status` shows."""
        now = monotonic()
        return self._status([self.node.describe(vrid, now) for vrid in self.node.vrids])

    def metrics(self) -> Iterator[str]:
        """The same as metrics, in pieces that take about as long as anything else in a turn of the loop."""
        virtual_has = []
        for vrid in self.node.vrids:
            if vrid in self.node.vrids:  # a reload may have come in between
                virtual_has.append(self.node.describe(vrid, monotonic()))
            yield ""
        yield from metrics.pieces(self._status(virtual_has))

    def _status(self, virtual_has: list[dict[str, Any]]) -> dict[str, Any]:
        alarms = list(self._alarms(virtual_has))
        totals: dict[str, Any] = self.node.totals()
        return {
            "format": 1,
            "host": self.configuration.node.host,
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": (monotonic() - self._started) / SECOND,
            "config_digest": self.configuration.digest,
            "config_current": self._files.are_current(),
            "restart_needed": self._restart_needed(),
            "healthy": not alarms,
            "warnings": [*alarms, *balance_config.remarks(virtual_has), *self._remarks()],
            **totals,
            "virtual_has": virtual_has,
            "solicited_node_groups": {"wanted": len(self.host.groups), "limit": self.host.groups.limit},
            "counters": {**totals["counters"], **self.host.all_counters()},
        }

    def _alarms(self, virtual_has: list[dict[str, Any]]) -> Iterator[str]:
        for name in sorted({v.interface for v in self.configuration.node.virtual_has} - self.host.links.keys()):
            yield f"interface {name} is down or has no link-local address"
        for (vrid, effect), reason in self.host.failures.items():
            yield f"vrid {vrid}: {effect} failed: {reason}"
        for virtual_ha in virtual_has:
            if virtual_ha["alarm"]:
                yield f"vrid {virtual_ha['vrid']}: {virtual_ha['alarm']}"

    def _remarks(self) -> Iterator[str]:
        yield from self.configuration.warnings
        yield from self.host.dataplane.remarks()
        if self._state.failure:
            yield f"state is not saved: {self._state.failure}"
        if self._metrics_file.failure:
            yield f"metrics are not written: {self._metrics_file.failure}"
        if self._metrics_server.failure:
            yield f"nobody can ask for metrics at {self._metrics_server.failure}"
        if self._control.warning:
            yield self._control.warning
        if names := self._restart_needed():
            yield f"changed in the configuration, but in use only after a restart: {', '.join(names)}"


def _make_node(configuration: Configuration, state: StateDirectory, journal: Journal) -> Node:
    """The node with what its predecessor left: bindings that still live, drained VRIDs, a new epoch."""
    try:
        restored = state.bindings(monotonic(), wall_clock_us())
    except StateError as error:
        restored = {}
        journal.report("error", "bindings_not_restored", None, {"reason": str(error)})
    if restored:
        journal.report("info", "bindings_restored", None, {"bindings": sum(map(len, restored.values()))})
    return Node(
        configuration.node,
        epoch=state.next_epoch(),
        restored=restored,
        drained=state.drained(),
        heard=state.heard(),
        rng=random.Random(),  # noqa: S311 - delays that need not be secret
        wall_offset_us=wall_clock_us() - monotonic(),
    )
