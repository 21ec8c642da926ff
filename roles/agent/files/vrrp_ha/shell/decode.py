# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `vrrp-ha decode [--json] HEX | FILE`: packets in words, for people and for programs.

HEX is one whole IPv6 packet; white space in it does not matter. FILE is a pcap or pcapng capture. Needs no
running agent. Ends with 0 when every packet is sound, 1 when one is damaged, 2 when there is nothing to decode.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..wire.bc_sync import MessageTypes
from ..wire.describe import describe
from ..wire.errors import WireError
from .capture import CaptureError, Frame, ipv6_packet, read

SOUND, DAMAGED, UNUSABLE = 0, 1, 2

Fields = dict[str, Any]

_UNITS = frozenset(("s", "ms", "cs"))


def run(argument: str, as_json: bool, types: MessageTypes) -> int:
    """Print what the argument holds; the exit status."""
    digits = "".join(argument.split()).removeprefix("0x")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return _run_file(argument, as_json, types)
    if not data:
        return _unusable("nothing to decode: give a packet in hexadecimal or a capture file")
    try:
        described = describe(data, types)
    except WireError as problem:
        if as_json:
            print(json.dumps({"error": _error(problem)}, indent=2))
        print(f"damaged: {problem}", file=sys.stderr)
        return DAMAGED
    print(json.dumps(described, indent=2) if as_json else render(described))
    return SOUND


def _run_file(name: str, as_json: bool, types: MessageTypes) -> int:
    try:
        content = Path(name).read_bytes()
    except (OSError, ValueError) as problem:
        shown = name if len(name) <= 60 else name[:57] + "..."
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        return _unusable(f"{shown!r} is neither whole octets in hexadecimal nor a file that can be read ({reason})")
    status, seen = SOUND, False
    shown_packets: list[Fields] = []
    try:
        for packet in _packets(content, types):
            if "error" in packet:
                status = DAMAGED
                error = packet["error"]
                detail = f": {error['detail']}" if error["detail"] else ""
                sys.stdout.flush()
                print(f"packet {packet['packet']}: damaged: {error['reason']}{detail}", file=sys.stderr)
            seen = True
            if as_json:
                shown_packets.append(packet)
            else:
                _print_packet(packet)
    except CaptureError as problem:
        sys.stdout.flush()
        print(f"{name}: {problem}", file=sys.stderr)
        status = DAMAGED if seen else UNUSABLE
    if as_json:
        print(json.dumps(shown_packets, indent=2))
    return status


def _packets(content: bytes, types: MessageTypes) -> Iterator[Fields]:
    for frame in read(content):
        shown: Fields = {"packet": frame.number}
        if frame.time_ns is not None:
            shown["time"] = f"{frame.time_ns // 1_000_000_000}.{frame.time_ns % 1_000_000_000:09d}"
        try:
            shown |= _frame(frame, types)
        except WireError as problem:
            shown["error"] = _error(problem)
        yield shown


def _frame(frame: Frame, types: MessageTypes) -> Fields:
    if len(frame.data) < frame.original_length:
        raise WireError("truncated", f"{len(frame.data)} of {frame.original_length} octets were captured")
    packet = ipv6_packet(frame)
    return {"skipped": "not IPv6"} if packet is None else describe(packet, types)


def _error(problem: WireError) -> Fields:
    return {"reason": problem.reason, "detail": problem.detail}


def _unusable(message: str) -> int:
    print(message, file=sys.stderr)
    return UNUSABLE


# --- for people --------------------------------------------------------------------------------------------


def _print_packet(packet: Fields) -> None:
    time = f"  {packet['time']}" if "time" in packet else ""
    if "error" in packet:
        print(f"packet {packet['packet']}{time}  damaged: {packet['error']['reason']}\n")
    elif "skipped" in packet:
        print(f"packet {packet['packet']}{time}  {packet['skipped']}\n")
    else:
        print(f"packet {packet['packet']}{time}  {packet['length']} octets")
        print(render(packet) + "\n")


def render(described: Fields) -> str:
    """Aligned lines: each layer further in than the one that carries it, its fields, then its options."""
    lines: list[str] = []
    for depth, layer in enumerate(described["layers"]):
        indent = "  " * depth
        lines.append(indent + _words(layer["layer"]))
        lines += [f"{indent}    {line}" for line in _field_lines(layer)]
    if "trailing_octets" in described:
        lines.append(f"trailing octets  {described['trailing_octets']}")
    return "\n".join(lines)


def _field_lines(layer: Fields) -> Iterator[str]:
    plain = _worded({name: value for name, value in layer.items() if name != "layer" and not _is_table(value)})
    width = max(map(len, plain), default=0)
    for name, value in plain.items():
        yield f"{name:<{width}}  {value}"
    for name, value in layer.items():
        if _is_table(value):
            yield _words(name)
            yield from (f"  {line}" for line in _table_lines(value))


def _worded(fields: Fields) -> dict[str, str]:
    """Names and values as people write them: a unit after its number, a name in brackets after its code."""
    worded: dict[str, str] = {}
    for name, value in fields.items():
        coded, _unused, suffix = name.rpartition("_")
        if suffix == "name" and coded in fields:
            worded[_words(coded)] += f" ({_words(str(value))})"
        elif suffix in _UNITS:
            worded[_words(coded)] = f"{value} {suffix}"
        else:
            worded[_words(name)] = _value(value)
    return worded


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _table_lines(rows: list[Fields]) -> Iterator[str]:
    """Rows with the same fields as columns under a heading, options as a name and what it says."""
    if "option" in rows[0]:
        width = max(len(row["option"]) for row in rows)
        for row in rows:
            fields = _worded({name: value for name, value in row.items() if name != "option"})
            said = ", ".join(f"{name} {value}" for name, value in fields.items())
            yield f"{_words(row['option']):<{width}}  {said}".rstrip()
        return
    worded = [_worded(row) for row in rows]
    cells = [list(worded[0]), *(list(row.values()) for row in worded)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row_cells in cells:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row_cells, widths, strict=True)).rstrip()


def _value(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_value, value)) or "-"
        case dict():
            return ", ".join(f"{name} {inner}" for name, inner in _worded(value).items())
        case _:
            return str(value) or "-"


def _words(name: str) -> str:
    return name.replace("_", " ")
