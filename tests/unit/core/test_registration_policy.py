# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator's policy makes of Binding Updates, and that nobody but a mobile node with a key learns of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet6 import MIP6OptMNID, MIP6OptUnknown

from tests.lab.mn import binding
from tests.unit.core import protecting
from tests.unit.core.nodes import UP, Story, master, of, virtual_ha
from tests.unit.core.recovering import OWN, OWN_VHA
from tests.unit.core.registering import (
    CARE_OF,
    ELSEWHERE,
    HOME,
    KEY,
    KEYS,
    OTHER_HOME,
    SPI,
    HomeAgent,
    acknowledged,
    reports,
    update,
)
from vrrp_ha.core.effects import Report, SendPacket
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.policy_settings import LimitSettings, PolicySettings, Prefix
from vrrp_ha.core.settings import MobileNodeKey, NodeSettings
from vrrp_ha.core.types import packed

NAMED = (
    MobileNodeKey(SPI, KEY, HOME, 128, "mn1@example.net"),
    MobileNodeKey(SPI, KEY, OTHER_HOME, 128, "mn7@example.net"),
)
NO_MN7 = PolicySettings(allow_identities=("*@example.net",), deny_identities=("mn7@*",))


def named(name: bytes, subtype: int = 1) -> MIP6OptMNID:
    return MIP6OptMNID(subtype=subtype, id=name)


def status(home_agent: HomeAgent, octets: bytes, seconds: float = 0) -> int:
    return home_agent.answer(octets, seconds).status


# --- by home address ---------------------------------------------------------------------------------------


def test_a_denied_home_address_is_prohibited_and_the_operator_is_told():
    policy = PolicySettings(deny_home_addresses=(Prefix(HOME, 128),))
    home_agent = HomeAgent(policy=policy)
    effects = home_agent.receive(update())
    answer, mh = acknowledged(effects)
    assert answer.status == 129
    assert binding.is_signed(mh, KEY, CARE_OF, HOME)
    assert reports(effects) == [
        ("debug", "refused.administratively_prohibited"),
        ("debug", "policy.home_address"),
        ("info", "registration_refused"),
    ]
    assert len(home_agent.cache) == 0
    assert status(home_agent, update(home=OTHER_HOME)) == 0


def test_an_address_of_another_prefix_is_not_of_the_home_subnet_whatever_the_policy():
    off_link = packed("2001:db8:99::1")
    policy = PolicySettings(deny_home_addresses=(Prefix(off_link, 64),))
    assert status(HomeAgent(policy=policy), update(home=off_link)) == 132


def test_the_operator_is_not_told_of_each_of_a_thousand():
    home_agent = HomeAgent(policy=PolicySettings(deny_home_addresses=(Prefix(HOME, 64),)))
    told = 0
    for number in range(40):
        home = HOME[:12] + (0x10000 + number).to_bytes(4, "big")
        told += ("info", "registration_refused") in reports(home_agent.receive(update(home=home)))
    assert told == 10


# --- by identity -------------------------------------------------------------------------------------------


def test_the_key_says_who_it_is():
    home_agent = HomeAgent(NAMED, policy=NO_MN7)
    assert status(home_agent, update()) == 0
    assert status(home_agent, update(home=OTHER_HOME)) == 129


def test_one_that_is_denied_does_not_get_in_by_another_name():
    home_agent = HomeAgent(NAMED, policy=NO_MN7)
    assert status(home_agent, update(home=OTHER_HOME, before=(named(b"mn1@example.net"),))) == 129
    assert home_agent.bound(OTHER_HOME) is None


def test_the_name_comes_back_with_the_refusal_as_rfc_4283_options_do():
    home_agent = HomeAgent(NAMED, policy=NO_MN7)
    answer, mh = acknowledged(home_agent.receive(update(home=OTHER_HOME, before=(named(b"mn7@example.net"),))))
    assert answer.options == (8, 10, 9)
    assert b"mn7@example.net" in mh


def test_an_identifier_of_another_kind_is_no_name():
    assert status(HomeAgent(NAMED), update(before=(named(b"mn9@example.net", subtype=2),))) == 0
    assert status(HomeAgent(NAMED), update(before=(named(b"mn9@example.net"),))) == 129


def test_without_lists_no_name_is_needed():
    assert status(HomeAgent(), update(before=(named(b"anybody"),))) == 0


def test_claims_count_where_they_are_believed():
    policy = PolicySettings(allow_identities=("*@example.net",), believe_claimed_identities=True)
    home_agent = HomeAgent(policy=policy)
    assert status(home_agent, update()) == 129
    assert status(home_agent, update(before=(named(b"mn1@example.org"),), sequence=2, seconds=1), 1) == 129
    assert status(home_agent, update(before=(named(b"mn1@example.net"),), sequence=3, seconds=2), 2) == 0


_options = st.lists(
    st.one_of(
        st.builds(named, st.sampled_from([b"mn1@example.net", b"mn7@example.net", b"", b"*", b"\xff", b"@"])),
        st.builds(named, st.binary(max_size=30), st.integers(0, 255)),
        st.builds(MIP6OptUnknown, otype=st.integers(11, 255), odata=st.binary(max_size=9)),
    ),
    max_size=4,
).map(tuple)


@settings(max_examples=60)
@given(_options, st.sampled_from(["AH", "H", "AHL", "AHK"]), st.booleans(), st.booleans())
def test_a_denied_identity_never_gets_in_whatever_options_it_sends(options, flags, believes, alternate):
    policy = PolicySettings(deny_identities=("mn7@*",), believe_claimed_identities=believes)
    home_agent = HomeAgent(NAMED, policy=policy)
    octets = update(
        home=OTHER_HOME, before=options, flags=flags, alternate=ELSEWHERE if alternate else None, lifetime_s=600
    )
    home_agent.receive(octets)
    assert len(home_agent.cache) == 0


# --- how many ----------------------------------------------------------------------------------------------


def test_a_full_home_agent_has_no_resources_for_another_but_for_those_that_it_has():
    home_agent = HomeAgent(policy=PolicySettings(maximum_bindings=1))
    assert status(home_agent, update()) == 0
    effects = home_agent.receive(update(home=OTHER_HOME))
    assert acknowledged(effects)[0].status == 130
    assert ("warning", "registration_refused") in reports(effects)
    assert status(home_agent, update(sequence=2, care_of=ELSEWHERE, seconds=1), 1) == 0
    assert status(home_agent, update(sequence=3, lifetime_s=0, seconds=2), 2) == 0
    assert status(home_agent, update(home=OTHER_HOME, sequence=4, seconds=3), 3) == 0


def test_the_bindings_of_all_virtual_has_count_together():
    story = Story(virtual_ha(), OWN)
    limits = LimitSettings(maximum_bindings=2)
    story.happens(Reconfigured(NodeSettings("ha1", story.node.settings.virtual_has, KEYS, limits=limits)), 0)
    story.happens(UP, 0)
    story.runs_until(0.95)
    answers = []
    for number, vha in ((1, None), (2, OWN_VHA), (3, None), (4, OWN_VHA)):
        home = HOME[:15] + bytes([number])
        octets = update(home=home, seconds=1, **({"destination": vha} if vha else {}))
        answers.append(acknowledged(of(story.receives(octets, 1), SendPacket))[0].status)
    assert answers == [0, 0, 130, 130]
    assert story.state()["counters"]["policy.bindings_in_all"] == 1


# --- who learns of it --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [
        PolicySettings(),
        PolicySettings(deny_home_addresses=(Prefix(HOME, 64),)),
        PolicySettings(deny_identities=("*",)),
        PolicySettings(maximum_bindings=1),
    ],
)
def test_a_stranger_gets_the_same_answers_under_every_policy(policy):
    home_agent = HomeAgent(policy=policy)
    home_agent.receive(update(home=OTHER_HOME))
    assert status(home_agent, update(key=b"wrong" * 4)) == 146
    for octets in (update(key=None), update(spi=SPI + 1)):
        effects = home_agent.receive(octets)
        assert all(isinstance(effect, Report) for effect in effects)


def test_a_mobile_node_that_is_denied_now_can_still_say_good_bye():
    home_agent = HomeAgent()
    assert status(home_agent, update()) == 0
    denied = PolicySettings(deny_home_addresses=(Prefix(HOME, 128),))
    home_agent.reconfigure(policy=denied)
    assert status(home_agent, update(sequence=2, care_of=ELSEWHERE, seconds=1), 1) == 129
    assert home_agent.bound() == CARE_OF  # until it expires: RFC 6275 section 10.3.1
    assert status(home_agent, update(sequence=3, lifetime_s=0, seconds=2), 2) == 0
    assert home_agent.bound() is None


# --- who is authenticated by ESP ---------------------------------------------------------------------------


@pytest.mark.parametrize(("identity", "expected"), [("mn1@example.net", 0), ("mn7@example.net", 129), ("", 129)])
def test_a_security_association_says_who_it_is_as_a_key_does(identity, expected):
    given = replace(protecting.association(), identity=identity)
    story = protecting.give(master(policy=NO_MN7), given)
    (answer,) = protecting.sent(story.receives(protecting.update(given), 1))
    assert protecting.opened(answer, given).status == expected
    assert (story.node.bindings(51).get(HOME) is not None) is (expected == 0)
