# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the host against what should be there, but for the bindings (bindings.py compares those in pieces).

A state is a plain mapping from what something is to how it is, so that comparing two is one pure function and what an
operator reads comes from the same keys. dataplane.py says what should be and mends.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from . import devices, forwarding, links
from .forwarding import Rule
from .guard import Guard
from .links import Link
from .netlink import Netlink

Key = tuple[object, ...]
State = dict[Key, object]

FILTER: Key = ("packet filter table inet vrrp_ha",)
PRESENT = "present"


def setting(path: str) -> Key:
    """Something below /proc/sys/net."""
    return "setting", path


def rule(wanted: Rule) -> Key:
    """A rule with exactly these conditions."""
    return "rule", wanted


def device(name: str) -> Key:
    """A device; its value is what device_value() says."""
    return "device", name


def address(name: str, value: bytes) -> Key:
    """An address of a device."""
    return "address", name, value


def decapsulation(vha: bytes) -> Key:
    """The route that ends tunnels to a VHA address; its value is the index of its device."""
    return "decapsulation", vha


def active_interface(index: int) -> Key:
    """An element of the filter's set of active interfaces."""
    return "active interface", index


def virtual_address(value: bytes) -> Key:
    """An element of the filter's map of virtual addresses."""
    return "virtual address", value


def anycast(value: bytes) -> Key:
    """An element of the filter's set of anycast addresses."""
    return "anycast address", value


def device_value(below: int, mtu: int, mac: bytes | None) -> object:
    """How a device of ours should be. The MAC matters only where it is the virtual one."""
    return below, mtu, mac, True


@dataclass(frozen=True, slots=True)
class Fault:
    """One difference; vrid: whose virtual router it belongs to, None: nobody's or everybody's."""

    key: Key
    wanted: object
    found: object
    vrid: int | None

    @property
    def text(self) -> str:
        """For operators."""
        what = _describe(self.key)
        if self.wanted is None:
            return f"{what}: should not be there"
        if self.found is None:
            return f"{what}: missing"
        if isinstance(self.wanted, str) and isinstance(self.found, str):
            return f"{what}: {self.found} instead of {self.wanted}"
        return f"{what}: not as it was made"


def differences(should: Mapping[Key, tuple[int | None, object]], found: State) -> list[Fault]:
    """Compare. should: the owner (a VRID) and the value of everything that has to be there."""
    faults = [
        Fault(key, wanted, found.get(key), vrid) for key, (vrid, wanted) in should.items() if found.get(key) != wanted
    ]
    # Of these kinds nothing may be there beside what should be.
    alone = {"rule", "active interface", "virtual address", "anycast address"}
    faults += [Fault(key, None, value, None) for key, value in found.items() if key not in should and key[0] in alone]
    return faults


def look(route: Netlink, guard: Guard, found: Mapping[str, Link], vrids: Iterable[int], tables: set[int]) -> State:
    """The state of the host. Rules of others in other tables are none of our business, nor is the local one's place."""
    state: State = {setting("ipv6/conf/all/forwarding"): devices.read_sysctl("ipv6/conf/all/forwarding")}
    mine = {name for vrid in vrids for name in (links.macvlan_name(vrid), devices.tunnel_name(vrid))}
    for name in mine & found.keys():
        link = found[name]
        mac = link.mac if link.name.startswith(links.MACVLAN_PREFIX) else None
        state[device(name)] = device_value(link.below, link.mtu, mac) if _is_made(link) else "not ours"
        state |= {setting(path): devices.read_sysctl(path) for path in devices.device_settings(name)}
    for vrid in vrids:
        state[setting(devices.gate_path(vrid))] = devices.read_sysctl(devices.gate_path(vrid))
    names = {found[name].index: name for name in mine & found.keys()}
    for index, value, _unused in list(links.all_addresses(route)):
        if index in names:
            state[address(names[index], value)] = PRESENT
    state |= {rule(one): PRESENT for one in forwarding.all_rules(route) if one.table in tables or _is_moved_local(one)}
    return state | dict(_look_at_filter(guard))


def _look_at_filter(guard: Guard) -> Iterator[tuple[Key, object]]:
    whole = guard.is_whole()
    if whole is None:
        return
    yield FILTER, "whole" if whole else "changed"
    if whole:
        for index in guard.active_indexes():
            yield active_interface(index), PRESENT
        for value in guard.virtual_addresses():
            yield virtual_address(value), PRESENT
        for value in guard.anycast_addresses():
            yield anycast(value), PRESENT


def look_at_decapsulation(route: Netlink, table: int) -> State:
    """The routes that end tunnels."""
    return {decapsulation(found.destination): found.device for found in forwarding.all_routes(route, table)}


def _is_made(link: Link) -> bool:
    return devices.is_as_made(link, link.below) and link.is_set_up


def _is_moved_local(one: Rule) -> bool:
    return one == forwarding.LOCAL_MOVED


def _describe(key: Key) -> str:
    match key:
        case ("setting", path):
            return f"sysctl net.{str(path).replace('/', '.')}"
        case ("rule", Rule() as one):
            return f"rule {one.preference} to table {one.table}"
        case ("address", name, bytes(value)):
            return f"address {socket.inet_ntop(socket.AF_INET6, value)} on {name}"
        case ("decapsulation", bytes(value)):
            return f"decapsulation for {socket.inet_ntop(socket.AF_INET6, value)}"
        case ("virtual address" | "anycast address", bytes(value)):
            return f"packet filter's entry for {socket.inet_ntop(socket.AF_INET6, value)}"
        case ("active interface", index):
            return f"packet filter's entry for interface {index}"
        case (kind, name):
            return f"{kind} {name}"
        case _:
            return str(key[0])
