# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of bindings on their way into the kernel, with a kernel that refuses at will."""

import errno

import pytest

from vrrp_ha.core.types import Binding
from vrrp_ha.shell.bindings import BindingTable, DataPlaneError, Installer
from vrrp_ha.shell.netlink import Failure, NetlinkError


class Routes:
    """Routes of one virtual HA as a kernel would keep them."""

    def __init__(self):
        self.there = {}
        self.refusals = []  # the errors of the next calls, each for every second route

    def install(self, _route, bindings):
        error = self.refusals.pop(0) if self.refusals else 0
        failures = []
        for number, (home, care_of) in enumerate(bindings):
            if error and number % 2:
                failures.append((home, Failure(error, "refused", b"")))
            else:
                self.there[home] = care_of
        return failures

    def remove(self, _route, homes):
        for home in homes:
            self.there.pop(home, None)
        return []


class Guard:
    """The sets of bound addresses."""

    def __init__(self):
        self.pairs = {}
        self.refusals = []

    def change_bound(self, vrid, gone, new):
        if self.refusals:
            raise NetlinkError(self.refusals.pop(0), "refused")
        pairs = self.pairs.setdefault(vrid, set())
        if not pairs.issuperset(gone):
            raise NetlinkError(errno.ENOENT, "no such element")
        pairs.difference_update(gone)
        pairs.update(new)

    def drop_bound(self, vrid, pair):
        self.pairs[vrid].discard(pair)


@pytest.fixture
def guard():
    return Guard()


@pytest.fixture
def installer(guard):
    return Installer(None, guard)


def table(vrid=51):
    made = BindingTable(vrid, 1000 + vrid)
    made.routes = Routes()
    return made


def binding(number, care_of=0):
    return Binding(number.to_bytes(16, "big"), care_of.to_bytes(16, "big"), 1, 0xC000, 0)


def bindings(amount, care_of=0):
    return [binding(number, care_of) for number in range(amount)]


def pairs(found):
    return {b.care_of_address + b.home_address for b in found}


def routes(found):
    return {b.home_address: b.care_of_address for b in found}


def drain(installer):
    passed = []
    for _unused in range(1000):
        if not installer.pending:
            return passed
        passed += installer.work(1000)
    raise AssertionError("never done")


def test_each_binding_is_a_route_and_a_source_check(installer, guard):
    place = table()
    installer.install(place, bindings(200))
    drain(installer)
    assert place.routes.there == routes(bindings(200))
    assert guard.pairs[51] == pairs(bindings(200))


def test_what_changes_nothing_costs_no_kernel_work(installer, guard):
    place = table()
    installer.install(place, bindings(10))
    drain(installer)
    place.routes.there.clear()
    guard.pairs.clear()
    installer.install(place, bindings(10))
    drain(installer)
    assert place.routes.there == {}
    assert guard.pairs == {}


def test_a_new_care_of_address_replaces_the_old_one(installer, guard):
    place = table()
    installer.install(place, bindings(3, care_of=1))
    installer.install(place, [binding(1, care_of=2)])
    drain(installer)
    assert place.routes.there[binding(1).home_address] == binding(1, 2).care_of_address
    assert guard.pairs[51] == pairs([binding(0, 1), binding(1, 2), binding(2, 1)])


def test_of_one_home_address_twice_in_a_batch_the_last_counts(installer, guard):
    place = table()
    installer.install(place, [binding(1, 1), binding(1, 2)])
    drain(installer)
    assert place.routes.there == routes([binding(1, 2)])
    assert guard.pairs[51] == pairs([binding(1, 2)])


def test_install_and_remove_happen_in_the_order_asked(installer, guard):
    place = table()
    installer.install(place, bindings(100))
    installer.remove(place, bindings(100))
    installer.install(place, bindings(1))
    drain(installer)
    assert place.routes.there == routes(bindings(1))
    assert guard.pairs[51] == pairs(bindings(1))


def test_removing_by_home_address_does_not_need_the_current_care_of_address(installer, guard):
    place = table()
    installer.install(place, [binding(1, care_of=5)])
    installer.remove(place, [binding(1, care_of=4)])
    installer.remove(place, [binding(2)])
    drain(installer)
    assert place.routes.there == {}
    assert guard.pairs[51] == set()


@pytest.mark.parametrize("error", [errno.ENOMEM, errno.ENOBUFS])
def test_routes_that_find_no_memory_are_tried_again_before_the_marker_passes(installer, error):
    place = table()
    place.routes.refusals = [error] * 4
    installer.install(place, bindings(40))
    installer.confirm(51, 7)
    calls = 0
    while not (passed := installer.work(1_000_000)):
        calls += 1
    assert passed == [(51, 7)]
    assert calls >= 4  # each time the kernel was given a moment
    assert place.routes.there == routes(bindings(40))


def test_source_checks_that_find_no_memory_are_tried_again(installer, guard):
    place = table()
    guard.refusals = [errno.ENOMEM, errno.ENOMEM]
    installer.install(place, bindings(10))
    assert drain(installer) == []
    assert guard.pairs[51] == pairs(bindings(10))


def test_another_error_is_raised_with_its_vrid_and_the_rest_goes_on(installer):
    bad, good = table(51), table(52)
    bad.routes.refusals = [errno.ENODEV]
    installer.install(bad, bindings(4))
    installer.install(good, bindings(4))
    installer.confirm(52, 1)
    with pytest.raises(DataPlaneError) as raised:
        drain(installer)
    assert (raised.value.vrid, raised.value.effect, raised.value.reason) == (51, "install", "refused")
    assert drain(installer) == [(52, 1)]
    assert good.routes.there == routes(bindings(4))


def test_markers_that_were_passed_are_told_before_an_error(installer):
    place = table()
    installer.confirm(51, 1)
    place.routes.refusals = [errno.ENODEV]
    installer.install(place, bindings(4))
    assert installer.work(1_000_000) == [(51, 1)]
    assert installer.pending
    with pytest.raises(DataPlaneError):
        installer.work(1_000_000)
    assert not installer.pending


def test_elements_that_somebody_else_took_away_do_not_stop_a_change(installer, guard):
    place = table()
    installer.install(place, bindings(10, care_of=1))
    drain(installer)
    guard.pairs[51] -= pairs([binding(3, 1)])
    installer.install(place, bindings(10, care_of=2))
    drain(installer)
    assert guard.pairs[51] == pairs(bindings(10, care_of=2))


def test_work_pauses_when_the_budget_is_spent(installer):
    place = table()
    installer.install(place, bindings(1000))
    installer.work(0)
    assert 0 < len(place.routes.there) < 1000
    assert installer.pending


def test_what_is_forgotten_is_not_done_but_markers_pass(installer):
    place = table()
    installer.install(place, bindings(10))
    installer.confirm(51, 3)
    installer.forget(51)
    assert drain(installer) == [(51, 3)]
    assert place.routes.there == {}


def test_what_a_new_device_lost_is_put_back_before_the_rest(installer):
    place = table()
    installer.install(place, bindings(100, care_of=1))
    drain(installer)
    place.routes = Routes()
    installer.install(place, [binding(1, care_of=2)])
    installer.put_back(place)
    drain(installer)
    assert place.routes.there == routes([*bindings(100, care_of=1), binding(1, care_of=2)])


def test_without_a_device_bindings_wait_for_it(installer, guard):
    place = table()
    there, place.routes = place.routes, None
    installer.install(place, bindings(5))
    drain(installer)
    place.routes = there
    installer.put_back(place)
    drain(installer)
    assert there.there == routes(bindings(5))
    assert guard.pairs[51] == pairs(bindings(5))
