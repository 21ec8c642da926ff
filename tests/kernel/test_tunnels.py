# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to packets on their way into and out of the tunnels: hop limits, segment sizes, fragments, scopes."""

import itertools
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
    VHA,
    VIRTUAL_MAC,
    HomeLink,
    binding,
    checksum,
    ipv6,
    settings,
    settle,
    udp,
)
from vrrp_ha.core.tunnel_settings import TunnelSettings
from vrrp_ha.core.types import packed

LIMIT = bytes((41, 0, 4, 1, 4, 1, 1, 0))


@pytest.fixture(scope="module")
def link():
    with HomeLink() as link:
        yield link


@pytest.fixture(scope="module")
def serving(link):
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings(51))
        plane.install(51, [binding(HOME, CARE_OF), binding(OTHER_HOME, OTHER_CARE_OF)])
        settle(plane)
        plane.activate(51)
        yield plane


@pytest.fixture
def plane(serving):
    yield serving
    serving.use(TunnelSettings())


def send(host, packet):
    with host.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        out.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))


def arriving(host, packet_from, packet, wanted, within=1.0):
    """The first IPv6 packet that a host receives and that is wanted, after another host has sent one."""
    with host.capture("eth0", ETH_P_IPV6) as capture:
        send(packet_from, packet)
        frame = capture.first(lambda frame: wanted(frame[14:]), within)
        return frame[14:] if frame else None


def is_tunnelled(packet):
    return packet[6] == 41


def is_tcp(packet):
    return packet[6] == 6


def with_hop_limit(packet, hop_limit):
    return packet[:7] + bytes((hop_limit,)) + packet[8:]


# --- hop limits --------------------------------------------------------------------------------------------


def test_the_tunnel_counts_as_one_hop_for_the_original_packet_whatever_its_length(link, plane):
    packet = arriving(link.mn, link.cn, with_hop_limit(udp(CN, HOME, b"hops"), 10), is_tunnelled)
    assert packet[47] == 10 - 2  # the CN's router and the home agent
    assert packet[7] == 64 - 1  # the router between them, after the home agent


def test_the_outer_hop_limit_can_be_set(link, plane):
    plane.use(TunnelSettings(hop_limit=255))
    packet = arriving(link.mn, link.cn, udp(CN, HOME, b"hops"), is_tunnelled)
    assert packet[7] == 255 - 1


def test_a_packet_with_few_hops_left_gets_through_a_long_tunnel(link, plane):
    packet = arriving(link.mn, link.cn, with_hop_limit(udp(CN, HOME, b"hops"), 3), is_tunnelled)
    assert packet[47] == 1


def test_a_packet_with_its_last_hop_is_reported_to_the_vha_and_not_tunnelled(link, plane):
    """The agent hears it on the loopback and tells the source."""
    with link.ha1.capture("lo", ETH_P_IPV6) as heard, link.mn.capture("eth0", ETH_P_IPV6) as mn:
        send(link.cn, with_hop_limit(udp(CN, HOME, b"last"), 2))
        frame = heard.first(lambda frame: frame[20] == 58 and frame[54] == 3)
        assert mn.first(lambda frame: frame[20] == 41, 0.2) is None
    assert frame is not None
    assert frame[14 + 24 : 14 + 40] == packed(VHA)


def test_out_of_the_tunnel_the_inner_hop_limit_goes_down_by_one(link, plane):
    inner = with_hop_limit(udp(HOME, CN, b"out"), 10)
    packet = arriving(link.cn, link.mn, ipv6(CARE_OF, VHA, 41, inner, hop_limit=99), lambda p: p[6] == 17)
    assert packet[7] == 10 - 2


# --- segment sizes -----------------------------------------------------------------------------------------


def tcp(source, destination, maximum_segment, flags=2, options=b""):
    option = options + struct.pack("!BBH", 2, 4, maximum_segment)
    option += bytes(-len(option) % 4)
    head = struct.pack("!HHIIBBHHH", 40000, 80, 7, 0, (20 + len(option)) // 4 << 4, flags, 65535, 0, 0)
    value = checksum(source, destination, 6, head + option)
    return ipv6(source, destination, 6, head[:16] + struct.pack("!H", value) + head[18:] + option)


def segment_in(packet, source, destination):
    """The maximum segment size of a TCP packet whose checksum is right."""
    segment = packet[40:]
    assert checksum(source, destination, 6, segment) == 0
    return struct.unpack_from("!H", segment, 22)[0]


@pytest.mark.parametrize("flags", [0x02, 0x12], ids=["SYN", "SYN and ACK"])
def test_segments_are_made_to_fit_in_both_directions(link, plane, flags):
    into = arriving(link.mn, link.cn, tcp(CN, HOME, 1440, flags), is_tunnelled)
    assert segment_in(into[40:], CN, HOME) == 1500 - 40 - 60
    out = arriving(link.cn, link.mn, ipv6(CARE_OF, VHA, 41, tcp(HOME, CN, 1440, flags)), is_tcp)
    assert segment_in(out, HOME, CN) == 1500 - 40 - 60


def test_segments_of_two_mobile_nodes_with_each_other_are_made_to_fit(link, plane):
    packet = arriving(link.mn, link.mn, ipv6(CARE_OF, VHA, 41, tcp(HOME, OTHER_HOME, 1440)), is_tunnelled)
    assert packet[24:40] == packed(OTHER_CARE_OF)
    assert segment_in(packet[40:], HOME, OTHER_HOME) == 1500 - 40 - 60


def test_segments_behind_an_encapsulation_limit_are_made_to_fit(link, plane):
    packet = arriving(link.cn, link.mn, ipv6(CARE_OF, VHA, 60, LIMIT + tcp(HOME, CN, 1440)), is_tcp)
    assert segment_in(packet, HOME, CN) == 1500 - 40 - 60


@pytest.mark.parametrize(("size", "flags"), [(1000, 0x02), (1440, 0x10), (1440, 0x06)], ids=["small", "ACK", "RST"])
def test_small_segments_and_what_opens_no_connection_stay_as_they_are(link, plane, size, flags):
    packet = arriving(link.mn, link.cn, tcp(CN, HOME, size, flags), is_tunnelled)
    assert segment_in(packet[40:], CN, HOME) == size


def test_a_known_narrow_path_makes_segments_smaller(link, plane):
    plane.use(TunnelSettings(path_mtu=1280))
    packet = arriving(link.mn, link.cn, tcp(CN, HOME, 1440), is_tunnelled)
    assert segment_in(packet[40:], CN, HOME) == 1280 - 40 - 60


def test_segments_can_be_left_alone(link, plane):
    plane.use(TunnelSettings(mss_clamp=False))
    packet = arriving(link.mn, link.cn, tcp(CN, HOME, 1440), is_tunnelled)
    assert segment_in(packet[40:], CN, HOME) == 1440


def test_segments_of_other_traffic_stay_as_they_are(link, plane):
    """Through the same host as a router, for the same home prefix, to a host that is at home."""
    neighbour = "2001:db8:1::99"
    link.ha2.ip("addr", "replace", f"{neighbour}/64", "dev", "eth1", "nodad")
    link.router.ip("route", "replace", f"{neighbour}/128", "via", HA1_ADDRESS, "dev", "home")
    with link.ha2.capture("eth1", ETH_P_IPV6) as capture:
        send(link.cn, tcp(CN, neighbour, 1440))
        frame = capture.first(lambda frame: is_tcp(frame[14:]) and frame[52:54] == packed(neighbour)[-2:])
    assert frame is not None
    assert segment_in(frame[14:], CN, neighbour) == 1440
    assert frame[14 + 7] == 64 - 2


def test_a_link_with_another_mtu_makes_other_segments(link, plane):
    link.ha1.ip("link", "set", "eth1", "mtu", "1400")
    try:
        plane.set_up(settings(51))
        packet = arriving(link.mn, link.cn, tcp(CN, HOME, 1440), is_tunnelled)
        assert segment_in(packet[40:], CN, HOME) == 1400 - 40 - 60
    finally:
        link.ha1.ip("link", "set", "eth1", "mtu", "1500")
        plane.set_up(settings(51))


# --- fragments ---------------------------------------------------------------------------------------------


identifications = itertools.count(1)


def fragments(inner, care_of=CARE_OF, at=640):
    identification = next(identifications)
    first = struct.pack("!BBHI", 41, 0, 1, identification) + inner[:at]
    rest = struct.pack("!BBHI", 41, 0, at, identification) + inner[at:]
    return ipv6(care_of, VHA, 44, first), ipv6(care_of, VHA, 44, rest)


def test_a_fragmented_tunnel_packet_is_reassembled_and_taken(link, plane):
    """RFC 2473 section 7: what a mobile node behind a narrow path sends."""
    first, rest = fragments(udp(HOME, CN, b"fragment" * 170))
    send(link.mn, first)
    with link.cn.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", 7777))
        send(link.mn, rest)
        assert sock.recv(2000) == b"fragment" * 170


def test_fragments_do_not_open_a_way_around_the_source_check(link, plane):
    before = plane.counters()["tunnel_spoofed"]
    first, rest = fragments(udp(HOME, CN, b"fragment" * 170), OTHER_CARE_OF)
    send(link.mn, first)
    assert arriving(link.cn, link.mn, rest, lambda p: p[6] in (17, 44), 0.3) is None
    assert plane.counters()["tunnel_spoofed"] == before + 1


def test_without_reassembly_fragments_are_dropped_and_counted(link, plane):
    plane.use(TunnelSettings(reassemble=False))
    first, rest = fragments(udp(HOME, CN, b"fragment" * 170))
    before = plane.counters()["tunnel_spoofed"]
    end = time.monotonic() + 5
    while plane.counters()["tunnel_spoofed"] == before:  # the kernel takes its time
        assert time.monotonic() < end
        send(link.mn, rest)
        time.sleep(0.01)
    before = plane.counters()["tunnel_spoofed"]
    send(link.mn, first)
    assert arriving(link.cn, link.mn, rest, lambda p: p[6] in (17, 44), 0.3) is None
    assert plane.counters()["tunnel_spoofed"] == before + 2


# --- scopes ------------------------------------------------------------------------------------------------


def on_home_link(link, mac, packet):
    """A neighbour sends a packet to a MAC; what goes into a tunnel because of it, if anything does."""
    source = bytes.fromhex(link.ha2.mac("eth1").replace(":", ""))
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        with link.ha2.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.sendto(mac + source + b"\x86\xdd" + packet, ("eth1", 0))
        return capture.first(lambda frame: is_tunnelled(frame[14:]), 0.2)


TO_VIRTUAL_MAC = bytes.fromhex(VIRTUAL_MAC.replace(":", ""))
NEIGHBOUR = "2001:db8:1::a2"


def test_what_a_neighbour_sends_is_tunnelled(link, plane):
    assert on_home_link(link, TO_VIRTUAL_MAC, udp(NEIGHBOUR, HOME, b"hello"))


def test_what_comes_from_a_link_local_address_is_not_tunnelled(link, plane):
    before = plane.counters()["tunnel_link_local"]
    assert not on_home_link(link, TO_VIRTUAL_MAC, udp("fe80::99", HOME, b"hello"))
    assert plane.counters()["tunnel_link_local"] == before + 1


def test_what_is_for_a_mobile_node_s_link_local_address_is_not_tunnelled_but_unreachable(link, plane):
    """RFC 6275 section 10.4.2. The kernel says so when nobody on the link has answered for 3 seconds."""
    with link.ha2.capture("eth1", ETH_P_IPV6) as capture:
        assert not on_home_link(link, TO_VIRTUAL_MAC, udp(NEIGHBOUR, "fe80::1001", b"hello"))
        answer = capture.first(lambda frame: frame[20] == 58 and frame[54:56] == b"\1\3", 5)
    assert answer is not None
    assert answer[38:54] == packed(NEIGHBOUR)


@pytest.mark.parametrize("group", ["ff02::1", "ff05::2", "ff0e::1234"])
def test_multicast_on_the_home_link_is_not_tunnelled(link, plane, group):
    assert not on_home_link(link, b"\x33\x33" + packed(group)[12:], udp(NEIGHBOUR, group, b"hello"))
    assert not on_home_link(link, TO_VIRTUAL_MAC, udp(NEIGHBOUR, group, b"hello"))


# --- errors about what came out of a tunnel ----------------------------------------------------------------


def test_a_router_s_error_about_a_decapsulated_packet_goes_back_through_the_tunnel(link, plane):
    inner = with_hop_limit(udp(HOME, CN, b"too far"), 2)
    packet = arriving(link.mn, link.mn, ipv6(CARE_OF, VHA, 41, inner), is_tunnelled)
    assert packet[24:40] == packed(CARE_OF)
    assert (packet[46], packet[80], packet[40 + 24 : 40 + 40]) == (58, 3, packed(HOME))


def test_the_home_agent_s_own_error_about_a_decapsulated_packet_goes_back_through_the_tunnel(link, plane):
    inner = with_hop_limit(udp(HOME, CN, b"no hops"), 1)
    packet = arriving(link.mn, link.mn, ipv6(CARE_OF, VHA, 41, inner), is_tunnelled)
    assert packet[24:40] == packed(CARE_OF)
    assert (packet[46], packet[80], packet[40 + 24 : 40 + 40]) == (58, 3, packed(HOME))


def test_a_decapsulated_packet_that_is_too_big_is_reported_through_the_tunnel(link, plane):
    link.router.ip("link", "set", "cn", "mtu", "1300")
    try:
        packet = arriving(link.mn, link.mn, ipv6(CARE_OF, VHA, 41, udp(HOME, CN, bytes(1350))), is_tunnelled)
    finally:
        link.router.ip("link", "set", "cn", "mtu", "1500")
    assert (packet[46], packet[80], struct.unpack_from("!I", packet, 84)[0]) == (58, 2, 1300)


def test_after_somebody_has_flushed_every_table_tunnels_are_as_before(link, plane):
    link.ha1.run("nft", "flush", "ruleset")
    end = time.monotonic() + 5
    while "tunnel_51" not in link.ha1.run("nft", "list", "ruleset"):
        settle(plane)
        assert time.monotonic() < end
    packet = arriving(link.mn, link.cn, with_hop_limit(tcp(CN, HOME, 1440), 10), is_tunnelled)
    assert (packet[7], packet[47]) == (64 - 1, 10 - 2)
    assert segment_in(packet[40:], CN, HOME) == 1500 - 40 - 60
    first, rest = fragments(udp(HOME, CN, b"fragment" * 170))
    send(link.mn, first)
    assert arriving(link.cn, link.mn, rest, lambda p: p[6] in (17, 44))


def test_no_rule_of_it_is_a_riddle_to_nft(link, plane):
    """Some versions give up on rules that they cannot put into words."""
    shown = link.ha1.run("nft", "list", "table", "inet", "vrrp_ha")
    assert "clamp_51" in shown
