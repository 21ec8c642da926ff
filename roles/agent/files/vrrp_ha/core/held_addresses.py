# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Home addresses whose binding was deleted for a full recovery: kept unique until the mobile node is back.

RFC 6275 section 10.3.1 asks for Duplicate Address Detection unless this home agent has a binding already. It had one
until it told the mobile node to register anew, and if it goes on defending the address meanwhile nobody can have taken
it: the mobile node need not be without traffic for the second that the test takes. That ends after a while, as the
hold after a de-registration does; who comes later is tested.
"""

from __future__ import annotations

from .address_detection import addresses_of
from .types import SECOND, Address, Binding, Instant

HOLD_US = 10 * SECOND
MOST_HELD = 65_536


class HeldAddresses:
    """Of all virtual HAs of an agent; in the order in which they are let go."""

    def __init__(self) -> None:
        self._until: dict[Address, tuple[Instant, int]] = {}  # when, and the VRID of the virtual HA that defends it

    def __len__(self) -> int:
        return len(self._until)

    def hold(self, binding: Binding, vrid: int, now: Instant) -> None:
        """This binding was just deleted; its addresses are the mobile node's still."""
        for address in addresses_of(binding.home_address, binding.flags):
            self._until.pop(address, None)
            self._until[address] = (Instant(now + HOLD_US), vrid)
        while self._until and (len(self._until) > MOST_HELD or next(iter(self._until.values()))[0] <= now):
            del self._until[next(iter(self._until))]

    def are_held(self, home_address: Address, flags: int, now: Instant) -> bool:
        """Whether a binding with these flags needs no test."""
        return all(self.defender(address, now) is not None for address in addresses_of(home_address, flags))

    def defender(self, address: Address, now: Instant) -> int | None:
        """The VRID of the virtual HA that defends an address; None if it is not held."""
        until, vrid = self._until.get(address, (Instant(0), 0))
        return vrid if now < until else None
