# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference packets, addresses that occur in them, and Hypothesis strategies for what they are made of."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from vrrp_ha.core.settings import SyncSettings
from vrrp_ha.core.types import packed
from vrrp_ha.wire import icmpv6, ipv6, mobility

TYPES = SyncSettings()

HOME_AGENT = packed("2001:db8:1::1")
HOME_ADDRESS = packed("2001:db8:1::1001")
CARE_OF = packed("2001:db8:2::77")
KEY = bytes(range(16))
SPI = 0x100


def _read_vectors() -> dict[str, bytes]:
    vectors: dict[str, bytes] = {}
    name = ""
    for line in (Path(__file__).parents[1] / "vectors" / "packets.txt").read_text().splitlines():
        if line.startswith("["):
            name = line[1 : line.index("]")]
        elif line and not line.startswith("#"):
            vectors[name] = bytes.fromhex(line)
    return vectors


VECTORS = _read_vectors()

octets = st.integers(0, 0xFF)
sixteen_bits = st.integers(0, 0xFFFF)
thirty_two_bits = st.integers(0, 0xFFFFFFFF)
sixty_four_bits = st.integers(0, 2**64 - 1)
addresses = st.binary(min_size=16, max_size=16)
unicast_addresses = addresses.filter(lambda address: address[0] != 0xFF and any(address))
lifetimes_us = sixteen_bits.map(lambda units: units * 4_000_000)
keys = st.binary(min_size=16, max_size=32)

bindings = st.tuples(lifetimes_us, sixteen_bits, sixteen_bits, addresses, addresses)

mobility_options = st.one_of(
    st.builds(mobility.RefreshAdvice, lifetimes_us),
    st.builds(mobility.AlternateCareOf, addresses),
    st.builds(mobility.MobileNodeIdentifier, octets, st.binary(max_size=40)),
    st.builds(mobility.Authentication, octets, thirty_two_bits, st.binary(max_size=20)),
    st.builds(mobility.ReplayProtection, sixty_four_bits),
    st.builds(mobility.UnknownOption, st.integers(20, 255), st.binary(max_size=40)),
)
option_lists = st.lists(mobility_options, max_size=5).map(tuple)
binding_updates = st.builds(mobility.BindingUpdate, sixteen_bits, sixteen_bits, lifetimes_us, option_lists)
binding_acks = st.builds(mobility.BindingAck, octets, sixteen_bits, lifetimes_us, st.booleans(), option_lists)
mobility_messages = st.one_of(
    binding_updates,
    binding_acks,
    st.builds(mobility.BindingRefreshRequest, option_lists),
    st.builds(mobility.BindingError, octets, addresses, option_lists),
    st.builds(mobility.HomeAgentSwitch, st.lists(addresses, max_size=6).map(tuple), option_lists),
)

seconds_us = thirty_two_bits.map(lambda seconds: seconds * 1_000_000)
short_seconds_us = sixteen_bits.map(lambda seconds: seconds * 1_000_000)
milliseconds_us = thirty_two_bits.map(lambda milliseconds: milliseconds * 1_000)
nd_options = st.one_of(
    st.builds(icmpv6.LinkLayerAddress, st.sampled_from((1, 2)), st.binary(min_size=6, max_size=6)),
    st.builds(
        icmpv6.PrefixInformation, addresses, octets, st.booleans(), st.booleans(), st.booleans(), seconds_us, seconds_us
    ),
    st.builds(icmpv6.Mtu, thirty_two_bits),
    st.builds(icmpv6.AdvertisementInterval, milliseconds_us),
    st.builds(icmpv6.HomeAgentInformation, sixteen_bits, short_seconds_us),
    st.builds(icmpv6.Nonce, st.binary(min_size=6, max_size=6)),
    st.builds(icmpv6.UnknownOption, st.integers(100, 255), st.binary(min_size=14, max_size=14)),
)
nd_option_lists = st.lists(nd_options, max_size=4).map(tuple)
targets = addresses.filter(lambda address: address[0] != 0xFF)
icmpv6_messages = st.one_of(
    st.builds(icmpv6.RouterSolicitation, nd_option_lists),
    st.builds(
        icmpv6.RouterAdvertisement,
        octets,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        short_seconds_us,
        milliseconds_us,
        milliseconds_us,
        nd_option_lists,
    ),
    st.builds(icmpv6.NeighbourSolicitation, targets, nd_option_lists),
    st.builds(icmpv6.NeighbourAdvertisement, targets, st.booleans(), st.booleans(), st.booleans(), nd_option_lists),
    st.builds(icmpv6.DiscoveryRequest, sixteen_bits),
    st.builds(icmpv6.DiscoveryReply, sixteen_bits, st.lists(addresses, max_size=5).map(tuple)),
    st.builds(icmpv6.PrefixSolicitation, sixteen_bits, nd_option_lists),
    st.builds(icmpv6.PrefixAdvertisement, sixteen_bits, st.booleans(), st.booleans(), nd_option_lists),
    st.builds(icmpv6.IcmpError, st.integers(1, 4), octets, thirty_two_bits, st.binary(max_size=64)),
    st.builds(icmpv6.UnknownMessage, st.integers(150, 255), octets, st.binary(max_size=32)),
)

packets = st.builds(
    ipv6.Packet,
    source=targets,
    destination=addresses,
    hop_limit=octets,
    next_header=octets.filter(lambda number: number not in ipv6.EXTENSION_HEADERS),
    payload=st.binary(max_size=64),
    home_address=st.none() | unicast_addresses,
    routing_home_address=st.none() | unicast_addresses,
)
