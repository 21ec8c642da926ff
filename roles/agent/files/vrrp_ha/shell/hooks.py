# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's programs: started and left alone. The loop never waits for one.

A program gets its arguments and nothing else of the agent: no input, no descriptors, no environment but PATH, and
in no case a key. It runs as the agent's user, in a session of its own, so that stopping the agent's terminal does
not stop it. Few run at once; one that does not come to an end is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass

from ..core.effects import RunHook
from ..core.types import SECOND, Instant
from .clock import monotonic
from .journal import Journal

MOST_RUNNING = 8
MOST_WAITING = 1000
PATIENCE_US = 60 * SECOND
REAP_US = 1 * SECOND
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(slots=True)
class _Running:
    program: str
    process: subprocess.Popen[bytes]
    until: Instant


class Hooks:
    """Those that run and those that wait for their turn."""

    def __init__(self, journal: Journal, counters: Counter[str]) -> None:
        self._journal = journal
        self._counters = counters
        self._running: list[_Running] = []
        self._waiting: deque[RunHook] = deque()

    def run(self, effect: RunHook) -> None:
        """Start a program now, or when others have ended."""
        if len(self._waiting) >= MOST_WAITING:
            self._failed(effect, "too many are waiting")
            return
        self._waiting.append(effect)
        self._start()

    def reap(self) -> None:
        """Now and then: see which have ended, kill what takes too long, start what waits."""
        now = monotonic()
        for running in list(self._running):
            status = running.process.poll()
            if status is None and running.until <= now:
                with suppress(OSError):
                    os.killpg(running.process.pid, signal.SIGKILL)
                running.until = Instant(now + PATIENCE_US)
            if status is not None:
                self._running.remove(running)
                if status != 0:
                    self._counters["hooks_failed"] += 1
                    fields = {"program": running.program, "status": status}
                    self._journal.report("warning", "hook_failed", None, fields)
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._running) < MOST_RUNNING:
            effect = self._waiting.popleft()
            try:
                process = subprocess.Popen(
                    [effect.program, *effect.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                self._failed(effect, error.strerror or str(error))
                continue
            self._counters["hooks_run"] += 1
            self._running.append(_Running(effect.program, process, Instant(monotonic() + PATIENCE_US)))

    def _failed(self, effect: RunHook, reason: str) -> None:
        self._counters["hooks_failed"] += 1
        self._journal.report("error", "hook_failed", None, {"program": effect.program, "reason": reason})
