# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever triggers, registrations, expiries and wishes come in whatever order: limits hold and nobody gets stuck."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.nodes import at, settings, virtual_ha
from tests.unit.core.recovering import OWN, home, pace
from tests.unit.core.registering import CARE_OF
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.commons import Commons
from vrrp_ha.core.effects import RemoveBindings, SendPacket
from vrrp_ha.core.events import TimerFired
from vrrp_ha.core.recovery import (
    BindingsLapsed,
    MobileNodeRegistered,
    Recovery,
    RecoveryWanted,
    TriggerSeen,
)
from vrrp_ha.core.router_advertiser import SpeakerChanged
from vrrp_ha.core.settings import RecoverySettings
from vrrp_ha.core.types import SECOND, Binding, Instant

RATE, BURST, QUEUE = 0.25, 2, 6
HOMES = [home(number) for number in range(12)]
LIMITS = RecoverySettings(pace=pace(RATE, BURST), per_source=pace(1, 20), queue=QUEUE, on_expiry=True)
GIVEN_UP_US = 55 * SECOND

sources = st.integers(0, 3).map(lambda number: b"\x20\x01\x0d\xb8" + bytes((number,)) * 4 + bytes(7) + b"\1")
homes = st.sampled_from(HOMES)
happenings = st.one_of(
    st.builds(TriggerSeen, homes, sources, st.sampled_from(["esp", "unknown_spi"]), st.booleans()),
    st.builds(lambda one: RecoveryWanted((one,)), homes),
    st.builds(MobileNodeRegistered, homes, st.sampled_from([51, 52])),
    st.builds(lambda one: BindingsLapsed([Binding(one, CARE_OF, 1, 0, at(0))]), homes),
    st.builds(SpeakerChanged, st.booleans()),
    st.builds(lambda one: Binding(one, CARE_OF, 2, 0, at(10_000)), homes),  # it is bound again
)
delays = st.just(0) | st.integers(0, 3 * SECOND)
stories = st.lists(st.tuples(delays, happenings), max_size=60)


class Watched:
    """A Recovery and what it did."""

    def __init__(self) -> None:
        node = settings(virtual_ha(priority=200), OWN)
        node = type(node)(node.host, node.virtual_has, node.mobile_node_keys, recovery=LIMITS)
        self.cache = BindingCache()
        self.commons = Commons(node, lambda: [self.cache], wall_offset_us=0)
        self.recovery = Recovery(node.virtual_has[0], node, self.cache, self.commons)
        self.deleted: list[Instant] = []
        self.sent: Counter[Instant] = Counter()
        for one in HOMES[:8]:
            self.cache.put(Binding(one, CARE_OF, 1, 0, at(10_000)))

    def happens(self, event: object, now: Instant) -> None:
        if isinstance(event, Binding):
            self.cache.put(event)
            return
        if isinstance(event, BindingsLapsed):
            self.cache.remove(event.bindings[0].home_address)
        elsewhere = isinstance(event, MobileNodeRegistered) and event.vrid == 52
        for effect in self.recovery.handle(event, now):  # type: ignore[arg-type]
            if isinstance(effect, RemoveBindings) and not elsewhere:
                self.deleted += [now] * len(effect.bindings)
            if isinstance(effect, SendPacket):
                self.sent[now] += 1
        self.check()

    def runs_until(self, then: Instant) -> None:
        while (due := self.recovery.deadline()) is not None and due <= then:
            self.happens(TimerFired(), due)

    def check(self) -> None:
        known = [(entry["home_address"], entry["state"]) for entry in self.recovery.describe(at(0))]
        assert len({address for address, _unused in known}) == len(known)  # nobody is there twice
        counts = self.recovery.counts()
        assert counts["pending"] <= QUEUE
        assert counts["pending"] == sum(state == "pending" for _unused, state in known)
        assert counts["sent"] == sum(state == "sent" for _unused, state in known)


def told(story: list[tuple[int, object]]) -> tuple[Watched, Instant]:
    watched, now = Watched(), at(1)
    for later, event in story:
        now = Instant(now + later)
        watched.runs_until(now)
        watched.happens(event, now)
    return watched, now


@given(stories)
def test_no_more_bindings_are_deleted_in_any_span_of_time_than_the_pace_allows(story):
    watched, now = told(story)
    watched.runs_until(Instant(now + 100 * SECOND))
    for first, start in enumerate(watched.deleted):
        for number, moment in enumerate(watched.deleted[first:], 1):
            assert number <= BURST + RATE * (moment - start) / SECOND + 1e-6


@given(stories)
def test_everybody_who_was_told_or_waits_comes_to_an_end(story):
    watched, now = told(story)
    watched.runs_until(Instant(now + GIVEN_UP_US + QUEUE * 4 * SECOND))
    counts = watched.recovery.counts()
    assert (counts["pending"], counts["sent"]) == (0, 0)
    assert watched.recovery.deadline() is None


@given(stories)
def test_one_that_registers_is_told_nothing_more(story):
    watched, now = told(story)
    for one in HOMES:
        watched.happens(MobileNodeRegistered(one, 51), now)
    watched.sent.clear()
    watched.runs_until(Instant(now + 100 * SECOND))
    assert not watched.sent


@given(stories)
def test_time_is_never_asked_for_that_has_passed(story):
    watched, now = told(story)
    due = watched.recovery.deadline()
    assert due is None or due >= now
