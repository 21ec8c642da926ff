# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines and the ring of events."""

import os

import pytest

from vrrp_ha.core.types import packed
from vrrp_ha.shell.journal import BURST, KEPT_EVENTS, Journal


class Pipe:
    """A journal whose lines can be read."""

    def __init__(self, **options):
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.journal = Journal(self.writer, **options)

    def lines(self):
        try:
            return os.read(self.reader, 1 << 20).decode().splitlines()
        except BlockingIOError:
            return []


def test_a_line_has_level_kind_vrid_and_fields():
    pipe = Pipe(under_systemd=True)
    pipe.journal.report("warning", "sync_lost", 51, {"master": packed("fe80::1"), "why": "two words", "parts": [1, 2]})
    assert pipe.lines() == ['<4>sync_lost vrid=51 master=fe80::1 why="two words" parts=1,2']


def test_a_line_cannot_be_forged_by_a_field():
    pipe = Pipe(under_systemd=True)
    pipe.journal.report("info", "x", None, {"name": 'a"\n<3>forged'})
    assert pipe.lines() == [r'<6>x name="a\"\n<3>forged"']


def test_debug_events_are_printed_only_on_demand_and_never_kept():
    quiet, verbose = Pipe(), Pipe(verbose=True)
    for pipe in (quiet, verbose):
        pipe.journal.report("debug", "detail")
    assert quiet.lines() == []
    assert len(verbose.lines()) == 1
    assert verbose.journal.after(0, 10) == []


@pytest.mark.parametrize("fields", [{"key": "abc"}, {"sync_key": b"\xabc" * 8}, {"secret": b"\xabc" * 10}])
def test_what_may_be_a_key_is_not_shown(fields):
    pipe = Pipe()
    pipe.journal.report("info", "x", None, fields)
    shown = str(pipe.lines()) + str(pipe.journal.after(0, 1))
    assert "ab" not in shown


def test_events_are_numbered_and_the_oldest_forgotten():
    journal = Journal(os.open(os.devnull, os.O_WRONLY))
    for _unused in range(KEPT_EVENTS + 5):
        journal.report("info", "x")
    assert journal.after(0, 1)[0]["number"] == 6
    assert [e["number"] for e in journal.after(KEPT_EVENTS, 3)] == [KEPT_EVENTS + 1, KEPT_EVENTS + 2, KEPT_EVENTS + 3]
    assert journal.after(journal.last, 3) == []


def test_a_reader_that_is_stuck_does_not_block_and_lost_lines_are_counted():
    pipe = Pipe()
    for number in range(BURST):
        pipe.journal.report("info", "x", None, {"filling": "y" * 1000, "number": number})
    assert 0 < pipe.journal.lost_lines < BURST
    lost = pipe.journal.lost_lines
    pipe.lines()
    pipe.journal.report("info", "again")
    (line,) = pipe.lines()
    assert f"lines_lost={lost}" in line


def test_a_storm_of_events_is_cut_to_what_can_be_read():
    pipe = Pipe()
    printed = 0
    for _unused in range(20):
        for _unused in range(100):
            pipe.journal.report("info", "x")
        printed += len(pipe.lines())
    assert BURST <= printed < 1000
    assert pipe.journal.last == 2000
