# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import consistency_run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlError

POINTS = [{"digest": "aa", "parts": [[1, 1, "aa", 600]]}]
ROWS = [{"home_address": "2001:db8:1::1", "care_of_address": "2001:db8:f::1"}]


class Agent:
    def __init__(self):
        self.calls = []

    def call(self, name, **arguments):
        self.calls.append((name, arguments))
        if name == "rows":
            return {"vrid": arguments["vrid"], "bindings": ROWS}
        if "vrid" not in arguments:
            return {"faults": [{"vrid": None, "text": "rule 10 to table 900: missing"}]}
        return {"vrid": arguments["vrid"], "points": POINTS, "kernel": None}


def ask(fake, agent, *wanted):
    with pytest.raises(fake.Exit) as caught:
        consistency_run.run(fake.Module(virtual_has=list(wanted), limit=20), agent)
    return caught.value.result


def test_the_host_is_examined_once_and_each_virtual_ha(fake):
    agent = Agent()
    result = ask(fake, agent, dict(vrid=51), dict(vrid=52, parts=None, home_addresses=None))
    assert agent.calls == [("examine", {}), ("examine", dict(vrid=51, limit=20)), ("examine", dict(vrid=52, limit=20))]
    assert result["faults"][0]["text"] == "rule 10 to table 900: missing"
    assert [entry["vrid"] for entry in result["virtual_has"]] == [51, 52]
    assert consistency_run.unpacked(result["virtual_has"][0]["points"]) == POINTS


def test_rows_are_asked_for_without_examining_anything(fake):
    agent = Agent()
    result = ask(fake, agent, dict(vrid=51, parts=[1, 2]), dict(vrid=52, home_addresses=["2001:db8:1::1"]))
    assert agent.calls == [
        ("rows", dict(vrid=51, parts=[1, 2])),
        ("rows", dict(vrid=52, home_addresses=["2001:db8:1::1"])),
    ]
    assert consistency_run.unpacked(result["virtual_has"][1]["rows"]) == ROWS


def test_an_agent_that_does_not_know_the_calls(fake):
    agent = Agent()

    def call(name, **arguments):
        raise ControlError("unknown_call", "there is no call 'examine'", "deploy")

    agent.call = call
    result = ask(fake, agent, dict(vrid=51))
    assert result["failed"]
    assert "there is no call 'examine'" in result["msg"]
