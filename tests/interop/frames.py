# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethernet frames as an outsider builds and reads them: its own few lines of VRRP, ND and ICMPv6.

Independent of the agent's codecs on purpose, so that both cannot be wrong in the same way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

ALL_VRRP_ROUTERS = "ff02::12"
ALL_NODES = "ff02::1"
ALL_ROUTERS = "ff02::2"
NS, NA, RS, RA, ECHO_REQUEST, ECHO_REPLY, MLD_REPORTS = 135, 136, 133, 134, 128, 129, (131, 132, 143)


def virtual_mac(vrid: int) -> str:
    return f"00:00:5e:00:02:{vrid:02x}"


def multicast_mac(group: str) -> str:
    return "33:33:" + ":".join(f"{octet:02x}" for octet in IPv6Address(group).packed[12:])


def solicited_node(address: str) -> str:
    return str(IPv6Address(IPv6Address("ff02::1:ff00:0").packed[:13] + IPv6Address(address).packed[13:]))


def checksum(source: str, destination: str, next_header: int, payload: bytes) -> int:
    """The ones' complement sum over the pseudo-header and payload, complemented: 0 over a right message."""
    pseudo = IPv6Address(source).packed + IPv6Address(destination).packed
    data = pseudo + struct.pack("!IHBB", len(payload), 0, 0, next_header) + payload
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv6(
    source: str,
    destination: str,
    next_header: int,
    payload: bytes,
    *,
    source_mac: str,
    destination_mac: str | None = None,
    hop_limit: int = 255,
) -> bytes:
    """A whole Ethernet frame."""
    if destination_mac is None:
        destination_mac = multicast_mac(destination)
    ethernet = bytes.fromhex(destination_mac.replace(":", "")) + bytes.fromhex(source_mac.replace(":", ""))
    addresses = IPv6Address(source).packed + IPv6Address(destination).packed
    header = struct.pack("!IHBB", 6 << 28, len(payload), next_header, hop_limit)
    return ethernet + b"\x86\xdd" + header + addresses + payload


def advert(
    *,
    vrid: int,
    priority: int,
    source: str,
    addresses: tuple[str, ...],
    interval_cs: int = 10,
    version: int = 3,
    kind: int = 1,
    reserved: int = 0,
    count: int | None = None,
    hop_limit: int = 255,
    damage_checksum: bool = False,
    cut: int = 0,
) -> bytes:
    """An ADVERTISEMENT, right unless told otherwise."""
    listed = b"".join(IPv6Address(address).packed for address in addresses)
    count = len(addresses) if count is None else count
    head = struct.pack("!BBBBH", version << 4 | kind, vrid, priority, count, reserved << 12 | interval_cs)
    body = (head + b"\0\0" + listed)[: 8 + len(listed) - cut]
    value = checksum(source, ALL_VRRP_ROUTERS, 112, body) ^ (0x5555 if damage_checksum else 0)
    body = body[:6] + struct.pack("!H", value) + body[8:]
    return ipv6(source, ALL_VRRP_ROUTERS, 112, body, source_mac=virtual_mac(vrid), hop_limit=hop_limit)


def icmpv6(source: str, destination: str, kind: int, rest: bytes, **frame: object) -> bytes:
    """ICMPv6 with code 0; rest is everything after the checksum."""
    value = checksum(source, destination, 58, struct.pack("!BBH", kind, 0, 0) + rest)
    return ipv6(source, destination, 58, struct.pack("!BBH", kind, 0, value) + rest, **frame)  # type: ignore[arg-type]


def solicitation(target: str, source: str, source_mac: str) -> bytes:
    """A Neighbor Solicitation, multicast; with source :: as for Duplicate Address Detection."""
    rest = b"\0" * 4 + IPv6Address(target).packed
    if source != "::":
        rest += b"\x01\x01" + bytes.fromhex(source_mac.replace(":", ""))
    return icmpv6(source, solicited_node(target), NS, rest, source_mac=source_mac)


def router_solicitation(source: str, source_mac: str) -> bytes:
    """A Router Solicitation to all routers."""
    option = b"" if source == "::" else b"\x01\x01" + bytes.fromhex(source_mac.replace(":", ""))
    return icmpv6(source, ALL_ROUTERS, RS, bytes(4) + option, source_mac=source_mac)


def echo_request(source: str, destination: str, *, source_mac: str, destination_mac: str) -> bytes:
    return icmpv6(
        source,
        destination,
        ECHO_REQUEST,
        b"\x12\x34\0\x01test",
        source_mac=source_mac,
        destination_mac=destination_mac,
        hop_limit=64,
    )


def binding_update(home_address: str, care_of: str, home_agent: str, vrid: int, *, lifetime_s: int) -> bytes:
    """A home registration (RFC 6275 section 6.1.7) without authentication, with an Alternate Care-of Address."""
    body = struct.pack("!HHH", 1, 0xC000, lifetime_s // 4) + b"\x01\0" + b"\x03\x10" + IPv6Address(care_of).packed
    head = struct.pack("!BBBB", 59, (6 + len(body)) // 8 - 1, 5, 0)
    value = checksum(home_address, home_agent, 135, head + b"\0\0" + body)
    mobility = head + struct.pack("!H", value) + body
    options = bytes((135, 2, 1, 2, 0, 0, 0xC9, 16)) + IPv6Address(home_address).packed
    return ipv6(
        care_of,
        home_agent,
        60,
        options + mobility,
        source_mac="02:00:00:00:00:99",
        destination_mac=virtual_mac(vrid),
        hop_limit=64,
    )


@dataclass(frozen=True)
class Advert:
    """What an ADVERTISEMENT says."""

    version: int
    kind: int
    vrid: int
    priority: int
    count: int
    reserved: int
    interval_cs: int
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """What a host put on the wire, and when (seconds since 1970, stamped by the kernel)."""

    time: float
    host: str
    data: bytes

    @property
    def destination_mac(self) -> str:
        return self.data[:6].hex(":")

    @property
    def source_mac(self) -> str:
        return self.data[6:12].hex(":")

    @property
    def is_ipv6(self) -> bool:
        return self.data[12:14] == b"\x86\xdd"

    @property
    def hop_limit(self) -> int:
        return self.data[21]

    @property
    def source(self) -> str:
        return str(IPv6Address(self.data[22:38]))

    @property
    def destination(self) -> str:
        return str(IPv6Address(self.data[38:54]))

    @property
    def next_header(self) -> int | None:
        """The upper layer's, past the hop-by-hop header that MLD has."""
        if not self.is_ipv6:
            return None
        return self.data[54] if self.data[20] == 0 else self.data[20]

    @property
    def payload(self) -> bytes:
        end = 54 + int.from_bytes(self.data[18:20], "big")
        start = 54 + 8 * (1 + self.data[55]) if self.data[20] == 0 else 54
        return self.data[start:end]

    @property
    def icmp(self) -> int | None:
        """The ICMPv6 type."""
        return self.payload[0] if self.next_header == 58 else None

    @property
    def target(self) -> str:
        """Of a Neighbor Solicitation or Advertisement."""
        return str(IPv6Address(self.payload[8:24]))

    @property
    def neighbour_flags(self) -> str:
        """The flags of a Neighbor Advertisement, e.g. "RO"."""
        return "".join(name for name, bit in (("R", 0x80), ("S", 0x40), ("O", 0x20)) if self.payload[4] & bit)

    @property
    def target_mac(self) -> str | None:
        """The Target Link-Layer Address option of a Neighbor Advertisement."""
        option = self.payload[24:32]
        return option[2:].hex(":") if option[:2] == b"\x02\x01" else None

    @property
    def router_lifetime(self) -> int:
        """Of a Router Advertisement, in seconds."""
        return int.from_bytes(self.payload[6:8], "big")

    @property
    def router_options(self) -> dict[int, bytes]:
        """The options of a Router Advertisement by type: everything after the length."""
        options, at = {}, 16
        while at < len(self.payload):
            length = 8 * self.payload[at + 1]
            options[self.payload[at]] = self.payload[at + 2 : at + length]
            at += length
        return options

    @property
    def vrrp(self) -> tuple[int, int] | None:
        """(type, VRID) of a VRRP message."""
        return (self.payload[0] & 15, self.payload[1]) if self.next_header == 112 else None

    @property
    def advert(self) -> Advert | None:
        """None for anything but an ADVERTISEMENT."""
        if self.vrrp is None or self.vrrp[0] != 1:
            return None
        first, vrid, priority, count, interval = struct.unpack_from("!BBBBH", self.payload)
        listed = tuple(str(IPv6Address(self.payload[at : at + 16])) for at in range(8, len(self.payload), 16))
        return Advert(first >> 4, first & 15, vrid, priority, count, interval >> 12, interval & 0xFFF, listed)

    @property
    def checksum_is_right(self) -> bool:
        assert self.next_header is not None
        return checksum(self.source, self.destination, self.next_header, self.payload) == 0
