# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of a fleet whatever happens to it, checked while it happens.

- A settled partition has one Master of each virtual HA, and only that one serves.
- A binding that a mobile node was promised is not lost while a member lives that had it.
- An owner that returns has every such binding, in the kernel too, before its first advertisement.
- When all is quiet, every cache is the same, and every kernel has what its cache has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrrp_ha.core.binding_request import is_greater
from vrrp_ha.core.types import MILLISECOND, SECOND

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.mobile import Acknowledged, MobileNode
    from tests.sim.world import World

ON_THE_WAY_US = 60 * MILLISECOND  # longer than any frame
RECOVERED_US = 300 * MILLISECOND
ABOUT_TO_EXPIRE_US = 15 * SECOND


class SimulationError(AssertionError):
    """Something happened that must not; the message ends with how it came to that."""


class Checks:
    """The watcher of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.trouble_at = 0
        self.outages: dict[int, list[tuple[int, int]]] = {v.vrid: [] for v in world.virtual_has}
        self.excused: dict[MobileNode, Acknowledged] = {}
        self.excuses = 0
        self._down_since: dict[int, int] = dict.fromkeys(self.outages, 0)
        self._wrong_since: dict[tuple[int, int], int] = {}

    def fail(self, what: str) -> None:
        raise SimulationError(f"{what}\n{self.world.story()}")

    def trouble(self) -> None:
        """Something was just broken or repaired: what is settled begins anew."""
        self.trouble_at = self.world.now
        self._wrong_since.clear()

    # --- service -------------------------------------------------------------------------------------------

    def service_changed(self) -> None:
        """Note for each virtual HA whether the router's side of the switch leads to somebody who forwards."""
        world = self.world
        for vrid, outages in self.outages.items():
            host = world.segment.ports.get(vrid)
            served = host is not None and world.segment.reaches_router(host) and host.serves(vrid)
            since = self._down_since.get(vrid)
            if served and since is not None:
                del self._down_since[vrid]
                if world.now > since:
                    outages.append((since, world.now))
            elif not served and since is None:
                self._down_since[vrid] = world.now

    def outage(self, vrid: int, since: int) -> int:
        """Microseconds without service from then on."""
        down = self._down_since.get(vrid)
        over = sum(end - max(start, since) for start, end in self.outages[vrid] if end > since)
        return over + (self.world.now - max(down, since) if down is not None else 0)

    # --- Masters -------------------------------------------------------------------------------------------

    def watch(self, period: int, settle_us: int) -> None:
        """Look at every partition now and then; it has so long to settle."""

        def look() -> None:
            self._look_for_masters(settle_us)
            self.world.after(period, look)

        self.world.after(period, look)

    def _look_for_masters(self, settle_us: int) -> None:
        world = self.world
        groups: dict[int, list[Host]] = {}
        for host in world.hosts:
            if host.running and host.cable and host.stalled is None:
                groups.setdefault(world.segment.groups[host], []).append(host)
        for virtual_ha in world.virtual_has:
            for group, hosts in groups.items():
                masters = [host for host in hosts if host.is_master(virtual_ha.vrid)]
                serving = [host for host in hosts if host.serves(virtual_ha.vrid)]
                key = (virtual_ha.vrid, group)
                if len(masters) == 1 and masters == serving:
                    self._wrong_since.pop(key, None)
                    continue
                since = max(self._wrong_since.setdefault(key, world.now), self.trouble_at)
                if world.now - since > settle_us:
                    names = [[host.name for host in some] for some in (hosts, masters, serving)]
                    self.fail("vrid {}: of {} are Master {}, serve {}".format(virtual_ha.vrid, *names))

    # --- bindings ------------------------------------------------------------------------------------------

    def member_lost(self) -> None:
        """A member's memory is gone: bindings that no other had are excused, once what is on the way has arrived."""
        self.trouble()
        self.world.after(ON_THE_WAY_US, self._excuse)

    def _excuse(self) -> None:
        for node in self.world.mobile_nodes:
            promised = self.promised(node)
            if promised and self.excused.get(node) != promised and not self.holders(node):
                self.world.log(None, f"nobody is left who has {node.home.hex()}")
                self.excused[node] = promised
                self.excuses += 1

    def promised(self, node: MobileNode) -> Acknowledged | None:
        """What the mobile node relies on, if that is certain and has some time to live."""
        promised = node.acknowledged
        if promised is None or node.in_doubt or promised.until < self.world.now + ABOUT_TO_EXPIRE_US:
            return None
        return promised

    def holders(self, node: MobileNode) -> list[Host]:
        """Who has what the mobile node was promised, or something newer."""
        return [host for host in self.world.hosts if self.has(host, node)]

    def has(self, host: Host, node: MobileNode) -> bool:
        promised = node.acknowledged
        assert promised
        binding = host.holds(node.virtual_ha.vrid, node.home)
        if binding is None:
            return False
        return binding.sequence == promised.sequence or is_greater(binding.sequence, promised.sequence)

    def owner_returned(self, host: Host, vrid: int) -> None:
        """Its first advertisement since its agent started. It heard the Master unless the link was just repaired."""
        world = self.world
        servers = [
            other
            for other in world.masters(vrid)
            if other is not host and other.stalled is None and world.segment.connected(host, other)
        ]
        if len(servers) != 1 or world.now < world.segment.changed_at + world.master_down_us:
            return
        if world.now - host.heard_at.get(vrid, 0) >= world.master_down_us * 3 // 4:
            return  # one advertisement after the other was lost: it has to take over with what it has
        if world.now < servers[0].recovered_at + RECOVERED_US:
            return  # it has known some of them for a moment only, and that may be on the way or lost
        if world.now - host.heard_at.get(vrid, 0) >= world.silence_us:
            return  # every advertisement since was lost: for all it knows it is alone, and serves with what it has
        routes = host.kernel.routes[vrid]
        for node in world.mobile_nodes:
            promised = self.promised(node)
            if node.virtual_ha.vrid != vrid or promised is None or promised.at > world.now - ON_THE_WAY_US:
                continue
            if self.has(servers[0], node) and not (self.has(host, node) and node.home in routes):
                self.fail(f"owner {host.name} advertises without the binding of {node.home.hex()}")

    # --- when all is quiet ---------------------------------------------------------------------------------

    def quiet(self) -> None:
        """Everybody runs and hears everybody, and nothing has happened for a while."""
        for virtual_ha in self.world.virtual_has:
            self._quiet(virtual_ha.vrid)

    def _quiet(self, vrid: int) -> None:
        world = self.world
        running = [host for host in world.hosts if host.running]
        masters = world.masters(vrid)
        serving = [host for host in running if host.serves(vrid)]
        if len(masters) != 1 or serving != masters or world.segment.ports.get(vrid) is not masters[0]:
            self.fail(f"vrid {vrid}: Masters {[h.name for h in masters]}, serving {[h.name for h in serving]}")
        (master,) = masters
        for host in running:
            assert host.node
            cache = host.node.bindings(vrid)
            wanted = {binding.home_address: binding.care_of_address for binding in cache}
            if host.kernel.routes[vrid] != wanted:
                self.fail(f"vrid {vrid}: the kernel of {host.name} has other bindings than its agent")
            assert master.node
            masters_cache = master.node.bindings(vrid)
            if (len(cache), cache.digest) != (len(masters_cache), masters_cache.digest):
                self.fail(f"vrid {vrid}: {host.name} has {len(cache)}, Master {master.name} {len(masters_cache)}")
            if not host.about(vrid)["synced"]:
                self.fail(f"vrid {vrid}: {host.name} does not know that it is synchronised")
        for node in world.mobile_nodes:
            promised = self.promised(node)
            relied_on = promised and node.virtual_ha.vrid == vrid and self.excused.get(node) != promised
            if relied_on and not self.has(master, node):
                self.fail(f"vrid {vrid}: the binding of {node.home.hex()}, {promised}, is lost")
