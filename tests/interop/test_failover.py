# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failover between two members, measured from outside: a dead Master, a stopped one, a Backup that is paused."""

from __future__ import annotations

import signal
import time

import pytest

from tests.interop.agents import advert_of
from tests.interop.conftest import Pair

pytestmark = pytest.mark.root

INTERVAL = 0.1
SKEW = 106 / 256 * INTERVAL  # of b, priority 150


def last_advert(pair: Pair, host: str, priority: int | None = None) -> float:
    return pair.segment.frames(advert_of(host, priority))[-1].time


def report(what: str, measured: float, theory: float) -> None:
    print(f"{what}: {measured * 1000:.1f} ms, theory {theory * 1000:.1f} ms")


@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_master_is_replaced_after_its_down_interval(pair: Pair, attempt: int) -> None:
    killed = pair.a.kill()
    first = pair.segment.wait_for(advert_of("b"), since=killed, timeout=2)
    measured = first.time - last_advert(pair, "a")
    report("killed", measured, 3 * INTERVAL + SKEW)
    pair.a.start()
    assert 0 <= measured - (3 * INTERVAL + SKEW) < 0.01


@pytest.mark.parametrize("attempt", range(2))
def test_a_stopped_master_is_replaced_after_the_skew_time(pair: Pair, attempt: int) -> None:
    started = time.time()
    pair.a.stop()
    first = pair.segment.wait_for(advert_of("b"), since=started, timeout=2)
    measured = first.time - last_advert(pair, "a", 0)
    report("stopped", measured, SKEW)
    pair.a.start()
    assert 0 <= measured - SKEW < 0.01


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_a_backup_that_was_paused_does_not_take_over(pair: Pair, seconds: float) -> None:
    """What was queued meanwhile is read before the down timer acts."""
    became_master = pair.b.status()["counters"].get("became_master", 0)
    paused = pair.b.signal(signal.SIGSTOP)
    time.sleep(seconds)
    pair.b.signal(signal.SIGCONT)
    time.sleep(5 * INTERVAL)
    assert pair.segment.frames(advert_of("b"), since=paused) == []
    status = pair.b.status()
    assert (status["state"], status["counters"].get("became_master", 0)) == ("backup", became_master)


def test_a_paused_master_gives_way_and_takes_back_what_is_its_own(pair: Pair) -> None:
    paused = pair.a.signal(signal.SIGSTOP)
    pair.segment.wait_for(advert_of("b"), since=paused, timeout=2)
    continued = pair.a.signal(signal.SIGCONT)
    first = pair.segment.wait_for(advert_of("a", 200), since=continued, timeout=2)
    time.sleep(3 * INTERVAL)
    late = pair.segment.frames(advert_of("b"), since=first.time + 0.02)
    assert late == []
