# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of message that a node sends, as it sends it: made by small stories with a whole node, no network needed.

Each comes with what it is meant to say, in the words of opinions.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    HAO,
    ICMPv6DestUnreach,
    ICMPv6HAADRequest,
    ICMPv6MPSol,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    MIP6MH_Generic,
    MIP6OptMNID,
)

from tests.unit.core import protecting
from tests.unit.core.nodes import UP, Story, master, of, virtual_ha
from tests.unit.core.recovering import ELSEWHERE, LOST_SPI, OWN_VHA, acting_master
from tests.unit.core.registering import CARE_OF, HOME, WALL, text, update
from vrrp_ha.core.effects import SendFrame, SendPacket
from vrrp_ha.core.events import LOOPBACK, PacketReceived, Reconfigured, StopRequested
from vrrp_ha.wire import bc_sync, esp, icmpv6, ipv6, mobility

LINK_LOCAL = "fe80::5eff:fe00:233"
VIRTUAL_MAC = "00:00:5e:00:02:33"
ALL_ROUTERS, ALL_NODES = "ff02::12", "ff02::1"


@dataclass(frozen=True)
class Emitted:
    """A packet of ours and what it has to say."""

    name: str
    packet: bytes
    meant: dict[str, Any]
    keys: esp.Keys | None = None  # of one in ESP


def packets(effects: list) -> list[bytes]:
    return [effect.packet for effect in of(effects, SendFrame | SendPacket)]


def one(effects: list, next_header: int, kind: int) -> bytes:
    """The first packet of one kind: VRRP or Mobility Header or ICMPv6 type."""
    at = {112: 0, 135: 2, 58: 0}[next_header]
    for packet in packets(effects):
        upper, found = upper_layer(packet)
        value = upper[at] & 0xF if next_header == 112 else upper[at]
        if found == next_header and value == kind:
            return packet
    raise AssertionError(f"no packet {next_header}/{kind} among {len(packets(effects))}")


def upper_layer(packet: bytes) -> tuple[bytes, int]:
    """Walk extension headers without the help of what is tested."""
    kind, offset = packet[6], 40
    while kind in (43, 60):
        kind, offset = packet[offset], offset + 8 + 8 * packet[offset + 1]
    return packet[offset:], kind


def everything() -> list[Emitted]:
    made = (
        _vrrp,
        _synchronisation,
        _acknowledgements,
        _home_agent_switch,
        _neighbours,
        _routers,
        _errors,
        _discovery,
        _protected,
    )
    return [emitted for makes in made for emitted in makes()]


def _vrrp() -> Iterator[Emitted]:
    story = Story(virtual_ha())
    story.happens(UP, 0)
    common = {"source": "fe80::5", "destination": ALL_ROUTERS, "hop_limit": 255, "vrrp_version": 3, "checksum": "good"}
    addresses = {"addresses": [LINK_LOCAL, "2001:db8:1::1", "2001:db8:1::2"], "vrid": 51, "interval_cs": 10}
    meant = common | addresses | {"vrrp_type": 1}
    yield Emitted("advertisement of an owner", one(story.runs_until(1.0), 112, 1), meant | {"priority": 255})
    resigned = one(story.happens(StopRequested(), 1.1), 112, 1)
    yield Emitted("advertisement of who resigns", resigned, meant | {"priority": 0})


def _synchronisation() -> Iterator[Emitted]:
    """With an authenticator; bare messages are among the reference packets."""
    common = {"source": "fe80::5", "destination": ALL_ROUTERS, "hop_limit": 255, "vrid": 51, "checksum": "good"}
    story = Story(virtual_ha(priority=200))
    yield Emitted("BC_REQUEST", one(story.happens(UP, 0), 112, 2), common | {"vrrp_type": 2})
    story = master()
    effects = story.receives(update(seconds=1.0), 1.0)
    yield Emitted("BC_UPDATE", one(effects, 112, 3), common | {"vrrp_type": 3, "bindings": 1})
    effects = story.hears_sync(bc_sync.BcRequest(51), 2.0) + story.runs_until(2.5)
    yield Emitted("BC_DIGEST", one(effects, 112, 4), common | {"vrrp_type": 4, "count": 1})


def _acknowledgements() -> Iterator[Emitted]:
    to_mobile_node = {"source": "2001:db8:1::1", "destination": text(CARE_OF), "routing_home_address": text(HOME)}
    common = to_mobile_node | {"mh_type": 6, "key_management": False, "checksum": "good", "spi": 256, "subtype": 1}
    story = master()
    answer = one(story.receives(update(sequence=7, seconds=1.0), 1.0), 135, 6)
    accepted = {"status": 0, "sequence": 7, "lifetime_s": 600}
    yield Emitted("Binding Acknowledgement", answer, common | accepted)
    octets = update(sequence=8, seconds=1.1, before=(MIP6OptMNID(subtype=1, id=b"mn1@example.com"),))
    answer = one(story.receives(octets, 1.1), 135, 6)
    identified = common | {"status": 0, "mn_id": "mn1@example.com", "mn_id_subtype": 1}
    yield Emitted("Binding Acknowledgement with an identifier", answer, identified)
    refusals = {
        "sequence out of window": (update(sequence=8, seconds=1.2), 135),
        "authentication failed": (update(sequence=9, seconds=1.2, key=b"wrong" * 4), 146),
        "replay mismatch": (update(sequence=9, seconds=-60.0), 144),
        "no timestamp": (update(sequence=9, seconds=1.2, replay=False), 145),
    }
    for name, (octets, status) in refusals.items():
        answer = one(story.receives(octets, 1.2), 135, 6)
        yield Emitted(f"Binding Acknowledgement, {name}", answer, common | {"status": status, "lifetime_s": 0})
    answer = one(story.receives(update(sequence=10, seconds=1.4, lifetime_s=0, at_home=True), 1.4), 135, 6)
    deregistered = {"destination": text(HOME), "status": 0, "sequence": 10, "lifetime_s": 0}
    yield Emitted("Binding Acknowledgement to somebody at home", answer, deregistered)
    story = master(insecure_bindings=True)
    story.happens(Reconfigured(replace(story.node.settings, mobile_node_keys=())), 0.96)
    answer = one(story.receives(update(key=None, seconds=1.0), 1.0), 135, 6)
    yield Emitted("Binding Acknowledgement, not authenticated", answer, to_mobile_node | {"status": 0})


def _home_agent_switch() -> Iterator[Emitted]:
    story = acting_master()
    octets = update(spi=LOST_SPI, key=bytes(16), care_of=ELSEWHERE, seconds=1.2, sequence=2)
    switch = one(story.receives(octets, 1.2), 135, 12)
    meant = {"source": text(OWN_VHA), "destination": text(ELSEWHERE), "routing_home_address": text(HOME)}
    meant |= {"mh_type": 12, "home_agents": [text(OWN_VHA)], "checksum": "good", "spi": 256}
    yield Emitted("Home Agent Switch", switch, meant)


def _neighbours() -> Iterator[Emitted]:
    meant = {"source": LINK_LOCAL, "hop_limit": 255, "icmp_type": 136, "code": 0, "checksum": "good"}
    meant |= {"target_link_layer_address": VIRTUAL_MAC}
    story = Story(virtual_ha())
    story.happens(UP, 0)
    flags = {"router": True, "solicited": False, "override": True}
    announced = one(story.runs_until(1.0), 58, 136)
    yield Emitted(
        "announcement of a new Master", announced, meant | flags | {"destination": ALL_NODES, "target": LINK_LOCAL}
    )
    claim = one(story.receives(update(seconds=1.1, flags="AHL"), 1.1), 58, 136)
    flags = {"router": False, "solicited": False, "override": True}
    claimed = {"destination": ALL_NODES, "target": text(HOME)}
    yield Emitted("claim of a home address", claim, meant | flags | claimed)
    solicitation = ICMPv6ND_NS(tgt=text(HOME)) / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:99")
    asked = bytes(IPv6(src="fe80::99", dst="ff02::1:ff00:1001", hlim=255) / solicitation)
    flags = {"router": False, "solicited": True, "override": False}
    answered = meant | flags | {"destination": "fe80::99", "target": text(HOME)}
    yield Emitted("answer for a home address", one(story.receives(asked, 1.2), 58, 136), answered)

    story = master(duplicate_address_detection=True)
    probe = one(story.receives(update(seconds=1.0), 1.0), 58, 135)
    asked_for = {"source": "::", "destination": "ff02::1:ff00:1001", "hop_limit": 255, "target": text(HOME)}
    yield Emitted("Duplicate Address Detection", probe, asked_for | {"icmp_type": 135, "code": 0, "checksum": "good"})


def _routers() -> Iterator[Emitted]:
    meant = {"source": LINK_LOCAL, "destination": ALL_NODES, "hop_limit": 255, "icmp_type": 134, "checksum": "good"}
    story = master()
    asked = bytes(IPv6(src="fe80::99", dst="ff02::2", hlim=255) / ICMPv6ND_RS())
    effects = story.receives(asked, 5.0) + story.runs_until(9.0)
    meant |= {"source_link_layer_address": VIRTUAL_MAC, "router_lifetime_s": 0, "current_hop_limit": 64}
    meant |= {"home_agent": True, "preference": 64, "home_agent_lifetime_s": 1800, "advertisement_interval_ms": 600_000}
    meant |= {"prefixes": [("2001:db8:1::1", 64, True, False, True, 2_592_000, 604_800)]}
    yield Emitted("Router Advertisement", one(effects, 58, 134), meant)


def _errors() -> Iterator[Emitted]:
    meant = {"source": "2001:db8:1::1", "checksum": "good"}
    story = master()
    wrong = ipv6.decode(update(key=None, seconds=1.0))
    wrong = ipv6.with_checksum(replace(wrong, payload=b"\x3a" + wrong.payload[1:]), mobility.CHECKSUM_OFFSET)
    problem = one(story.receives(ipv6.encode(wrong), 1.0), 58, 4)
    pointer = {"destination": text(CARE_OF), "icmp_type": 4, "code": 0, "pointer": 64}
    yield Emitted("Parameter Problem about a Mobility Header", problem, meant | pointer)
    story.receives(update(seconds=1.1), 1.1)
    inner = IPv6(src="2001:db8:9::5", dst=text(HOME)) / UDP(sport=7, dport=7) / bytes(1400)
    tunnelled = bytes(IPv6(src="2001:db8:1::1", dst=text(CARE_OF)) / inner)
    told = {"destination": "2001:db8:9::5"}
    for name, error, facts in (
        ("Packet Too Big", ICMPv6PacketTooBig(mtu=1400), {"icmp_type": 2, "code": 0, "mtu": 1360}),
        ("Destination Unreachable", ICMPv6DestUnreach(code=0), {"icmp_type": 1, "code": 3}),
    ):
        heard = bytes(IPv6(src="2001:db8:7::1", dst="2001:db8:1::1") / error / tunnelled[:1200])
        relayed = one(story.receives(heard, 1.2), 58, facts["icmp_type"])
        yield Emitted(f"{name} of a tunnel", relayed, meant | told | facts)
    heard = bytes(IPv6(src="2001:db8:1::1", dst="2001:db8:1::1") / ICMPv6TimeExceeded(code=0) / tunnelled[:1200])
    relayed = one(story.happens(PacketReceived(LOOPBACK, bytes(6), heard, WALL), 1.3), 58, 3)
    yield Emitted("Time Exceeded of a tunnel", relayed, meant | told | {"icmp_type": 3, "code": 0})


def _discovery() -> Iterator[Emitted]:
    meant = {"source": "2001:db8:1::1", "destination": text(CARE_OF), "checksum": "good"}
    story = master()
    for status, packet in (
        (1, IPv6ExtHdrDestOpt(options=[HAO(hoa=text(HOME))]) / UDP()),
        (2, IPv6ExtHdrDestOpt(options=[HAO(hoa=text(HOME))]) / MIP6MH_Generic(mhtype=77, msg=b"\0\0")),
    ):
        asked = bytes(IPv6(src=text(CARE_OF), dst="2001:db8:1::1") / packet)
        said = {"mh_type": 7, "status": status, "named_home_address": text(HOME)}
        yield Emitted(f"Binding Error {status}", one(story.receives(asked, 1.0), 135, 7), meant | said)
    story.receives(update(seconds=1.1), 1.1)
    asked = bytes(IPv6(src=text(CARE_OF), dst="2001:db8:1::1") / ICMPv6HAADRequest(id=9))
    said = {"icmp_type": 145, "code": 0, "identifier": 9, "home_agents": ["2001:db8:1::1"]}
    yield Emitted("home agent discovery reply", one(story.receives(asked, 1.2), 58, 145), meant | said)
    option = IPv6ExtHdrDestOpt(options=[HAO(hoa=text(HOME))])
    solicitation = ipv6.decode(bytes(IPv6(src=text(CARE_OF), dst="2001:db8:1::1") / option / ICMPv6MPSol(id=7)))
    asked = ipv6.encode(ipv6.with_checksum(solicitation, icmpv6.CHECKSUM_OFFSET))
    prefix = ("2001:db8:1::1", 64, True, False, True, 2_592_000, 604_800)
    said = {"routing_home_address": text(HOME), "icmp_type": 147, "identifier": 7, "prefixes": [prefix]}
    said |= {"managed": False, "other": False}
    yield Emitted("Mobile Prefix Advertisement", one(story.receives(asked, 1.3), 58, 147), meant | said)


def _protected() -> Iterator[Emitted]:
    for algorithm in protecting.CBC, protecting.GCM:
        given = protecting.association(algorithm=algorithm)
        story = protecting.give(master(), given)
        (effect,) = of(story.receives(protecting.update(given), 1.0), SendPacket)
        meant = {"source": "2001:db8:1::1", "destination": text(CARE_OF), "routing_home_address": text(HOME)}
        name = f"Binding Acknowledgement in ESP, {algorithm.value}"
        yield Emitted(name, effect.packet, meant | {"esp_spi": protecting.SPI_OUT}, given.outbound)
