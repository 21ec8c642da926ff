# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv6: extension headers, the addresses of the pseudo-header, what is refused and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.packets import CARE_OF, HOME_ADDRESS, HOME_AGENT, VECTORS, packets
from vrrp_ha.wire import ipv6
from vrrp_ha.wire.errors import WireError

ROUTER_ALERT = bytes.fromhex("3a00050200000100")


def packet_with(first_header: int, extension: bytes, payload: bytes = b"") -> bytes:
    """A packet whose extension headers are given as bytes."""
    return ipv6.encode(ipv6.Packet(CARE_OF, HOME_AGENT, 64, first_header, extension + payload))


def reason_of(data: bytes) -> str:
    with pytest.raises(WireError) as caught:
        ipv6.decode(data)
    return caught.value.reason


@given(packets)
def test_packet_survives_a_round_trip(packet):
    data = ipv6.encode(packet)
    decoded = ipv6.decode(data)
    assert decoded == packet
    assert decoded.outer_length == len(data)


def reference_checksum(data: bytes) -> int:
    """RFC 1071 word by word."""
    data += b"\0" * (len(data) % 2)
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2], "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@given(packets)
def test_checksum_is_that_of_rfc_1071(packet):
    tail = len(packet.payload).to_bytes(4, "big") + packet.next_header.to_bytes(4, "big")
    expected = reference_checksum(packet.source + packet.destination + tail + packet.payload)
    got = ipv6.checksum(packet.source, packet.destination, packet.next_header, packet.payload)
    assert got == expected or (got, expected, packet.next_header, packet.payload) == (0, 0xFFFF, 0, b"")


@given(packets.filter(lambda packet: len(packet.payload) >= 8), st.integers(0, 3))
def test_filled_checksum_is_accepted_and_a_changed_packet_is_not(packet, word):
    filled = ipv6.with_checksum(packet, 2 * word)
    ipv6.check_checksum(filled)
    changed = bytearray(filled.payload)
    changed[-1] ^= 1
    with pytest.raises(WireError, match="checksum"):
        ipv6.check_checksum(replace(filled, payload=bytes(changed)))


def test_home_address_option_changes_the_source_of_the_pseudo_header():
    packet = ipv6.decode(VECTORS["BU-REG"])
    assert (packet.source, packet.logical_source) == (CARE_OF, HOME_ADDRESS)
    ipv6.check_checksum(packet)
    with pytest.raises(WireError, match="checksum"):
        ipv6.check_checksum(replace(packet, home_address=None))


def test_type_2_routing_header_changes_the_destination_of_the_pseudo_header():
    packet = ipv6.decode(VECTORS["BA-OK"])
    assert (packet.destination, packet.logical_destination) == (CARE_OF, HOME_ADDRESS)
    ipv6.check_checksum(packet)
    with pytest.raises(WireError, match="checksum"):
        ipv6.check_checksum(replace(packet, routing_home_address=None))


def test_used_up_routing_header_is_skipped():
    used_up = bytes((58, 2, 2, 0, 0, 0, 0, 0)) + HOME_ADDRESS
    packet = ipv6.decode(packet_with(ipv6.ROUTING, used_up, b"icmp"))
    assert (packet.next_header, packet.payload, packet.routing_home_address) == (58, b"icmp", None)


def test_known_harmless_options_are_skipped():
    packet = ipv6.decode(packet_with(ipv6.HOP_BY_HOP, ROUTER_ALERT, b"icmp"))
    assert (packet.next_header, packet.payload) == (58, b"icmp")


def test_home_address_option_is_found_behind_other_headers():
    option = bytes((135, 2, 1, 2, 0, 0, 0xC9, 16)) + HOME_ADDRESS
    router_alert = bytes((ipv6.DESTINATION_OPTIONS,)) + ROUTER_ALERT[1:]
    packet = ipv6.decode(packet_with(ipv6.HOP_BY_HOP, router_alert + option, b"mh"))
    assert (packet.home_address, packet.next_header, packet.payload) == (HOME_ADDRESS, 135, b"mh")


@pytest.mark.parametrize("name", VECTORS)
def test_every_cut_of_a_packet_is_truncated(name):
    data = VECTORS[name]
    assert {reason_of(data[:length]) for length in range(len(data))} == {"truncated"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\x45" + bytes(39), "ip_version", id="IPv4"),
        pytest.param(packet_with(ipv6.FRAGMENT, bytes((58, 0, 0, 1, 0, 0, 0, 1))), "fragment", id="fragment"),
        pytest.param(packet_with(43, bytes((58, 0, 4, 1, 0, 0, 0, 0))), "routing_header", id="segments left"),
        pytest.param(
            packet_with(43, bytes((58, 2, 2, 2, 0, 0, 0, 0)) + HOME_ADDRESS), "routing_header", id="RH2 twice"
        ),
        pytest.param(packet_with(43, bytes((58, 2, 2, 1, 0, 0, 0, 0)) + bytes(16)), "routing_header", id="RH2 to ::"),
        pytest.param(packet_with(60, bytes((58, 0, 0x80, 4, 0, 0, 0, 0))), "option_unrecognised", id="unknown option"),
        pytest.param(packet_with(60, bytes((58, 0, 0x1E, 5, 0, 0, 0, 0))), "option_length", id="option too long"),
        pytest.param(packet_with(60, bytes((58, 0, 0xC9, 4, 0, 0, 0, 0))), "option_length", id="short home address"),
        pytest.param(
            packet_with(60, bytes((0, 0, 1, 4, 0, 0, 0, 0)) + ROUTER_ALERT), "extension_header", id="late HBH"
        ),
        pytest.param(packet_with(60, bytes((58, 1, 1, 4, 0, 0, 0, 0))), "truncated", id="header beyond the packet"),
    ],
)
def test_refused_with_its_reason(data, reason):
    assert reason_of(data) == reason


def test_second_home_address_is_refused():
    option = bytes((2, 1, 2, 0, 0, 0xC9, 16)) + HOME_ADDRESS
    assert reason_of(packet_with(60, bytes((60,)) + option + bytes((135,)) + option)) == "home_address_option"


def test_home_address_that_is_no_unicast_address_is_refused():
    for address in (bytes(16), b"\xff" + HOME_ADDRESS[1:]):
        header = bytes((135, 2, 1, 2, 0, 0, 0xC9, 16)) + address
        assert reason_of(packet_with(60, header)) == "home_address_option"


def test_multicast_source_is_refused():
    data = bytearray(VECTORS["VRRP-ADV"])
    data[8] = 0xFF
    assert reason_of(bytes(data)) == "source"


def test_packet_that_is_too_long_is_our_own_mistake():
    with pytest.raises(ValueError, match="cannot carry"):
        ipv6.encode(ipv6.Packet(CARE_OF, HOME_AGENT, 64, 58, bytes(0x10000)))
