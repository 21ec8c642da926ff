# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 4285: which keys are valid for whom, which timestamps are fresh."""

from __future__ import annotations

from vrrp_ha.core.authentication import (
    KeyRing,
    ReplayGuard,
    corrected_timestamp,
    ntp_timestamp,
)
from vrrp_ha.core.settings import MobileNodeKey
from vrrp_ha.core.types import SECOND, Instant, packed

HOME = packed("2001:db8:1::1001")
OTHER = packed("2001:db8:1::1002")
KEY = bytes(range(16))
WINDOW = 7 * SECOND
WALL = 1_700_000_000 * SECOND
NOW = Instant(0)


def key(spi: int, prefix: str, length: int, octets: bytes = KEY) -> MobileNodeKey:
    return MobileNodeKey(spi, octets, packed(prefix), length)


# --- keys --------------------------------------------------------------------------------------------------


def test_a_home_address_without_any_key_has_no_security_association():
    ring = KeyRing([key(256, "2001:db8:2::", 64)])
    assert ring.keys_for(HOME) == ()
    assert ring.find(HOME, 256) is None


def test_several_spis_are_valid_at_once():
    old, new = key(256, "2001:db8:1::1001", 128), key(257, "2001:db8:1::1001", 128, b"n" * 16)
    ring = KeyRing([old, new])
    assert ring.find(HOME, 256) is old
    assert ring.find(HOME, 257) is new
    assert ring.find(HOME, 258) is None


def test_the_home_agent_begins_with_the_newest_key_and_goes_on_with_older_ones():
    keys = [key(spi, "2001:db8:1::1001", 128) for spi in (300, 256, 257)]
    ring = KeyRing([*keys, key(999, "2001:db8:1::", 64)])
    assert [ring.for_sending(HOME, attempt).spi for attempt in range(5)] == [257, 256, 300, 257, 256]
    assert ring.for_sending(OTHER).spi == 999
    assert KeyRing().for_sending(HOME) is None


def test_the_key_of_a_prefix_is_not_valid_for_a_home_address_with_its_own():
    of_all, own = key(256, "2001:db8:1::", 64), key(257, "2001:db8:1::1001", 128, b"o" * 16)
    ring = KeyRing([of_all, own])
    assert ring.find(HOME, 257) is own
    assert ring.find(HOME, 256) is None
    assert ring.find(OTHER, 256) is of_all
    assert ring.find(OTHER, 257) is None


def test_bits_below_the_prefix_length_do_not_matter():
    ring = KeyRing([key(256, "2001:db8:1::dead", 64)])
    assert ring.find(HOME, 256) is not None


def test_a_prefix_of_length_zero_is_for_everybody():
    assert KeyRing([key(256, "::", 0)]).find(HOME, 256) is not None


# --- timestamps --------------------------------------------------------------------------------------------


def test_ntp_timestamps_count_from_1900_with_binary_fractions():
    assert ntp_timestamp(0) == 2_208_988_800 << 32
    assert ntp_timestamp(SECOND // 2) == (2_208_988_800 << 32) | 0x8000_0000


def test_a_timestamp_within_the_window_is_accepted_on_both_sides():
    for offset in (-WINDOW, 0, WINDOW):
        assert ReplayGuard(WINDOW).accept(HOME, ntp_timestamp(WALL + offset), WALL, NOW)


def test_a_timestamp_outside_the_window_is_refused_on_both_sides():
    for offset in (-WINDOW - 1000, WINDOW + 1000):
        assert not ReplayGuard(WINDOW).accept(HOME, ntp_timestamp(WALL + offset), WALL, NOW)


def test_the_same_timestamp_is_never_accepted_twice():
    guard = ReplayGuard(WINDOW)
    stamp = ntp_timestamp(WALL)
    assert guard.accept(HOME, stamp, WALL, NOW)
    assert not guard.accept(HOME, stamp, WALL + SECOND, Instant(SECOND))


def test_an_earlier_timestamp_is_refused_although_it_is_in_the_window():
    guard = ReplayGuard(WINDOW)
    assert guard.accept(HOME, ntp_timestamp(WALL), WALL, NOW)
    assert not guard.accept(HOME, ntp_timestamp(WALL) - 1, WALL, NOW)
    assert guard.accept(HOME, ntp_timestamp(WALL) + 1, WALL, NOW)


def test_mobile_nodes_do_not_disturb_one_another():
    guard = ReplayGuard(WINDOW)
    assert guard.accept(HOME, ntp_timestamp(WALL), WALL, NOW)
    assert guard.accept(OTHER, ntp_timestamp(WALL) - 1, WALL, NOW)


def test_a_refused_timestamp_is_not_remembered():
    guard = ReplayGuard(WINDOW)
    assert not guard.accept(HOME, ntp_timestamp(WALL + 8 * SECOND), WALL, NOW)
    assert guard.accept(HOME, ntp_timestamp(WALL), WALL, NOW)


def test_no_timestamp_is_forgotten_while_it_could_be_replayed():
    """Stamped ahead of our clock by the whole window, it stays in the window for two windows."""
    for accepted_at in range(0, 40 * SECOND, SECOND // 2):
        guard = ReplayGuard(WINDOW)
        assert guard.accept(OTHER, ntp_timestamp(WALL), WALL, NOW)  # the turn-overs are counted from here
        stamp = ntp_timestamp(WALL + accepted_at + WINDOW)
        assert guard.accept(HOME, stamp, WALL + accepted_at, Instant(accepted_at))
        for later in range(accepted_at, accepted_at + 2 * WINDOW + 1, SECOND // 2):
            assert guard.accept(OTHER, ntp_timestamp(WALL + later) + 1 + later, WALL + later, Instant(later))
            assert not guard.accept(HOME, stamp, WALL + later, Instant(later))


def test_what_cannot_be_replayed_any_more_is_forgotten():
    guard = ReplayGuard(WINDOW)
    for number in range(1000):
        at = Instant(number * SECOND)
        assert guard.accept(number.to_bytes(16, "big"), ntp_timestamp(WALL + at), WALL + at, at)
    assert len(guard) <= 4 * 7 + 1


def test_the_end_of_the_ntp_era_is_a_moment_like_any_other():
    guard = ReplayGuard(WINDOW)
    end_of_era_0 = ((1 << 32) - 2_208_988_800) * SECOND
    assert ntp_timestamp(end_of_era_0) == 0
    assert guard.accept(HOME, ntp_timestamp(end_of_era_0 - SECOND), end_of_era_0 - SECOND, NOW)
    assert guard.accept(HOME, ntp_timestamp(end_of_era_0 + SECOND), end_of_era_0 - SECOND, NOW)
    assert not guard.accept(HOME, ntp_timestamp(end_of_era_0 - 2 * SECOND), end_of_era_0, NOW)


def test_the_correction_keeps_the_low_order_half_of_what_was_received():
    corrected = corrected_timestamp(0x1111_1111_2222_2222, WALL)
    assert corrected >> 32 == ntp_timestamp(WALL) >> 32
    assert corrected & 0xFFFF_FFFF == 0x2222_2222
