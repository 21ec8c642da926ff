# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing every trace of a data plane from a host, whether its agent is alive, was killed, or was half done.

Every mark is in a place of our own (a device group, table `inet vrrp_ha`, our routing tables, protocol 112 on rules),
so nothing has to be remembered. Imports little: after a kill, each millisecond counts.
"""

from __future__ import annotations

import errno
from contextlib import closing

from . import devices, forwarding, netlink
from .guard import remove_table
from .netlink import Netlink

FORWARDING = "ipv6/conf/all/forwarding"


def cleanup(first_table: int, decapsulation_table: int) -> list[str]:
    """Remove every trace of an agent, whatever state it left the host in; returns what was removed."""
    with closing(Netlink(netlink.ROUTE)) as route, closing(Netlink(netlink.NETFILTER)) as filter_:
        return clean(route, filter_, our_tables(first_table, decapsulation_table))


def our_tables(first_table: int, decapsulation_table: int) -> set[int]:
    """Every routing table that may be ours."""
    return {decapsulation_table, *range(first_table + 1, first_table + 256)}


def clean(route: Netlink, filter_: Netlink, tables: set[int]) -> list[str]:
    """Devices first: addresses, routes and gates go with them at once, and rules are cheap to remove afterwards."""
    removed = [f"device {name}" for name in devices.delete_all(route)]
    for rule in forwarding.all_rules(route):
        if rule.protocol == devices.PROTOCOL and rule.table in tables:
            route.call(rule.message(add=False), ignore=(errno.ENOENT,))
            removed.append(f"rule {rule.preference} to table {rule.table}")
    if forwarding.restore_local_rule(route):
        removed.append("rule of the local table moved back to 0")
    had_table, was_off = remove_table(filter_)
    if had_table:
        removed.append("packet filter table inet vrrp_ha")
    if was_off and devices.read_sysctl(FORWARDING) != "0":
        devices.write_sysctl(FORWARDING, "0")
        removed.append("net.ipv6.conf.all.forwarding set back to 0")
    return removed
