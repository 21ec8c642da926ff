# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is sent ESP of every kind: by who has the key and no sense, and by who has sense and no key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.nodes import master
from tests.unit.core.protecting import CBC, GCM, association, give, update
from tests.unit.core.registering import CARE_OF, HOME, VHA
from vrrp_ha.wire import esp, ipv6


@given(st.sampled_from([CBC, GCM]), st.sampled_from([6, 135, 58]), st.binary(max_size=120), st.booleans())
def test_whatever_an_authentic_mobile_node_says_is_answered_or_dropped(algorithm, next_header, payload, away):
    """Its key is good, its software is not."""
    between = association(algorithm=algorithm)
    story = give(master(), between)
    iv = bytes(16 if algorithm is CBC else 8)
    sealed = esp.seal(between.inbound, 1, iv, next_header, payload)
    source, home_address = (CARE_OF, HOME) if away else (HOME, None)
    story.receives(ipv6.encode(ipv6.Packet(source, VHA, 64, ipv6.ESP, sealed, home_address=home_address)), 1.0)


@given(st.integers(0, 1 << 30), st.integers(0, 255))
def test_a_packet_damaged_anywhere_binds_nothing(at_random, value):
    between = association()
    story = give(master(), between)
    octets = bytearray(update(between))
    at_octet = 64 + at_random % (len(octets) - 64)
    changed = octets[at_octet] != value
    octets[at_octet] = value
    story.receives(bytes(octets), 1.0)
    assert (HOME not in story.node.bindings(51)) is changed
