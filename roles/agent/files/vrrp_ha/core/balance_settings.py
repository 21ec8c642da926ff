# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator can set about the load of a virtual HA, as the cores see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .token_bucket import Pace
from .types import SECOND


class BalanceMode(Enum):
    """What a Master does about its load by itself; the operator can hand mobile nodes off in any mode."""

    OFF = "off"
    ADVISE = "advise"  # say what it would do
    AUTO = "auto"


_ONE_PER_SECOND = Pace(1_000_000, 1)  # RFC 5142 section 8: MAX-HA-SWITCH-TRANSMIT-RATE


@dataclass(frozen=True, slots=True)
class BalanceSettings:
    """Load balance (draft section 6) of one virtual HA. Marks are numbers of bindings, both or neither."""

    mode: BalanceMode = BalanceMode.OFF
    high_water: int | None = None  # above it, mobile nodes are handed off ...
    low_water: int | None = None  # ... until no more than these are left; and no other fills this one above it
    pace: Pace = _ONE_PER_SECOND  # Home Agent Switch messages, repeated ones included
    hold_us: int = 600 * SECOND  # who came by a handoff, or did not follow one, is left alone for so long


NO_BALANCE = BalanceSettings()
