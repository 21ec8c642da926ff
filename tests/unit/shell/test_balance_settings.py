# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections `balance` of agent.json, and the calls about handoffs."""

import json

import pytest

from tests.unit.core.handing_off import bind, fleet, marks, registers
from tests.unit.core.nodes import at, virtual_ha
from tests.unit.core.registering import HOME
from tests.unit.shell.test_config import Files
from vrrp_ha.cli import main
from vrrp_ha.core.balance_settings import BalanceMode, BalanceSettings
from vrrp_ha.core.events import HandoffRequested
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import SECOND
from vrrp_ha.shell import balance_config, tables
from vrrp_ha.shell.calls import MOST_NAMED_HANDOFFS, Calls
from vrrp_ha.shell.config import load
from vrrp_ha.shell.control import CallError, Peer, Request
from vrrp_ha.shell.effective import effective

ROOT, READER = Peer(0, may_change=True), Peer(1000, may_change=False)
HOME_TEXT = "2001:db8:1::1001"
GIVEN = {"mode": "auto", "high_water": 400, "low_water": 350, "rate": 5, "hold_time": 60}
MEANT = BalanceSettings(BalanceMode.AUTO, 400, 350, Pace(5_000_000, 1), 60 * SECOND)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_left_out_it_is_off_and_would_be_one_a_second(files):
    node = files.load().node
    assert node.balance == BalanceSettings(BalanceMode.OFF, None, None, Pace(1_000_000, 1), 600 * SECOND)
    assert {v.balance for v in node.virtual_has} == {node.balance}


def test_what_is_given_for_the_agent_is_every_virtual_has(files, tmp_path):
    files.config["balance"] = GIVEN
    configuration = files.load()
    assert {v.balance for v in configuration.node.virtual_has} == {MEANT}
    shown = effective(configuration)
    assert shown["balance"] == GIVEN
    assert shown["virtual_has"][0]["balance"] == GIVEN
    del shown["keys"]
    (tmp_path / "second.json").write_text(json.dumps(shown))
    assert load(str(tmp_path / "second.json")).node == configuration.node


def test_a_virtual_ha_may_be_different_in_part(files):
    files.config["balance"] = GIVEN
    files.config["virtual_has"][0]["balance"] = {"mode": "advise", "high_water": 1000}
    first = files.load().node.virtual_has[0].balance
    assert first == BalanceSettings(BalanceMode.ADVISE, 1000, 350, Pace(5_000_000, 1), 60 * SECOND)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("mode", {"mode": "automatic"}, "'automatic' is not known"),
        ("high_water", {"high_water": 0, "low_water": 1}, "out of range"),
        ("low_water", {"high_water": 400, "low_water": 400}, "is not below the high-water mark"),
        ("rate", {"rate": 0}, "0 per second is out of range"),
        ("hold_time", {"hold_time": -1}, "out of range"),
        ("hold_tme", {"hold_tme": 5}, "Did you mean 'hold_time'?"),
        ("high_water", {"mode": "auto"}, "is missing, but the mode is 'auto'"),
        ("low_water", {"high_water": 400}, "Give both marks"),
    ],
)
def test_mistakes_are_named(files, name, given, words):
    del files.config["virtual_has"][1:]
    files.config["virtual_has"][0]["balance"] = given
    problem = files.problems()[0]
    assert problem.path == f"virtual_has[0].balance.{name}"
    assert words in str(problem)


def test_marks_for_the_agent_alone_need_not_be_complete(files):
    files.config["balance"] = {"mode": "auto", "low_water": 10}
    for virtual in files.config["virtual_has"]:
        virtual["balance"] = {"high_water": 20}
    assert {(v.balance.high_water, v.balance.low_water) for v in files.load().node.virtual_has} == {(20, 10)}


# --- calls -------------------------------------------------------------------------------------------------


class PlainAgent:
    """An agent's node without its host."""

    def __init__(self, story):
        self.node = story.node

    def hand_off(self, vrid, wanted):
        self.node.handle(HandoffRequested(vrid, wanted), at(2))


def ask(story, call, peer=ROOT, **arguments):
    pieces = Calls(PlainAgent(story)).handle(Request(call, arguments, peer))
    return json.loads("".join(piece for piece in pieces if piece))


def master(count: int = 1):
    story = fleet(marks(1000, 900, BalanceMode.OFF))
    registers(story, HOME, 1.5)
    bind(story, count - 1, 1.5)
    return story


def refused(story, call, peer=ROOT, **arguments):
    with pytest.raises(CallError) as refusal:
        ask(story, call, peer, **arguments)
    return refusal.value.error


def test_handoff_says_who_is_and_who_is_not():
    story = master()
    answer = ask(story, "handoff", vrid=51, home_addresses=[HOME_TEXT, "2001:db8:1::dead"])
    assert answer == {"queued": [HOME_TEXT], "refused": ["2001:db8:1::dead"]}
    again = ask(story, "handoff", vrid=51, home_addresses=[HOME_TEXT])
    assert again["queued"] == [HOME_TEXT]


def test_handoff_of_so_many_and_its_end():
    story = master(6)
    assert ask(story, "handoff", vrid=51, count=4, to=52) == {"count": 4}
    assert story.node.handoffs(51).counts()["pending"] == 3
    assert ask(story, "handoffs", READER, vrid=51)["unnamed"] == [{"to": 52, "count": 3}]
    assert ask(story, "handoff", vrid=51, cancel=True) == {"cancelled": 3}
    assert ask(story, "handoffs", READER, vrid=51)["unnamed"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"vrid": 51}, "bad_request"),
        ({"vrid": 51, "count": 1, "cancel": True}, "bad_request"),
        ({"vrid": 51, "count": "many"}, "bad_request"),
        ({"vrid": 51, "home_addresses": ["x"]}, "bad_request"),
        ({"vrid": 51, "home_addresses": ["::1"] * (MOST_NAMED_HANDOFFS + 1)}, "bad_request"),
        ({"vrid": 51, "count": 1, "to": 51}, "bad_request"),
        ({"vrid": 51, "count": 1, "to": 99}, "bad_request"),
        ({"vrid": 51, "count": 1, "to": "52"}, "bad_request"),
        ({"vrid": 9, "count": 1}, "unknown_vrid"),
    ],
)
def test_handoff_is_refused_without_what_it_needs(arguments, code):
    assert refused(master(), "handoff", **arguments)["code"] == code


def test_where_to_hand_off_is_named_when_it_was_wrong():
    assert refused(master(), "handoff", vrid=51, count=1, to=99)["remedy"].startswith("There are: 52.")


def test_handoff_needs_another_virtual_ha_of_the_home_link():
    from tests.unit.core.nodes import master as lonely

    assert "no other virtual HA" in refused(lonely(), "handoff", vrid=51, count=1)["message"]


def test_handoff_is_for_root_at_the_master():
    story = master()
    assert refused(story, "handoff", READER, vrid=51, count=1)["code"] == "forbidden"
    story.node._roster.configured[51]._election = None
    assert refused(story, "handoff", vrid=51, count=1)["code"] == "not_master"


def test_handoffs_are_listed_for_programs_and_for_people():
    story = master()
    ask(story, "handoff", vrid=51, home_addresses=[HOME_TEXT])
    answer = ask(story, "handoffs", READER, vrid=51)
    assert answer["counts"] == {"pending": 0, "sent": 1, "done": 0, "failed": 0, "refused_extensions": 0}
    (entry,) = answer["handoffs"]
    assert {name: entry[name] for name in ("home_address", "state", "reason", "to", "attempts")} == {
        "home_address": HOME_TEXT,
        "state": "sent",
        "reason": "operator",
        "to": 52,
        "attempts": 1,
    }
    lines = list(tables.handoffs(answer))
    assert lines[1].split()[:4] == [HOME_TEXT, "sent", "operator", "52"]
    assert lines[-1] == "VRID 51: 0 pending, 1 sent, 0 done, 0 failed, 0 refused extensions"


@pytest.mark.parametrize("words", [[], ["--count", "3", "--cancel"], ["2001:db8:1::1", "--count", "3"]])
def test_the_command_wants_one_way_to_say_who_goes(words, capsys):
    assert main(["handoff", "51", *words]) == 2
    assert "one of them only" in capsys.readouterr().err


def entry(mode: str, *advice: dict, overloaded: bool = True) -> dict:
    balance = {"mode": mode, "load": 500, "low_water": 350, "overloaded": overloaded, "advice": list(advice)}
    return {"vrid": 51, "balance": balance}


def test_status_warns_of_an_overloaded_virtual_ha_and_says_what_to_do():
    two = {"to": 52, "count": 100}, {"to": 53, "count": 50}
    assert list(balance_config.remarks([entry("advise", *two)])) == [
        "vrid 51: load 500 is above 350: hand off 100 to VRID 52, 50 to VRID 53"
    ]
    assert list(balance_config.remarks([entry("auto", two[0])])) == [
        "vrid 51: load 500 is above 350: handing off 100 to VRID 52"
    ]
    assert list(balance_config.remarks([entry("auto")])) == [
        "vrid 51: load 500 is above 350: no other virtual HA of its home link can take more"
    ]
    assert list(balance_config.remarks([entry("auto", overloaded=False)])) == []


def test_a_plain_vrrp_router_needs_no_marks():
    assert virtual_ha(mipv6_ha_mode=False).balance.mode is BalanceMode.OFF
