# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import host as paths
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.configuration import text_of
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.virtual_ha_run import run

VHA = {"vrid": 51, "interface": "eth1", "addresses": ["2001:db8:1::51"], "prefix": "2001:db8:1::/64", "priority": 200}


class Place:
    def __init__(self, fake, tmp_path):
        self.fake = fake
        self.system = fake.System(tmp_path / "host")
        self.host = self.system.host()
        self.host.write(paths.CONFIG, text_of({"format": 1, "host": "ha2", "virtual_has": [VHA]}))
        self.agent = fake.Agent(tmp_path / "socket", fake.status(fake.virtual_ha()), self.host.path(paths.CONFIG))

    def call(self, state, *config, **more):
        module = self.fake.Module(
            more.get("check_mode", False),
            state=state,
            config=list(config),
            config_file=more.get("config_file", paths.CONFIG),
            timeout=0.3,
        )
        with pytest.raises(self.fake.Exit) as caught:
            run(module, self.host, ControlClient(self.agent.path))
        return caught.value.result

    def config(self):
        return json.loads(self.host.read(paths.CONFIG))["virtual_has"]


@pytest.fixture
def place(fake, tmp_path):
    made = Place(fake, tmp_path)
    yield made
    made.agent.close()


def test_a_change_is_written_and_reloaded_once(place):
    assert place.call("merged", {"vrid": 51, "priority": 150})["changed"] is True
    assert place.config() == [dict(VHA, priority=150)]
    assert place.call("merged", {"vrid": 51, "priority": 150})["changed"] is False
    assert place.agent.calls.count("reload") == 1


def test_what_was_written_and_not_loaded_is_loaded(place):
    place.agent.status["config_current"] = False
    predicted = place.call("merged", VHA, check_mode=True)
    assert "reload" not in place.agent.calls
    done = place.call("merged", VHA)
    assert done["changed"] is True
    assert predicted["changes"] == done["changes"] == ["service: reload, the agent has not loaded its files"]
    assert place.agent.calls.count("reload") == 1
    assert place.call("merged", VHA)["changed"] is False


def test_what_was_read_can_be_given_back(place):
    for state in ("merged", "replaced", "overridden"):
        assert place.call(state, *place.config())["changed"] is False


def test_check_mode_checks_and_writes_nothing(place):
    result = place.call("deleted", check_mode=True)
    assert (result["changed"], result["before"], result["after"]) == (True, [VHA], [])
    assert place.config() == [VHA]
    assert "reload" not in place.agent.calls
    assert any("check" in command for command in place.system.commands)


def test_a_refused_change_is_not_written(place):
    problem = {"path": "virtual_has[0].prefix", "message": "is missing", "remedy": "give it"}
    place.system.checker = (1, json.dumps({"ok": False, "problems": [problem]}), "")
    result = place.call("replaced", {"vrid": 51, "priority": 150})
    assert result["failed"] is True
    assert result["problems"] == ["virtual_has[0].prefix (VRID 51): is missing (give it)"]
    assert place.config() == [VHA]


def test_a_failed_reload_puts_the_file_back(place):
    place.agent.refuse["reload"] = {"code": "bad_config", "message": "no", "remedy": "yes"}
    assert place.call("merged", {"vrid": 51, "priority": 150})["failed"] is True
    assert place.config() == [VHA]


def test_nothing_to_do_has_no_diff(place):
    place.host.write(paths.CONFIG, text_of({"format": 1, "host": "ha2"}))
    result = place.call("deleted")
    assert (result["changed"], result["changes"], result["diff"]) == (False, [], {})


def test_a_change_does_not_spell_the_rest_anew(place):
    given = dict(VHA, addresses=["2001:DB8:1:0::51"], prefix="2001:0db8:1::/64", priority=150)
    for state in ("merged", "replaced", "overridden"):
        result = place.call(state, given, check_mode=True)
        assert result["changes"] == ["virtual_has.vrid=51.priority 200 -> 150"]
        assert result["after"] == [dict(VHA, priority=150)]


def test_a_vrid_that_is_given_twice_is_named(place):
    result = place.call("merged", {"vrid": 51, "priority": 150}, {"vrid": 51, "priority": 140})
    assert result["failed"] is True
    assert result["msg"] == "config: VRID 51 is there more than once; give it once"


def test_a_file_at_another_place_keeps_its_mode(place):
    other = "/srv/agent.json"
    os.makedirs(place.host.path("/srv"))
    os.rename(place.host.path(paths.CONFIG), place.host.path(other))
    os.chmod(place.host.path(other), 0o600)
    place.agent.config_path = place.host.path(other)
    assert place.call("merged", {"vrid": 51, "priority": 150}, config_file=other)["changed"] is True
    assert json.loads(place.host.read(other))["virtual_has"] == [dict(VHA, priority=150)]
    assert stat.S_IMODE(os.stat(place.host.path(other)).st_mode) == 0o600
