# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Home Agent Switch message (RFC 5142) as every virtual HA sends it, and when it is sent again.

Recoveries and handoffs both send it; when, and what is to follow from it, is theirs to know.
"""

from __future__ import annotations

from ..wire import ipv6, mobility
from .authentication import ntp_timestamp
from .effects import SendPacket
from .settings import MobileNodeKey
from .types import SECOND, Address

# RFC 5142 section 9: INITIAL-HA-SWITCH-TIMEOUT, doubled up to MAX-HA-SWITCH-TIMEOUT; the last one is for an answer.
TIMEOUTS_US = (5 * SECOND, 10 * SECOND, 20 * SECOND, 20 * SECOND)
HOP_LIMIT = 64


def home_agent_switch(
    source: Address,
    home_agents: tuple[Address, ...],
    destination: Address,
    home_address: Address,
    key: MobileNodeKey | None,
    wall_time_us: int | None,
) -> SendPacket:
    """RFC 5142 section 5.1, authenticated as RFC 4285 does Binding Acknowledgements; not at all without a key.

    destination is where the mobile node was heard last. The security associations here have timestamps for replay
    protection (RFC 4285 section 6), so who makes the message puts the time of day into it: without one, who recorded
    it could send mobile nodes away from their home agent for as long as the key lives.
    """
    message = mobility.HomeAgentSwitch(home_agents)
    if key is None:
        payload = mobility.encode(message)
    else:
        if wall_time_us is not None:
            timestamp = mobility.ReplayProtection(ntp_timestamp(wall_time_us))
            message = mobility.HomeAgentSwitch(home_agents, (timestamp,))
        payload = mobility.encode_authenticated(message, key.spi, key.key, destination, home_address)
    packet = ipv6.Packet(
        source=source,
        destination=destination,
        hop_limit=HOP_LIMIT,
        next_header=mobility.NEXT_HEADER,
        payload=payload,
        routing_home_address=home_address,
    )
    return SendPacket(ipv6.encode(ipv6.with_checksum(packet, mobility.CHECKSUM_OFFSET)))
