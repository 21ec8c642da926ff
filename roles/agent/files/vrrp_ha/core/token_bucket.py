# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often something may happen: a token bucket, and many of them by name with a bound on how many are remembered."""

from __future__ import annotations

from dataclasses import dataclass

from .types import SECOND, Instant


@dataclass(frozen=True, slots=True)
class Pace:
    """burst at once, then rate per second (millionths of it: a whole number is exact)."""

    rate_millionths: int
    burst: int

    @property
    def full(self) -> int:
        """A full bucket, in the unit of TokenBucket.level: what flows in within a microsecond at one per second."""
        return self.burst * SECOND * 1_000_000


class TokenBucket:
    """One token per event; full at first."""

    __slots__ = ("_at", "_level", "pace")

    _TOKEN = SECOND * 1_000_000

    def __init__(self, pace: Pace, now: Instant) -> None:
        self.pace = pace
        self._level = pace.full
        self._at = now

    def take(self, now: Instant) -> bool:
        """Take a token if there is one."""
        self._fill(now)
        if self._level < self._TOKEN:
            return False
        self._level -= self._TOKEN
        return True

    def give_back(self) -> None:
        """One that was taken was not needed."""
        self._level = min(self.pace.full, self._level + self._TOKEN)

    def next_token(self, now: Instant) -> Instant:
        """When there is a token, if nobody takes one before."""
        self._fill(now)
        missing = max(0, self._TOKEN - self._level)
        return Instant(now + -(-missing // self.pace.rate_millionths))

    def is_full(self, now: Instant) -> bool:
        """As good as new: nothing is lost by forgetting it."""
        self._fill(now)
        return self._level >= self.pace.full

    def _fill(self, now: Instant) -> None:
        if now > self._at:
            self._level = min(self.pace.full, self._level + (now - self._at) * self.pace.rate_millionths)
            self._at = now


class TokenBuckets:
    """A bucket per name. Beyond `most` names the one that was used longest ago is forgotten, full or not."""

    def __init__(self, pace: Pace, most: int) -> None:
        self._pace = pace
        self._most = most
        self._buckets: dict[bytes, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def find(self, name: bytes, now: Instant) -> TokenBucket:
        """That name's bucket, a full one if it was not used for long."""
        bucket = self._buckets.pop(name, None)
        if bucket is None:
            bucket = TokenBucket(self._pace, now)
            self._forget(now)
        self._buckets[name] = bucket  # last in the order of use
        return bucket

    def take(self, name: bytes, now: Instant) -> bool:
        """Take a token of that name's bucket if there is one."""
        return self.find(name, now).take(now)

    def _forget(self, now: Instant) -> None:
        while self._buckets:
            oldest = next(iter(self._buckets))
            if len(self._buckets) < self._most and not self._buckets[oldest].is_full(now):
                return
            del self._buckets[oldest]
