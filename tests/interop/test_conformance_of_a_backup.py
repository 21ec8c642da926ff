# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 9568 seen from outside with raw frames: one router alone, that hears only the Master which we act."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.interop import frames
from tests.interop.agents import ADDRESSES, LINK_LOCAL, VHA, VRID, Agent, advert_of, running, virtual_ha
from tests.interop.segment import SETTLE, Segment

pytestmark = pytest.mark.root

INTERVAL = 0.1
SKEW = 156 / 256 * INTERVAL
LATE = 0.03  # how much later than the theory, on a busy machine
STRANGER = "fe80::ffff"
NEIGHBOUR = "2001:db8:1::99"
NEIGHBOUR_MAC = "02:00:00:00:00:99"
VIRTUAL_MAC = frames.virtual_mac(VRID)

acted = partial(frames.advert, vrid=VRID, source=STRANGER, addresses=ADDRESSES)
RATE_LIMIT = 3.0  # between Router Advertisements (RFC 4861 section 6.2.6)
first_advert = partial(advert_of, "alone")


@pytest.fixture(scope="module")
def router(segment: Segment, directory: Path) -> Iterator[Agent]:
    """A plain VRRP router of priority 100."""
    host = segment.add("alone", "fe80::a", "2001:db8:1::a")
    agent = Agent(host, directory / "alone", virtual_ha(100, mipv6_ha_mode=False))
    with running(agent):
        agent.wait_for_state("master")
        yield agent


@pytest.fixture
def backup(router: Agent) -> Agent:
    """The same, just made a Backup by a Master of priority 200."""
    router.host.receive(acted(priority=200))
    router.wait_for_state("backup")
    router.host.receive(acted(priority=200))
    return router


@pytest.fixture
def master(router: Agent) -> Agent:
    """The same, as Master."""
    router.wait_for_state("master")
    return router


def is_router_advertisement(frame: frames.Frame) -> bool:
    return frame.host == "alone" and frame.icmp == frames.RA


def takeover_after(router: Agent, sent: float, timeout: float = 3) -> float:
    """Seconds until its first advertisement."""
    return router.host.segment.wait_for(first_advert(), since=sent, timeout=timeout).time - sent


def sent_by(router: Agent, since: float, seconds: float) -> list[frames.Frame]:
    """Everything that the router put on the wire in that time, but for what its kernel says of groups in its own name.

    A Multicast Listener Report from the virtual MAC is among it.
    """
    time.sleep(max(0.0, since + seconds - time.time()) + SETTLE)
    sent = router.host.segment.frames(lambda f: f.host == "alone" and f.time <= since + seconds, since=since)
    return [f for f in sent if f.source_mac == VIRTUAL_MAC or f.icmp not in frames.MLD_REPORTS]


# --- timers ------------------------------------------------------------------------------------------------------


def test_backup_takes_over_after_three_intervals_and_its_skew(backup: Agent) -> None:
    sent = backup.host.receive(acted(priority=200))
    assert 0 <= takeover_after(backup, sent) - (3 * INTERVAL + SKEW) < LATE


def test_backup_takes_over_a_skew_after_priority_zero(backup: Agent) -> None:
    sent = backup.host.receive(acted(priority=0))
    assert 0 <= takeover_after(backup, sent) - SKEW < LATE


def test_backup_uses_the_masters_interval(backup: Agent) -> None:
    sent = backup.host.receive(acted(priority=200, interval_cs=20))
    assert 0 <= takeover_after(backup, sent) - 2 * (3 * INTERVAL + SKEW) < LATE


def test_a_huge_interval_cannot_silence_a_backup_for_long(backup: Agent) -> None:
    sent = backup.host.receive(acted(priority=200, interval_cs=4095))
    assert 0 <= takeover_after(backup, sent, timeout=6) - 10 * (3 * INTERVAL + SKEW) < LATE


def test_backup_preempts_a_lower_priority(backup: Agent) -> None:
    sent = backup.host.receive(acted(priority=200))
    for _unused in range(8):
        time.sleep(0.04)
        backup.host.receive(acted(priority=99))
    assert 0 <= takeover_after(backup, sent) - (3 * INTERVAL + SKEW) < LATE


def test_backup_listens_to_an_equal_priority(backup: Agent) -> None:
    for _unused in range(6):
        sent = backup.host.receive(acted(priority=100))
        time.sleep(INTERVAL)
    assert 0 <= takeover_after(backup, sent) - (3 * INTERVAL + SKEW) < LATE


def test_without_preemption_a_lower_priority_is_listened_to(backup: Agent) -> None:
    backup.configure(virtual_ha(100, mipv6_ha_mode=False, preempt=False))
    try:
        backup.host.receive(acted(priority=200, interval_cs=50))
        backup.call("reload")
        for _unused in range(6):
            sent = backup.host.receive(acted(priority=1))
            time.sleep(INTERVAL)
        assert 0 <= takeover_after(backup, sent) - (3 * INTERVAL + SKEW) < LATE
    finally:
        backup.configure(virtual_ha(100, mipv6_ha_mode=False))
        backup.call("reload")


# --- takeover ----------------------------------------------------------------------------------------------------


def test_takeover_advertises_first_and_then_announces_every_address(backup: Agent) -> None:
    sent = backup.host.receive(acted(priority=0))
    takeover_after(backup, sent)
    spoken = [f for f in sent_by(backup, sent, 0.3) if f.source_mac == VIRTUAL_MAC and f.icmp not in frames.MLD_REPORTS]
    assert spoken[0].advert
    announced = [f for f in spoken if f.icmp == frames.NA]
    assert {f.target for f in announced} == set(ADDRESSES)
    assert announced[-1].time - spoken[0].time < 0.05
    for frame in announced:
        assert (frame.destination, frame.destination_mac) == (frames.ALL_NODES, "33:33:00:00:00:01")
        assert (frame.neighbour_flags, frame.target_mac, frame.hop_limit) == ("RO", VIRTUAL_MAC, 255)
        assert frame.checksum_is_right


def test_takeover_is_followed_by_a_router_advertisement_of_the_virtual_router(backup: Agent) -> None:
    sent = backup.host.receive(acted(priority=0))
    frame = backup.host.segment.wait_for(is_router_advertisement, since=sent, timeout=5)
    assert frame.time - sent < SKEW + RATE_LIMIT + 0.5 + LATE  # it may just have been Master
    assert (frame.source_mac, frame.destination_mac) == (VIRTUAL_MAC, "33:33:00:00:00:01")
    assert (frame.source, frame.destination, frame.hop_limit) == (LINK_LOCAL, frames.ALL_NODES, 255)
    assert frame.checksum_is_right
    assert frame.router_lifetime == 1800  # it is a plain VRRP router


def test_router_that_gives_way_does_not_answer_a_solicitation_that_it_had_heard(master: Agent) -> None:
    time.sleep(RATE_LIMIT)
    master.host.receive(frames.router_solicitation("fe80::99", NEIGHBOUR_MAC))
    sent = master.host.receive(acted(priority=200, interval_cs=100))
    time.sleep(LATE)
    late = [f for f in sent_by(master, sent + LATE, 0.7) if f.icmp == frames.RA]
    assert late == []


# --- what a Backup keeps to itself -------------------------------------------------------------------------------


def test_backup_says_nothing_at_all_for_the_virtual_router(backup: Agent) -> None:
    """No answer to solicitations or pings, nothing forwarded, and no frame from the virtual MAC (MLD included)."""
    started = backup.host.receive(acted(priority=200, interval_cs=100))
    for address in ADDRESSES:
        for source in ("fe80::99", "::"):
            backup.host.receive(frames.solicitation(address, source, NEIGHBOUR_MAC))
        backup.host.receive(
            frames.echo_request(NEIGHBOUR, address, source_mac=NEIGHBOUR_MAC, destination_mac=VIRTUAL_MAC)
        )
    backup.host.receive(
        frames.echo_request(NEIGHBOUR, "2001:db8:1::98", source_mac=NEIGHBOUR_MAC, destination_mac=VIRTUAL_MAC)
    )
    assert sent_by(backup, started, 0.5) == []
    assert backup.status()["state"] == "backup"


def test_master_forwards_what_a_backup_drops(master: Agent) -> None:
    """The control of the test above: the same frame is forwarded (or its destination sought) by a Master."""
    started = master.host.receive(
        frames.echo_request(NEIGHBOUR, "2001:db8:1::98", source_mac=NEIGHBOUR_MAC, destination_mac=VIRTUAL_MAC)
    )
    forwarded = [
        f
        for f in sent_by(master, started, 0.2)
        if (f.icmp == frames.ECHO_REQUEST and f.hop_limit == 63)
        or (f.icmp == frames.NS and f.target == "2001:db8:1::98")
    ]
    assert forwarded


def test_a_router_that_gives_way_stops_answering_at_once(master: Agent) -> None:
    sent = master.host.receive(acted(priority=200, interval_cs=100))
    time.sleep(0.1)
    master.host.receive(frames.solicitation(VHA, "fe80::99", NEIGHBOUR_MAC))
    late = [f for f in sent_by(master, sent, 0.5) if f.time > sent + 0.1]
    assert late == []


def test_backup_sends_no_router_advertisement_also_when_solicited(backup: Agent) -> None:
    before = backup.status()["counters"].get("router_solicitations_received", 0)
    started = backup.host.receive(acted(priority=200, interval_cs=100))
    for source in ("fe80::99", "::"):
        backup.host.receive(frames.router_solicitation(source, NEIGHBOUR_MAC))
    assert [f for f in sent_by(backup, started, 0.7) if f.icmp == frames.RA] == []  # an answer may take 0.5
    status = backup.status()
    assert (status["state"], status["counters"]["router_solicitations_received"]) == ("backup", before + 2)


# --- Accept_Mode -------------------------------------------------------------------------------------------------


def pings_answered(router: Agent, address: str) -> bool:
    request = frames.echo_request(NEIGHBOUR, address, source_mac=NEIGHBOUR_MAC, destination_mac=VIRTUAL_MAC)
    router.host.run("ip", "neigh", "replace", NEIGHBOUR, "lladdr", NEIGHBOUR_MAC, "dev", "eth0")
    router.host.run("ip", "neigh", "replace", NEIGHBOUR, "lladdr", NEIGHBOUR_MAC, "dev", f"vrrp6-{VRID}")
    sent = router.host.receive(request)
    return any(f.icmp == frames.ECHO_REPLY and f.source == address for f in sent_by(router, sent, 0.2))


def test_accept_mode_false_drops_pings_but_neighbours_are_answered(master: Agent) -> None:
    assert not pings_answered(master, VHA)
    sent = master.host.receive(frames.solicitation(VHA, NEIGHBOUR, NEIGHBOUR_MAC))
    assert master.host.segment.wait_for(lambda f: f.icmp == frames.NA, since=sent, timeout=1).target == VHA


def test_accept_mode_true_answers_pings_and_is_switched_without_a_lost_advertisement(master: Agent) -> None:
    started = time.time()
    master.configure(virtual_ha(100, mipv6_ha_mode=False, accept_mode=True))
    try:
        master.call("reload")
        assert pings_answered(master, VHA)
    finally:
        master.configure(virtual_ha(100, mipv6_ha_mode=False))
        master.call("reload")
    assert not pings_answered(master, VHA)
    times = [f.time for f in sent_by(master, started, time.time() - started) if f.advert]
    assert max(later - earlier for earlier, later in pairwise(times)) < INTERVAL + 0.03


# --- start and stop ----------------------------------------------------------------------------------------------


def test_shutdown_says_priority_zero_once_and_cleans_up(master: Agent) -> None:
    started = time.time()
    master.stop()
    said = [f.advert.priority for f in sent_by(master, started, 0.5) if f.advert]
    assert said[-1] == 0
    assert said.count(0) == 1
    assert f"vrrp6-{VRID}" not in master.host.run("ip", "-o", "link")
    assert VHA not in master.host.run("ip", "-6", "addr")
    master.start()
    master.wait_for_state("backup")


def test_nothing_about_the_virtual_router_is_said_before_its_first_advertisement(master: Agent) -> None:
    """Section 8.2.2; DAD and MLD for the virtual addresses would be such."""
    master.stop()
    started = time.time()
    master.start()
    first = master.host.segment.wait_for(first_advert(), since=started, timeout=10)
    before = [f for f in master.host.segment.frames(lambda f: f.host == "alone", since=started) if f.time < first.time]
    # It joins the groups of its addresses (MLD) while it takes over, which is a moment before it says so.
    early = [f for f in before if f.icmp not in frames.MLD_REPORTS or f.time < first.time - LATE]
    assert [f for f in early if f.source_mac == VIRTUAL_MAC] == []
    assert [f for f in before if f.icmp in (frames.NS, frames.NA, frames.RA)] == []
    assert not any(address in (f.source, f.destination) for f in early if f.is_ipv6 for address in ADDRESSES)


# --- the owner ---------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(router: Agent) -> Iterator[Agent]:
    """The same with priority 255."""
    router.stop()
    router.configure(virtual_ha(255, mipv6_ha_mode=False))
    router.start()
    router.wait_for_state("master")
    yield router
    router.stop()
    router.configure(virtual_ha(100, mipv6_ha_mode=False))
    router.start()
    router.wait_for_state("master")


def test_owner_advertises_at_once_and_ignores_everybody(owner: Agent) -> None:
    first = owner.host.segment.wait_for(first_advert(255), since=owner.started, timeout=5)
    logged = owner.status()
    assert logged["effective_priority"] == 255
    assert [f for f in owner.host.segment.frames(first_advert(), since=owner.started) if f.time < first.time] == []
    slot = owner.host.segment.wait_for(first_advert(), since=time.time(), timeout=1).time
    for priority in (0, 100, 254, 255):
        owner.host.receive(acted(priority=priority))
    assert [f for f in sent_by(owner, slot + 0.001, 0.07) if f.advert] == []
    assert owner.status()["state"] == "master"


def test_owner_accepts_what_is_sent_to_its_address(owner: Agent) -> None:
    assert pings_answered(owner, VHA)
    assert LINK_LOCAL in owner.status()["addresses"]
