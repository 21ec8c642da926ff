# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What should be on a host against what is there."""

from vrrp_ha.core.types import packed
from vrrp_ha.shell import repair
from vrrp_ha.shell.forwarding import Rule

PREFIX = packed("2001:db8:1::")
VHA = packed("2001:db8:1::51")
RULE = Rule(30, 1051, prefix=PREFIX, prefix_length=64)

SHOULD = {
    repair.FILTER: (None, "whole"),
    repair.rule(RULE): (51, repair.PRESENT),
    repair.setting("ipv6/conf/mip6-51/ignore_routes_with_linkdown"): (51, "0"),
    repair.address("vrrp6-51", VHA): (51, repair.PRESENT),
    repair.virtual_address(VHA): (51, repair.PRESENT),
    repair.active_interface(7): (51, repair.PRESENT),
}


def found():
    return {key: value for key, (_unused, value) in SHOULD.items()}


def texts(state):
    return [(fault.vrid, fault.text) for fault in repair.differences(SHOULD, state)]


def test_nothing_differs_when_everything_is_there():
    assert texts(found()) == []


def test_what_is_missing_is_named_with_its_owner():
    for key, text in (
        (repair.rule(RULE), "rule 30 to table 1051: missing"),
        (repair.address("vrrp6-51", VHA), "address 2001:db8:1::51 on vrrp6-51: missing"),
        (repair.virtual_address(VHA), "packet filter's entry for 2001:db8:1::51: missing"),
        (repair.active_interface(7), "packet filter's entry for interface 7: missing"),
    ):
        state = found()
        del state[key]
        assert texts(state) == [(51, text)]


def test_what_is_different_is_named_with_both_values():
    state = found() | {repair.setting("ipv6/conf/mip6-51/ignore_routes_with_linkdown"): "1"}
    assert texts(state) == [(51, "sysctl net.ipv6.conf.mip6-51.ignore_routes_with_linkdown: 1 instead of 0")]


def test_a_rule_with_other_conditions_is_another_rule():
    state = found()
    del state[repair.rule(RULE)]
    state[repair.rule(Rule(30, 1051, prefix=PREFIX, prefix_length=48))] = repair.PRESENT
    assert texts(state) == [
        (51, "rule 30 to table 1051: missing"),
        (None, "rule 30 to table 1051: should not be there"),
    ]


def test_strays_are_named_where_nothing_else_may_be():
    state = found() | {
        repair.active_interface(9): repair.PRESENT,
        repair.virtual_address(packed("2001:db8:1::59")): repair.PRESENT,
        repair.address("vrrp6-51", packed("2001:db8:1::60")): repair.PRESENT,  # an operator's own business
    }
    assert texts(state) == [
        (None, "packet filter's entry for interface 9: should not be there"),
        (None, "packet filter's entry for 2001:db8:1::59: should not be there"),
    ]
