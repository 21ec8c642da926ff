# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils import report_files
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.fleet_report import Report

TIME = "2026-03-01 12:00:00 UTC"
VIRTUAL_HA = {
    "vrid": 51,
    "name": "vha-a",
    "addresses": ["2001:db8:1::51"],
    "prefix": "2001:db8:1::/64",
    "priorities": {"ha1": 255, "ha2": 200, "ha3": 150},
}


@pytest.fixture
def answers(fake):
    """A fleet in order: ha1 is owner and Master."""
    found = {}
    for name, priority in VIRTUAL_HA["priorities"].items():
        state = "master" if name == "ha1" else "backup"
        entry = fake.virtual_ha(state=state, priority=priority, since_s=7325.4)
        status = fake.status(entry, host=name, version="0.2.0", uptime_s=400000.0)
        found[name] = dict(status=status, problem="", recoveries=[], handoffs=[])
    return found


def report(answers):
    return Report(TIME, [VIRTUAL_HA], answers)


def state(answers, host):
    return answers[host]["status"]["virtual_has"][0]


def test_a_fleet_in_order(answers):
    page = report(answers).page()
    assert page.startswith(f"# Home agents, {TIME}\n\nThe fleet is as it should be.\n\n## Virtual HAs\n")
    assert "| 51 | vha-a | 2001:db8:1::51 | ha1 | 2 h 2 min | 10 | ha2, ha3 |" in page
    assert "| ha1 | 0.2.0 | 4 days | 51 | 10 | healthy |" in page
    assert "| ha2 | 0.2.0 | 4 days | - | 0 | healthy |" in page
    assert "### 2001:db8:1::/64" in page
    assert "| 51 | vha-a | 2001:db8:1::51 | owner | 1st | 2nd |" in page
    assert page.count("There were none.") == 2


def test_who_acts_who_rests_and_who_is_down(answers):
    state(answers, "ha1").update(state="backup", drained=True)
    state(answers, "ha2").update(state="master")
    answers["ha3"] = dict(unreachable=True, msg="no route\nto host | at all")
    page = report(answers).page()
    assert "| ha2 (acting) |" in page
    assert "ha1 (drained), ha3 (down)" in page
    assert "| 10 | healthy |" in page
    assert "healthy, drained" in page
    assert "**down**: no route to host \\| at all" in page
    assert "- ha3: is unreachable" in page


def test_what_is_wrong_is_told_once(answers):
    state(answers, "ha1").update(alarm="the host refused")
    answers["ha1"]["status"].update(healthy=False, warnings=["vrid 51: insecure_bindings is set"])
    found = report(answers)
    assert [line for line in found.alarms() if "insecure" not in line] == ["ha1, VRID 51: the host refused"]
    assert "**unhealthy**" in found.page()
    assert found.document()["sound"] is False


def test_nobody_serves_it(answers):
    state(answers, "ha1").update(state="backup", drained=True)
    assert "| **nobody** | - | - |" in report(answers).page()


def test_what_was_recovered_and_handed_off(answers):
    state(answers, "ha1").update(
        recoveries=dict(pending=1, sent=2, done=3, failed=4),
        handoffs=dict(pending=0, sent=0, done=0, failed=0, refused_extensions=9),
    )
    page = report(answers).page()
    assert "| 51 | ha1 | 1 | 2 | 3 | 4 |" in page
    assert page.count("There were none.") == 1


def test_the_data_has_what_every_host_told(answers):
    answers["ha2"]["invocation"] = {"module_args": "not for the report"}
    files = report(answers).files()
    document = json.loads(files["fleet.json"])
    assert (document["format"], document["time"], document["sound"]) == (1, TIME, True)
    assert document["virtual_has"][0]["masters"] == ["ha1"]
    assert document["hosts"]["ha2"] == {
        "status": answers["ha2"]["status"],
        "problem": "",
        "recoveries": [],
        "handoffs": [],
    }


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleActionFail, match="file: .*; name a directory to write to"):
        report_files.write(str(tmp_path / "file"), {"x": "y"})
