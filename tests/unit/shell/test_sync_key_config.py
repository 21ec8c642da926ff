# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sync keys a virtual HA sends with and accepts, as an operator writes it."""

from __future__ import annotations

import json

import pytest

from tests.unit.shell.test_config import KEY, Files
from vrrp_ha.shell.config import load
from vrrp_ha.shell.effective import effective

NEXT = {"name": "next", "key_id": 2, "key": KEY[::-1]}


@pytest.fixture
def files(tmp_path):
    files = Files(tmp_path)
    files.keys["sync_keys"].append(NEXT)
    return files


def test_others_are_accepted_by_name_and_shown_without_the_key(files, tmp_path):
    files.config["virtual_has"][0]["accepted_sync_keys"] = ["next"]
    configuration = files.load()
    (virtual_ha,) = configuration.node.virtual_has
    assert virtual_ha.sync_key.name == "fleet"
    assert [key.key for key in virtual_ha.accepted_sync_keys] == [bytes.fromhex(NEXT["key"])]
    shown = effective(configuration)
    assert shown["virtual_has"][0]["accepted_sync_keys"] == ["next"]
    assert KEY not in json.dumps(shown)
    assert NEXT["key"] not in json.dumps(shown)
    del shown["keys"]
    (tmp_path / "second.json").write_text(json.dumps(shown))
    assert load(str(tmp_path / "second.json")).node == configuration.node


def test_one_list_will_do_while_the_key_to_send_with_is_changed(files):
    files.config["virtual_has"][0] |= {"sync_key": "next", "accepted_sync_keys": ["fleet", "next"]}
    assert [key.name for key in files.load().node.virtual_has[0].accepted_sync_keys] == ["fleet", "next"]


@pytest.mark.parametrize(
    ("value", "place", "words"),
    [
        (["nxt"], "[0]", "Did you mean 'next'?"),
        (["next", "next"], "[1]", "listed twice"),
        (["next", 7], "[1]", "must be the name of a key, not a number"),
        ([""], "[0]", "not an empty string"),
        ("next", "", "must be a list"),
    ],
)
def test_mistakes_are_named(files, value, place, words):
    files.config["virtual_has"][0]["accepted_sync_keys"] = value
    (problem,) = files.problems()
    assert problem.path == f"virtual_has[0].accepted_sync_keys{place}"
    assert words in str(problem)


def test_accepting_is_not_enough(files):
    files.config["virtual_has"][0] |= {"sync_key": None, "insecure_sync": True, "accepted_sync_keys": ["next"]}
    (problem,) = files.problems()
    assert problem.path == "virtual_has[0].accepted_sync_keys"
    assert "no sync_key" in str(problem)
