# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of Mobility Header messages: RFC 6275 section 6.2, RFC 4283, RFC 4285 sections 5 and 6.

Part of mobility.py, which is what others import. Padding is not kept: decoding drops it, encoding puts the
least that the alignment rules ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from .errors import WireError
from .ipv6 import PAD1, PADN, Address

TIME_UNIT_US = 4_000_000  # lifetimes and intervals

NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
NTP_ERA = 1 << 32


class OptionType(IntEnum):
    """The mobility options that are understood here."""

    REFRESH_ADVICE = 2
    ALTERNATE_CARE_OF = 3
    MOBILE_NODE_IDENTIFIER = 8
    AUTHENTICATION = 9
    REPLAY_PROTECTION = 10


@dataclass(frozen=True, slots=True)
class RefreshAdvice:
    """RFC 6275 section 6.2.4; in steps of 4 seconds on the wire."""

    interval_us: int


@dataclass(frozen=True, slots=True)
class AlternateCareOf:
    """RFC 6275 section 6.2.5."""

    address: Address


@dataclass(frozen=True, slots=True)
class MobileNodeIdentifier:
    """RFC 4283 section 3; subtype 1 is a network access identifier."""

    subtype: int
    identifier: bytes


@dataclass(frozen=True, slots=True)
class Authentication:
    """RFC 4285 section 5. covered: octets of the Mobility Header up to and including the SPI, as received."""

    subtype: int
    spi: int
    authenticator: bytes = field(repr=False)
    covered: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ReplayProtection:
    """RFC 4285 section 6. The 64 bits are kept as they came: they are compared and echoed bit by bit."""

    timestamp: int

    @property
    def wall_time_us(self) -> int:
        """Microseconds since 1970; an NTP second without its top bit is of the era that begins in 2036."""
        seconds = self.timestamp >> 32
        if not seconds >> 31:
            seconds += NTP_ERA
        return (seconds - NTP_EPOCH) * 1_000_000 + ((self.timestamp & 0xFFFFFFFF) * 1_000_000 >> 32)


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """To be ignored (RFC 6275 section 6.2.1)."""

    kind: int
    data: bytes


Option = RefreshAdvice | AlternateCareOf | MobileNodeIdentifier | Authentication | ReplayProtection | UnknownOption
OptionT = TypeVar("OptionT", bound=Option)


def iter_options(payload: bytes, offset: int) -> Iterator[tuple[int, int, bytes]]:
    """(offset of the option, type, data) of every option, padding included."""
    end = len(payload)
    while offset < end:
        kind = payload[offset]
        if kind == PAD1:
            yield offset, kind, b""
            offset += 1
            continue
        after = offset + 2 + payload[offset + 1] if offset + 1 < end else end + 1
        if after > end:
            raise WireError("option_length", f"mobility option {kind} at {offset} goes beyond the header")
        yield offset, kind, payload[offset + 2 : after]
        offset = after


def decode_options(payload: bytes, offset: int) -> tuple[Option, ...]:
    """What the options from this offset to the end say, padding left out."""
    return tuple(
        [decode_option(kind, data, at) for at, kind, data in iter_options(payload, offset) if kind not in (PAD1, PADN)]
    )


def decode_option(kind: int, data: bytes, offset: int) -> Option:
    """One option that is not padding; offset: where it stands in the Mobility Header."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return UnknownOption(kind, data)
    minimum, maximum, make = decoder
    if not minimum <= len(data) <= maximum:
        raise WireError("option_length", f"mobility option {kind} at {offset} of {len(data)} octets")
    return make(data, offset)


def _authentication(data: bytes, offset: int) -> Authentication:
    return Authentication(data[0], int.from_bytes(data[1:5], "big"), data[5:], covered=offset + 7)


_DECODERS: dict[int, tuple[int, int, Callable[[bytes, int], Option]]] = {
    OptionType.REFRESH_ADVICE: (2, 2, lambda data, _: RefreshAdvice(int.from_bytes(data, "big") * TIME_UNIT_US)),
    OptionType.ALTERNATE_CARE_OF: (16, 16, lambda data, _: AlternateCareOf(data)),
    OptionType.MOBILE_NODE_IDENTIFIER: (1, 255, lambda data, _: MobileNodeIdentifier(data[0], data[1:])),
    OptionType.AUTHENTICATION: (5, 255, _authentication),
    OptionType.REPLAY_PROTECTION: (8, 8, lambda data, _: ReplayProtection(int.from_bytes(data, "big"))),
}


def _parts(option: Option) -> tuple[int, bytes, tuple[int, int]]:
    """(type, data, (step, remainder) of its alignment)."""
    match option:
        case RefreshAdvice(interval_us):
            return OptionType.REFRESH_ADVICE, time_units(interval_us).to_bytes(2, "big"), (2, 0)
        case AlternateCareOf(address):
            return OptionType.ALTERNATE_CARE_OF, address, (8, 6)
        case MobileNodeIdentifier(subtype, identifier):
            return OptionType.MOBILE_NODE_IDENTIFIER, bytes((subtype,)) + identifier, (1, 0)
        case Authentication(subtype, spi, authenticator):
            data = bytes((subtype,)) + spi.to_bytes(4, "big") + authenticator
            return OptionType.AUTHENTICATION, data, (4, 1)
        case ReplayProtection(timestamp):
            return OptionType.REPLAY_PROTECTION, timestamp.to_bytes(8, "big"), (8, 2)
        case UnknownOption(kind, data):
            return kind, data, (1, 0)


def first(options: tuple[Option, ...], kind: type[OptionT]) -> OptionT | None:
    """The first option of this class, if there is one."""
    for option in options:
        if isinstance(option, kind):
            return option
    return None


def append_options(body: bytearray, options: Iterable[Option]) -> None:
    """Options at their alignment, then padding to whole units of 8 octets; body begins at the Mobility Header."""
    for option in options:
        kind, data, (step, remainder) = _parts(option)
        body += _padding((remainder - len(body)) % step)
        body += bytes((kind, len(data))) + data
    body += _padding(-len(body) % 8)


def _padding(octets: int) -> bytes:
    """RFC 6275 sections 6.2.2 and 6.2.3: Pad1 for one octet, else PadN."""
    if octets < 2:
        return bytes(octets)
    return bytes((PADN, octets - 2)) + bytes(octets - 2)


def time_units(time_us: int) -> int:
    """Whole units of 4 seconds, rounded down; ValueError if 16 bits cannot hold them."""
    units = time_us // TIME_UNIT_US
    if not 0 <= units <= 0xFFFF:
        raise ValueError(f"{time_us} us does not fit 16 bits of 4 s each")
    return units
