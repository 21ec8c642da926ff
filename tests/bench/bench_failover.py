# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failover beside keepalived's, in one run on one machine: prints figures, asserts nothing.

PYTHONPATH=roles/agent/files:. python3 tests/bench/bench_failover.py [RUNS]     (as root)
Measured from outside: the last advertisement of the dead (or stopped) Master to the first one of its successor.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import median

from tests.interop.agents import Agent, advert_of, virtual_ha
from tests.interop.foreign import Keepalived
from tests.interop.segment import Segment

PRIORITIES = {"a": 200, "b": 150}
SKEW = (256 - PRIORITIES["b"]) / 256
SETTLE_S = 3.0
_numbers = count()


class OurPair:
    """Two of our agents with their bindings in step."""

    name = "vrrp-ha"

    def __init__(self, segment: Segment, directory: Path, interval_cs: int) -> None:
        self.a, self.b = (
            Agent(host, directory / name, virtual_ha(PRIORITIES[name], advertisement_interval=interval_cs))
            for name, host in _hosts(segment)
        )

    def wait_until_settled(self) -> None:
        """Master and Backup with their whole priorities."""
        for agent, state in ((self.a, "master"), (self.b, "backup")):
            agent.wait_until(lambda s, w=state: s["state"] == w and s["effective_priority"] == s["priority"])
        time.sleep(0.3)


class KeepalivedPair:
    """Two keepalived with the same priorities."""

    name = "keepalived"

    def __init__(self, segment: Segment, directory: Path, interval_cs: int) -> None:
        self.a, self.b = (
            Keepalived(host, directory / name, PRIORITIES[name], interval_cs / 100) for name, host in _hosts(segment)
        )

    def wait_until_settled(self) -> None:
        """It has no way to ask; three seconds are many advertisement intervals."""
        time.sleep(SETTLE_S)


def _hosts(segment: Segment) -> Iterator[tuple[str, object]]:
    yield "a", segment.add("a", "fe80::a", "2001:db8:1::a")
    yield "b", segment.add("b", "fe80::b", "2001:db8:1::b")


@contextmanager
def running(kind: type, interval_cs: int) -> Iterator[tuple[object, Segment]]:
    """A pair on a link of its own, settled."""
    with Segment() as segment, tempfile.TemporaryDirectory(prefix="vhb") as place:
        pair = kind(segment, Path(place) / f"{next(_numbers)}" if kind is OurPair else Path(place), interval_cs)
        pair.a.start()
        pair.b.start()
        try:
            pair.wait_until_settled()
            yield pair, segment
        finally:
            for router in (pair.a, pair.b):
                with suppress(AssertionError, ProcessLookupError):  # the one that was killed
                    router.stop()


def measure(kind: type, interval_cs: int, how: str) -> float:
    """Seconds from the last advertisement of the old Master to the first one of the new."""
    with running(kind, interval_cs) as (pair, segment):
        started = time.time()
        if how == "kill":
            started = pair.a.kill()
        else:
            pair.a.stop()
        first = segment.wait_for(advert_of("b"), since=started, timeout=3)
        last = segment.frames(advert_of("a", 0 if how == "stop" else None))[-1]
        return first.time - last.time


def main() -> None:
    """Every combination, the pairs taking turns so that the machine treats them alike."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(
        f"{'interval':9}{'how':6}{'theory ms':>10}"
        + "".join(f"{k.name + ' ms':>16}" for k in (OurPair, KeepalivedPair))
    )
    for interval_cs in (10, 1):
        for how in ("kill", "stop"):
            theory = (SKEW + (3 if how == "kill" else 0)) * interval_cs / 100
            measured: dict[type, list[float]] = {OurPair: [], KeepalivedPair: []}
            for _unused in range(runs):
                for kind, values in measured.items():
                    values.append(measure(kind, interval_cs, how))
            shown = "".join(f"{median(values) * 1000:16.2f}" for values in measured.values())
            print(f"{f'{interval_cs} cs':9}{how:6}{theory * 1000:10.2f}{shown}")


if __name__ == "__main__":
    main()
