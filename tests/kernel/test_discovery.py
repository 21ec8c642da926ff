# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node behind a router finds home agents and asks for the home prefix; it is built with Scapy."""

import contextlib
import os
import socket
import subprocess

import pytest
from scapy.layers.inet6 import (
    HAO,
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6HAADReply,
    ICMPv6HAADRequest,
    ICMPv6MPAdv,
    ICMPv6MPSol,
    ICMPv6ND_RA,
    ICMPv6NDOptHAInfo,
    ICMPv6NDOptPrefixInfo,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrRouting,
    in6_chksum,
)
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from tests.kernel.agents import ADDRESSES, CARE_OF, HOME, VHA, Observer, packed, until

OTHER_VHA = "2001:db8:1::52"
ANYCAST = "2001:db8:1:0:fdff:ffff:ffff:fffe"
MOBILE, ROUTER_OF_MOBILE = "2001:db8:3::77", "2001:db8:3::1"
FOREIGN_HA = "2001:db8:1::f"
QUICK = {"maximum_interval": 2, "minimum_interval": 1, "minimum_delay": 0.1}


@pytest.fixture
def away(link):
    """A mobile node that is two hops from the home link: a namespace behind c, which routes."""
    name = f"vh{os.getpid()}m"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        link._in("c", f"link add far type veth peer name eth0 netns {name}")
        link.run("c", "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.far.accept_dad=0")
        link._in("c", f"addr add {ROUTER_OF_MOBILE}/64 dev far nodad")
        link._in("c", "link set far up")
        ip = ["ip", "-n", name]
        for command in (
            "link set lo up",
            "link set eth0 up",
            f"addr add {MOBILE}/64 dev eth0 nodad",
            f"route add default via {ROUTER_OF_MOBILE}",
        ):
            subprocess.run([*ip, *command.split()], check=True)
        for host in "ab":
            link._in(host, f"route add 2001:db8:3::/64 via {ADDRESSES['c']}")
        with contextlib.closing(Away(link, name)) as away:
            yield away
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


class Away:
    """Sends with Scapy's encoder from behind the router, and sees what arrives there."""

    def __init__(self, link, namespace):
        link.hosts += "m"
        with link.on("m"):
            self._out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._in = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        link.hosts = link.hosts.removesuffix("m")

    def send(self, packet):
        self._out.sendto(bytes(packet), (packet.dst, 0))

    def answers(self, packet, kind, within=2.0):
        """The first answer of a class that Scapy dissects, asked for again as a mobile node would."""
        for _unused in range(3):
            self.send(packet)
            self._in.settimeout(within)
            with contextlib.suppress(TimeoutError):
                while True:
                    octets = self._in.recv(2048)[14:]
                    if kind in (answer := IPv6(octets)):
                        return answer
        raise AssertionError(f"no {kind.__name__}")

    def hears(self, kind, within=0.5):
        self._in.settimeout(within)
        try:
            while True:
                if kind in IPv6(self._in.recv(2048)[14:]):
                    return True
        except TimeoutError:
            return False

    def asks(self, destination, identifier=0x1234):
        return self.answers(IPv6(src=MOBILE, dst=destination) / ICMPv6HAADRequest(id=identifier), ICMPv6HAADReply)

    def close(self):
        self._out.close()
        self._in.close()


@pytest.fixture
def fleet(new_agent):
    """a owns 51, b owns 52, each backs up the other; Router Advertisements come quickly."""
    a, b = new_agent("a", {51: 255, 52: 200}), new_agent("b", {51: 200, 52: 255})
    for agent in (a, b):
        for virtual_ha in agent.config["virtual_has"]:
            virtual_ha["router_advertisements"] = QUICK
        agent.start()
    a.becomes("master", 51)
    b.becomes("master", 52)
    until(lambda: a.virtual_ha(52)["synced"] and b.virtual_ha(51)["synced"])
    return a, b


def listed(agent):
    (link,) = agent.call("home_agents")["links"]
    return {address for home_agent in link["home_agents"] for address in home_agent["addresses"]}


def tshark(packet, path):
    wrpcap(str(path), [Ether() / packet])
    return subprocess.run(["tshark", "-r", path, "-V"], check=True, capture_output=True, text=True).stdout


def test_home_agents_are_found_from_afar_and_after_a_failure_by_whoever_is_left(fleet, away, tmp_path):
    a, b = fleet
    until(lambda: listed(a) == listed(b) == {VHA, OTHER_VHA}, 8.0, "both know both")
    for destination in (VHA, OTHER_VHA, ANYCAST):
        reply = away.asks(destination)
        assert reply[ICMPv6HAADReply].id == 0x1234
        assert sorted(reply[ICMPv6HAADReply].addresses) == [VHA, OTHER_VHA]
        assert reply.src == destination if destination != ANYCAST else reply.src in (VHA, OTHER_VHA)
        assert reply.dst == MOBILE
        assert in6_chksum(58, reply, bytes(reply[ICMPv6HAADReply])) == 0
    away.send(IPv6(src=MOBILE, dst=ANYCAST) / ICMPv6EchoRequest())
    assert not away.hears(ICMPv6DestUnreach, 0.3), "the kernel knows nothing of the anycast address"
    assert a.call("repair")["repaired"] == []
    shown = tshark(reply, tmp_path / "reply.pcap")
    assert "Type: Home Agent Address Discovery Reply (145)" in shown
    assert "[Checksum Status: Good]" in shown
    assert all(address in shown.split("Home Agent Address Discovery Reply")[1] for address in (VHA, OTHER_VHA))

    a.kill()
    a.cleanup()
    b.becomes("master", 51)
    for destination in (VHA, ANYCAST):
        assert sorted(away.asks(destination)[ICMPv6HAADReply].addresses) == [VHA, OTHER_VHA]
    shown = b.ctl("home-agents").stdout
    assert VHA in shown
    assert OTHER_VHA in shown


def test_a_foreign_home_agent_of_the_link_is_listed_as_it_says(fleet, away, link):
    """Preferred to ours, and in contradiction to them, which is told once."""
    a, b = fleet
    foreign = (
        Ether(src="02:00:00:00:00:0c", dst="33:33:00:00:00:01")
        / IPv6(src="fe80::f", dst="ff02::1", hlim=255)
        / ICMPv6ND_RA(H=1, chlim=32, routerlifetime=0)
        / ICMPv6NDOptPrefixInfo(
            prefix=FOREIGN_HA, prefixlen=64, R=1, validlifetime=2_592_000, preferredlifetime=604_800
        )
        / ICMPv6NDOptHAInfo(pref=100, lifetime=3)
    )
    with link.on("c"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("eth1", 0))
        for _unused in range(2):
            out.send(bytes(foreign))
    until(lambda: FOREIGN_HA in listed(a) & listed(b), 1.0)
    assert away.asks(VHA)[ICMPv6HAADReply].addresses[0] == FOREIGN_HA
    until(lambda: FOREIGN_HA not in listed(a) | listed(b), 4.0)
    assert FOREIGN_HA not in away.asks(VHA)[ICMPv6HAADReply].addresses
    events = [e for e in a.call("events")["events"] if e["kind"] == "router_advertisement_inconsistent"]
    assert [(e["vrid"], e["router"], e["what"], e["ours"], e["theirs"]) for e in events] == [
        (51, "fe80::f", "current_hop_limit", 64, 32),
    ]


def test_a_router_advertisement_names_the_home_agent(fleet, observer, link, tmp_path):
    frames = {}
    for _unused, frame in observer.frames(10.0):
        packet = Ether(frame)
        if ICMPv6ND_RA in packet:
            frames[packet[IPv6].src] = packet
        if len(frames) == 2:
            break
    packet = frames["fe80::5eff:fe00:233"]
    assert packet[ICMPv6ND_RA].H == 1
    assert packet[ICMPv6ND_RA].routerlifetime == 0
    prefix = packet[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.R, prefix.L) == (VHA, 64, 1, 1)
    assert (packet[ICMPv6NDOptHAInfo].pref, packet[ICMPv6NDOptHAInfo].lifetime) == (64, 1800)
    shown = tshark(packet[IPv6], tmp_path / "ra.pcap")
    assert "Home Agent Preference: 64" in shown
    assert "Home Agent Preference: 1800" in shown  # which is what tshark calls the lifetime
    assert "Advertisement Interval" in shown
    assert "[Checksum Status: Good]" in shown


def solicitation(source, destination, home):
    """Scapy's checksum honours a Home Address option that is alone in its header."""
    return IPv6(src=source, dst=destination) / IPv6ExtHdrDestOpt(options=[HAO(hoa=home)], autopad=1) / ICMPv6MPSol(id=7)


def home_prefix_told(frame):
    packet = frame[14:]
    return packet[6] == 43 and packet[40] == 58 and packet[64] == 147


def test_a_bound_mobile_node_is_told_the_home_prefix_and_nobody_else(fleet, mobile_node, link, tmp_path):
    with contextlib.closing(Observer(link)) as seen:
        packet = solicitation(CARE_OF, VHA, HOME)
        mobile_node.send(bytes(packet))
        assert not any(home_prefix_told(frame) for _unused, frame in seen.frames(0.3)), "it is not bound yet"
        assert mobile_node.register() == 0
        mobile_node.send(bytes(solicitation("2001:db8:2::66", VHA, HOME)))
        assert not any(home_prefix_told(frame) for _unused, frame in seen.frames(0.3)), "not its care-of address"
        mobile_node.send(bytes(packet))
        frame = next(frame for _unused, frame in seen.frames(2.0) if home_prefix_told(frame))
        mobile_node.send(bytes(packet))
        assert not any(home_prefix_told(frame) for _unused, frame in seen.frames(0.3)), "more than one in a second"
    answer = Ether(frame)[IPv6]
    assert (answer.src, answer.dst, answer[IPv6ExtHdrRouting].addresses) == (VHA, CARE_OF, [HOME])
    assert answer[ICMPv6MPAdv].id == 7
    prefix = answer[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen, prefix.R) == (VHA, 64, 1)
    assert (prefix.validlifetime, prefix.preferredlifetime) == (2_592_000, 604_800)
    shown = tshark(answer, tmp_path / "mpa.pcap")
    assert "Type: Mobile Prefix Advertisement (147)" in shown
    assert "[Checksum Status: Good]" in shown
    assert packed(VHA) in bytes(answer[ICMPv6MPAdv])


def test_a_change_of_the_prefix_is_told_to_who_is_bound_until_it_answers(fleet, mobile_node, link):
    a, b = fleet
    assert mobile_node.register() == 0
    until(lambda: b.bound() == {HOME: CARE_OF})
    with contextlib.closing(Observer(link)) as seen:
        for agent in (a, b):
            own = agent.config["virtual_has"][0]
            own["router_advertisements"] = {**QUICK, "preferred_lifetime": 300_000}
            own["discovery"] = {"minimum_prefix_interval": 1, "maximum_prefix_interval": 2}
            agent.write()
            agent.call("reload")
        frame = next(frame for _unused, frame in seen.frames(6.0) if home_prefix_told(frame))
        told = Ether(frame)[IPv6]
        assert told.dst == CARE_OF
        assert told[ICMPv6NDOptPrefixInfo].preferredlifetime == 300_000
        again = next(frame for _unused, frame in seen.frames(6.0) if home_prefix_told(frame))
        assert Ether(again)[IPv6][ICMPv6NDOptPrefixInfo].preferredlifetime == 300_000
