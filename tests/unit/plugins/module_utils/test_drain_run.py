# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.drain_run import run


@pytest.fixture
def owner(fake, tmp_path):
    """Owner and Master of 51, backup of 52; it hands over at once."""

    def hand_over(agent, args):
        for entry in agent.status["virtual_has"]:
            if entry["vrid"] in args["vrids"]:
                entry.update(state="backup", master="fe80::2")

    def take_back(agent, args):
        if 51 in args["vrids"]:
            agent.status["virtual_has"][0].update(state="master", master="fe80::1")

    status = fake.status(fake.virtual_ha(51, "master", priority=255), fake.virtual_ha(52))
    with fake.Agent(tmp_path / "socket", status) as agent:
        agent.on_call.update(drain=hand_over, undrain=take_back)
        yield agent


def call(fake, agent, state="drained", vrids=None, check_mode=False, wait=True):
    module = fake.Module(check_mode, state=state, vrids=vrids, wait=wait, timeout=0.2)
    with pytest.raises(fake.Exit) as caught:
        run(module, ControlClient(agent.path))
    return caught.value.result


def test_a_host_leaves_everything_it_takes_part_in_and_once(fake, owner):
    result = call(fake, owner)
    assert result["changes"] == ["vrid 51: drain", "vrid 52: drain"]
    assert [entry["state"] for entry in result["virtual_has"]] == ["backup", "backup"]
    assert call(fake, owner)["changed"] is False


def test_check_mode_predicts_and_asks_for_nothing(fake, owner):
    predicted = call(fake, owner, check_mode=True)
    assert set(owner.calls) == {"status"}
    done = call(fake, owner)
    assert (predicted["changed"], predicted["changes"], predicted["diff"]) == (True, done["changes"], done["diff"])


def test_one_virtual_ha_alone(fake, owner):
    assert call(fake, owner, vrids=[52, 52])["changes"] == ["vrid 52: drain"]


def test_an_empty_list_is_nothing_and_not_everything(fake, owner):
    result = call(fake, owner, vrids=[])
    assert (result["changed"], result["virtual_has"]) == (False, [])
    assert set(owner.calls) == {"status"}


def test_an_owner_that_is_undrained_serves_again(fake, owner):
    call(fake, owner)
    result = call(fake, owner, state="undrained")
    assert result["changes"] == ["vrid 51: undrain", "vrid 52: undrain"]
    assert result["virtual_has"][0]["state"] == "master"


def test_who_has_nobody_to_hand_over_to_says_so(fake, owner):
    del owner.on_call["drain"]
    result = call(fake, owner)
    assert result["failed"]
    assert "waited 0.2 s for another member to take over VRID 51" in result["msg"]
    assert call(fake, owner, wait=False)["changed"] is False


def test_an_owner_that_does_not_get_its_bindings_back_says_why(fake, owner):
    call(fake, owner)
    del owner.on_call["undrain"]
    owner.status["virtual_has"][0]["alarm"] = "the owner cannot get its bindings"
    assert "served by its owner again: the owner cannot get its bindings" in call(fake, owner, "undrained")["msg"]


def test_a_stranger_is_told_what_there_is(fake, owner):
    assert "ha2 takes no part in VRID 99 (it has: 51, 52)" in call(fake, owner, vrids=[51, 99])["msg"]
    assert set(owner.calls) == {"status"}
