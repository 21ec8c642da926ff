# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""GET /metrics over HTTP, on the loopback or a Unix socket: for a Prometheus or a proxy on the same host.

No more HTTP than that takes (RFC 9110): one request a connection, of which the first line counts. It shares the loop:
reads and writes never block, the text is made in pieces, and who is slow is cut off.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.types import SECOND, Instant
from .clock import monotonic
from .metrics import CONTENT_TYPE
from .metrics_config import parse_listen
from .poller import BROKEN, READABLE, WRITABLE, Poller

PATH = "/metrics"
LONGEST_REQUEST = 8 << 10
MOST_CLIENTS = 16
PATIENCE_US = 10 * SECOND  # for a client, from its connection to its last octet
_END_OF_REQUEST = b"\r\n\r\n"
_STATUSES = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 431: "Too Large", 500: "Fault"}

Exposition = Callable[[], Iterator[str]]


class _Client:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.until = Instant(monotonic() + PATIENCE_US)
        self.request = bytearray()
        self.making: Iterator[str] | None = None
        self.made: list[str] = []
        self.bodiless = False
        self.unsent = memoryview(b"")


class MetricsServer:
    """Nothing until follow() names a place to listen at."""

    def __init__(self, poller: Poller, exposition: Exposition) -> None:
        self.failure: str | None = None
        self._poller = poller
        self._exposition = exposition
        self._listen: str | None = None
        self._socket: socket.socket | None = None
        self._clients: dict[int, _Client] = {}

    def follow(self, listen: str | None) -> None:
        """Listen there from now on, and nowhere else; what goes wrong is in `failure`, and tried again by tick()."""
        if listen != self._listen:
            self.close()
            self._listen = listen
            self.tick()

    def tick(self) -> None:
        """Now and then: who is too slow goes, and what could not be opened is tried again."""
        for client in list(self._clients.values()):
            if monotonic() >= client.until:
                self._drop(client)
        if self._listen is not None and self._socket is None:
            try:
                self._socket = _listener(self._listen)
            except OSError as error:
                self.failure = f"{self._listen}: {error.strerror}"
                return
            self.failure = None
            self._poller.add(self._socket.fileno(), lambda _: self._accept())

    def work(self) -> bool:
        """A piece for each client that waits; True while there is more."""
        busy = False
        for client in list(self._clients.values()):
            if client.making is not None:
                busy = self._advance(client, client.making) or busy
        return busy

    def _advance(self, client: _Client, making: Iterator[str]) -> bool:
        try:
            piece = next(making, None)
        except Exception as error:  # a fault of ours must not take the home agent down
            self._answer(client, 500, f"{type(error).__name__}: {error}\n")
            return False
        if piece is None:
            self._answer(client, 200, "".join(client.made))
            return False
        client.made.append(piece)
        return True

    def close(self) -> None:
        """Listen no more."""
        for client in list(self._clients.values()):
            self._drop(client)
        if self._socket is not None:
            self._poller.remove(self._socket.fileno())
            self._socket.close()
            if self._listen and self._listen.startswith("/"):
                Path(self._listen).unlink(missing_ok=True)
        self._socket = self._listen = self.failure = None

    # --- connections ---------------------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._socket
        try:
            sock, _unused = self._socket.accept()
        except OSError:
            return  # gone already, or out of descriptors
        if len(self._clients) >= MOST_CLIENTS:
            sock.close()
            return
        sock.setblocking(False)
        client = self._clients[sock.fileno()] = _Client(sock)
        self._poller.add(sock.fileno(), lambda events: self._ready(client, events))

    def _ready(self, client: _Client, events: int) -> None:
        if events & READABLE:
            self._read(client)
        elif events & BROKEN:
            self._drop(client)
        elif events & WRITABLE:
            self._write(client)

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.request += data
        if _END_OF_REQUEST in client.request:
            self._poller.change(client.socket.fileno(), 0)
            self._understand(client)
        elif len(client.request) > LONGEST_REQUEST:
            self._answer(client, 431, "This is more than a request for metrics takes.\n")
        elif not data:
            self._drop(client)

    def _understand(self, client: _Client) -> None:
        words = bytes(client.request).split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            self._answer(client, 400, "This speaks HTTP/1.1.\n")
        elif words[0] not in ("GET", "HEAD"):
            self._answer(client, 405, "Metrics are for reading.\n")
        elif words[1].partition("?")[0] != PATH:
            self._answer(client, 404, f"Metrics are at {PATH}.\n")
        else:
            client.bodiless = words[0] == "HEAD"
            client.making = self._exposition()

    def _answer(self, client: _Client, status: int, text: str) -> None:
        client.making = None
        body = text.encode()
        kind = CONTENT_TYPE if status == 200 else "text/plain; charset=utf-8"
        allowed = "Allow: GET, HEAD\r\n" if status == 405 else ""
        head = f"HTTP/1.1 {status} {_STATUSES[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        head += f"{allowed}Connection: close\r\n\r\n"
        client.unsent = memoryview(head.encode() + (b"" if client.bodiless else body))
        self._poller.change(client.socket.fileno(), WRITABLE)

    def _write(self, client: _Client) -> None:
        try:
            client.unsent = client.unsent[client.socket.send(client.unsent[:65536]) :]
        except BlockingIOError:
            return
        except OSError:
            client.unsent = memoryview(b"")
        if not client.unsent:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        descriptor = client.socket.fileno()
        self._poller.remove(descriptor)
        del self._clients[descriptor]
        client.socket.close()


def _listener(listen: str) -> socket.socket:
    host, port = parse_listen(listen) or ("", 0)
    family = socket.AF_UNIX if not host else socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if host:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
        else:
            _remove_dead(listen)
            before = os.umask(0o111)  # for everybody: there is nothing secret in it
            try:
                sock.bind(listen)
            finally:
                os.umask(before)
        sock.listen(MOST_CLIENTS)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_dead(path: str) -> None:
    """The socket of an agent that was killed; nobody else's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED and Path(path).is_socket():
                Path(path).unlink()
