# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's data plane as the loop sees it: virtual routers that are set up, activated and given bindings.

What costs time per binding is queued and done in small pieces by work(); a takeover opens a gate and adds a handful of
addresses and filter elements, all packed beforehand, so that activate() takes a fraction of a millisecond whatever the
number of bindings. Every mark on the host is in a place of our own (a device group, table `inet vrrp_ha`, our routing
tables, protocol 112 on rules), so cleanup() finds it again without remembering anything.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import devices, forwarding, links, netlink, repair
from .bindings import BindingTable, DataPlaneError, Installer
from .forwarding import BindingRoutes, Rule
from .guard import Guard, remove_table
from .netlink import Netlink, NetlinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.settings import VirtualHaSettings
    from ..core.types import Address, Binding

__all__ = ["DataPlane", "DataPlaneError", "cleanup"]

_FORWARDING = "ipv6/conf/all/forwarding"
_GONE = (errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV)
# With more routes than this an address stays on its devices, deprecated and behind the gate, when it serves no more:
# to take one off makes the kernel look at every route, which stops a CPU for 5 ms with 10,000 of them.
_MANY_ROUTES = 20_000
_AT_ONCE_US = 10_000  # reconcile() compares bindings for so long before it leaves the rest to work()


@dataclass(slots=True)
class Router:
    """A virtual router on this host: what should be, and the messages for the moments that count."""

    vha: VirtualHaSettings
    bindings: BindingTable
    active: bool = False
    macvlan: int = 0  # indexes of its devices, 0 until they are there
    tunnels: int = 0
    unsilence: bytes = b""
    silence: bytes = b""  # empty until there is something to silence
    put_addresses: bytes = b""
    deliver: bytes = b""
    deliver_no_more: bytes = b""


class DataPlane:
    """The facade. Not thread-safe; nothing in it waits for anything but the kernel."""

    def __init__(self, first_table: int, decapsulation_table: int) -> None:
        self._first_table = first_table
        self._decapsulation_table = decapsulation_table
        self._route = Netlink(netlink.ROUTE)
        self._filter = Netlink(netlink.NETFILTER)
        self._guard = Guard(self._filter)
        self._installer = Installer(self._route, self._guard)
        self._routers: dict[int, Router] = {}
        self._nowhere = 0
        self._moved_local = False

    # --- the host ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the host over: whatever an earlier agent left goes, then the parts that all virtual routers share."""
        _clean(self._route, self._filter, self._first_table, self._decapsulation_table)
        was_off = devices.read_sysctl(_FORWARDING) == "0"
        self._guard.start(forwarding_was_off=was_off)
        if was_off:
            devices.write_sysctl(_FORWARDING, "1")
        self._moved_local = forwarding.move_local_rule(self._route)
        self._add_rule(forwarding.decapsulation_rule(self._decapsulation_table))
        self._nowhere = devices.make_nowhere(self._route)

    def stop(self) -> None:
        """Give the host back as it was."""
        self._installer.clear()
        self._routers.clear()
        _clean(self._route, self._filter, self._first_table, self._decapsulation_table)

    # --- virtual routers -----------------------------------------------------------------------------------

    def set_up(self, vha: VirtualHaSettings) -> None:
        """Make a virtual router, inactive; or change one, which stays active if it was and keeps its bindings."""
        router = self._routers.get(vha.vrid)
        if router is None:
            router = Router(vha, BindingTable(vha.vrid, self._first_table + vha.vrid))
            self._routers[vha.vrid] = router
        with _errors_of(vha.vrid, "set_up"):
            if router.active and _serves_differently(router.vha, vha):
                self._withdraw(router)
            old, router.vha = router.vha, vha
            self._build(router, old)
            if router.active:
                self._serve(router)

    def tear_down(self, vrid: int) -> None:
        """Remove every trace of a virtual router; what is queued for it is forgotten."""
        router = self._routers.pop(vrid, None)
        if router is None:
            return
        self._installer.forget(vrid)
        with _errors_of(vrid, "tear_down"):
            devices.delete_links(self._route, [index for index in (router.tunnels, router.macvlan) if index])
            if router.vha.mipv6_ha_mode:
                self._remove_rule(self._rule_of(router.vha))
            self._filter.call(router.silence, ignore=(errno.ENOENT,))
            self._guard.tear_down(vrid)

    def activate(self, vrid: int) -> None:
        """Serve from now on."""
        router = self._routers[vrid]
        router.active = True
        with _errors_of(vrid, "activate"):
            self._serve(router)

    def deactivate(self, vrid: int) -> None:
        """Serve no more; bindings stay."""
        router = self._routers.get(vrid)
        if router is None or not router.active:
            return
        router.active = False
        with _errors_of(vrid, "deactivate"):
            self._withdraw(router)

    def _serve(self, router: Router) -> None:
        """First the filter, then the addresses, then the gate: nothing is taken that is not checked."""
        if not router.tunnels or not router.macvlan:
            raise NetlinkError(errno.ENODEV, f"no devices for it on {router.vha.interface}")
        self._filter.call(router.unsilence)
        self._route.call(router.put_addresses)
        self._route.call(router.deliver)
        devices.set_gate(router.vha.vrid, devices.GATE_OPEN)

    def _withdraw(self, router: Router) -> None:
        """The gate first, then silence, so that nothing of the addresses' leaving gets out."""
        if router.tunnels:
            devices.set_gate(router.vha.vrid, devices.GATE_CLOSED)
        self._route.call(router.deliver_no_more, ignore=_GONE)
        self._filter.call(router.silence, ignore=(errno.ENOENT,))
        where = [(router.macvlan, address) for address in _virtual_addresses(router.vha)]
        where += [(router.tunnels, address) for address in router.vha.addresses]
        self._installer.soon(router.vha.vrid, "deactivate", self._take_addresses_off(router, where))

    def _take_addresses_off(self, router: Router, where: list[tuple[int, Address]]) -> Iterator[bool]:
        if sum(len(other.bindings.installed) for other in self._routers.values()) > _MANY_ROUTES:
            if not router.active:  # the kernel's own work on a new address may have come after ours
                self._route.call(router.deliver_no_more, ignore=_GONE)
            return
        for index, address in where:
            if not (router.active and address in _virtual_addresses(router.vha)):
                self._route.call(devices.no_address_message(index, address), ignore=_GONE)
                yield True

    # --- what a virtual router is made of ------------------------------------------------------------------

    def _build(self, router: Router, old: VirtualHaSettings) -> None:
        """Make what is missing and change what is different, without serving. Can be done again at any time."""
        vha = router.vha
        found = links.all_links(self._route)
        below = found.get(vha.interface)
        if below is None:
            raise NetlinkError(errno.ENODEV, f"there is no interface {vha.interface}")
        if self._build_tunnels(router, found, below.mtu):
            self._installer.put_back(router.bindings)
        self._build_macvlan(router, found, below)
        self._guard.set_up(vha)
        if old.mipv6_ha_mode and self._rule_of(old) != self._rule_of(vha):
            self._remove_rule(self._rule_of(old))
        if vha.mipv6_ha_mode:
            self._add_rule(self._rule_of(vha))
            table = self._decapsulation_table
            self._route.call(forwarding.decapsulation_message(table, vha.vha_address, router.tunnels))
        self._pack(router)

    def _build_tunnels(self, router: Router, found: dict[str, links.Link], mtu: int) -> bool:
        """True if the device is new, and hence without routes."""
        present = found.get(devices.tunnel_name(router.vha.vrid))
        if present is not None and devices.is_as_made(present, self._nowhere):
            devices.mend(self._route, present, mtu)
            new = router.tunnels != present.index
            router.tunnels = present.index
        else:
            if present is not None:
                devices.delete_links(self._route, [present.index])
            if devices.NOWHERE not in found:
                self._nowhere = devices.make_nowhere(self._route)
            router.tunnels = devices.make_tunnel_device(self._route, router.vha.vrid, self._nowhere, mtu)
            new = True
        if new:
            router.bindings.routes = BindingRoutes(router.bindings.table, router.tunnels)
        return new

    def _build_macvlan(self, router: Router, found: dict[str, links.Link], below: links.Link) -> None:
        present = found.get(links.macvlan_name(router.vha.vrid))
        if present is not None and devices.is_as_made(present, below.index, router.vha.virtual_mac):
            devices.mend(self._route, present, below.mtu)
            router.macvlan = present.index
            return
        if present is not None:
            devices.delete_links(self._route, [present.index])
        self._filter.call(router.silence, ignore=(errno.ENOENT,))  # entries of a device that is no more
        router.macvlan = devices.make_macvlan(self._route, router.vha.vrid, below, router.vha.virtual_mac)

    def _pack(self, router: Router) -> None:
        """The tunnels' source is the VHA address: the one preferred address of their device."""
        vha, macvlan, tunnels = router.vha, router.macvlan, router.tunnels
        places = [(tunnels, address, address == vha.vha_address) for address in vha.addresses]
        # On the macvlan they are there to be solicited, not to send from.
        places += [(macvlan, address, address == vha.link_local) for address in _virtual_addresses(vha)]
        router.put_addresses = b"".join(devices.address_message(*place) for place in places)
        router.deliver = b"".join(forwarding.local_message(address, tunnels) for address in vha.addresses)
        # The address may stay for a while: not as a source, and without the routes that the kernel made for it.
        router.deliver_no_more = devices.address_message(tunnels, vha.vha_address, False) + b"".join(
            forwarding.no_local_message(address, tunnels)
            + forwarding.no_kernel_local_message(address, tunnels)
            + forwarding.no_kernel_local_message(address, macvlan)
            for address in vha.addresses
        )
        router.unsilence = self._guard.activation(vha, macvlan)
        router.silence = self._guard.deactivation(vha, macvlan)

    def _rule_of(self, vha: VirtualHaSettings) -> Rule:
        return forwarding.bindings_rule(self._first_table + vha.vrid, vha.prefix, vha.prefix_length)

    def _add_rule(self, rule: Rule) -> None:
        self._route.call(rule.message(add=True), ignore=(errno.EEXIST,))

    def _remove_rule(self, rule: Rule) -> None:
        self._route.call(rule.message(add=False), ignore=(errno.ENOENT,))

    # --- bindings ------------------------------------------------------------------------------------------

    def install(self, vrid: int, bindings: list[Binding]) -> None:
        """Queue routes and source checks."""
        self._installer.install(self._routers[vrid].bindings, bindings)

    def remove(self, vrid: int, bindings: list[Binding]) -> None:
        """Queue the end of these bindings."""
        self._installer.remove(self._routers[vrid].bindings, bindings)

    def confirm(self, vrid: int, token: int) -> None:
        """Queue a marker that work() returns when everything before it is in the kernel."""
        self._installer.confirm(vrid, token)

    def work(self, budget_us: int) -> list[tuple[int, int]]:
        """Do queued work until about the budget is spent; returns (vrid, token) of the markers passed.

        Stops early when the kernel is short of per-CPU memory, which it replenishes by itself when given a moment.
        """
        return self._installer.work(budget_us)

    @property
    def pending(self) -> bool:
        """There is work to do."""
        return self._installer.pending

    # --- looking and mending -------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Packets dropped by the guard, by reason."""
        return self._guard.counters()

    def reconcile(self) -> list[str]:
        """Mend what is not as it should be on the host, and say what it was.

        Bindings are compared after everything else that is queued; what of that takes long is left to work(), and
        told by the next call.
        """
        found = links.all_links(self._route)
        tables = _tables(self._first_table, self._decapsulation_table)
        state = repair.look(self._route, self._guard, found, self._routers, tables)
        state |= repair.look_at_decapsulation(self._route, self._decapsulation_table)
        faults = repair.differences(dict(self._should(found)), state)
        self._mend(faults)
        for router in self._routers.values():
            self._installer.compare(router.bindings)
        self._installer.advance(_AT_ONCE_US)
        return [fault.text for fault in faults] + self._installer.findings()

    def _should(self, found: dict[str, links.Link]) -> Iterator[tuple[repair.Key, tuple[int | None, object]]]:
        yield repair.FILTER, (None, "whole")
        yield repair.setting(_FORWARDING), (None, "1")
        if self._moved_local:
            yield repair.rule(forwarding.LOCAL_MOVED), (None, repair.PRESENT)
        yield repair.rule(forwarding.decapsulation_rule(self._decapsulation_table)), (None, repair.PRESENT)
        for vrid, router in self._routers.items():
            below = found.get(router.vha.interface)
            if below is not None:  # without it there is nothing to serve on; set_up() comes when it is back
                yield from ((key, (vrid, value)) for key, value in self._should_of(router, below))

    def _should_of(self, router: Router, below: links.Link) -> Iterator[tuple[repair.Key, object]]:
        vha, macvlan, tunnels = router.vha, links.macvlan_name(router.vha.vrid), devices.tunnel_name(router.vha.vrid)
        yield repair.device(macvlan), repair.device_value(below.index, below.mtu, vha.virtual_mac)
        yield repair.device(tunnels), repair.device_value(self._nowhere, below.mtu, None)
        for name in (macvlan, tunnels):
            yield from ((repair.setting(path), value) for path, value in devices.device_settings(name).items())
        gate = devices.GATE_OPEN if router.active else devices.GATE_CLOSED
        yield repair.setting(devices.gate_path(vha.vrid)), gate
        if vha.mipv6_ha_mode:
            yield repair.rule(self._rule_of(vha)), repair.PRESENT
            yield repair.decapsulation(vha.vha_address), router.tunnels
        if router.active:
            yield repair.active_interface(router.macvlan), repair.PRESENT
            for address in _virtual_addresses(vha):
                yield repair.address(macvlan, address), repair.PRESENT
                yield repair.virtual_address(address), repair.PRESENT
            yield from ((repair.address(tunnels, address), repair.PRESENT) for address in vha.addresses)

    def _mend(self, faults: list[repair.Fault]) -> None:
        """What everybody needs first; then each virtual router that lacks something is built and serves again."""
        with _errors_of(0, "reconcile"):
            for fault in faults:
                self._mend_shared(fault)
        wrong = {fault.vrid for fault in faults} - {None}
        errors = []
        for router in self._routers.values():
            if router.vha.vrid in wrong:
                try:
                    with _errors_of(router.vha.vrid, "reconcile"):
                        self._build(router, router.vha)
                        (self._serve if router.active else self._withdraw)(router)
                except DataPlaneError as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def _mend_shared(self, fault: repair.Fault) -> None:
        match fault.key:
            case repair.FILTER:
                self._guard.rebuild()
                for router in self._routers.values():
                    self._installer.put_back_bound(router.bindings)
            case ("setting", str(path)) if fault.vrid is None:
                devices.write_sysctl(path, str(fault.wanted))
            case ("rule", Rule() as rule) if fault.wanted is None:
                self._remove_rule(rule)
            case ("rule", Rule() as rule) if rule == forwarding.LOCAL_MOVED:
                forwarding.move_local_rule(self._route)
            case ("rule", Rule() as rule) if fault.vrid is None:
                self._add_rule(rule)
            case ("active interface", int(index)) if fault.wanted is None:
                self._guard.remove_strays([index], [])
            case ("virtual address", bytes(address)) if fault.wanted is None:
                self._guard.remove_strays([], [address])


def _virtual_addresses(vha: VirtualHaSettings) -> list[Address]:
    return list(dict.fromkeys((vha.link_local, *vha.addresses)))


def _serves_differently(old: VirtualHaSettings, new: VirtualHaSettings) -> bool:
    """The two differ in something that is on the host only while active."""
    return any(
        getattr(old, name) != getattr(new, name)
        for name in ("interface", "link_local", "addresses", "prefix", "prefix_length", "mipv6_ha_mode")
    )


def _tables(first_table: int, decapsulation_table: int) -> set[int]:
    return {decapsulation_table, *range(first_table + 1, first_table + 256)}


@contextmanager
def _errors_of(vrid: int, effect: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataPlaneError.of(vrid, effect, error) from error


def cleanup(first_table: int, decapsulation_table: int) -> list[str]:
    """Remove every trace of an agent, whatever state it left the host in; returns what was removed."""
    route, filter_ = Netlink(netlink.ROUTE), Netlink(netlink.NETFILTER)
    try:
        return _clean(route, filter_, first_table, decapsulation_table)
    finally:
        route.close()
        filter_.close()


def _clean(route: Netlink, filter_: Netlink, first_table: int, decapsulation_table: int) -> list[str]:
    """Devices first: addresses, routes and gates go with them at once, and rules are cheap to remove afterwards."""
    removed = [f"device {name}" for name in devices.delete_all(route)]
    tables = _tables(first_table, decapsulation_table)
    for rule in forwarding.all_rules(route):
        if rule.protocol == devices.PROTOCOL and rule.table in tables:
            route.call(rule.message(add=False), ignore=(errno.ENOENT,))
            removed.append(f"rule {rule.preference} to table {rule.table}")
    if forwarding.restore_local_rule(route):
        removed.append("rule of the local table moved back to 0")
    had_table, was_off = remove_table(filter_)
    if had_table:
        removed.append("packet filter table inet vrrp_ha")
    if was_off:
        devices.write_sysctl(_FORWARDING, "0")
        removed.append("net.ipv6.conf.all.forwarding set back to 0")
    return removed
