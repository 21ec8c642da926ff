# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils import report_files, verify_report
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.fleet import Fleet

VIRTUAL_HA = {"vrid": 51, "name": "vha-a", "addresses": ["2001:db8:1::51"], "priorities": {"ha1": 255, "ha2": 200}}


@pytest.fixture
def answers(fake):
    def answer(host, state, priority):
        return {"status": fake.status(fake.virtual_ha(state=state, priority=priority), host=host), "changes": []}

    return {"ha1": answer("ha1", "master", 255), "ha2": answer("ha2", "backup", 200)}


def write(tmp_path, answers):
    fleet = Fleet([VIRTUAL_HA], answers)
    json_path, junit_path = report_files.write(
        str(tmp_path / "new" / "place"), verify_report.files(fleet, fleet.problems())
    )
    with open(json_path, encoding="utf-8") as file:
        return json.load(file), ElementTree.parse(junit_path).getroot()


def counts(root):
    return {suite.get("name"): (suite.get("tests"), suite.get("failures")) for suite in root}


def test_a_sound_fleet(tmp_path, answers):
    document, root = write(tmp_path, answers)
    assert (document["sound"], document["problems"]) == (True, [])
    members = document["virtual_has"][0]["members"]
    assert [(member["host"], member["status"]["state"]) for member in members] == [("ha1", "master"), ("ha2", "backup")]
    assert counts(root) == {"hosts": ("2", "0"), "virtual HAs": ("1", "0")}


def test_problems_are_failures_of_what_they_are_about(tmp_path, answers):
    answers["ha2"]["status"]["virtual_has"][0].update(state="master")
    answers["ha1"]["changes"] = ["unit <changed> & more"]
    document, root = write(tmp_path, answers)
    assert not document["sound"]
    assert counts(root) == {"hosts": ("2", "1"), "virtual HAs": ("1", "1")}
    failed = {case.get("name"): case.find("failure").get("message") for case in root.iter("testcase") if len(case)}
    assert failed.keys() == {"ha1", "VRID 51 vha-a 2001:db8:1::51"}
    assert "unit <changed> & more" in failed["ha1"]
    assert "2 Masters" in failed["VRID 51 vha-a 2001:db8:1::51"]


def test_a_member_that_is_down_has_no_status(tmp_path, answers):
    del answers["ha2"]
    document, root = write(tmp_path, answers)
    assert document["virtual_has"][0]["members"][1] == {"host": "ha2", "priority": 200, "status": None}
    assert counts(root) == {"hosts": ("2", "1"), "virtual HAs": ("1", "1")}


def test_a_new_report_takes_the_place_of_the_last(tmp_path, answers):
    write(tmp_path, answers)
    answers["ha1"]["status"] = None
    assert write(tmp_path, answers)[0]["sound"] is False
    assert sorted(path.name for path in (tmp_path / "new" / "place").iterdir()) == ["verify.json", "verify.xml"]
