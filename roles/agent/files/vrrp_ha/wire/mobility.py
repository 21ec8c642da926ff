# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobility Header messages and options, and the arithmetic of the MN-HA authentication option.

Messages: RFC 6275 section 6.1 and RFC 5142 section 3; options: RFC 6275 section 6.2, RFC 4283 and RFC 4285.
Padding is not kept: a decoded message holds what was said, an encoded one has the least padding that the
alignment rules ask for. Who may register what, and whether an authenticator or a timestamp is good enough, is
for core/registration.py and core/binding_request.py to say.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from enum import IntEnum
from struct import Struct

from .errors import WireError
from .ipv6 import MOBILITY, NO_NEXT_HEADER, Address, Packet, check_checksum
from .mobility_options import (
    TIME_UNIT_US,
    AlternateCareOf,
    Authentication,
    MobileNodeIdentifier,
    Option,
    OptionType,
    RefreshAdvice,
    ReplayProtection,
    UnknownOption,
    append_options,
    decode_options,
    first,
    iter_options,
    time_units,
)

# Of mobility_options.py, for whoever speaks of these messages.
__all__ = [
    "AlternateCareOf",
    "Authentication",
    "MobileNodeIdentifier",
    "Option",
    "OptionType",
    "RefreshAdvice",
    "ReplayProtection",
    "UnknownOption",
    "first",
]

NEXT_HEADER = MOBILITY
CHECKSUM_OFFSET = 4
FIXED_LENGTH = 8  # what Header Len does not count

MN_HA = 1  # subtype of the authentication option: keyed between mobile node and home agent
MN_AAA = 2
NAI = 1  # subtype of the mobile node identifier option
AUTHENTICATOR_LENGTH = 12


class MessageType(IntEnum):
    """The MH Type of the messages that are understood here."""

    BINDING_REFRESH_REQUEST = 0
    BINDING_UPDATE = 5
    BINDING_ACK = 6
    BINDING_ERROR = 7
    HOME_AGENT_SWITCH = 12


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
    options = decode_options(payload, options_at)
    if kind == MessageType.BINDING_UPDATE:
        sequence, flags, lifetime = _UPDATE.unpack_from(payload, 6)
        return BindingUpdate(sequence, flags, lifetime * TIME_UNIT_US, options)
    if kind == MessageType.BINDING_ACK:
        status, flags, sequence, lifetime = _ACK.unpack_from(payload, 6)
        key_management = bool(flags & _KEY_MANAGEMENT_IN_ACK)
        return BindingAck(status, sequence, lifetime * TIME_UNIT_US, key_management, options)
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
            data = _UPDATE.pack(sequence, flags, time_units(lifetime_us))
            return _encode(MessageType.BINDING_UPDATE, data, options)
        case BindingAck(status, sequence, lifetime_us, key_management, options):
            flags = _KEY_MANAGEMENT_IN_ACK if key_management else 0
            data = _ACK.pack(status, flags, sequence, time_units(lifetime_us))
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
    append_options(body, options)
    if len(body) > FIXED_LENGTH + 8 * 255:
        raise ValueError(f"a Mobility Header cannot have {len(body)} octets")
    _FIXED.pack_into(body, 0, NO_NEXT_HEADER, len(body) // 8 - 1, kind, 0, 0)
    return bytes(body)


# --- RFC 4285 section 5.1 ----------------------------------------------------------------------------------


def care_of_address(packet: Packet, update: BindingUpdate) -> Address:
    """The care-of address that a Binding Update speaks of (RFC 6275 section 6.1.7).

    RFC 4285 says just "care-of address" for what is authenticated; this is the one that is going to be bound, so
    that an authenticated message cannot be made to bind another.
    """
    alternate = first(update.options, AlternateCareOf)
    return alternate.address if alternate else packet.source


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
    at = max(
        at for at, kind, _unused in iter_options(payload, options_offset(payload)) if kind == OptionType.AUTHENTICATION
    )
    covered = at + 7
    authenticator = mn_ha_authenticator(key, care_of, home, payload[:covered])
    return payload[:covered] + authenticator + payload[covered + AUTHENTICATOR_LENGTH :]


def _without_checksum(mobility_header: bytes) -> bytes:
    return mobility_header[:CHECKSUM_OFFSET] + b"\0\0" + mobility_header[CHECKSUM_OFFSET + 2 :]
