# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Home Agents List (RFC 6275 sections 10.1 and 10.5.1), and in which order home agents are recommended."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.electing import at
from vrrp_ha.core.home_agents import (
    BEST_PREFERENCE,
    MOST_ADDRESSES,
    MOST_HOME_AGENTS,
    HomeAgent,
    HomeAgentsList,
    anycast_address,
    preference,
    recommended,
)
from vrrp_ha.core.router_advertiser import NoRandomness
from vrrp_ha.core.types import SECOND, packed, text
from vrrp_ha.wire.icmpv6 import HomeAgentInformation, PrefixInformation, RouterAdvertisement

ONE, OTHER = packed("fe80::1"), packed("fe80::2")


def address(number: int, lifetime_s: int = 3600, *, router: bool = True) -> PrefixInformation:
    value = packed(f"2001:db8:1::{number:x}")
    return PrefixInformation(value, 64, True, False, router, lifetime_s * SECOND, lifetime_s * SECOND)


def advert(*options, home_agent=True, router_lifetime_s=0) -> RouterAdvertisement:
    return RouterAdvertisement(
        home_agent=home_agent, router_lifetime_us=router_lifetime_s * SECOND, options=tuple(options)
    )


def information(preference=10, lifetime_s=100) -> HomeAgentInformation:
    return HomeAgentInformation(preference, lifetime_s * SECOND)


# --- what is learnt --------------------------------------------------------------------------------------------


def test_a_home_agent_is_known_by_its_address_until_its_lifetime_is_over():
    known = HomeAgentsList()
    assert known.heard(ONE, advert(information(10, 100), address(0x51)), at(0))
    assert known.entries(at(99)) == [HomeAgent(ONE, 10, at(100), (packed("2001:db8:1::51"),))]
    assert known.entries(at(100)) == []


def test_without_the_option_the_preference_is_0_and_the_lifetime_the_router_s():
    known = HomeAgentsList()
    known.heard(ONE, advert(address(1), router_lifetime_s=30), at(0))
    assert known.entries(at(29)) == [HomeAgent(ONE, 0, at(30), (packed("2001:db8:1::1"),))]
    assert known.entries(at(30)) == []


def test_each_advertisement_renews_preference_and_lifetime():
    known = HomeAgentsList()
    known.heard(ONE, advert(information(10, 100)), at(0))
    known.heard(ONE, advert(information(7, 50)), at(90))
    assert known.entries(at(91)) == [HomeAgent(ONE, 7, at(140), ())]


@pytest.mark.parametrize(
    "last",
    [advert(information(), address(1), home_agent=False), advert(address(1)), advert(information(10, 0))],
    ids=["no home agent any more", "no lifetime", "lifetime 0"],
)
def test_one_that_says_it_is_none_is_forgotten(last):
    known = HomeAgentsList()
    known.heard(ONE, advert(information(), address(1)), at(0))
    known.heard(OTHER, advert(information(), address(2)), at(0))
    known.heard(ONE, last, at(1))
    assert [home_agent.link_local for home_agent in known.entries(at(1))] == [OTHER]
    known.heard(ONE, last, at(2))
    assert len(known.entries(at(2))) == 1


def test_only_whole_addresses_are_learnt_and_they_add_up():
    known = HomeAgentsList()
    known.heard(ONE, advert(information(), address(1), address(2, router=False)), at(0))
    known.heard(ONE, advert(information(), address(3)), at(1))
    (entry,) = known.entries(at(1))
    assert [text(found) for found in entry.addresses] == ["2001:db8:1::1", "2001:db8:1::3"]


def test_an_address_goes_when_its_prefix_is_not_valid_any_more():
    known = HomeAgentsList()
    known.heard(ONE, advert(information(), address(1, 10), address(2, 50), address(3)), at(0))
    known.heard(ONE, advert(information(), address(3, 0)), at(1))
    (entry,) = known.entries(at(10))
    assert [text(found) for found in entry.addresses] == ["2001:db8:1::2"]


@pytest.mark.parametrize("nonsense", ["fe80::5", "ff02::1", "::", "::1"])
def test_what_is_no_address_of_a_home_agent_is_not_learnt(nonsense):
    known = HomeAgentsList()
    option = PrefixInformation(packed(nonsense), 64, True, False, True, SECOND, SECOND)
    known.heard(ONE, advert(information(), option), at(0))
    assert known.entries(at(0))[0].addresses == ()


def test_somebody_who_invents_home_agents_and_addresses_finds_an_end():
    known = HomeAgentsList()
    for number in range(MOST_HOME_AGENTS):
        assert known.heard(packed(f"fe80::{number + 1:x}"), advert(information()), at(0))
    stranger = packed("fe80:0:0:1::1")
    assert not known.heard(stranger, advert(information()), at(0))
    assert known.heard(packed("fe80::1"), advert(information(5)), at(1)), "who is known is heard"
    assert not known.heard(packed("fe80::1"), advert(information(), *map(address, range(1, MOST_ADDRESSES + 2))), at(1))
    assert max(len(entry.addresses) for entry in known.entries(at(1))) == MOST_ADDRESSES
    assert known.heard(stranger, advert(information()), at(100)), "the others are over"


# --- in which order they are recommended -----------------------------------------------------------------------


def home_agent(number: int, value: int, *more: int) -> HomeAgent:
    addresses = tuple(packed(f"2001:db8:1::{n:x}") for n in (number, *more))
    return HomeAgent(packed(f"fe80::{number:x}"), value, None, addresses)


def numbers(addresses) -> tuple[int, ...]:
    return tuple(found[-1] for found in addresses)


def test_better_ones_come_first_and_those_that_fit():
    agents = [home_agent(1, 5), home_agent(2, 0), home_agent(3, 9), home_agent(4, 7)]
    assert numbers(recommended(agents, 3, NoRandomness())) == (3, 4, 1)


def test_equal_ones_and_the_addresses_of_each_come_in_every_order_but_together():
    agents = [home_agent(1, 5, 0x11), home_agent(2, 5, 0x22), home_agent(3, 6)]
    rng = random.Random(1)
    seen = {numbers(recommended(agents, 77, rng)) for _unused in range(200)}
    pairs = ((1, 0x11), (2, 0x22))
    assert seen == {
        (3, *first, *second)
        for one, other in (pairs, pairs[::-1])
        for first in (one, one[::-1])
        for second in (other, other[::-1])
    }


# --- how one is recommended by its load ------------------------------------------------------------------------


def test_preference_falls_from_the_best_when_empty_to_the_least_when_full():
    assert [preference(load, 1000) for load in (0, 1, 500, 999, 1000, 5000)] == [BEST_PREFERENCE, 64, 33, 2, 1, 1]


@given(st.integers(1, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_preference_never_rises_with_load_and_never_is_the_default(high_water, load, more):
    assert BEST_PREFERENCE >= preference(load, high_water) >= preference(load + more, high_water) >= 1


# --- the anycast address ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "length", "expected"),
    [
        ("2001:db8:1::", 64, "2001:db8:1:0:fdff:ffff:ffff:fffe"),
        ("2001:db8:1:2::", 80, "2001:db8:1:2:0:ffff:ffff:fffe"),
        ("2001:db8::", 48, "2001:db8:0:ffff:ffff:ffff:ffff:fffe"),
    ],
)
def test_the_anycast_address_is_that_of_rfc_2526(prefix, length, expected):
    assert text(anycast_address(packed(prefix), length)) == expected
