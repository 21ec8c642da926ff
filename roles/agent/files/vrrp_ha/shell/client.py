# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line's side of the control protocol (docs/reference/control-protocol.md): asks, and waits for answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

VERSION = 1
PATIENCE_S = 10.0


class ClientError(Exception):
    """No answer, or an answer that says no; code, message and remedy for whoever asked."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message")))
        self.error = error


def _unreachable(path: str, reason: str) -> ClientError:
    remedy = "Is the agent running (systemctl status vrrp-ha)? Is this its socket (--socket, --config)?"
    return ClientError({"code": "unreachable", "message": f"no agent answers on {path}: {reason}", "remedy": remedy})


class Client:
    """One connection; use it as a context manager."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE_S)
        try:
            self._socket.connect(path)
        except PermissionError:
            self._socket.close()
            remedy = "Run it as root or as a member of the socket's group."
            raise ClientError({"code": "forbidden", "message": f"you may not use {path}", "remedy": remedy}) from None
        except OSError as error:
            self._socket.close()
            raise _unreachable(path, error.strerror or str(error)) from None
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def call(self, name: str, **arguments: object) -> Any:
        """The result of one call."""
        self._send(name, arguments)
        return self._receive()

    def follow(self, name: str, **arguments: object) -> Iterator[Any]:
        """One result after the other, for as long as the agent lives."""
        self._send(name, {**arguments, "follow": True})
        self._socket.settimeout(None)
        while True:
            yield self._receive()

    def _send(self, name: str, arguments: dict[str, object]) -> None:
        given = {key: value for key, value in arguments.items() if value is not None}
        request = {"v": VERSION, "id": 1, "call": name, "args": given}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise _unreachable(self._path, error.strerror or str(error)) from None

    def _receive(self) -> Any:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise _unreachable(self._path, f"no answer within {PATIENCE_S:g} s") from None
        except OSError as error:
            raise _unreachable(self._path, error.strerror or str(error)) from None
        if not line:
            raise _unreachable(self._path, "the connection was closed")
        answer = json.loads(line)
        if not answer.get("ok"):
            raise ClientError(answer["error"])
        return answer["result"]
