# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of inventory moves as little as is needed; what is no change moves nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plan.fleets import (
    agent,
    agents,
    amounts,
    fleets,
    link,
    moved,
    owned,
    owners,
    planned,
    replanned,
)


def fewest_moves(before, hosts, total):
    """How few virtual HAs can move so that everybody owns its part again, rounded down or up."""
    weight = sum(host.weight for host in hosts)
    present = {host.name for host in hosts}
    orphans = sum(1 for owner in owners(before).values() if owner not in present)
    above = below = 0
    for host in hosts:
        share = Fraction(total * host.weight, 1) / weight
        now = owned(before)[host.name]
        above += max(0, now - -(-share.numerator // share.denominator))
        below += max(0, share.numerator // share.denominator - now)
    fresh = total - len(before.virtual_has)
    return max(orphans + above, below - fresh, orphans)


@given(fleets(zones=True, services=True), st.randoms(use_true_random=False))
def test_the_order_of_the_inventory_does_not_matter(fleet, random):
    wanted, hosts = fleet
    other = list(hosts)
    random.shuffle(other)
    assert planned(wanted, other) == planned(wanted, hosts)


@given(fleets(zones=True, services=True))
def test_planning_again_changes_nothing(fleet):
    wanted, hosts = fleet
    plan = planned(wanted, hosts)
    again = replanned(wanted, hosts, plan)
    assert again.changes == []
    assert again.plan.links["berlin"] == plan


@given(fleets(zones=True, services=True), st.data())
def test_planning_again_changes_nothing_after_any_change(fleet, data):
    wanted, hosts = fleet
    before = planned(wanted, hosts)
    _wanted, others = data.draw(fleets(zones=True, services=True))
    plan = planned(wanted, others, before)
    assert replanned(wanted, others, plan).changes == []


@given(fleets(zones=True, services=True), st.randoms(use_true_random=False))
def test_other_names_for_the_same_machines_move_nothing(fleet, random):
    wanted, hosts = fleet
    before = planned(wanted, hosts)
    names = [f"new{index}" for index in range(len(hosts))]
    random.shuffle(names)
    renamed = [replace(host, name=name) for host, name in zip(hosts, names, strict=True)]
    after = replanned(wanted, renamed, before)
    assert {change.what for change in after.changes} <= {"host"}
    called = {host.name: name for host, name in zip(hosts, names, strict=True)}
    plan = after.plan.links["berlin"]
    for name, entry in before.virtual_has.items():
        assert plan.virtual_has[name].priorities == {called[m]: value for m, value in entry.priorities.items()}


def test_two_machines_that_swap_their_names_keep_their_virtual_has():
    before = planned(link(), agents(1, 1, 1))
    hosts = [agent("ha1", identity="id of ha2"), agent("ha2", identity="id of ha1"), agent("ha3")]
    after = planned(link(), hosts, before)
    assert owners(after) == {"berlin-1": "ha2", "berlin-2": "ha1", "berlin-3": "ha3"}


def test_a_machine_that_is_replaced_under_its_name_keeps_its_virtual_has():
    before = planned(link(), agents(1, 1, 1))
    after = replanned(link(), [agent("ha1", identity="new hardware"), agent("ha2"), agent("ha3")], before)
    assert after.changes == []


@given(st.integers(2, 19), st.integers(1, 200))
def test_one_ha_more_moves_no_more_than_balance_requires(size, total):
    before = planned(link(wanted=total), agents(*[1] * size))
    hosts = agents(*[1] * (size + 1))
    after = planned(link(wanted=total), hosts, before)
    assert len(moved(before, after)) == fewest_moves(before, hosts, total)
    assert {owners(after)[name] for name in moved(before, after)} <= {f"ha{size + 1}"}


@given(st.integers(3, 20), st.integers(1, 200), st.data())
def test_one_ha_less_moves_no_more_than_what_it_owned(size, total, data):
    hosts = agents(*[1] * size)
    before = planned(link(wanted=total), hosts)
    gone = data.draw(st.sampled_from(hosts))
    rest = [host for host in hosts if host is not gone]
    after = planned(link(wanted=total), rest, before)
    assert set(moved(before, after)) == {name for name, owner in owners(before).items() if owner == gone.name}


@given(st.integers(3, 20), st.integers(1, 4), st.data())
def test_what_a_departed_ha_owned_goes_to_the_first_backup_that_has_its_bindings(size, each, data):
    hosts = agents(*[1] * size)
    before = planned(link(per_ha=each), hosts)
    gone = data.draw(st.sampled_from(hosts))
    after = planned(link(per_ha=each), [host for host in hosts if host is not gone], before)
    for name in moved(before, after):
        assert after.virtual_has[name].owner == before.virtual_has[name].order[1]


@given(st.lists(st.integers(1, 4), min_size=3, max_size=20), amounts, st.data())
def test_with_weights_hardly_more_moves_than_balance_requires(weights, wanted, data):
    hosts = agents(*weights)
    before = planned(link(wanted=wanted), hosts)
    total = len(before.virtual_has)
    if data.draw(st.booleans()):
        hosts = [*hosts, agent("new", weight=data.draw(st.integers(1, 4)))]
    else:
        hosts.remove(data.draw(st.sampled_from(hosts)))
    after = planned(link(wanted=total), hosts, before)
    # An exchange more where shares alone would leave the survivors of a failure uneven.
    assert fewest_moves(before, hosts, total) <= len(moved(before, after)) <= fewest_moves(before, hosts, total) + 2


def test_one_per_ha_a_new_ha_gets_a_new_one_and_nothing_moves():
    before = planned(link(), agents(1, 1, 1))
    after = planned(link(), agents(1, 1, 1, 1), before)
    assert moved(before, after) == []
    assert after.virtual_has["berlin-4"].owner == "ha4"


def test_no_virtual_ha_goes_because_an_ha_goes():
    before = planned(link(), agents(1, 1, 1))
    after = planned(link(), agents(1, 1), before)
    assert set(after.virtual_has) == set(before.virtual_has)


def test_priorities_of_members_that_keep_their_order_are_kept():
    before = planned(link(), agents(1, 1, 1))
    after = planned(link(), agents(1, 1, 1, 1), before)
    for name, entry in before.virtual_has.items():
        assert entry.priorities.items() <= after.virtual_has[name].priorities.items()


def test_a_priority_that_an_operator_chose_is_kept():
    plan = planned(link(), agents(1, 1, 1))
    entry = plan.virtual_has["berlin-1"]
    edited = replace(entry, priorities={**entry.priorities, entry.order[1]: 231})
    plan = replace(plan, virtual_has={**plan.virtual_has, "berlin-1": edited})
    assert replanned(link(), agents(1, 1, 1), plan).changes == []


def test_an_order_that_an_operator_chose_is_kept_where_balance_allows_it():
    hosts = agents(1, 1, 1, 1, 1)
    plan = planned(link(), hosts)
    entry = plan.virtual_has["berlin-1"]
    owner, first, second, third, fourth = entry.order
    edited = replace(entry, priorities={owner: 255, first: 200, second: 190, fourth: 180, third: 170})
    plan = replace(plan, virtual_has={**plan.virtual_has, "berlin-1": edited})
    assert planned(link(), hosts, plan).virtual_has["berlin-1"].order == [owner, first, second, fourth, third]
