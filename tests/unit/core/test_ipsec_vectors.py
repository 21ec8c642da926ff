# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Initialisation vectors under keys that never change: of several members, after restarts and reloads."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import pytest

from tests.unit.core.nodes import master
from tests.unit.core.protecting import CBC, GCM, association, give, sent, update
from tests.unit.core.registering import CARE_OF, HOME, VHA
from vrrp_ha.core.effects import SendPacket
from vrrp_ha.core.ipsec import Ipsec
from vrrp_ha.core.ipsec_settings import IpsecSettings
from vrrp_ha.wire import esp, ipv6, mobility

BOTH = pytest.mark.parametrize("algorithm", [CBC, GCM], ids=lambda algorithm: algorithm.value)


def answered(sender: int, epoch: int, host: str, algorithm: esp.Algorithm, count: int = 50) -> list[bytes]:
    """Sequence number and IV of some answers of an agent that was just started."""
    given = association(algorithm=algorithm)
    ipsec = Ipsec(IpsecSettings((given,), sender), host, epoch, Counter())
    clear = mobility.encode(mobility.BindingAck(0, 1, 0))
    packet = SendPacket(ipv6.encode(ipv6.Packet(VHA, CARE_OF, 64, 135, clear, routing_home_address=HOME)))
    length = 16 if algorithm is CBC else 8
    return [ipv6.decode(ipsec.outbound(packet).packet).payload[8 : 8 + length] for _unused in range(count)]


@BOTH
def test_no_initialisation_vector_is_used_twice_by_members_or_after_restarts(algorithm):
    """RFC 4106 and RFC 3602, with one static key for all of them."""
    starts = product((1, 2, 255), (1, 2, 1_700_000_000, 1_700_000_001, 2**32 - 1))
    vectors = [iv for sender, epoch in starts for iv in answered(sender, epoch, f"ha{sender}", algorithm)]
    assert len(set(vectors)) == len(vectors) == 750


def test_initialisation_vectors_go_on_over_a_reload():
    given = association(algorithm=GCM)
    story = give(master(), given)
    vectors = []
    for number in range(1, 4):
        (answer,) = sent(story.receives(update(given, sequence=number), 1.0))
        vectors.append(answer.payload[8:16])
        give(story, seconds=1.0)
        give(story, given, seconds=1.0)
    assert len(set(vectors)) == 3


def test_the_vectors_of_gcm_begin_with_the_sender():
    assert {iv[0] for iv in answered(7, 1_700_000_000, "ha7", GCM)} == {7}


def test_the_vectors_of_cbc_do_not_tell_the_next_one():
    """RFC 3602 section 3: not a counter, nor one in disguise; half of the bits differ from one to the next."""
    vectors = [int.from_bytes(iv, "big") for iv in answered(0, 1, "ha1", CBC, 200)]
    differing = [(a ^ b).bit_count() for a, b in pairwise(vectors)]
    assert 60 < sum(differing) / len(differing) < 68
