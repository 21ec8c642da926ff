# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's control socket, from the side of a module: one JSON object a line, in each direction.

The protocol is docs/reference/control-protocol.md. Whatever goes wrong comes out as a ControlError whose
text names the socket and what to do about it.
"""

from __future__ import annotations

import json
import socket
import time

VERSION = 1


class ControlError(Exception):
    """The agent did not do what it was asked; the code is the protocol's, or "unreachable"."""

    def __init__(self, code, message, remedy=""):
        super().__init__(message + ("; " + remedy if remedy else ""))
        self.code = code
        self.message = message
        self.remedy = remedy


class ControlClient:
    """Calls over a new connection each, so that a restart of the agent between two calls does not matter."""

    def __init__(self, path, timeout=5.0):
        self.path = path
        self.timeout = timeout

    def call(self, name, **arguments):
        """The result of one call; ControlError if there is none."""
        request = {"v": VERSION, "id": 1, "call": name, "args": arguments}
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                stream.settimeout(self.timeout)
                stream.connect(self.path)
                stream.sendall(json.dumps(request).encode() + b"\n")
                with stream.makefile("rb") as lines:
                    line = lines.readline()
        except OSError as error:
            raise ControlError(
                "unreachable",
                "the agent does not answer on {0}: {1}".format(self.path, error.strerror or error),
                "see 'systemctl status vrrp-ha' and 'journalctl -u vrrp-ha'",
            ) from error
        return self._result(name, line)

    def _result(self, name, line):
        try:
            answer = json.loads(line.decode())
            if answer["ok"]:
                return answer["result"]
            error = answer["error"]
            raise ControlError(error["code"], error["message"], error.get("remedy") or "")
        except (ValueError, KeyError, TypeError) as problem:
            raise ControlError(
                "unreachable",
                "the agent's answer to {0} on {1} is not one of protocol version {2}: {3!r}".format(
                    name, self.path, VERSION, line[:200]
                ),
                "is the agent older than the collection? Deploy it first",
            ) from problem


class Deadline:
    """Asks again and again until something holds or the time is up; the clock comes in for the tests."""

    def __init__(self, seconds, clock=time.monotonic, pause=time.sleep, interval=0.1):
        self._clock = clock
        self._pause = pause
        self._interval = interval
        self._end = clock() + seconds

    def wait(self, missing):
        """Call missing() until it returns nothing to wait for; returns what was still missing at the end."""
        while True:
            what = missing()
            if not what or self._clock() >= self._end:
                return what
            self._pause(self._interval)
