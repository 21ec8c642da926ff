# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobility Header messages and options, and the arithmetic of the MN-HA authentication option.

Messages: RFC 6275 section 6.1 and RFC 5142 section 3; options: RFC 6275 section 6.2, RFC 4283 and RFC 4285.
Padding is not kept: a decoded message holds what was said, an encoded one has the least padding that the
alignment rules ask for. Who may register what, and whether an authenticator or a timestamp is good enough, is
for core/registration.py to say.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from struct import Struct
from typing import TypeVar

from .errors import WireError
from .ipv6 import PAD1, PADN, Address, Packet, check_checksum

NEXT_HEADER = 135
CHECKSUM_OFFSET = 4
FIXED_LENGTH = 8  # what Header Len does not count
LIFETIME_UNIT_US = 4_000_000
NO_NEXT_HEADER = 59

MN_HA = 1  # subtype of the authentication option: keyed between mobile node and home agent
MN_AAA = 2
AUTHENTICATOR_LENGTH = 12

NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
NTP_ERA = 1 << 32


class MessageType(IntEnum):
    """The MH Type of the messages that are understood here."""

    BINDING_REFRESH_REQUEST = 0
    BINDING_UPDATE = 5
    BINDING_ACK = 6
    BINDING_ERROR = 7
    HOME_AGENT_SWITCH = 12


class OptionType(IntEnum):
    """The mobility options that are understood here."""

    REFRESH_ADVICE = 2
    ALTERNATE_CARE_OF = 3
    MOBILE_NODE_IDENTIFIER = 8
    AUTHENTICATION = 9
    REPLAY_PROTECTION = 10


class BindingStatus(IntEnum):
    """RFC 6275 section 6.1.8 and RFC 4285 section 8; 128 and above refuse the binding."""

    ACCEPTED = 0
    ACCEPTED_PREFIX_DISCOVERY_NECESSARY = 1
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    HOME_REGISTRATION_NOT_SUPPORTED = 131
    NOT_HOME_SUBNET = 132
    NOT_HOME_AGENT = 133
    DUPLICATE_ADDRESS = 134
    SEQUENCE_OUT_OF_WINDOW = 135
    EXPIRED_HOME_NONCE_INDEX = 136
    EXPIRED_CARE_OF_NONCE_INDEX = 137
    EXPIRED_NONCES = 138
    REGISTRATION_TYPE_CHANGE = 139
    REPLAY_MISMATCH = 144  # MIPV6-ID-MISMATCH
    REPLAY_PROTECTION_REQUIRED = 145  # MIPV6-MESG-ID-REQD
    AUTHENTICATION_FAILED = 146  # MIPV6-AUTH-FAIL
    INVALID_CARE_OF_ADDRESS = 174


# --- options -----------------------------------------------------------------------------------------------


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


# --- messages ----------------------------------------------------------------------------------------------
#
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# | Payload Proto |  Header Len   |   MH Type     |   Reserved    |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |           Checksum            |         Message Data          .
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class BindingRefreshRequest:
    """RFC 6275 section 6.1.2."""

    options: tuple[Option, ...] = ()


#                                 +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#                                 |          Sequence #           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |A|H|L|K|        Reserved       |           Lifetime            |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class BindingUpdate:
    """RFC 6275 section 6.1.7. flags: all 16 bits as received; a lifetime of 0 asks for removal."""

    sequence: int
    flags: int
    lifetime_us: int
    options: tuple[Option, ...] = ()


#                                 +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#                                 |    Status     |K|  Reserved   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |           Sequence #          |           Lifetime            |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class BindingAck:
    """RFC 6275 section 6.1.8."""

    status: int
    sequence: int
    lifetime_us: int
    key_management: bool = False
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class BindingError:
    """RFC 6275 section 6.1.9. Status 1: unknown binding for the Home Address option; 2: unknown MH Type."""

    status: int
    home_address: Address
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class HomeAgentSwitch:
    """RFC 5142 section 3: use one of these home agents, the best first, instead of the sender."""

    home_agents: tuple[Address, ...]
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """An MH Type that is not understood here (RFC 6275 section 9.2: Binding Error, status 2)."""

    kind: int
    data: bytes  # everything after the checksum


Message = BindingRefreshRequest | BindingUpdate | BindingAck | BindingError | HomeAgentSwitch | UnknownMessage

_FIXED = Struct("!BBBBH")
_UPDATE = Struct("!HHH")
_ACK = Struct("!BBHH")
_KEY_MANAGEMENT_IN_ACK = 0x80
_KNOWN_TYPES = frozenset(MessageType)


def check_packet(packet: Packet) -> None:
    """The first check of RFC 6275 section 9.2; decode() does the others."""
    if packet.next_header != NEXT_HEADER:
        raise WireError("next_header", f"{packet.next_header}")
    if len(packet.payload) < FIXED_LENGTH:
        raise WireError("truncated", f"Mobility Header of {len(packet.payload)} octets")
    check_checksum(packet)


def decode(payload: bytes) -> Message:
    """A Mobility Header whose checksum was checked; the checks of RFC 6275 section 9.2 in its order.

    WireError reason payload_protocol or header_length: RFC 6275 wants a Parameter Problem sent, whose pointer is
    the offset of the payload in the packet, plus 0 or 1.
    """
    if len(payload) < FIXED_LENGTH:
        raise WireError("truncated", f"Mobility Header of {len(payload)} octets")
    kind = payload[2]
    if kind not in _KNOWN_TYPES:
        return UnknownMessage(kind, payload[6:])
    if payload[0] != NO_NEXT_HEADER:
        raise WireError("payload_protocol", f"{payload[0]}")
    length = FIXED_LENGTH + 8 * payload[1]
    if length > len(payload):
        raise WireError("truncated", f"Mobility Header says {length} octets, has {len(payload)}")
    if length < len(payload):
        raise WireError("length", f"{len(payload) - length} octets after the Mobility Header")
    options_at = options_offset(payload)
    if options_at > length:
        raise WireError("header_length", f"MH Type {kind} in {length} octets")
    options = _decode_options(payload, options_at)
    if kind == MessageType.BINDING_UPDATE:
        sequence, flags, lifetime = _UPDATE.unpack_from(payload, 6)
        return BindingUpdate(sequence, flags, lifetime * LIFETIME_UNIT_US, options)
    if kind == MessageType.BINDING_ACK:
        status, flags, sequence, lifetime = _ACK.unpack_from(payload, 6)
        key_management = bool(flags & _KEY_MANAGEMENT_IN_ACK)
        return BindingAck(status, sequence, lifetime * LIFETIME_UNIT_US, key_management, options)
    if kind == MessageType.BINDING_ERROR:
        return BindingError(payload[6], payload[8:24], options)
    if kind == MessageType.HOME_AGENT_SWITCH:
        return HomeAgentSwitch(tuple([payload[at : at + 16] for at in range(8, options_at, 16)]), options)
    return BindingRefreshRequest(options)


def options_offset(payload: bytes) -> int:
    """Where the options of a message of a known type begin; may lie beyond the end of a damaged one."""
    match payload[2]:
        case MessageType.BINDING_UPDATE | MessageType.BINDING_ACK:
            return 12
        case MessageType.BINDING_ERROR:
            return 24
        case MessageType.HOME_AGENT_SWITCH:
            return 8 + 16 * payload[6]
        case _:
            return 8


def encode(message: Message) -> bytes:
    """The payload with its checksum still 0; times are rounded down to steps of 4 seconds."""
    match message:
        case BindingUpdate(sequence, flags, lifetime_us, options):
            data = _UPDATE.pack(sequence, flags, _units(lifetime_us))
            return _encode(MessageType.BINDING_UPDATE, data, options)
        case BindingAck(status, sequence, lifetime_us, key_management, options):
            flags = _KEY_MANAGEMENT_IN_ACK if key_management else 0
            data = _ACK.pack(status, flags, sequence, _units(lifetime_us))
            return _encode(MessageType.BINDING_ACK, data, options)
        case BindingError(status, home_address, options):
            return _encode(MessageType.BINDING_ERROR, bytes((status, 0)) + home_address, options)
        case HomeAgentSwitch(home_agents, options):
            data = bytes((len(home_agents), 0)) + b"".join(home_agents)
            return _encode(MessageType.HOME_AGENT_SWITCH, data, options)
        case BindingRefreshRequest(options):
            return _encode(MessageType.BINDING_REFRESH_REQUEST, b"\0\0", options)
        case UnknownMessage(kind, data):
            return _encode(kind, data, ())


def _encode(kind: int, data: bytes, options: tuple[Option, ...]) -> bytes:
    body = bytearray(6)
    body += data
    for option in options:
        number, value, (step, remainder) = _option_parts(option)
        body += _padding((remainder - len(body)) % step)
        body += bytes((number, len(value))) + value
    body += _padding(-len(body) % 8)
    if len(body) > FIXED_LENGTH + 8 * 255:
        raise ValueError(f"a Mobility Header cannot have {len(body)} octets")
    _FIXED.pack_into(body, 0, NO_NEXT_HEADER, len(body) // 8 - 1, kind, 0, 0)
    return bytes(body)


def _padding(octets: int) -> bytes:
    """RFC 6275 sections 6.2.2 and 6.2.3: Pad1 for one octet, else PadN."""
    if octets < 2:
        return bytes(octets)
    return bytes((PADN, octets - 2)) + bytes(octets - 2)


def _units(time_us: int) -> int:
    units = time_us // LIFETIME_UNIT_US
    if not 0 <= units <= 0xFFFF:
        raise ValueError(f"{time_us} us does not fit 16 bits of 4 s each")
    return units


# --- options on the wire -----------------------------------------------------------------------------------


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


def _decode_options(payload: bytes, offset: int) -> tuple[Option, ...]:
    return tuple(
        [decode_option(kind, data, at) for at, kind, data in iter_options(payload, offset) if kind not in (PAD1, PADN)]
    )


def decode_option(kind: int, data: bytes, offset: int) -> Option:
    """One option that is not padding; offset: where it stands in the Mobility Header."""
    decoder = _OPTION_DECODERS.get(kind)
    if decoder is None:
        return UnknownOption(kind, data)
    minimum, maximum, make = decoder
    if not minimum <= len(data) <= maximum:
        raise WireError("option_length", f"mobility option {kind} at {offset} of {len(data)} octets")
    return make(data, offset)


def _authentication(data: bytes, offset: int) -> Authentication:
    return Authentication(data[0], int.from_bytes(data[1:5], "big"), data[5:], covered=offset + 7)


_OPTION_DECODERS: dict[int, tuple[int, int, Callable[[bytes, int], Option]]] = {
    OptionType.REFRESH_ADVICE: (2, 2, lambda data, _: RefreshAdvice(int.from_bytes(data, "big") * LIFETIME_UNIT_US)),
    OptionType.ALTERNATE_CARE_OF: (16, 16, lambda data, _: AlternateCareOf(data)),
    OptionType.MOBILE_NODE_IDENTIFIER: (1, 255, lambda data, _: MobileNodeIdentifier(data[0], data[1:])),
    OptionType.AUTHENTICATION: (5, 255, _authentication),
    OptionType.REPLAY_PROTECTION: (8, 8, lambda data, _: ReplayProtection(int.from_bytes(data, "big"))),
}


def _option_parts(option: Option) -> tuple[int, bytes, tuple[int, int]]:
    """(type, data, (step, remainder) of its alignment)."""
    match option:
        case RefreshAdvice(interval_us):
            return OptionType.REFRESH_ADVICE, _units(interval_us).to_bytes(2, "big"), (2, 0)
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


# --- RFC 4285 section 5.1 ----------------------------------------------------------------------------------


def care_of_address(packet: Packet, update: BindingUpdate) -> Address:
    """The care-of address that a Binding Update speaks of (RFC 6275 section 6.1.7).

    RFC 4285 says just "care-of address" for what is authenticated; this is the one that is going to be bound, so
    that an authenticated message cannot be made to bind another.
    """
    alternate = first(update.options, AlternateCareOf)
    return alternate.address if alternate else packet.source


def authentication_data(packet: Packet, update: BindingUpdate, option: Authentication) -> bytes:
    """The Mobility Data that the option of this Binding Update covers: care-of address, home address, MH data."""
    covered = packet.payload[: option.covered]
    return care_of_address(packet, update) + packet.logical_source + _without_checksum(covered)


def mn_ha_authenticator(key: bytes, care_of: Address, home: Address, mh_up_to_spi: bytes) -> bytes:
    """The first 96 bits of HMAC-SHA1; the checksum in the Mobility Header data may have any value."""
    mobility_data = care_of + home + _without_checksum(mh_up_to_spi)
    return hmac.digest(key, mobility_data, "sha1")[:AUTHENTICATOR_LENGTH]


def is_authentic(packet: Packet, update: BindingUpdate, option: Authentication, key: bytes) -> bool:
    """Whether the MN-HA option of this Binding Update was made with this key."""
    covered = packet.payload[: option.covered]
    expected = mn_ha_authenticator(key, care_of_address(packet, update), packet.logical_source, covered)
    return hmac.compare_digest(expected, option.authenticator)


def encode_authenticated(
    message: BindingUpdate | BindingAck | HomeAgentSwitch, spi: int, key: bytes, care_of: Address, home: Address
) -> bytes:
    """encode() with an MN-HA authentication option after the message's own options; the checksum still 0."""
    empty = Authentication(MN_HA, spi, bytes(AUTHENTICATOR_LENGTH))
    payload = encode(replace(message, options=(*message.options, empty)))
    at = max(at for at, kind, _ in iter_options(payload, options_offset(payload)) if kind == OptionType.AUTHENTICATION)
    covered = at + 7
    authenticator = mn_ha_authenticator(key, care_of, home, payload[:covered])
    return payload[:covered] + authenticator + payload[covered + AUTHENTICATOR_LENGTH :]


def _without_checksum(mobility_header: bytes) -> bytes:
    return mobility_header[:CHECKSUM_OFFSET] + b"\0\0" + mobility_header[CHECKSUM_OFFSET + 2 :]
