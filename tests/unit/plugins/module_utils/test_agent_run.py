# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent module against a host below a directory and an agent that speaks the protocol."""

from __future__ import annotations

import hashlib
import json
import os
import stat

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import host as paths
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.agent_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.configuration import text_of
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient

SECRET = "5ec7e75ec7e75ec7e75ec7e75ec7e75e"
KEYS = text_of({"format": 1, "sync_keys": [{"name": "fleet", "key_id": 1, "key": SECRET}]})


class Place:
    """One host with one agent, and the module's calls on it."""

    def __init__(self, fake, tmp_path):
        self.fake = fake
        self.root = tmp_path / "host"
        self.system = fake.System(self.root)
        self.archive = str(tmp_path / "release.tar.gz")
        self.archive_digest = fake.archive(self.archive)
        self.agent = fake.Agent(tmp_path / "socket", fake.status(fake.virtual_ha()), str(self.root) + paths.CONFIG)
        self.config = {"format": 1, "host": "ha2", "virtual_has": [{"vrid": 51, "priority": 200}]}
        self.keys = KEYS
        self.release = "release1"

    def client(self, _path):
        system, agent = self.system, self.agent

        class Client(ControlClient):
            def call(self, name, **arguments):
                if not system.active:
                    self.path = self.path + ".gone"
                else:
                    self.path = agent.path
                return ControlClient.call(self, name, **arguments)

        return Client(agent.path)

    def call(self, check_mode=False, archive=True, state="present", restart="now", moves="refuse", timeout=0.3):
        desired = dict(
            release=self.release,
            config=self.config,
            unit="[Service]\n",
            sysctls={"net.ipv6.conf.all.forwarding": "1"},
            python="/usr/bin/python3",
        )
        prepared = dict(desired=desired, keys=self.keys)
        if archive:
            prepared.update(archive=self.archive, archive_digest=self.archive_digest)
        module = self.fake.Module(
            check_mode, state=state, restart=restart, moves=moves, timeout=timeout, prepared=json.dumps(prepared)
        )
        with pytest.raises(self.fake.Exit) as caught:
            run(module, self.system.host(), self.client)
        assert caught.value.result.pop("invocation")["module_args"] == {"state": state}
        return caught.value.result

    def deploy(self):
        """A deployed host whose agent has loaded what is on the disk."""
        self._load_on_start()
        return self.call()

    def _load_on_start(self):
        systemctl = self.system._systemctl

        def loading(command):
            answer = systemctl(command)
            if command[0] in ("start", "restart"):
                with open(str(self.root) + paths.CONFIG, "rb") as file:
                    self.agent.status["config_digest"] = hashlib.sha256(file.read()).hexdigest()
                self.agent.status["config_current"] = True
            return answer

        self.system._systemctl = loading

    def text(self, path):
        with open(str(self.root) + path, encoding="utf-8") as file:
            return file.read()

    def tree(self):
        """Every file and link with its content."""
        found = {}
        for directory, _names, files in os.walk(str(self.root)):
            for name in files:
                path = os.path.join(directory, name)
                if os.path.islink(path):
                    found[path] = os.readlink(path)
                else:
                    with open(path, "rb") as file:
                        found[path] = file.read()
        return found


@pytest.fixture
def place(fake, tmp_path):
    made = Place(fake, tmp_path)
    yield made
    made.agent.close()


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
