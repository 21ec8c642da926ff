# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a Binding Update is from: the keys and the timestamps of RFC 4285.

Two small things that registration.py uses in this order: the keys that are valid for a home address (KeyRing)
and whether a timestamp is fresh (ReplayGuard, section 6). What is between them, the arithmetic of the
authentication option, is in wire/mobility.py. Nothing here knows messages, status codes or bindings.
"""

from __future__ import annotations

from collections.abc import Iterable

from .settings import MobileNodeKey
from .types import SECOND, Address, Instant

_NTP_UNIX_OFFSET_S = 2_208_988_800  # from 1900 to 1970, RFC 1305
_NTP_MODULUS = 1 << 64
_NTP_HALF = 1 << 63
_LOW_32 = 0xFFFF_FFFF


class KeyRing:
    """The mobility security associations by home address: the longest matching prefix alone counts.

    Were shorter prefixes to count as well, whoever knows the key of a prefix could speak for a mobile node
    of that prefix that was given a key of its own. Several SPIs of one prefix are valid at once, which is
    how a key is changed without losing anybody.
    """

    def __init__(self, keys: Iterable[MobileNodeKey] = ()) -> None:
        by_length: dict[int, dict[int, tuple[MobileNodeKey, ...]]] = {}
        for key in keys:
            shift = 128 - key.prefix_length
            of_length = by_length.setdefault(shift, {})
            prefix = int.from_bytes(key.prefix, "big") >> shift
            of_length[prefix] = (*of_length.get(prefix, ()), key)
        self._by_shift = sorted(by_length.items())  # the longest prefix first

    def keys_for(self, home_address: Address) -> tuple[MobileNodeKey, ...]:
        """Every key that is valid for this home address; empty if there is no security association."""
        number = int.from_bytes(home_address, "big")
        for shift, of_length in self._by_shift:
            found = of_length.get(number >> shift)
            if found is not None:
                return found
        return ()

    def find(self, home_address: Address, spi: int) -> MobileNodeKey | None:
        """The key that this SPI names for this home address."""
        for key in self.keys_for(home_address):
            if key.spi == spi:
                return key
        return None

    def for_sending(self, home_address: Address, attempt: int = 0) -> MobileNodeKey | None:
        """The key for a message that the home agent begins: the newest, which is the last of them as they were given.

        While keys are changed nobody knows which ones the mobile node has. So each further attempt takes the next older
        one, and begins anew after the oldest.
        """
        keys = self.keys_for(home_address)
        return keys[-1 - attempt % len(keys)] if keys else None


def ntp_timestamp(wall_time_us: int) -> int:
    """The 64-bit NTP timestamp of a time in microseconds since 1970, in whatever era that is."""
    seconds, microseconds = divmod(wall_time_us, SECOND)
    return (((seconds + _NTP_UNIX_OFFSET_S) << 32) + (microseconds << 32) // SECOND) % _NTP_MODULUS


def corrected_timestamp(received: int, wall_time_us: int) -> int:
    """What a refused timestamp is answered with: our high-order 32 bits, the mobile node's low-order ones."""
    return (ntp_timestamp(wall_time_us) & ~_LOW_32) | (received & _LOW_32)


class ReplayGuard:
    """Timestamps per mobile node, RFC 4285 section 6: close enough to our clock, and each above the last one.

    A timestamp can be replayed only while our clock is within the window of it, so for two windows after it
    was accepted at the latest. Entries are kept at least that long and at most twice as long: what is
    remembered is bounded by the rate of Binding Updates, not by the number of mobile nodes ever seen.
    """

    def __init__(self, window_us: int) -> None:
        self.window_us = window_us
        self._newer: dict[Address, int] = {}
        self._older: dict[Address, int] = {}
        self._turned_over: Instant | None = None

    def accept(self, home_address: Address, timestamp: int, wall_time_us: int, now: Instant) -> bool:
        """Whether the timestamp is valid; if it is, it is remembered and never valid again."""
        window = (self.window_us << 32) // SECOND
        if abs(_later_by(timestamp, ntp_timestamp(wall_time_us))) > window:
            return False
        self._forget(now)
        last = self._newer.get(home_address)
        if last is None:
            last = self._older.get(home_address)
        if last is not None and _later_by(timestamp, last) <= 0:
            return False
        self._newer[home_address] = timestamp
        return True

    def __len__(self) -> int:
        return len(self._newer.keys() | self._older.keys())

    def _forget(self, now: Instant) -> None:
        period = 2 * self.window_us
        if self._turned_over is None:
            self._turned_over = now
        elapsed = now - self._turned_over
        if elapsed >= period:
            self._older = self._newer if elapsed < 2 * period else {}
            self._newer = {}
            self._turned_over = now


def _later_by(timestamp: int, other: int) -> int:
    """The signed difference of two NTP timestamps, right also across the end of an era (2036)."""
    return (timestamp - other + _NTP_HALF) % _NTP_MODULUS - _NTP_HALF
