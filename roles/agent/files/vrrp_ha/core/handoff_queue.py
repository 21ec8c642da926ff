# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator wants handed off and nobody was told yet: mobile nodes by name first, then so many of any."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .binding_cache import BindingCache
from .candidates import Candidates
from .events import HandoffWanted
from .handoff_events import OF_OPERATOR, Handoff
from .load import SEARCH_US
from .types import Address, Instant


@dataclass(slots=True)
class _Quota:
    """So many more, whoever they are."""

    left: int
    to: int | None


class HandoffQueue:
    """In order of arrival. may_be_named: whether one that the operator names can be asked at all."""

    def __init__(self, cache: BindingCache, candidates: Candidates, may_be_named: Callable[[Address], bool]) -> None:
        self.named: dict[Address, Handoff] = {}
        self.search_at: Instant | None = None  # a large cache was looked at in part
        self._cache = cache
        self._candidates = candidates
        self._may_be_named = may_be_named
        self._quotas: deque[_Quota] = deque()

    def __len__(self) -> int:
        return len(self.named) + sum(quota.left for quota in self._quotas)

    def __contains__(self, home_address: object) -> bool:
        return home_address in self.named

    def add(self, wanted: HandoffWanted, now: Instant) -> None:
        """Those who are bound and may be asked; the others are not in the queue then."""
        for home_address in wanted.home_addresses:
            binding = self._cache.get(home_address)
            if binding is not None and self._may_be_named(home_address):
                handoff = Handoff(home_address, binding.care_of_address, OF_OPERATOR, now, wanted.to)
                self.named[home_address] = handoff
        if wanted.count:
            self._quotas.append(_Quota(wanted.count, wanted.to))

    def unnamed(self) -> dict[int | None, int]:
        """How many more, whoever they are, by the VRID that they are to use."""
        found: dict[int | None, int] = {}
        for quota in self._quotas:
            found[quota.to] = found.get(quota.to, 0) + quota.left
        return found

    def clear(self) -> Iterable[Handoff]:
        """Nobody is wanted any more; those who had been named."""
        named = list(self.named.values())
        self.named.clear()
        self._quotas.clear()
        return named

    def next(self, now: Instant) -> Handoff | None:
        """Whose turn it is; out of the queue."""
        self.search_at = None
        if self.named:
            return self.named.pop(next(iter(self.named)))
        while self._quotas:
            quota = self._quotas[0]
            binding = self._candidates.next(now)
            if binding is not None:
                quota.left -= 1
            elif not self._candidates.exhausted:
                self.search_at = Instant(now + SEARCH_US)
                return None
            if binding is None or not quota.left:
                self._quotas.popleft()
            if binding is not None:
                return Handoff(binding.home_address, binding.care_of_address, OF_OPERATOR, now, quota.to)
        return None
