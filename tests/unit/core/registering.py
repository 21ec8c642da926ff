# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home agent and mobile nodes that are Scapy's, for the tests of core/registration.py."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

from scapy.layers.inet6 import (
    HAO,
    MIP6MH_BU,
    IPv6,
    IPv6ExtHdrDestOpt,
    MIP6OptAltCoA,
    MIP6OptMsgAuth,
    MIP6OptReplayProtection,
)

from tests.lab.mn import binding
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.binding_request import MobilityReceived
from vrrp_ha.core.commons import Commons
from vrrp_ha.core.effects import SendFrame, SendPacket
from vrrp_ha.core.registration import Registration
from vrrp_ha.core.settings import MobileNodeKey, NodeSettings, VirtualHaSettings
from vrrp_ha.core.types import SECOND, Instant, packed
from vrrp_ha.wire import ipv6

VHA = packed("2001:db8:1::1")
HOME = packed("2001:db8:1::1001")
OTHER_HOME = packed("2001:db8:1::1002")
CARE_OF = packed("2001:db8:2::77")
ELSEWHERE = packed("2001:db8:3::99")
KEY = bytes(range(16))
SPI = 256
WALL = 1_700_000_000 * SECOND
WINDOW = 7 * SECOND

VIRTUAL_HA = VirtualHaSettings(
    vrid=51,
    interface="eth1",
    priority=255,
    link_local=packed("fe80::5eff:fe00:233"),
    addresses=(VHA, packed("2001:db8:1::2")),
    prefix=packed("2001:db8:1::"),
    prefix_length=64,
    duplicate_address_detection=False,  # answers come at once; test_address_detection.py is about the other way
)
KEYS = (MobileNodeKey(SPI, KEY, packed("2001:db8::"), 32),)


def at(seconds: float) -> Instant:
    return Instant(round(seconds * SECOND))


def text(address: bytes) -> str:
    return str(IPv6Address(address))


def update(
    home: bytes = HOME,
    care_of: bytes = CARE_OF,
    *,
    alternate: bytes | None = None,
    sequence: int = 1,
    lifetime_s: int = 600,
    flags: str = "AH",
    key: bytes | None = KEY,
    spi: int = SPI,
    timestamp: int | None = None,
    seconds: float = 0.0,
    at_home: bool = False,
    before: tuple = (),
    after: tuple = (),
    replay: bool = True,
    destination: bytes = VHA,
) -> bytes:
    """A Binding Update as a mobile node sends it when `seconds` have passed; key None: not authenticated."""
    options = list(before)
    if alternate is not None:
        options.append(MIP6OptAltCoA(acoa=text(alternate)))
    if timestamp is None:
        timestamp = binding.ntp(round((WALL / SECOND + seconds) * 1e9))
    if key is not None and replay:
        options.append(MIP6OptReplayProtection(timestamp=timestamp))
    at_signature = len(options)
    if key is not None:
        options.append(MIP6OptMsgAuth(subtype=1, mspi=spi, authdata=bytes(12)))
    options += after
    message = MIP6MH_BU(seq=sequence, flags=flags, mhtime=lifetime_s // 4, options=options)
    if at_home:
        packet = IPv6(src=text(home), dst=text(destination)) / message
        bound = alternate or home
    else:
        header = IPv6ExtHdrDestOpt(options=[HAO(hoa=text(home))])
        packet = IPv6(src=text(care_of), dst=text(destination)) / header / message
        bound = alternate or care_of
    if key is not None:
        mh = bytes(packet)[40 if at_home else 64 :]
        covered = mh[: mh.index(b"\x09\x11\x01" + spi.to_bytes(4, "big")) + 7]
        packet[MIP6MH_BU].options[at_signature].authdata = binding.sign(key, bound, home, covered)
    return bytes(packet)


class HomeAgent:
    """A Registration with its cache; every packet arrives when its seconds say, wall clock and monotonic alike."""

    def __init__(self, keys: tuple[MobileNodeKey, ...] = KEYS, **changes: object) -> None:
        self.cache = BindingCache()
        self.virtual_ha = virtual_ha = replace(VIRTUAL_HA, **changes)
        self.commons = Commons(NodeSettings("ha1", (virtual_ha,), keys, replay_window_us=WINDOW))
        self.registration = Registration(virtual_ha, self.commons, self.cache)

    def reconfigure(self, **changes: object) -> None:
        self.registration.reconfigure(replace(self.virtual_ha, **changes))

    def receive(self, octets: bytes, seconds: float = 0.0, source_mac: bytes | None = None) -> list:
        event = MobilityReceived(ipv6.decode(octets), WALL + round(seconds * SECOND), source_mac)
        return self.registration.handle(event, at(seconds))

    def answer(self, octets: bytes, seconds: float = 0.0) -> binding.Acknowledgement:
        """The acknowledgement, which must be there."""
        answer, _mh = acknowledged(self.receive(octets, seconds))
        return answer

    def bound(self, home: bytes = HOME) -> bytes | None:
        found = self.cache.get(home)
        return found.care_of_address if found else None


def acknowledged(effects: list) -> tuple[binding.Acknowledgement, bytes]:
    """The one acknowledgement among the effects, as an independent decoder sees it, and its Mobility Header."""
    (packet,) = [effect.packet for effect in effects if isinstance(effect, SendPacket | SendFrame)]
    found = binding.acknowledgement(packet, packet[8:24])
    assert found is not None
    assert found[0].problem == ""
    return found


def reports(effects: list) -> list[tuple[str, str]]:
    return [(effect.level, effect.kind) for effect in effects if hasattr(effect, "kind")]
