# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security associations by fingerprints that tell two apart and give no key away, to compare members by."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from .ipsec_settings import SecurityAssociation
from .types import Address

_LENGTH = 8


def fingerprint(association: SecurityAssociation) -> str:
    """16 hex digits over everything that the two ends have to agree about; keys are 128 random bits or more."""
    keys = [
        (one.spi, one.algorithm.value, one.encryption.hex(), one.authentication.hex())
        for one in (association.inbound, association.outbound)
    ]
    content = (association.identity, association.prefix_discovery, association.home_agent, keys)
    return blake2b(repr(content).encode(), digest_size=_LENGTH, person=b"vrrp-ha esp").hexdigest()


def of_virtual_ha(associations: Iterable[SecurityAssociation], vha_address: Address) -> dict[Address, list[str]]:
    """Those that hold with this virtual HA, by home address, in the order in which they are tried."""
    found: dict[Address, list[str]] = {}
    for association in associations:
        if association.home_agent in (None, vha_address):
            found.setdefault(association.home_address, []).append(fingerprint(association))
    return found


def digest(fingerprints: dict[Address, list[str]]) -> str:
    """All of them as one."""
    content = repr(sorted(fingerprints.items())).encode()
    return blake2b(content, digest_size=_LENGTH).hexdigest()
