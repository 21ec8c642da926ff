# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home link: a switch that learns where a virtual MAC is, and lines that lose, delay, repeat and reorder.

The router, and with it every mobile node, is behind the switch in group 0. A partition puts hosts into other
groups; what is in different groups does not hear each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrrp_ha.core.effects import SendFrame
from vrrp_ha.core.types import ALL_NODES, Address
from vrrp_ha.wire import icmpv6, ipv6

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.world import World

ROUTER_GROUP = 0
NEIGHBOURS_MAC = bytes.fromhex("02000000bad0")


@dataclass(frozen=True, slots=True)
class Link:
    """What the lines of a home link do to a frame. Times are microseconds, the others probabilities."""

    latency_us: tuple[int, int] = (100, 300)
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    reordered_us: tuple[int, int] = (500, 5_000)


class Segment:
    """The switch and its lines, one to each host."""

    def __init__(self, world: World, link: Link) -> None:
        self.world = world
        self.link = link
        self.changed_at = 0
        self.groups: dict[Host, int] = {}
        self.ports: dict[int, Host] = {}  # where the router's side of the switch has learnt a VRID's virtual MAC
        self._busy: dict[object, int] = {}  # until when each line is, since frames do not overtake each other
        self.neighbours: set[Address] = set()  # addresses of nodes on the link that are neither hosts nor mobile
        self.drops: Callable[[Host, Host, bytes], bool] | None = None  # sender, receiver, packet

    def add_neighbour(self, address: Address) -> None:
        """From now on somebody on the router's side of the switch has this address, and defends it."""
        self.neighbours.add(address)

    def partition(self, *groups: list[Host]) -> None:
        """The first group is the router's; a host that is in none is alone."""
        self.changed_at = self.world.now
        self.groups = {host: 1000 + number for number, host in enumerate(self.world.hosts)}
        for number, hosts in enumerate(groups):
            self.groups.update(dict.fromkeys(hosts, number))

    def heal(self) -> None:
        """Everybody hears everybody."""
        self.changed_at = self.world.now
        self.groups = dict.fromkeys(self.world.hosts, ROUTER_GROUP)

    def connected(self, one: Host, other: Host) -> bool:
        return one.cable and other.cable and self.groups[one] == self.groups[other]

    def reaches_router(self, host: Host) -> bool:
        return host.cable and self.groups[host] == ROUTER_GROUP

    def transmit(self, sender: Host, frame: SendFrame) -> None:
        """From a host to its port of the switch."""
        if sender.cable:
            self.world.at(self._arrival(sender), lambda: self._forward(sender, frame))

    def _forward(self, sender: Host, frame: SendFrame) -> None:
        if frame.virtual_mac and self.reaches_router(sender):
            self.ports[frame.vrid] = sender
            self.world.checks.service_changed()
            self._answer_of_a_neighbour(frame.packet)
        for receiver in self.world.hosts:
            if receiver is not sender and self.connected(sender, receiver):
                self._deliver(sender, receiver, frame)

    def _answer_of_a_neighbour(self, octets: bytes) -> None:
        packet = ipv6.decode(octets)
        message = icmpv6.decode(packet.payload) if packet.next_header == ipv6.ICMPV6 else None
        if not isinstance(message, icmpv6.NeighbourSolicitation) or message.target not in self.neighbours:
            return
        answer = icmpv6.NeighbourAdvertisement(message.target, options=(icmpv6.target_link_layer(NEIGHBOURS_MAC),))
        whole = ipv6.Packet(message.target, ALL_NODES, icmpv6.ND_HOP_LIMIT, ipv6.ICMPV6, icmpv6.encode(answer))
        said = ipv6.encode(ipv6.with_checksum(whole, icmpv6.CHECKSUM_OFFSET))
        for host in self.world.hosts:
            if self.reaches_router(host):
                self.world.after(self._latency(), lambda host=host: host.receive(NEIGHBOURS_MAC, said))  # type: ignore[misc]

    def _deliver(self, sender: Host, receiver: Host, frame: SendFrame) -> None:
        rng, link, packet = self.world.rng, self.link, frame.packet
        mac = bytes((0, 0, 0x5E, 0, 2, frame.vrid)) if frame.virtual_mac else sender.mac
        if link.loss and rng.random() < link.loss:
            return
        if self.drops and self.drops(sender, receiver, packet):
            return
        copies = 2 if link.duplication and rng.random() < link.duplication else 1
        for _unused in range(copies):
            arrival = self._arrival((sender, receiver))
            if link.reordering and rng.random() < link.reordering:
                arrival += rng.randint(*link.reordered_us)
            self.world.at(arrival, lambda: receiver.receive(mac, packet))

    def to_virtual_ha(self, vrid: int, packet: bytes) -> None:
        """From the router to whoever the switch believes to have the virtual MAC."""
        host = self.ports.get(vrid)
        if host is None or not self.reaches_router(host):
            return
        if not (self.link.loss and self.world.rng.random() < self.link.loss):
            self.world.after(self._latency(), lambda: host.receive_served(vrid, packet))

    def _arrival(self, line: object) -> int:
        arrival = max(self.world.now + self._latency(), self._busy.get(line, 0) + 1)
        self._busy[line] = arrival
        return arrival

    def _latency(self) -> int:
        return self.world.rng.randint(*self.link.latency_us)
