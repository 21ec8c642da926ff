# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of nf_tables: a batch is one atomic change of the packet filter.

guard.py says what is filtered; here is only how that is written for the kernel. The `nft` command is not used: it
reads the whole ruleset, big sets included, before it changes anything, and a takeover cannot wait for a process.
Integers are in network order here, unlike in rtnetlink. Format: linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence

from . import netlink
from .netlink import Netlink, attribute, attribute_string, attributes, each_attribute, message, nested

_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _GET_TABLE, _DEL_TABLE = 0, 1, 2
_NEW_CHAIN, _GET_CHAIN, _DEL_CHAIN = 3, 4, 5
_NEW_RULE, _GET_RULE, _DEL_RULE = 6, 7, 8
_NEW_SET, _GET_SET, _DEL_SET = 9, 10, 11
_NEW_ELEMENT, _GET_ELEMENT, _DEL_ELEMENT = 12, 13, 14
_NEW_OBJECT, _GET_OBJECT = 18, 19
_FAMILY_INET = 1
_GENERIC = struct.Struct("!BBH")

_OBJECT_COUNTER = 1
_SET_ANONYMOUS, _SET_CONSTANT, _SET_MAP = 0x1, 0x2, 0x8
_DATA_VERDICT = 0xFFFFFF00
_BASES = {"network": 1, "transport": 2}
_EQUAL, _GREATER = 0, 4
_CHECKSUM_INET = 1
_REGISTER_VERDICT = 0
REGISTER = 1  # sixteen octets from here; a second operand follows in SECOND
SECOND = 2

TYPE_IPV6_ADDRESS = 8
TYPE_INTERFACE = 20
TYPE_ADDRESS_PAIR = TYPE_IPV6_ADDRESS << 6 | TYPE_IPV6_ADDRESS

# The largest list of elements that fits into one attribute (its length has 16 bits), with room to spare.
_ELEMENTS_PER_MESSAGE = 1000


def _be32(value: int) -> bytes:
    return struct.pack("!I", value & 0xFFFFFFFF)


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, _be32(value))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return message(_SUBSYSTEM << 8 | kind, flags, _GENERIC.pack(_FAMILY_INET, 0, 0) + body)


def batch(*messages: bytes) -> bytes:
    """Messages that take effect together or not at all."""
    edge = _GENERIC.pack(0, 0, _SUBSYSTEM)
    return message(_BATCH_BEGIN, 0, edge) + b"".join(messages) + message(_BATCH_END, 0, edge)


# --- expressions: each is packed ready for a rule ----------------------------------------------------------


def _expression(name: str, *values: bytes) -> bytes:
    return nested(1, attribute_string(1, name), nested(2, *values))


def _value(data: bytes) -> bytes:
    return attribute(1, data)


def load(base: str, offset: int, length: int, register: int = REGISTER) -> bytes:
    """Octets of the packet; base is network or transport."""
    where = _number(2, _BASES[base]), _number(3, offset), _number(4, length)
    return _expression("payload", _number(1, register), *where)


def meta(key: str, register: int = REGISTER) -> bytes:
    """Something the kernel knows of the packet."""
    keys = {"iif": 4, "oif": 5, "iifname": 6, "oifname": 7, "nfproto": 15, "l4proto": 16}
    return _expression("meta", _number(2, keys[key]), _number(1, register))


def store(base: str, offset: int, length: int, checksum_at: int | None = None) -> bytes:
    """Write the register into the packet; mends the transport layer's checksum that it is part of, if it is."""
    checksum = b"" if checksum_at is None else _number(6, _CHECKSUM_INET) + _number(7, checksum_at)
    where = _number(2, _BASES[base]), _number(3, offset), _number(4, length)
    return _expression("payload", _number(5, REGISTER), *where, checksum)


def constant(data: bytes) -> bytes:
    """Put this into the register."""
    return _expression("immediate", _number(1, REGISTER), nested(2, _value(data)))


def equal(data: bytes) -> bytes:
    """Go on with the rule only if the register holds this."""
    return _compare(_EQUAL, data)


def greater(data: bytes) -> bytes:
    """Go on only if the register holds more than this."""
    return _compare(_GREATER, data)


def _compare(how: int, data: bytes) -> bytes:
    return _expression("cmp", _number(1, REGISTER), _number(2, how), nested(3, _value(data)))


def transparent_proxy() -> bytes:
    """Give TCP over IPv6 to a local socket at the port in the register."""
    return _expression("tproxy", _number(1, socket.AF_INET6), _number(3, REGISTER))


def mask(bits: bytes) -> bytes:
    """Keep only these bits of the register."""
    length = len(bits)
    return _expression(
        "bitwise",
        _number(1, REGISTER),
        _number(2, REGISTER),
        _number(3, length),
        nested(4, _value(bits)),
        nested(5, _value(bytes(length))),
    )


def in_set(name: str) -> bytes:
    """Go on only if the register is in the set."""
    return _expression("lookup", attribute_string(1, name), _number(2, REGISTER))


def not_in_set(name: str) -> bytes:
    """Go on only if the register is not in the set."""
    return _expression("lookup", attribute_string(1, name), _number(2, REGISTER), _number(5, 1))


def verdict_of(name: str) -> bytes:
    """The verdict that a map holds for the register."""
    return _expression("lookup", attribute_string(1, name), _number(2, REGISTER), _number(3, _REGISTER_VERDICT))


def has_extension_header(next_header: int) -> bytes:
    """Go on only if the packet has this extension header."""
    present = _expression(
        "exthdr",
        _number(1, REGISTER),
        attribute(2, bytes((next_header,))),
        _number(3, 0),
        _number(4, 1),
        _number(5, 1),
        _number(6, 0),
    )
    return present + equal(b"\1")


def count(counter: str) -> bytes:
    """Add to a counter object."""
    return _expression("objref", _number(1, _OBJECT_COUNTER), attribute_string(2, counter))


_VERDICTS = {"accept": 1, "drop": 0, "jump": -3, "goto": -4}


def _packed_verdict(word: str, chain: str = "") -> bytes:
    code = _number(1, _VERDICTS[word])
    return nested(2, code, attribute_string(2, chain)) if chain else nested(2, code)


def verdict(word: str, chain: str = "") -> bytes:
    """End the rule: accept, drop, jump or goto."""
    return _expression("immediate", _number(1, _REGISTER_VERDICT), nested(2, _packed_verdict(word, chain)))


# --- objects -----------------------------------------------------------------------------------------------

_HOOKS = {"prerouting": 0, "postrouting": 4}


class Table:
    """The messages for one table of the family inet, by name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._table = attribute_string(1, name)

    def create(self, comment: str) -> bytes:
        """The table itself; the comment is how it remembers something for a later agent."""
        text = comment.encode() + b"\0"
        return _message(_NEW_TABLE, netlink.CREATE, self._table + attribute(6, bytes((0, len(text))) + text))

    def delete(self) -> bytes:
        """The table with all that is in it."""
        return _message(_DEL_TABLE, 0, self._table)

    def base_chain(self, name: str, hook: str, priority: int) -> bytes:
        """A chain that the kernel enters by itself; policy accept."""
        where = nested(4, _number(1, _HOOKS[hook]), _number(2, priority))
        body = self._table + attribute_string(3, name) + where + _number(5, 1) + attribute_string(7, "filter")
        return _message(_NEW_CHAIN, netlink.CREATE, body)

    def chain(self, name: str) -> bytes:
        """A chain that a verdict leads to."""
        return _message(_NEW_CHAIN, netlink.CREATE, self._table + attribute_string(3, name))

    def delete_chain(self, name: str) -> bytes:
        """An empty chain goes."""
        return _message(_DEL_CHAIN, 0, self._table + attribute_string(3, name))

    def rule(self, chain: str, *expressions: bytes) -> bytes:
        """A rule at the end of a chain."""
        body = self._table + attribute_string(2, chain) + nested(4, *expressions)
        return _message(_NEW_RULE, netlink.CREATE | netlink.APPEND, body)

    def flush_chain(self, chain: str) -> bytes:
        """Every rule of a chain goes."""
        return _message(_DEL_RULE, 0, self._table + attribute_string(2, chain))

    def counter(self, name: str) -> bytes:
        """A named counter; keeps its value when it exists."""
        body = self._table + attribute_string(2, name) + _number(3, _OBJECT_COUNTER) + nested(4)
        return _message(_NEW_OBJECT, netlink.CREATE, body)

    def hash_set(self, name: str, key_type: int, key_length: int) -> bytes:
        """A hash set without a size, which grows as needed."""
        body = self._table + attribute_string(2, name) + _number(4, key_type) + _number(5, key_length) + _number(10, 1)
        if key_type == TYPE_INTERFACE:
            body += attribute(13, struct.pack("=BBI", 0, 4, 1))  # for `nft list`: the key is in the host's byte order
        return _message(_NEW_SET, netlink.CREATE, body)

    def verdict_map(self, name: str, key_type: int, key_length: int) -> bytes:
        """A map from keys to verdicts."""
        body = self._table + attribute_string(2, name) + _number(3, _SET_MAP) + _number(4, key_type)
        body += _number(5, key_length) + _number(6, _DATA_VERDICT) + _number(7, 0) + _number(10, 1)
        return _message(_NEW_SET, netlink.CREATE, body)

    def delete_set(self, name: str) -> bytes:
        """A set that no rule uses goes."""
        return _message(_DEL_SET, 0, self._table + attribute_string(2, name))

    def add_elements(self, name: str, keys: Sequence[bytes]) -> bytes:
        """Keys of a set; one that is there already stays."""
        return self._elements(_NEW_ELEMENT, netlink.CREATE, name, keys)

    def delete_elements(self, name: str, keys: Sequence[bytes]) -> bytes:
        """Keys of a set or map; one that is not there makes the whole batch fail."""
        return self._elements(_DEL_ELEMENT, 0, name, keys)

    def add_verdict(self, name: str, key: bytes, chain: str) -> bytes:
        """A key of a verdict map: packets go to this chain for good."""
        element = nested(1, nested(1, _value(key)), nested(2, _packed_verdict("goto", chain)))
        body = self._table + attribute_string(2, name) + nested(3, element)
        return _message(_NEW_ELEMENT, netlink.CREATE, body)

    def _elements(self, kind: int, flags: int, name: str, keys: Sequence[bytes]) -> bytes:
        if not keys:
            return b""
        head = nested(1, nested(1, _value(keys[0])))[: -len(keys[0])]
        prefix = self._table + attribute_string(2, name)
        return b"".join(
            _message(kind, flags, prefix + nested(3, head + head.join(keys[start : start + _ELEMENTS_PER_MESSAGE])))
            for start in range(0, len(keys), _ELEMENTS_PER_MESSAGE)
        )

    # --- reading -------------------------------------------------------------------------------------------

    def comment(self, filter_: Netlink) -> str | None:
        """The table's comment; None when there is no such table."""
        for found in self._dump(filter_, _GET_TABLE, b""):
            if _text(found.get(1, b"")) == self._name:
                data = found.get(6, b"\0\0")
                return _text(data[2 : 2 + data[1]])
        return None

    def rules(self, filter_: Netlink, chain: str | None = None) -> dict[str, list[tuple[int, bytes]]]:
        """Handle and expressions of every rule, in order, by chain; of all chains or of one."""
        where = self._table if chain is None else self._table + attribute_string(2, chain)
        by_chain: dict[str, list[tuple[int, bytes]]] = {}
        for found in self._dump(filter_, _GET_RULE, where):
            rule = int.from_bytes(found[3], "big"), found.get(4, b"")
            by_chain.setdefault(_text(found[2]), []).append(rule)
        return by_chain

    def chains(self, filter_: Netlink) -> set[tuple[str, bytes, bytes]]:
        """Name, hook and policy of every chain."""
        found = self._dump(filter_, _GET_CHAIN, b"")
        return {(_text(c[3]), c.get(4, b""), c.get(5, b"")) for c in found if _text(c[1]) == self._name}

    def sets(self, filter_: Netlink) -> set[str]:
        """The names of the sets and maps."""
        return {_text(found[2]) for found in self._dump(filter_, _GET_SET, self._table)}

    def elements(self, filter_: Netlink, name: str) -> Iterator[bytes]:
        """The keys of a set or map."""
        for found in self._read(filter_, _GET_ELEMENT, self._table + attribute_string(2, name)):
            for _unused, element in each_attribute(found.get(3, b"")):
                # The key is the first attribute, and its value the only one in it. Parsing takes thrice as long.
                yield element[8 : 4 + int.from_bytes(element[4:6], sys.byteorder)]

    def counters(self, filter_: Netlink) -> dict[str, int]:
        """Packets of every counter object."""
        values = {}
        for found in self._dump(filter_, _GET_OBJECT, self._table):
            if _text(found[1]) == self._name and int.from_bytes(found[3], "big") == _OBJECT_COUNTER:
                values[_text(found[2])] = int.from_bytes(attributes(found[4]).get(2, bytes(8)), "big")
        return values

    def _dump(self, filter_: Netlink, kind: int, body: bytes) -> list[dict[int, bytes]]:
        return list(self._read(filter_, kind, body))

    def _read(self, filter_: Netlink, kind: int, body: bytes) -> Iterator[dict[int, bytes]]:
        for content in filter_.dump(_SUBSYSTEM << 8 | kind, _GENERIC.pack(_FAMILY_INET, 0, 0) + body):
            yield attributes(content, _GENERIC.size)


def interface_index(index: int) -> bytes:
    """An interface's index as the register holds it."""
    return struct.pack("=I", index)


def index_of(data: bytes) -> int:
    """The interface whose index the register holds."""
    return int(struct.unpack("=I", data)[0])


def protocol(number: int) -> Iterable[bytes]:
    """Go on only with this upper layer protocol."""
    return meta("l4proto"), equal(bytes((number,)))


def ipv6_only() -> Iterable[bytes]:
    """Go on only with IPv6."""
    return meta("nfproto"), equal(bytes((socket.AF_INET6,)))


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode()
