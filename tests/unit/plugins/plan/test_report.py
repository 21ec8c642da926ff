# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mip6.vrrp_ha.plugins.filter.plan import FilterModule
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_report import (
    fleet_virtual_has,
    plan_data,
    plan_markdown,
    plan_table,
    rank_of,
)

PRIORITIES = {"ha1": 255, "ha2": 200, "ha10": 150}
ONE = {"vrid": 51, "name": "vha-a", "addresses": ["2001:db8:1::51"], "priorities": PRIORITIES}
OTHER = {"vrid": 52, "addresses": ["2001:db8:1::52"], "priorities": {"ha2": 255, "ha10": 200}}


def test_data_has_orders_and_loads_now_and_after_each_failure():
    data = plan_data([OTHER, ONE])
    assert data["hosts"] == ["ha1", "ha2", "ha10"]
    assert [entry["order"] for entry in data["virtual_has"]] == [["ha1", "ha2", "ha10"], ["ha2", "ha10"]]
    assert data["loads"]["now"] == {"ha1": 1, "ha2": 1, "ha10": 0}
    assert data["loads"]["without"] == {
        "ha1": {"ha2": 2, "ha10": 0},
        "ha2": {"ha1": 1, "ha10": 1},
        "ha10": {"ha1": 1, "ha2": 1},
    }


def test_the_table_has_a_column_for_each_host():
    assert plan_table([ONE, OTHER]) == [
        "VRID  NAME     ADDRESS         ha1    ha2    ha10",
        "51    vha-a    2001:db8:1::51  owner  1st    2nd",
        "52    VRID 52  2001:db8:1::52  -      owner  1st",
        "",
        "LOAD          ha1  ha2  ha10",
        "now           1    1    0",
        "without ha1   -    2    0",
        "without ha2   1    -    1",
        "without ha10  1    1    -",
    ]


def test_a_drained_host_serves_nothing():
    assert plan_data([ONE, OTHER], {"ha1"})["loads"] == {
        "now": {"ha2": 2, "ha10": 0},
        "without": {"ha2": {"ha10": 2}, "ha10": {"ha2": 2}},
    }


def test_markdown_is_two_tables_and_a_pipe_in_a_name_breaks_none():
    page = plan_markdown([{**ONE, "name": "a|b"}])
    ranks, loads = page.split("\n\n")
    assert ranks.splitlines()[1] == "|---|---|---|---|---|---|"
    assert r"a\|b" in ranks
    assert loads.startswith("| LOAD | ha1 | ha2 | ha10 |")


def test_ranks_are_written_as_people_say_them():
    ranks = [rank_of(n) for n in (0, 1, 2, 3, 4, 11, 12, 13, 21, 22, 101, 111)]
    assert ranks == ["owner", "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "101st", "111th"]


def test_a_virtual_ha_without_an_owner_is_served_by_its_first_backup():
    assert plan_data([{"vrid": 1, "priorities": {"a": 200, "b": 100}}])["loads"]["now"] == {"a": 1, "b": 0}


def test_the_lists_of_hosts_become_one_list():
    assert fleet_virtual_has([[ONE, OTHER], [{**ONE, "interface": "eth9"}, OTHER], []]) == [ONE, OTHER]


def test_two_links_may_have_the_same_vrid():
    elsewhere = {**ONE, "addresses": ["2001:db8:2::51"], "priorities": {"hh1": 255}}
    assert fleet_virtual_has([[ONE], [elsewhere]]) == [ONE, elsewhere]


@pytest.mark.parametrize("name", ["plan_data", "plan_table", "plan_markdown", "fleet_virtual_has"])
@pytest.mark.parametrize("given", [3, [{"vrid": 1}], [[{"vrid": 1}]], [{"vrid": 1, "priorities": {"a": "x"}}]])
def test_a_filter_says_what_it_needs(name, given):
    with pytest.raises(AnsibleFilterError, match="vrrp_ha_virtual_has"):
        FilterModule().filters()[name](given)
