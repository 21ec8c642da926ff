# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home agent with IPsec security associations, and mobile nodes whose IPsec is Scapy's, for the tests of ESP."""

from __future__ import annotations

from dataclasses import replace

from scapy.layers.inet6 import HAO, MIP6MH_BU, IPv6, IPv6ExtHdrDestOpt, MIP6OptAltCoA, MIP6OptReplayProtection
from scapy.layers.ipsec import ESP, SecurityAssociation

from tests.lab.mn import binding
from tests.unit.core.nodes import Story, of
from tests.unit.core.registering import CARE_OF, HOME, VHA, WALL, text
from vrrp_ha.core import ipsec_settings
from vrrp_ha.core.effects import SendFrame, SendPacket
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.ipsec_settings import IpsecSettings
from vrrp_ha.core.types import SECOND, packed
from vrrp_ha.wire import esp, ipv6, mobility

CBC = esp.Algorithm.AES_CBC_HMAC_SHA_256_128
GCM = esp.Algorithm.AES_GCM_16
SPI_IN, SPI_OUT = 0x1001, 0x2001
PLAIN_HOME = packed("2001:db8:1::2002")  # of a mobile node without a security association


def association(
    home: bytes = HOME, algorithm: esp.Algorithm = CBC, spi: int = SPI_IN, home_agent: bytes | None = None
) -> ipsec_settings.SecurityAssociation:
    """Its keys follow from what it is for."""

    def keys(number: int) -> esp.Keys:
        salt = home[-1] + number & 0xFF
        if algorithm is GCM:
            return esp.Keys(number, algorithm, bytes(range(salt, salt + 20)))
        return esp.Keys(number, algorithm, bytes(range(salt, salt + 16)), bytes(range(salt, salt + 32)))

    return ipsec_settings.SecurityAssociation(home, keys(spi), keys(spi - SPI_IN + SPI_OUT), home_agent)


def give(story: Story, *associations: ipsec_settings.SecurityAssociation, seconds: float = 0.97, **changes) -> Story:
    """The node has these from now on."""
    ipsec = IpsecSettings(associations, sender=3)
    story.happens(Reconfigured(replace(story.node.settings, ipsec=ipsec, **changes)), seconds)
    return story


def scapys(keys: esp.Keys) -> SecurityAssociation:
    crypt, auth = ("AES-CBC", "SHA2-256-128") if keys.algorithm is CBC else ("AES-GCM", "NULL")
    return SecurityAssociation(
        ESP,
        keys.spi,
        crypt_algo=crypt,
        crypt_key=keys.encryption,
        auth_algo=auth,
        auth_key=keys.authentication or None,
    )


def update(
    given: ipsec_settings.SecurityAssociation | None,
    *,
    home: bytes = HOME,
    care_of: bytes = CARE_OF,
    alternate: bool = True,
    sequence: int = 1,
    lifetime_s: int = 600,
    at_home: bool = False,
    destination: bytes = VHA,
    timestamp_s: float | None = None,
) -> bytes:
    """A Binding Update as RFC 3776 section 3.1 has it; without ESP if there is no association."""
    options = [MIP6OptAltCoA(acoa=text(care_of))] if alternate and not at_home else []
    if timestamp_s is not None:
        options.append(MIP6OptReplayProtection(timestamp=binding.ntp(round((WALL / SECOND + timestamp_s) * 1e9))))
    message = MIP6MH_BU(seq=sequence, flags="AH", mhtime=lifetime_s // 4, options=options)
    if at_home:
        packet = IPv6(src=text(home), dst=text(destination)) / message
    else:
        header = IPv6ExtHdrDestOpt(options=[HAO(hoa=text(home))])
        packet = IPv6(src=text(care_of), dst=text(destination)) / header / message
    packet = IPv6(bytes(packet))
    return bytes(scapys(given.inbound).encrypt(packet) if given else packet)


def sent(effects: list) -> list[ipv6.Packet]:
    """Signalling to mobile nodes, as it is on the wire."""
    packets = [ipv6.decode(effect.packet) for effect in of(effects, SendPacket | SendFrame)]
    return [packet for packet in packets if packet.next_header in (ipv6.MOBILITY, ipv6.ESP)]


def opened(packet: ipv6.Packet, given: ipsec_settings.SecurityAssociation) -> mobility.Message:
    """What a mobile node with Scapy's IPsec reads: first the routing header is processed, then ESP."""
    assert packet.next_header == ipv6.ESP
    received = replace(packet, destination=packet.logical_destination, routing_home_address=None)
    plain = scapys(given.outbound).decrypt(IPv6(ipv6.encode(received)))
    clear = ipv6.Packet(packet.source, packet.logical_destination, 64, plain.nh, bytes(plain)[40:])
    mobility.check_packet(clear)
    return mobility.decode(clear.payload)
