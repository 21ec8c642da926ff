# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mobile node of a large cache is handed off next: the same one for the same past, and found without a search.

The cache is gone through window by window, and within a window those whose bindings live longest come first. They
registered last, so they are most likely there and awake; and should one not follow, which means that it may not
prolong its binding, it has the most time left. One that might expire before it was told as often as RFC 5142 has it
told is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .binding_cache import BindingCache
from .home_agent_switch import TIMEOUTS_US
from .types import Address, Binding, Instant

WINDOW = 256  # slots
_MOST_WINDOWS = 4  # looked at in one turn


class Candidates:
    """Goes round the cache, and goes on where it stopped."""

    def __init__(self, cache: BindingCache, may_go: Callable[[Address, Instant], bool]) -> None:
        self._cache = cache
        self._may_go = may_go
        self._place = 0
        self._window: deque[Binding] = deque()
        self._rounds = 0  # ended since somebody was found

    @property
    def exhausted(self) -> bool:
        """A whole round has found nobody."""
        return self._rounds >= 2  # the first one ended may have begun anywhere

    def next(self, now: Instant) -> Binding | None:
        """The next one as it is bound now; None if a few windows had nobody."""
        for _unused in range(_MOST_WINDOWS):
            while self._window:
                binding = self._cache.get(self._window.popleft().home_address)
                if binding is not None and self._is_good(binding, now):
                    self._rounds = 0
                    return binding
            self._look_at_more(now)
        return None

    def _look_at_more(self, now: Instant) -> None:
        found, place = self._cache.chunk(self._place, WINDOW)
        good = [binding for binding in found if self._is_good(binding, now)]
        self._window.extend(sorted(good, key=lambda binding: (-binding.expires, binding.home_address)))
        self._place = place or 0
        if place is None:
            self._rounds += 1

    def _is_good(self, binding: Binding, now: Instant) -> bool:
        return binding.expires >= now + sum(TIMEOUTS_US) and self._may_go(binding.home_address, now)
