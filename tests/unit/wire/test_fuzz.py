# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the bytes are, a decoder returns a message or raises WireError, with a reason that names a counter.

Mutated packets get their checksum made right again now and then, so that what is behind it is reached.
"""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire.packets import HOME_AGENT, KEY, TYPES, VECTORS
from vrrp_ha.wire import bc_sync, icmpv6, ipv6, mobility, tunnel, vrrp
from vrrp_ha.wire.describe import describe
from vrrp_ha.wire.errors import WireError

CHECKSUM_OFFSETS = {ipv6.VRRP: 6, ipv6.ICMPV6: 2, ipv6.MOBILITY: 4}
SIGNED = bc_sync.sign(ipv6.decode(VECTORS["BC-UPDATE-2"]).payload, HOME_AGENT, 3, KEY, 1)
PAYLOAD_DECODERS = {
    "vrrp": vrrp.decode,
    "bc_sync": lambda payload: bc_sync.decode(payload, TYPES),
    "verify": lambda payload: bc_sync.verify(payload, HOME_AGENT, {3: KEY}),
    "mobility": mobility.decode,
    "icmpv6": icmpv6.decode,
}
PACKET_CHECKS = (vrrp.check_packet, mobility.check_packet, icmpv6.check_packet)


def survives(decoder, data: bytes) -> object | None:
    try:
        return decoder(data)
    except WireError as problem:
        reason = problem.reason
    assert re.fullmatch(r"[a-z][a-z0-9_]*", reason)
    return None


def all_of(data: bytes) -> None:
    """Everything that an agent does with a packet from outside."""
    survives(lambda octets: describe(octets, TYPES), data)
    packet = survives(ipv6.decode, data)
    if packet is None:
        return
    for check in PACKET_CHECKS:
        survives(check, packet)
    for decoder in PAYLOAD_DECODERS.values():
        survives(decoder, packet.payload)
    offset = CHECKSUM_OFFSETS.get(packet.next_header)
    if offset is not None and len(packet.payload) >= offset + 2:
        mended = ipv6.encode(ipv6.with_checksum(packet, offset))
        survives(lambda octets: describe(octets, TYPES), mended)
        mobility_update = survives(mobility.decode, packet.payload)
        if isinstance(mobility_update, mobility.BindingUpdate):
            option = mobility.first(mobility_update.options, mobility.Authentication)
            if option is not None:
                assert mobility.is_authentic(packet, mobility_update, option, KEY) in (True, False)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_packet_or_a_wire_error(data):
    all_of(data)


@given(st.sampled_from(sorted(CHECKSUM_OFFSETS)), st.binary(max_size=200), st.booleans())
def test_random_payloads_are_a_message_or_a_wire_error(next_header, payload, from_home):
    all_of(
        ipv6.encode(ipv6.Packet(HOME_AGENT, HOME_AGENT, 255, next_header, payload, HOME_AGENT if from_home else None))
    )


@given(st.sampled_from(sorted(VECTORS)), st.data())
def test_mutated_packets_are_a_packet_or_a_wire_error(name, data):
    mutated = bytearray(VECTORS[name])
    for _unused in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    all_of(bytes(mutated))


@given(st.sampled_from(sorted(PAYLOAD_DECODERS)), st.binary(max_size=120))
def test_random_payloads_by_themselves_are_a_message_or_a_wire_error(decoder, payload):
    survives(PAYLOAD_DECODERS[decoder], payload)


_NEXT_HEADERS = st.sampled_from([0, 41, 43, 44, 58, 60])


@given(st.lists(st.tuples(_NEXT_HEADERS, st.binary(max_size=30)), max_size=4), st.binary(max_size=60))
def test_a_quoted_packet_of_random_headers_is_a_tunnel_packet_or_a_wire_error(headers, rest):
    octets = b"".join(bytes((0x60, 0, 0, 0, 0, 0, kind, 64)) + HOME_AGENT * 2 + data for kind, data in headers) + rest
    quoted = survives(tunnel.decode_quoted, octets)
    if isinstance(quoted, tunnel.QuotedTunnelPacket):
        assert octets.endswith(quoted.original)
        assert tunnel.may_be_answered(quoted.original) in (True, False)


@pytest.mark.parametrize("name", VECTORS)
def test_every_single_changed_octet_is_a_packet_or_a_wire_error(name):
    for at in range(len(VECTORS[name])):
        for value in (0, 1, 2, 5, 41, 43, 44, 58, 60, 112, 127, 128, 135, 254, 255):
            mutated = bytearray(VECTORS[name])
            mutated[at] = value
            all_of(bytes(mutated))


def test_signed_message_with_any_changed_octet_is_a_wire_error():
    for at in range(len(SIGNED)):
        if at in (6, 7):
            continue
        mutated = bytearray(SIGNED)
        mutated[at] ^= 0xFF
        with pytest.raises(WireError):
            bc_sync.verify(bytes(mutated), HOME_AGENT, {3: KEY})


def test_seeded_splices_are_a_packet_or_a_wire_error():
    """Length and type octets spliced at random: cheap, and reaches further than whole random packets."""
    rng = random.Random(6275)
    names = sorted(VECTORS)
    for _unused in range(5_000):
        mutated = bytearray(VECTORS[rng.choice(names)])
        for _unused in range(rng.randint(1, 6)):
            at = rng.randrange(6, len(mutated))
            match rng.randrange(3):
                case 0:
                    mutated[at] = rng.randrange(256)
                case 1:
                    del mutated[at]
                case _:
                    mutated.insert(at, rng.randrange(256))
        mutated[4:6] = max(0, len(mutated) - 40).to_bytes(2, "big")
        all_of(bytes(mutated))
