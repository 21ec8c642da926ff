# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which solicited-node groups an interface is in: those of the home addresses that are bound, up to a limit."""

from __future__ import annotations

import errno

import pytest

from vrrp_ha.core.types import SECOND, Binding, Instant, packed
from vrrp_ha.shell.groups import SolicitedNodeGroups


class Kernel:
    """The groups of every interface, by its index."""

    def __init__(self) -> None:
        self.groups: dict[int, set[str]] = {}
        self.refuses: set[str] = set()

    def memberships(self, index: int) -> Interface:
        self.groups[index] = set()
        return Interface(self, index)


class Interface:
    def __init__(self, kernel: Kernel, index: int) -> None:
        self.kernel, self.index = kernel, index

    def join(self, group: bytes) -> None:
        if group.hex() in self.kernel.refuses:
            raise OSError(errno.ENOMEM, "no room")
        self.kernel.groups[self.index].add(group.hex())

    def leave(self, group: bytes) -> None:
        self.kernel.groups[self.index].discard(group.hex())

    def close(self) -> None:
        del self.kernel.groups[self.index]


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def make(kernel: Kernel, limit: int = 10) -> SolicitedNodeGroups:
    groups = SolicitedNodeGroups(limit, kernel.memberships)  # type: ignore[arg-type]
    groups.link_up("eth1", 7)
    return groups


def binding(home: str, care_of: str = "2001:db8:2::77") -> Binding:
    return Binding(packed(home), packed(care_of), 1, 0xC000, Instant(600 * SECOND))


def work(groups: SolicitedNodeGroups) -> list[str]:
    """Everything that is queued; what went wrong."""
    problems = []
    while groups.pending:
        if problem := groups.work():
            problems.append(str(problem))
    return problems


def test_group_of_a_bound_home_address_is_joined_and_left(kernel):
    groups = make(kernel)
    groups.bound(51, "eth1", [binding("2001:db8:1::12:3456")])
    work(groups)
    assert kernel.groups == {7: {"123456"}}
    groups.unbound(51, [binding("2001:db8:1::12:3456")])
    work(groups)
    assert kernel.groups == {7: set()}


def test_group_of_several_home_addresses_is_left_with_the_last_of_them(kernel):
    groups = make(kernel)
    homes = [binding("2001:db8:1::1:12:3456"), binding("2001:db8:1::2:12:3456")]
    groups.bound(51, "eth1", homes[:1])
    groups.bound(52, "eth1", homes[1:])
    groups.bound(52, "eth1", [binding("2001:db8:1::2:12:3456", "2001:db8:3::99")])  # it moved
    groups.unbound(51, homes[:1])
    work(groups)
    assert kernel.groups == {7: {"123456"}}
    groups.unbound(52, homes[1:])
    work(groups)
    assert kernel.groups == {7: set()}


def test_an_interface_that_comes_back_is_in_its_groups_again(kernel):
    groups = make(kernel)
    groups.bound(51, "eth1", [binding("2001:db8:1::12:3456")])
    work(groups)
    groups.link_down("eth1")
    groups.bound(51, "eth1", [binding("2001:db8:1::12:3457")])
    assert work(groups) == []
    groups.link_up("eth1", 8)
    work(groups)
    assert kernel.groups == {8: {"123456", "123457"}}


def test_a_virtual_ha_that_goes_takes_its_groups_along(kernel):
    groups = make(kernel)
    groups.bound(51, "eth1", [binding("2001:db8:1::12:3456")])
    groups.bound(52, "eth1", [binding("2001:db8:1::12:3457")])
    groups.forget(51)
    work(groups)
    assert kernel.groups == {7: {"123457"}}


def test_beyond_the_limit_nothing_is_joined_and_that_is_said_once(kernel):
    groups = make(kernel, limit=3)
    homes = [binding(f"2001:db8:1::{number:x}") for number in range(1, 6)]
    assert not groups.bound(51, "eth1", homes[:3])
    assert groups.bound(51, "eth1", homes[3:])
    assert not groups.bound(51, "eth1", homes[3:])
    work(groups)
    assert len(kernel.groups[7]) == 3
    groups.unbound(51, homes[:1])
    groups.bound(51, "eth1", homes[4:])
    work(groups)
    assert kernel.groups == {7: {"000002", "000003", "000005"}}


def test_none_are_joined_where_the_limit_is_0(kernel):
    groups = make(kernel, limit=0)
    groups.bound(51, "eth1", [binding("2001:db8:1::12:3456")])
    work(groups)
    assert kernel.groups == {7: set()}


def test_one_that_the_kernel_refuses_does_not_keep_the_others_out(kernel):
    groups = make(kernel)
    kernel.refuses.add("123456")
    groups.bound(51, "eth1", [binding("2001:db8:1::12:3456"), binding("2001:db8:1::12:3457")])
    assert len(work(groups)) == 1
    assert kernel.groups == {7: {"123457"}}


def test_many_are_joined_a_few_at_a_time(kernel):
    groups = make(kernel, limit=1000)
    groups.bound(51, "eth1", [binding(f"2001:db8:1::{number:x}") for number in range(1, 101)])
    groups.work()
    assert 0 < len(kernel.groups[7]) < 50
    work(groups)
    assert len(kernel.groups[7]) == 100
