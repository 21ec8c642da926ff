# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's policy, its limits and Binding Errors, with a real agent on a real kernel."""

import struct
from itertools import pairwise

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import HAO, MIP6MH_BE, IPv6, IPv6ExtHdrDestOpt, MIP6MH_HoTI
from scapy.layers.l2 import Ether

from tests.kernel.agents import CARE_OF, HOME, KEY, PREFIX, SPI, VHA, binding_update, packed

DATAGRAM = bytes(IPv6(src=CARE_OF, dst=VHA) / IPv6ExtHdrDestOpt(options=[HAO(hoa=HOME)]) / UDP(sport=1, dport=2))
HOME_TEST = bytes(IPv6(src=CARE_OF, dst=VHA) / MIP6MH_HoTI())


@pytest.fixture
def agent(new_agent):
    """An owner, Master; the key of all mobile nodes says who they are."""
    agent = new_agent("a", {51: 255})
    agent.keys["mobile_node_keys"] = [
        {"spi": SPI, "key": KEY.hex(), "home_addresses": PREFIX, "identity": "mn1@example.com"}
    ]
    agent.start()
    agent.becomes("master")
    return agent


def errors(observer, seconds=0.5):
    """(status, home address) of the Binding Errors that come, and whatever ICMPv6 error the kernel may have to say."""
    found = []
    for _unused, frame in observer.frames(seconds):
        packet = Ether(frame)[IPv6]
        if packet.src == VHA and MIP6MH_BE in packet:
            found.append((packet[MIP6MH_BE].status, packet[MIP6MH_BE].ha))
        elif packet.src == VHA and packet.nh == 58 and frame[14 + 40] < 128:
            found.append(("icmp", frame[14 + 40]))
    return found


def reloaded(agent, **policy):
    agent.config["virtual_has"][0]["policy"] = policy
    agent.write()
    agent.call("reload")


def test_a_home_address_that_is_not_bound_and_a_message_that_is_not_understood_are_told(agent, mobile_node, observer):
    observer.drop()
    mobile_node.send(DATAGRAM)
    assert errors(observer) == [(1, HOME)]
    mobile_node.send(HOME_TEST)
    assert errors(observer) == [(2, "::")]
    assert mobile_node.register() == 0
    observer.drop()
    mobile_node.send(DATAGRAM)
    assert errors(observer) == []


def test_a_policy_counts_from_the_reload_on_and_ends_no_binding(agent, mobile_node):
    assert mobile_node.register() == 0
    reloaded(agent, deny_identities=["*@example.com"])
    assert mobile_node.register() == 129
    assert agent.bound() == {HOME: CARE_OF}
    reloaded(agent, allow_identities=["*@example.com"], maximum_bindings=1)
    assert mobile_node.register() == 0
    assert mobile_node.register(home="2001:db8:1::1002") == 130
    assert agent.virtual_ha()["maximum_bindings"] == 1
    (event, _unused) = [e for e in agent.call("events", limit=100)["events"] if e["kind"] == "registration_refused"]
    assert (event["home_address"], event["reason"]) == (HOME, "identity")


def test_a_flood_of_forgeries_leaves_the_mobile_node_and_advertisements_in_peace(agent, mobile_node, observer):
    """They come in the name of the mobile node's own /64."""
    assert mobile_node.register() == 0
    forged = [
        binding_update(1, home=f"2001:db8:1::2:{number:x}", key=b"not the key!", care_of=CARE_OF)
        for number in range(1, 101)
    ]
    observer.drop()
    for number in range(20_000):
        mobile_node.send(forged[number % 100])
        if number % 5000 == 2500:
            mobile_node.send(binding_update(100 + number))
    answered, times = [], []
    for when, frame in observer.frames(3.0):
        packet = frame[14:]
        if packet[6] == 43 and packet[48:64] == packed(HOME):
            answered.append(packet[64 + 6])
        elif packet[6] == 112 and packet[40] == 0x31:
            times.append(when)
    assert answered == [0] * 4
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.3
    counters = agent.virtual_ha()["counters"]
    assert counters["dropped.limited_source"] > 1000
    assert counters["refused.authentication_failed"] < 2000


def test_an_acknowledgement_of_a_refusal_tells_the_status(agent, mobile_node, observer):
    reloaded(agent, deny_home_addresses=[HOME])
    observer.drop()
    mobile_node.send(binding_update(7))
    answers = [frame[14 + 64 :] for _unused, frame in observer.frames(1.0) if frame[14 + 6] == 43]
    assert [(upper[2], upper[6], struct.unpack_from("!H", upper, 8)[0]) for upper in answers] == [(6, 129, 7)]
