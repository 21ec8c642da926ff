# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What RFC 9568 wants besides the election: redirects, neighbours, and what a router must not forward."""

import socket

import pytest

from tests.kernel.home_link import (
    CN,
    ETH_P_IPV6,
    VHA,
    VIRTUAL_MAC,
    HomeLink,
    icmpv6,
    ipv6,
    settings,
    settle,
    udp,
)
from vrrp_ha.core.types import packed

NEIGHBOUR, NEIGHBOUR_MAC, NEW_MAC = "2001:db8:1::99", "02:00:00:00:00:99", "02:00:00:00:00:9a"
REDIRECT, NEIGHBOUR_ADVERTISEMENT = 137, 136


@pytest.fixture(scope="module")
def link():
    with HomeLink() as link:
        yield link


@pytest.fixture
def master(link):
    """Virtual HA 51 active on ha1."""
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        plane.activate(51)
        settle(plane)
        yield plane


def octets(mac):
    return bytes.fromhex(mac.replace(":", ""))


def on_the_home_link(link, destination_mac, packet, source_mac=NEIGHBOUR_MAC):
    """A neighbour sends a frame."""
    with link.router.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("home", 0))
        out.send(octets(destination_mac) + octets(source_mac) + b"\x86\xdd" + packet)


def test_master_forwards_to_a_better_router_without_redirecting(link, master):
    """Section 8.2.1: a redirect would have to come from the virtual router's address; the kernel's would not."""
    link.ha1.ip("neigh", "replace", NEIGHBOUR, "lladdr", NEIGHBOUR_MAC, "dev", "eth1", "nud", "permanent")
    with link.router.capture("home", ETH_P_IPV6) as capture:
        on_the_home_link(link, VIRTUAL_MAC, udp(NEIGHBOUR, CN, b"there is a better way"))
        seen = [frame for _unused, frame in capture.frames(lambda frame: True, 1.0)]
    link.ha1.ip("neigh", "del", NEIGHBOUR, "dev", "eth1")
    assert [frame for frame in seen if b"there is a better way" in frame and frame[20] == 17]  # it was forwarded
    assert [frame for frame in seen if frame[20] == 58 and frame[54] == REDIRECT] == []


@pytest.mark.parametrize("mac", ["33:33:00:00:00:12", VIRTUAL_MAC])
def test_what_is_for_all_vrrp_routers_is_not_forwarded(link, master, mac):
    """Section 5.1.2.2."""
    packet = ipv6("fe80::99", "ff02::12", 112, b"for the link alone, 24 o", 255)
    with link.router.capture("home", ETH_P_IPV6) as home, link.cn.capture("eth0", ETH_P_IPV6) as beyond:
        on_the_home_link(link, mac, packet)
        assert home.first(lambda frame: b"for the link alone" in frame, 0.4) is None
        assert beyond.first(lambda frame: b"for the link alone" in frame, 0.1) is None


@pytest.mark.parametrize("destination", ["ff02::1", "ff02::2"])
@pytest.mark.parametrize("state", ["master", "backup"])
def test_an_unsolicited_advertisement_updates_the_neighbour_cache(link, master, state, destination):
    """Section 8.2.4."""
    if state == "backup":
        master.deactivate(51)
    link.ha1.ip("neigh", "replace", NEIGHBOUR, "lladdr", NEIGHBOUR_MAC, "dev", "eth1", "nud", "reachable")
    override = b"\x20\0\0\0" + packed(NEIGHBOUR) + b"\2\1" + octets(NEW_MAC)
    packet = icmpv6(NEIGHBOUR, destination, NEIGHBOUR_ADVERTISEMENT, override, 255)
    with link.ha1.capture("eth1", ETH_P_IPV6) as capture:
        on_the_home_link(link, "33:33:00:00:00:0" + destination[-1], packet, NEW_MAC)
        assert capture.first(lambda frame: frame[54] == NEIGHBOUR_ADVERTISEMENT) is not None
    assert NEW_MAC in link.ha1.ip("neigh", "show", NEIGHBOUR, "dev", "eth1")
    link.ha1.ip("neigh", "del", NEIGHBOUR, "dev", "eth1")


def test_nobody_but_the_owner_forwards_what_is_for_the_virtual_address(link, master):
    """Section 8.3.1: not taken (Accept_Mode is false), and not sent on either."""
    with link.router.capture("home", ETH_P_IPV6) as capture:
        on_the_home_link(link, VIRTUAL_MAC, udp(NEIGHBOUR, VHA, b"for nobody here"))
        assert capture.first(lambda frame: b"for nobody here" in frame, 0.4) is None
