# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, at random: everything that happens to real hosts, links and operators, and more often."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vrrp_ha.core.types import MILLISECOND, SECOND

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.world import World

UPDATE_TYPE = 3


class Trouble:
    """Breaks something every now and then, and repairs it later."""

    def __init__(self, world: World, *, mean_us: int = 6 * SECOND, hosts: list[Host] | None = None) -> None:
        self.world = world
        self.hosts = world.hosts if hosts is None else hosts  # the others are left alone, as they are
        self.mean_us = mean_us
        self.active = False
        self.kinds: list[Callable[[Host], None]] = [
            self.kill,
            self.power_cut,
            self.power_cut_with_disk,
            self.restart,
            self.drain,
            self.split,
            self.unplug,
            self.stall,
            self.drop_updates,
        ]

    def run(self, seconds: float) -> None:
        """That much time of trouble, and then everything is repaired."""
        self.active = True
        self._next()
        self.world.run(seconds)
        self.active = False
        self.repair()

    def repair(self) -> None:
        """Everybody runs, competes and hears everybody."""
        world = self.world
        world.segment.heal()
        world.segment.drops = None
        for host in self.hosts:
            if not host.cable:
                host.plug()
            if not host.running:
                host.start()
            host.undrain()
        world.checks.trouble()

    def _next(self) -> None:
        def happen() -> None:
            if self.active:
                self.world.rng.choice(self.kinds)(self.world.rng.choice(self.hosts))
                self._next()

        self.world.after(int(self.world.rng.expovariate(1 / self.mean_us)), happen)

    def _later(self, least: int, most: int, what: Callable[[], object]) -> None:
        """A repair, unless everything was repaired meanwhile."""

        def happen() -> None:
            if self.active:
                self.world.checks.trouble()
                what()

        self.world.after(self.world.rng.randint(least, most), happen)

    def _start_later(self, host: Host) -> None:
        self._later(200 * MILLISECOND, 20 * SECOND, lambda: None if host.running else host.start())

    # --- the kinds -----------------------------------------------------------------------------------------

    def kill(self, host: Host) -> None:
        if host.running:
            host.kill()
            self._start_later(host)

    def power_cut(self, host: Host) -> None:
        if host.running:
            host.power_off()
            host.power_on()
            self._start_later(host)

    def power_cut_with_disk(self, host: Host) -> None:
        if host.running:
            host.power_off(disk_lost=True)
            host.power_on()
            self._start_later(host)

    def restart(self, host: Host) -> None:
        """A new version, say."""
        if host.running:
            host.stop()
            self.world.checks.trouble()
            self._start_later(host)

    def drain(self, host: Host) -> None:
        host.drain()
        self.world.checks.trouble()
        self._later(1 * SECOND, 20 * SECOND, host.undrain)

    def split(self, _host: Host) -> None:
        world = self.world
        hosts = [host for host in world.hosts if world.rng.random() < 0.5]
        world.segment.partition(hosts, [host for host in world.hosts if host not in hosts])
        world.checks.trouble()
        world.checks.service_changed()
        world.log(None, f"router with {[host.name for host in hosts]}")

        def heal() -> None:
            world.segment.heal()
            world.checks.service_changed()
            world.log(None, "healed")

        self._later(500 * MILLISECOND, 15 * SECOND, heal)

    def unplug(self, host: Host) -> None:
        if host.cable:
            host.unplug()
            self.world.checks.trouble()
            self._later(100 * MILLISECOND, 10 * SECOND, lambda: None if host.cable else host.plug())

    def stall(self, host: Host) -> None:
        duration = self.world.rng.randint(300 * MILLISECOND, 4 * SECOND)
        host.stall(duration)
        self.world.checks.trouble()
        self.world.after(duration, self.world.checks.trouble)

    def drop_updates(self, host: Host) -> None:
        """One member hears adverts and digests, but no binding."""

        def drops(_sender: Host, receiver: Host, packet: bytes) -> bool:
            return receiver is host and packet[6] == 112 and packet[40] & 0xF == UPDATE_TYPE

        self.world.segment.drops = drops
        self.world.log(host, "hears no updates")

        def hear() -> None:
            self.world.segment.drops = None

        self._later(200 * MILLISECOND, 8 * SECOND, hear)


class Restlessness:
    """Mobile nodes that register, move and come home all the time."""

    def __init__(self, world: World, *, mean_us: int) -> None:
        self.world = world
        self.mean_us = mean_us
        self.active = True
        self._next()

    def _next(self) -> None:
        def happen() -> None:
            if self.active:
                rng = self.world.rng
                node = rng.choice(self.world.mobile_nodes)
                rng.choices([node.register, node.move, node.come_home], [2, 2, 1])[0]()
                self._next()

        self.world.after(int(self.world.rng.expovariate(1 / self.mean_us)), happen)

    def stop(self) -> None:
        """They stay where they are; what is under way is finished."""
        self.active = False
