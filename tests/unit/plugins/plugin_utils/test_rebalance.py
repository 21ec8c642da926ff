# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mip6.vrrp_ha.plugins.filter.procedures import FilterModule
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.rebalance import rebalance
from hypothesis import given
from hypothesis import strategies as st

PREFIX = "2001:db8:1::/64"
HOSTS = ("ha1", "ha2", "ha3")
PLAN = [
    {"vrid": 51, "priorities": {"ha1": 255, "ha2": 200, "ha3": 150}},
    {"vrid": 52, "priorities": {"ha2": 255, "ha3": 200, "ha1": 150}},
    {"vrid": 53, "priorities": {"ha3": 255, "ha1": 200, "ha2": 150}},
]


class Fleet:
    """What the hosts of PLAN tell: everybody at its post, with these bindings."""

    def __init__(self, *bindings):
        self.bindings = dict(zip((51, 52, 53), bindings, strict=True))
        self.hosts = {}
        for host in HOSTS:
            states = [self._state(entry, host) for entry in PLAN]
            self.hosts[host] = {"status": {"healthy": True, "virtual_has": states}, "handoffs": []}

    def _state(self, entry, host):
        bindings = self.bindings[entry["vrid"]]
        return {
            "vrid": entry["vrid"], "state": "master" if entry["priorities"][host] == 255 else "backup",
            "mipv6_ha_mode": True, "synced": True, "drained": False, "alarm": None, "leaving": False,
            "bindings": bindings, "maximum_bindings": 1000000, "prefix": PREFIX,
            "balance": {"load": bindings, "low_water": None}, "handoffs": {"pending": 0, "sent": 0},
        }  # fmt: skip

    def of(self, host, vrid):
        return next(s for s in self.hosts[host]["status"]["virtual_has"] if s["vrid"] == vrid)

    def drain(self, host, *vrids, to=None):
        for vrid in vrids:
            self.of(host, vrid).update(drained=True, state="backup")
            if to:
                self.of(to, vrid)["state"] = "master"

    def under_way(self, host, vrid, to, count, pending, reason="operator"):
        self.of(host, vrid)["handoffs"]["pending"] = pending
        self.of(host, vrid)["balance"]["load"] -= count - pending
        entry = {"vrid": vrid, "under_way": [{"to": to, "reason": reason, "count": count}]}
        self.hosts[host]["handoffs"].append(entry)

    def look(self, tolerance=10):
        return rebalance(self.hosts, PLAN, tolerance)


def test_a_fleet_that_is_as_planned_and_even_is_left_alone():
    found = Fleet(105, 100, 95).look()
    shown = found.pop("shown")
    assert (shown[0], shown[-1]) == (f"{PREFIX}, VRID 51: 105 bindings, to be 105", "nothing is to be done")
    assert {name: value for name, value in found.items() if value} == {
        "loads": [
            {"prefix": PREFIX, "vrid": vrid, "load": load, "goal": load}
            for vrid, load in ((51, 105), (52, 100), (53, 95))
        ]
    }


def test_who_has_too_many_hands_them_to_those_with_few():
    found = Fleet(900, 0, 0).look()
    assert found["handoffs"] == {"ha1": [{"vrid": 51, "to": 52, "count": 285}, {"vrid": 51, "to": 53, "count": 285}]}
    assert found["lines"] == ["VRID 51: 285 mobile nodes to VRID 52", "VRID 51: 285 mobile nodes to VRID 53"]


def test_a_virtual_ha_goes_back_to_its_owner():
    fleet = Fleet(10, 10, 10)
    fleet.drain("ha1", 51, to="ha3")
    fleet.drain("ha2", 51)
    found = fleet.look()
    assert (found["take_over"], found["undrain"]) == ({"ha1": [51]}, {"ha2": [51]})
    assert found["lines"] == ["VRID 51: back to ha1", "ha2: put back for VRID 51"]


def test_a_host_that_is_drained_of_everything_is_left_alone():
    fleet = Fleet(10, 10, 10)
    fleet.drain("ha1", 51, to="ha3")
    fleet.drain("ha1", 52, 53)
    fleet.drain("ha2", 51)
    found = fleet.look()
    assert (found["take_over"], found["undrain"], found["resting"]) == ({"ha2": [51]}, {}, ["ha1"])


def test_a_master_that_nobody_preempts_is_left_to_serve():
    fleet = Fleet(10, 10, 10)
    fleet.drain("ha1", 51, 52, 53)
    fleet.drain("ha2", 51, to="ha3")
    plan = [dict(PLAN[0], preempt=False), *PLAN[1:]]
    found = rebalance(fleet.hosts, plan, 10)
    assert (found["take_over"], found["undrain"]) == ({}, {"ha2": [51]})


def test_who_is_to_take_over_first_hands_off_then():
    fleet = Fleet(10, 0, 0)
    fleet.drain("ha1", 51, to="ha2")
    found = fleet.look()
    assert (found["handoffs"], found["will_hand_off"]) == ({}, ["ha1"])


@pytest.mark.parametrize(
    "trouble", [{"alarm": "the host refused"}, {"leaving": True}, {"state": "backup"}, {"mipv6_ha_mode": False}]
)
def test_a_virtual_ha_that_is_not_served_well_gets_nobody_and_does_not_count(trouble):
    fleet = Fleet(900, 0, 0)
    fleet.of("ha2", 52).update(trouble)
    assert fleet.look()["handoffs"] == {"ha1": [{"vrid": 51, "to": 53, "count": 405}]}


def test_a_virtual_ha_whose_masters_agent_is_unhealthy_gets_nobody():
    fleet = Fleet(900, 0, 0)
    fleet.hosts["ha2"]["status"]["healthy"] = False
    assert [entry["to"] for entry in fleet.look()["handoffs"]["ha1"]] == [53]


def test_a_host_that_does_not_answer_takes_no_part():
    fleet = Fleet(900, 0, 0)
    fleet.hosts["ha2"] = {"unreachable": True, "msg": "no route"}
    assert [entry["to"] for entry in fleet.look()["handoffs"]["ha1"]] == [53]
    del fleet.hosts["ha3"]
    assert fleet.look()["handoffs"] == {}


def test_nobody_is_sent_where_the_marks_of_the_load_balance_or_the_policy_leave_no_room():
    fleet = Fleet(900, 0, 0)
    fleet.of("ha2", 52)["balance"]["low_water"] = 40
    fleet.of("ha3", 53)["maximum_bindings"] = 100
    found = fleet.look(0)
    assert [entry["goal"] for entry in found["loads"]] == [760, 40, 100]


def test_those_under_way_are_waited_for_and_not_sent_twice():
    fleet = Fleet(12, 0, 0)
    fleet.under_way("ha1", 51, to=52, count=4, pending=3)
    found = fleet.look(0)
    assert found["handoffs"] == {"ha1": [{"vrid": 51, "to": 52, "count": 4}, {"vrid": 51, "to": 53, "count": 4}]}
    assert found["lines"] == ["VRID 51: 4 mobile nodes to VRID 53"]


def test_those_that_the_load_balance_moves_count_where_they_go():
    fleet = Fleet(8, 4, 0)
    fleet.under_way("ha1", 51, to=53, count=4, pending=0, reason="load")
    assert fleet.look(0)["handoffs"] == {}


def test_a_master_sends_nobody_to_a_virtual_ha_that_its_host_has_no_part_in():
    fleet = Fleet(900, 0, 0)
    plan = [PLAN[0], dict(PLAN[1], priorities={"ha2": 255, "ha3": 200}), PLAN[2]]
    del fleet.hosts["ha1"]["status"]["virtual_has"][1]
    handoffs = rebalance(fleet.hosts, plan, 0)["handoffs"]
    assert handoffs == {"ha1": [{"vrid": 51, "to": 53, "count": 300}]}


def test_home_links_do_not_mix():
    fleet = Fleet(10, 0, 0)
    for host in HOSTS:
        fleet.of(host, 53)["prefix"] = "2001:db8:2::/64"
    assert fleet.look(0)["handoffs"] == {"ha1": [{"vrid": 51, "to": 52, "count": 5}]}


@given(st.tuples(*[st.integers(0, 500)] * 3), st.integers(0, 50))
def test_when_all_have_gone_there_is_nothing_left_to_do(bindings, tolerance):
    after = dict(zip((51, 52, 53), bindings, strict=True))
    for entries in Fleet(*bindings).look(tolerance)["handoffs"].values():
        for entry in entries:
            after[entry["vrid"]] -= entry["count"]
            after[entry["to"]] += entry["count"]
    assert min(after.values()) >= 0
    assert Fleet(*after.values()).look(tolerance)["handoffs"] == {}


def test_the_filter_names_what_it_cannot_use():
    apply = FilterModule().filters()["rebalance"]
    assert apply(Fleet(9, 0, 0).hosts, PLAN)["handoffs"]
    for bad in (-1, 101, "much"):
        with pytest.raises(AnsibleFilterError, match="vrrp_ha_tolerance"):
            apply({}, PLAN, bad)
    with pytest.raises(AnsibleFilterError, match="needs what agent_info returned"):
        apply({"ha1": {"status": {"virtual_has": [{}]}}}, PLAN)
