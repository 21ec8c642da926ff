# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Home addresses on the home link, with real neighbours: host d, whose kernel does its own Neighbour Discovery."""

import select
import socket
import struct
import threading
import time

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import Ether

from tests.kernel.agents import ADDRESSES, CARE_OF, HOME, KEY, MACS, VHA, Link, packed, until
from tests.lab.mn import binding
from tests.unit.core.registering import update

VIRTUAL_MAC = "00:00:5e:00:02:33"
HOME_AGENTS = "2001:db8:1:0:fdff:ffff:ffff:fffe"
LINK_LOCAL_HOME = "fe80::1001"
SOLICITED_NODE, SOLICITED_NODE_MAC = "ff02::1:ff00:1001", "33:33:ff:00:10:01"
PATIENCE = 3.0
ETH_P_IPV6 = 0x86DD
PORT = 7777
EVERY = 0.002


@pytest.fixture
def link():
    with Link("abcd") as link:
        yield link


@pytest.fixture
def master(new_agent):
    """The owner of 51, which asks the link before it binds a home address."""
    agent = new_agent("a", {51: 255})
    agent.config["virtual_has"][0]["duplicate_address_detection"] = True
    agent.start()
    agent.becomes("master")
    return agent


def has(link, address=HOME, *, nodad=True):
    """Host d gives itself an address."""
    link.run("d", "ip", "addr", "add", f"{address}/64", "dev", "eth1", *(["nodad"] if nodad else []))


def shown(link):
    return link.run("d", "ip", "-6", "addr", "show", "dev", "eth1")


# --- Duplicate Address Detection -------------------------------------------------------------------------------


def test_home_address_of_a_neighbour_is_refused_until_it_is_free(link, master, mobile_node):
    has(link)
    assert mobile_node.register(patience=PATIENCE) == 134
    assert master.bound() == {}
    (event,) = [e for e in master.call("events")["events"] if e["kind"] == "duplicate_address"]
    assert event["claimed_by"] == MACS["d"]
    link.run("d", "ip", "addr", "del", f"{HOME}/64", "dev", "eth1")
    began = time.monotonic()
    assert mobile_node.register(patience=PATIENCE) == 0
    assert time.monotonic() - began >= 1.0
    began = time.monotonic()
    assert mobile_node.register(patience=PATIENCE) == 0  # a refresh
    assert time.monotonic() - began < 0.5


def test_link_local_address_of_a_neighbour_counts_with_the_l_flag(link, master, mobile_node):
    has(link, LINK_LOCAL_HOME)
    assert mobile_node.register(patience=PATIENCE, flags=0xE000) == 134
    assert mobile_node.register(patience=PATIENCE, flags=0xC000) == 0


def test_no_mobile_node_gets_an_address_of_the_home_agents_own_host(link, master, mobile_node):
    assert mobile_node.register(patience=PATIENCE, home=ADDRESSES["a"]) == 134
    link.run("a", "ip", "addr", "add", f"{HOME}/64", "dev", "eth1", "nodad")
    until(lambda: mobile_node.register(patience=PATIENCE) == 134, what="it notices a new one")


def test_neighbour_does_not_get_an_address_that_is_bound(link, master, mobile_node):
    link.run("d", "sysctl", "-qw", "net.ipv6.conf.eth1.accept_dad=1")
    assert mobile_node.register(patience=PATIENCE, flags=0xE000) == 0
    for address in (HOME, LINK_LOCAL_HOME):
        has(link, address, nodad=False)
    until(lambda: shown(link).count("dadfailed") == 2, what="the kernel finds both duplicate")


def test_two_home_agents_of_the_link_can_have_the_same_mobile_node(link, master, mobile_node, new_agent):
    """It comes over from the one to the other: the first still answers for it."""
    other = new_agent("b", {52: 255})
    other.config["virtual_has"][0]["duplicate_address_detection"] = True
    other.start()
    other.becomes("master", 52)
    assert mobile_node.register(patience=PATIENCE) == 0
    assert mobile_node.register(patience=PATIENCE, vha="2001:db8:1::52") == 0
    assert other.bound(52) == {HOME: CARE_OF}


# --- switches with MLD snooping --------------------------------------------------------------------------------


@pytest.fixture
def saving_switch(link, pair):
    """It forwards to a port only the groups that somebody there has joined, and ff02::1."""
    often = "mcast_startup_query_count 100 mcast_startup_query_interval 20 mcast_query_response_interval 10"
    for settings in (often, "mcast_querier 1", "mcast_snooping 1"):
        link.run("br", "ip", "link", "set", "br0", "type", "bridge", *settings.split())
    until(lambda: link.run("br", "bridge", "mdb", "show").count("ff02::12") == 2, what="the switch knows both members")
    for port in ("va", "vb"):
        link.run("br", "bridge", "link", "set", "dev", port, "mcast_flood", "off")


def test_solicitation_for_a_home_address_gets_through_a_switch_that_forwards_groups_to_members_only(
    link, pair, saving_switch, mobile_node
):
    a, b = pair
    assert mobile_node.register() == 0
    group = "ff02::1:ff00:1001"
    for host in "ab":
        until(lambda host=host: group in link.run(host, "ip", "maddr", "show", "dev", "eth1"), what=f"{host} joins")
    until(lambda: group in link.run("br", "bridge", "mdb", "show"), what="the switch hears of it")
    a.kill()
    a.cleanup()
    b.becomes("master")
    node = ReturnedNode(link)
    until(lambda: answered(node), what="the successor hears the solicitation")
    mobile_node.sequence += 1
    assert mobile_node.register(lifetime_s=0) == 0
    until(lambda: group not in link.run("b", "ip", "maddr", "show", "dev", "eth1"), what="b leaves")


def test_home_agents_are_found_through_such_a_switch(link, pair, saving_switch):
    until(lambda: link.run("br", "bridge", "mdb", "show").count("ff02::1:ffff:fffe") == 2, what="both have joined")
    with link.on("c"), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        asking.sendto(b"?", (HOME_AGENTS, 9))
        until(lambda: VIRTUAL_MAC in link.run("c", "ip", "neigh", "show", HOME_AGENTS), 3.0)


def answered(node):
    try:
        return node.home_agents_mac(0.3).src == VIRTUAL_MAC
    except AssertionError:
        return False


# --- coming home -----------------------------------------------------------------------------------------------


class Correspondent(threading.Thread):
    """Host c sends a numbered packet to the home address every 2 ms and notes what its mobile side gets by tunnel."""

    def __init__(self, link):
        super().__init__(daemon=True)
        with link.on("c"):
            self.out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.tunnelled = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6))
        with link.on("d"):
            self.direct = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.out.bind((ADDRESSES["c"], 0))
        self.direct.bind(("::", PORT))
        self.sent: dict[int, float] = {}
        self.by_tunnel: dict[int, float] = {}
        self.at_home: dict[int, float] = {}
        self.over = False

    def run(self):
        while not self.over:
            number = len(self.sent)
            self.sent[number] = time.monotonic()
            self.out.sendto(struct.pack("!I", number), (HOME, PORT))
            end = time.monotonic() + EVERY
            while (left := end - time.monotonic()) > 0:
                self._hear(left)
        for _unused in range(20):
            self._hear(0.01)

    def _hear(self, seconds):
        for sock in select.select([self.tunnelled, self.direct], [], [], seconds)[0]:
            data = sock.recv(2048)
            if sock is self.direct:
                self.at_home[struct.unpack("!I", data)[0]] = time.monotonic()
            elif data[6] == 41 and data[24:40] == packed(CARE_OF):
                self.by_tunnel[struct.unpack("!I", data[88:92])[0]] = time.monotonic()

    def stop(self):
        self.over = True
        self.join()
        for sock in (self.out, self.tunnelled, self.direct):
            sock.close()


class ReturnedNode:
    """Host d as the mobile node on its home link: RFC 6275 section 11.5.5, said by Scapy."""

    def __init__(self, link):
        with link.on("d"):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6))
            self.socket.bind(("eth1", ETH_P_IPV6))

    def says(self, frame):
        """Send a frame, and forget what was heard before."""
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(2048)
        self.socket.send(bytes(frame))

    def hears(self, match, seconds=2.0):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                frame, address = self.socket.recvfrom(2048)
                if address[2] != socket.PACKET_OUTGOING and match(frame):
                    return Ether(frame)
        raise AssertionError("nothing heard")

    def home_agents_mac(self, seconds=2.0):
        """From the unspecified address, since the home agent still stands in for ours."""
        solicitation = IPv6(src="::", dst=SOLICITED_NODE, hlim=255) / ICMPv6ND_NS(tgt=HOME)
        self.says(Ether(src=MACS["d"], dst=SOLICITED_NODE_MAC) / solicitation)
        return self.hears(lambda f: f[20] == 58 and f[54] == 136 and f[62:78] == packed(HOME), seconds)

    def de_registers(self, mac, sequence):
        timestamp = binding.ntp(time.time_ns())
        octets = update(
            packed(HOME), at_home=True, sequence=sequence, lifetime_s=0, key=KEY, timestamp=timestamp,
            destination=packed(VHA),
        )  # fmt: skip
        self.says(Ether(src=MACS["d"], dst=mac) / IPv6(octets))
        return self.hears(lambda frame: frame[20] == 135 and frame[54 + 2] == 6)

    def is_here(self):
        link_layer = ICMPv6NDOptDstLLAddr(lladdr=MACS["d"])
        advertisement = ICMPv6ND_NA(tgt=HOME, R=0, S=0, O=1) / link_layer
        everybody = Ether(src=MACS["d"], dst="33:33:00:00:00:01") / IPv6(src=HOME, dst="ff02::1", hlim=255)
        self.says(everybody / advertisement)


def test_mobile_node_comes_home_and_nothing_is_lost_beyond_a_round_trip(link, master, mobile_node):
    link.carrier("d", up=False)
    assert mobile_node.register(patience=PATIENCE) == 0
    flow = Correspondent(link)
    flow.start()
    until(lambda: len(flow.by_tunnel) > 50, what="traffic goes through the tunnel")

    link.carrier("d", up=True)
    has(link)
    node = ReturnedNode(link)
    time.sleep(0.1)
    mac = node.home_agents_mac()
    assert mac.src == VIRTUAL_MAC
    assert (mac.dst, mac[ICMPv6ND_NA].S, mac[ICMPv6ND_NA].R) == ("33:33:00:00:00:01", 0, 0)
    assert mac[ICMPv6NDOptDstLLAddr].lladdr == VIRTUAL_MAC

    left = time.monotonic()
    answer = node.de_registers(mac.src, mobile_node.sequence + 1)
    assert answer.dst == MACS["d"]
    assert bytes(answer)[14 + 40 + 6] == 0  # accepted
    node.is_here()
    arrived = time.monotonic()
    time.sleep(0.5)
    flow.stop()

    assert master.bound() == {}
    received = flow.by_tunnel.keys() | flow.at_home.keys()
    lost = {number: when for number, when in flow.sent.items() if number not in received}
    late = [when for number, when in flow.sent.items() if number in flow.by_tunnel and when > arrived]
    print(f"round trip {1000 * (arrived - left):.1f} ms, {len(lost)} of {len(flow.sent)} lost, {len(late)} by tunnel")
    # A packet that left just before is on its way when the route goes.
    assert all(left - 0.01 <= when <= arrived + 0.01 for when in lost.values())
    assert not [when for when in late if when > arrived + 0.01]
    assert len(flow.at_home) > 100

    # The neighbours know where it is, and the home agent answers for it no more.
    assert MACS["d"] in link.run("c", "ip", "neigh", "show", HOME)
    solicitation = IPv6(src="::", dst=SOLICITED_NODE, hlim=255) / ICMPv6ND_NS(tgt=HOME)
    node.says(Ether(src=MACS["d"], dst=SOLICITED_NODE_MAC) / solicitation)
    with pytest.raises(AssertionError, match="nothing heard"):
        node.hears(lambda frame: frame[20] == 58 and frame[54] == 136, 0.3)


def test_what_was_delayed_on_its_way_does_not_take_the_home_address_from_who_is_at_home(link, master, mobile_node):
    assert mobile_node.register(patience=PATIENCE) == 0
    mobile_node.sequence += 1
    has(link)
    node = ReturnedNode(link)
    assert bytes(node.de_registers(VIRTUAL_MAC, mobile_node.sequence + 1))[14 + 40 + 6] == 0
    assert mobile_node.register(patience=PATIENCE, sequence=mobile_node.sequence) == 135
    assert master.bound() == {}


def test_refused_at_home_is_answered_at_home(link, master):
    """There is no binding: status 133, to the MAC, whatever the kernel knows of the home address."""
    node = ReturnedNode(link)
    answer = node.de_registers(VIRTUAL_MAC, 1)
    assert (answer.dst, bytes(answer)[14 + 40 + 6]) == (MACS["d"], 133)


def test_mobile_node_at_home_is_refused_while_it_is_bound_and_answered_at_its_mac(link, master, mobile_node):
    """Its sequence number is old: the binding stays, and our own route would take the answer into the tunnel."""
    assert mobile_node.register(patience=PATIENCE) == 0
    node = ReturnedNode(link)
    answer = node.de_registers(VIRTUAL_MAC, mobile_node.sequence)
    assert (answer.dst, bytes(answer)[14 + 40 + 6]) == (MACS["d"], 135)
