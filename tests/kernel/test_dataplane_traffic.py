# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an active data plane forwards, on the wire, and what it refuses."""

import socket
import struct
import time

import pytest

from tests.kernel.home_link import (
    CARE_OF,
    CN,
    ETH_P_IPV6,
    HA1_ADDRESS,
    HOME,
    OTHER_CARE_OF,
    OTHER_HOME,
    OTHER_VHA,
    OTHER_VIRTUAL_MAC,
    VHA,
    HomeLink,
    binding,
    icmpv6,
    ipv6,
    settings,
    settle,
    udp,
)
from vrrp_ha.core.types import packed


@pytest.fixture(scope="module")
def link():
    with HomeLink() as link:
        yield link


@pytest.fixture
def plane(link):
    """Virtual HAs 51 and 52 active on ha1, one MN bound to each."""
    with link.dataplane(link.ha1) as plane:
        for vrid in (51, 52):
            plane.set_up(settings(vrid))
        plane.install(51, [binding(HOME, CARE_OF)])
        plane.install(52, [binding(OTHER_HOME, OTHER_CARE_OF)])
        settle(plane)
        for vrid in (51, 52):
            plane.activate(vrid)
        link.router.ip("neigh", "replace", OTHER_HOME, "lladdr", OTHER_VIRTUAL_MAC, "dev", "home", "nud", "permanent")
        yield plane


def tunnelled_to_mn(frame):
    return frame[12:14] == b"\x86\xdd" and frame[20] == 41


def send(host, packet):
    with host.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        out.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))


def receives(host, send_it, data, within=1.0):
    """Whether a UDP datagram with this payload, not tunnelled, reaches a host's eth0."""
    with host.capture("eth0", ETH_P_IPV6) as capture:
        send_it()
        return capture.first(lambda frame: frame[20] == 17 and frame.endswith(data), within)


def test_cn_reaches_a_mobile_node_by_plain_ipv6_in_ipv6_from_the_vha(link, plane):
    inner = udp(CN, HOME, b"to the mobile node")
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        send(link.cn, inner)
        frame = capture.first(tunnelled_to_mn)
    assert frame is not None
    outer = frame[14:54]
    assert outer[8:24] == packed(VHA)
    assert outer[24:40] == packed(CARE_OF)
    assert struct.unpack("!H", outer[4:6])[0] == len(inner)  # nothing between the two headers
    assert frame[54:61] == inner[:7]
    assert frame[62:] == inner[8:]
    assert frame[61] == inner[7] - 2  # forwarded twice


def test_mobile_node_reaches_cn_by_its_tunnel(link, plane):
    inner = udp(HOME, CN, b"from the mobile node")
    frame = receives(link.cn, lambda: send(link.mn, ipv6(CARE_OF, VHA, 41, inner)), b"from the mobile node")
    assert frame is not None
    assert frame[14 + 8 : 14 + 24] == packed(HOME)
    assert frame[14 + 7] < 64


def test_tunnel_with_an_encapsulation_limit_option_is_taken(link, plane):
    limit = bytes((41, 0, 4, 1, 4, 1, 1, 0))  # RFC 2473 section 4.1.1, padded
    packet = ipv6(CARE_OF, VHA, 60, limit + udp(HOME, CN, b"with a limit"))
    assert receives(link.cn, lambda: send(link.mn, packet), b"with a limit")


def test_encapsulation_limit_does_not_open_a_way_around_the_source_check(link, plane):
    limit = bytes((41, 0, 4, 1, 4, 1, 1, 0))
    packet = ipv6(CARE_OF, VHA, 60, limit + udp(OTHER_HOME, CN, b"spoofed limit"))
    assert not receives(link.cn, lambda: send(link.mn, packet), b"spoofed limit", 0.3)
    assert plane.counters()["tunnel_spoofed"] == 1


def test_mobile_nodes_of_two_virtual_has_of_one_agent_reach_each_other(link, plane):
    inner = udp(HOME, OTHER_HOME, b"to the other")
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        send(link.mn, ipv6(CARE_OF, VHA, 41, inner))
        frame = capture.first(tunnelled_to_mn)
    assert frame is not None
    assert frame[22:38] == packed(OTHER_VHA)
    assert frame[38:54] == packed(OTHER_CARE_OF)
    assert frame.endswith(b"to the other")


def test_mobile_nodes_of_one_virtual_ha_reach_each_other(link, plane):
    plane.install(51, [binding("2001:db8:1::1003", OTHER_CARE_OF)])
    settle(plane)
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        send(link.mn, ipv6(CARE_OF, VHA, 41, udp(HOME, "2001:db8:1::1003", b"neighbour")))
        frame = capture.first(tunnelled_to_mn)
    assert frame is not None
    assert frame[38:54] == packed(OTHER_CARE_OF)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        pytest.param(OTHER_CARE_OF, HOME, id="a care-of address that is not bound to the inner source"),
        pytest.param(CARE_OF, OTHER_HOME, id="an inner source bound at another virtual HA"),
        pytest.param(CARE_OF, CN, id="an inner source that is no home address"),
        pytest.param(CARE_OF, HA1_ADDRESS, id="an address of the HA"),
    ],
)
def test_spoofed_tunnel_packets_are_dropped_and_counted(link, plane, outer, inner):
    packet = ipv6(outer, VHA, 41, udp(inner, CN, b"spoofed"))
    assert not receives(link.cn, lambda: send(link.mn, packet), b"spoofed", 0.3)
    assert plane.counters()["tunnel_spoofed"] == 1


@pytest.mark.parametrize(
    ("destination", "counter"),
    [("ff02::1", "tunnel_multicast"), ("ff0e::1", "tunnel_multicast"), ("fe80::1", "tunnel_link_local")],
)
def test_multicast_and_link_local_do_not_leave_a_tunnel(link, plane, destination, counter):
    send(link.mn, ipv6(CARE_OF, VHA, 41, udp(HOME, destination, b"inside")))
    assert counted(plane, counter) == 1


def counted(plane, counter, within=1.0):
    """A counter, once it has moved."""
    end = time.monotonic() + within
    while not plane.counters()[counter] and time.monotonic() < end:
        time.sleep(0.01)
    return plane.counters()[counter]


def test_packets_for_the_home_agent_itself_do_not_come_out_of_a_tunnel(link, plane):
    """Inner local delivery would bypass what guards the addresses."""
    inner = icmpv6(HOME, HA1_ADDRESS, 128, b"\0\1\0\1inside")
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        send(link.mn, ipv6(CARE_OF, VHA, 41, inner))
        assert capture.first(lambda frame: b"inside" in frame and tunnelled_to_mn(frame), 0.3) is None


def test_a_removed_binding_is_neither_served_nor_believed(link, plane):
    plane.remove(51, [binding(HOME, CARE_OF)])
    settle(plane)
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        send(link.cn, udp(CN, HOME, b"too late"))
        assert capture.first(tunnelled_to_mn, 0.3) is None
    packet = ipv6(CARE_OF, VHA, 41, udp(HOME, CN, b"too late"))
    assert not receives(link.cn, lambda: send(link.mn, packet), b"too late", 0.3)
    assert plane.counters()["tunnel_spoofed"] == 1


def test_a_changed_binding_moves_both_directions(link, plane):
    plane.install(51, [binding(HOME, OTHER_CARE_OF)])
    settle(plane)
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        send(link.cn, udp(CN, HOME, b"moved"))
        frame = capture.first(tunnelled_to_mn)
    assert frame is not None
    assert frame[38:54] == packed(OTHER_CARE_OF)
    old = ipv6(CARE_OF, VHA, 41, udp(HOME, CN, b"old place"))
    assert not receives(link.cn, lambda: send(link.mn, old), b"old place", 0.3)
    new = ipv6(OTHER_CARE_OF, VHA, 41, udp(HOME, CN, b"new place"))
    assert receives(link.cn, lambda: send(link.mn, new), b"new place")


@pytest.mark.parametrize(
    ("next_header", "payload"),
    [
        pytest.param(
            60, bytes((135, 2, 1, 2, 0, 0, 0xC9, 16)) + packed(HOME) + bytes((59, 1, 5)) + bytes(13), id="HAO"
        ),
        pytest.param(135, bytes((59, 1, 5)) + bytes(13), id="Mobility Header"),
        pytest.param(50, bytes(range(64)), id="ESP"),
    ],
)
def test_signalling_is_seen_by_the_agent_and_not_answered_by_the_kernel(link, plane, next_header, payload):
    with link.ha1.capture("vrrp6-51", ETH_P_IPV6) as agent, link.mn.capture("eth0", ETH_P_IPV6) as mn:
        send(link.mn, ipv6(CARE_OF, VHA, next_header, payload))
        assert agent.first(lambda frame: frame.endswith(payload)) is not None
        assert mn.first(lambda frame: frame[20] == 58 and frame[54] in (1, 2, 3, 4), 0.3) is None
    assert plane.counters()["signalling"] == 1


def pings(link, address, within=0.5):
    with link.cn.capture("eth0", ETH_P_IPV6) as capture:
        send(link.cn, icmpv6(CN, address, 128, b"\0\7\0\1ping"))
        return capture.first(lambda frame: frame[20] == 58 and frame[54] == 129, within) is not None


def test_without_accept_mode_the_vha_takes_no_other_packets(link, plane):
    assert not pings(link, VHA, 0.3)
    assert plane.counters()["not_accepted"] == 1


@pytest.mark.parametrize("changes", [{"accept_mode": True}, {"priority": 255}], ids=["accept_mode", "owner"])
def test_accept_mode_and_the_owner_take_them(link, plane, changes):
    plane.set_up(settings(51, **changes))
    assert pings(link, VHA)


def test_a_plain_virtual_router_has_no_tunnels(link, plane):
    plane.set_up(settings(51, mipv6_ha_mode=False))
    packet = ipv6(CARE_OF, VHA, 41, udp(HOME, CN, b"no home agent"))
    assert not receives(link.cn, lambda: send(link.mn, packet), b"no home agent", 0.3)
    assert plane.counters()["not_accepted"] == 1
