# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices when somebody changes a setting that the data plane lives on, as `sysctl --system` may at any time.

A value written to net.ipv6.conf.all.ignore_routes_with_linkdown is written to every device: it would open or close the
gate of every virtual router (devices.py). The kernel tells of such changes by RTM_NEWNETCONF (rtnetlink(7)).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

from . import netlink
from .netlink import Netlink, attributes

_GROUP_IPV6_NETCONF = 1 << 24
_FORWARDING, _IGNORE_LINKDOWN = 2, 6
_NETCONF = 4  # the length of its header: the family, padded
ALL = -1


class SettingsWatch:
    """What was set since the last look."""

    def __init__(self) -> None:
        self._socket = Netlink(netlink.ROUTE, _GROUP_IPV6_NETCONF)

    def changes(self) -> Iterator[tuple[int, str, str]]:
        """Index of the device (or ALL), name of the setting, its value now. Never blocks."""
        try:
            for _unused, body in self._socket.notifications():
                found = {kind: struct.unpack("=i", value)[0] for kind, value in attributes(body, _NETCONF).items()}
                for kind, name in ((_FORWARDING, "forwarding"), (_IGNORE_LINKDOWN, "ignore_routes_with_linkdown")):
                    if kind in found:
                        yield found.get(1, ALL), name, str(found[kind])
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # lost some: reconcile() is for what nobody noticed
                raise

    def close(self) -> None:
        """Notice no more."""
        self._socket.close()
