# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.fleet import Fleet

VIRTUAL_HA = {"vrid": 51, "name": "vha-a", "priorities": {"ha1": 255, "ha2": 200, "ha3": 150}}


@pytest.fixture
def answers(fake):
    """A fleet in order: ha1 is owner and Master."""
    found = {}
    for name, priority in VIRTUAL_HA["priorities"].items():
        state = "master" if name == "ha1" else "backup"
        entry = fake.virtual_ha(state=state, priority=priority)
        found[name] = dict(status=fake.status(entry, host=name), changes=[], restart_pending=False)
    return found


def lines(answers):
    return [problem.line() for problem in Fleet([VIRTUAL_HA], answers).problems()]


def only(answers):
    (line,) = lines(answers)
    return line


def state(answers, host):
    return answers[host]["status"]["virtual_has"][0]


def test_a_fleet_in_order_has_no_problems(answers):
    assert lines(answers) == []


def test_no_master(answers):
    state(answers, "ha1").update(state="backup", drained=True)
    assert "ha1, ha2, ha3, VRID 51: no Master" in only(answers)


def test_two_masters(answers):
    state(answers, "ha3")["state"] = "master"
    assert only(answers).startswith("ha1 and ha3, VRID 51: 2 Masters")


@pytest.mark.parametrize("change", [{"digest": "00000000000000bb"}, {"bindings": 9}])
def test_a_cache_that_differs_from_the_masters(answers, change):
    state(answers, "ha3").update(change)
    line = only(answers)
    assert line.startswith("ha3, VRID 51: holds")
    assert "the Master ha1 10 (digest 00000000000000aa)" in line


def test_an_owner_that_is_not_master(answers):
    state(answers, "ha1")["state"] = "backup"
    state(answers, "ha2")["state"] = "master"
    assert only(answers).startswith("ha1, VRID 51: the owner is backup and not drained")


def test_a_drained_owner_need_not_be_master(answers):
    state(answers, "ha1").update(state="backup", drained=True)
    state(answers, "ha2")["state"] = "master"
    assert lines(answers) == []


def test_an_agent_that_is_down(answers):
    answers["ha2"]["status"] = None
    assert lines(answers)[0].startswith("ha2: its agent is down")
    assert lines(answers)[1].startswith("ha2, VRID 51: is down")


@pytest.mark.parametrize(("service", "passes"), [("activating", True), ("deactivating", True), ("failed", False)])
def test_an_agent_that_is_being_restarted_is_asked_again(answers, service, passes):
    answers["ha2"].update(status=None, service=service)
    problems = Fleet([VIRTUAL_HA], answers).problems()
    assert {problem.transient for problem in problems} == {passes}
    assert ("its agent is starting" in problems[0].line()) is passes


def test_a_host_that_is_unreachable(answers):
    answers["ha2"] = dict(unreachable=True, msg="no route to host")
    assert "ha2: is unreachable: no route to host" in lines(answers)[0]


def test_a_host_that_was_not_asked(answers):
    del answers["ha2"]
    assert "--limit" in lines(answers)[0]


def test_drift_is_named(answers):
    answers["ha3"]["changes"] = ["/etc/vrrp-ha/agent.json: virtual_has.vrid=51.priority 200 -> 150"]
    assert "ha3: drifted from the plan: /etc/vrrp-ha/agent.json" in only(answers)


def test_files_that_are_not_loaded(answers):
    answers["ha3"]["status"]["config_current"] = False
    assert only(answers).startswith("ha3: its agent has not loaded")
    assert Fleet([VIRTUAL_HA], answers, drift=False).problems() == []


def test_an_unhealthy_agent_says_why(answers):
    answers["ha3"]["status"].update(healthy=False, warnings=["interface eth1 is down"])
    assert "interface eth1 is down" in only(answers)


def test_a_virtual_ha_that_an_agent_does_not_run(answers):
    answers["ha3"]["status"]["virtual_has"] = []
    assert only(answers).startswith("ha3, VRID 51: is not run by its agent")


def test_a_member_in_initialize(answers):
    state(answers, "ha3").update(state="initialize", synced=False, bindings=0)
    assert only(answers).startswith("ha3, VRID 51: is in state initialize")


def test_what_may_pass_by_itself_is_marked(answers):
    state(answers, "ha3")["bindings"] = 9
    assert all(problem.transient for problem in Fleet([VIRTUAL_HA], answers).problems())
    answers["ha2"]["status"] = None
    assert not all(problem.transient for problem in Fleet([VIRTUAL_HA], answers).problems())


def test_a_plain_virtual_router_has_no_cache_to_compare(answers):
    for host in answers:
        state(answers, host).update(mipv6_ha_mode=False, synced=False)
    state(answers, "ha3")["digest"] = "00000000000000bb"
    assert lines(answers) == []


def test_the_table_is_aligned_and_the_highest_priority_first(answers):
    before = copy.deepcopy(answers)
    answers["ha2"]["status"] = None
    table = Fleet([VIRTUAL_HA], answers).table()
    assert [line.split()[2] for line in table[1:]] == ["ha1", "ha2", "ha3"]
    assert table[2].split()[4] == "down"
    assert len({line.index(word) for line, word in zip(table[1:], ("master", "down", "backup"), strict=True)}) == 1
    assert before["ha1"] == answers["ha1"]


def leaving(answers, *hosts):
    return [problem.line() for problem in Fleet([VIRTUAL_HA], answers, frozenset(hosts)).problems()]


def test_members_may_leave_while_one_can_serve(answers):
    assert leaving(answers, "ha1", "ha2") == []
    assert leaving(answers, "ha9") == []


def test_the_last_healthy_member_may_not_leave(answers):
    state(answers, "ha2").update(drained=True)
    answers["ha3"]["status"] = None
    (line,) = [line for line in leaving(answers, "ha1") if "left" in line]
    assert line.startswith("ha1, VRID 51: would have no healthy member left: ha2 is drained, ha3 is down")


def test_who_lacks_the_bindings_is_nobody_to_leave_a_virtual_ha_to(answers):
    state(answers, "ha3").update(synced=False)
    assert any("left: ha3 is not synced" in line for line in leaving(answers, "ha1", "ha2"))


def test_all_may_not_leave(answers):
    (line,) = leaving(answers, "ha1", "ha2", "ha3")
    assert "ha1, ha2, ha3, VRID 51: would have no healthy member left: it has no other members" in line


def test_drift_is_no_problem_in_the_middle_of_a_change(answers):
    answers["ha2"].update(changes=["release: new"], restart_pending=True)
    assert len(lines(answers)) == 2
    assert Fleet([VIRTUAL_HA], answers, drift=False).problems() == []


def test_of_a_host_that_is_not_to_have_an_agent_nothing_is_expected(answers):
    answers["ha1"] = dict(status=None, changes=["service: start"])
    state(answers, "ha2")["state"] = "master"
    assert Fleet([VIRTUAL_HA], answers, absent=frozenset(["ha1"])).problems() == []
    assert Fleet([VIRTUAL_HA], {}, absent=frozenset(answers)).problems() == []


def test_a_host_that_is_gone_leaves_nobody_to_do_without_the_last_one(answers):
    answers["ha3"] = dict(status=None)
    state(answers, "ha2")["drained"] = True
    (problem,) = Fleet([VIRTUAL_HA], answers, frozenset(["ha1"]), absent=frozenset(["ha3"])).problems()
    assert "would have no healthy member left: ha2 is drained" in problem.line()


def changing(answers, *, equal=True, age=1.0):
    """All members' caches differ by the time that they are asked; the Master and ha3 noted a moment."""
    point = dict(age_s=age, bindings=10, digest="0000000000000001", held_bindings=10, held_digest="0000000000000001")
    for number, host in enumerate(answers):
        answers[host]["status"]["uptime_s"] = 100.0
        state(answers, host).update(digest=f"{number:016x}", sync_points=[point])
    if not equal:
        state(answers, "ha3")["sync_points"] = [dict(point, held_digest="00000000000000bb")]


def looked_since(answers, since):
    return [problem.line() for problem in Fleet([VIRTUAL_HA], answers, since=since).problems()]


def test_caches_that_change_all_the_time_are_compared_at_a_moment_that_both_noted(answers):
    changing(answers)
    assert looked_since(answers, dict.fromkeys(answers, 98.0)) == []


def test_a_moment_before_the_first_look_says_nothing_about_what_was_seen_then(answers):
    changing(answers)
    assert len(looked_since(answers, dict.fromkeys(answers, 99.5))) == 2
    assert len(looked_since(answers, {})) == 2
    assert Fleet([VIRTUAL_HA], answers).first_looked() == dict.fromkeys(answers, 100.0)


def test_a_cache_that_differed_at_that_moment_is_found_however_much_changes(answers):
    changing(answers, equal=False)
    (line,) = looked_since(answers, dict.fromkeys(answers, 98.0))
    assert line.startswith("ha3, VRID 51: holds")


def test_a_moment_that_the_master_does_not_know_is_no_proof(answers):
    changing(answers)
    state(answers, "ha1")["sync_points"] = []
    assert len(looked_since(answers, dict.fromkeys(answers, 98.0))) == 2


def test_an_agent_that_was_started_since_is_looked_at_from_then_on(answers):
    changing(answers)
    assert len(looked_since(answers, dict.fromkeys(answers, 5000.0))) == 2
    assert Fleet([VIRTUAL_HA], answers, since={"ha1": 5000.0}).first_looked()["ha1"] == 100.0
    assert Fleet([VIRTUAL_HA], answers, since={"ha1": 50.0}).first_looked()["ha1"] == 50.0
