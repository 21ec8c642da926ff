# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent, a mobile node with a real tunnel, a narrow link between them, and a correspondent that has to find out."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.kernel.agents import Agent, binding_update, until
from tests.kernel.home_link import (
    CARE_OF,
    CN,
    ETH_P_IPV6,
    HOME,
    OTHER_CARE_OF,
    OTHER_HOME,
    VHA,
    HomeLink,
    icmpv6,
    inside,
    ipv6,
    udp,
)
from vrrp_ha.shell.guard import COUNTERS

TUNNEL = Path(__file__).parents[1] / "lab" / "mn" / "tunnel.py"
NARROW = 1400


class Place:
    """A host of the home link, as an Agent wants to have it."""

    def __init__(self, host):
        self._host = host

    def namespace(self, _name):
        return self._host.namespace

    def on(self, _name):
        return inside(self._host.namespace)


@pytest.fixture(scope="module")
def link():
    with HomeLink() as link:
        yield link


@pytest.fixture(scope="module")
def agent(link, tmp_path_factory):
    """Alone and Master, with the mobile node registered."""
    agent = Agent(Place(link.ha1), "a", tmp_path_factory.mktemp("agent"), {51: 200})
    agent.config["tunnel"] = {"mss_clamp": False}
    agent.start()
    try:
        agent.becomes("master")
        with link.mn.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
            out.sendto(binding_update(1), (VHA, 0))
        until(lambda: agent.bound() == {HOME: CARE_OF})
        mobile_node = ["--device", "eth0", "--home-agent", VHA, "--care-of", CARE_OF, "--home-address", HOME]
        tunnel = [sys.executable, str(TUNNEL), "up", "--netns", link.mn.namespace, *mobile_node]
        subprocess.run(tunnel, check=True, cwd=TUNNEL.parent)
        yield agent
    finally:
        agent.stop()


@pytest.fixture
def narrow(link, agent):
    """The link to the mobile node is narrower than the home link; neither it nor the correspondent knows."""
    link.router.ip("link", "set", "mn", "mtu", str(NARROW))
    yield
    link.router.ip("link", "set", "mn", "mtu", "1500")
    link.cn.ip("-6", "route", "flush", "cache")


def relayed(agent, kind):
    return agent.virtual_ha()["counters"].get(f"tunnel_error_relayed.{kind}", 0)


def send(host, packet):
    with host.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        out.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))


def error_about(link, packet, kind, source=VHA):
    """The ICMPv6 error of a type that the correspondent gets for a packet."""
    link.cn.ip("-6", "route", "flush", "cache")
    with link.cn.capture("eth0", ETH_P_IPV6) as capture:
        send(link.cn, packet)
        frame = capture.first(lambda frame: frame[20] == 58 and frame[54] == kind)
    assert frame is not None
    assert frame[22:38] == socket.inet_pton(socket.AF_INET6, source)
    return frame[14:]


def test_status_shows_every_counter_of_the_packet_filter(agent):
    assert {f"dataplane.{name}" for name in COUNTERS} <= agent.call("status")["counters"].keys()


def transferred(from_host, to_host, address):
    """Whether a megabyte over TCP arrives."""
    data = bytes(range(256)) * 4000
    with to_host.socket(socket.AF_INET6, socket.SOCK_STREAM) as listener:
        listener.settimeout(5)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, 8080))
        listener.listen()
        with from_host.socket(socket.AF_INET6, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.bind((HOME if address == CN else CN, 0))
            client.connect((address, 8080))
            server, _unused = listener.accept()
            thread = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
            thread.start()
            received = bytearray()
            with server:
                server.settimeout(10)
                while more := server.recv(1 << 20):
                    received += more
            thread.join(5)
    return bytes(received) == data


def test_tcp_finds_its_way_through_a_narrow_path(link, agent, narrow):
    assert transferred(link.cn, link.mn, HOME)
    assert relayed(agent, "packet_too_big") > 0
    assert f"mtu {NARROW - 40}" in link.cn.ip("-6", "route", "get", HOME)


@pytest.fixture
def narrowest(link, agent):
    """A path on which packets of the minimum MTU do not fit into tunnel packets, and the operator knows."""
    configured = dict(agent.config["tunnel"])
    agent.config["tunnel"] |= {"mss_clamp": True, "path_mtu": 1280}
    agent.write()
    agent.call("reload")
    for host, interface in ((link.router, "mn"), (link.mn, "eth0")):
        host.ip("link", "set", interface, "mtu", "1280")
    yield
    for host, interface in ((link.router, "mn"), (link.mn, "eth0")):
        host.ip("link", "set", interface, "mtu", "1500")
    link.cn.ip("-6", "route", "flush", "cache")
    agent.config["tunnel"] = configured
    agent.write()
    agent.call("reload")


def test_tcp_works_in_both_directions_on_the_narrowest_path_that_is_configured(link, agent, narrowest):
    assert transferred(link.cn, link.mn, HOME)
    assert transferred(link.mn, link.cn, CN)


REASSEMBLY = (
    "add table inet reassembly; add chain inet reassembly unused; "
    "add rule inet reassembly unused meta l4proto tcp tproxy ip6 to :1"
)


@pytest.fixture(params=["the home agent forwards fragments", "the home agent reassembles"])
def fragments(request, link, agent):
    """Where the home agent reassembles it may send the tunnel packet in fragments: RFC 2473 has its end reassemble."""
    reassembles = request.param == "the home agent reassembles"
    agent.config["tunnel"]["reassemble"] = reassembles
    agent.write()
    agent.call("reload")
    if reassembles:
        link.mn.run("nft", REASSEMBLY)
    yield
    if reassembles:
        link.mn.run("nft", "delete table inet reassembly")


def test_large_datagrams_find_their_way_through_a_narrow_path(link, agent, narrow, fragments):
    before = relayed(agent, "packet_too_big")
    with (
        link.mn.socket(socket.AF_INET6, socket.SOCK_DGRAM) as mn,
        link.cn.socket(socket.AF_INET6, socket.SOCK_DGRAM) as cn,
    ):
        mn.settimeout(0.1)
        mn.bind((HOME, 7777))

        def arrives():
            cn.sendto(b"d" * 3000, (HOME, 7777))
            try:
                return mn.recv(4000) == b"d" * 3000
            except TimeoutError:
                return False

        until(arrives)
    assert relayed(agent, "packet_too_big") > before


def test_what_does_not_fit_the_home_link_itself_is_reported_by_the_agent_too(link, agent):
    packet = error_about(link, udp(CN, HOME, bytes(1500 - 48)), 2)
    assert int.from_bytes(packet[44:48]) == 1500 - 40


def test_a_traceroute_sees_the_home_agent_and_then_the_mobile_node(link, agent):
    """The tunnel is one hop (RFC 2473 section 6.3), and a packet that may go no further is told so."""
    last = udp(CN, HOME, b"trace", port=33434)
    packet = error_about(link, last[:7] + b"\2" + last[8:], 3)
    assert packet[41] == 0
    assert packet[48 + 24 : 48 + 40] == socket.inet_pton(socket.AF_INET6, HOME)
    enough = last[:7] + b"\3" + last[8:]
    assert error_about(link, enough, 1, HOME)[41] == 4  # nobody listens at that port


@pytest.mark.parametrize("where", ["router", "ha1"])
def test_a_care_of_address_without_a_way_makes_the_home_address_unreachable(link, agent, where):
    host = getattr(link, where)
    host.ip("route", "add", "unreachable", f"{CARE_OF}/128")
    try:
        packet = error_about(link, udp(CN, HOME, b"anybody there?"), 1)
    finally:
        host.ip("route", "del", "unreachable", f"{CARE_OF}/128")
    assert packet[41] == 3


def test_a_mobile_node_hears_of_another_one_s_trouble_through_its_tunnel(link, agent):
    with link.mn.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        out.sendto(binding_update(1, home=OTHER_HOME, care_of=OTHER_CARE_OF), (VHA, 0))
    until(lambda: OTHER_HOME in agent.bound())
    link.router.ip("route", "add", "unreachable", f"{OTHER_CARE_OF}/128")
    try:
        with link.mn.capture("eth0", ETH_P_IPV6) as capture:
            send(link.mn, ipv6(CARE_OF, VHA, 41, udp(HOME, OTHER_HOME, b"neighbour?")))
            frame = capture.first(lambda frame: frame[20] == 41 and frame[60] == 58 and frame[94] == 1)
    finally:
        link.router.ip("route", "del", "unreachable", f"{OTHER_CARE_OF}/128")
    assert frame is not None
    assert frame[62:78] == socket.inet_pton(socket.AF_INET6, VHA)
    assert frame[78:94] == socket.inet_pton(socket.AF_INET6, HOME)


def test_an_error_that_quotes_no_packet_of_the_tunnel_is_not_relayed(link, agent):
    """The correspondent does not know the care-of address."""
    before = agent.virtual_ha()["counters"].get("tunnel_error_dropped.not_bound", 0)
    guess = ipv6(VHA, "2001:db8:2::99", 41, udp("2001:db8:9::1", HOME, bytes(100)))
    with link.router.capture("home", ETH_P_IPV6) as capture:
        send(link.cn, icmpv6(CN, VHA, 1, bytes(4) + guess))
        until(lambda: agent.virtual_ha()["counters"].get("tunnel_error_dropped.not_bound", 0) == before + 1)
        assert capture.first(lambda frame: frame[20] == 58 and frame[54] == 1, 0.1) is None
