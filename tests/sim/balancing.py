# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets that balance their load, and mobile nodes that follow a Home Agent Switch each in their manner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.sim.host import Host
from tests.sim.mobile import KEY, MobileNode
from tests.sim.world import FIRST_VRID, PREFIX, World
from vrrp_ha.core.balance_settings import BalanceMode, BalanceSettings
from vrrp_ha.core.settings import VirtualHaSettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import MILLISECOND, SECOND, Address
from vrrp_ha.wire import ipv6, mobility
from vrrp_ha.wire.mobility import BindingStatus

EVERYBODY_OWNS_ONE = ((255, 200, 150), (150, 255, 200), (200, 150, 255))
RETRY_US = 1 * SECOND
MOST_TRIES = 12
LOOK_US = 50 * MILLISECOND
# What a mobile node does when it is told.
FOLLOWS = "registers anew, then de-registers"  # make before break
OBEYS = "de-registers, then registers anew"  # RFC 5142 section 6.1 in the order of its words
KEEPS = "registers anew and does not de-register"
IGNORES = "does nothing"


def marks(high: int, low: int, *, rate: float = 5, hold_s: float = 600) -> BalanceSettings:
    return BalanceSettings(BalanceMode.AUTO, high, low, Pace(round(rate * 1_000_000), 1), round(hold_s * SECOND))


class Wanderer(MobileNode):
    """A mobile node that may be handed off. `went`: where to, in order."""

    def __init__(self, *arguments, manner: str) -> None:
        super().__init__(*arguments)
        self.manner = manner
        self.went: list[int] = []
        self._after: Callable[[], None] | None = None  # what it does when it is registered
        self._taking_leave: dict[Address, int] = {}  # home agents, and which attempt counts

    def receive(self, packet: ipv6.Packet) -> None:
        message = mobility.decode(packet.payload)
        if isinstance(message, mobility.HomeAgentSwitch):
            self._told(packet, message)
        elif isinstance(message, mobility.BindingAck) and packet.source in self._taking_leave:
            if message.status in (BindingStatus.ACCEPTED, BindingStatus.NOT_HOME_AGENT):
                del self._taking_leave[packet.source]
            elif message.status == BindingStatus.SEQUENCE_OUT_OF_WINDOW:
                self._sequence = message.sequence
        elif packet.source == self.virtual_ha.vha_address:
            super().receive(packet)
            if self._after and self.acknowledged and not self.in_doubt:
                then, self._after = self._after, None
                then()

    def _told(self, packet: ipv6.Packet, message: mobility.HomeAgentSwitch) -> None:
        if self.manner == IGNORES:
            return
        if packet.source != self.virtual_ha.vha_address:
            if self.manner != KEEPS:
                self._take_leave(packet.source)  # it does not know that we are gone
            return
        before = self.virtual_ha
        self.virtual_ha = next(v for v in self.world.virtual_has if v.vha_address == message.home_agents[0])
        self.went.append(self.virtual_ha.vrid)
        if self.manner == OBEYS:
            self._take_leave(before.vha_address)
        elif self.manner == FOLLOWS:
            self._after = lambda: self._take_leave(before.vha_address)
        self.register()

    def _take_leave(self, home_agent: Address) -> None:
        self._taking_leave[home_agent] = attempt = self._taking_leave.get(home_agent, 0) + 1
        self._send_leave(home_agent, attempt, MOST_TRIES)

    def _send_leave(self, home_agent: Address, attempt: int, tries: int) -> None:
        if self._taking_leave.get(home_agent) != attempt or not tries:
            return
        self._sequence = (self._sequence + 1) & 0xFFFF
        here = self.virtual_ha
        self.virtual_ha = next(v for v in self.world.virtual_has if v.vha_address == home_agent)
        octets, vrid = self._binding_update(self._sequence, False), self.virtual_ha.vrid
        self.virtual_ha = here
        self.world.to_virtual_ha(vrid, octets)
        self.world.after(RETRY_US, lambda: self._send_leave(home_agent, attempt, tries - 1))


@dataclass
class Sent:
    """One Home Agent Switch that left a Master."""

    at: int
    vrid: int
    home: Address


class Balancing:
    """A fleet of three with a virtual HA each, its mobile nodes, and what is watched all the time."""

    def __init__(
        self, seed: int, balance: BalanceSettings, at: Sequence[int], manners: Sequence[str], **changes
    ) -> None:
        options = {"priorities": EVERYBODY_OWNS_ONE, "interval_us": 100 * MILLISECOND, "balance": balance} | changes
        self.world = World(seed, **options)
        self.sent: list[Sent] = []
        self.unserved: Counter[Address] = Counter()  # looks at which nobody forwarded to where it is
        self.most = Counter[int]()  # bindings, by VRID
        self._watch_switches()
        self.world.start()
        self.world.run(8)
        self.nodes = [
            self._add(self.world.virtual_has[place], number, manners[number % len(manners)])
            for number, place in enumerate(place for place, count in enumerate(at) for _unused in range(count))
        ]
        for node in self.nodes:
            self.world.after(self.world.rng.randint(0, 200) * MILLISECOND, node.register)

    def run(self, seconds: float, *, watch: bool = True) -> None:
        """watch: look all the time whether everybody is forwarded to, and how many there are where."""
        end = self.world.now + round(seconds * SECOND)
        while self.world.now < end:
            self.world.run_until(min(end, self.world.now + LOOK_US))
            if watch:
                self._look()

    def loads(self) -> list[int]:
        return [self.load(v.vrid) for v in self.world.virtual_has]

    def load(self, vrid: int) -> int:
        return len(self.world.master(vrid).node.bindings(vrid))

    def handoffs(self, vrid: int = FIRST_VRID) -> dict[str, int]:
        return self.world.master(vrid).node.handoffs(vrid).counts()

    def told(self) -> set[Address]:
        return {sent.home for sent in self.sent}

    def is_bound(self, node: Wanderer) -> bool:
        """Where it thinks, or, having been refused there, where it was."""
        return any(self._forwards(host, v, node) for v in self.world.virtual_has for host in self.world.hosts)

    def nobody_moved_twice(self) -> bool:
        return all(len(node.went) <= 1 for node in self.nodes)

    def nobody_exceeds(self, rate: float) -> bool:
        """No Master sent more in any stretch of time than the pace and one."""
        for vrid in {sent.vrid for sent in self.sent}:
            times = [sent.at for sent in self.sent if sent.vrid == vrid]
            for first, start in enumerate(times):
                for number, end in enumerate(times[first:], 1):
                    if number > 1 + rate * (end - start) * 1.001 / SECOND + 1e-6:
                        return False
        return True

    def _add(self, virtual_ha: VirtualHaSettings, number: int, manner: str) -> Wanderer:
        home = PREFIX[:8] + bytes((0, 0, 0, 1)) + (number + 1).to_bytes(4, "big")
        node = Wanderer(self.world, virtual_ha, home, number + 1, 600, manner=manner)
        self.world.mobile_nodes.append(node)
        return node

    def _look(self) -> None:
        for node in self.nodes:
            if node.acknowledged and not self.is_bound(node):
                self.unserved[node.home] += 1
        for virtual_ha in self.world.virtual_has:
            for host in self.world.masters(virtual_ha.vrid):
                self.most[virtual_ha.vrid] = max(self.most[virtual_ha.vrid], len(host.node.bindings(virtual_ha.vrid)))

    def _forwards(self, host: Host, virtual_ha: VirtualHaSettings, node: Wanderer) -> bool:
        vrid = virtual_ha.vrid
        return host.running and host.serves(vrid) and host.kernel.routes[vrid].get(node.home) == node.care_of

    def _watch_switches(self) -> None:
        deliver = self.world.to_mobile_node

        def to_mobile_node(host: Host, octets: bytes) -> None:
            packet = ipv6.decode(octets)
            if isinstance(mobility.decode(packet.payload), mobility.HomeAgentSwitch):
                vrid = next(v.vrid for v in self.world.virtual_has if v.vha_address == packet.source)
                self.sent.append(Sent(self.world.now, vrid, packet.logical_destination))
            deliver(host, octets)

        self.world.to_mobile_node = to_mobile_node  # type: ignore[method-assign]


__all__ = ["KEY"]
