# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of Neighbor Discovery: RFC 4861 section 4.6 and RFC 6275 sections 7.2 to 7.4.

Part of icmpv6.py, which is what others import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TypeVar

from .errors import WireError
from .ipv6 import Address

SECOND_US = 1_000_000
MILLISECOND_US = 1_000
UNIT = 8  # octets that one step of Length stands for

ON_LINK = 0x80
AUTONOMOUS = 0x40
ROUTER_ADDRESS = 0x20


class OptionType(IntEnum):
    """The options that are understood here."""

    SOURCE_LINK_LAYER = 1
    TARGET_LINK_LAYER = 2
    PREFIX_INFORMATION = 3
    MTU = 5
    ADVERTISEMENT_INTERVAL = 7
    HOME_AGENT_INFORMATION = 8
    NONCE = 14


@dataclass(frozen=True, slots=True)
class LinkLayerAddress:
    """RFC 4861 section 4.6.1, of the source (kind 1) or the target (kind 2)."""

    kind: int
    address: bytes  # 6 octets on Ethernet; with whatever padding the sender put to fill 8n + 6


# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |     Type      |    Length     | Prefix Length |L|A|R|Reserved1|
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                         Valid Lifetime                        |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                       Preferred Lifetime                      |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                           Reserved2                           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                       Prefix (16 octets)                      |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class PrefixInformation:
    """RFC 6275 section 7.2: with the R bit, prefix is the whole address of the router."""

    prefix: Address
    prefix_length: int
    on_link: bool
    autonomous: bool
    router_address: bool
    valid_lifetime_us: int
    preferred_lifetime_us: int


@dataclass(frozen=True, slots=True)
class Mtu:
    """RFC 4861 section 4.6.4."""

    mtu: int


@dataclass(frozen=True, slots=True)
class AdvertisementInterval:
    """RFC 6275 section 7.3."""

    interval_us: int


@dataclass(frozen=True, slots=True)
class HomeAgentInformation:
    """RFC 6275 section 7.4."""

    preference: int
    lifetime_us: int


@dataclass(frozen=True, slots=True)
class Nonce:
    """RFC 3971 section 5.3.2; RFC 7527 uses it to tell own, looped-back solicitations."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """To be ignored (RFC 4861 section 4.6). data: everything after type and length."""

    kind: int
    data: bytes


Option = (
    LinkLayerAddress | PrefixInformation | Mtu | AdvertisementInterval | HomeAgentInformation | Nonce | UnknownOption
)
OptionT = TypeVar("OptionT", bound=Option)

_PREFIX = Struct("!BBII4x16s")
_NUMBER = Struct("!2xI")
_HOME_AGENT = Struct("!2xHH")
_LENGTHS: dict[int, int] = {
    OptionType.PREFIX_INFORMATION: 32,
    OptionType.MTU: 8,
    OptionType.ADVERTISEMENT_INTERVAL: 8,
    OptionType.HOME_AGENT_INFORMATION: 8,
}


def source_link_layer(address: bytes) -> LinkLayerAddress:
    """The option of solicitations and router advertisements."""
    return LinkLayerAddress(OptionType.SOURCE_LINK_LAYER, address)


def target_link_layer(address: bytes) -> LinkLayerAddress:
    """The option of neighbour advertisements."""
    return LinkLayerAddress(OptionType.TARGET_LINK_LAYER, address)


def first(options: tuple[Option, ...], kind: type[OptionT]) -> OptionT | None:
    """The first option of this class, if there is one."""
    for option in options:
        if isinstance(option, kind):
            return option
    return None


def iter_options(payload: bytes, offset: int) -> Iterator[tuple[int, int, bytes]]:
    """(offset, type, what follows the length) of every option from this offset to the end."""
    end = len(payload)
    while offset < end:
        length = UNIT * payload[offset + 1] if offset + 1 < end else 0
        if length == 0 or offset + length > end:
            raise WireError("option_length", f"neighbour discovery option {payload[offset]} at {offset}")
        yield offset, payload[offset], payload[offset + 2 : offset + length]
        offset += length


def decode_options(payload: bytes, offset: int) -> tuple[Option, ...]:
    """The options from this offset to the end."""
    return tuple([_decode_option(kind, data) for _unused, kind, data in iter_options(payload, offset)])


def _decode_option(kind: int, data: bytes) -> Option:
    length = _LENGTHS.get(kind)
    if length is not None and len(data) + 2 != length:
        raise WireError("option_length", f"neighbour discovery option {kind} of {len(data) + 2} octets")
    match kind:
        case OptionType.SOURCE_LINK_LAYER | OptionType.TARGET_LINK_LAYER:
            return LinkLayerAddress(kind, data)
        case OptionType.PREFIX_INFORMATION:
            prefix_length, flags, valid, preferred, prefix = _PREFIX.unpack(data)
            return PrefixInformation(
                prefix,
                prefix_length,
                bool(flags & ON_LINK),
                bool(flags & AUTONOMOUS),
                bool(flags & ROUTER_ADDRESS),
                valid * SECOND_US,
                preferred * SECOND_US,
            )
        case OptionType.MTU:
            return Mtu(_NUMBER.unpack(data)[0])
        case OptionType.ADVERTISEMENT_INTERVAL:
            return AdvertisementInterval(_NUMBER.unpack(data)[0] * MILLISECOND_US)
        case OptionType.HOME_AGENT_INFORMATION:
            preference, lifetime = _HOME_AGENT.unpack(data)
            return HomeAgentInformation(preference, lifetime * SECOND_US)
        case OptionType.NONCE:
            return Nonce(data)
        case _:
            return UnknownOption(kind, data)


def encode_options(options: Iterable[Option]) -> bytes:
    """The options one after another, each filled with zeros to whole units of 8 octets."""
    return b"".join([_encode_option(option) for option in options])


def _encode_option(option: Option) -> bytes:
    match option:
        case LinkLayerAddress(kind, address):
            data = address
        case PrefixInformation(prefix, prefix_length, on_link, autonomous, router_address, valid, preferred):
            kind = OptionType.PREFIX_INFORMATION
            flags = ON_LINK * on_link | AUTONOMOUS * autonomous | ROUTER_ADDRESS * router_address
            data = _PREFIX.pack(prefix_length, flags, valid // SECOND_US, preferred // SECOND_US, prefix)
        case Mtu(mtu):
            kind, data = OptionType.MTU, _NUMBER.pack(mtu)
        case AdvertisementInterval(interval_us):
            kind, data = OptionType.ADVERTISEMENT_INTERVAL, _NUMBER.pack(interval_us // MILLISECOND_US)
        case HomeAgentInformation(preference, lifetime_us):
            kind, data = OptionType.HOME_AGENT_INFORMATION, _HOME_AGENT.pack(preference, lifetime_us // SECOND_US)
        case Nonce(nonce):
            kind, data = OptionType.NONCE, nonce
        case UnknownOption(kind, data):
            pass
    length = -(-(len(data) + 2) // UNIT)
    return bytes((kind, length)) + data + bytes(UNIT * length - len(data) - 2)
