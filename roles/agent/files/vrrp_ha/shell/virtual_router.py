# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual router in the kernel: its devices, rule and filter; when it serves, its addresses and an open gate.

Building can be done again at any time and changes only what is not as it should be, so setting up, changing and
mending are one thing. What serving needs is packed beforehand: a takeover is four system calls.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import devices, forwarding, links, repair
from .bindings import BindingTable, Installer
from .forwarding import BindingRoutes, Rule
from .guard import Guard, anycast_of
from .netlink import Netlink, NetlinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.settings import VirtualHaSettings
    from ..core.types import Address

_GONE = (errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV)
# With more routes than this an address stays on its devices, deprecated and undelivered, when it serves no more: to
# take one off makes the kernel look at every route, which stops a CPU for 5 ms with 10,000 of them.
_MANY_ROUTES = 20_000
_PATIENCE = 1.0  # seconds for the kernel to do its part for a new address


@dataclass(slots=True)
class Shared:
    """What all virtual routers of a host have in common."""

    route: Netlink
    filter: Netlink
    guard: Guard
    installer: Installer
    first_table: int
    decapsulation_table: int
    nowhere: int = 0  # the index of the device under all tunnel devices
    tables: dict[int, BindingTable] = field(default_factory=dict)
    anycast: dict[int, Address] = field(default_factory=dict)  # of the virtual HAs that are served, by VRID


class VirtualRouter:
    """What should be there, and how to make it so. OSError from every method that changes something."""

    def __init__(self, vha: VirtualHaSettings, shared: Shared) -> None:
        self.vha = vha
        self.active = False
        self.bindings = shared.tables[vha.vrid] = BindingTable(vha.vrid, shared.first_table + vha.vrid)
        self.macvlan = 0  # indexes of its devices, 0 until they are there
        self.tunnels = 0
        self._shared = shared
        self._kept = False  # its addresses are on the devices from an earlier time, without routes of the kernel's
        self._unsilence = b""
        self._silence = b""  # empty until there is something to silence
        self._put_addresses = b""
        self._deliver = b""
        self._deliver_no_more = b""

    @property
    def gate(self) -> str:
        """Where the gate should stand."""
        return devices.GATE_OPEN if self.active else devices.GATE_CLOSED

    # --- coming and going ----------------------------------------------------------------------------------

    def set_up(self, vha: VirtualHaSettings) -> None:
        """Build it, or change it with as little interruption as possible."""
        if self.active and _serves_differently(self.vha, vha):
            self.withdraw()
            self._kept = False
        old, self.vha = self.vha, vha
        if old.mipv6_ha_mode and self._rule_of(old) != self._rule_of(vha):
            self._remove_rule(old)
        self.build()
        if self.active:
            self.serve()

    def tear_down(self) -> None:
        """Remove every trace."""
        shared = self._shared
        del shared.tables[self.vha.vrid]
        shared.installer.forget(self.vha.vrid)
        devices.delete_links(shared.route, [index for index in (self.tunnels, self.macvlan) if index])
        if self.vha.mipv6_ha_mode:
            self._remove_rule(self.vha)
        shared.filter.call(self._silence, ignore=(errno.ENOENT,))
        self._leave_anycast()
        shared.guard.tear_down(self.vha.vrid)

    def serve(self) -> None:
        """First the filter, then the addresses, then the gate: nothing is taken that is not checked."""
        if not self.tunnels or not self.macvlan:
            raise NetlinkError(errno.ENODEV, f"no devices for it on {self.vha.interface}")
        if self.vha.mipv6_ha_mode:
            self._shared.anycast[self.vha.vrid] = anycast_of(self.vha)
        self._shared.filter.call(self._unsilence)
        self._shared.route.call(self._put_addresses)
        self._shared.route.call(self._deliver)
        devices.set_gate(self.vha.vrid, devices.GATE_OPEN)

    def withdraw(self) -> None:
        """The gate first, then silence, so that nothing of the addresses' leaving gets out."""
        if self.tunnels:
            devices.set_gate(self.vha.vrid, devices.GATE_CLOSED)
        self._shared.route.call(self._deliver_no_more, ignore=_GONE)
        self._shared.filter.call(self._silence, ignore=(errno.ENOENT,))
        self._leave_anycast()
        where = [(self.macvlan, address) for address in _virtual_addresses(self.vha)]
        where += [(self.tunnels, address) for address in self.vha.addresses]
        self._shared.installer.soon(self.vha.vrid, "deactivate", self._take_addresses_off(where))

    def _leave_anycast(self) -> None:
        """Unless another virtual router of the same home prefix is served here."""
        address = self._shared.anycast.pop(self.vha.vrid, None)
        if address is not None and address not in self._shared.anycast.values():
            self._shared.guard.drop_anycast(address)

    def _take_addresses_off(self, where: list[tuple[int, Address]]) -> Iterator[bool]:
        if sum(len(table.installed) for table in self._shared.tables.values()) > _MANY_ROUTES:
            if not self._kept:
                yield from self._deliver_kept_no_more(where)
            return
        self._kept = False
        for index, address in where:
            if not (self.active and address in _virtual_addresses(self.vha)):
                self._shared.route.call(devices.no_address_message(index, address), ignore=_GONE)
                yield True

    def _deliver_kept_no_more(self, where: list[tuple[int, Address]]) -> Iterator[bool]:
        """Take the kernel's own route away from each address. It makes that a moment after the address, so wait."""
        left = [place for place in where if place[1] != self.vha.link_local]
        end = time.monotonic() + _PATIENCE
        while left and not self.active and time.monotonic() < end:
            left = [
                (index, address)
                for index, address in left
                if self._shared.route.transact(forwarding.no_kernel_local_message(address, index))
            ]
            if left:
                yield False
        self._kept = not left

    # --- what it is made of --------------------------------------------------------------------------------

    def build(self) -> None:
        """Make what is missing and change what is different, without serving."""
        shared, vha = self._shared, self.vha
        ours = links.macvlan_name(vha.vrid), devices.tunnel_name(vha.vrid), devices.NOWHERE
        found = links.links_named(shared.route, vha.interface, *ours)
        below = found.get(vha.interface)
        if below is None:
            raise NetlinkError(errno.ENODEV, f"there is no interface {vha.interface}")
        self._build_tunnels(found, below.mtu)
        self._build_macvlan(found, below)
        shared.guard.set_up(vha, below.mtu)
        if vha.mipv6_ha_mode:
            shared.route.call(self._rule_of(vha).message(add=True), ignore=(errno.EEXIST,))
            table = shared.decapsulation_table
            shared.route.call(forwarding.decapsulation_message(table, vha.vha_address, self.tunnels))
        self._pack()

    def _build_tunnels(self, found: dict[str, links.Link], mtu: int) -> None:
        shared = self._shared
        present = found.get(devices.tunnel_name(self.vha.vrid))
        before = self.tunnels
        if present is not None and devices.is_as_made(present, shared.nowhere):
            devices.mend(shared.route, present, mtu)
            self.tunnels = present.index
        else:
            if present is not None:
                devices.delete_links(shared.route, [present.index])
            if devices.NOWHERE not in found:
                shared.nowhere = devices.make_nowhere(shared.route)
            self.tunnels = devices.make_tunnel_device(shared.route, self.vha.vrid, shared.nowhere, mtu)
        if self.tunnels != before:  # a new device has no routes
            self._kept = False
            self.bindings.routes = BindingRoutes(self.bindings.table, self.tunnels)
            shared.installer.put_back(self.bindings)

    def _build_macvlan(self, found: dict[str, links.Link], below: links.Link) -> None:
        shared, vha = self._shared, self.vha
        present = found.get(links.macvlan_name(vha.vrid))
        if present is not None and devices.is_as_made(present, below.index, vha.virtual_mac):
            devices.mend(shared.route, present, below.mtu)
            self.macvlan = present.index
            return
        if present is not None:
            devices.delete_links(shared.route, [present.index])
        shared.filter.call(self._silence, ignore=(errno.ENOENT,))  # entries of a device that is no more
        self._kept = False
        self.macvlan = devices.make_macvlan(shared.route, vha.vrid, below, vha.virtual_mac)

    def _pack(self) -> None:
        """The tunnels' source is the VHA address: the one preferred address of their device."""
        vha, macvlan, tunnels = self.vha, self.macvlan, self.tunnels
        places = [(tunnels, address, address == vha.vha_address) for address in vha.addresses]
        # On the macvlan they are there to be solicited, not to send from.
        places += [(macvlan, address, address == vha.link_local) for address in _virtual_addresses(vha)]
        self._put_addresses = b"".join(devices.address_message(*place) for place in places)
        self._deliver = b"".join(forwarding.local_message(address, tunnels) for address in vha.addresses)
        # The address may stay for a while, but not as a source.
        self._deliver_no_more = devices.address_message(tunnels, vha.vha_address, False) + b"".join(
            forwarding.no_local_message(address, tunnels) for address in vha.addresses
        )
        self._unsilence = self._shared.guard.activation(vha, macvlan)
        self._silence = self._shared.guard.deactivation(vha, macvlan)

    def _rule_of(self, vha: VirtualHaSettings) -> Rule:
        return forwarding.bindings_rule(self.bindings.table, vha.prefix, vha.prefix_length)

    def _remove_rule(self, vha: VirtualHaSettings) -> None:
        self._shared.route.call(self._rule_of(vha).message(add=False), ignore=(errno.ENOENT,))

    # --- what should be there ------------------------------------------------------------------------------

    def should(self, below: links.Link) -> Iterator[tuple[repair.Key, object]]:
        """All of it but the bindings, to be compared with what is there."""
        vha, macvlan, tunnels = self.vha, links.macvlan_name(self.vha.vrid), devices.tunnel_name(self.vha.vrid)
        yield repair.device(macvlan), repair.device_value(below.index, below.mtu, vha.virtual_mac)
        yield repair.device(tunnels), repair.device_value(self._shared.nowhere, below.mtu, None)
        for name in (macvlan, tunnels):
            yield from ((repair.setting(path), value) for path, value in devices.device_settings(name).items())
        yield repair.setting(devices.gate_path(vha.vrid)), self.gate
        if vha.mipv6_ha_mode:
            yield repair.rule(self._rule_of(vha)), repair.PRESENT
            yield repair.decapsulation(vha.vha_address), self.tunnels
        if self.active:
            yield repair.active_interface(self.macvlan), repair.PRESENT
            for address in _virtual_addresses(vha):
                yield repair.address(macvlan, address), repair.PRESENT
                yield repair.virtual_address(address), repair.PRESENT
            yield from ((repair.address(tunnels, address), repair.PRESENT) for address in vha.addresses)
            if vha.mipv6_ha_mode:
                yield repair.anycast(anycast_of(vha)), repair.PRESENT


def _virtual_addresses(vha: VirtualHaSettings) -> list[Address]:
    return list(dict.fromkeys((vha.link_local, *vha.addresses)))


def _serves_differently(old: VirtualHaSettings, new: VirtualHaSettings) -> bool:
    """The two differ in something that is on the host only while active."""
    return any(
        getattr(old, name) != getattr(new, name)
        for name in ("interface", "link_local", "addresses", "prefix", "prefix_length", "mipv6_ha_mode")
    )
