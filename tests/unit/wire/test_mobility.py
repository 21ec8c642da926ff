# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobility Header messages: alignment, the checks of RFC 6275 section 9.2, and RFC 4285."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.packets import (
    CARE_OF,
    HOME_ADDRESS,
    HOME_AGENT,
    KEY,
    SPI,
    VECTORS,
    binding_acks,
    binding_updates,
    keys,
    mobility_messages,
    option_lists,
    thirty_two_bits,
    unicast_addresses,
)
from vrrp_ha.core.types import packed
from vrrp_ha.wire import ipv6, mobility
from vrrp_ha.wire.errors import WireError
from vrrp_ha.wire.mobility_options import iter_options

OTHER_CARE_OF = packed("2001:db8:3::99")
ALIGNMENTS = {2: (2, 0), 3: (8, 6), 9: (4, 1), 10: (8, 2)}

AUTHENTICATED = ipv6.decode(VECTORS["BU-AUTH"])


def update_of(packet: ipv6.Packet) -> tuple[mobility.BindingUpdate, mobility.Authentication]:
    update = mobility.decode(packet.payload)
    option = mobility.first(update.options, mobility.Authentication)
    return update, option


def reason_of(payload: bytes) -> str:
    with pytest.raises(WireError) as caught:
        mobility.decode(payload)
    return caught.value.reason


@given(mobility_messages)
def test_message_survives_a_round_trip(message):
    assert mobility.decode(mobility.encode(message)) == message


@given(mobility_messages)
def test_options_stand_where_their_alignment_says(message):
    payload = mobility.encode(message)
    assert len(payload) % 8 == 0
    for at, kind, _unused in iter_options(payload, mobility.options_offset(payload)):
        step, remainder = ALIGNMENTS.get(kind, (1, 0))
        assert at % step == remainder


def test_unknown_message_type_is_kept_for_a_binding_error():
    message = mobility.decode(bytes((59, 1, 99, 0, 0, 0)) + bytes(range(10)))
    assert message == mobility.UnknownMessage(99, bytes(range(10)))
    assert mobility.decode(mobility.encode(message)) == message


def test_unknown_options_are_kept_and_skipped():
    update = mobility.BindingUpdate(1, 0, 0, (mobility.UnknownOption(200, b"xyz"), mobility.AlternateCareOf(CARE_OF)))
    decoded = mobility.decode(mobility.encode(update))
    assert mobility.first(decoded.options, mobility.AlternateCareOf).address == CARE_OF


def test_padding_of_any_kind_is_dropped():
    acknowledgement = bytes((59, 1, 6, 0, 0, 0, 0, 0, 0, 1, 0, 150, 0, 1, 0, 0))
    assert mobility.decode(acknowledgement) == mobility.BindingAck(0, 1, 600_000_000)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(bytes((59, 0, 5, 0, 0, 0, 0)), "truncated", id="no whole header"),
        pytest.param(bytes((58, 1, 5, 0)) + bytes(12), "payload_protocol", id="something follows"),
        pytest.param(bytes((59, 2, 5, 0)) + bytes(12), "truncated", id="header length beyond the packet"),
        pytest.param(bytes((59, 0, 0, 0)) + bytes(12), "length", id="packet beyond the header length"),
        pytest.param(bytes((59, 0, 5, 0)) + bytes(4), "header_length", id="update in 8 octets"),
        pytest.param(bytes((59, 0, 6, 0)) + bytes(4), "header_length", id="acknowledgement in 8 octets"),
        pytest.param(bytes((59, 1, 7, 0)) + bytes(12), "header_length", id="error in 16 octets"),
        pytest.param(
            bytes((59, 2, 12, 0, 0, 0, 2, 0)) + bytes(16), "header_length", id="switch with too few addresses"
        ),
        pytest.param(bytes((59, 1, 5, 0)) + bytes(8) + bytes((1, 3, 0, 0)), "option_length", id="padding too long"),
        pytest.param(bytes((59, 1, 5, 0)) + bytes(11) + b"\x03", "option_length", id="option without length"),
        pytest.param(bytes((59, 1, 5, 0)) + bytes(8) + bytes((3, 2, 0, 0)), "option_length", id="care-of of 2 octets"),
        pytest.param(bytes((59, 1, 5, 0)) + bytes(8) + bytes((9, 2, 1, 0)), "option_length", id="no room for an SPI"),
        pytest.param(bytes((59, 1, 5, 0)) + bytes(8) + bytes((10, 2, 1, 0)), "option_length", id="short timestamp"),
        pytest.param(bytes((59, 1, 5, 0)) + bytes(8) + bytes((8, 0, 1, 0)), "option_length", id="empty identifier"),
        pytest.param(bytes((59, 1, 5, 0)) + bytes(8) + bytes((2, 1, 1, 0)), "option_length", id="short advice"),
    ],
)
def test_refused_with_its_reason(payload, reason):
    assert reason_of(payload) == reason


def test_bad_checksum_is_refused_before_all_else():
    packet = replace(AUTHENTICATED, payload=b"\0" + AUTHENTICATED.payload[1:])
    with pytest.raises(WireError) as caught:
        mobility.check_packet(packet)
    assert caught.value.reason == "checksum"


def test_parameter_problem_can_point_at_the_header():
    assert AUTHENTICATED.outer_length - len(AUTHENTICATED.payload) == 40 + 24


@pytest.mark.parametrize("time_us", [262_144_000_000, -1])
def test_lifetime_that_does_not_fit_is_our_own_mistake(time_us):
    with pytest.raises(ValueError, match="16 bits"):
        mobility.encode(mobility.BindingAck(0, 1, time_us))


def test_message_that_is_too_long_is_our_own_mistake():
    with pytest.raises(ValueError, match="Mobility Header"):
        mobility.encode(mobility.HomeAgentSwitch((HOME_AGENT,) * 129))


# --- RFC 4285 ----------------------------------------------------------------------------------------------


def test_reference_binding_update_is_authentic():
    update, option = update_of(AUTHENTICATED)
    assert (option.subtype, option.spi) == (mobility.MN_HA, SPI)
    assert mobility.is_authentic(AUTHENTICATED, update, option, KEY)
    assert not mobility.is_authentic(AUTHENTICATED, update, option, KEY[::-1])


def test_care_of_home_and_header_up_to_the_spi_are_authenticated():
    _update, option = update_of(AUTHENTICATED)
    payload = AUTHENTICATED.payload
    covered = CARE_OF + HOME_ADDRESS + payload[:4] + b"\0\0" + payload[6:68]
    assert payload[64:68] == SPI.to_bytes(4, "big")
    assert option.authenticator == hmac.digest(KEY, covered, "sha1")[:12]


def test_authentic_update_is_made_as_the_reference_has_it():
    update, option = update_of(AUTHENTICATED)
    bare = replace(update, options=tuple(other for other in update.options if other is not option))
    payload = mobility.encode_authenticated(bare, SPI, KEY, CARE_OF, HOME_ADDRESS)
    assert ipv6.encode(ipv6.with_checksum(replace(AUTHENTICATED, payload=payload), 4)) == VECTORS["BU-AUTH"]


@given(st.one_of(binding_updates, binding_acks), thirty_two_bits, keys, unicast_addresses, unicast_addresses)
def test_made_authenticator_is_the_last_option_and_right(message, spi, key, care_of, home):
    decoded = mobility.decode(payload := mobility.encode_authenticated(message, spi, key, care_of, home))
    *others, option = decoded.options
    assert tuple(others) == message.options
    assert (option.subtype, option.spi) == (mobility.MN_HA, spi)
    assert option.authenticator == mobility.mn_ha_authenticator(key, care_of, home, payload[: option.covered])


@given(option_lists, keys, st.data())
def test_any_changed_bit_that_is_covered_is_noticed(options, key, data):
    own = tuple(o for o in options if not isinstance(o, mobility.AlternateCareOf | mobility.Authentication))
    update = mobility.BindingUpdate(1, 0xC000, 4_000_000, own)
    payload = bytearray(mobility.encode_authenticated(update, SPI, key, CARE_OF, HOME_ADDRESS))
    covered = mobility.first(mobility.decode(bytes(payload)).options, mobility.Authentication).covered
    at = data.draw(st.integers(6, 11))  # sequence, flags, lifetime: always there, always covered
    payload[at] ^= 1 << data.draw(st.integers(0, 7))
    packet = ipv6.Packet(CARE_OF, HOME_AGENT, 64, 135, bytes(payload), HOME_ADDRESS)
    changed, option = update_of(packet)
    assert option.covered == covered
    assert not mobility.is_authentic(packet, changed, option, key)


def test_authenticated_care_of_address_is_the_one_that_would_be_bound():
    alternate = mobility.BindingUpdate(1, 0xC000, 4_000_000, (mobility.AlternateCareOf(OTHER_CARE_OF),))
    payload = mobility.encode_authenticated(alternate, SPI, KEY, OTHER_CARE_OF, HOME_ADDRESS)
    packet = ipv6.Packet(CARE_OF, HOME_AGENT, 64, 135, payload, HOME_ADDRESS)
    update, option = update_of(packet)
    assert mobility.care_of_address(packet, update) == OTHER_CARE_OF
    assert mobility.is_authentic(packet, update, option, KEY)


def test_without_alternate_care_of_the_source_is_what_is_authenticated():
    plain = mobility.BindingUpdate(1, 0xC000, 4_000_000)
    payload = mobility.encode_authenticated(plain, SPI, KEY, CARE_OF, HOME_ADDRESS)
    packet = ipv6.Packet(CARE_OF, HOME_AGENT, 64, 135, payload, HOME_ADDRESS)
    assert mobility.is_authentic(packet, *update_of(packet), KEY)
    moved = replace(packet, source=OTHER_CARE_OF)
    assert not mobility.is_authentic(moved, *update_of(moved), KEY)


@pytest.mark.parametrize(
    ("timestamp", "wall_time_us"),
    [
        (0xE8D4A510_00000000, 1_697_261_200_000_000),
        (0xE8D4A510_80000000, 1_697_261_200_500_000),
        (0x00000001_00000000, 2_085_978_497_000_000),  # the era that begins on 7 February 2036
    ],
)
def test_timestamps_are_ntp_of_the_right_era(timestamp, wall_time_us):
    assert mobility.ReplayProtection(timestamp).wall_time_us == wall_time_us
