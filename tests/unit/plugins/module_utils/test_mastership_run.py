# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import host as paths
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.configuration import text_of
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.host import HostError
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.mastership_run import decide, run

MEMBERS = {"ha1": 255, "ha2": 200, "ha3": 150}


def config(host, members=None, vrid=51):
    members = members or MEMBERS
    entry = {
        "vrid": vrid,
        "priority": members[host],
        "members": [{"name": name, "priority": priority} for name, priority in members.items()],
    }
    return {"format": 1, "host": host, "virtual_has": [entry]}


class Place:
    def __init__(self, fake, tmp_path, host="ha1", state="master"):
        self.fake = fake
        self.host = fake.System(tmp_path / "host").host()
        self.host.write(paths.CONFIG, text_of(config(host)))
        self.agent = fake.Agent(tmp_path / "socket", fake.status(fake.virtual_ha(state=state)))

    def call(self, master, check_mode=False, wait=True):
        module = self.fake.Module(
            check_mode, vrids=[51], master=master, wait=wait, timeout=0.2, config_file=paths.CONFIG
        )
        with pytest.raises(self.fake.Exit) as caught:
            run(module, self.host, ControlClient(self.agent.path))
        return caught.value.result


@pytest.fixture
def owner(fake, tmp_path):
    made = Place(fake, tmp_path)

    def hand_over(agent, _args):
        agent.status["virtual_has"][0].update(state="backup", master="fe80::2")

    made.agent.on_call["drain"] = hand_over
    yield made
    made.agent.close()


@pytest.mark.parametrize(
    ("host", "master", "drained"),
    [
        ("ha1", "ha2", True),
        ("ha2", "ha2", False),
        ("ha3", "ha2", False),
        ("ha1", "ha3", True),
        ("ha2", "ha3", True),
        ("ha1", None, False),
        ("ha2", None, False),
    ],
)
def test_exactly_those_are_drained_that_would_win(host, master, drained):
    assert decide(config(host), 51, master).drained is drained


def test_without_a_wish_equals_may_both_be_master():
    wanted = decide(config("ha2", {"ha1": 200, "ha2": 200}), 51, None)
    assert (wanted.drained, wanted.master) == (False, None)


def test_a_stranger_cannot_become_master():
    with pytest.raises(HostError, match="ha9 is no member of VRID 51; its members are ha1, ha2, ha3"):
        decide(config("ha1"), 51, "ha9")


def test_a_host_outside_the_virtual_ha_says_what_it_has():
    with pytest.raises(HostError, match="ha1 takes no part in VRID 52"):
        decide(config("ha1"), 52, "ha2")


def test_an_owner_is_drained_once(owner):
    result = owner.call("ha2")
    assert result["changed"] is True
    assert result["changes"] == ["vrid 51: drain, so that ha2 (priority 200) becomes Master"]
    assert result["virtual_has"][0]["state"] == "backup"
    assert owner.call("ha2")["changed"] is False
    assert owner.agent.calls.count(("drain", {"vrids": [51]})) == 1


def test_check_mode_drains_nothing(owner):
    result = owner.call("ha2", check_mode=True)
    assert result["changed"] is True
    assert result["virtual_has"][0]["drained"] is True
    assert set(owner.agent.calls) == {"status"}


def test_a_master_that_nobody_relieves_is_said(owner):
    del owner.agent.on_call["drain"]
    result = owner.call("ha2")
    assert result["failed"] is True
    assert "waited 0.2 s for VRID 51 to get ha2 as its Master" in result["msg"]


def test_who_shall_be_master_and_is_not_is_told_why(fake, tmp_path):
    place = Place(fake, tmp_path, host="ha2", state="backup")
    try:
        assert "members of a higher priority must be drained first" in place.call("ha2")["msg"]
        assert place.call("ha2", wait=False)["changed"] is False
    finally:
        place.agent.close()
