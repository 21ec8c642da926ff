# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop between a plain node and a plain host: what is heard before what is done."""

import os
import time

import pytest

from vrrp_ha.core.events import BindingsInstalled, EffectFailed, PacketReceived, TimerFired
from vrrp_ha.core.types import Instant
from vrrp_ha.shell.clock import monotonic
from vrrp_ha.shell.loop import PIECE_US, Loop
from vrrp_ha.shell.poller import Poller


class PlainNode:
    """Writes down what it is told; answers with what the test put into `answers`."""

    def __init__(self):
        self.heard = []
        self.due = None
        self.answers = {}
        self.takes_s = 0.0

    def handle(self, event, now):
        if isinstance(event, PacketReceived):
            time.sleep(self.takes_s)
            self.heard.append(event.packet)
        else:
            self.heard.append(event)
        if isinstance(event, TimerFired):
            self.due = None
        return self.answers.get(type(event), [])

    def deadline(self):
        return self.due


class PlainHost:
    """Queues that a test fills."""

    def __init__(self):
        self.queued_advertisements = []
        self.queued_others = []
        self.performed = []
        self.refused = {}
        self.installed = []
        self.come_back = None

    def advertisements(self):
        while self.queued_advertisements:
            yield "eth1", b"\2" * 6, self.queued_advertisements.pop(0)

    def sources(self):
        return [lambda: ("eth1", b"\2" * 6, self.queued_others.pop(0)) if self.queued_others else None]

    def link_events(self):
        return []

    def perform(self, effect):
        self.performed.append(effect)
        return self.refused.get(effect)

    def work(self, budget_us):
        results, self.installed = self.installed, []
        return results, self.come_back


class Stage:
    def __init__(self):
        self.node, self.host = PlainNode(), PlainHost()
        self.poller = Poller()
        self.loop = Loop(self.poller, self.node, self.host)
        self.reader, self.writer = os.pipe()
        self.poller.add(self.reader, lambda _: self.loop.others_are_waiting())

    def turn(self):
        """A turn that has a reason to end soon."""
        os.write(self.writer, b".")
        self.loop.turn(latest=Instant(monotonic() + 200_000))
        os.read(self.reader, 1)


@pytest.fixture
def stage():
    return Stage()


def test_timer_acts_only_after_every_queued_advertisement_was_heard(stage):
    """A Backup that was stopped must not take over from a Master that went on advertising."""
    stage.node.due = Instant(monotonic() - 1_000_000)
    stage.host.queued_advertisements = [b"one", b"two", b"three"]
    stage.turn()
    assert stage.node.heard == [b"one", b"two", b"three", TimerFired()]


def test_timer_does_not_act_when_an_advertisement_moved_its_deadline(stage):
    class Restarted(PlainNode):
        def handle(self, event, now):
            self.due = Instant(now + 1_000_000)
            return super().handle(event, now)

    stage = Stage()
    stage.node.__class__ = Restarted
    stage.node.due = Instant(monotonic() - 1)
    stage.host.queued_advertisements = [b"alive"]
    stage.turn()
    assert stage.node.heard == [b"alive"]


def test_timer_fires_on_time(stage):
    stage.node.due = Instant(monotonic() + 20_000)
    due = stage.node.due
    stage.loop.turn()
    late = monotonic() - due
    assert stage.node.heard == [TimerFired()]
    assert 0 <= late < 20_000


def test_a_storm_of_packets_is_heard_in_pieces(stage):
    stage.node.takes_s = PIECE_US / 4 / 1_000_000
    stage.host.queued_others = [bytes([i]) for i in range(100)]
    stage.turn()
    assert 1 <= len(stage.node.heard) < 50


def test_a_due_timer_interrupts_a_storm(stage):
    stage.node.takes_s = 100e-6
    stage.host.queued_others = [bytes([i]) for i in range(100)]
    stage.node.due = Instant(monotonic() + 300)
    stage.turn()
    stage.turn()
    assert TimerFired() in stage.node.heard[:12]


def test_an_advertisement_is_heard_before_the_bindings_that_came_after_it(stage):
    def late_advertisement():
        stage.host.queued_advertisements.append(b"new master")
        stage.host.sources = list
        return "eth1", b"\2" * 6, b"its bindings"

    stage.host.sources = lambda: [late_advertisement]
    stage.node.takes_s = 2 * PIECE_US / 1_000_000
    stage.turn()
    assert stage.node.heard == [b"new master", b"its bindings"]


def test_effects_are_performed_in_order_and_a_refused_one_becomes_an_event(stage):
    failure = EffectFailed(51, "activate", "no")
    stage.node.answers = {TimerFired: ["activate", "advertise"], EffectFailed: ["resign"]}
    stage.host.refused = {"activate": failure}
    stage.loop.handle(TimerFired())
    assert stage.node.heard == [TimerFired(), failure]
    assert stage.host.performed == ["activate", "advertise", "resign"]


def test_what_the_data_plane_completed_is_told_to_the_node(stage):
    stage.host.installed = [BindingsInstalled(51, 3)]
    stage.turn()
    assert BindingsInstalled(51, 3) in stage.node.heard


def test_busy_work_goes_on_without_waiting(stage):
    pieces = iter([True, True, False])
    stage.loop.also(lambda: next(pieces))
    stage.turn()
    before = monotonic()
    stage.loop.turn(latest=Instant(before + 5_000_000))
    stage.loop.turn(latest=Instant(before + 5_000_000))
    assert monotonic() - before < 1_000_000


def test_periodic_work_is_done_when_it_is_due(stage):
    done = []
    stage.loop.every(10_000, lambda: done.append(monotonic()))
    stage.loop.turn()
    stage.loop.turn()
    assert len(done) == 2
    assert done[1] - done[0] >= 9_000


def test_a_data_plane_that_wants_a_pause_is_given_one_and_no_more(stage):
    before = monotonic()
    stage.host.come_back = Instant(before + 20_000)
    stage.turn()
    stage.loop.turn(latest=Instant(before + 5_000_000))
    assert 15_000 < monotonic() - before < 1_000_000
