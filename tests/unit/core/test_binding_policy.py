# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/binding_policy.py: who may have a binding, and how many there may be."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.registering import HOME, OTHER_HOME
from vrrp_ha.core.binding_policy import BindingPolicy, Registrant, canonical, matches
from vrrp_ha.core.policy_settings import PolicySettings, Prefix
from vrrp_ha.core.types import packed

HOME_64 = Prefix(packed("2001:db8:1::"), 64)
ONLY_HOME = Prefix(HOME, 128)


def asked(
    *, home: bytes = HOME, identity: str = "", claims: tuple = (), new: bool = True, bound: int = 0, **policy
) -> str:
    """The reason of the refusal; empty if there is none."""
    in_all = policy.pop("in_all", bound)
    maximum_in_all = policy.pop("maximum_in_all", 1000)
    refusal = BindingPolicy(PolicySettings(**policy)).refusal(
        Registrant(home, identity, claims, new, bound, in_all), maximum_in_all
    )
    return refusal.reason if refusal else ""


def test_without_a_policy_everybody_may():
    assert asked() == ""
    assert asked(claims=(b"anybody@anywhere",)) == ""


# --- home addresses ----------------------------------------------------------------------------------------


def test_home_addresses_are_denied_by_prefix_and_what_is_denied_cannot_be_allowed():
    assert asked(deny_home_addresses=(ONLY_HOME,)) == "home_address"
    assert asked(home=OTHER_HOME, deny_home_addresses=(ONLY_HOME,)) == ""
    assert asked(allow_home_addresses=(ONLY_HOME,), deny_home_addresses=(HOME_64,)) == "home_address"


def test_when_some_are_allowed_the_others_are_not():
    assert asked(allow_home_addresses=(ONLY_HOME,)) == ""
    assert asked(home=OTHER_HOME, allow_home_addresses=(ONLY_HOME,)) == "home_address"


# --- identities --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("mn1@example.net", "mn1@example.net", True),
        ("mn1@example.net", "mn1@EXAMPLE.net", True),
        ("mn1@example.net", "MN1@example.net", False),
        ("*@example.net", "mn1@example.net", True),
        ("*@example.net", "mn1@sub.example.net", False),
        ("*@*.example.net", "mn1@sub.example.net", True),
        ("*@*.example.net", "mn1@example.net", False),
        ("lab-*@example.net", "lab-7@example.net", True),
        ("lab-*@example.net", "nolab-7@example.net", False),
        ("*", "mn1@example.net", True),
        ("*", "mn1", True),
        ("mn*", "mn1", True),
        ("mn*", "mn1@example.net", False),
        ("*@example.net", "mn1", False),
    ],
)
def test_names_and_wildcards(pattern, name, expected):
    assert (asked(identity=name, allow_identities=(pattern,)) == "") is expected
    assert (asked(identity=name, deny_identities=(pattern,)) == "identity") is expected


def test_a_denied_name_cannot_be_allowed():
    lists = {"allow_identities": ("*@example.net",), "deny_identities": ("mn7@example.net",)}
    assert asked(identity="mn1@example.net", **lists) == ""
    assert asked(identity="mn7@example.net", **lists) == "identity"


def test_what_a_mobile_node_claims_must_be_what_its_key_says_also_without_any_list():
    assert asked(identity="mn1@example.net", claims=(b"mn1@Example.NET",)) == ""
    assert asked(identity="mn1@example.net", claims=(b"mn2@example.net",)) == "identity_claimed"
    assert asked(identity="mn1@example.net", claims=(b"mn1@example.net", b"mn2@example.net")) == "identity_claimed"
    assert asked(identity="mn1@example.net", claims=(b"\xff",)) == "identity_claimed"


@pytest.mark.parametrize("claims", [(), (b"mn1@example.net",), (b"",), (b"\xff\xfe",)])
@pytest.mark.parametrize("lists", [{"allow_identities": ("*",)}, {"deny_identities": ("x@y",)}])
def test_where_there_are_lists_a_claim_is_not_enough(claims, lists):
    assert asked(claims=claims, **lists) == "identity_unknown"


def test_an_operator_may_believe_claims():
    lists = {
        "allow_identities": ("*@example.net",),
        "deny_identities": ("mn7@example.net",),
        "believe_claimed_identities": True,
    }
    assert asked(claims=(b"mn1@example.net",), **lists) == ""
    assert asked(claims=(b"mn7@example.net",), **lists) == "identity"
    assert asked(claims=(b"mn1@example.net", b"mn7@example.net"), **lists) == "identity"
    assert asked(claims=(), **lists) == "identity_unknown"
    assert asked(claims=(b"mn1@example.net\n",), **lists) == "identity_unknown"
    assert asked(identity="mn7@example.net", claims=(), **lists) == "identity"


@given(st.text("ab*@."), st.text("ab@."))
def test_a_wildcard_is_what_a_regular_expression_would_be(pattern, text):
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
    assert matches(pattern, text) is expected


def test_no_name_takes_long():
    started = time.perf_counter()
    assert not matches("*a" * 60 + "b", "a" * 253)
    assert time.perf_counter() - started < 0.1


@given(st.binary(max_size=255))
def test_whatever_is_claimed_is_compared_or_is_nobody(claim):
    name = canonical(claim)
    assert name == canonical(name)
    assert name.isprintable()
    assert name.count("@") <= 1


_names = st.sampled_from(["mn1@example.net", "mn7@example.net", "a@b", "mn7", "MN7@EXAMPLE.NET"])
_claims = st.lists(st.one_of(st.binary(max_size=20), _names.map(str.encode)), max_size=3).map(tuple)


@given(_names, _claims, st.lists(_names, max_size=2).map(tuple), st.booleans(), st.booleans())
def test_a_denied_identity_never_gets_in_whatever_it_claims(identity, claims, allowed, believes, new):
    reason = asked(
        identity=identity,
        claims=claims,
        new=new,
        allow_identities=allowed,
        deny_identities=("mn7", "*7@example.net"),
        believe_claimed_identities=believes,
    )
    if canonical(identity) in ("mn7", "mn7@example.net", "MN7@example.net"):
        assert reason


# --- how many ----------------------------------------------------------------------------------------------


def test_a_full_virtual_ha_takes_no_more_but_keeps_those_that_it_has():
    assert asked(bound=9, maximum_bindings=10) == ""
    assert asked(bound=10, maximum_bindings=10) == "bindings"
    assert asked(bound=10, maximum_bindings=10, new=False) == ""


def test_all_virtual_has_together_have_an_end_too():
    assert asked(bound=1, in_all=99, maximum_in_all=100) == ""
    assert asked(bound=1, in_all=100, maximum_in_all=100) == "bindings_in_all"
    assert asked(bound=1, in_all=100, maximum_in_all=100, new=False) == ""
