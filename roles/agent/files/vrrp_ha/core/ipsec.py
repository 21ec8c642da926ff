# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPsec for mobility signalling (RFC 3776, RFC 6275 section 5.1), between the node's packets and its cores.

inbound() and outbound() are the security policy as well as the protocol: a mobile node that has a security
association is spoken with in ESP and in no other way. The home address, of a Home Address option or a type 2 routing
header where there is one, is what associations are found by (RFC 3776 section 4.2), so that no mobile node can use
its own for another one's home address.

There is no protection against replays in here: manual keys cannot give it (RFC 3776 section 4.4). The sequence number
of the Binding Update does what it can. What is guaranteed of initialisation vectors, with the same static keys on
every member and after every restart, is in docs/home-agent.md, "ESP".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256
from itertools import count

from ..wire import esp, ipv6
from ..wire.errors import WireError
from ..wire.icmpv6 import MessageType
from .effects import SendFrame, SendPacket
from .ipsec_settings import IpsecSettings, SecurityAssociation
from .types import Address

_COUNTER_BITS = 24  # below the epoch, in the 56 bits that every sender has of the 64
_MAY_BE_PROTECTED = (ipv6.MOBILITY, ipv6.ROUTING, ipv6.ICMPV6)
_PREFIX_DISCOVERY = (bytes((MessageType.PREFIX_SOLICITATION,)), bytes((MessageType.PREFIX_ADVERTISEMENT,)))


class Ipsec:
    """What the security associations of a node say about its packets.

    epoch: of this start of the agent, above that of every earlier one (shell/state.py). counters: the node's.
    """

    def __init__(self, settings: IpsecSettings, host: str, epoch: int, counters: Counter[str]) -> None:
        self._settings = settings
        self._counters = counters
        self._host_part = sha256(host.encode()).digest()[:8]
        self._numbers = count((epoch << _COUNTER_BITS) + 1)  # an overflow is in a second that is long over
        # Where there are several: the one that was last used, by the mobile node or, unheard of it, by this home agent.
        self._used: dict[Address, SecurityAssociation] = {}
        self._heard: set[Address] = set()

    def reconfigure(self, settings: IpsecSettings) -> None:
        """Use these from now on; numbers that were used stay used."""
        if settings != self._settings:
            self._settings = settings
            self._used = {home: used for home, used in self._used.items() if used in settings.of(home)}
            self._heard &= self._used.keys()

    # --- in ------------------------------------------------------------------------------------------------

    def inbound(self, packet: ipv6.Packet) -> ipv6.Packet:
        """The packet without its ESP; as it is if this node has no association for it, or it needs none.

        WireError: not from who it says, or not protected although it should be.
        """
        if not self._settings.associations:
            return packet
        associations = self._settings.between(packet.logical_source, packet.destination)
        if packet.next_header != ipv6.ESP:
            if any(_covers(association, packet.next_header, packet.payload) for association in associations):
                raise WireError("unprotected", "this mobile node has a security association")
            return packet
        spi = esp.spi_of(packet.payload)
        for association in associations:
            if association.inbound.spi == spi:
                return self._opened(packet, association, len(associations) > 1)
        return packet

    def _opened(self, packet: ipv6.Packet, association: SecurityAssociation, one_of_several: bool) -> ipv6.Packet:
        next_header, payload = esp.open_(association.inbound, packet.payload)
        if not _covers(association, next_header, payload):
            raise WireError("esp_payload", f"next header {next_header}")
        self._counters["esp_received"] += 1
        if one_of_several:
            self._used[packet.logical_source] = association
            self._heard.add(packet.logical_source)
        return replace(packet, next_header=next_header, payload=payload, protected=True)

    # --- out -----------------------------------------------------------------------------------------------

    def outbound(self, effect: object) -> object:
        """The effect; if it sends signalling to a mobile node with an association, in ESP."""
        match effect:
            case SendPacket(packet=octets) | SendFrame(packet=octets) if self._settings.associations:
                if octets[6] in _MAY_BE_PROTECTED:
                    sealed = self._sealed(ipv6.decode(octets))
                    return replace(effect, packet=sealed) if sealed else effect
        return effect

    def _sealed(self, packet: ipv6.Packet) -> bytes | None:
        """RFC 3776 section 3.1: ESP behind the type 2 routing header, or alone to a mobile node at home."""
        home_address = packet.logical_destination
        between = self._settings.between(home_address, packet.source)
        associations = [a for a in between if _covers(a, packet.next_header, packet.payload)]
        if not associations:
            return None
        keys = self._chosen(home_address, associations).outbound
        number = next(self._numbers)
        self._counters["esp_sent"] += 1
        sealed = esp.seal(keys, number & 0xFFFF_FFFF, self._iv(keys, number), packet.next_header, packet.payload)
        return ipv6.encode(replace(packet, next_header=ipv6.ESP, payload=sealed))

    def _chosen(self, home_address: Address, associations: list[SecurityAssociation]) -> SecurityAssociation:
        """While keys change: what the mobile node uses; as long as that is not known, the newest, then the others."""
        if len(associations) == 1:
            return associations[0]
        used = self._used.get(home_address)
        if used not in associations:
            used = associations[-1]
        elif home_address not in self._heard:
            used = associations[associations.index(used) - 1]
        self._used[home_address] = used
        return used

    def _iv(self, keys: esp.Keys, number: int) -> bytes:
        if keys.algorithm is esp.Algorithm.AES_GCM_16:
            return bytes((self._settings.sender,)) + number.to_bytes(7, "big")
        return esp.unpredictable_iv(keys, self._host_part + number.to_bytes(8, "big"))


def _covers(association: SecurityAssociation, next_header: int, payload: bytes) -> bool:
    """What the association is for (RFC 3776 sections 3.1 and 3.3); everything else passes by."""
    if next_header == ipv6.MOBILITY:
        return True
    return association.prefix_discovery and next_header == ipv6.ICMPV6 and payload[:1] in _PREFIX_DISCOVERY
