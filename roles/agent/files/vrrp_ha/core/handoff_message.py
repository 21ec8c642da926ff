# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mobile node that is handed off is told: which home agents to use, under which key. And whether it can be.

RFC 5142 section 5.1 wants the message protected as Binding Updates are: by RFC 4285 or by ESP (ipsec.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from .balance import Standing, Surroundings
from .commons import Commons
from .effects import SendPacket
from .handoff_events import OF_OPERATOR, Handoff
from .home_agent_switch import home_agent_switch
from .settings import NodeSettings, VirtualHaSettings
from .types import Address, Instant

_MOST_HOME_AGENTS = 3  # in one message


class HandoffMessages:
    """The messages of one virtual HA."""

    def __init__(
        self, virtual_ha: VirtualHaSettings, node: NodeSettings, commons: Commons, surroundings: Surroundings
    ) -> None:
        self._commons = commons
        self._surroundings = surroundings
        self.reconfigure(virtual_ha, node)

    def reconfigure(self, virtual_ha: VirtualHaSettings, node: NodeSettings) -> None:
        """Use these from now on."""
        self._virtual_ha = virtual_ha
        self._ipsec = node.ipsec

    def can_be_told(self, home_address: Address) -> bool:
        """There is a way to tell it so that it believes it."""
        return (
            self._virtual_ha.insecure_bindings
            or bool(self._commons.keys.keys_for(home_address))
            or self._has_ipsec(home_address, self._virtual_ha.vha_address)
        )

    def usable(self, home_address: Address) -> list[Standing]:
        """The virtual HAs that could take it. One that is spoken with in ESP needs an association with those, too."""
        usable = [other for other in self._surroundings.others() if other.usable]
        if self._has_ipsec(home_address, self._virtual_ha.vha_address):
            return [other for other in usable if self._has_ipsec(home_address, other.vha_address)]
        return usable

    def home_agents(self, handoff: Handoff, under_way: Mapping[int, int]) -> tuple[Address, ...]:
        """The one that is meant, then others in case it does not answer; nothing if there is none.

        Where the meant one cannot take it any more, or none was named, it is the least loaded that is meant.
        """
        usable = self.usable(handoff.home_address)
        usable.sort(key=lambda other: (other.bindings + under_way.get(other.vrid, 0), other.vrid))
        named = handoff.to is not None and handoff.reason == OF_OPERATOR and not handoff.attempts
        if usable and not named and handoff.to not in [other.vrid for other in usable]:
            handoff.to = usable[0].vrid
        meant = [other for other in usable if other.vrid == handoff.to]
        others = [other for other in usable if other.vrid != handoff.to and not other.full]
        return tuple(other.vha_address for other in (*meant, *others)[:_MOST_HOME_AGENTS]) if meant else ()

    def message(self, handoff: Handoff, home_agents: tuple[Address, ...], now: Instant) -> SendPacket:
        """The Home Agent Switch for this attempt."""
        source, home_address = self._virtual_ha.vha_address, handoff.home_address
        by_ipsec = self._has_ipsec(home_address, source)
        key = None if by_ipsec else self._commons.keys.for_sending(home_address, handoff.attempts)
        wall_time_us = self._commons.wall_time_us(now)
        return home_agent_switch(source, home_agents, handoff.destination, home_address, key, wall_time_us)

    def _has_ipsec(self, home_address: Address, home_agent: Address) -> bool:
        return bool(self._ipsec.between(home_address, home_agent))
