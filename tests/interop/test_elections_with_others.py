# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""keepalived and FRR's vrrpd as the third router of a virtual HA whose other two exchange bindings all the while."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.interop import frames
from tests.interop.agents import VHA, VRID, Agent, advert_of, running, virtual_ha
from tests.interop.conftest import Pair
from tests.interop.foreign import Foreign, Frr, Keepalived, wait_for
from tests.interop.segment import Host, Segment

pytestmark = [pytest.mark.root, pytest.mark.interop]

INTERVAL = 0.1
CARE_OF = "2001:db8:2::77"
WORK = 1.5  # how long the others are watched, in seconds
BC_MESSAGES = (2, 3, 4)

_numbers = count(1)


@pytest.fixture(scope="module")
def members(segment: Segment, directory: Path) -> Iterator[Pair]:
    """As elsewhere, but they take Binding Updates from anybody, which keeps the tests' mobile nodes simple."""
    a = Agent(segment.add("a", "fe80::a", "2001:db8:1::a"), directory / "a", virtual_ha(200, insecure_bindings=True))
    b = Agent(segment.add("b", "fe80::b", "2001:db8:1::b"), directory / "b", virtual_ha(150, insecure_bindings=True))
    with running(a, b):
        yield Pair(segment, a, b)


@pytest.fixture(scope="module")
def third_host(segment: Segment) -> Host:
    return segment.add("c", "fe80::c", "2001:db8:1::c")


@pytest.fixture(params=[Keepalived, Frr], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[Foreign]:
    if not request.param.installed():
        pytest.skip(f"{request.param.name} is not installed")
    return request.param


@contextmanager
def third_router(kind: type[Foreign], host: Host, directory: Path, priority: int) -> Iterator[Foreign]:
    """The foreign router, while mobile nodes register with whichever of ours is Master."""
    router = kind(host, directory / f"{kind.name}-{next(_numbers)}", priority)
    try:
        router.start()
        yield router
    finally:
        router.stop()


@contextmanager
def killed(agent: Agent) -> Iterator[float]:
    """Dead from then on, and started again at the end whatever happens; the time of its death."""
    try:
        yield agent.kill()
    finally:
        agent.start()


@contextmanager
def registrations(pair: Pair) -> Iterator[None]:
    """A mobile node registers every 50 ms: each is an UPDATE on the link."""
    done = threading.Event()

    def register() -> None:
        while not done.wait(0.05):
            number = next(_numbers)
            pair.a.host.receive(frames.binding_update(f"2001:db8:1::1:{number:x}", CARE_OF, VHA, VRID, lifetime_s=60))

    thread = threading.Thread(target=register)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def binding_messages(pair: Pair, since: float) -> dict[int, int]:
    """How many of each type our two have sent."""
    found = [f.vrrp[0] for f in pair.segment.frames(lambda f: f.vrrp and f.host in "ab", since=since) if f.vrrp]
    return {kind: found.count(kind) for kind in BC_MESSAGES}


def test_it_loses_by_its_priority_and_is_not_disturbed(
    pair: Pair, third_host: Host, kind: type[Foreign], directory: Path
) -> None:
    started = time.time()
    with third_router(kind, third_host, directory, priority=50) as router:
        wait_for(lambda: router.states()[-1:] == ["backup"], "it to be Backup")
        with registrations(pair):
            time.sleep(WORK)
        sent = binding_messages(pair, started)
        assert sent[3] >= 20
        assert sent[4] >= 2
        assert [line for line in router.complaints() if "Bad type" not in line] == []
        # The Master dies: our Backup takes over, as its priority is higher than the third's.
        with killed(pair.a) as death:
            pair.segment.wait_for(advert_of("b"), since=death, timeout=2)
            time.sleep(2 * INTERVAL)
            assert router.states() == ["backup"]
            assert pair.segment.frames(advert_of("c"), since=started) == []


def test_it_wins_by_its_priority_and_hands_back_when_it_stops(
    pair: Pair, third_host: Host, kind: type[Foreign], directory: Path
) -> None:
    started = time.time()
    with third_router(kind, third_host, directory, priority=250) as router:
        first = pair.segment.wait_for(advert_of("c", 250), since=started, timeout=10)
        for member in (pair.a, pair.b):
            member.wait_for_state("backup", timeout=2)
        with registrations(pair):
            time.sleep(WORK)
        assert router.states()[-1] == "master"
        assert pair.a.status()["master"] == pair.b.status()["master"] == first.source
        assert pair.segment.frames(advert_of("a"), since=first.time + 2 * INTERVAL) == []
        assert pair.segment.frames(advert_of("b"), since=started) == []
        stopping = time.time()
    zero = pair.segment.wait_for(advert_of("c", 0), since=stopping, timeout=2)
    taken_back = pair.segment.wait_for(advert_of("a"), since=zero.time, timeout=2)
    assert 0 <= taken_back.time - zero.time - 56 / 256 * INTERVAL < 0.02
    assert pair.segment.frames(advert_of("b"), since=started) == []


def test_it_serves_between_our_two_when_the_first_is_dead(
    pair: Pair, third_host: Host, kind: type[Foreign], directory: Path
) -> None:
    with third_router(kind, third_host, directory, priority=175) as router:
        wait_for(lambda: router.states()[-1:] == ["backup"], "it to be Backup")
        time.sleep(2 * INTERVAL)
        with killed(pair.a) as death:
            first = pair.segment.wait_for(advert_of("c", 175), since=death, timeout=2)
            time.sleep(4 * INTERVAL)
            # Our Backup's timer is 10 ms behind. Who is late to say that it took over (FRR by an interval, anybody on
            # a busy machine) lets it do so meanwhile; it gives way at once.
            assert pair.segment.frames(advert_of("b"), since=first.time + 0.02) == []
            assert pair.b.status()["master"] == first.source
            assert router.states() == ["backup", "master"]
