# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 9568 seen from outside with raw frames: what a Master sends, and what it makes of what others send."""

from __future__ import annotations

import time
from functools import partial
from ipaddress import IPv6Address
from itertools import pairwise

import pytest

from tests.interop import frames
from tests.interop.agents import ADDRESSES, LINK_LOCAL, VHA, VRID, advert_of
from tests.interop.conftest import Pair
from tests.interop.segment import SETTLE

pytestmark = pytest.mark.root

LOWER, HIGHER = "fe80::1", "fe80::ffff"
PROMPT = 0.03  # "at once", on a busy machine; an interval is 0.1
INTERVAL = 0.1
NEIGHBOUR = "2001:db8:1::99"
NEIGHBOUR_MAC = "02:00:00:00:00:99"

foreign = partial(frames.advert, vrid=VRID, source=HIGHER, addresses=ADDRESSES)


def adverts_after(pair: Pair, when: float, seconds: float) -> list[frames.Frame]:
    """What a sends in that time."""
    time.sleep(max(0.0, when + seconds - time.time()) + SETTLE)
    return [f for f in pair.segment.frames(advert_of("a"), since=when) if f.time <= when + seconds]


def wait_for_slot(pair: Pair) -> float:
    """Just after an advertisement of a, so that none is due for most of an interval."""
    return pair.segment.wait_for(advert_of("a"), since=time.time(), timeout=1).time


# --- sending -----------------------------------------------------------------------------------------------------


def test_every_field_of_an_advertisement_is_right(pair: Pair) -> None:
    frame = pair.segment.wait_for(advert_of("a"), since=time.time(), timeout=1)
    assert frame.source_mac == frames.virtual_mac(VRID)  # section 7.2
    assert frame.destination_mac == "33:33:00:00:00:12"
    assert (frame.source, frame.destination) == ("fe80::a", "ff02::12")  # 5.1.2.1, 5.1.2.2
    assert (frame.hop_limit, frame.next_header) == (255, 112)  # 5.1.2.3, 5.1.2.4
    assert frame.checksum_is_right  # 5.2.8
    assert frame.advert == frames.Advert(
        version=3, kind=1, vrid=VRID, priority=200, count=2, reserved=0, interval_cs=10, addresses=(LINK_LOCAL, VHA)
    )


def test_advertisements_come_every_interval_and_do_not_drift(pair: Pair) -> None:
    started = wait_for_slot(pair)
    times = [frame.time for frame in adverts_after(pair, started, 2.05)]
    assert len(times) == 21
    assert times[-1] - times[0] == pytest.approx(20 * INTERVAL, abs=0.01)
    assert max(later - earlier for earlier, later in pairwise(times)) < INTERVAL + 0.03


# --- receiving ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"hop_limit": 254}, "hop_limit"),
        ({"version": 2}, "version"),
        ({"kind": 9}, "vrrp_type"),
        ({"damage_checksum": True}, "checksum"),
        ({"vrid": VRID + 1}, "vrid_not_configured"),
        ({"count": 0, "addresses": ()}, "address_count"),
        ({"cut": 4}, "length"),
        ({"count": 3}, "length"),
        ({"addresses": (), "count": 0, "cut": 3}, "truncated"),
    ],
    ids=str,
)
def test_a_wrong_advertisement_is_discarded_and_counted(pair: Pair, damage: dict, reason: str) -> None:
    counter = f"dropped.{reason}"
    before = pair.a.call("status")["counters"].get(counter, 0)
    wait_for_slot(pair)
    sent = pair.a.host.receive(foreign(priority=250, **damage))
    assert adverts_after(pair, sent, 0.05) == []
    assert pair.a.status()["state"] == "master"
    assert pair.a.call("status")["counters"].get(counter, 0) == before + 1


@pytest.mark.parametrize(
    "oddity",
    [{}, {"reserved": 15}, {"interval_cs": 20}, {"addresses": (LINK_LOCAL, "2001:db8:1::52")}],
    ids=["none", "reserved bits", "another interval", "other addresses"],
)
def test_an_odd_advertisement_is_accepted(pair: Pair, oddity: dict) -> None:
    """Sections 5.2.6 and 7.1: reserved bits are ignored, mismatches are for the log."""
    wait_for_slot(pair)
    sent = pair.a.host.receive(foreign(priority=250, **oddity))
    assert adverts_after(pair, sent, 0.25) == []
    assert pair.segment.wait_for(advert_of("a", 200), since=sent, timeout=2)


def test_own_advertisements_are_ignored(pair: Pair) -> None:
    wait_for_slot(pair)
    sent = pair.a.host.receive(foreign(priority=250, source="fe80::a"))
    assert adverts_after(pair, sent, 0.05) == []
    assert pair.a.status()["state"] == "master"


@pytest.mark.parametrize(("priority", "source"), [(100, HIGHER), (199, HIGHER), (200, LOWER)])
def test_a_loser_is_answered_at_once_and_the_clock_goes_on(pair: Pair, priority: int, source: str) -> None:
    slot = wait_for_slot(pair)
    sent = pair.a.host.receive(foreign(priority=priority, source=source))
    answer, following = adverts_after(pair, sent, slot + 1.5 * INTERVAL - sent)
    assert answer.time - sent < PROMPT
    assert following.time - slot == pytest.approx(INTERVAL, abs=0.02)


@pytest.mark.parametrize(("priority", "source"), [(201, LOWER), (200, HIGHER), (255, LOWER)])
def test_a_winner_is_given_way(pair: Pair, priority: int, source: str) -> None:
    wait_for_slot(pair)
    sent = pair.a.host.receive(foreign(priority=priority, source=source))
    first = pair.segment.wait_for(advert_of("a"), since=sent, timeout=2)
    assert first.time - sent == pytest.approx(3 * INTERVAL + 56 / 256 * INTERVAL, abs=0.02)


def test_priority_zero_is_answered_at_once_and_restarts_the_clock(pair: Pair) -> None:
    wait_for_slot(pair)
    time.sleep(INTERVAL / 3)
    sent = pair.a.host.receive(foreign(priority=0))
    answer, following = adverts_after(pair, sent, 1.5 * INTERVAL)
    assert answer.time - sent < PROMPT
    assert following.time - answer.time == pytest.approx(INTERVAL, abs=0.02)


# --- neighbours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ADDRESSES)
def test_master_answers_a_solicitation_as_a_router_with_the_virtual_mac(pair: Pair, address: str) -> None:
    source = "fe80::99" if address == LINK_LOCAL else NEIGHBOUR
    sent = pair.segment.multicast(frames.solicitation(address, source, NEIGHBOUR_MAC))
    answer = pair.segment.wait_for(lambda f: f.icmp == frames.NA and f.target == address, since=sent, timeout=2)
    assert (answer.host, answer.destination, answer.destination_mac) == ("a", source, NEIGHBOUR_MAC)
    assert set("RS") <= set(answer.neighbour_flags)
    assert answer.target_mac == frames.virtual_mac(VRID)
    time.sleep(0.1)
    others = pair.segment.frames(lambda f: f.icmp == frames.NA and f.host == "b", since=sent)
    assert others == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_master_defends_its_addresses_against_duplicate_address_detection(pair: Pair, address: str) -> None:
    sent = pair.segment.multicast(frames.solicitation(address, "::", NEIGHBOUR_MAC))
    answer = pair.segment.wait_for(lambda f: f.icmp == frames.NA and f.target == address, since=sent, timeout=2)
    assert (answer.host, answer.destination) == ("a", frames.ALL_NODES)
    assert answer.target_mac == frames.virtual_mac(VRID)


@pytest.mark.parametrize("source", ["fe80::99", "::"])
def test_master_answers_a_router_solicitation_for_the_virtual_router_and_its_backup_does_not(
    pair: Pair, source: str
) -> None:
    pair.a.wait_until(
        lambda status: status["home_agent"]["backups_agree"], timeout=20
    )  # of its Masters b has heard a few
    sent = pair.segment.multicast(frames.router_solicitation(source, NEIGHBOUR_MAC))
    answer = pair.segment.wait_for(lambda f: f.icmp == frames.RA, since=sent, timeout=5)
    assert (answer.host, answer.source_mac) == ("a", frames.virtual_mac(VRID))
    assert (answer.source, answer.destination, answer.hop_limit) == (LINK_LOCAL, frames.ALL_NODES, 255)
    assert answer.checksum_is_right
    assert answer.router_lifetime == 0  # a home agent is no default router by itself
    prefix = b"\x40\xa0" + (2_592_000).to_bytes(4, "big") + (604_800).to_bytes(4, "big") + bytes(4)
    assert answer.router_options == {
        1: bytes.fromhex(frames.virtual_mac(VRID).replace(":", "")),
        3: prefix + IPv6Address(VHA).packed,  # the whole address of the home agent (RFC 6275 section 7.2)
        7: bytes(2) + (600_000).to_bytes(4, "big"),
        8: bytes(2) + (64).to_bytes(2, "big") + (1800).to_bytes(2, "big"),
    }
    time.sleep(0.6)
    assert {f.host for f in pair.segment.frames(lambda f: f.icmp == frames.RA, since=sent)} == {"a"}
    backups = pair.b.host.run("ip", "-6", "route", "show", "table", "all", "proto", "ra")
    assert backups == ""  # what the kernel of a Backup makes of the Master's


def test_interface_identifiers_do_not_come_from_the_virtual_mac(pair: Pair) -> None:
    """Section 7.4: the macvlan has the virtual addresses and no other."""
    shown = pair.a.host.run("ip", "-6", "-o", "addr", "show", "dev", f"vrrp6-{VRID}").splitlines()
    assert {line.split()[3].split("/")[0] for line in shown} == set(ADDRESSES)


def test_nothing_but_the_virtual_router_speaks_with_the_virtual_mac_and_no_backup_does(pair: Pair) -> None:
    """A frame from the virtual MAC moves the switch port (so MLD of a Backup must not have it)."""
    started = time.time()
    time.sleep(0.5)
    theirs = pair.segment.frames(lambda f: f.source_mac == frames.virtual_mac(VRID), since=started)
    assert {frame.host for frame in theirs} == {"a"}
