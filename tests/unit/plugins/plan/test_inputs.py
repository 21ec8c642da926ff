# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators write about links and hosts, and what hosts get in the end."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import FLEET_VIRTUAL_HA
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_inputs import read_inputs, virtual_has_of
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.plan import make_plan
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.rendering import render_config

LINK = {"prefix": "2001:db8:1::/64", "addresses": "2001:db8:1::51-2001:db8:1::5f", "interface": "eth1"}
HOST = {"vrrp_ha_link": "berlin"}


def read(link=None, hosts=None, defaults=None):
    links = {"berlin": {**LINK, **(link or {})}}
    return read_inputs(links, defaults or {}, hosts if hosts is not None else {"ha1": HOST, "ha2": HOST})


def lines(inputs):
    return [problem.line() for problem in inputs.problems]


def only_line(*arguments, **more):
    (line,) = lines(read(*arguments, **more))
    return line


def test_hosts_and_links_become_the_planners():
    inputs = read(
        {"virtual_has": 4, "vrids": ["51-53", 60], "reserved_vrids": 52, "backups": 2, "retired": "old"},
        {
            "ha1": {**HOST, "vrrp_ha_weight": "1.5", "vrrp_ha_zone": "a", "ansible_host": "fd00::1"},
            "ha2": {**HOST, "vrrp_ha_service": "drained", "vrrp_ha_zone": "b", "vrrp_ha_id": "serial 7"},
        },
    )
    assert lines(inputs) == []
    link = inputs.links["berlin"]
    assert (link.wanted, link.vrids, link.reserved, link.backups) == (4, {51, 52, 53, 60}, {52}, 2)
    assert link.retired == {"old"}
    one, other = inputs.agents
    assert (one.weight, one.zone, one.identity) == (Fraction(3, 2), "a", "fd00::1")
    assert (other.service, other.identity) == ("drained", "serial 7")


def test_links_take_what_they_do_not_say_from_the_defaults():
    defaults = {"virtual_has": 4, "settings": {"advertisement_interval": 10, "sync_key": "fleet"}}
    inputs = read({"settings": {"sync_key": "mine"}}, defaults=defaults)
    assert inputs.links["berlin"].wanted == 4
    assert inputs.link_settings["berlin"] == {"advertisement_interval": 10, "sync_key": "mine"}
    assert read({"virtual_has_per_ha": 3}, defaults=defaults).links["berlin"].wanted is None


def test_hosts_behind_one_address_are_known_by_their_names():
    hosts = {name: {**HOST, "ansible_host": "gateway"} for name in ("ha1", "ha2")}
    assert [agent.identity for agent in read(hosts=hosts).agents] == ["ha1", "ha2"]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"prefix": "2001:db8:1::1"}, r"prefix: '2001:db8:1::1' is no IPv6 prefix; give the home prefix"),
        ({"addresses": "2001:db8:2::1"}, r"addresses: 2001:db8:2::1 is not inside 2001:db8:1::/64; give addresses"),
        ({"adresses": []}, r"adresses: is not known; take it out \(known: prefix, addresses,"),
        ({"virtual_has": "many"}, r"virtual_has: 'many' is no number from 1 to 255; correct it"),
        (
            {"virtual_has": 3, "virtual_has_per_ha": 1},
            r"virtual_has: is given together with virtual_has_per_ha; give one",
        ),
        ({"vrids": "1-300"}, r"vrids: '1-300' is no VRID and no range; give numbers from 1 to 255"),
        ({"reserved_vrids": ["x"]}, r"reserved_vrids: 'x' is no VRID and no range"),
        ({"backups": 0}, r"backups: 0 is no number from 1 to 253"),
        ({"mipv6_ha_mode": "yes"}, r"mipv6_ha_mode: 'yes' is no switch; give true or false"),
        ({"settings": {"sync_keys": "x"}}, r"settings\.sync_keys: is not known; take it out \(known: accept_mode,"),
        ({"settings": {"vrid": 5}}, r"settings\.vrid: is planned; take it out"),
        ({"settings": "x"}, r"settings: is no mapping"),
        ({"pins": [{}]}, r"pins\[0\]: names no virtual HA; give its name or its vrid"),
        ({"pins": {"vrid": 0, "name": "a"}}, r"pins\[0\]\.vrid: 0 is no VRID; give a number"),
        ({"pins": [{"name": "a", "address": "x"}]}, r"pins\[0\]\.address: 'x' is no IPv6 address; correct it"),
        ({"pins": [{"name": "a", "ownr": "x"}]}, r"pins\[0\]: ownr is not known; take it out \(known: name, vrid,"),
        ({"interface": None}, r"interface: is missing, and ha1, ha2 have no vrrp_ha_interface; set the link's"),
    ],
)
def test_a_mistake_in_a_link_is_named_by_its_path(link, said):
    line = only_line(link)
    assert re.match(rf"link berlin: {said}", line), line


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"vrrp_ha_weight": 0}, r"vrrp_ha_weight: 0 is no number above 0; correct it"),
        ({"vrrp_ha_weight": "heavy"}, r"vrrp_ha_weight: 'heavy' is no number above 0"),
        ({"vrrp_ha_weight": True}, r"vrrp_ha_weight: True is no number above 0"),
        (
            {"vrrp_ha_service": "sleeping"},
            r"vrrp_ha_service: 'sleeping' is not known; give one of active, drained, leaving",
        ),
        ({"vrrp_ha_zone": "c"}, r"vrrp_ha_zone: the link has no zone c; give one of a, b, or add it to zones"),
    ],
)
def test_a_mistake_in_a_host_is_named_by_its_variable(variables, said):
    line = only_line({"zones": ["a", "b"]}, {"ha1": {**HOST, **variables}})
    assert re.match(rf"link berlin, host ha1: {said}", line), line


def test_a_link_that_cannot_be_read_is_not_reported_again_for_each_of_its_hosts():
    inputs = read({"prefix": "x"})
    assert len(inputs.problems) == 1
    assert inputs.plannable() == []


@pytest.mark.parametrize("name", ["", "a b", "ber/lin", "-x"])
def test_links_have_names_that_groups_can_have(name):
    (line,) = lines(read_inputs({name: LINK}, {}, {}))
    assert "is no name for a link" in line


def planned_for(host, link=None, hosts=None):
    """What a host gets, with its interface."""
    inputs = read(link, hosts)
    assert lines(inputs) == []
    plan = make_plan(inputs.links.values(), inputs.plannable()).plan.links["berlin"]
    entries = virtual_has_of(plan, inputs, {name: name for name in plan.hosts})
    return [{**entry, "interface": inputs.interfaces[host]} for entry in entries]


def test_hosts_get_nothing_that_the_agent_module_does_not_know():
    for entry in planned_for("ha1", {"mipv6_ha_mode": False, "settings": {"preempt": False}}):
        assert set(entry) <= set(FLEET_VIRTUAL_HA)
        assert entry["mipv6_ha_mode"] is False
        assert entry["preempt"] is False


def test_the_agent_takes_what_is_planned(tmp_path):
    config = pytest.importorskip("vrrp_ha.shell.config", reason="a test of the agent: make check runs it")
    hosts = {f"ha{index}": {**HOST, "vrrp_ha_link_local_address": f"fe80::{index}"} for index in range(1, 6)}
    entries = planned_for("ha2", {"settings": {"insecure_sync": True, "advertisement_interval": 10}}, hosts)
    file = tmp_path / "agent.json"
    file.write_text(json.dumps(render_config("ha2", entries, {}, with_keys=False)))
    node = config.load(str(file)).node
    assert [entry.vrid for entry in node.virtual_has] == [1, 2, 3, 4, 5]
    assert [entry.priority for entry in node.virtual_has].count(255) == 1
    assert all(len(entry.members) == 5 for entry in node.virtual_has)


def test_members_have_addresses_only_when_all_of_them_have():
    hosts = {"ha1": {**HOST, "vrrp_ha_link_local_address": "fe80::1"}, "ha2": HOST}
    assert all("member_addresses" not in entry for entry in planned_for("ha1", hosts=hosts))
