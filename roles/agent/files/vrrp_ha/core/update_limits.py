# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many Binding Updates are looked at, before the work of finding out whether they are authentic.

A source address can be forged, so a limit by source could be used against the mobile nodes behind it. Hence:

- What counts is what fails. A Binding Update that proves authentic, and fresh, gives back what it took: honest mobile
  nodes are not limited, however many of them are behind one prefix.
- When the bucket of a source, or that of all of them, is empty because of somebody else, a mobile node that is known
  here (it is bound, or has a key of its own) has a small reserve, and another one for where it is bound. To lock it
  out one has to name it in every packet, and for its refreshes to know where it is as well.

All virtual HAs of an agent share one of these: it is their processor.
"""

from __future__ import annotations

from collections.abc import Callable

from .binding_request import DiscardedError
from .policy_settings import LimitSettings
from .token_bucket import Pace, TokenBucket, TokenBuckets
from .types import Address, Instant

_SOURCE_OCTETS = 8  # a /64: whoever has one address of it can have the others
_MOST_SOURCES = 4096
_MOST_MOBILE_NODES = 65_536
_RESERVE = Pace(500_000, 3)  # what a mobile node that is not answered sends: RFC 6275 section 11.8

Charge = tuple[TokenBucket, ...]


class UpdateLimits:
    """charge() before the work; give_back() when it was worth it, and then authentic()."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._make()

    def reconfigure(self, settings: LimitSettings) -> None:
        """Use these from now on. Changed ones begin with full buckets."""
        if settings != self._settings:
            self._settings = settings
            self._make()

    def _make(self) -> None:
        self._all = TokenBucket(self._settings.updates, Instant(0))
        self._sources = TokenBuckets(self._settings.per_source, _MOST_SOURCES)
        self._reserves = TokenBuckets(_RESERVE, _MOST_MOBILE_NODES)
        self._mobile_nodes = TokenBuckets(self._settings.per_mobile_node, _MOST_MOBILE_NODES)

    def charge(
        self,
        home_address: Address,
        source: Address,
        is_known: Callable[[], bool],
        care_of_address: Address | None,
        now: Instant,
    ) -> Charge:
        """What this one takes; DiscardedError if nothing is left.

        is_known: asked only then. care_of_address: where it is bound with the virtual HA that it speaks to, if it is.
        """
        place = source[:_SOURCE_OCTETS]
        bucket = self._sources.find(place, now)
        if not bucket.take(now):
            limit = "limited_source"
        elif self._all.take(now):
            return bucket, self._all
        else:
            bucket.give_back()
            limit = "limited_all"
        if is_known():
            at_home = care_of_address is not None and care_of_address[:_SOURCE_OCTETS] == place
            reserve = self._reserves.find(home_address + place if at_home else home_address, now)
            if reserve.take(now):
                return (reserve,)
        raise DiscardedError(limit)

    def give_back(self, charge: Charge) -> None:
        """It was authentic."""
        for bucket in charge:
            bucket.give_back()

    def authentic(self, home_address: Address, now: Instant) -> None:
        """One more of this mobile node; DiscardedError if it sends more than it should."""
        if not self._mobile_nodes.take(home_address, now):
            raise DiscardedError("limited_mobile_node")
