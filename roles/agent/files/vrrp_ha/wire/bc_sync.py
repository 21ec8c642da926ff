# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The binding cache messages between the members of a virtual HA, and their authenticator.

VRRP_BC_REQUEST and VRRP_BC_UPDATE are the draft's (sections 4.3.1 to 4.3.3); BC_DIGEST and the authenticator
are extensions of this collection. Type numbers are unassigned, so they come from the settings. The checks
common to all VRRP messages (hop limit, version, checksum) are in vrrp.py. Which keys, counters and senders are
good is for core/bc_sync.py to know. A binding is a plain tuple here: a full sync carries a million of them.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Protocol

from .errors import WireError
from .ipv6 import HEADER_LENGTH as IPV6_HEADER_LENGTH
from .ipv6 import Address
from .vrrp import HEADER_LENGTH, VERSION, peek

BINDING_LENGTH = 40
DIGEST_LENGTH = HEADER_LENGTH + 16
TRAILER_LENGTH = 32
MAC_LENGTH = 16
MAXIMUM_BINDINGS = 255
LIFETIME_UNIT_US = 4_000_000

#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |          Lifetime             |         Sequence Number       |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |            Flags              |            Reserved           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                    Home Address (16 octets)                   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                   Care-of Address (16 octets)                 |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

# (lifetime_us, sequence, flags, home address, care-of address); a lifetime of 0 deletes.
BindingOption = tuple[int, int, int, Address, Address]

_BINDING = Struct("!HHH2x16s16s")
_HEADER = Struct("!BBBBHH")
_DIGEST = Struct("!IIQ")
_TRAILER = Struct("!IIQ")


class MessageTypes(Protocol):
    """The VRRP types in use; core.settings.SyncSettings is one."""

    @property
    def request_type(self) -> int:
        """VRRP_BC_REQUEST."""

    @property
    def update_type(self) -> int:
        """VRRP_BC_UPDATE."""

    @property
    def digest_type(self) -> int:
        """BC_DIGEST."""


# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |Version| Type  | Virtual Rtr ID|    UNUSED 1   |    UNUSED 2   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |(rsvd) |        UNUSED 3       |          Checksum             |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class BcRequest:
    """Draft section 4.3.1: send me every binding of this virtual HA."""

    vrid: int


# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |Version| Type  | Virtual Rtr ID|   UNUSED 1    | # of Bindings |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |(rsvd) |        UNUSED 2       |          Checksum             |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                  Binding(s), 40 octets each                   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class BcUpdate:
    """Draft section 4.3.2: these bindings changed, or are part of the answer to a request."""

    vrid: int
    bindings: list[BindingOption]


# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |Version| Type  | Virtual Rtr ID|    UNUSED 1   |    UNUSED 2   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |(rsvd) |        UNUSED 3       |          Checksum             |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                       Number of bindings                      |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                            Reserved                           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                       Digest (8 octets)                       |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


@dataclass(frozen=True, slots=True)
class BcDigest:
    """Extension: what the Master's cache amounts to, so that a member knows whether its own is the same."""

    vrid: int
    count: int
    digest: int


Message = BcRequest | BcUpdate | BcDigest


def decode(payload: bytes, types: MessageTypes) -> Message:
    """The message in a payload without authenticator; unused and reserved fields are ignored."""
    _unused, kind, vrid = peek(payload)
    if kind == types.update_type:
        count = payload[3]
        if count == 0:
            raise WireError("binding_count", "0")
        if len(payload) != HEADER_LENGTH + BINDING_LENGTH * count:
            raise WireError("length", f"{count} bindings in {len(payload)} octets")
        unit = LIFETIME_UNIT_US
        options = _BINDING.iter_unpack(memoryview(payload)[HEADER_LENGTH:])
        return BcUpdate(vrid, [(lifetime * unit, sequence, flags, h, c) for lifetime, sequence, flags, h, c in options])
    if kind == types.request_type:
        if len(payload) != HEADER_LENGTH:
            raise WireError("length", f"BC_REQUEST of {len(payload)} octets")
        return BcRequest(vrid)
    if kind == types.digest_type:
        if len(payload) != DIGEST_LENGTH:
            raise WireError("length", f"BC_DIGEST of {len(payload)} octets")
        count, _unused, digest = _DIGEST.unpack_from(payload, HEADER_LENGTH)
        return BcDigest(vrid, count, digest)
    raise WireError("type", f"VRRP type {kind}")


def encode(message: Message, types: MessageTypes) -> bytes:
    """The payload with its checksum still 0, without authenticator.

    Lifetimes are rounded down to 4 seconds; one that would turn a live binding into a deletion is a ValueError.
    """
    match message:
        case BcUpdate(vrid, bindings):
            if not 1 <= len(bindings) <= MAXIMUM_BINDINGS:
                raise ValueError(f"a BC_UPDATE cannot carry {len(bindings)} bindings")
            unit = LIFETIME_UNIT_US
            pack = _BINDING.pack
            if any(0 < option[0] < unit for option in bindings):
                raise ValueError("a binding with less than 4 s left would be sent as a deletion")
            header = _header(types.update_type, vrid, len(bindings))
            return header + b"".join([pack(lifetime // unit, s, f, h, c) for lifetime, s, f, h, c in bindings])
        case BcRequest(vrid):
            return _header(types.request_type, vrid, 0)
        case BcDigest(vrid, count, digest):
            return _header(types.digest_type, vrid, 0) + _DIGEST.pack(count, 0, digest)


def _header(kind: int, vrid: int, count: int) -> bytes:
    return _HEADER.pack(VERSION << 4 | kind, vrid, 0, count, 0, 0)


def bindings_per_message(mtu: int, authenticated: bool) -> int:
    """How many bindings fit an unfragmented packet on a link with this MTU."""
    room = mtu - IPV6_HEADER_LENGTH - HEADER_LENGTH - (TRAILER_LENGTH if authenticated else 0)
    return max(1, min(MAXIMUM_BINDINGS, room // BINDING_LENGTH))


# The authenticator, after everything else in the message and covered by the checksum:
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                             Key ID                            |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                            Reserved                           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                  Sender's epoch (4 octets)                    |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |               Message number in the epoch (4 octets)          |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |      First 16 octets of HMAC-SHA256 over the sender's IPv6    |
# |      address, the message with checksum 0, and the authen-    |
# |      ticator up to here                                       |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+


def sign(payload: bytes, source: Address, key_id: int, key: bytes, counter: int) -> bytes:
    """The payload with an authenticator; source is the address that it will be sent from."""
    signed = payload + _TRAILER.pack(key_id, 0, counter)
    return signed + _mac(key, source, signed)


def verify(payload: bytes, source: Address, keys: Mapping[int, bytes]) -> tuple[bytes, int]:
    """(payload without authenticator, the sender's counter) of a message with a good authenticator.

    WireError reasons: sync_unauthenticated, sync_unknown_key, sync_bad_mac. Whether the counter is fresh is the
    caller's to judge.
    """
    length = len(payload)
    unsigned = HEADER_LENGTH + BINDING_LENGTH * payload[3] if length >= HEADER_LENGTH else 0
    if length < HEADER_LENGTH + TRAILER_LENGTH or (payload[3] and length == unsigned):
        raise WireError("sync_unauthenticated", f"{length} octets")
    key_id, _unused, counter = _TRAILER.unpack_from(payload, length - TRAILER_LENGTH)
    key = keys.get(key_id)
    if key is None:
        raise WireError("sync_unknown_key", f"key id {key_id}")
    if not hmac.compare_digest(_mac(key, source, payload[:-MAC_LENGTH]), payload[-MAC_LENGTH:]):
        raise WireError("sync_bad_mac", f"key id {key_id}")
    return payload[:-TRAILER_LENGTH], counter


def split_trailer(payload: bytes, types: MessageTypes) -> tuple[bytes, bytes]:
    """(message, authenticator or nothing) by length alone, nothing verified: for showing packets."""
    kind = payload[0] & 0xF
    length = HEADER_LENGTH
    if kind == types.update_type:
        length += BINDING_LENGTH * payload[3]
    elif kind == types.digest_type:
        length = DIGEST_LENGTH
    if len(payload) == length + TRAILER_LENGTH:
        return payload[:length], payload[length:]
    return payload, b""


def _mac(key: bytes, source: Address, signed: bytes) -> bytes:
    return hmac.digest(key, source + signed[:6] + b"\0\0" + signed[8:], "sha256")[:MAC_LENGTH]
