# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binding Updates of a mobile node as Scapy has them, by the thousand, and what the answers say.

Nothing here comes from the agent: Scapy builds one Binding Update, its octets become a template in which home
address, sequence number and timestamp are put in place; authentication data and checksum are computed here.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

NTP_OFFSET = 2_208_988_800
MOBILITY = 135
ROUTING = 43
TYPE_2 = 2
BINDING_ACKNOWLEDGEMENT = 6
HOME_AGENT_SWITCH = 12
REPLAY_PROTECTION_OPTION = 10
AUTHENTICATION_OPTION = 9
AUTHENTICATION_DATA = 12

_MARK_HOME = bytes.fromhex("20010db8a5a55a5aa5a55a5aa5a55a5a")
_MARK_SEQUENCE = 0
_MARK_TIMESTAMP = 0xA1B2C3D4E5F60718


def ntp(wall_ns: int) -> int:
    """The NTP timestamp of a time in nanoseconds since 1970."""
    seconds, nanoseconds = divmod(wall_ns, 1_000_000_000)
    return ((seconds + NTP_OFFSET) << 32) | (nanoseconds << 32) // 1_000_000_000


def internet_checksum(source: bytes, destination: bytes, payload: bytes) -> int:
    """The Mobility Header's checksum (RFC 6275 section 6.1.1); payload has 0 where it belongs."""
    data = source + destination + struct.pack("!II", len(payload), MOBILITY) + payload
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def sign(key: bytes, care_of: bytes, home: bytes, mh_data: bytes) -> bytes:
    """RFC 4285 section 5.1: First(96, HMAC_SHA1(key, care-of address | home address | MH data))."""
    return hmac.digest(key, care_of + home + mh_data[:4] + b"\0\0" + mh_data[6:], "sha1")[:AUTHENTICATION_DATA]


@dataclass
class MobileNodes:
    """What all the mobile nodes of one run have in common."""

    home_agent: bytes
    care_of: bytes
    key: bytes | None
    spi: int
    lifetime_s: int
    flags: str = "AH"
    at_home: bool = False
    alternate_care_of: bytes | None = None

    def __post_init__(self) -> None:
        self._template = self._build()
        # Scapy puts nothing but the destination options header before the Mobility Header.
        self._mh = 40 if self.at_home else 40 + 8 * (self._template[41] + 1)
        self._home = self._template.find(_MARK_HOME)
        self._timestamp = self._template.find(struct.pack("!Q", _MARK_TIMESTAMP))

    def _build(self) -> bytes:
        from scapy.layers.inet6 import (
            HAO,
            MIP6MH_BU,
            IPv6,
            IPv6ExtHdrDestOpt,
            MIP6OptAltCoA,
            MIP6OptMsgAuth,
            MIP6OptReplayProtection,
        )

        def text(address: bytes) -> str:
            return str(IPv6Address(address))

        options = []
        if not self.at_home:
            options.append(MIP6OptAltCoA(acoa=text(self.alternate_care_of or self.care_of)))
        if self.key is not None:
            options.append(MIP6OptReplayProtection(timestamp=_MARK_TIMESTAMP))
            options.append(MIP6OptMsgAuth(subtype=1, mspi=self.spi, authdata=bytes(AUTHENTICATION_DATA)))
        update = MIP6MH_BU(seq=_MARK_SEQUENCE, flags=self.flags, mhtime=self.lifetime_s // 4, options=options)
        if self.at_home:
            return bytes(IPv6(src=text(_MARK_HOME), dst=text(self.home_agent)) / update)
        home = IPv6ExtHdrDestOpt(options=[HAO(hoa=text(_MARK_HOME))])
        return bytes(IPv6(src=text(self.care_of), dst=text(self.home_agent)) / home / update)

    def bound_to(self, home: bytes) -> bytes:
        """The care-of address that the Mobility Data counts: the one to be bound."""
        return home if self.at_home else self.alternate_care_of or self.care_of

    def update(self, home: bytes, sequence: int, timestamp: int) -> bytes:
        """A whole packet."""
        packet = bytearray(self._template)
        packet[self._home : self._home + 16] = home
        mh = self._mh
        packet[mh + 4 : mh + 8] = struct.pack("!HH", 0, sequence)
        if self.key is not None:
            packet[self._timestamp : self._timestamp + 8] = struct.pack("!Q", timestamp)
            signed = bytes(packet[mh:-AUTHENTICATION_DATA])
            packet[-AUTHENTICATION_DATA:] = sign(self.key, self.bound_to(home), home, signed)
        checksum = internet_checksum(home, self.home_agent, bytes(packet[mh:]))
        packet[mh + 4 : mh + 6] = struct.pack("!H", checksum)
        return bytes(packet)


@dataclass(frozen=True)
class Acknowledgement:
    """A Binding Acknowledgement as it was on the wire, and what is wrong with it (empty: nothing)."""

    home: bytes
    status: int
    sequence: int
    lifetime_s: int
    timestamp: int | None
    spi: int | None
    options: tuple[int, ...]
    routing_header: bool
    problem: str


@dataclass(frozen=True)
class Header:
    """A Mobility Header as it came: whose it is by the routing header, and what is wrong with it."""

    source: bytes
    home: bytes
    routing_header: bool
    mh: bytes
    problems: tuple[str, ...]


def mobility_header(packet: bytes) -> Header | None:
    """The Mobility Header of an IPv6 packet, behind a type 2 routing header or not; None if there is none."""
    if len(packet) < 48 or packet[0] >> 4 != 6:
        return None
    length = struct.unpack_from("!H", packet, 4)[0]
    source, destination, offset, next_header = packet[8:24], packet[24:40], 40, packet[6]
    home, routing = destination, False
    if next_header == ROUTING and len(packet) >= 72 and packet[42] == TYPE_2:
        home, routing, next_header, offset = packet[48:64], True, packet[40], 64
    mh = packet[offset : 40 + length]
    if next_header != MOBILITY or len(mh) < 8:
        return None
    problems = []
    if internet_checksum(source, home, mh[:4] + b"\0\0" + mh[6:]) != struct.unpack_from("!H", mh, 4)[0]:
        problems.append("checksum")
    if len(mh) != 8 * (mh[1] + 1):
        problems.append("header length")
    return Header(source, home, routing, mh, tuple(problems))


@dataclass(frozen=True)
class Options:
    """The mobility options that matter here."""

    kinds: tuple[int, ...]
    timestamp: int | None
    spi: int | None
    problems: tuple[str, ...]


def options_of(mh: bytes, at: int) -> Options:
    """The mobility options from there to the end."""
    kinds, problems, timestamp, spi = [], [], None, None
    while at < len(mh):
        kind = mh[at]
        if kind == 0:
            at += 1
            continue
        if at + 2 > len(mh) or at + 2 + mh[at + 1] > len(mh):
            problems.append("option length")
            break
        value = mh[at + 2 : at + 2 + mh[at + 1]]
        if kind > 1:
            kinds.append(kind)
        if kind == REPLAY_PROTECTION_OPTION:
            timestamp = int.from_bytes(value, "big")
        elif kind == AUTHENTICATION_OPTION and len(value) == 5 + AUTHENTICATION_DATA and value[0] == 1:
            spi = int.from_bytes(value[1:5], "big")
            if at + 2 + len(value) != len(mh):
                problems.append("the authentication option is not the last")
        at += 2 + len(value)
    return Options(tuple(kinds), timestamp, spi, tuple(problems))


def acknowledgement(packet: bytes, home_agent: bytes) -> tuple[Acknowledgement, bytes] | None:
    """The Binding Acknowledgement in an IPv6 packet from this home agent with its MH, or None if it is none."""
    header = mobility_header(packet)
    if header is None or header.source != home_agent:
        return None
    mh = header.mh
    if len(mh) < 12 or mh[2] != BINDING_ACKNOWLEDGEMENT:
        return None
    status, _reserved, sequence, lifetime = struct.unpack_from("!BBHH", mh, 6)
    options = options_of(mh, 12)
    found = Acknowledgement(
        header.home, status, sequence, lifetime * 4, options.timestamp, options.spi, options.kinds,
        header.routing_header, ", ".join((*header.problems, *options.problems)),
    )  # fmt: skip
    return found, mh


@dataclass(frozen=True)
class HomeAgentSwitch:
    """A Home Agent Switch message (RFC 5142) as it was on the wire, and what is wrong with it (empty: nothing)."""

    source: bytes
    home: bytes
    home_agents: tuple[bytes, ...]
    timestamp: int | None
    spi: int | None
    routing_header: bool
    problem: str


def home_agent_switch(packet: bytes) -> tuple[HomeAgentSwitch, bytes] | None:
    """The Home Agent Switch in an IPv6 packet with its MH, or None if it is none."""
    header = mobility_header(packet)
    if header is None or header.mh[2] != HOME_AGENT_SWITCH:
        return None
    mh = header.mh
    end = 8 + 16 * mh[6]
    options = options_of(mh, end)
    problems = (*header.problems, *options.problems, *(("number of addresses",) if end > len(mh) else ()))
    agents = tuple(mh[at : at + 16] for at in range(8, min(end, len(mh)), 16))
    found = HomeAgentSwitch(
        header.source, header.home, agents, options.timestamp, options.spi, header.routing_header, ", ".join(problems)
    )
    return found, mh


def is_signed(mh: bytes, key: bytes, care_of: bytes, home: bytes) -> bool:
    """Whether the authentication data at the very end of the Mobility Header is right."""
    return hmac.compare_digest(sign(key, care_of, home, mh[:-AUTHENTICATION_DATA]), mh[-AUTHENTICATION_DATA:])


def in_esp(packet: bytes) -> bytes:
    """The same Binding Update in ESP transport mode, under a security association that nobody else has (RFC 3776)."""
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import ESP, SecurityAssociation

    association = SecurityAssociation(
        ESP, spi=0x1234, crypt_algo="AES-CBC", crypt_key=bytes(range(16)), auth_algo="SHA2-256-128",
        auth_key=bytes(range(32)),
    )  # fmt: skip
    return bytes(association.encrypt(IPv6(packet)))
