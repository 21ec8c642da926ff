# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual time: hosts, their home link, mobile nodes, and a heap of what happens when.

Everything that is random comes from one seeded generator, and everything that happens goes into a trace: the same
seed gives the same trace. Times are integer microseconds.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from heapq import heappop, heappush
from types import MappingProxyType

from tests.sim.checks import Checks
from tests.sim.host import Host
from tests.sim.mobile import KEY, SPI, MobileNode
from tests.sim.segment import Link, Segment
from vrrp_ha.core.balance_settings import NO_BALANCE, BalanceSettings
from vrrp_ha.core.settings import (
    Member,
    MobileNodeKey,
    NodeSettings,
    RecoverySettings,
    SyncKey,
    SyncSettings,
    VirtualHaSettings,
)
from vrrp_ha.core.types import MILLISECOND, SECOND, packed
from vrrp_ha.wire import ipv6

PREFIX = packed("2001:db8:1::")
FIRST_VRID = 51
SYNC_KEY = SyncKey("fleet", 1, b"the key of the fleet")
NODE_KEYS = (MobileNodeKey(SPI, KEY, PREFIX, 64),)
EPOCH_OF_WALL_CLOCKS = 1_700_000_000 * SECOND
ACCESS_LATENCY_US = (2 * MILLISECOND, 30 * MILLISECOND)
LAST_LINES = 2000
GOOD_LINK = Link()
DEFAULT_SYNC = SyncSettings()
DEFAULT_RECOVERY = RecoverySettings()
NO_KEYS_OF_THEIR_OWN: Mapping[str, tuple[MobileNodeKey, ...]] = MappingProxyType({})


class World:
    """A fleet on a home link. `priorities`, per virtual HA: who competes with what; 255 owns it."""

    def __init__(
        self,
        seed: int,
        *,
        names: Sequence[str] = ("a", "b", "c"),
        priorities: Sequence[Sequence[int]] = ((255, 200, 150),),
        link: Link = GOOD_LINK,
        interval_us: int = 1 * SECOND,
        sync: SyncSettings = DEFAULT_SYNC,
        drift: float = 1e-4,
        access_loss: float = 0.0,
        snapshot_us: int = 20 * SECOND,
        keys: Mapping[str, tuple[MobileNodeKey, ...]] = NO_KEYS_OF_THEIR_OWN,
        recovery: RecoverySettings = DEFAULT_RECOVERY,
        balance: BalanceSettings = NO_BALANCE,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now = 0
        self.link = link
        self.master_down_us = 4 * interval_us  # of the least eager
        self.silence_us = 3 * interval_us * 99 // 100  # after less nobody takes over, however its clock runs
        self.drift = drift
        self.access_loss = access_loss
        self.router_mac = bytes.fromhex("02000000ffff")
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self._trace = blake2b(digest_size=16)
        self._heap: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self.balance = balance
        self.virtual_has = [
            self._virtual_ha(FIRST_VRID + number, interval_us, names, row) for number, row in enumerate(priorities)
        ]
        self.segment = Segment(self, link)
        self.checks = Checks(self)
        self.hosts: list[Host] = []
        for number, name in enumerate(names):
            own = tuple(
                self._of_member(virtual_ha, row[number])
                for virtual_ha, row in zip(self.virtual_has, priorities, strict=True)
            )
            settings = NodeSettings(name, own, keys.get(name, NODE_KEYS), sync, recovery=recovery)
            self.hosts.append(Host(self, name, _address(number), settings))
        self.segment.heal()
        self.mobile_nodes: list[MobileNode] = []
        if snapshot_us:
            self._snapshots(snapshot_us)

    # --- time ----------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        return self.now / SECOND

    @property
    def wall(self) -> int:
        """Microseconds since 1970, as a perfect clock would show."""
        return EPOCH_OF_WALL_CLOCKS + self.now

    def at(self, time: int, what: Callable[[], object]) -> None:
        """Let something happen then."""
        self._count += 1
        heappush(self._heap, (max(time, self.now), self._count, what))

    def after(self, delay: int, what: Callable[[], object]) -> None:
        self.at(self.now + delay, what)

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        self.run_until(self.now + round(seconds * SECOND))

    def run_until(self, time: int) -> None:
        while self._heap and self._heap[0][0] <= time:
            self.now, _unused, what = heappop(self._heap)
            what()
        self.now = time

    def time_until(self, condition: Callable[[], bool], *, at_most: float = 60) -> float:
        """Seconds until something is true, to the next thing that happens."""
        start = self.now
        while not condition():
            if not self._heap or self._heap[0][0] > start + at_most * SECOND:
                raise AssertionError(f"not within {at_most} s\n{self.story()}")
            self.now, _unused, what = heappop(self._heap)
            what()
        return (self.now - start) / SECOND

    # --- the trace -----------------------------------------------------------------------------------------

    def log(self, host: Host | None, what: str, packet: bytes = b"") -> None:
        """One line of the trace."""
        name = host.name if host else "-"
        self._trace.update(f"{self.now} {name} {what} ".encode() + packet)
        if packet and len(packet) > 47 and packet[6] == 112:
            what = (
                f"{what} vrrp type {packet[40] & 15} vrid {packet[41]} priority or 0: {packet[42]} count {packet[43]}"
            )
        self.lines.append(f"{self.seconds:12.6f} {name} {what}")

    @property
    def trace(self) -> str:
        """What the whole past comes to."""
        return self._trace.hexdigest()

    def story(self) -> str:
        """The end of the trace, for whoever has to find out why."""
        return "\n".join([f"seed {self.seed}", *self.lines])

    # --- who is there --------------------------------------------------------------------------------------

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def start(self) -> None:
        """Everybody, within a second."""
        for host in self.hosts:
            self.after(self.rng.randint(0, SECOND), host.start)

    def masters(self, vrid: int) -> list[Host]:
        return [host for host in self.hosts if host.running and host.is_master(vrid)]

    def master(self, vrid: int = FIRST_VRID) -> Host:
        (host,) = self.masters(vrid)
        return host

    def add_mobile_nodes(self, count: int, *, lifetime_s: int = 600) -> list[MobileNode]:
        """So many to each virtual HA; they stay idle until somebody tells them to register."""
        added = []
        for virtual_ha in self.virtual_has:
            for _unused in range(count):
                number = len(self.mobile_nodes) + 1
                home = PREFIX[:8] + bytes((0, 0, 0, virtual_ha.vrid)) + number.to_bytes(4, "big")
                node = MobileNode(self, virtual_ha, home, number, lifetime_s)
                self.mobile_nodes.append(node)
                added.append(node)
        return added

    # --- the way to mobile nodes and back ------------------------------------------------------------------

    def to_virtual_ha(self, vrid: int, packet: bytes) -> None:
        if not self._lost():
            self.after(self.rng.randint(*ACCESS_LATENCY_US), lambda: self.segment.to_virtual_ha(vrid, packet))

    def to_mobile_node(self, host: Host, octets: bytes) -> None:
        if self._lost() or not self.segment.reaches_router(host):
            return
        packet = ipv6.decode(octets)
        meant = packet.logical_destination
        node = next(node for node in self.mobile_nodes if meant in (node.home, node.care_of))
        self.after(self.rng.randint(*ACCESS_LATENCY_US), lambda: node.receive(packet))

    def _lost(self) -> bool:
        return bool(self.access_loss) and self.rng.random() < self.access_loss

    # --- making it -----------------------------------------------------------------------------------------

    def _virtual_ha(
        self, vrid: int, interval_us: int, names: Sequence[str], priorities: Sequence[int]
    ) -> VirtualHaSettings:
        members = tuple(
            Member(name, priority, _address(number))
            for number, (name, priority) in enumerate(zip(names, priorities, strict=True))
        )
        return VirtualHaSettings(
            vrid=vrid,
            interface="eth1",
            priority=1,
            link_local=packed(f"fe80::5eff:fe00:2{vrid:02x}"),
            addresses=(PREFIX[:15] + bytes((vrid,)),),
            prefix=PREFIX,
            prefix_length=64,
            interval_us=interval_us,
            members=members,
            sync_key=SYNC_KEY,
            balance=self.balance,
        )

    def _of_member(self, virtual_ha: VirtualHaSettings, priority: int) -> VirtualHaSettings:
        return replace(virtual_ha, priority=priority)

    def _snapshots(self, period: int) -> None:
        def save() -> None:
            for host in self.hosts:
                host.save()
            self.after(period, save)

        self.after(period, save)


def _address(number: int) -> bytes:
    return packed(f"fe80::{number + 1:x}")
