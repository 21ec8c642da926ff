# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control protocol over a real Unix socket, with a plain agent behind it."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.types import SECOND, Binding, Instant, packed
from vrrp_ha.shell import examining
from vrrp_ha.shell.calls import Calls
from vrrp_ha.shell.client import Client, ClientError
from vrrp_ha.shell.clock import monotonic
from vrrp_ha.shell.config import ConfigurationError
from vrrp_ha.shell.control import LONGEST_REQUEST, UNREAD_LIMIT, CallError, ControlServer, Peer, Request
from vrrp_ha.shell.fields import Problem
from vrrp_ha.shell.journal import Journal
from vrrp_ha.shell.poller import Poller


class PlainNode:
    """The caches of two virtual HAs."""

    vrids = (51, 52)

    def __init__(self):
        self.caches = {51: BindingCache(), 52: BindingCache()}

    def bindings(self, vrid):
        return self.caches[vrid]


class PlainAgent:
    """Remembers what it is asked to change."""

    def __init__(self):
        self.node = PlainNode()
        self.journal = Journal(output=os.open(os.devnull, os.O_WRONLY))
        self.asked = []
        self.bad = []

    def status(self):
        return {"host": "ha1", "virtual_has": [{"vrid": vrid} for vrid in range(1, 200)]}

    def drain(self, vrids):
        self.asked.append(("drain", vrids))
        return list(vrids)

    def undrain(self, vrids):
        raise RuntimeError("a fault of the agent")

    def reload(self):
        if self.bad:
            raise ConfigurationError(self.bad)
        return {"changed": [51], "added": [], "removed": []}

    def repair(self):
        return ["a rule was missing"]


class Stage:
    """The server in the test's hands: it works only when told to."""

    def __init__(self, path):
        self.path = str(path / "control.sock")
        self.agent = PlainAgent()
        self.poller = Poller()
        self.server = ControlServer(self.path, "root", self.poller, Calls(self.agent).handle)
        self.agent.journal.on_event = self.server.wake

    def connect(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(self.path)
        return client

    def work(self, turns=50):
        busy = False
        for _unused in range(turns):
            self.poller.poll(wait=False)
            busy = self.server.work()
        return busy

    def ask(self, call, version=1, **arguments):
        client = self.connect()
        client.sendall(json.dumps({"v": version, "id": 7, "call": call, "args": arguments}).encode() + b"\n")
        self.work()
        return self.read(client)

    @staticmethod
    def read(client):
        client.settimeout(2)
        with client.makefile("rb") as lines:
            return json.loads(lines.readline())


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.server.close()
    assert not Path(stage.path).exists()


def bind(cache, number):
    home = packed(f"2001:db8:1::{number:x}")
    cache.put(Binding(home, packed("2001:db8:2::77"), number, 0xE000, Instant(monotonic() + 100 * SECOND)))


def test_an_answer_carries_the_number_of_its_request(stage):
    answer = stage.ask("status")
    assert (answer["v"], answer["id"], answer["ok"]) == (1, 7, True)
    assert answer["result"]["host"] == "ha1"
    assert [v["vrid"] for v in answer["result"]["virtual_has"]] == list(range(1, 200))


def test_requests_of_one_connection_are_answered_in_order(stage):
    client = stage.connect()
    for number in range(5):
        client.sendall(json.dumps({"v": 1, "id": number, "call": "bindings", "args": {"vrid": 51}}).encode() + b"\n")
    stage.work(200)
    with client.makefile("rb") as lines:
        assert [json.loads(lines.readline())["id"] for _unused in range(5)] == [0, 1, 2, 3, 4]


def test_a_request_in_two_parts_is_one_request(stage):
    client = stage.connect()
    client.sendall(b'{"v": 1, "id": 1, ')
    stage.work()
    client.sendall(b'"call": "status"}\n')
    stage.work()
    assert stage.read(client)["ok"]


def test_an_answer_comes_also_when_the_client_has_said_its_last_word(stage):
    client = stage.connect()
    client.sendall(b'{"v": 1, "id": 1, "call": "status"}\n')
    client.shutdown(socket.SHUT_WR)
    stage.work()
    assert stage.read(client)["ok"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"nonsense", "bad_request"),
        (b"[]", "bad_request"),
        (b'{"v": 1, "call": 5}', "bad_request"),
        (b'{"v": 1, "call": "status", "args": []}', "bad_request"),
        (b'{"v": 2, "call": "status"}', "unsupported_version"),
        (b'{"v": 1, "call": "explode"}', "unknown_call"),
        (b'{"v": 1, "call": "bindings"}', "bad_request"),
        (b'{"v": 1, "call": "bindings", "args": {"vrid": 9}}', "unknown_vrid"),
        (b'{"v": 1, "call": "bindings", "args": {"vrid": 51, "limit": 10001}}', "bad_request"),
        (b'{"v": 1, "call": "bindings", "args": {"vrid": 51, "after": "x"}}', "bad_request"),
        (b'{"v": 1, "call": "drain", "args": {"vrids": [51, 9]}}', "unknown_vrid"),
        (b'{"v": 1, "call": "drain", "args": {"vrids": 51}}', "bad_request"),
        (b'{"v": 1, "call": "undrain"}', "internal"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_a_code_and_a_remedy(stage, line, code):
    client = stage.connect()
    client.sendall(line + b"\n")
    stage.work()
    error = stage.read(client)["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["remedy"]
    assert stage.agent.asked == []


def test_changes_are_for_root_alone(stage):
    calls = Calls(stage.agent)
    reader = Peer(uid=1000, may_change=False)
    for call in ("drain", "undrain", "reload", "repair"):
        with pytest.raises(CallError) as refused:
            calls.handle(Request(call, {}, reader))
        assert refused.value.error["code"] == "forbidden"
    assert next(calls.handle(Request("status", {}, reader)))


def test_drain_without_vrids_means_all(stage):
    assert stage.ask("drain")["result"] == {"changed": [51, 52]}
    assert stage.ask("drain", vrids=[52])["result"] == {"changed": [52]}
    assert stage.agent.asked == [("drain", (51, 52)), ("drain", (52,))]


def test_a_reload_of_a_bad_configuration_brings_every_problem(stage):
    stage.agent.bad = [Problem("virtual_has[1].vrid", "51 is taken", "Use another."), Problem("host", "is missing")]
    error = stage.ask("reload")["error"]
    assert error["code"] == "bad_config"
    assert [problem["path"] for problem in error["problems"]] == ["virtual_has[1].vrid", "host"]


def test_rows_are_those_of_parts_or_of_home_addresses(stage):
    cache = stage.agent.node.caches[51]
    for number in range(300):
        bind(cache, number)
    count = next(part.count for part in cache.parts(cache.tally(), monotonic()) if part.number == 7)
    answer = stage.ask("rows", vrid=51, parts=[7])["result"]
    assert (answer["parts"], len(answer["bindings"])) == ([7], count)
    named = stage.ask("rows", vrid=51, home_addresses=["2001:db8:1::5", "2001:db8:1::ffff"])["result"]["bindings"]
    assert [(row["home_address"], row["sequence"]) for row in named] == [("2001:db8:1::5", 5)]
    assert stage.ask("rows", vrid=51)["result"]["bindings"] == []


@pytest.mark.parametrize("parts", [[256], ["1"], 7, [True]])
def test_parts_that_are_none_are_refused(stage, parts):
    error = stage.ask("rows", vrid=51, parts=parts)["error"]
    assert (error["code"], "'parts'" in error["message"]) == ("bad_request", True)


def test_no_more_than_so_many_rows_but_a_whole_part_in_any_case(stage, monkeypatch):
    monkeypatch.setattr(examining, "MOST_ROWS", 3)
    cache = stage.agent.node.caches[51]
    for number in range(2000):
        bind(cache, number)
    answer = stage.ask("rows", vrid=51, parts=[3, 4, 5])["result"]
    assert answer["parts"] == [3]
    assert len(answer["bindings"]) > 3


def test_bindings_come_in_pages_by_home_address(stage):
    cache = stage.agent.node.bindings(51)
    for number in (9, 3, 27, 1, 12):
        bind(cache, number)
    first = stage.ask("bindings", vrid=51, limit=2)["result"]
    assert [b["home_address"] for b in first["bindings"]] == ["2001:db8:1::1", "2001:db8:1::3"]
    assert first["total"] == 5
    assert first["digest"] == f"{cache.digest:016x}"
    second = stage.ask("bindings", vrid=51, limit=2, after=first["next"])["result"]
    third = stage.ask("bindings", vrid=51, limit=2, after=second["next"])["result"]
    rest = [b["sequence"] for page in (second, third) for b in page["bindings"]]
    assert rest == [9, 12, 27]
    assert third["next"] is None


def test_pages_of_many_bindings_join_to_all_of_them(stage):
    cache = stage.agent.node.bindings(51)
    for number in range(1, 3001):
        bind(cache, number * 7919 % 65536)
    seen, after = [], None
    while True:
        page = stage.ask("bindings", vrid=51, limit=700, after=after)["result"]
        seen += [packed(b["home_address"]) for b in page["bindings"]]
        after = page["next"]
        if after is None:
            break
    assert seen == sorted(b.home_address for b in cache)


def test_one_binding_can_be_asked_for(stage):
    bind(stage.agent.node.bindings(51), 5)
    (found,) = stage.ask("bindings", vrid=51, home_address="2001:db8:1:0::5")["result"]["bindings"]
    assert found["care_of_address"] == "2001:db8:2::77"
    assert found["flags"] == "AHL"
    assert 99 < found["remaining_s"] <= 100
    assert stage.ask("bindings", vrid=51, home_address="2001:db8:1::6")["result"]["bindings"] == []


def test_events_after_a_number(stage):
    for kind in ("one", "two", "three"):
        stage.agent.journal.report("info", kind, 51)
    result = stage.ask("events", after=1)["result"]
    assert [event["kind"] for event in result["events"]] == ["two", "three"]
    assert result["last"] == 3


def test_a_follower_hears_of_events_as_they_happen(stage):
    stage.agent.journal.report("info", "before")
    client = stage.connect()
    client.sendall(b'{"v": 1, "id": 1, "call": "events", "args": {"follow": true}}\n')
    stage.work()
    with client.makefile("rb") as lines:
        assert [e["kind"] for e in json.loads(lines.readline())["result"]["events"]] == ["before"]
        assert not stage.work(), "a follower without news must not keep the loop busy"
        stage.agent.journal.report("warning", "news", 51, {"cause": "test"})
        stage.work()
        (event,) = json.loads(lines.readline())["result"]["events"]
    assert (event["kind"], event["vrid"], event["cause"]) == ("news", 51, "test")


def test_a_client_that_does_not_read_costs_neither_time_nor_memory(stage):
    for number in range(2000):
        bind(stage.agent.node.bindings(51), number)
    lazy = stage.connect()
    request = b'{"v": 1, "id": 1, "call": "bindings", "args": {"vrid": 51, "limit": 10000}}\n'
    lazy.sendall(request * 30)
    assert not stage.work(2000), "nothing can be done for it, so the loop must be able to wait"
    (client,) = stage.server._clients.values()
    assert len(client.unsent) < 2 * UNREAD_LIMIT
    assert stage.ask("status")["ok"]


def test_a_line_without_end_is_cut_off(stage):
    client = stage.connect()
    client.setblocking(False)
    for _unused in range(2 * LONGEST_REQUEST // 4096 + 2):
        try:
            client.send(b"x" * 4096)
        except (BlockingIOError, BrokenPipeError):
            pass
        stage.work(2)
    assert not stage.server._clients


def test_a_client_that_leaves_is_forgotten(stage):
    for request in (b"", b'{"v": 1', b'{"v": 1, "id": 1, "call": "events", "args": {"follow": true}}\n'):
        client = stage.connect()
        client.sendall(request)
        stage.work()
        client.close()
        stage.work()
    assert not stage.server._clients


def test_a_socket_left_behind_is_replaced_but_a_live_one_is_not(tmp_path):
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(tmp_path / "control.sock"))
    dead.close()
    stage = Stage(tmp_path)
    with pytest.raises(OSError, match="another agent answers"):
        ControlServer(stage.path, "root", stage.poller, Calls(stage.agent).handle)
    assert stage.ask("status")["ok"]
    stage.server.close()


def test_socket_is_for_its_group_and_nobody_else(stage):
    status = Path(stage.path).stat()
    assert status.st_mode & 0o777 == 0o660


def test_client_passes_a_refusal_on_with_its_remedy(stage):
    done = threading.Event()

    def serve():
        while not done.is_set():
            stage.work(5)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with Client(stage.path) as client:
            assert client.call("repair") == {"repaired": ["a rule was missing"]}
            with pytest.raises(ClientError) as refused:
                client.call("drain", vrids=[9])
    finally:
        done.set()
        thread.join()
    assert refused.value.error["code"] == "unknown_vrid"
    assert "51, 52" in refused.value.error["remedy"]


def test_client_says_so_when_there_is_no_agent(tmp_path):
    with pytest.raises(ClientError) as refused:
        Client(str(tmp_path / "none.sock"))
    assert refused.value.error["code"] == "unreachable"
