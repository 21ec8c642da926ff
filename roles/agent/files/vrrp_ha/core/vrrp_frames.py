# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""VRRP messages of one virtual router as frames: advertisements, and whatever the synchronisation says.

RFC 9568 sections 5.1 and 7.2. When something is said, and what, is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter

from ..wire import ipv6, vrrp
from .effects import SendFrame
from .settings import VirtualHaSettings
from .types import ALL_VRRP_ROUTERS, UNSPECIFIED, Address

VRRP_MULTICAST_MAC = bytes.fromhex("333300000012")


class VrrpFrames:
    """Frames from a member's own link-local address. Nothing can be sent before that is known."""

    def __init__(self, settings: VirtualHaSettings, counters: Counter[str]) -> None:
        self._settings = settings
        self._counters = counters
        self._source: Address = UNSPECIFIED
        self._advertisements: dict[int, SendFrame] = {}  # by priority: they are always the same

    def attach(self, source: Address) -> None:
        """Send from this address from now on."""
        self._source = source
        self._advertisements.clear()

    def reconfigure(self, settings: VirtualHaSettings) -> None:
        """Use these settings from now on."""
        self._settings = settings
        self._advertisements.clear()

    def advertisement(self, priority: int) -> SendFrame:
        """Always from the virtual MAC (section 7.2), which keeps switches knowing where it is."""
        self._counters["adverts_sent"] += 1
        frame = self._advertisements.get(priority)
        if frame is None:
            settings = self._settings
            addresses = (settings.link_local, *settings.addresses)
            payload = vrrp.encode(vrrp.Advertisement(settings.vrid, priority, settings.interval_us, addresses))
            frame = self._advertisements[priority] = self.message(payload, virtual_mac=True)
        return frame

    def message(self, payload: bytes, *, virtual_mac: bool) -> SendFrame:
        """Any VRRP message, its checksum still 0. The virtual MAC moves the switch port: it is for a Master alone."""
        packet = ipv6.Packet(self._source, ALL_VRRP_ROUTERS, vrrp.HOP_LIMIT, vrrp.NEXT_HEADER, payload)
        octets = ipv6.encode(ipv6.with_checksum(packet, vrrp.CHECKSUM_OFFSET))
        return SendFrame(self._settings.vrid, VRRP_MULTICAST_MAC, octets, virtual_mac)
