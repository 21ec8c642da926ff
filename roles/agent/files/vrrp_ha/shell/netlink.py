# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink sockets and attributes: just enough to send many messages at once and to read dumps.

Owns framing, acknowledgements and kernel errors. Knows no object of the kernel: links.py, forwarding.py and guard.py
do. pyroute2 takes longer to import than an activation, or a whole clean-up, may last, hence these few lines.
Format: netlink(7), RFC 3549.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

ROUTE = 0
NETFILTER = 12

REQUEST = 0x1
ACK = 0x4
REPLACE = 0x100
EXCLUSIVE = 0x200
CREATE = 0x400
APPEND = 0x800
DUMP = 0x300

_ERROR = 2
_DONE = 3
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_CAPPED = 0x100
_HAS_ATTRIBUTES = 0x200
_SOL_NETLINK = 270
_CAP_ACK = 10
_EXTENDED_ACK = 11
_STRICT_CHECK = 12
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_BUFFER = 8 << 20
_READ = 1 << 18

HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")


class NetlinkError(OSError):
    """The kernel refused a message; strerror carries its own explanation where it gave one."""


class Failure(NamedTuple):
    """One refused message of a transaction: the error and the message itself, as far as the kernel echoed it."""

    error: int
    text: str
    request: bytes

    def exception(self) -> NetlinkError:
        """The failure as something to raise."""
        return NetlinkError(self.error, self.text)


def message(kind: int, flags: int, body: bytes) -> bytes:
    """One netlink message; sequence numbers are not used, see Netlink.transact."""
    length = 16 + len(body)
    return HEADER.pack(length, kind, flags | REQUEST, 0, 0) + body + bytes(-length & 3)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length & 3)


def attribute_u32(kind: int, value: int) -> bytes:
    """An attribute of 32 bits in the host's byte order, as rtnetlink has them."""
    return attribute(kind, _U32.pack(value))


def attribute_string(kind: int, value: str) -> bytes:
    """An attribute that is a string with its NUL."""
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *values: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(kind | _NESTED, b"".join(values))


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from offset on; of several of one kind the last, as the kernel reads them."""
    return dict(each_attribute(data, offset))


def each_attribute(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes from offset on, in order."""
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += length + 3 & ~3


def u32(data: bytes) -> int:
    """A 32-bit value in the host's byte order."""
    return int(_U32.unpack_from(data)[0])


class Netlink:
    """A netlink socket for transactions and dumps, one after the other.

    The kernel handles a request inside sendmsg, so the answers of a transaction are all there when send returns:
    no sequence numbers, no waiting.
    """

    def __init__(self, protocol: int, groups: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        for option in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE):
            self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self._socket.setsockopt(_SOL_NETLINK, _EXTENDED_ACK, 1)
        if protocol == NETFILTER:  # its messages can be long; the errors of rtnetlink tell which message by echoing it
            self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        if protocol == ROUTE:
            self._socket.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)  # the kernel filters dumps by table
        self._socket.bind((0, groups))

    def fileno(self) -> int:
        """For the loop to wait on, when subscribed to groups."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def transact(self, data: bytes) -> list[Failure]:
        """Send messages and return those that the kernel refused. Raises OSError when it took none of them."""
        if not data:  # which the kernel would refuse
            return []
        self._socket.send(data)
        return [
            Failure(number, _explanation(body, flags) or os.strerror(number), body[4:])
            for kind, flags, body in self._queued()
            if kind == _ERROR and (number := _error_number(body))
        ]

    def call(self, data: bytes, ignore: Iterable[int] = ()) -> None:
        """Send messages, if any, and raise the first error that is not to be ignored."""
        if not data:
            return
        for failure in self.transact(data):
            if failure.error not in ignore:
                raise failure.exception()

    def get(self, kind: int, body: bytes) -> bytes | None:
        """The body of the one object that is asked for; None when there is no such thing."""
        self._socket.send(message(kind, 0, body))
        answer = None
        for reply, flags, content in self._queued():
            if reply != _ERROR:
                answer = content
            elif (number := _error_number(content)) not in (0, errno.ENODEV, errno.ENOENT):
                raise NetlinkError(number, _explanation(content, flags) or os.strerror(number))
        return answer

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The bodies of what the kernel lists. Read it to the end before the next request."""
        self._socket.send(message(kind, DUMP, body))
        while True:
            for answer, flags, content in _split(self._socket.recv(_READ)):
                if answer not in (_DONE, _ERROR):
                    yield content
                    continue
                number = _error_number(content) if len(content) >= 4 else 0
                if number not in (0, errno.ENOENT):  # ENOENT: what was to be listed is not there
                    raise NetlinkError(number, _explanation(content, flags) or os.strerror(number))
                return

    def notifications(self) -> Iterator[tuple[int, bytes]]:
        """Kind and body of what the subscribed groups said; OSError ENOBUFS when some of it was lost."""
        return ((kind, body) for kind, _unused, body in self._queued())

    def _queued(self) -> Iterator[tuple[int, int, bytes]]:
        while True:
            try:
                data = self._socket.recv(_READ, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            yield from _split(data)


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + 16 <= len(data):
        length, kind, flags, _unused, _unused = HEADER.unpack_from(data, offset)
        if length < 16:
            return
        yield kind, flags, data[offset + 16 : offset + length]
        offset += length + 3 & ~3


def _error_number(body: bytes) -> int:
    return -int(struct.unpack_from("=i", body)[0])


def _explanation(body: bytes, flags: int) -> str:
    """What the kernel says beside the number: attributes behind the echo of the request (NETLINK_EXT_ACK)."""
    if not flags & _HAS_ATTRIBUTES or len(body) < 20:
        return ""
    echoed = 16 if flags & _CAPPED else u32(body[4:])
    return attributes(body, 4 + (echoed + 3 & ~3)).get(1, b"").rstrip(b"\0").decode(errors="replace")
