# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture files: byte orders, clocks, link layers, and what happens to damaged ones."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.shell.captures import block, pcap, pcapng
from tests.unit.wire.packets import VECTORS
from vrrp_ha.shell import capture

PACKET = VECTORS["VRRP-ADV"]
MACS = bytes.fromhex("333300000012 00005e000207")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("nanoseconds", "time_ns"), [(False, 5_000_007_000), (True, 5_000_000_007)])
def test_classic_pcap_of_either_byte_order_and_clock(order, nanoseconds, time_ns):
    frames = list(capture.read(pcap([PACKET, b"xy"], 101, order, nanoseconds)))
    assert [(frame.number, frame.time_ns, frame.data) for frame in frames] == [
        (1, time_ns, PACKET),
        (2, time_ns, b"xy"),
    ]


@pytest.mark.parametrize("order", "<>")
def test_pcapng_of_either_byte_order(order):
    frames = list(capture.read(pcapng([PACKET, b"xyz"], 1, order)))
    assert [(f.number, f.link_type, f.data, f.original_length) for f in frames] == [
        (1, 1, PACKET, len(PACKET)),
        (2, 1, b"xyz", 3),
    ]


def test_pcapng_clock_is_that_of_the_interface():
    nanoseconds = pack("<HHB3x", 9, 1, 9)
    frame = next(capture.read(pcapng([PACKET], 1, "<", interface_options=nanoseconds, ticks=7)))
    assert frame.time_ns == 7
    assert next(capture.read(pcapng([PACKET], 1, "<", ticks=7))).time_ns == 7_000


def test_pcapng_simple_packet_has_no_time():
    simple = block("<", 3, pack("<I", len(PACKET)) + PACKET)
    frame = next(capture.read(pcapng([], 229, "<") + simple))
    assert (frame.time_ns, frame.data) == (None, PACKET)


def test_pcapng_blocks_of_other_kinds_are_skipped():
    data = pcapng([], 101, "<") + block("<", 5, bytes(16)) + pcapng([PACKET], 101, ">")
    assert [frame.data for frame in capture.read(data)] == [PACKET]


@pytest.mark.parametrize(
    ("link_type", "header"),
    [
        pytest.param(1, MACS + bytes.fromhex("86dd"), id="Ethernet"),
        pytest.param(1, MACS + bytes.fromhex("8100000786dd"), id="VLAN"),
        pytest.param(1, MACS + bytes.fromhex("88a800078100000886dd"), id="two VLANs"),
        pytest.param(101, b"", id="raw"),
        pytest.param(229, b"", id="IPv6"),
        pytest.param(113, bytes.fromhex("0002000100060200000000010000") + bytes.fromhex("86dd"), id="Linux cooked"),
        pytest.param(276, bytes.fromhex("86dd00000000000200010006020000000001") + bytes(2), id="Linux cooked v2"),
    ],
)
def test_packet_is_found_behind_its_link_layer(link_type, header):
    frame = capture.Frame(1, 0, link_type, header + PACKET, 0)
    assert capture.ipv6_packet(frame) == PACKET


@pytest.mark.parametrize(
    ("link_type", "data"),
    [(1, MACS + bytes.fromhex("0806") + bytes(28)), (101, b"\x45" + bytes(19)), (113, bytes(16)), (1, b"short")],
)
def test_frame_without_ipv6_has_no_packet(link_type, data):
    assert capture.ipv6_packet(capture.Frame(1, 0, link_type, data, 0)) is None


def test_unknown_link_type_is_named():
    with pytest.raises(capture.CaptureError, match="packet 3: link type 195"):
        capture.ipv6_packet(capture.Frame(3, 0, 195, PACKET, 0))


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_file_that_ends_too_early_yields_what_is_whole_and_then_fails(make):
    data = make([PACKET, PACKET], 101, "<")
    frames = capture.read(data[:-1])
    assert next(frames).data == PACKET
    with pytest.raises(capture.CaptureError):
        next(frames)


def test_other_file_is_refused():
    with pytest.raises(capture.CaptureError, match="not a pcap"):
        list(capture.read(b"GIF89a"))


@given(st.sampled_from((pcap, pcapng)), st.sampled_from("<>"), st.data())
def test_mutated_capture_is_read_or_refused(make, order, data):
    mutated = bytearray(make([PACKET, b"xyz"], 1, order))
    for _unused in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        for frame in capture.read(bytes(mutated)):
            capture.ipv6_packet(frame)
    except capture.CaptureError:
        pass
