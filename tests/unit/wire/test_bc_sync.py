# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binding cache messages: sizes, lifetimes, and the authenticator."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.packets import (
    CARE_OF,
    HOME_ADDRESS,
    HOME_AGENT,
    KEY,
    TYPES,
    VECTORS,
    bindings,
    keys,
    octets,
    sixty_four_bits,
    thirty_two_bits,
    unicast_addresses,
)
from vrrp_ha.core.settings import SyncSettings
from vrrp_ha.wire import bc_sync, ipv6
from vrrp_ha.wire.errors import WireError

messages = st.one_of(
    st.builds(bc_sync.BcRequest, octets),
    st.builds(bc_sync.BcUpdate, octets, st.lists(bindings, min_size=1, max_size=12)),
    st.builds(bc_sync.BcDigest, octets, thirty_two_bits, sixty_four_bits),
)

UPDATE = ipv6.decode(VECTORS["BC-UPDATE-2"]).payload
REQUEST = ipv6.decode(VECTORS["BC-REQUEST"]).payload


def reason_of(payload: bytes) -> str:
    with pytest.raises(WireError) as caught:
        bc_sync.decode(payload, TYPES)
    return caught.value.reason


@given(messages)
def test_message_survives_a_round_trip(message):
    assert bc_sync.decode(bc_sync.encode(message, TYPES), TYPES) == message


@given(messages, unicast_addresses, thirty_two_bits, keys, sixty_four_bits)
def test_signed_message_survives_a_round_trip(message, source, key_id, key, counter):
    payload = bc_sync.encode(message, TYPES)
    signed = bc_sync.sign(payload, source, key_id, key, counter)
    assert len(signed) == len(payload) + bc_sync.TRAILER_LENGTH
    assert bc_sync.verify(signed, source, {key_id: key}) == (payload, counter)
    assert bc_sync.split_trailer(signed, TYPES) == (payload, signed[len(payload) :])


def test_types_come_from_the_settings():
    types = SyncSettings(request_type=9, update_type=10, digest_type=11)
    assert bc_sync.encode(bc_sync.BcRequest(7), types)[0] == 0x39
    assert bc_sync.decode(bc_sync.encode(bc_sync.BcDigest(7, 1, 2), types), types) == bc_sync.BcDigest(7, 1, 2)
    with pytest.raises(WireError, match="type"):
        bc_sync.decode(bc_sync.encode(bc_sync.BcRequest(7), types), TYPES)


def test_digest_message_is_24_octets():
    payload = bc_sync.encode(bc_sync.BcDigest(7, 2, 0x0102030405060708), TYPES)
    assert payload == bytes.fromhex("3407000000000000 00000002 00000000 0102030405060708")


@pytest.mark.parametrize("extra", [-40, -1, 1, 32, 40])
def test_update_with_any_other_length_than_its_count_says_is_refused(extra):
    payload = UPDATE[:extra] if extra < 0 else UPDATE + bytes(extra)
    assert reason_of(payload) == "length"


def test_update_without_bindings_is_refused():
    assert reason_of(UPDATE[:3] + b"\0" + UPDATE[4:8]) == "binding_count"


def test_request_and_digest_of_another_length_are_refused():
    assert reason_of(REQUEST + bytes(4)) == "length"
    assert reason_of(bc_sync.encode(bc_sync.BcDigest(7, 1, 2), TYPES)[:-1]) == "length"


def test_unused_fields_are_ignored():
    noisy = bytes((REQUEST[0], REQUEST[1], 0xAA, 0xBB, 0xFF, 0xFF)) + REQUEST[6:]
    assert bc_sync.decode(noisy, TYPES) == bc_sync.BcRequest(7)
    reserved_set = UPDATE[:14] + b"\xff\xff" + UPDATE[16:]
    assert bc_sync.decode(reserved_set, TYPES) == bc_sync.decode(UPDATE, TYPES)


def test_lifetimes_are_rounded_down_to_four_seconds():
    update = bc_sync.BcUpdate(7, [(7_999_999, 1, 0, HOME_ADDRESS, CARE_OF)])
    assert bc_sync.decode(bc_sync.encode(update, TYPES), TYPES).bindings[0][0] == 4_000_000


def test_live_binding_is_never_sent_as_a_deletion():
    update = bc_sync.BcUpdate(7, [(3_999_999, 1, 0, HOME_ADDRESS, CARE_OF)])
    with pytest.raises(ValueError, match="deletion"):
        bc_sync.encode(update, TYPES)


@pytest.mark.parametrize("count", [0, 256])
def test_number_of_bindings_that_does_not_fit_is_our_own_mistake(count):
    with pytest.raises(ValueError, match="bindings"):
        bc_sync.encode(bc_sync.BcUpdate(7, [(0, 1, 0, HOME_ADDRESS, CARE_OF)] * count), TYPES)


@pytest.mark.parametrize(
    ("mtu", "authenticated", "count"),
    [(1280, False, 30), (1500, False, 36), (1500, True, 35), (9000, False, 223), (9000, True, 223), (65535, True, 255)],
)
def test_as_many_bindings_as_the_link_carries_unfragmented(mtu, authenticated, count):
    assert bc_sync.bindings_per_message(mtu, authenticated) == count
    trailer = bc_sync.TRAILER_LENGTH if authenticated else 0
    size = 40 + 8 + 40 * count + trailer
    assert size <= mtu
    assert size + 40 > mtu or count == 255


def test_authenticator_is_the_documented_one():
    counter = 5 << 32 | 9
    signed = bc_sync.sign(REQUEST, HOME_AGENT, 3, KEY, counter)
    trailer = (3).to_bytes(4, "big") + bytes(4) + counter.to_bytes(8, "big")
    message = REQUEST[:6] + b"\0\0"
    mac = hmac.new(KEY, HOME_AGENT + message + trailer, hashlib.sha256).digest()[:16]
    assert signed == REQUEST + trailer + mac


def test_checksum_filled_in_after_signing_does_not_matter():
    signed = bc_sync.sign(UPDATE[:6] + b"\0\0" + UPDATE[8:], HOME_AGENT, 3, KEY, 1)
    bc_sync.verify(signed[:6] + b"\x12\x34" + signed[8:], HOME_AGENT, {3: KEY})


@given(messages, st.data())
def test_any_changed_bit_but_the_checksum_is_noticed(message, data):
    signed = bytearray(bc_sync.sign(bc_sync.encode(message, TYPES), HOME_AGENT, 3, KEY, 1))
    position = data.draw(st.integers(0, len(signed) - 1).filter(lambda at: at not in (6, 7)))
    signed[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(WireError, match="sync_"):
        bc_sync.verify(bytes(signed), HOME_AGENT, {3: KEY})


def refused(payload: bytes, source: bytes = HOME_AGENT, key: bytes = KEY, key_id: int = 3) -> str:
    with pytest.raises(WireError) as caught:
        bc_sync.verify(payload, source, {key_id: key})
    return caught.value.reason


def test_message_from_another_address_or_with_another_key_is_refused():
    signed = bc_sync.sign(UPDATE, HOME_AGENT, 3, KEY, 1)
    assert refused(signed, source=HOME_ADDRESS) == "sync_bad_mac"
    assert refused(signed, key=KEY[::-1]) == "sync_bad_mac"
    assert refused(signed, key_id=4) == "sync_unknown_key"


@pytest.mark.parametrize("count", [1, 2, 36])
def test_bare_update_is_unauthenticated_and_not_just_wrong(count):
    update = bc_sync.BcUpdate(7, [(4_000_000, 1, 0, HOME_ADDRESS, CARE_OF)] * count)
    assert refused(bc_sync.encode(update, TYPES)) == "sync_unauthenticated"


def test_bare_request_and_digest_are_unauthenticated():
    assert refused(REQUEST) == "sync_unauthenticated"
    assert refused(bc_sync.encode(bc_sync.BcDigest(7, 1, 2), TYPES)) == "sync_unauthenticated"
    assert refused(b"") == "sync_unauthenticated"
