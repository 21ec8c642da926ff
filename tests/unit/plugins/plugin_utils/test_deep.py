# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.consistency_run import packed
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils import deep as deep_module
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.deep import Deep
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.fleet import Fleet

VIRTUAL_HA = {"vrid": 51, "name": "vha-a", "priorities": {"ha1": 255, "ha2": 200, "ha3": 150}}
POINT = "00000000000000aa"


def home(number):
    return "2001:db8:1::{0:x}".format(number)


def row(number, care_of="2001:db8:f::1", sequence=1, remaining=600.0, flags="AH"):
    return dict(
        home_address=home(number), care_of_address=care_of, sequence=sequence, flags=flags, remaining_s=remaining
    )


def part_of(entry):
    content = "{home_address} {care_of_address} {sequence} {flags}".format(**entry)
    return int(hashlib.sha256(content.encode()).hexdigest()[:16], 16)


def parts_of(cache):
    parts = {}
    for one in cache:
        number = part_of(one) % 256
        _number, count, digest, lifetime = parts.get(number, (number, 0, 0, 0))
        parts[number] = [number, count + 1, (digest + part_of(one)) % (1 << 64), lifetime + one["remaining_s"]]
    return list(parts.values())


class Members:
    """What agents would answer, from their caches."""

    def __init__(self, fake, count=40):
        self.caches = {host: {home(n): row(n) for n in range(count)} for host in VIRTUAL_HA["priorities"]}
        self.kernel = {host: dict(settled=True, routes=count, differences=[], more=0) for host in self.caches}
        self.associations = {host: dict(count=0, digest="00", fingerprints={}) for host in self.caches}
        self.faults = {host: [] for host in self.caches}
        self.noted = {host: [] for host in self.caches}
        self.asked = []
        self.observed = {
            name: dict(
                changes=[],
                status=fake.status(
                    fake.virtual_ha(state="master" if name == "ha1" else "backup", priority=priority),
                    host=name,
                ),
            )
            for name, priority in VIRTUAL_HA["priorities"].items()
        }

    def answer(self, host, wanted):
        answers = []
        for entry in wanted:
            cache = self.caches[host].values()
            if "parts" in entry or "home_addresses" in entry:
                found = [
                    one
                    for one in cache
                    if part_of(one) % 256 in entry.get("parts", ())
                    or one["home_address"] in entry.get("home_addresses", ())
                ]
                answers.append(dict(vrid=entry["vrid"], rows=packed(found)))
                continue
            points = self.noted[host] or [dict(digest=POINT, parts=parts_of(cache))]
            answers.append(
                dict(
                    vrid=entry["vrid"],
                    bindings=len(cache),
                    points=packed(points),
                    kernel=self.kernel[host],
                    associations=self.associations[host],
                )
            )
        return dict(faults=self.faults[host], virtual_has=answers)

    def note(self, digest):
        """A moment at which the Master sends its digest."""
        for host, cache in self.caches.items():
            self.noted[host].insert(0, dict(digest=digest, parts=parts_of(cache.values())))

    def verify(self, between=lambda look: None, **options):
        """As the playbook does it: look, compare, look again; the problems in the end."""
        self.asked, looks = [], []
        fleet = Fleet([VIRTUAL_HA], self.observed)
        while True:
            deep = Deep(fleet, looks, **options)
            ask = deep.ask()
            if not ask:
                return deep.problems()
            self.asked.append(ask)
            looks.append({host: self.answer(host, wanted) for host, wanted in ask.items()})
            between(len(looks))

    def lines(self, **options):
        return [problem.line() for problem in self.verify(**options)]


@pytest.fixture
def members(fake):
    return Members(fake)


def test_one_look_when_all_agree(members):
    assert members.lines() == []
    assert [sorted(ask) for ask in members.asked] == [["ha1", "ha2", "ha3"]]
    assert members.asked[0]["ha2"] == [{"vrid": 51}]


def test_each_kind_of_difference_is_named(members):
    del members.caches["ha2"][home(3)]
    members.caches["ha2"][home(99)] = row(99, sequence=7)
    members.caches["ha3"][home(4)] = row(4, care_of="2001:db8:f::2", sequence=2)
    members.caches["ha3"][home(5)] = row(5, remaining=100)
    moved = "care-of address 2001:db8:f::2 instead of 2001:db8:f::1, sequence number 2 instead of 1"
    found = [line.split(" (see its")[0] for line in members.lines()]
    assert found == [
        f"ha2, VRID 51: {home(3)}: is missing; the Master ha1 has it at 2001:db8:f::1, sequence number 1",
        f"ha2, VRID 51: {home(99)}: is bound to 2001:db8:f::1, sequence number 7; the Master ha1 has no such binding",
        f"ha3, VRID 51: {home(4)}: {moved} (of the Master ha1)",
        f"ha3, VRID 51: {home(5)}: lifetime left 100 s instead of 600 s (of the Master ha1)",
    ]


def test_a_problem_has_the_entry_as_data(members):
    del members.caches["ha2"][home(3)]
    (problem,) = members.verify()
    assert problem.document()["entry"] == {
        "home_address": home(3),
        "what": "binding",
        "wanted": row(3),
        "found": None,
    }


def test_only_members_that_differ_are_asked_again_and_only_for_what_differs(members):
    del members.caches["ha3"][home(3)]
    members.verify()
    assert [sorted(ask) for ask in members.asked[1:]] == [["ha1", "ha3"]] * 4
    assert members.asked[1]["ha1"] == members.asked[1]["ha3"]
    assert members.asked[1]["ha1"][0]["parts"] == [part_of(row(3)) % 256]
    assert members.asked[2]["ha1"] == [{"vrid": 51, "home_addresses": [home(3)]}]


@pytest.mark.parametrize("arrives", [1, 2, 3])
def test_what_was_on_its_way_is_no_difference(members, arrives):
    gone = members.caches["ha2"].pop(home(3))

    def between(look):
        if look == arrives:
            members.caches["ha2"][home(3)] = gone

    assert members.verify(between=between) == []


def test_what_changes_all_the_time_is_no_difference(members):
    """Each look sees the member one sequence number behind."""

    def between(look):
        members.caches["ha1"][home(3)] = row(3, sequence=look + 1)
        members.caches["ha2"][home(3)] = row(3, sequence=look)

    between(0)
    assert members.verify(between=between) == []
    assert len(members.asked) == 12


def test_caches_are_compared_as_of_a_moment_that_both_noted(members):
    """What changed since, on either, makes no part differ; what differed then does."""
    del members.caches["ha3"][home(7)]
    members.note("01")
    for number in range(20, 40):
        members.caches["ha1"][home(number)] = row(number, sequence=2)
    members.noted["ha1"].insert(0, dict(digest="02", parts=parts_of(members.caches["ha1"].values())))
    (line,) = members.lines()
    assert line.startswith(f"ha3, VRID 51: {home(7)}: is missing")
    assert members.asked[1]["ha1"] == [{"vrid": 51, "parts": [part_of(row(7)) % 256]}]


def test_without_such_a_moment_what_is_under_way_is_told_by_looking_again(members):
    del members.caches["ha3"][home(7)]
    for number, host in enumerate(members.caches):
        members.noted[host] = [dict(digest=str(number), parts=parts_of(members.caches[host].values()))]
    late = members.caches["ha2"].pop(home(8))

    def between(look):
        if look == 2:
            members.caches["ha2"][home(8)] = late

    (line,) = [problem.line() for problem in members.verify(between=between)]
    assert line.startswith(f"ha3, VRID 51: {home(7)}: is missing")


def test_more_than_the_limit_are_counted(members):
    for number in range(30):
        del members.caches["ha2"][home(number)]
    found = members.lines(limit=5)
    assert len(found) == 6
    assert "25 more bindings differ (" in found[-1]


def test_no_more_rows_are_asked_for_than_bearable(fake, monkeypatch):
    monkeypatch.setattr(deep_module, "MOST_ROWS", 10)
    monkeypatch.setattr(deep_module, "MOST_AGAIN", 8)
    members = Members(fake)
    members.caches["ha2"].clear()
    found = members.lines(limit=3)
    parts = members.asked[1]["ha1"][0]["parts"]
    assert 1 <= len(parts) <= 10
    assert len(members.asked[2]["ha1"][0]["home_addresses"]) == 4
    every = {part_of(row(n)) % 256 for n in range(40)}
    rows = sum(part_of(row(n)) % 256 in parts for n in range(40))
    text = (
        f"1 more bindings differ; {rows - 4} and {len(every) - len(parts)} of the cache's 256 parts were not looked at"
    )
    assert text in found[-1]


def test_lifetimes_of_all_that_are_off(members):
    for entry in members.caches["ha2"].values():
        entry["remaining_s"] -= 60
    (line,) = members.lines()
    assert line.startswith("ha2, VRID 51: lifetimes are -60 s off those of the Master ha1, on the average")


def test_rounding_of_lifetimes_is_no_difference(members):
    for number, entry in enumerate(members.caches["ha2"].values()):
        entry["remaining_s"] += number % 5
    assert members.lines() == []
    assert len(members.asked) == 1


def test_the_kernel_of_every_member(members):
    members.kernel["ha1"]["differences"] = [
        dict(what="route", home_address=home(3), wanted="2001:db8:f::1", found=None),
        dict(what="route", home_address=home(4), wanted="2001:db8:f::1", found="2001:db8:f::2"),
        dict(what="source check", home_address=home(5), wanted=None, found="2001:db8:f::3"),
    ]
    members.kernel["ha1"]["more"] = 7
    found = [line.split(" (")[0] for line in members.lines()]
    assert found == [
        f"ha1, VRID 51: {home(3)}: route to 2001:db8:f::1 is missing",
        f"ha1, VRID 51: {home(4)}: route to 2001:db8:f::2 instead of 2001:db8:f::1",
        f"ha1, VRID 51: {home(5)}: source check to 2001:db8:f::3 is there and belongs to no binding",
        "ha1, VRID 51: 7 more differences in the kernel",
    ]


def test_a_kernel_that_is_still_being_filled_is_looked_at_again(members):
    members.kernel["ha3"]["settled"] = False

    def between(look):
        if look == 2:
            members.kernel["ha3"]["settled"] = True

    assert members.verify(between=between) == []
    assert members.asked[1] == {"ha3": [{"vrid": 51}]}


def test_what_is_not_on_the_host(members):
    members.faults["ha2"] = [dict(vrid=51, text="rule 30 to table 1051: missing")]
    assert members.lines() == ["ha2, VRID 51: rule 30 to table 1051: missing ('vrrp-ha repair' there mends it)"]


def test_other_security_associations(members):
    members.associations["ha1"] = dict(count=1, digest="01", fingerprints={home(1): ["aa"]})
    members.associations["ha2"] = dict(count=1, digest="02", fingerprints={home(1): ["bb"]})
    members.associations["ha3"] = members.associations["ha1"]
    (line,) = members.lines()
    assert line.startswith(f"ha2, VRID 51: other IPsec security associations than the Master ha1 for {home(1)}")


def test_a_host_that_could_not_be_asked(members):
    answer = members.answer
    members.answer = lambda host, wanted: (
        dict(failed=True, msg="unknown_call") if host == "ha2" else answer(host, wanted)
    )
    (line,) = members.lines()
    assert line.startswith("ha2: its entries could not be looked at: unknown_call")


def test_without_a_master_there_is_the_kernel_to_look_at(members):
    members.observed["ha1"]["status"]["virtual_has"][0]["state"] = "backup"
    members.kernel["ha2"]["more"] = 1
    del members.caches["ha2"][home(1)]
    assert members.lines() == [
        "ha2, VRID 51: 1 more differences in the kernel ('vrrp-ha repair' there mends it; find out who changed it)"
    ]
