# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices and addresses of a virtual router, and what happens to the home links.

Two devices each, because of what may cost nothing at a takeover, however many bindings there are:

- `vrrp6-VRID`, a macvlan on the home link with the virtual MAC (RFC 9568 section 7.3), always up; guard.py keeps it
  silent while another router is Master. Mode VEPA: everything it sends goes to the wire, and what the Master sends from
  the same MAC still reaches the interface below (in private mode the kernel would give such a frame to our macvlan
  alone, and the Backup would hear no advertisement).
- `mip6-VRID`, a device without a carrier that every route of the virtual router points to: tunnels, decapsulation and
  local delivery. Its setting ignore_routes_with_linkdown is the *gate*: 1 makes the kernel skip all of them in every
  lookup, 0 makes them count. Adding a rule or removing an address instead makes the kernel walk every route of the
  network namespace: measured with 100,000 bindings on Linux 6.18, 20 ms a rule and 50 ms an address.

All of them stand on `mip6-nowhere`, one end of a veth pair whose other end is down, and belong to one device group, so
that they can be removed together.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable

from . import netlink
from .links import (
    IFA_ADDRESS,
    IFA_CACHEINFO,
    IFA_FLAGS,
    IFA_PROTO,
    IFADDR,
    IFF_UP,
    IFINFO,
    IFLA_ADDRESS,
    IFLA_AF_SPEC,
    IFLA_GROUP,
    IFLA_IFNAME,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_OPERSTATE,
    INFO_DATA,
    INFO_KIND,
    MACVLAN_MODE,
    MACVLAN_PREFIX,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    Link,
    all_links,
    macvlan_name,
)
from .netlink import Netlink, attribute, attribute_string, attribute_u32, message, nested

PROTOCOL = 112  # marks addresses, routes and rules as ours; the number of VRRP, unused as a routing protocol
NOWHERE, _NOWHERE_PEER = "mip6-nowhere", "mip6-nowhere2"

_MODE_VEPA = 2
_VETH_PEER = 1
_OPERSTATE_UP = b"\6"
_GROUP = 0x6D697036  # "mip6": the device group that holds ours and nothing else
_INET6_ADDR_GEN_MODE, _ADDR_GEN_MODE_NONE = 8, b"\1"
_IFA_F_NODAD, _IFA_F_NOPREFIXROUTE = 0x02, 0x200
_FOREVER = 0xFFFFFFFF

# The kernel is to be a router on the macvlan (R=1 in its NAs), to learn nothing from it and to hide IPv4 addresses
# from it: an ARP answer from the virtual MAC would be wrong, and from a Backup it would move the switch port.
_SETTINGS = (
    ("ipv6", "disable_ipv6", "0"),
    ("ipv6", "forwarding", "1"),
    ("ipv6", "accept_ra", "0"),
    ("ipv6", "accept_redirects", "0"),
    ("ipv6", "autoconf", "0"),
    ("ipv6", "accept_dad", "0"),
    ("ipv6", "router_solicitations", "0"),
    ("ipv6", "ndisc_notify", "0"),
    ("ipv4", "arp_ignore", "8"),
)
_GATE_SETTING = "ignore_routes_with_linkdown"
GATE_OPEN, GATE_CLOSED = "0", "1"


def tunnel_name(vrid: int) -> str:
    """The name of the device that a virtual router's routes point to."""
    return f"mip6-{vrid}"


def make_nowhere(route: Netlink) -> int:
    """Make the veth pair under the tunnel devices; returns the index of the end to build on."""
    peer = attribute_string(IFLA_IFNAME, _NOWHERE_PEER) + attribute_u32(IFLA_GROUP, _GROUP)
    data = nested(_VETH_PEER, IFINFO.pack(0, 0, 0, 0, 0) + peer)
    info = nested(IFLA_LINKINFO, attribute_string(INFO_KIND, "veth"), nested(INFO_DATA, data))
    route.call(_new_link(attribute_string(IFLA_IFNAME, NOWHERE), attribute_u32(IFLA_GROUP, _GROUP), info))
    index = socket.if_nametoindex(NOWHERE)
    write_sysctl(f"ipv6/conf/{NOWHERE}/disable_ipv6", "1")
    route.call(_up(index))
    return index


def make_tunnel_device(route: Netlink, vrid: int, nowhere: int, mtu: int) -> int:
    """Make the device for a virtual router's routes, its gate closed; returns its index."""
    name = tunnel_name(vrid)
    index = _make_macvlan(route, name, nowhere, mtu)
    set_gate(vrid, GATE_CLOSED)
    route.call(_without_addresses(index) + _up(index))
    return index


def make_macvlan(route: Netlink, vrid: int, below: Link, mac: bytes) -> int:
    """Make the device with the virtual MAC, up and without addresses; returns its index."""
    index = _make_macvlan(route, macvlan_name(vrid), below.index, below.mtu, attribute(IFLA_ADDRESS, mac))
    route.call(_without_addresses(index) + _up(index))
    if below.up:  # the kernel would come to this too, but within a second
        state = IFINFO.pack(0, 0, index, 0, 0) + attribute(IFLA_OPERSTATE, _OPERSTATE_UP)
        route.call(message(RTM_NEWLINK, netlink.ACK, state))
    return index


def _make_macvlan(route: Netlink, name: str, below: int, mtu: int, *more: bytes) -> int:
    mode = nested(INFO_DATA, attribute_u32(MACVLAN_MODE, _MODE_VEPA))
    route.call(
        _new_link(
            attribute_string(IFLA_IFNAME, name),
            attribute_u32(IFLA_LINK, below),
            attribute_u32(IFLA_MTU, mtu),
            attribute_u32(IFLA_GROUP, _GROUP),
            nested(IFLA_LINKINFO, attribute_string(INFO_KIND, "macvlan"), mode),
            *more,
        )
    )
    mend_settings(name)
    return socket.if_nametoindex(name)


def _new_link(*values: bytes) -> bytes:
    flags = netlink.ACK | netlink.CREATE | netlink.EXCLUSIVE
    return message(RTM_NEWLINK, flags, IFINFO.pack(0, 0, 0, 0, 0) + b"".join(values))


def _up(index: int, *values: bytes) -> bytes:
    return message(RTM_NEWLINK, netlink.ACK, IFINFO.pack(0, 0, index, IFF_UP, IFF_UP) + b"".join(values))


def _without_addresses(index: int) -> bytes:
    """The kernel shall not make up a link-local address from the virtual MAC (RFC 9568 section 7.4)."""
    mode = nested(IFLA_AF_SPEC, nested(socket.AF_INET6, attribute(_INET6_ADDR_GEN_MODE, _ADDR_GEN_MODE_NONE)))
    return message(RTM_NEWLINK, netlink.ACK, IFINFO.pack(0, 0, index, 0, 0) + mode)


def is_as_made(link: Link, below: int, mac: bytes | None = None) -> bool:
    """Nothing about a device of ours is wrong that could not be mended without making it anew."""
    made = link.kind == "macvlan" and link.mode == _MODE_VEPA and link.group == _GROUP and link.below == below
    return made and (mac is None or link.mac == mac)


def mend(route: Netlink, link: Link, mtu: int) -> None:
    """Make a device of ours up, with its MTU and settings."""
    mend_settings(link.name)
    if not link.is_set_up or link.mtu != mtu:
        route.call(_up(link.index, attribute_u32(IFLA_MTU, mtu)))


def delete_all(route: Netlink) -> list[str]:
    """Delete every device of ours, in one go: one by one they would take 10 ms each. Returns their names."""
    names = [link.name for link in all_links(route).values() if link.group == _GROUP]
    if names:
        every = IFINFO.pack(0, 0, 0, 0, 0) + attribute_u32(IFLA_GROUP, _GROUP)
        route.call(message(RTM_DELLINK, netlink.ACK, every), ignore=(errno.ENODEV,))
    return sorted(names)


def delete_links(route: Netlink, indexes: Iterable[int]) -> None:
    """Delete interfaces; the kernel takes their addresses and routes with them."""
    data = b"".join(message(RTM_DELLINK, netlink.ACK, IFINFO.pack(0, 0, index, 0, 0)) for index in indexes)
    if data:
        route.call(data, ignore=(errno.ENODEV,))


def gate_path(vrid: int) -> str:
    """The setting that makes the kernel use or skip every route of a virtual router, below /proc/sys/net."""
    return f"ipv6/conf/{tunnel_name(vrid)}/{_GATE_SETTING}"


def set_gate(vrid: int, position: str) -> None:
    """Open or close the gate."""
    write_sysctl(gate_path(vrid), position)


def device_settings(name: str) -> dict[str, str]:
    """What is set for a device of ours, below /proc/sys/net. On the ones without a carrier little can happen."""
    settings = _SETTINGS if name.startswith(MACVLAN_PREFIX) else _SETTINGS[:1]
    return {f"{family}/conf/{name}/{key}": value for family, key, value in settings}


def mend_settings(name: str) -> None:
    """Write only what is not right already: /proc/sys may be read-only on a host that was prepared otherwise."""
    for path, value in device_settings(name).items():
        if read_sysctl(path) not in (value, None):
            write_sysctl(path, value)


def read_sysctl(path: str) -> str | None:
    """A setting below /proc/sys/net; None when the kernel has no such setting."""
    try:
        file = os.open(f"/proc/sys/net/{path}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(file, 64).decode().strip()
    finally:
        os.close(file)


def write_sysctl(path: str, value: str) -> None:
    """Set something below /proc/sys/net; OSError names the path."""
    full = f"/proc/sys/net/{path}"
    file = os.open(full, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, full) from None
    finally:
        os.close(file)


def address_message(index: int, address: bytes, preferred: bool) -> bytes:
    """Put an address on a device: no DAD (several hosts share it) and no on-link prefix but a link-local one.

    One that is not preferred is never chosen as the source of a tunnel or of anything else.
    """
    flags = _IFA_F_NODAD if _is_link_local(address) else _IFA_F_NODAD | _IFA_F_NOPREFIXROUTE
    return message(
        RTM_NEWADDR,
        netlink.ACK | netlink.CREATE | netlink.REPLACE,
        _address_head(index, address)
        + attribute_u32(IFA_FLAGS, flags)
        + attribute(IFA_CACHEINFO, struct.pack("=IIII", _FOREVER if preferred else 0, _FOREVER, 0, 0))
        + attribute(IFA_PROTO, bytes((PROTOCOL,))),
    )


def no_address_message(index: int, address: bytes) -> bytes:
    """Take an address off a device."""
    return message(RTM_DELADDR, netlink.ACK, _address_head(index, address))


def _address_head(index: int, address: bytes) -> bytes:
    length, scope = (64, 253) if _is_link_local(address) else (128, 0)
    return IFADDR.pack(socket.AF_INET6, length, 0, scope, index) + attribute(IFA_ADDRESS, address)


def _is_link_local(address: bytes) -> bool:
    return address[:2] == b"\xfe\x80"
