# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator can set about who may register, how many, and how often; shell/policy_config.py reads it."""

from __future__ import annotations

from dataclasses import dataclass

from .token_bucket import Pace
from .types import Address

MOST_BINDINGS = 1_000_000

_ALL_UPDATES = Pace(2_000_000_000, 4000)
_UPDATES_OF_A_SOURCE = Pace(20_000_000, 200)
_UPDATES_OF_A_MOBILE_NODE = Pace(3_000_000, 30)  # RFC 6275 section 12: MAX_UPDATE_RATE
_ERRORS = Pace(10_000_000, 10)  # RFC 4443 section 2.4 (f)


@dataclass(frozen=True, slots=True)
class Prefix:
    """Home addresses that begin alike."""

    address: Address
    length: int


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Who may register with a virtual HA, and how many. Nothing allowed by name allows everybody; what is denied is."""

    allow_home_addresses: tuple[Prefix, ...] = ()
    deny_home_addresses: tuple[Prefix, ...] = ()
    allow_identities: tuple[str, ...] = ()  # network access identifiers (RFC 4282); '*' stands for anything
    deny_identities: tuple[str, ...] = ()
    believe_claimed_identities: bool = False  # where no key says who the mobile node is
    maximum_bindings: int = MOST_BINDINGS


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What all virtual HAs of an agent together take on."""

    maximum_bindings: int = MOST_BINDINGS
    updates: Pace = _ALL_UPDATES  # Binding Updates that do not turn out to be authentic
    per_source: Pace = _UPDATES_OF_A_SOURCE  # the same, of one /64
    per_mobile_node: Pace = _UPDATES_OF_A_MOBILE_NODE  # authentic ones of one home address
    errors: Pace = _ERRORS  # Binding Errors and Parameter Problems that are sent
