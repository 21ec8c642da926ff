# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of metrics for node_exporter's textfile collector, written anew every now and then.

The text is made by the loop in pieces and written by a thread, for a disk may take seconds. Whoever reads it sees the
whole of one version. It goes when the agent stops, so that nobody takes old values for new ones.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.types import Instant
from .clock import monotonic
from .metrics_config import MetricsSettings

_FOR_EVERYBODY = 0o644  # there is nothing secret in it
_WAIT_S = 1.0  # for the last version, at the end


class MetricsFile:
    """begin() when it may be time, work() in every turn, close() at the end."""

    def __init__(self, settings: MetricsSettings, exposition: Callable[[], Iterator[str]]) -> None:
        self.failure: str | None = None  # the last write's, None once one succeeds
        self._settings = settings
        self._exposition = exposition
        self._due = Instant(0)
        self._making: Iterator[str] | None = None
        self._made: list[str] = []
        self._writer: threading.Thread | None = None

    def follow(self, settings: MetricsSettings) -> None:
        """These settings from now on; a file that is somewhere else goes."""
        if settings == self._settings:
            return
        self.close()
        self._settings = settings
        self._due = Instant(0)

    def begin(self) -> None:
        """Start with a new version if it is time and the last one is done with."""
        idle = self._making is None and (self._writer is None or not self._writer.is_alive())
        if self._settings.textfile and idle and monotonic() >= self._due:
            self._due = Instant(monotonic() + self._settings.interval_us)
            self._making = self._exposition()

    def work(self) -> bool:
        """A piece of the version that is being made; True while there is more."""
        if self._making is None:
            return False
        try:
            piece = next(self._making, None)
        except Exception as error:  # a fault of ours must not take the home agent down
            self._made, self._making = [], None
            self.failure = f"{type(error).__name__}: {error}"
            return False
        if piece is not None:
            self._made.append(piece)
            return True
        text, self._made, self._making = "".join(self._made), [], None
        assert self._settings.textfile
        arguments = Path(self._settings.textfile), text
        self._writer = threading.Thread(target=self._write, args=arguments, name="metrics", daemon=True)
        self._writer.start()
        return False

    def close(self) -> None:
        """Nothing is written any more, and there is no file."""
        self._making, self._made, self.failure = None, [], None
        if self._writer is not None:
            self._writer.join(_WAIT_S)
            self._writer = None
        if self._settings.textfile:
            try:
                Path(self._settings.textfile).unlink(missing_ok=True)
            except OSError:
                pass  # what could not be written cannot be removed either

    def _write(self, path: Path, text: str) -> None:
        temporary = path.with_name(f".{path.name}.new")  # another ending: nobody reads it
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fchmod(descriptor, _FOR_EVERYBODY)
                with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
                    file.write(text)
            finally:
                os.close(descriptor)
            temporary.replace(path)
            self.failure = None
        except OSError as error:
            self.failure = f"{path}: {error.strerror}"
