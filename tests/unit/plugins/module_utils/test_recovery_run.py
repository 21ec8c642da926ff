# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import recovery_run
from ansible_collections.mip6.vrrp_ha.plugins.modules import agent_info

HOMES = ["2001:db8:1::{0:x}".format(i) for i in range(1, 6)]


class Agent:
    """Master of 51 with bindings; a recovery takes as many looks at it as `patience` says."""

    def __init__(self, fake, homes=HOMES, state="master", patience=1, room=1000, silent=()):
        self.bound = list(homes)
        self.states = {}
        self.patience = patience
        self.room = room
        self.silent = silent
        self.asked = []
        self.state = state
        self.fake = fake

    def call(self, name, **args):
        return getattr(self, "_" + name)(**args)

    def _status(self):
        counts = {"pending": 0, "sent": len(self.states), "done": 0, "failed": 0}
        entry = self.fake.virtual_ha(51, self.state, recoveries=counts, master_name="ha9")
        return self.fake.status(entry, self.fake.virtual_ha(52))

    def _bindings(self, vrid, limit, after=None):
        return {"bindings": [{"home_address": home} for home in self.bound], "next": None}

    def _recover(self, vrid, home_addresses):
        self.asked += home_addresses
        taken = [home for home in home_addresses if home in self.bound][: self.room - len(self._pending())]
        for home in taken:
            self.bound.remove(home)
            self.states[home] = self.patience
        return {"queued": taken, "refused": [home for home in home_addresses if home not in taken]}

    def _pending(self):
        return [home for home, left in self.states.items() if left > 0]

    def _recoveries(self, vrid, limit):
        listed = []
        for home, left in self.states.items():
            end = "failed" if home in self.silent else "done"
            listed.append({"home_address": home, "state": "pending" if left > 0 else end})
            self.states[home] = left - 1
        return {"vrid": vrid, "counts": {"pending": 0}, "recoveries": listed[:limit]}


def call(fake, agent, check_mode=False, **options):
    known = dict(vrid=51, home_addresses=["::/0"], wait=True, timeout=2.0)
    with pytest.raises(fake.Exit) as caught:
        recovery_run.run(fake.Module(check_mode, **dict(known, **options)), agent)
    return caught.value.result


def test_all_of_a_virtual_ha_are_recovered_and_a_second_run_changes_nothing(fake):
    agent = Agent(fake)
    result = call(fake, agent)
    assert (result["changed"], result["wanted"], result["done"]) == (True, HOMES, HOMES)
    again = call(fake, agent)
    assert (again["changed"], again["wanted"]) == (False, [])


def test_check_mode_predicts_and_asks_for_nothing(fake):
    agent = Agent(fake)
    predicted = call(fake, agent, check_mode=True)
    assert agent.asked == []
    done = call(fake, agent)
    for name in ("changed", "changes", "wanted", "diff"):
        assert predicted[name] == done[name]
    assert done["changes"] == ["vrid 51: recover 5 mobile nodes"]
    assert done["diff"]["after"].splitlines()[1] == "  2001:db8:1::1"
    again = call(fake, agent)
    assert (again["changes"], again["diff"]) == ([], dict(before="", after=""))


def test_a_diff_is_no_longer_than_somebody_would_read(fake):
    many = ["2001:db8:1::{0:x}".format(i) for i in range(1, 1001)]
    after = call(fake, Agent(fake, many), check_mode=True)["diff"]["after"].splitlines()
    assert (len(after), after[-1]) == (102, "  and 900 more")


def test_those_that_are_named_alone_and_whoever_is_not_bound_is_left_alone(fake):
    agent = Agent(fake)
    assert call(fake, agent, home_addresses=[HOMES[1], "2001:db8:1::4/127", "2001:db8:1::99"])["wanted"] == [
        HOMES[1],
        HOMES[3],
        HOMES[4],
    ]
    assert agent.bound == [HOMES[0], HOMES[2]]


def test_one_that_does_not_answer_is_told_and_is_no_failure_of_the_run(fake):
    result = call(fake, Agent(fake, silent=HOMES[:1]))
    assert (result["given_up"], result["done"]) == (HOMES[:1], HOMES[1:])
    assert "failed" not in result


def test_more_than_the_queue_takes_are_asked_for_again(fake):
    result = call(fake, Agent(fake, room=2))
    assert sorted(result["done"]) == HOMES


def test_what_is_under_way_already_is_waited_for_and_not_asked_for_again(fake):
    agent = Agent(fake)
    agent.call("recover", vrid=51, home_addresses=HOMES[:1])
    agent.asked.clear()
    result = call(fake, agent, home_addresses=HOMES[:1])
    assert (result["changed"], result["done"], agent.asked) == (False, HOMES[:1], [])


def test_what_cannot_be_recovered_at_all_is_an_error_at_once(fake):
    agent = Agent(fake, room=0)
    result = call(fake, agent, timeout=60.0)
    assert result["failed"]
    assert "5 of 5 mobile nodes cannot be recovered, the first of them is 2001:db8:1::1" in result["msg"]


def test_a_time_that_is_too_short_is_told(fake):
    result = call(fake, Agent(fake, patience=1000), timeout=0.2)
    assert "after 0.2 s 5 mobile nodes are still waiting" in result["msg"]
    assert "vrrp-ha recoveries 51" in result["msg"]


def test_without_waiting_it_returns_at_once(fake):
    result = call(fake, Agent(fake, patience=1000), wait=False)
    assert (result["changed"], result["done"]) == (True, [])


def test_a_backup_says_who_is_to_be_asked(fake):
    result = call(fake, Agent(fake, state="backup"))
    assert result["msg"] == "ha2 is not Master of VRID 51; run this on the one that is, ha9"


def test_a_stranger_is_told_what_there_is(fake):
    assert "takes no part in VRID 99 (it has: 51, 52)" in call(fake, Agent(fake), vrid=99)["msg"]


def test_an_address_that_is_none_is_named(fake):
    assert "home_addresses: 'everybody'" in call(fake, Agent(fake), home_addresses=["everybody"])["msg"]


# --- agent_info ----------------------------------------------------------------------------------------------


class NoFiles:
    def read(self, _path):
        return None


def info(fake, agent, recoveries=100):
    with pytest.raises(fake.Exit) as caught:
        agent_info.run(fake.Module(recoveries=recoveries, handoffs=0, config_file="/etc/x"), NoFiles(), agent)
    return caught.value.result


def test_agent_info_returns_the_recoveries_of_virtual_has_that_have_any(fake):
    agent = Agent(fake)
    agent.call("recover", vrid=51, home_addresses=HOMES)
    (found,) = info(fake, agent, 2)["recoveries"]
    assert found["vrid"] == 51
    assert [entry["home_address"] for entry in found["recoveries"]] == HOMES[:2]


def test_agent_info_returns_none_if_none_are_wanted_or_there_are_none(fake):
    agent = Agent(fake)
    assert info(fake, agent)["recoveries"] == []
    agent.call("recover", vrid=51, home_addresses=HOMES)
    assert info(fake, agent, 0)["recoveries"] == []


def test_agent_info_refuses_a_limit_that_is_none(fake):
    assert "recoveries is -1; give a number from 0 to 10000" in info(fake, Agent(fake), -1)["msg"]
