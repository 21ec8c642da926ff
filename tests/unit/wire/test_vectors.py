# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reference packet both ways: bytes to object, object to the same bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.wire.packets import CARE_OF, HOME_ADDRESS, HOME_AGENT, SPI, TYPES, VECTORS
from vrrp_ha.core.types import packed
from vrrp_ha.wire import bc_sync, icmpv6, ipv6, mobility, vrrp

LINK_LOCAL = packed("fe80::5eff:fe00:207")
HOME_AGENT_2 = packed("2001:db8:1::2")
HOME_AGENT_3 = packed("2001:db8:1::3")

MESSAGES = {
    "BU-REG": mobility.BindingUpdate(1, 0xE000, 600_000_000, (mobility.AlternateCareOf(CARE_OF),)),
    "BU-DEREG-HOME": mobility.BindingUpdate(3, 0xC000, 0),
    "BU-AUTH": mobility.BindingUpdate(
        10,
        0xC000,
        600_000_000,
        (
            mobility.AlternateCareOf(CARE_OF),
            mobility.MobileNodeIdentifier(1, b"mn1@example.com"),
            mobility.ReplayProtection(0xE8D4A51000000000),
            mobility.Authentication(mobility.MN_HA, SPI, bytes.fromhex("8fe413e5f378bfca15d53f4c")),
        ),
    ),
    "BA-OK": mobility.BindingAck(mobility.BindingStatus.ACCEPTED, 1, 600_000_000),
    "BA-135-SEQ": mobility.BindingAck(mobility.BindingStatus.SEQUENCE_OUT_OF_WINDOW, 1, 0),
    "BA-133-NOTHA": mobility.BindingAck(mobility.BindingStatus.NOT_HOME_AGENT, 3, 0),
    "BA-129-PROHIB": mobility.BindingAck(mobility.BindingStatus.ADMINISTRATIVELY_PROHIBITED, 5, 0),
    "BA-DEREG-HOME": mobility.BindingAck(mobility.BindingStatus.ACCEPTED, 3, 0),
    "BRR": mobility.BindingRefreshRequest(),
    "BE-1": mobility.BindingError(1, HOME_ADDRESS),
    "HAS-2": mobility.HomeAgentSwitch((HOME_AGENT_2, HOME_AGENT_3)),
    "HAS-1-RH2": mobility.HomeAgentSwitch((HOME_AGENT_2,)),
    "DHAAD-REQ": icmpv6.DiscoveryRequest(0x1234),
    "DHAAD-REP": icmpv6.DiscoveryReply(0x1234, (HOME_AGENT, HOME_AGENT_2)),
    "MPS": icmpv6.PrefixSolicitation(0x55AA),
    "RA-HA": icmpv6.RouterAdvertisement(
        current_hop_limit=64,
        home_agent=True,
        router_lifetime_us=1_800_000_000,
        options=(
            icmpv6.source_link_layer(bytes.fromhex("020000000001")),
            icmpv6.PrefixInformation(HOME_AGENT, 64, True, True, True, 2_592_000_000_000, 604_800_000_000),
            icmpv6.HomeAgentInformation(10, 1_800_000_000),
        ),
    ),
    "VRRP-ADV": vrrp.Advertisement(7, 255, 1_000_000, (LINK_LOCAL, HOME_AGENT)),
    "BC-REQUEST": bc_sync.BcRequest(7),
    "BC-UPDATE-2": bc_sync.BcUpdate(
        7,
        [
            (600_000_000, 1, 0xE000, HOME_ADDRESS, CARE_OF),
            (300_000_000, 65535, 0xC000, packed("2001:db8:1::1002"), packed("2001:db8:3::99")),
        ],
    ),
}
TUNNELLED = {
    "TUN-TO-MN": (HOME_AGENT, CARE_OF, packed("2001:db8:9::5"), HOME_ADDRESS),
    "TUN-FROM-MN": (CARE_OF, HOME_AGENT, HOME_ADDRESS, packed("2001:db8:9::5")),
}


def decode_message(packet):
    """Check and decode the upper layer as a receiver does."""
    if packet.next_header == ipv6.MOBILITY:
        mobility.check_packet(packet)
        return mobility.decode(packet.payload)
    if packet.next_header == ipv6.ICMPV6:
        icmpv6.check_packet(packet)
        return icmpv6.decode(packet.payload)
    vrrp.check_packet(packet)
    if vrrp.peek(packet.payload)[1] == vrrp.ADVERTISEMENT:
        return vrrp.decode(packet.payload)
    return bc_sync.decode(packet.payload, TYPES)


def encode_message(message, next_header):
    """(payload, offset of its checksum)."""
    if next_header == ipv6.MOBILITY:
        return mobility.encode(message), mobility.CHECKSUM_OFFSET
    if next_header == ipv6.ICMPV6:
        return icmpv6.encode(message), icmpv6.CHECKSUM_OFFSET
    if isinstance(message, vrrp.Advertisement):
        return vrrp.encode(message), vrrp.CHECKSUM_OFFSET
    return bc_sync.encode(message, TYPES), vrrp.CHECKSUM_OFFSET


def test_every_reference_packet_is_tested():
    assert MESSAGES.keys() | TUNNELLED.keys() == VECTORS.keys()


@pytest.mark.parametrize("name", MESSAGES)
def test_reference_packet_decodes_to_its_message(name):
    assert decode_message(ipv6.decode(VECTORS[name])) == MESSAGES[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_message_encodes_to_its_reference_packet(name):
    received = ipv6.decode(VECTORS[name])
    payload, checksum_offset = encode_message(MESSAGES[name], received.next_header)
    made = ipv6.with_checksum(replace(received, payload=payload), checksum_offset)
    assert ipv6.encode(made) == VECTORS[name]


@pytest.mark.parametrize("name", TUNNELLED)
def test_tunnelled_reference_packet_holds_its_inner_packet(name):
    outer_source, outer_destination, inner_source, inner_destination = TUNNELLED[name]
    outer = ipv6.decode(VECTORS[name])
    inner = ipv6.decode(outer.payload)
    assert (outer.source, outer.destination) == (outer_source, outer_destination)
    assert (inner.source, inner.destination) == (inner_source, inner_destination)
    assert ipv6.encode(replace(outer, payload=ipv6.encode(inner))) == VECTORS[name]


@pytest.mark.parametrize("name", VECTORS)
def test_reference_packet_with_link_padding_is_the_same_packet(name):
    assert ipv6.decode(VECTORS[name] + bytes(6)) == ipv6.decode(VECTORS[name])
    assert ipv6.decode(VECTORS[name] + bytes(6)).outer_length == len(VECTORS[name])
