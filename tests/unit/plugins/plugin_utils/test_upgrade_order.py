# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.upgrade_order import batches

BERLIN = [{"vrid": 51, "priorities": {"b1": 255, "b2": 200}}, {"vrid": 52, "priorities": {"b2": 255, "b3": 200}}]
PARIS = [{"vrid": 51, "priorities": {"p1": 255, "p2": 200}}]
HOSTS = ["b1", "b2", "b3", "p1", "p2"]


def test_members_of_one_virtual_ha_are_never_in_one_batch():
    for batch in batches(HOSTS, BERLIN + PARIS, {}):
        for entry in BERLIN + PARIS:
            assert len(set(batch) & set(entry["priorities"])) <= 1


def test_links_do_not_wait_for_each_other():
    assert batches(HOSTS, BERLIN + PARIS, {}) == [["b1", "b3", "p1"], ["b2", "p2"]]


def test_who_is_master_of_most_comes_last():
    assert batches(["b1", "b2"], BERLIN, {"b1": [51, 52], "b2": []}) == [["b2"], ["b1"]]


def test_a_host_without_virtual_has_is_in_nobodys_way():
    assert batches(["b1", "x"], BERLIN, {}) == [["b1", "x"]]
    assert batches([], BERLIN, {}) == []
