# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator can set about the tunnels to mobile nodes, the same for every virtual HA of an agent (RFC 2473)."""

from __future__ import annotations

from dataclasses import dataclass

from .token_bucket import Pace

IPV6_HEADER = 40
TCP_HEADER = 20
MINIMUM_MTU = 1280  # RFC 8200 section 5

_ERROR_PACE = Pace(200_000_000, 200)
_PACE_OF_A_MOBILE_NODE = Pace(10_000_000, 20)


@dataclass(frozen=True, slots=True)
class TunnelSettings:
    """Sizes, hop limits and errors."""

    path_mtu: int = 0  # of the narrowest path to mobile nodes that is known of; 0: only the home link's is
    mss_clamp: bool = True
    hop_limit: int = 64  # of the outer header (RFC 2473 section 6.3)
    reassemble: bool = True  # fragments, before anything is made of them
    relay_errors: bool = True
    errors: Pace = _ERROR_PACE  # messages to original sources, of each virtual HA (RFC 4443 section 2.4 (f))
    errors_of_one: Pace = _PACE_OF_A_MOBILE_NODE  # of these, those about packets for one home address

    def maximum_segment(self, link_mtu: int) -> int | None:
        """The largest TCP segment that fits a tunnel over a link and the known paths; None: leave segments alone."""
        if not self.mss_clamp:
            return None
        outer = min(link_mtu, self.path_mtu) if self.path_mtu else link_mtu
        return max(outer, MINIMUM_MTU) - 2 * IPV6_HEADER - TCP_HEADER
