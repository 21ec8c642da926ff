# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""shell/examination.py on a real kernel: what differs from the cache is named, and nothing is mended."""

import subprocess

import pytest

from tests.kernel.home_link import (
    CARE_OF,
    HOME,
    OTHER_CARE_OF,
    OTHER_HOME,
    HomeLink,
    binding,
    many_bindings,
    settings,
    settle,
)
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.shell.examination import examine


@pytest.fixture(scope="module")
def plane():
    with HomeLink() as link, link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        yield plane


@pytest.fixture
def cache(plane):
    """With one binding that is in the kernel; there are no others, and no traces of the last test."""
    cache = BindingCache()
    change(plane, cache, binding(HOME, CARE_OF))
    yield cache
    plane.remove(51, list(cache))
    settle(plane)
    plane.reconcile()
    settle(plane)


def change(plane, cache, *bindings):
    cache.put_many(bindings)
    plane.install(51, list(bindings))
    settle(plane)


def examined(plane, cache, meanwhile=lambda: None):
    """What is found while the data plane goes on with its work."""
    steps = examine(*plane.to_examine(51), cache)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        meanwhile()
        plane.work(1000)


def test_nothing_differs_where_nothing_was_touched(plane, cache):
    result = examined(plane, cache)
    assert (result.settled, result.routes, result.source_checks, result.differences) == (True, 1, 1, [])


BOUND = "element inet vrrp_ha bound_51"
BREAKAGES = {
    "route": (f"ip -6 route del {HOME} table 1051", [("route", HOME, CARE_OF, None)]),
    "route elsewhere": (
        f"ip -6 route replace {HOME} table 1051 dev mip6-51 encap seg6 mode encap.red segs {OTHER_CARE_OF}",
        [("route", HOME, CARE_OF, OTHER_CARE_OF)],
    ),
    "route of another kind": (
        f"ip -6 route replace {HOME} table 1051 dev eth1",
        [("route", HOME, CARE_OF, "not a tunnel of ours")],
    ),
    "extra route": (
        f"ip -6 route add {OTHER_HOME} table 1051 dev mip6-51 encap seg6 mode encap.red segs {OTHER_CARE_OF}",
        [("route", OTHER_HOME, None, OTHER_CARE_OF)],
    ),
    "extra prefix": (
        "ip -6 route add 2001:db8:1:0:1::/80 table 1051 dev eth1",
        [("route", "2001:db8:1:0:1::/80", None, "not a tunnel of ours")],
    ),
    "source check": (
        f"nft delete {BOUND} {{ {CARE_OF} . {HOME} }}",
        [("source check", HOME, CARE_OF, None)],
    ),
    "extra source check": (
        f"nft add {BOUND} {{ {OTHER_CARE_OF} . {HOME} }}",
        [("source check", HOME, None, OTHER_CARE_OF)],
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_what_somebody_broke_is_named_and_stays_as_it_is(plane, cache, breakage):
    command, differences = BREAKAGES[breakage]
    subprocess.run(command, shell=True, check=True)
    assert examined(plane, cache).differences == differences
    assert examined(plane, cache).differences == differences


def test_a_binding_that_the_data_plane_was_not_told_of(plane, cache):
    cache.put(binding(OTHER_HOME, OTHER_CARE_OF))
    assert examined(plane, cache).differences == [("binding", OTHER_HOME, OTHER_CARE_OF, None)]


def test_a_binding_that_the_data_plane_was_not_told_to_forget(plane, cache):
    gone = binding(OTHER_HOME, OTHER_CARE_OF)
    change(plane, cache, gone)
    cache.remove(gone.home_address)
    assert examined(plane, cache).differences == [("binding", OTHER_HOME, None, OTHER_CARE_OF)]
    plane.remove(51, [gone])


def test_changes_that_are_under_way_are_no_differences(plane, cache):
    """Every piece of the examination sees another binding come, move or go; one that was broken by hand is found."""
    many = many_bindings(3000)
    change(plane, cache, *many)
    subprocess.run(f"ip -6 route del {HOME} table 1051", shell=True, check=True)
    moving = iter(many)
    changes = 0

    def meanwhile():
        nonlocal changes
        one = next(moving, None)
        if one is None:
            return
        changes += 1
        if changes % 3:
            moved = type(one)(one.home_address, many[0].care_of_address, 2, one.flags, one.expires)
            cache.put(moved)
            plane.install(51, [moved])
        else:
            cache.remove(one.home_address)
            plane.remove(51, [one])

    assert examined(plane, cache, meanwhile).differences == [("route", HOME, CARE_OF, None)]
    assert changes > 50
