# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server side of docs/reference/control-protocol.md: a Unix socket, JSON lines, credentials checked by the kernel.

Nothing a client does or fails to do stalls the loop: reads and writes never block, an answer is a generator of pieces
of which one is made at a time, and a client that does not read gets no more until it does. What the calls mean is in
calls.py.
"""

from __future__ import annotations

import errno
import grp
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .poller import BROKEN, READABLE, WRITABLE, Poller

VERSION = 1
LONGEST_REQUEST = 64 << 10
UNREAD_LIMIT = 256 << 10  # octets waiting for a client beyond which nothing more is made for it
MOST_CLIENTS = 64
QUEUED_REQUESTS = 32
_SO_PEERGROUPS = 59
_GROUPS_OCTETS = 1024  # as much as Python asks for

Json = dict[str, object]


class CallError(Exception):
    """A call that cannot be answered; code, message and remedy as the protocol has them."""

    def __init__(self, code: str, message: str, remedy: str = "", **more: object) -> None:
        super().__init__(message)
        self.error: Json = {"code": code, "message": message, "remedy": remedy, **more}


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end."""

    uid: int
    may_change: bool


@dataclass(frozen=True, slots=True)
class Request:
    """One line that a client sent."""

    call: str
    arguments: Json
    peer: Peer


# An answer in pieces of text that join to one or more lines; None says: nothing for now, ask again when woken.
Answer = Iterator[str | None]
# What answers a request: the result's JSON in pieces. CallError may be raised before the first one.
Handler = Callable[[Request], Answer]


class _Client:
    """One connection."""

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self.socket = sock
        self.peer = peer
        self.unread = bytearray()  # received, not a whole line yet
        self.unsent = bytearray()
        self.requests: deque[bytes] = deque()
        self.answer: Answer | None = None
        self.asleep = False  # the answer waits for something to happen
        self.leaving = False  # will send no more requests
        self.interest = READABLE


class ControlServer:
    """Owns the socket file and the clients; shares the loop's poller."""

    def __init__(self, path: str, group: str, poller: Poller, handler: Handler) -> None:
        self._path = path
        self._poller = poller
        self._handler = handler
        self._clients: dict[int, _Client] = {}
        self.warning: str | None = None
        self._group_id = self._find_group(group)
        self._socket = self._listen()
        poller.add(self._socket.fileno(), lambda _: self._accept())

    def close(self) -> None:
        """No more calls; the socket file goes."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._poller.remove(self._socket.fileno())
        self._socket.close()
        Path(self._path).unlink(missing_ok=True)

    def wake(self) -> None:
        """Something happened that answers in progress may wait for."""
        for client in self._clients.values():
            client.asleep = False

    def work(self) -> bool:
        """One piece of answer for each client that can take it; True while there is more to do at once."""
        busy = False
        for client in list(self._clients.values()):
            if client.answer is None and client.requests:
                client.answer = self._answer(client, client.requests.popleft())
            if client.answer is None or client.asleep or len(client.unsent) > UNREAD_LIMIT:
                continue
            self._advance(client)
            if client.socket.fileno() >= 0:
                self._write(client)
                busy = busy or (bool(client.answer or client.requests) and not client.asleep and not client.unsent)
        return busy

    # --- connections ---------------------------------------------------------------------------------------

    def _find_group(self, group: str) -> int | None:
        try:
            return grp.getgrnam(group).gr_gid
        except KeyError:
            self.warning = f"there is no group '{group}': only root can use {self._path}"
            return None

    def _listen(self) -> socket.socket:
        Path(self._path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self._path)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                Path(self._path).unlink()  # left behind by an agent that was killed
            elif error.errno != errno.ENOENT:
                raise
        else:
            sock.close()
            raise OSError(errno.EADDRINUSE, "another agent answers on the control socket", self._path)
        sock.close()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o117)
        try:
            sock.bind(self._path)
        finally:
            os.umask(before)
        if self._group_id is not None:
            try:
                os.chown(self._path, -1, self._group_id)
            except PermissionError:
                self.warning = f"the group of {self._path} cannot be set: the agent is not a member of it"
        sock.listen(MOST_CLIENTS)
        return sock

    def _accept(self) -> None:
        try:
            sock, _unused = self._socket.accept()
        except OSError:
            return  # gone already, or out of descriptors
        peer = self._identify(sock)
        if peer is None or len(self._clients) >= MOST_CLIENTS:
            code = "forbidden" if peer is None else "internal"
            message = "not a member of the control socket's group" if peer is None else "too many clients"
            self._refuse(sock, code, message)
            return
        sock.setblocking(False)
        client = self._clients[sock.fileno()] = _Client(sock, peer)
        self._poller.add(sock.fileno(), lambda events: self._ready(client, events))

    @staticmethod
    def _refuse(sock: socket.socket, code: str, message: str) -> None:
        line = json.dumps({"v": VERSION, "id": None, "ok": False, "error": CallError(code, message).error})
        try:
            sock.send(line.encode() + b"\n", socket.MSG_DONTWAIT)
        except OSError:
            pass
        sock.close()

    def _identify(self, sock: socket.socket) -> Peer | None:
        _pid, uid, gid = struct.unpack("@iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid in (0, os.geteuid()):
            return Peer(uid, may_change=uid == 0)
        try:
            data = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_OCTETS)
            groups = {gid, *struct.unpack(f"@{len(data) // 4}I", data)}
        except OSError:
            groups = {gid}
        return Peer(uid, may_change=False) if self._group_id in groups else None

    def _drop(self, client: _Client) -> None:
        descriptor = client.socket.fileno()
        if descriptor >= 0:
            self._poller.remove(descriptor)
            del self._clients[descriptor]
            client.socket.close()

    def _ready(self, client: _Client, events: int) -> None:
        if events & (READABLE | BROKEN):
            self._read(client)
        if events & WRITABLE and client.socket.fileno() >= 0:
            self._write(client)

    def _read(self, client: _Client) -> None:
        if len(client.requests) >= QUEUED_REQUESTS:
            self._watch(client)
            return
        try:
            data = client.socket.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        client.unread += data
        *lines, rest = client.unread.split(b"\n")
        client.requests.extend(bytes(line) for line in lines if line.strip())
        client.unread = rest
        following = client.answer is not None and client.asleep
        if len(rest) > LONGEST_REQUEST or (not data and (following or not (client.answer or client.requests))):
            self._drop(client)
            return
        client.leaving = client.leaving or not data
        self._watch(client)

    def _write(self, client: _Client) -> None:
        try:
            while client.unsent:
                del client.unsent[: client.socket.send(client.unsent[:65536])]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if client.leaving and not (client.unsent or client.answer or client.requests):
            self._drop(client)
            return
        self._watch(client)

    def _watch(self, client: _Client) -> None:
        """Ask epoll for no more than what can be acted upon: level-triggered, anything else would spin."""
        interest = WRITABLE if client.unsent else 0
        if not client.leaving and len(client.requests) < QUEUED_REQUESTS:
            interest |= READABLE
        if interest != client.interest:
            client.interest = interest
            self._poller.change(client.socket.fileno(), interest)

    # --- answers -------------------------------------------------------------------------------------------

    def _advance(self, client: _Client) -> None:
        assert client.answer
        try:
            piece = next(client.answer)
        except StopIteration:
            client.answer = None
            client.asleep = False
            return
        except Exception as error:  # too late for an error line: half a result is out already
            self.warning = f"an answer broke off: {type(error).__name__}: {error}"
            self._drop(client)
            return
        if piece is None:
            client.asleep = True
        else:
            client.unsent += piece.encode()

    def _answer(self, client: _Client, line: bytes) -> Answer:
        number: object = None
        try:
            request = _parse(line)
            number = request.get("id")
            call, arguments = _checked(request)
            pieces = self._handler(Request(call, arguments, client.peer))
            first = next(pieces, "null")
        except CallError as error:
            yield json.dumps({"v": VERSION, "id": number, "ok": False, "error": error.error}) + "\n"
            return
        except Exception as error:  # a fault of ours must not take the agent down; the caller hears of it
            problem = CallError("internal", f"{type(error).__name__}: {error}", "Look at the agent's log.")
            yield json.dumps({"v": VERSION, "id": number, "ok": False, "error": problem.error}) + "\n"
            return
        start = f'{{"v": {VERSION}, "id": {json.dumps(number)}, "ok": true, "result": '
        yield from _lines(start, first, pieces)


def _lines(start: str, piece: str | None, pieces: Answer) -> Answer:
    """Put each result into the protocol's frame; a result ends where the handler says END."""
    fresh = True
    while True:
        if piece is None:
            yield None
        elif piece == END:
            yield "}\n"
            fresh = True
        else:
            yield start + piece if fresh else piece
            fresh = False
        try:
            piece = next(pieces)
        except StopIteration:
            break
    if not fresh:
        yield "}\n"


END = "\0end of one result"  # for calls that give several


def _parse(line: bytes) -> Json:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise CallError("bad_request", "not a JSON object in one line", "See the control protocol.") from None
    if not isinstance(request, dict):
        raise CallError("bad_request", "not a JSON object", "See the control protocol.")
    return request


def _checked(request: Json) -> tuple[str, Json]:
    if request.get("v") != VERSION:
        remedy = f"Speak version {VERSION}."
        raise CallError("unsupported_version", f"version {request.get('v')!r} is not known", remedy)
    call, arguments = request.get("call"), request.get("args", {})
    if not isinstance(call, str) or not isinstance(arguments, (dict, type(None))):
        raise CallError("bad_request", "'call' must be a string and 'args' an object", "See the control protocol.")
    return call, arguments or {}
