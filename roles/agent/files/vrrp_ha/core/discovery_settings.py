# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator can set of home agent discovery and of prefixes for absent mobile nodes, for each virtual HA."""

from __future__ import annotations

from dataclasses import dataclass

from .token_bucket import Pace
from .types import SECOND

_PACE = Pace(50_000_000, 100)
_PACE_OF_A_SOURCE = Pace(1_000_000, 5)


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """RFC 6275 sections 7.4, 10.5 and 10.6, and the variables of section 13."""

    home_agent_information: bool = True  # the option of section 7.4 in Router Advertisements
    preference: int | None = None  # None: falls as the load rises
    full_at: int = 10_000  # bindings, where load balance has no high-water mark
    home_agent_lifetime_us: int = 1800 * SECOND
    dhaad: bool = True  # requests are answered
    pace: Pace = _PACE  # answers to discovery requests and prefix solicitations
    per_source: Pace = _PACE_OF_A_SOURCE  # the same, to one /64
    prefix_solicitations: bool = True  # are answered
    prefix_advertisements: bool = True  # are sent without being asked for
    prefix_rate_millionths: int = 50_000_000  # of those
    minimum_prefix_interval_us: int = 600 * SECOND  # MinMobPfxAdvInterval
    maximum_prefix_interval_us: int = 86_400 * SECOND  # MaxMobPfxAdvInterval
