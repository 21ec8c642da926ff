# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An acting Master with a virtual HA of its own, and mobile nodes that lost theirs, for the tests of recoveries."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.core.nodes import UP, Story, of, virtual_ha
from tests.unit.core.registering import CARE_OF, ELSEWHERE, HOME, SPI, VHA, update
from vrrp_ha.core.effects import RemoveBindings, RunHook, SendPacket
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.settings import RecoverySettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import packed
from vrrp_ha.wire import ipv6, mobility

OWN_VHA = packed("2001:db8:1::52")
OWN = virtual_ha(vrid=52, link_local=packed("fe80::5eff:fe00:234"), addresses=(OWN_VHA,))
LOST_SPI = 999  # of a security association that only the owner had
HOOK = "/usr/local/bin/recover"


def pace(rate: float, burst: int) -> Pace:
    return Pace(round(rate * 1_000_000), burst)


def acting_master(*, owns: bool = True, keys: bool = True, priority: int = 200, **recovery) -> Story:
    """Master of VRID 51, whose owner is dead, and of its own 52; HOME is bound at 51."""
    story = Story(virtual_ha(priority=priority), *((OWN,) if owns else ()))
    story.happens(UP, 0)
    story.runs_until(0.95)
    assert story.state()["state"] == "master"
    assert story.receives(update(seconds=0.95), 0.95)
    changes = {"recovery": RecoverySettings(**recovery)}
    if not keys:
        changes["mobile_node_keys"] = ()
    story.happens(Reconfigured(replace(story.node.settings, **changes)), 0.96)
    assert story.node.bindings(51).get(HOME)
    return story


def bind(story: Story, *homes: bytes) -> None:
    for home in homes:
        story.receives(update(home=home, seconds=0.97), 0.97)
        assert story.node.bindings(51).get(home)


def home(number: int) -> bytes:
    return packed("2001:db8:1::")[:12] + (0x10000 + number).to_bytes(4, "big")


def unreadable(address: bytes = HOME, source: bytes = ELSEWHERE, *, seconds: float = 1.0, sequence: int = 2) -> bytes:
    """A Binding Update that only the owner could authenticate."""
    return update(home=address, care_of=source, spi=LOST_SPI, key=bytes(16), sequence=sequence, seconds=seconds)


def esp(address: bytes | None = HOME, source: bytes = ELSEWHERE) -> bytes:
    """What the owner alone could decrypt."""
    return ipv6.encode(ipv6.Packet(source, VHA, 64, ipv6.ESP, bytes(range(40)), home_address=address))


def registration_at_own(seconds: float, sequence: int = 1) -> bytes:
    return update(care_of=ELSEWHERE, destination=OWN_VHA, seconds=seconds, sequence=sequence)


def switches(effects: list) -> list[tuple[ipv6.Packet, mobility.HomeAgentSwitch]]:
    """Every Home Agent Switch among the effects."""
    found = []
    for effect in of(effects, SendPacket):
        packet = ipv6.decode(effect.packet)
        message = mobility.decode(packet.payload)
        if isinstance(message, mobility.HomeAgentSwitch):
            mobility.check_packet(packet)
            found.append((packet, message))
    return found


def deleted(effects: list) -> list[bytes]:
    return [binding.home_address for effect in of(effects, RemoveBindings) for binding in effect.bindings]


def hooks(effects: list) -> list[RunHook]:
    return of(effects, RunHook)


def known(story: Story, seconds: float, vrid: int = 51) -> list[tuple[str, str]]:
    """(home address, state) of every recovery."""
    plain = story.node.recovery(vrid).describe(round(seconds * 1_000_000))
    return [(entry["home_address"], entry["state"]) for entry in plain]


__all__ = ["CARE_OF", "ELSEWHERE", "HOME", "SPI", "VHA"]
