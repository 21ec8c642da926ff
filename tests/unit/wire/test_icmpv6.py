# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMPv6: round trips, bytes worked out by hand from RFC 4861 and RFC 6275, what is refused and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from tests.unit.wire.packets import HOME_ADDRESS, VECTORS, icmpv6_messages
from vrrp_ha.wire import icmpv6, ipv6
from vrrp_ha.wire.errors import WireError

VIRTUAL_MAC = bytes.fromhex("00005e000207")
GOLDEN = [
    (
        icmpv6.NeighbourAdvertisement(HOME_ADDRESS, True, False, True, (icmpv6.target_link_layer(VIRTUAL_MAC),)),
        "88000000 a0000000 20010db8000100000000000000001001 020100005e000207",
    ),
    (
        icmpv6.NeighbourAdvertisement(HOME_ADDRESS, solicited=True),
        "88000000 40000000 20010db8000100000000000000001001",
    ),
    (
        icmpv6.NeighbourSolicitation(HOME_ADDRESS, (icmpv6.source_link_layer(VIRTUAL_MAC),)),
        "87000000 00000000 20010db8000100000000000000001001 010100005e000207",
    ),
    (icmpv6.RouterSolicitation(), "85000000 00000000"),
    (
        icmpv6.RouterAdvertisement(64, True, True, True, 9_000_000, 30_000, 1_000, (icmpv6.Mtu(1500),)),
        "86000000 40e00009 0000001e 00000001 0501 0000 000005dc",
    ),
    (
        icmpv6.PrefixAdvertisement(7, True, False, (icmpv6.AdvertisementInterval(3_000_000),)),
        "93000000 00078000 0701 0000 00000bb8",
    ),
    (icmpv6.IcmpError(2, 0, 1460, b"`"), "02000000 000005b4 60"),
    (icmpv6.IcmpError(4, 1, 40, b""), "04010000 00000028"),
]


def reason_of(payload: bytes) -> str:
    with pytest.raises(WireError) as caught:
        icmpv6.decode(payload)
    return caught.value.reason


def refused(packet: ipv6.Packet) -> str:
    with pytest.raises(WireError) as caught:
        icmpv6.check_packet(packet)
    return caught.value.reason


@given(icmpv6_messages)
def test_message_survives_a_round_trip(message):
    assert icmpv6.decode(icmpv6.encode(message)) == message


@pytest.mark.parametrize(("message", "octets"), GOLDEN)
def test_message_is_these_octets(message, octets):
    assert icmpv6.encode(message) == bytes.fromhex(octets)
    assert icmpv6.decode(bytes.fromhex(octets)) == message


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        pytest.param("8700", "truncated", id="no whole header"),
        pytest.param("8700000000000000" + "00" * 15, "truncated", id="no whole target"),
        pytest.param("8700000000000000ff02" + "00" * 14, "target", id="multicast target"),
        pytest.param("8700000000000000" + "20" * 16 + "0100" + "00" * 6, "option_length", id="option of length 0"),
        pytest.param("8700000000000000" + "20" * 16 + "0102" + "00" * 6, "option_length", id="option too long"),
        pytest.param("8500000000000000" + "01", "option_length", id="option without length"),
        pytest.param("8500000000000000" + "0502" + "00" * 14, "option_length", id="MTU option of 16 octets"),
        pytest.param("8500000000000000" + "0301" + "00" * 6, "option_length", id="prefix information of 8 octets"),
        pytest.param("8801000000000000" + "20" * 16, "code", id="neighbour advertisement with code 1"),
        pytest.param("9001000012340000", "code", id="discovery request with code 1"),
        pytest.param("9100000012340000" + "20" * 15, "length", id="home agent address of 15 octets"),
        pytest.param("02000000", "truncated", id="error without a value"),
    ],
)
def test_refused_with_its_reason(octets, reason):
    assert reason_of(bytes.fromhex(octets)) == reason


def test_unknown_type_is_kept():
    assert icmpv6.decode(bytes.fromhex("8f00abcd01")) == icmpv6.UnknownMessage(143, 0, b"\x01")


def test_neighbour_discovery_from_off_the_link_is_refused():
    assert refused(replace(ipv6.decode(VECTORS["RA-HA"]), hop_limit=254)) == "hop_limit"


def test_home_agent_discovery_may_come_from_anywhere():
    icmpv6.check_packet(replace(ipv6.decode(VECTORS["DHAAD-REQ"]), hop_limit=3))


def test_bad_checksum_is_refused():
    packet = ipv6.decode(VECTORS["DHAAD-REQ"])
    assert refused(replace(packet, payload=packet.payload[:-1] + b"\x01")) == "checksum"


@pytest.mark.parametrize(
    ("noisy", "message"),
    [
        (
            "88000000 bfffffff 20010db8000100000000000000001001",
            icmpv6.NeighbourAdvertisement(HOME_ADDRESS, True, False, True),
        ),
        ("90000000 1234ffff", icmpv6.DiscoveryRequest(0x1234)),
        ("91000000 1234ffff", icmpv6.DiscoveryReply(0x1234, ())),
        ("92000000 1234ffff", icmpv6.PrefixSolicitation(0x1234)),
        ("93000000 12343fff", icmpv6.PrefixAdvertisement(0x1234)),
        (
            "86000000 401f0000 00000000 00000000 0701ffff 00000fa0 0801ffff 000a0708",
            icmpv6.RouterAdvertisement(
                64,
                options=(icmpv6.AdvertisementInterval(4_000_000), icmpv6.HomeAgentInformation(10, 1_800_000_000)),
            ),
        ),
    ],
)
def test_reserved_bits_are_ignored(noisy, message):
    assert icmpv6.decode(bytes.fromhex(noisy)) == message


def test_unknown_options_are_skipped():
    solicitation = icmpv6.decode(bytes.fromhex("92000000 12340000 c8010102 03040506"))
    assert solicitation == icmpv6.PrefixSolicitation(
        0x1234, (icmpv6.UnknownOption(0xC8, bytes.fromhex("010203040506")),)
    )
