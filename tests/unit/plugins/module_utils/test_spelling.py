# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How somebody writes an address is never a change: whatever the spelling, the meaning is the same."""

from __future__ import annotations

import copy
import ipaddress
import json

from ansible_collections.mip6.vrrp_ha.plugins.module_utils.binding_info_run import matches, networks
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.configuration import canonical, differences, merge, same
from hypothesis import given
from hypothesis import strategies as st

ADDRESSES = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)


@st.composite
def spelled(draw, address):
    """An address with zeros left out or not, in any case, its last 32 bits as IPv4 or not, zeros as :: or not."""
    groups = address.exploded.split(":")
    written = [draw(st.sampled_from(sorted({group.lstrip("0") or "0", group}))) for group in groups]
    tail = []
    if draw(st.booleans()):
        tail = [str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))]
        written = written[:6]
    zeros = [number for number, group in enumerate(written) if int(group, 16) == 0]
    if zeros and draw(st.booleans()):
        first = draw(st.sampled_from(zeros))
        last = first
        while last + 1 in zeros and draw(st.booleans()):
            last += 1
        text = ":".join(written[:first]) + "::" + ":".join(written[last + 1 :] + tail)
    else:
        text = ":".join(written + tail)
    return draw(st.sampled_from([text, text.upper(), text.lower()]))


@st.composite
def pairs(draw):
    """Two spellings of one address, or of one prefix, and the canonical one."""
    address = draw(ADDRESSES)
    if draw(st.booleans()):
        return draw(spelled(address)), draw(spelled(address)), str(address)
    network = ipaddress.IPv6Network((int(address), draw(st.integers(0, 128))), strict=False)
    one, other = draw(spelled(network.network_address)), draw(spelled(network.network_address))
    return "{0}/{1}".format(one, network.prefixlen), "{0}/{1}".format(other, network.prefixlen), str(network)


def virtual_ha(text):
    """A virtual HA with the text wherever it takes an address or a prefix."""
    return {
        "vrid": 51,
        "addresses": [text],
        "prefix": text,
        "link_local_address": text,
        "members": [{"name": "ha1", "priority": 255, "address": text}],
        "policy": {"allow_home_addresses": [text], "deny_home_addresses": [text]},
    }


@given(pairs())
def test_every_spelling_has_one_canonical_form(pair):
    one, other, wanted = pair
    assert canonical(one) == canonical(other) == wanted
    assert canonical(wanted) == wanted


@given(pairs())
def test_a_spelling_is_no_difference_anywhere(pair):
    one, other = ({"virtual_has": [virtual_ha(text)]} for text in pair[:2])
    assert same(json.dumps(one), json.dumps(other))
    assert differences(one, other) == []


@given(pairs(), st.sampled_from(["merged", "replaced", "overridden"]))
def test_what_is_on_the_host_keeps_its_spelling_when_something_else_changes(pair, state):
    known, wanted = virtual_ha(pair[0]), dict(virtual_ha(pair[1]), priority=200)
    before = copy.deepcopy(known)
    assert merge([known], [wanted], state) == [dict(before, priority=200)]
    assert known == before


@given(st.lists(ADDRESSES, min_size=2, max_size=2, unique=True))
def test_another_address_is_never_the_same(addresses):
    one, other = (json.dumps(virtual_ha(str(address))) for address in addresses)
    assert not same(one, other)


@given(st.text(alphabet="0123456789abcdefABCDEF:./% ", max_size=45))
def test_whatever_is_no_address_is_left_as_it_is(text):
    try:
        ipaddress.IPv6Network(text) if "/" in text else ipaddress.IPv6Address(text)
    except ValueError:
        assert canonical(text) == text


@given(st.data())
def test_filters_find_an_address_in_any_spelling(data):
    address = data.draw(ADDRESSES)
    assert matches(data.draw(spelled(address)), networks([data.draw(spelled(address))], "home_addresses"))
