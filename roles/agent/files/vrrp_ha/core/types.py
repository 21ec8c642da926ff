# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words every core uses for time, addresses and bindings.

Time is integer microseconds on a monotonic clock; an address is its 16 octets in network order, so that
comparing two compares them as RFC 9568 section 6.4.3 asks. Text forms exist only at the edges
(configuration, status, logs); wire units exist only in the codecs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address
from typing import NewType

Instant = NewType("Instant", int)  # microseconds on a monotonic clock
Address = bytes  # 16 octets, network order

SECOND = 1_000_000
MILLISECOND = 1_000
CENTISECOND = 10_000

ALL_VRRP_ROUTERS = IPv6Address("ff02::12").packed
ALL_NODES = IPv6Address("ff02::1").packed
ALL_ROUTERS = IPv6Address("ff02::2").packed
UNSPECIFIED = bytes(16)

# Flags of a Binding Update, in the bit positions of RFC 6275 section 6.1.7.
FLAG_ACKNOWLEDGE = 0x8000
FLAG_HOME_REGISTRATION = 0x4000
FLAG_LINK_LOCAL = 0x2000
FLAG_KEY_MANAGEMENT = 0x1000


class State(Enum):
    """RFC 9568 section 6.3, with the draft's word Master for Active."""

    INITIALIZE = "initialize"
    BACKUP = "backup"
    MASTER = "master"


@dataclass(frozen=True, slots=True)
class Binding:
    """One entry of a BC or RBC (RFC 6275 section 9.1)."""

    home_address: Address
    care_of_address: Address
    sequence: int
    flags: int
    expires: Instant


def text(address: Address) -> str:
    """The canonical text form (RFC 5952) of an address."""
    return str(IPv6Address(address))


def packed(address: str) -> Address:
    """The 16 octets of an address given as text; ValueError if it is none."""
    return IPv6Address(address).packed
