# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""VRRP advertisements: the receive checks of RFC 9568 section 7.1, units, round trips."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.packets import HOME_AGENT, VECTORS, addresses, octets
from vrrp_ha.wire import ipv6, vrrp
from vrrp_ha.wire.errors import WireError

advertisements = st.builds(
    vrrp.Advertisement,
    vrid=octets,
    priority=octets,
    interval_us=st.integers(0, 4095).map(lambda interval: interval * 10_000),
    addresses=st.lists(addresses, min_size=1, max_size=255).map(tuple),
)

ADVERT = ipv6.decode(VECTORS["VRRP-ADV"])


def changed(offset: int, value: int, refill: bool = True) -> ipv6.Packet:
    """The reference advertisement with one octet changed, its checksum made right again or not."""
    payload = bytearray(ADVERT.payload)
    payload[offset] = value
    packet = replace(ADVERT, payload=bytes(payload))
    return ipv6.with_checksum(packet, vrrp.CHECKSUM_OFFSET) if refill else packet


def refused(packet: ipv6.Packet) -> str:
    with pytest.raises(WireError) as caught:
        vrrp.check_packet(packet)
    return caught.value.reason


@given(advertisements)
def test_advertisement_survives_a_round_trip(advertisement):
    payload = vrrp.encode(advertisement)
    assert vrrp.decode(payload) == advertisement
    assert vrrp.peek(payload) == (3, 1, advertisement.vrid)


def test_good_advertisement_passes_every_check():
    vrrp.check_packet(ADVERT)


@pytest.mark.parametrize("hop_limit", [254, 1, 0])
def test_any_hop_limit_but_255_is_refused(hop_limit):
    assert refused(replace(ADVERT, hop_limit=hop_limit)) == "hop_limit"


def test_hop_limit_is_checked_before_anything_else():
    assert refused(replace(changed(0, 0x21, refill=False), hop_limit=64)) == "hop_limit"


def test_other_version_is_refused():
    assert refused(changed(0, 0x21)) == "version"


def test_bad_checksum_is_refused():
    assert refused(changed(2, 254, refill=False)) == "checksum"


def test_incomplete_advertisement_is_refused_even_with_a_right_checksum():
    assert refused(changed(3, 3)) == "length"
    assert refused(changed(3, 1)) == "length"


def test_advertisement_without_addresses_is_refused():
    assert refused(changed(3, 0)) == "address_count"


def test_short_message_is_refused():
    assert refused(replace(ADVERT, payload=ADVERT.payload[:7])) == "truncated"


def test_other_upper_layer_is_refused():
    assert refused(replace(ADVERT, next_header=58)) == "next_header"


def test_unknown_type_is_refused_by_the_decoder():
    packet = changed(0, 0x3F)
    vrrp.check_packet(packet)
    with pytest.raises(WireError) as caught:
        vrrp.decode(packet.payload)
    assert caught.value.reason == "type"


def test_reserved_bits_are_ignored():
    packet = changed(4, 0xF0)
    vrrp.check_packet(packet)
    assert vrrp.decode(packet.payload) == vrrp.decode(ADVERT.payload)


def test_interval_is_rounded_down_to_centiseconds():
    advertisement = vrrp.Advertisement(1, 100, 19_999, (HOME_AGENT,))
    assert vrrp.decode(vrrp.encode(advertisement)).interval_us == 10_000


@pytest.mark.parametrize("interval_us", [40_960_000, -1])
def test_interval_that_does_not_fit_is_our_own_mistake(interval_us):
    with pytest.raises(ValueError, match="12 bits"):
        vrrp.encode(vrrp.Advertisement(1, 100, interval_us, (HOME_AGENT,)))


@pytest.mark.parametrize("count", [0, 256])
def test_number_of_addresses_that_does_not_fit_is_our_own_mistake(count):
    with pytest.raises(ValueError, match="addresses"):
        vrrp.encode(vrrp.Advertisement(1, 100, 10_000, (HOME_AGENT,) * count))
