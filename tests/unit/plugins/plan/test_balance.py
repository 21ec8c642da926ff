# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns how many, and who serves how many when others fail: properties over whole fleets."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plan.fleets import agent, agents, amounts, fleets, link, loads, moved, owned, planned, weights


def shares(hosts, total, without=()):
    """Everybody's proportional part."""
    weight = sum(host.weight for host in hosts if host.name not in without)
    return {host.name: total * host.weight / weight for host in hosts if host.name not in without}


@given(weights, amounts)
def test_every_ha_owns_its_part_by_weight_rounded_down_or_up(weights, wanted):
    hosts = agents(*weights)
    plan = planned(link(wanted=wanted), hosts)
    for name, share in shares(hosts, len(plan.virtual_has)).items():
        assert abs(owned(plan)[name] - share) < 1


@given(weights, amounts, st.data())
def test_after_any_one_failure_the_survivors_serve_in_proportion(weights, wanted, data):
    hosts = agents(*weights)
    plan = planned(link(wanted=wanted), hosts)
    failed = data.draw(st.sampled_from(hosts)).name
    served = loads(plan, failed)
    for name, share in shares(hosts, len(plan.virtual_has), {failed}).items():
        assert abs(served[name] - share) <= max(1, share / 10), (name, failed)


@given(weights, amounts, st.data())
def test_survivors_serve_in_proportion_also_in_a_plan_that_grew(weights, wanted, data):
    hosts = agents(*weights)
    before = planned(link(wanted=wanted), hosts)
    for turn in range(3):
        change = data.draw(st.sampled_from(("join", "leave", "grow", "reweigh")))
        total = len(before.virtual_has)
        if change == "join" and len(hosts) < 20:
            hosts = [*hosts, agent(f"new{turn}", weight=data.draw(st.integers(1, 4)))]
        elif change == "leave" and len(hosts) > 2:
            gone = data.draw(st.sampled_from(hosts))
            hosts = [host for host in hosts if host is not gone]
        elif change == "grow":
            total = min(255, total + 3)
        else:
            hosts = [agent(host.name, weight=data.draw(st.integers(1, 4))) for host in hosts]
        before = planned(link(wanted=total), hosts, before)
    total = len(before.virtual_has)
    for name, share in shares(hosts, total).items():
        assert abs(owned(before)[name] - share) < 1
    for failed in before.hosts:
        served = loads(before, failed)
        for name, share in shares(hosts, total, {failed}).items():
            assert abs(served[name] - share) <= max(1, share / 10), (name, failed)


@given(st.integers(3, 20), st.integers(1, 4), st.data())
def test_after_two_failures_nobody_of_equals_serves_more_than_two_beyond_its_part(size, each, data):
    hosts = agents(*[1] * size)
    plan = planned(link(wanted=min(255, size * each)), hosts)
    failed = data.draw(st.lists(st.sampled_from([host.name for host in hosts]), min_size=2, max_size=2, unique=True))
    served = loads(plan, *failed)
    for name, share in shares(hosts, len(plan.virtual_has), set(failed)).items():
        assert served[name] <= share + 2


@pytest.mark.parametrize("size", [3, 4, 5, 8, 10])
def test_backups_of_one_owner_are_not_all_on_its_neighbour(size):
    plan = planned(link(wanted=size * (size - 1)), agents(*[1] * size))
    for failed in plan.hosts:
        assert set(loads(plan, failed).values()) == {size}


@given(fleets(zones=True, services=True))
def test_the_first_backup_is_in_another_zone_where_there_is_one(fleet):
    wanted, hosts = fleet
    plan = planned(wanted, hosts)
    zones = {host.name: host.zone for host in hosts}
    active = {host.name for host in hosts if host.service == "active"}
    for entry in plan.virtual_has.values():
        owner, *backups = entry.order
        elsewhere = {name for name in active if zones[name] != zones[owner]}
        if zones[owner] is not None and elsewhere:
            assert backups[0] in elsewhere


def test_a_zone_that_fails_is_shared_out_by_the_other_zones():
    hosts = [agent(f"ha{index}", zone="abc"[index % 3]) for index in range(9)]
    plan = planned(link(wanted=36), hosts)
    served = loads(plan, *(host.name for host in hosts if host.zone == "a"))
    assert set(served.values()) <= {5, 6, 7}
    assert len(served) == 6


def test_weights_may_be_any_positive_numbers():
    plan = planned(link(wanted=10), agents(Fraction("0.5"), Fraction("1.5"), 3))
    assert owned(plan) == {"ha1": 1, "ha2": 3, "ha3": 6}


def test_a_drained_ha_keeps_what_it_owns_gets_nothing_new_and_takes_over_last():
    before = planned(link(wanted=6), agents(1, 1, 1))
    hosts = [agent("ha1", service="drained"), agent("ha2"), agent("ha3"), agent("ha4")]
    after = planned(link(wanted=9), hosts, before)
    assert not [name for name in moved(before, after) if before.virtual_has[name].owner == "ha1"]
    assert owned(after)["ha1"] == 2
    assert all(entry.order[-1] == "ha1" for entry in after.virtual_has.values() if entry.owner != "ha1")


def test_a_drained_ha_of_a_new_plan_owns_nothing():
    plan = planned(link(wanted=6), [agent("ha1", service="drained"), agent("ha2"), agent("ha3")])
    assert owned(plan) == {"ha2": 3, "ha3": 3}


def test_a_leaving_ha_hands_over_what_it_owns_to_its_first_backups_and_stays_the_last_resort():
    before = planned(link(wanted=6), agents(1, 1, 1))
    hosts = [agent("ha1", service="leaving"), agent("ha2"), agent("ha3")]
    after = planned(link(wanted=6), hosts, before)
    assert owned(after) == {"ha2": 3, "ha3": 3}
    for name in moved(before, after):
        assert after.virtual_has[name].owner == before.virtual_has[name].order[1]
    assert all(entry.order[-1] == "ha1" for entry in after.virtual_has.values())
