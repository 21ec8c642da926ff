# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections `policy` and `limits`, and the identity of a key, as an operator writes them."""

from __future__ import annotations

import json

import pytest

from tests.unit.shell.test_config import Files
from vrrp_ha.core.policy_settings import LimitSettings, PolicySettings, Prefix
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import packed
from vrrp_ha.shell.config import load
from vrrp_ha.shell.effective import effective


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_left_out_everybody_with_a_key_may_but_not_without_end(files):
    node = files.load().node
    assert node.virtual_has[0].policy == PolicySettings()
    assert node.virtual_has[0].policy.maximum_bindings == 1_000_000
    assert node.limits == LimitSettings()
    assert node.limits.per_source == Pace(20_000_000, 200)


def test_what_is_given_is_used_and_shown(files, tmp_path):
    files.config["virtual_has"][0]["policy"] = policy = {
        "allow_home_addresses": ["2001:db8:1:0:2::/80", "2001:db8:1::1001/128"],
        "deny_home_addresses": ["2001:db8:1:0:2:3::/96"],
        "allow_identities": ["*@example.net"],
        "deny_identities": ["mn7@example.net"],
        "believe_claimed_identities": True,
        "maximum_bindings": 500,
    }
    files.config["limits"] = limits = {
        "maximum_bindings": 1000,
        "update_rate": 500.5,
        "update_burst": 1000,
        "per_source_rate": 1,
        "per_source_burst": 2,
        "per_mobile_node_rate": 3,
        "per_mobile_node_burst": 4,
        "error_rate": 5,
        "error_burst": 6,
    }
    configuration = files.load()
    settings = configuration.node.virtual_has[0].policy
    assert settings.deny_home_addresses == (Prefix(packed("2001:db8:1:0:2:3::"), 96),)
    assert configuration.node.limits.updates == Pace(500_500_000, 1000)
    shown = effective(configuration)
    assert shown["virtual_has"][0]["policy"] == policy
    assert shown["limits"] == limits
    del shown["keys"]
    (tmp_path / "second.json").write_text(json.dumps(shown))
    assert load(str(tmp_path / "second.json")).node == configuration.node


def test_one_address_is_a_prefix_too(files):
    files.config["virtual_has"][0]["policy"] = {"deny_home_addresses": ["2001:db8:1::1001"]}
    assert files.load().node.virtual_has[0].policy.deny_home_addresses == (Prefix(packed("2001:db8:1::1001"), 128),)


@pytest.mark.parametrize(
    ("name", "value", "place", "words"),
    [
        ("deny_home_addresses", ["2001:db8:2::/64"], "[0]", "outside the home prefix 2001:db8:1::/64"),
        ("deny_home_addresses", ["2001:db8:1::1/64"], "[0]", "Did you mean '2001:db8:1::/64'?"),
        ("allow_home_addresses", ["mn1"], "[0]", "'mn1' is no home address or prefix"),
        ("allow_home_addresses", [7], "[0]", "no home address or prefix"),
        ("allow_home_addresses", "2001:db8:1::/64", "", "must be a list"),
        ("deny_identities", ["a@b", "a@b@c"], "[1]", "no network access identifier"),
        ("allow_identities", [""], "[0]", "*@example.net"),
        ("allow_identities", ["a\nb"], "[0]", "no network access identifier"),
        ("maximum_bindings", 0, "", "out of range"),
        ("deny_identity", ["a@b"], "", "Did you mean 'deny_identities'?"),
        ("believe_claimed_identities", "yes", "", "must be true or false"),
    ],
)
def test_mistakes_in_a_policy_are_named(files, name, value, place, words):
    files.config["virtual_has"][0]["policy"] = {name: value}
    (problem,) = files.problems()
    assert problem.path == f"virtual_has[0].policy.{name}{place}"
    assert words in str(problem)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("update_rate", 0, "out of range"),
        ("per_source_burst", 0, "out of range"),
        ("error_rate", "often", "must be a number per second"),
        ("maximum_binding", 7, "Did you mean 'maximum_bindings'?"),
    ],
)
def test_mistakes_in_the_limits_are_named(files, name, value, words):
    files.config["limits"] = {name: value}
    (problem,) = files.problems()
    assert problem.path == f"limits.{name}"
    assert words in str(problem)


def test_a_key_may_say_who_has_it(files):
    files.keys["mobile_node_keys"][0]["identity"] = "mn1@Example.NET"
    first, second = files.load().node.mobile_node_keys
    assert (first.identity, second.identity) == ("mn1@example.net", "")


def test_so_may_a_security_association(files):
    keys = {f"encryption_key_{way}": ("a", "b")[way == "out"] * 32 for way in ("in", "out")}
    keys |= {f"authentication_key_{way}": ("c", "d")[way == "out"] * 64 for way in ("in", "out")}
    entry = {"home_address": "2001:db8:1::1001", "spi_in": 300, "spi_out": 301, "identity": "mn1@Example.NET", **keys}
    files.keys["ipsec_security_associations"] = [entry]
    configuration = files.load()
    assert configuration.node.ipsec.associations[0].identity == "mn1@example.net"
    assert effective(configuration)["keys"]["ipsec_security_associations"][0]["identity"] == "mn1@example.net"


@pytest.mark.parametrize("identity", ["*@example.net", "a@b@c", "", 7])
def test_one_that_is_no_name_is_refused(files, identity):
    files.keys["mobile_node_keys"][1]["identity"] = identity
    (problem,) = files.problems()
    assert problem.path == "keys:mobile_node_keys[1].identity"


def test_lists_that_nobody_can_meet_are_a_warning(files):
    files.config["virtual_has"][0]["policy"] = {"deny_identities": ["mn7@example.net"]}
    (warning,) = files.load().warnings
    assert "vrid 51" in warning
    assert "no key has one" in warning
    files.keys["mobile_node_keys"][0]["identity"] = "mn1@example.net"
    assert files.load().warnings == ()
