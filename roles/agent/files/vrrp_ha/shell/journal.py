# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened, for people: log lines on standard output and a ring of events for the control socket.

A line never blocks the loop: when whoever reads it is stuck it is dropped, and so is what exceeds the pace that
anybody can read; how many is said later. Fields are plain data. Octet strings are shown only where they are an
address: a key that strays in here must not come out.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType

from ..core.types import SECOND, text
from .clock import monotonic, wall_clock_us

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}  # syslog's numbers, as journald reads them
KEPT_EVENTS = 10_000
LINES_PER_SECOND = 100
BURST = 500
LONGEST_LINE = 2000  # octets: less than a pipe takes in one piece

Event = dict[str, object]
_NONE: Mapping[str, object] = MappingProxyType({})


class Journal:
    """Events are numbered from 1; debug ones are neither kept nor, unless asked for, printed."""

    def __init__(self, output: int = 1, *, verbose: bool = False, under_systemd: bool = False) -> None:
        self.last = 0
        self.lost_lines = 0
        self._ring: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._output = output
        self._writable = select.poll()
        self._writable.register(output, select.POLLOUT)
        self._verbose = verbose
        self._prefixed = under_systemd
        self._allowance = float(BURST)
        self._counted_at = monotonic()
        self.on_event: Callable[[], None] = lambda: None

    def report(self, level: str, kind: str, vrid: int | None = None, fields: Mapping[str, object] = _NONE) -> None:
        """Note one event."""
        plain = {name: "***" if "key" in name else _plain(value) for name, value in fields.items()}
        if level != "debug":
            self.last += 1
            event: Event = {"number": self.last, "time": timestamp(wall_clock_us()), "level": level, "kind": kind}
            if vrid is not None:
                event["vrid"] = vrid
            self._ring.append({**event, **{name: plain[name] for name in plain if name not in event}})
            self.on_event()
        if level != "debug" or self._verbose:
            self._print(level, kind, vrid, plain)

    def after(self, number: int, limit: int) -> list[Event]:
        """Up to `limit` events later than the given one that are still kept, oldest first."""
        missing = self.last - number
        if missing <= 0 or not self._ring:
            return []
        start = max(0, len(self._ring) - missing)
        return list(islice(self._ring, start, start + limit))

    def _print(self, level: str, kind: str, vrid: int | None, fields: dict[str, object]) -> None:
        if not self._within_pace():
            self.lost_lines += 1
            return
        lost, self.lost_lines = self.lost_lines, 0
        words = [kind, *([f"vrid={vrid}"] if vrid is not None else []), *_words(fields)]
        words += [f"lines_lost={lost}"] if lost else []
        prefix = f"<{PRIORITIES.get(level, 6)}>" if self._prefixed else f"{timestamp(wall_clock_us())} {level:7} "
        line = (prefix + " ".join(words)).encode("utf-8", "replace")[:LONGEST_LINE] + b"\n"
        if not self._writable.poll(0):
            self.lost_lines = lost + 1
            return
        try:
            os.write(self._output, line)
        except OSError:
            self.lost_lines = lost + 1

    def _within_pace(self) -> bool:
        now = monotonic()
        earned = (now - self._counted_at) * LINES_PER_SECOND / SECOND
        self._counted_at = now
        self._allowance = min(BURST, self._allowance + earned)
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


def logs_to_journald() -> bool:
    """Standard output is systemd's journal, which understands level prefixes."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(1)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def timestamp(wall_us: int) -> str:
    """UTC, ISO 8601, microseconds."""
    moment = datetime.fromtimestamp(wall_us // SECOND, UTC).replace(microsecond=wall_us % SECOND)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return text(bytes(value)) if len(value) == 16 else f"({len(value)} octets)"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    return str(value)


def _words(fields: dict[str, object]) -> Iterator[str]:
    for name, value in fields.items():
        shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        if not shown or any(c.isspace() or c in '"=' for c in shown):
            shown = '"' + shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        yield f"{name}={shown}"
