# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient, ControlError, Deadline


def test_a_call_returns_the_result(fake, tmp_path):
    with fake.Agent(tmp_path / "socket", fake.status()) as agent:
        assert ControlClient(agent.path).call("status")["host"] == "ha2"


def test_an_error_brings_message_and_remedy(fake, tmp_path):
    with fake.Agent(tmp_path / "socket", fake.status()) as agent:
        agent.refuse["drain"] = {"code": "unknown_vrid", "message": "no VRID 9", "remedy": "have 51"}
        with pytest.raises(ControlError, match="no VRID 9; have 51") as caught:
            ControlClient(agent.path).call("drain", vrids=[9])
    assert caught.value.code == "unknown_vrid"


def test_no_agent_is_said_with_the_socket_and_a_remedy(tmp_path):
    with pytest.raises(ControlError, match="socket.*systemctl status vrrp-ha") as caught:
        ControlClient(str(tmp_path / "socket")).call("status")
    assert caught.value.code == "unreachable"


def test_a_deadline_asks_until_nothing_is_missing():
    now = [0.0]
    answers = ["a", "b", ""]
    deadline = Deadline(10, lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    assert deadline.wait(lambda: answers.pop(0)) == ""


def test_a_deadline_returns_what_was_still_missing():
    now = [0.0]
    deadline = Deadline(1, lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    assert deadline.wait(lambda: "the agent") == "the agent"
    assert now[0] >= 1
