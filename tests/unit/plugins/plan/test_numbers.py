# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, VRIDs, addresses and pins; and what cannot be planned, all of it said at once."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.addresses import (
    network_of,
    number_of,
    pool_of,
    text_of,
)
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.model import Pin, PlanError, Pool
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.plan import make_plan
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.priorities import assign_priorities, spaced
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plan.fleets import FIRST, agent, agents, fleets, link, owners, planned, replanned

vrid_sets = st.frozensets(st.integers(1, 255), max_size=200)


def vrids(plan):
    return {name: entry.vrid for name, entry in plan.virtual_has.items()}


@given(fleets(), vrid_sets)
def test_vrids_are_unique_and_outside_the_reserved_ones(fleet, reserved):
    wanted, hosts = fleet
    reserved = frozenset(sorted(reserved)[: 255 - max(wanted.wanted or 0, len(hosts))])
    plan = planned(link(wanted=wanted.wanted, reserved=reserved), hosts)
    numbers = list(vrids(plan).values())
    assert len(set(numbers)) == len(numbers)
    assert not reserved & set(numbers)
    assert set(numbers) <= set(range(1, 256))


@given(fleets(zones=True, services=True))
def test_every_virtual_ha_has_one_owner_and_falling_priorities(fleet):
    plan = planned(*fleet)
    for entry in plan.virtual_has.values():
        values = list(entry.priorities.values())
        assert values == sorted(values, reverse=True)
        assert values[0] == 255
        assert len(set(values)) == len(values)
        assert all(1 <= value < 255 for value in values[1:])
        assert len(values) - 1 <= fleet[0].backups


@given(fleets())
def test_addresses_are_unique_and_from_the_pool(fleet):
    wanted, hosts = fleet
    addresses = [number_of(entry.address) for entry in planned(wanted, hosts).virtual_has.values()]
    assert len(set(addresses)) == len(addresses)
    assert all(address in wanted.pool for address in addresses)


def test_vrids_and_addresses_that_are_there_are_kept_when_some_are_reserved():
    before = planned(link(), agents(1, 1, 1))
    after = replanned(link(reserved=frozenset({2})), agents(1, 1, 1), before)
    assert vrids(after.plan.links["berlin"]) == {"berlin-1": 1, "berlin-2": 4, "berlin-3": 3}
    (change,) = after.changes
    assert change.line() == "berlin: berlin-2: VRID 2 -> 4 (2 is reserved) [MOVES A LIVE SERVICE]"


def test_pins_are_honoured():
    pins = (
        Pin(name="flagship", vrid=100, owner="ha3", address=FIRST + 0xAB),
        Pin(vrid=7, owner="ha3"),
        Pin(name="plain", mipv6_ha_mode=False),
    )
    plan = planned(link(wanted=4, pins=pins), agents(1, 1, 1))
    assert plan.virtual_has["flagship"].vrid == 100
    assert plan.virtual_has["flagship"].address == "2001:db8:1::ab"
    assert {entry.vrid: entry.owner for entry in plan.virtual_has.values() if entry.owner == "ha3"} == {
        100: "ha3",
        7: "ha3",
    }
    assert [entry.name for entry in plan.virtual_has.values() if not entry.mipv6_ha_mode] == ["plain"]


def test_the_others_share_what_is_not_pinned():
    pins = tuple(Pin(name=f"pinned{number}", owner="ha1") for number in range(4))
    plan = planned(link(wanted=6, pins=pins), agents(1, 1, 1))
    assert sorted(owners(plan).values()) == ["ha1"] * 4 + ["ha2", "ha3"]


def test_a_pin_takes_a_vrid_from_another_virtual_ha_and_says_so():
    before = planned(link(), agents(1, 1))
    after = replanned(link(pins=(Pin(name="berlin-2", vrid=1),)), agents(1, 1), before)
    lines = [change.line() for change in after.changes]
    assert lines == [
        "berlin: berlin-1: VRID 1 -> 2 (1 is pinned to another) [MOVES A LIVE SERVICE]",
        "berlin: berlin-2: VRID 2 -> 1 (it is pinned) [MOVES A LIVE SERVICE]",
    ]


def test_a_pin_with_a_new_name_for_a_known_vrid_renames_and_moves_nothing():
    before = planned(link(), agents(1, 1))
    after = replanned(link(pins=(Pin(name="flagship", vrid=2),)), agents(1, 1), before)
    (change,) = after.changes
    assert (change.what, change.before, change.after, change.moves) == ("name", "berlin-2", "flagship", False)


def test_a_retired_virtual_ha_goes_and_its_name_does_not_come_back():
    before = planned(link(), agents(1, 1))
    after = replanned(link(retired=frozenset({"berlin-1"})), agents(1, 1, 1), before)
    assert set(after.plan.links["berlin"].virtual_has) == {"berlin-2", "berlin-3", "berlin-4"}
    (gone,) = [change for change in after.changes if change.virtual_ha == "berlin-1"]
    assert gone.moves
    assert 1 not in vrids(after.plan.links["berlin"]).values()


def test_why_an_owner_changes_is_said():
    before = planned(link(wanted=6), agents(1, 1, 1))
    hosts = [agent("ha1", service="leaving"), agent("ha2"), agent("ha3")]
    assert {change.why for change in replanned(link(wanted=6), hosts, before).changes if change.moves} == {
        "ha1 is leaving"
    }
    hosts = agents(1, 1, 1)[1:]
    assert {change.why for change in replanned(link(wanted=6), hosts, before).changes if change.moves} == {
        "ha1 is no longer on the link"
    }
    (change,) = [c for c in replanned(link(wanted=6), agents(1, 1, 1, 1), before).changes if c.what == "owner"]
    assert re.fullmatch(r"balance: ha\d would own 2 of 6, by weight its share is 1.5", change.why)


def test_priorities_leave_room_and_stay_within_the_penalty_of_an_unsynced_backup():
    for count in range(1, 254):
        values = spaced(count)
        assert len(set(values)) == count
        assert min(values) >= 1
        assert max(values) < 255
        if count <= 100:
            assert values[0] - values[-1] < 100
    assert spaced(4) == [200, 190, 180, 170]


def test_a_new_member_gets_a_priority_between_those_of_its_neighbours():
    before = {"a": 255, "b": 200, "c": 190}
    assert assign_priorities(["a", "b", "x", "c"], before) == {"a": 255, "b": 200, "x": 195, "c": 190}
    assert assign_priorities(["a", "x", "b", "c"], before) == {"a": 255, "x": 205, "b": 200, "c": 190}
    assert assign_priorities(["a", "b", "c", "x"], before) == {"a": 255, "b": 200, "c": 190, "x": 180}


def test_without_room_between_neighbours_all_are_spaced_anew():
    before = {"a": 255, "b": 200, "c": 199}
    assert assign_priorities(["a", "b", "x", "c"], before) == {"a": 255, "b": 200, "x": 190, "c": 180}


# What cannot be planned


def problems(links, hosts, previous=None):
    with pytest.raises(PlanError) as caught:
        make_plan(links if isinstance(links, list) else [links], hosts, previous)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("wanted", "hosts", "said"),
    [
        (
            link(vrids=frozenset({1, 2})),
            agents(1, 1, 1),
            r"link berlin: 3 virtual HAs need a VRID.*; allow more in vrids",
        ),
        (link(pool=Pool(((FIRST + 1, FIRST + 2),))), agents(1, 1, 1), r"link berlin: its addresses hold 2.*; add to"),
        (link(), agents(1), r"link berlin, host ha1: it is the only HA.*; put another HA"),
        (link(), [], r"link berlin: no host is on it; set vrrp_ha_link"),
        (link(), agents(1, 1, service="leaving"), r"link berlin: all its HAs are leaving \(ha1, ha2\); keep one"),
        (link(), agents(1, 1, service="drained"), r"link berlin: all its HAs are drained or leaving: nobody may own"),
        (
            link(pins=(Pin(name="a", vrid=5), Pin(name="b", vrid=5))),
            agents(1, 1),
            r"link berlin: pin b: VRID 5 is pinned twice; take one",
        ),
        (
            link(pins=(Pin(name="a", vrid=5), Pin(name="a", vrid=6))),
            agents(1, 1),
            r"link berlin: pin a: name a is pinned twice",
        ),
        (
            link(pins=(Pin(name="a", address=FIRST + 1), Pin(name="b", address=FIRST + 1))),
            agents(1, 1),
            r"link berlin: pin b: address 2001:db8:1::1 is pinned twice",
        ),
        (
            link(pins=(Pin(vrid=5, owner="ha9"),)),
            agents(1, 1),
            r"link berlin, host ha9: pin of VRID 5: .* not on the link",
        ),
        (
            link(pins=(Pin(name="a", owner="ha1"),)),
            [agent("ha1", service="leaving"), agent("ha2")],
            r"link berlin, host ha1: pin a: it is to own it and is leaving; pin another",
        ),
        (
            link(pins=(Pin(name="a", vrid=5),), reserved=frozenset({5})),
            agents(1, 1),
            r"link berlin: pin a: VRID 5 is reserved; pin another",
        ),
        (
            link(pins=(Pin(name="a", vrid=5),), vrids=frozenset({1, 2})),
            agents(1, 1),
            r"link berlin: pin a: VRID 5 is not among the link's",
        ),
        (
            link(pins=(Pin(name="a", address=number_of("2001:db8:2::1")),)),
            agents(1, 1),
            r"link berlin: pin a: address 2001:db8:2::1 is outside 2001:db8:1::/64",
        ),
        (
            link(wanted=1, pins=(Pin(name="a"), Pin(name="b"))),
            agents(1, 1),
            r"link berlin: 2 virtual HAs are pinned, and 1 are wanted; raise virtual_has",
        ),
        (
            link(pins=(Pin(name="a", vrid=9),), retired=frozenset({"a"})),
            agents(1, 1),
            r"link berlin: pin a: it is retired",
        ),
        (
            link(),
            [*agents(1, 1), agent("ha3", link="hamburg")],
            r"link hamburg, host ha3: there is no such link; define",
        ),
        (
            link(),
            [agent("ha1", zone="a"), agent("ha2")],
            r"link berlin, host ha2: it has no zone, and others of the link have \(ha1: a\); set its vrrp_ha_zone",
        ),
        (
            link(),
            [agent("ha1", identity="x"), agent("ha2", identity="x")],
            r"link berlin, host ha2: it has the vrrp_ha_id of ha1, x; give each host its own",
        ),
    ],
)
def test_what_cannot_be_planned_is_one_line_with_link_host_and_remedy(wanted, hosts, said):
    (line,) = problems(wanted, hosts)
    assert re.match(said, line), line
    assert "; " in line


def test_all_problems_of_all_links_are_reported_together():
    lines = problems(
        [link("a", vrids=frozenset({1})), link("b"), link("c", pins=(Pin(name="x", owner="nobody"),)), link("d")],
        [*agents(1, 1, link="a"), *agents(1, link="b"), *agents(1, 1, link="c"), *agents(1, 1, link="d")],
    )
    assert len(lines) == 3
    assert {line.split(":")[0].split(",")[0] for line in lines} == {"link a", "link b", "link c"}


# Pools


@pytest.mark.parametrize(
    ("parts", "addresses"),
    [
        (["2001:db8:1::51"], ["2001:db8:1::51"]),
        (["2001:db8:1::51-2001:db8:1::53"], ["2001:db8:1::51", "2001:db8:1::52", "2001:db8:1::53"]),
        (["2001:db8:1::8/127", "2001:db8:1::1"], ["2001:db8:1::8", "2001:db8:1::9", "2001:db8:1::1"]),
        (["2001:db8:1::/127"], ["2001:db8:1::1"]),  # the routers' anycast address is never used
        (
            ["2001:db8:1:0:fdff:ffff:ffff:ff7f-2001:db8:1:0:fe00::"],  # nor are those of RFC 2526
            ["2001:db8:1:0:fdff:ffff:ffff:ff7f", "2001:db8:1:0:fe00::"],
        ),
    ],
)
def test_pools_are_addresses_ranges_and_prefixes(parts, addresses):
    pool = pool_of(parts, network_of("2001:db8:1::/64"))
    assert [text_of(address) for address in pool] == addresses
    assert len(pool) == len(addresses)


@pytest.mark.parametrize(
    "part",
    ["2001:db8:2::1", "2001:db8:1::9-2001:db8:1::1", "2001:db8:1::/48", "x", 5, "2001:db8:1::1/64", "fe80::1%eth0"],
)
def test_what_is_no_part_of_a_pool_is_refused(part):
    with pytest.raises(ValueError, match=re.escape(re.split("[-/]", str(part))[0])):
        pool_of([part], network_of("2001:db8:1::/64"))


def test_addresses_that_are_in_two_parts_are_refused():
    with pytest.raises(ValueError, match="2001:db8:1::51 is there twice"):
        pool_of(["2001:db8:1::51", "2001:db8:1::50/124"], network_of("2001:db8:1::/64"))
