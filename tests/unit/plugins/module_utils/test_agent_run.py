# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent module against a host below a directory and an agent that speaks the protocol."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import host as paths
from ansible_collections.mip6.vrrp_ha.tests.unit.plugins.place import KEYS, SECRET


def test_a_bare_host_gets_everything_and_is_started(place):
    result = place.deploy()
    assert result["changed"] is True
    assert json.loads(place.text(paths.CONFIG)) == place.config
    assert place.text(paths.KEYS) == KEYS
    assert place.text("/proc/sys/net/ipv6/conf/all/forwarding") == "1"
    assert "net.ipv6.conf.all.forwarding = 1" in place.text(paths.SYSCTLS)
    assert place.system.current() == "release1"
    assert place.system.did() == ["daemon-reload", "enable vrrp-ha.service", "start vrrp-ha.service"]
    assert result["status"]["healthy"] is True


def test_the_keys_file_is_not_for_others(place):
    place.deploy()
    mode = stat.S_IMODE(os.stat(str(place.root) + paths.KEYS).st_mode)
    assert mode == 0o640


def test_a_second_run_changes_nothing_and_runs_nothing_but_a_question(place):
    place.deploy()
    before = place.tree()
    place.system.commands.clear()
    result = place.call(archive=False)
    assert result["changed"] is False
    assert result["changes"] == []
    assert [command[:2] for command in place.system.commands] == [["systemctl", "show"]]
    assert place.tree() == before


def test_a_host_without_the_release_asks_for_it_and_is_not_touched(place):
    before = place.tree()
    assert place.call(archive=False) == dict(changed=False, release_missing=True)
    assert place.tree() == before


def test_check_mode_touches_nothing_and_predicts_what_a_run_does(place):
    before = place.tree()
    predicted = place.call(check_mode=True, archive=False)
    assert place.tree() == before
    assert place.system.did() == []
    done = place.deploy()
    assert predicted["changes"] == done["changes"]
    assert predicted["diff"] == done["diff"]


def test_check_mode_without_the_release_leaves_the_check_to_the_controller(place):
    assert place.call(check_mode=True, archive=False)["unchecked"] is True


def test_a_changed_configuration_is_reloaded(place):
    place.deploy()
    place.system.commands.clear()
    place.config["virtual_has"][0]["priority"] = 150
    result = place.call(archive=False)
    assert result["changes"] == [paths.CONFIG + ": virtual_has.vrid=51.priority 200 -> 150", "service: reload"]
    assert "reload" in place.agent.calls
    assert place.system.did() == []


def test_a_new_spelling_of_an_address_is_no_change(place):
    place.config["virtual_has"][0]["addresses"] = ["2001:0db8::51"]
    place.deploy()
    place.config["virtual_has"][0]["addresses"] = ["2001:db8::51"]
    assert place.call(archive=False)["changed"] is False


def test_changed_keys_are_reloaded_and_never_shown(place):
    place.deploy()
    place.keys = KEYS.replace(SECRET, SECRET[::-1])
    result = place.call(archive=False)
    assert result["changes"] == [paths.KEYS + ": update", "service: reload"]
    shown = json.dumps(result)
    assert SECRET not in shown
    assert SECRET[::-1] not in shown


def test_a_refused_configuration_leaves_everything_as_it_was(place):
    place.deploy()
    before = place.tree()
    place.agent.calls.clear()
    problem = {"path": "virtual_has[0].priority", "message": "must be 1 to 255", "remedy": "choose another"}
    place.system.checker = (1, json.dumps({"ok": False, "problems": [problem]}), "")
    place.config["virtual_has"][0]["priority"] = 0
    for check_mode in (True, False):
        result = place.call(check_mode=check_mode, archive=False)
        assert result["failed"] is True
        assert "virtual_has[0].priority (VRID 51): must be 1 to 255 (choose another)" in result["msg"]
    assert place.tree() == before
    assert "reload" not in place.agent.calls


def test_the_checker_of_the_new_release_decides(place):
    place.deploy()
    place.system.commands.clear()
    place.release = "release2"
    place.call()
    checks = [command for command in place.system.commands if "check" in command]
    assert checks[0][0] == paths.RELEASES + "/release2/bin/vrrp-ha"


def test_keys_are_checked_without_a_file_of_them(place):
    run, seen = place.system.run, []

    def watched(command, data=None):
        if "check" in command:
            seen.append((os.listdir(os.path.dirname(command[-1])), data))
        return run(command, data)

    place.system.run = watched
    place.deploy()
    assert seen == [(["agent.json"], KEYS)]


def test_a_reload_that_fails_puts_the_files_back(place):
    place.deploy()
    before = place.tree()
    place.agent.refuse["reload"] = {"code": "bad_config", "message": "no", "remedy": "yes"}
    place.config["virtual_has"][0]["priority"] = 150
    assert place.call(archive=False)["failed"] is True
    assert place.tree() == before


def test_a_new_release_restarts(place):
    place.deploy()
    place.system.commands.clear()
    place.release = "release2"
    result = place.call()
    assert place.system.did() == ["restart vrrp-ha.service"]
    assert place.system.current() == "release2"
    assert result["restart_pending"] is False


def test_a_deferred_restart_stays_pending_until_it_is_done(place):
    place.deploy()
    place.system.commands.clear()
    place.release = "release2"
    assert place.call(restart="deferred")["restart_pending"] is True
    again = place.call(restart="deferred", archive=False)
    assert again["restart_pending"] is True
    assert again["changed"] is False
    assert place.system.did() == []
    assert place.call(state="restarted")["changed"] is True
    assert place.call(restart="deferred", archive=False)["restart_pending"] is False


def test_new_keys_do_not_wait_for_a_deferred_restart(place):
    place.deploy()
    place.agent.calls.clear()
    place.config["first_table"] = 2000
    place.keys = KEYS.replace(SECRET, SECRET[::-1])
    result = place.call(restart="deferred", archive=False)
    assert result["restart_pending"] is True
    assert "reload" in place.agent.calls


def test_an_old_agent_that_refuses_a_reload_is_restarted_later_all_the_same(place):
    place.deploy()
    place.agent.refuse["reload"] = {"code": "bad_config", "message": "unknown field", "remedy": ""}
    place.config["new_setting"] = 1
    place.release = "release2"
    assert place.call(restart="deferred")["restart_pending"] is True
    assert json.loads(place.text(paths.CONFIG))["new_setting"] == 1


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_master_that_is_to_own_its_virtual_ha_no_more_changes_nothing(place, check_mode):
    place.config["virtual_has"][0]["priority"] = 255
    place.deploy()
    place.agent.status["virtual_has"] = [place.fake.virtual_ha(state="master")]
    before = place.text(paths.CONFIG)
    place.config = {"format": 1, "host": "ha2", "virtual_has": [{"vrid": 51, "priority": 200}]}
    result = place.call(check_mode, archive=False)
    assert "VRID 51" in result["msg"]
    assert "docs/how-to/plan.md" in result["msg"]
    assert place.text(paths.CONFIG) == before


def test_a_move_goes_on_when_it_is_accepted(place):
    place.config["virtual_has"][0]["priority"] = 255
    place.deploy()
    place.agent.status["virtual_has"] = [place.fake.virtual_ha(state="master")]
    place.config = {"format": 1, "host": "ha2", "virtual_has": [{"vrid": 51, "priority": 200}]}
    assert place.call(archive=False, moves="accept")["changed"] is True


def test_two_releases_are_kept(place):
    for place.release in ("release1", "release2", "release3"):
        place.deploy()
    assert sorted(place.system.host().releases()) == ["release2", "release3"]


def test_a_setting_that_a_running_agent_cannot_change_restarts(place):
    place.deploy()
    place.system.commands.clear()
    place.config["first_table"] = 2000
    assert place.call(archive=False)["changes"][-1] == "service: restart for first_table"


def test_a_stopped_agent_is_started(place):
    place.deploy()
    place.system.active = False
    assert place.call(archive=False)["changes"] == ["service: start"]


def test_a_timeout_says_what_was_waited_for(place):
    place.deploy()
    place.agent.status["virtual_has"][0]["state"] = "initialize"
    result = place.call(archive=False)
    assert result["failed"] is True
    assert "waited 0.3 s for VRID 51 on eth1 to leave the state initialize" in result["msg"]


def test_an_unsafe_mode_of_the_keys_is_put_right(place):
    place.deploy()
    os.chmod(str(place.root) + paths.KEYS, 0o644)
    assert place.call(archive=False)["changes"] == [paths.KEYS + ": put its owner and mode right"]
    assert place.call(archive=False)["changed"] is False


def test_a_damaged_archive_is_refused(place):
    place.archive_digest = "0" * 64
    result = place.call()
    assert result["failed"] is True
    assert "damaged" in result["msg"]
    assert place.system.host().releases() == []


def test_absent_takes_everything_away_and_then_nothing(place):
    place.deploy()
    assert place.call(state="absent", check_mode=True)["changed"] is True
    assert place.call(state="absent")["changed"] is True
    assert place.tree() == {str(place.root) + "/proc/sys/net/ipv6/conf/all/forwarding": b"1"}
    assert place.system.user is False
    assert place.call(state="absent")["changed"] is False


def test_what_a_run_that_was_broken_off_left_is_removed_once(place):
    place.deploy()
    before = place.tree()
    files = [os.path.dirname(path) + "/.vrrp-ha-1" for path in (paths.KEYS, paths.UNIT, paths.SYSCTLS)]
    for path in (*files, paths.RELEASES + "/.new-1/lib/half.py", paths.RELEASES + "/.old-release0/lib/half.py"):
        os.makedirs(os.path.dirname(str(place.root) + path), exist_ok=True)
        with open(str(place.root) + path, "w", encoding="utf-8") as file:
            file.write(SECRET)
    for path in (paths.CURRENT, paths.LAUNCHER):
        os.symlink("nowhere", str(place.root) + path + ".new")
    predicted = place.call(check_mode=True)
    done = place.call()
    assert predicted["changes"] == done["changes"]
    assert len(done["changes"]) == 7
    assert SECRET not in json.dumps(done["diff"])
    assert place.tree() == before
    assert place.call()["changed"] is False


def test_absent_after_a_run_that_was_broken_off(place):
    place.deploy()
    place.call(state="absent")
    place.system.stale = True  # the unit's file is gone, and systemd was not told
    with open(str(place.root) + os.path.dirname(paths.SYSCTLS) + "/.vrrp-ha-1", "w", encoding="utf-8") as file:
        file.write("half")
    place.system.commands.clear()
    assert place.call(state="absent")["changed"] is True
    assert place.system.did() == ["daemon-reload"]
    assert place.tree() == {str(place.root) + "/proc/sys/net/ipv6/conf/all/forwarding": b"1"}


def test_nothing_is_changed_while_another_run_is_at_work_and_a_look_does_not_wait(place):
    place.deploy()
    before = place.tree()
    place.config["virtual_has"][0]["priority"] = 150
    waited = []

    class Busy(paths.Host):
        def alone(self, seconds=0.2):
            waited.append(seconds)
            return paths.Host.alone(self, seconds)

    host = place.system.host()
    place.system.host = lambda: Busy(place.system.run, place.system.root)
    with host.alone():
        assert place.call(check_mode=True)["changed"] is True
        assert waited == []
        refused = place.call()
    assert refused["failed"] is True
    assert refused["msg"].startswith("waited 0.2 s for another run to finish its work on this host")
    assert place.tree() == before
