# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import handoff_run
from ansible_collections.mip6.vrrp_ha.plugins.modules import agent_info

HOMES = ["2001:db8:1::{0:x}".format(i) for i in range(1, 6)]
PREFIX = "2001:db8:1::/64"


class Agent:
    """Master of 51 with bindings, backup of 52; a handoff takes as many looks at it as `patience` says."""

    def __init__(self, fake, homes=HOMES, state="master", patience=1, silent=(), keyless=(), others=(52,)):
        self.bound = {51: list(homes), 52: [], 53: []}
        self.entries = {}  # by home address: how many looks it takes, and where to
        self.quotas = []
        self.ended = {"done": 0, "failed": 0}
        self.patience = patience
        self.silent = silent
        self.keyless = keyless
        self.others = others
        self.state = state
        self.asked = []
        self.fake = fake

    def call(self, name, **args):
        return getattr(self, "_" + name)(**args)

    def _status(self):
        place = dict(interface="eth1", prefix=PREFIX)
        own = self.fake.virtual_ha(
            51, self.state, bindings=len(self.bound[51]), master_name="ha9", handoffs=self._counts(), **place
        )
        others = [self.fake.virtual_ha(v, addresses=["2001:db8:1::" + str(v)], **place) for v in self.others]
        return self.fake.status(own, *others, self.fake.virtual_ha(99, prefix="2001:db8:2::/64"))

    def _counts(self):
        waiting = sum(count for _to, count in self.quotas)
        return dict(self.ended, pending=waiting, sent=len(self.entries), refused_extensions=0)

    def _bindings(self, vrid, limit, after=None):
        return {"bindings": [{"home_address": home} for home in self.bound[vrid]], "next": None}

    def _handoff(self, vrid, to=None, count=None, home_addresses=()):
        self.asked.append((to, count or list(home_addresses)))
        if count:
            self.quotas.append((to, count))
            return {"count": count}
        taken = [home for home in home_addresses if home in self.bound[vrid] and home not in self.keyless]
        for home in taken:
            self.entries[home] = [self.patience, to]
        return {"queued": taken, "refused": [home for home in home_addresses if home not in taken]}

    def _handoffs(self, vrid):
        unnamed = [{"to": to, "count": count} for to, count in self.quotas]
        listed = []
        for home, (left, to) in self.entries.items():
            state = "sent" if left > 0 else "failed" if home in self.silent else "done"
            listed.append(dict(home_address=home, state=state, reason="operator", to=to, detail=""))
        answer = {"vrid": vrid, "counts": self._counts(), "unnamed": unnamed, "handoffs": listed}
        self._go_on(vrid)
        return answer

    def _go_on(self, vrid):
        for home, entry in self.entries.items():
            entry[0] -= 1
            if entry[0] == 0:
                self.ended["failed" if home in self.silent else "done"] += 1
                if home not in self.silent:
                    self.bound[vrid].remove(home)
                    self.bound[entry[1] or 52].append(home)
        while self.quotas:
            to, count = self.quotas.pop()
            for home in [home for home in self.bound[vrid] if home not in self.entries][:count]:
                self.entries[home] = [self.patience, to]


def call(fake, agent, check_mode=False, **options):
    known = dict(vrid=51, to=None, count=None, home_addresses=None, handoffs=None, wait=True, timeout=2.0)
    if "handoffs" in options:
        known["vrid"] = None
    with pytest.raises(fake.Exit) as caught:
        handoff_run.run(fake.Module(check_mode, **dict(known, **options)), agent)
    return caught.value.result


def test_those_that_are_named_move_and_a_second_run_changes_nothing(fake):
    agent = Agent(fake)
    named = dict(to="52", home_addresses=[HOMES[1], "2001:db8:1::4/127", "2001:db8:1::99"])
    result = call(fake, agent, **named)
    assert (result["changed"], result["done"], result["given_up"]) == (True, 3, [])
    assert agent.asked == [(52, [HOMES[1], HOMES[3], HOMES[4]])]
    assert call(fake, agent, **named)["changed"] is False
    assert len(agent.asked) == 1


def test_so_many_move(fake):
    agent = Agent(fake)
    result = call(fake, agent, to="52", count=3)
    assert result["handoffs"] == [dict(vrid=51, to=52, asked=3, home_addresses=[])]
    assert (result["changed"], result["done"], len(agent.bound[52])) == (True, 3, 3)


@pytest.mark.parametrize("options", [dict(count=9, to="52"), dict(home_addresses=["::/0"]), dict(count=0)])
def test_check_mode_predicts_and_asks_for_nothing(fake, options):
    agent = Agent(fake)
    predicted = call(fake, agent, check_mode=True, **options)
    assert agent.asked == []
    done = call(fake, agent, **options)
    for name in ("changed", "changes", "handoffs", "diff"):
        assert predicted[name] == done[name]
    assert bool(done["changes"]) is bool(done["diff"]["after"]) is done["changed"]


def test_no_more_are_asked_for_than_there_are(fake):
    agent = Agent(fake)
    call(fake, agent, count=9)
    assert agent.asked == [(None, 5)]


def test_who_is_under_way_counts_and_is_waited_for(fake):
    agent = Agent(fake, patience=3)
    call(fake, agent, to="52", count=2, wait=False)
    result = call(fake, agent, to="52", count=2)
    assert (result["changed"], result["done"]) == (False, 2)
    assert agent.asked == [(52, 2)]


def test_who_waits_for_another_virtual_ha_does_not_count(fake):
    agent = Agent(fake, patience=3, others=(52, 53))
    call(fake, agent, to="52", count=2, wait=False)
    assert call(fake, agent, to="53", count=2, check_mode=True)["handoffs"][0]["asked"] == 2


def test_who_is_bound_at_the_target_as_well_is_not_asked(fake):
    agent = Agent(fake)
    agent.bound[52].append(HOMES[0])
    assert call(fake, agent, to="52", home_addresses=HOMES[:1])["changed"] is False
    assert agent.asked == []


@pytest.mark.parametrize("to", ["52", "2001:db8:1::52", "2001:DB8:1:0:0::52"])
def test_the_target_may_be_written_in_several_ways(fake, to):
    assert call(fake, Agent(fake), to=to, count=1, check_mode=True)["handoffs"][0]["to"] == 52


def test_several_in_one_call(fake):
    agent = Agent(fake, others=(52, 53))
    several = [dict(vrid=51, to="52", count=2, home_addresses=None), dict(vrid=51, to="53", count=1)]
    result = call(fake, agent, handoffs=several)
    assert (result["changed"], result["done"]) == (True, 3)
    assert (len(agent.bound[52]), len(agent.bound[53])) == (2, 1)


def test_none_is_a_number_as_well(fake):
    result = call(fake, Agent(fake), handoffs=[])
    assert (result["changed"], result["handoffs"]) == (False, [])


def test_one_that_does_not_follow_is_told_and_is_no_failure_of_the_run(fake):
    result = call(fake, Agent(fake, silent=HOMES[:1]), home_addresses=["::/0"])
    assert [entry["home_address"] for entry in result["given_up"]] == HOMES[:1]
    assert result["done"] == 4
    assert "failed" not in result


def test_one_that_cannot_be_told_is_an_error(fake):
    result = call(fake, Agent(fake, keyless=HOMES[:1]), home_addresses=["::/0"])
    assert "1 of 5 mobile nodes cannot be handed off, the first of them is 2001:db8:1::1" in result["msg"]


def test_a_time_that_is_too_short_is_told(fake):
    result = call(fake, Agent(fake, patience=1000), count=3, timeout=0.2)
    assert "after 0.2 s 3 mobile nodes still wait or have not answered (VRID 51: 3)" in result["msg"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (dict(), "give 'count' or 'home_addresses'"),
        (dict(count=1, home_addresses=["::/0"]), "one of them"),
        (dict(count=-1), "count is -1; give a number from 0 to"),
        (dict(vrid=None, count=1), "give 'vrid' for one handoff or 'handoffs' for several"),
        (dict(handoffs=[], count=1), "go with 'vrid'"),
        (dict(home_addresses=["everybody"]), "home_addresses: 'everybody'"),
        (dict(vrid=77, count=1), "takes no part in VRID 77 (it has: 51, 52, 99)"),
        (dict(to="99", count=1), "no other virtual HA of its home link on ha2; there are 52 (2001:db8:1::52)"),
        (dict(vrid=52, count=1), "ha2 is not Master of VRID 52"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_asked(fake, options, told):
    agent = Agent(fake)
    result = call(fake, agent, **options)
    assert result["failed"]
    assert told in result["msg"]
    assert agent.asked == []


def test_a_link_with_one_virtual_ha_has_nowhere_to_go(fake):
    assert "no other virtual HA of the home link" in call(fake, Agent(fake, others=()), count=1)["msg"]


# --- agent_info ----------------------------------------------------------------------------------------------


class NoFiles:
    def read(self, _path):
        return None


def info(fake, agent, handoffs):
    module = fake.Module(recoveries=0, handoffs=handoffs, config_file="/etc/x")
    with pytest.raises(fake.Exit) as caught:
        agent_info.run(module, NoFiles(), agent)
    return caught.value.result


def test_agent_info_returns_the_handoffs_and_how_many_are_under_way_where_to(fake):
    agent = Agent(fake, patience=9)
    agent.call("handoff", vrid=51, to=52, home_addresses=HOMES[:2])
    agent.call("handoff", vrid=51, to=53, count=2)
    (found,) = info(fake, agent, 1)["handoffs"]
    assert [entry["home_address"] for entry in found["handoffs"]] == HOMES[:1]
    assert [(entry["to"], entry["count"]) for entry in found["under_way"]] == [(53, 2), (52, 2)]
    assert info(fake, agent, 0)["handoffs"] == []


def test_agent_info_returns_no_handoffs_where_there_never_were_any(fake):
    assert info(fake, Agent(fake), 100)["handoffs"] == []
