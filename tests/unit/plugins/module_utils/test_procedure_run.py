# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.procedure_run import run


class Site:
    """One host, and runs of playbooks that come to it."""

    def __init__(self, fake, tmp_path):
        self.fake = fake
        self.path = str(tmp_path / "procedure.json")
        self.host = fake.System(tmp_path / "host").host()
        self.now = 1000.0

    def ask(self, who, state="begun", check_mode=False, **more):
        holder = {"id": who, "playbook": "drain", "controller": "ctl", "pid": 7}
        params = dict(state=state, playbook="drain", lease=900, force=False, holder=holder, take_over_from="")
        module = self.fake.Module(check_mode, **dict(params, **more))
        with pytest.raises(self.fake.Exit) as caught:
            run(module, self.host, self.path, lambda: self.now)
        assert "failed" not in caught.value.result
        assert caught.value.result["changed"] is False
        return caught.value.result["held_by"]


@pytest.fixture
def site(fake, tmp_path):
    return Site(fake, tmp_path)


def test_the_first_comes_in_and_the_second_is_told_who_it_is(site):
    assert site.ask("a") is None
    held_by = site.ask("b")
    assert (held_by["id"], held_by["since"], held_by["until"]) == ("a", 1000.0, 1900.0)


def test_who_is_in_may_come_again(site):
    site.ask("a")
    site.now += 100
    assert site.ask("a") is None
    assert site.ask("b")["until"] == 2000.0


def test_who_goes_makes_room_and_only_for_itself(site):
    site.ask("a")
    assert site.ask("b", "ended")["id"] == "a"
    assert site.ask("b")["id"] == "a"
    assert site.ask("a", "ended") is None
    assert site.ask("b") is None


@pytest.mark.parametrize("now", [1900.0, 999.0])
def test_a_lease_ends_and_so_it_does_when_the_clock_was_set_back(site, now):
    site.ask("a")
    site.now = now
    assert site.ask("b") is None


def test_the_place_of_one_that_was_killed_is_taken_and_of_nobody_else(site):
    site.ask("a")
    assert site.ask("b", take_over_from="x")["id"] == "a"
    assert site.ask("b", take_over_from="a") is None
    assert site.ask("a")["id"] == "b"


def test_force(site):
    site.ask("a")
    assert site.ask("b", force=True) is None


def test_check_mode_looks_and_claims_nothing(site):
    assert site.ask("a", check_mode=True) is None
    assert site.ask("b") is None
    assert site.ask("a", check_mode=True)["id"] == "b"


@pytest.mark.parametrize("content", ["", "{}", "[]", "no json", '{"id": "a"}'])
def test_a_damaged_file_holds_nobody_up(site, content):
    with open(site.path, "w", encoding="utf-8") as file:
        file.write(content)
    assert site.ask("b") is None
    assert site.ask("a")["id"] == "b"


def test_who_begins_waits_for_what_a_run_that_was_killed_left_at_work(site):
    held, over = threading.Event(), []

    def work():
        with site.host.alone():
            held.set()
            time.sleep(0.3)
            over.append(True)

    worker = threading.Thread(target=work)
    worker.start()
    held.wait(5)
    assert site.ask("a", check_mode=True) is None
    assert site.ask("b", "ended") is None
    assert over == []
    assert site.ask("c") is None
    assert over == [True]
    worker.join()
