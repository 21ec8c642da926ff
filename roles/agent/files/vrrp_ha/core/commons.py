# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the virtual HAs of one agent have in common.

One set of keys, however many virtual HAs there are. One memory of timestamps: the authenticator of RFC 4285 does not
cover the home agent's address, so a Binding Update that was accepted by one virtual HA must not be good for another.
And a look at each other's bindings, and at the time of day. What was heard of other members is kept here, too: it
outlives the virtual HA and the agent. Who is Master of what is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .authentication import KeyRing, ReplayGuard
from .balance import Alone, Surroundings
from .binding_cache import BindingCache
from .held_addresses import HeldAddresses
from .settings import MobileNodeKey, NodeSettings
from .token_bucket import TokenBucket
from .types import Address, Instant
from .update_limits import UpdateLimits

Caches = Callable[[], Iterable[BindingCache]]
Around = Callable[[int], Surroundings]
Heard = dict[int, dict[Address, int]]  # VRID -> member -> number of its last synchronisation message


def _nobody(_vrid: int) -> Surroundings:
    return Alone()


class Commons:
    """Made by the node and given to each of its virtual HAs, which read it anew each time."""

    def __init__(
        self,
        node: NodeSettings,
        caches: Caches = tuple,
        heard: Heard | None = None,
        wall_offset_us: int | None = None,
        around: Around = _nobody,
    ) -> None:
        self.keys = KeyRing()
        self.replay = ReplayGuard(node.replay_window_us)
        self.caches = caches  # of every virtual HA of the agent, whoever is their Master
        self.around = around  # by VRID: the other virtual HAs of the same home link
        self.heard: Heard = {} if heard is None else heard
        self.held = HeldAddresses()
        self._wall_offset_us = wall_offset_us
        self.limits = UpdateLimits(node.limits)
        self.errors = TokenBucket(node.limits.errors, Instant(0))  # Binding Errors and Parameter Problems
        self.maximum_bindings = node.limits.maximum_bindings
        self._ipsec = node.ipsec
        self._given_keys: tuple[MobileNodeKey, ...] = ()
        self.reconfigure(node)

    def reconfigure(self, node: NodeSettings) -> None:
        """Use these settings from now on; the timestamps that were accepted stay known."""
        if node.mobile_node_keys != self._given_keys:  # comparing takes a fifth of the time
            self._given_keys = node.mobile_node_keys
            self.keys = KeyRing(node.mobile_node_keys)
        self.replay.window_us = node.replay_window_us
        self.limits.reconfigure(node.limits)
        if node.limits.errors != self.errors.pace:
            self.errors = TokenBucket(node.limits.errors, Instant(0))
        self.maximum_bindings = node.limits.maximum_bindings
        self._ipsec = node.ipsec

    def bindings(self) -> int:
        """How many there are in all."""
        return sum(map(len, self.caches()))

    def protected_identity(self, home_address: Address, home_agent: Address) -> str:
        """Who a mobile node with a security association is; empty if that is not given."""
        return next((a.identity for a in self._ipsec.between(home_address, home_agent) if a.identity), "")

    def is_bound(self, home_address: Address) -> bool:
        """Whether any virtual HA of this agent has a binding of it."""
        return any(home_address in cache for cache in self.caches())

    def note_wall_time(self, wall_time_us: int, now: Instant) -> None:
        """It is so many microseconds since 1970: learnt with every packet, so that a clock that is set is followed."""
        self._wall_offset_us = wall_time_us - now

    def wall_time_us(self, now: Instant) -> int | None:
        """Microseconds since 1970, for messages that carry it (RFC 4285 section 6); None if nobody has ever said."""
        return None if self._wall_offset_us is None else now + self._wall_offset_us
