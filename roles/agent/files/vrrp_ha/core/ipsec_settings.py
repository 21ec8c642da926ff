# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPsec security associations with mobile nodes, as the cores see them; their form in keys.json is in shell/."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..wire.esp import Algorithm, Keys
from .types import Address

MOST_SENDERS = 255


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """A pair of manually keyed ones (RFC 3776 section 4.1), there and back, for one mobile node."""

    home_address: Address
    inbound: Keys  # from the mobile node
    outbound: Keys
    home_agent: Address | None = None  # None: with whichever home agent of this node the mobile node speaks
    identity: str = ""  # of the mobile node, a network access identifier
    prefix_discovery: bool = True  # Mobile Prefix Solicitations and Advertisements are protected as well

    @property
    def uses_gcm(self) -> bool:
        """What is sent under it needs initialisation vectors that no member ever used (RFC 4106)."""
        return self.outbound.algorithm is Algorithm.AES_GCM_16


@dataclass(frozen=True, slots=True)
class IpsecSettings:
    """The security associations that this node has; found by home address."""

    associations: tuple[SecurityAssociation, ...] = ()
    sender: int = 0  # 1 to 255: this node's part of the initialisation vectors of AES-GCM; 0: not given
    _found: dict[Address, tuple[SecurityAssociation, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[Address, tuple[SecurityAssociation, ...]] = {}
        for association in self.associations:
            found[association.home_address] = (*found.get(association.home_address, ()), association)
        object.__setattr__(self, "_found", found)

    def of(self, home_address: Address) -> tuple[SecurityAssociation, ...]:
        """Those of a mobile node, with whatever home agent."""
        return self._found.get(home_address, ())

    def between(self, home_address: Address, home_agent: Address) -> tuple[SecurityAssociation, ...]:
        """Those of a mobile node with a home agent: mostly none or one, two while keys are changed."""
        return tuple([a for a in self.of(home_address) if a.home_agent is None or a.home_agent == home_agent])
