# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics over HTTP, asked for by Python's own client and by clients that misbehave."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from vrrp_ha.shell import metrics_server
from vrrp_ha.shell.metrics_config import parse_listen
from vrrp_ha.shell.metrics_server import MetricsServer
from vrrp_ha.shell.poller import Poller

TEXT = "# HELP a A.\n# TYPE a gauge\na 1\n"


class Loop:
    """A server and turns of a loop for it, as many as a test wants."""

    def __init__(self, path, exposition=lambda: iter([TEXT[:5], "", TEXT[5:]])):
        self.path = str(path)
        self.poller = Poller()
        self.server = MetricsServer(self.poller, exposition)
        self.server.follow(self.path)

    def turn(self, times=1):
        for _unused in range(times):
            self.poller.poll(wait=False)
            self.server.work()

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(self.path)
        return client

    def ask(self, octets):
        """Everything that comes back until the server closes."""
        client = self.connect()
        client.sendall(octets)
        received = b""
        client.setblocking(False)
        for _unused in range(1000):
            self.turn()
            try:
                more = client.recv(65536)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return received
            if not more:
                return received
            received += more
        raise AssertionError(f"no end: {received!r}")


@pytest.fixture
def loop(tmp_path):
    loop = Loop(tmp_path / "metrics.sock")
    yield loop
    loop.server.close()


def test_a_client_of_another_make_gets_the_text(loop):
    done = threading.Event()
    answers = []

    def ask():
        connection = http.client.HTTPConnection("localhost")
        connection.sock = loop.connect()
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        answers.append((answer.status, answer.getheader("Content-Type"), answer.read().decode()))
        done.set()

    threading.Thread(target=ask, daemon=True).start()
    while not done.is_set():
        loop.turn()
    assert answers == [(200, "text/plain; version=0.0.4; charset=utf-8", TEXT)]


def test_a_head_request_gets_the_length_alone(loop):
    head, _unused, body = loop.ask(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert f"Content-Length: {len(TEXT)}".encode() in head
    assert body == b""


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics?x=1 HTTP/1.0", 200),
        (b"GET / HTTP/1.1", 404),
        (b"GET /metrics/../../etc/passwd HTTP/1.1", 404),
        (b"POST /metrics HTTP/1.1", 405),
        (b"GET /metrics", 400),
        (b"\xff\xfe", 400),
        (b"", 400),
        (b"GET /metrics HTTP/2", 400),
    ],
)
def test_what_is_asked_decides_the_status(loop, request_line, status):
    answer = loop.ask(request_line + b"\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close\r\n" in answer


def test_a_request_without_end_is_refused(loop):
    assert loop.ask(b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 2000).startswith(b"HTTP/1.1 431 ")


def test_a_client_that_leaves_is_forgotten(loop):
    client = loop.connect()
    client.sendall(b"GET /met")
    loop.turn(3)
    client.close()
    loop.turn(3)
    assert not loop.server._clients


def test_slow_clients_are_cut_off(loop, monkeypatch):
    monkeypatch.setattr(metrics_server, "PATIENCE_US", 0)
    client = loop.connect()
    loop.turn()
    loop.server.tick()
    assert client.recv(1) == b""


def test_more_clients_than_there_is_room_for_are_turned_away(loop):
    clients = [loop.connect() for _unused in range(metrics_server.MOST_CLIENTS)]
    loop.turn(metrics_server.MOST_CLIENTS)
    last = loop.connect()
    loop.turn(2)
    assert last.recv(1) == b""
    clients[0].close()
    loop.turn(2)
    assert loop.ask(b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_fault_in_the_text_is_an_answer_and_no_exception(tmp_path):
    def broken():
        yield "a"
        raise KeyError("family")

    loop = Loop(tmp_path / "metrics.sock", broken)
    assert loop.ask(b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 500 ")
    loop.server.close()


def test_the_socket_is_for_everybody_and_goes_with_the_server(tmp_path):
    path = tmp_path / "metrics.sock"
    loop = Loop(path)
    assert path.stat().st_mode & 0o777 == 0o666
    loop.server.follow(None)
    assert not path.exists()


def test_a_dead_agent_s_socket_is_taken_over_and_another_file_is_not(tmp_path):
    path = tmp_path / "metrics.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    loop = Loop(path)
    assert loop.server.failure is None
    loop.server.close()
    path.write_text("mine")
    loop = Loop(path)
    assert loop.server.failure == f"{path}: Address already in use"
    loop.server.close()
    assert path.read_text() == "mine"


def test_what_could_not_be_opened_is_tried_again(tmp_path):
    path = tmp_path / "missing" / "metrics.sock"
    loop = Loop(path)
    assert loop.server.failure == f"{path}: No such file or directory"
    path.parent.mkdir()
    loop.server.tick()
    assert loop.server.failure is None
    assert loop.ask(b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    loop.server.close()


@pytest.mark.parametrize(
    ("listen", "place"),
    [
        ("127.0.0.1:9909", ("127.0.0.1", 9909)),
        ("[::1]:9909", ("::1", 9909)),
        ("/run/vrrp-ha/metrics.sock", ("", 0)),
        ("0.0.0.0:9909", None),
        ("[::]:9909", None),
        ("[2001:db8::1]:9909", None),
        ("::1:9909", None),
        ("[127.0.0.1]:9909", None),
        ("127.0.0.1:0", None),
        ("127.0.0.1:70000", None),
        ("localhost:9909", None),
        (":9909", None),
        ("9909", None),
        ("", None),
    ],
)
def test_only_places_on_the_loopback_are_listened_at(listen, place):
    assert parse_listen(listen) == place
