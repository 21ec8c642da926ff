# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with a peer on its link, for the tests of core/node.py."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.core.registering import KEYS, VIRTUAL_HA, WALL
from vrrp_ha.core.effects import (
    SendFrame,
)
from vrrp_ha.core.events import (
    LinkUp,
    PacketReceived,
    TimerFired,
)
from vrrp_ha.core.node import Node
from vrrp_ha.core.settings import NodeSettings, SyncKey, VirtualHaSettings
from vrrp_ha.core.types import ALL_VRRP_ROUTERS, SECOND, Instant, packed
from vrrp_ha.wire import bc_sync, ipv6, vrrp

HERE = packed("fe80::5")
PEER = packed("fe80::9")
PEER_MAC = bytes.fromhex("020000000009")
FLEET_KEY = SyncKey("fleet", 1, bytes(range(32)))
INTERVAL = 100_000
UP = LinkUp("eth1", HERE, bytes.fromhex("020000000005"), 1500)


def at(seconds: float) -> Instant:
    return Instant(round(seconds * SECOND))


def virtual_ha(**changes) -> VirtualHaSettings:
    return replace(VIRTUAL_HA, interval_us=INTERVAL, sync_key=FLEET_KEY, **changes)


def settings(*virtual_has: VirtualHaSettings) -> NodeSettings:
    return NodeSettings("ha1", virtual_has, KEYS)


class Story:
    """A node with its effects collected, and a peer that it hears on the link."""

    def __init__(self, *virtual_has: VirtualHaSettings, **state) -> None:
        self.node = Node(settings(*virtual_has), epoch=1, **state)
        self.counter = 1 << 40

    def happens(self, event, seconds: float) -> list:
        return self.node.handle(event, at(seconds))

    def runs_until(self, seconds: float) -> list:
        """Every timer until then, and what it made the node want."""
        effects = []
        while (due := self.node.deadline()) is not None and due <= at(seconds):
            effects += self.node.handle(TimerFired(), due)
        return effects

    def hears(self, payload: bytes, seconds: float, next_header: int = 112, offset: int = 6) -> list:
        packet = ipv6.Packet(PEER, ALL_VRRP_ROUTERS, 255, next_header, payload)
        return self.receives(ipv6.encode(ipv6.with_checksum(packet, offset)), seconds)

    def receives(self, octets: bytes, seconds: float) -> list:
        return self.happens(PacketReceived("eth1", PEER_MAC, octets, WALL + round(seconds * SECOND)), seconds)

    def hears_advert(self, priority: int, seconds: float, vrid: int = 51) -> list:
        ours = next(v for v in self.node.settings.virtual_has if v.vrid == vrid)
        addresses = (ours.link_local, *ours.addresses)
        return self.hears(vrrp.encode(vrrp.Advertisement(vrid, priority, INTERVAL, addresses)), seconds)

    def hears_sync(self, message, seconds: float) -> list:
        self.counter += 1
        body = bc_sync.encode(message, self.node.settings.sync)
        return self.hears(bc_sync.sign(body, PEER, FLEET_KEY.key_id, FLEET_KEY.key, self.counter), seconds)

    def state(self, vrid: int = 51) -> dict:
        return next(v for v in self.node.status(at(0))["virtual_has"] if v["vrid"] == vrid)


def of(effects: list, kind: type) -> list:
    return [effect for effect in effects if isinstance(effect, kind)]


def vrrp_types(effects: list) -> list[int]:
    packets = [ipv6.decode(frame.packet) for frame in of(effects, SendFrame)]
    return [p.payload[0] & 0xF for p in packets if p.next_header == 112]


def advertised(effects: list) -> list[int]:
    packets = [ipv6.decode(frame.packet) for frame in of(effects, SendFrame)]
    return [p.payload[2] for p in packets if p.next_header == 112 and p.payload[0] & 0xF == vrrp.ADVERTISEMENT]


def master(*extra: VirtualHaSettings, **changes) -> Story:
    """Alone on the link, Master since it heard nobody."""
    story = Story(virtual_ha(**changes), *extra)
    story.happens(UP, 0)
    story.runs_until(0.95)
    assert story.state()["state"] == "master"
    return story
