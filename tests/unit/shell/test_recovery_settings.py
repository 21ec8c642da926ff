# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `recovery` of agent.json, and the calls about recoveries."""

import json

import pytest

from tests.unit.core.nodes import at
from tests.unit.core.recovering import HOME, acting_master, bind, esp, home, known
from tests.unit.core.registering import OTHER_HOME
from tests.unit.shell.test_config import Files
from tests.unit.shell.test_filters import OTHER, VHA, accepts, packet
from vrrp_ha.core.events import RecoverRequested
from vrrp_ha.core.settings import RecoverySettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import text
from vrrp_ha.shell import filters, tables
from vrrp_ha.shell.calls import MOST_RECOVERIES, Calls
from vrrp_ha.shell.config import load
from vrrp_ha.shell.control import CallError, Peer, Request
from vrrp_ha.shell.effective import effective

ROOT, READER = Peer(0, may_change=True), Peer(1000, may_change=False)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_left_out_it_is_on_at_one_a_second(files):
    assert files.load().node.recovery == RecoverySettings(True, Pace(1_000_000, 10), Pace(200_000, 5), 1000, False, "")


def test_what_is_given_is_used_and_shown(files, tmp_path):
    files.config["recovery"] = given = {
        "enabled": False,
        "rate": 50,
        "burst": 100,
        "per_source_rate": 0.5,
        "per_source_burst": 1,
        "queue": 5,
        "on_expiry": True,
        "hook": "/usr/local/sbin/recover",
    }
    configuration = files.load()
    assert configuration.node.recovery == RecoverySettings(
        False, Pace(50_000_000, 100), Pace(500_000, 1), 5, True, "/usr/local/sbin/recover"
    )
    shown = effective(configuration)
    assert shown["recovery"] == given
    del shown["keys"]
    (tmp_path / "second.json").write_text(json.dumps(shown))
    assert load(str(tmp_path / "second.json")).node == configuration.node


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rate", 0, "0 per second is out of range"),
        ("rate", "fast", "must be a number per second"),
        ("per_source_rate", True, "must be a number per second"),
        ("burst", 0, "out of range"),
        ("queue", 1_000_000, "out of range"),
        ("hook", "recover", "not an absolute path"),
        ("hook", "", "is empty"),
        ("on_expire", True, "Did you mean 'on_expiry'?"),
        ("per_source_rte", 1, "Did you mean 'per_source_rate'?"),
    ],
)
def test_mistakes_are_named(files, name, value, words):
    files.config["recovery"] = {name: value}
    (problem,) = files.problems()
    assert problem.path == f"recovery.{name}"
    assert words in str(problem)


def test_the_packet_filter_lets_esp_through_behind_a_home_address_option_and_bare_from_home():
    program = filters.signalling([VHA])
    assert accepts(program, packet(60, VHA))
    assert accepts(program, packet(50, VHA))
    assert not accepts(program, packet(50, OTHER))


class PlainAgent:
    """An agent's node without its host."""

    def __init__(self, story):
        self.node = story.node

    def recover(self, vrid, home_addresses):
        self.node.handle(RecoverRequested(vrid, home_addresses), at(1))
        return [home for home in home_addresses if self.node.recovery(vrid).is_under_way(home)]


def ask(story, call, peer=ROOT, **arguments):
    pieces = Calls(PlainAgent(story)).handle(Request(call, arguments, peer))
    return json.loads("".join(piece for piece in pieces if piece))


def test_recover_says_who_is_and_who_is_not():
    story = acting_master()
    answer = ask(story, "recover", vrid=51, home_addresses=["2001:db8:1::1001", "2001:db8:1::dead"])
    assert answer == {"queued": ["2001:db8:1::1001"], "refused": ["2001:db8:1::dead"]}
    assert known(story, 1.0) == [("2001:db8:1::1001", "sent")]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"vrid": 51}, "bad_request"),
        ({"vrid": 51, "home_addresses": []}, "bad_request"),
        ({"vrid": 51, "home_addresses": ["x"]}, "bad_request"),
        ({"vrid": 51, "home_addresses": ["::1"] * (MOST_RECOVERIES + 1)}, "bad_request"),
        ({"home_addresses": ["2001:db8:1::1001"]}, "bad_request"),
        ({"vrid": 9, "home_addresses": ["2001:db8:1::1001"]}, "unknown_vrid"),
    ],
)
def test_recover_is_refused_without_what_it_needs(arguments, code):
    with pytest.raises(CallError) as refused:
        ask(acting_master(), "recover", **arguments)
    assert refused.value.error["code"] == code


def test_recover_is_for_root_at_the_master():
    story = acting_master()
    with pytest.raises(CallError) as refused:
        ask(story, "recover", READER, vrid=51, home_addresses=["2001:db8:1::1001"])
    assert refused.value.error["code"] == "forbidden"
    story.hears_advert(255, 0.99)
    with pytest.raises(CallError) as refused:
        ask(story, "recover", vrid=51, home_addresses=["2001:db8:1::1001"])
    assert refused.value.error["code"] == "not_master"


def test_recoveries_are_listed_for_programs_and_for_people():
    story = acting_master()
    story.receives(esp(), 1.0)
    answer = ask(story, "recoveries", READER, vrid=51)
    assert answer["counts"] == {"pending": 0, "sent": 1, "done": 0, "failed": 0}
    (entry,) = answer["recoveries"]
    assert {name: entry[name] for name in ("home_address", "state", "reason", "method", "attempts")} == {
        "home_address": "2001:db8:1::1001",
        "state": "sent",
        "reason": "esp",
        "method": "switch",
        "attempts": 1,
    }
    lines = list(tables.recoveries(answer))
    assert lines[1].split()[:3] == ["2001:db8:1::1001", "sent", "esp"]
    assert lines[-1] == "VRID 51: 0 pending, 1 sent, 0 done, 0 failed"
    assert story.node.bindings(51).get(HOME) is None


def test_status_tells_people_of_recoveries_where_there_are_any():
    story = acting_master()
    frame = {"host": "ha1", "healthy": True, "config_current": True, "uptime_s": 1, "version": "1", "warnings": []}
    assert not [line for line in tables.status(frame | story.node.status(at(1))) if "recoveries" in line]
    for number in range(7):
        bind(story, home(number))
    for number in range(7):
        story.receives(esp(home(number)), 1.0)
    (line,) = [line for line in tables.status(frame | story.node.status(at(1))) if "recoveries" in line]
    assert line == ("VRID 51: recoveries: 0 pending, 5 sent, 0 done, 0 failed, 2 triggers turned away by limits")


def test_a_list_of_recoveries_is_no_longer_than_was_asked_for():
    story = acting_master()
    bind(story, OTHER_HOME)
    ask(story, "recover", vrid=51, home_addresses=[text(HOME), text(OTHER_HOME)])
    assert len(ask(story, "recoveries", READER, vrid=51)["recoveries"]) == 2
    assert len(ask(story, "recoveries", READER, vrid=51, limit=1)["recoveries"]) == 1
    for limit in (0, 10_001, "all"):
        with pytest.raises(CallError, match="'limit' must be a number, 1 to 10000"):
            ask(story, "recoveries", READER, vrid=51, limit=limit)
