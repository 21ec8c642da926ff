# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture files made here, after the formats' specifications."""

from __future__ import annotations

from struct import pack


def pcap(frames: list[bytes], link_type: int, order: str = "<", nanoseconds: bool = False) -> bytes:
    """A classic capture; every frame at 5 s and 7 ticks."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    data = pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link_type)
    for frame in frames:
        data += pack(order + "IIII", 5, 7, len(frame), len(frame)) + frame
    return data


def block(order: str, kind: int, body: bytes) -> bytes:
    """One pcapng block."""
    body += bytes(-len(body) % 4)
    length = pack(order + "I", len(body) + 12)
    return pack(order + "I", kind) + length + body + length


def pcapng(
    frames: list[bytes], link_type: int, order: str = "<", interface_options: bytes = b"", ticks: int = 7
) -> bytes:
    """A section with one interface and these frames."""
    data = block(order, 0x0A0D0D0A, pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(order, 1, pack(order + "HHI", link_type, 0, 262144) + interface_options)
    for frame in frames:
        data += block(order, 6, pack(order + "IIIII", 0, 0, ticks, len(frame), len(frame)) + frame)
    return data
