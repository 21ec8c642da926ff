# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets in words: every layer is there, everything is plain data."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.packets import HOME_AGENT, KEY, TYPES, VECTORS, icmpv6_messages, mobility_messages
from vrrp_ha.wire import bc_sync, icmpv6, ipv6, mobility
from vrrp_ha.wire.describe import describe
from vrrp_ha.wire.errors import WireError


def layers(data: bytes) -> list[dict]:
    return describe(data, TYPES)["layers"]


def whole(next_header: int, payload: bytes, checksum_offset: int) -> bytes:
    packet = ipv6.Packet(HOME_AGENT, HOME_AGENT, 255, next_header, payload)
    return ipv6.encode(ipv6.with_checksum(packet, checksum_offset))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BU-REG", ["ipv6", "destination_options", "mobility"]),
        ("BA-OK", ["ipv6", "routing", "mobility"]),
        ("DHAAD-REP", ["ipv6", "icmpv6"]),
        ("TUN-TO-MN", ["ipv6", "ipv6", "udp"]),
        ("VRRP-ADV", ["ipv6", "vrrp"]),
        ("BC-REQUEST", ["ipv6", "vrrp"]),
    ],
)
def test_layers_from_the_outside_in(name, expected):
    assert [layer["layer"] for layer in layers(VECTORS[name])] == expected


def test_binding_update_down_to_its_options():
    _unused, destination_options, update = layers(VECTORS["BU-AUTH"])
    assert destination_options["options"] == [
        {"option": "padn", "octets": 4},
        {"option": "home_address", "home_address": "2001:db8:1::1001"},
    ]
    assert (update["message"], update["sequence"], update["flags"], update["lifetime_s"]) == (
        "binding_update",
        10,
        "AH",
        600,
    )
    assert update["options"] == [
        {"option": "padn", "octets": 2},
        {"option": "alternate_care_of_address", "care_of_address": "2001:db8:2::77"},
        {"option": "mobile_node_identifier", "subtype": 1, "identifier": "mn1@example.com"},
        {"option": "replay_protection", "timestamp": "e8d4a51000000000", "time": "2023-10-14T05:26:40+00:00"},
        {"option": "pad1"},
        {
            "option": "authentication",
            "subtype": 1,
            "subtype_name": "mn_ha",
            "spi": 256,
            "authenticator": "8fe413e5f378bfca15d53f4c",
        },
    ]


def test_binding_cache_update_down_to_its_bindings():
    assert layers(VECTORS["BC-UPDATE-2"])[1] == {
        "layer": "vrrp",
        "message": "bc_update",
        "version": 3,
        "type": 3,
        "vrid": 7,
        "checksum": "0x55b5",
        "bindings": [
            {
                "home_address": "2001:db8:1::1001",
                "care_of_address": "2001:db8:2::77",
                "lifetime_s": 600,
                "sequence": 1,
                "flags": "AHL",
            },
            {
                "home_address": "2001:db8:1::1002",
                "care_of_address": "2001:db8:3::99",
                "lifetime_s": 300,
                "sequence": 65535,
                "flags": "AH",
            },
        ],
    }


def test_advertisement_in_centiseconds():
    advertisement = layers(VECTORS["VRRP-ADV"])[1]
    assert (advertisement["priority"], advertisement["interval_cs"]) == (255, 100)
    assert advertisement["addresses"] == ["fe80::5eff:fe00:207", "2001:db8:1::1"]


def test_router_advertisement_down_to_its_options():
    advertisement = layers(VECTORS["RA-HA"])[1]
    assert advertisement["home_agent"] is True
    assert [option["option"] for option in advertisement["options"]] == [
        "source_link_layer_address",
        "prefix_information",
        "home_agent_information",
    ]


def test_authenticator_is_a_layer_of_its_own():
    digest = bc_sync.encode(bc_sync.BcDigest(7, 2, 0xABC), TYPES)
    signed = bc_sync.sign(digest, HOME_AGENT, 3, KEY, 5 << 32 | 9)
    _unused, message, authenticator = layers(whole(ipv6.VRRP, signed, 6))
    assert (message["message"], message["count"], message["digest"]) == ("bc_digest", 2, "0000000000000abc")
    mac = authenticator.pop("mac")
    assert authenticator == {"layer": "authenticator", "key_id": 3, "epoch": 5, "number": 9}
    assert mac == signed[-16:].hex()


def test_icmpv6_error_tells_what_it_is_about():
    error = icmpv6.encode(icmpv6.IcmpError(2, 0, 1460, VECTORS["TUN-TO-MN"]))
    shown = layers(whole(ipv6.ICMPV6, error, 2))[1]
    assert (shown["message"], shown["mtu"]) == ("packet_too_big", 1460)
    assert shown["invoking"]["destination"] == "2001:db8:2::77"


def test_what_follows_the_packet_is_counted():
    assert "trailing_octets" not in describe(VECTORS["BRR"], TYPES)
    assert describe(VECTORS["BRR"] + bytes(6), TYPES)["trailing_octets"] == 6


def test_encrypted_and_unknown_upper_layers_are_shown_as_far_as_they_can_be():
    esp = ipv6.encode(ipv6.Packet(HOME_AGENT, HOME_AGENT, 64, ipv6.ESP, bytes.fromhex("0000010000000002ffff")))
    assert layers(esp)[1] == {"layer": "esp", "spi": 256, "sequence": 2, "octets": 2}
    other = ipv6.encode(ipv6.Packet(HOME_AGENT, HOME_AGENT, 64, 200, b"\x01\x02"))
    assert layers(other)[1] == {"layer": "unknown", "data": "0102"}


@pytest.mark.parametrize("name", sorted(name for name in VECTORS if not name.startswith("TUN")))
def test_damage_of_any_octet_behind_the_addresses_is_noticed(name):
    whole_length, upper_length = len(VECTORS[name]), len(ipv6.decode(VECTORS[name]).payload)
    for at in range(whole_length - upper_length, whole_length):
        damaged = bytearray(VECTORS[name])
        damaged[at] ^= 0x10
        with pytest.raises(WireError):
            describe(bytes(damaged), TYPES)


def test_unknown_vrrp_type_is_refused():
    payload = bytes((0x3F, 7, 0, 0, 0, 0, 0, 0))
    with pytest.raises(WireError) as caught:
        describe(whole(ipv6.VRRP, payload, 6), TYPES)
    assert caught.value.reason == "type"


@given(st.one_of(mobility_messages, icmpv6_messages))
def test_description_is_plain_data(message):
    if isinstance(message, mobility.Message):
        data = whole(ipv6.MOBILITY, mobility.encode(message), 4)
    else:
        data = whole(ipv6.ICMPV6, icmpv6.encode(message), 2)
    described = describe(data, TYPES)
    assert json.loads(json.dumps(described)) == described
