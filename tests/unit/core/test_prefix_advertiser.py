# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile Prefix Advertisements: who is answered, and who is told what unasked (RFC 6275 section 10.6)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.unit.core.electing import VHA, at, virtual_ha
from tests.unit.core.test_router_advertiser import Dice
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.discovery_settings import DiscoverySettings
from vrrp_ha.core.effects import Report, SendPacket
from vrrp_ha.core.events import TimerFired
from vrrp_ha.core.home_agent_service import CacheChanged
from vrrp_ha.core.prefix_advertiser import PrefixAdvertiser, PrefixSolicited
from vrrp_ha.core.router_advertiser import SpeakerChanged
from vrrp_ha.core.settings import HomeLink, RouterAdvertisementSettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import SECOND, Binding, Instant, packed
from vrrp_ha.wire import icmpv6, ipv6
from vrrp_ha.wire.icmpv6 import PrefixInformation

HOME, CARE_OF, ELSEWHERE = packed("2001:db8:1::1001"), packed("2001:db8:2::77"), packed("2001:db8:2::66")
DAY = 86_400
SHORTER = RouterAdvertisementSettings(preferred_lifetime_us=5000 * SECOND)


def binding(number: int = 0) -> Binding:
    home = (int.from_bytes(HOME, "big") + number).to_bytes(16, "big")
    care_of = (int.from_bytes(CARE_OF, "big") + number).to_bytes(16, "big")
    return Binding(home, care_of, 1, 0xC000, Instant(10**15))


class Told:
    """An advertiser of a Master, and to whom it said what when."""

    def __init__(self, count=1, dice=None, speaks=True, **changes) -> None:
        self.settings = virtual_ha(**changes)
        self.cache = BindingCache()
        self.cache.put_many([binding(number) for number in range(count)])
        self.core = PrefixAdvertiser(self.settings, self.cache, dice or Dice(0.5))
        self.sent: list[tuple[float, ipv6.Packet]] = []
        self.counted: list[str] = []
        if speaks:
            self.happens(SpeakerChanged(True), 0)

    def happens(self, event, seconds) -> None:
        self._note(self.core.handle(event, at(seconds)), seconds)

    def _note(self, effects, seconds) -> None:
        for effect in effects:
            if isinstance(effect, SendPacket):
                self.sent.append((seconds, ipv6.decode(effect.packet)))
            else:
                assert isinstance(effect, Report)
                self.counted.append(effect.kind)

    def run_until(self, seconds) -> Told:
        while (due := self.core.deadline()) is not None and due <= at(seconds):
            self._note(self.core.handle(TimerFired(), due), due / SECOND)
        return self

    def asks(self, seconds, home=HOME, source=CARE_OF, identifier=7) -> Told:
        self.run_until(seconds)
        self.happens(PrefixSolicited(source, VHA, home, identifier), seconds)
        return self

    def becomes(self, seconds, **changes) -> Told:
        self.run_until(seconds)
        self.settings = replace(self.settings, **changes)
        self.core.reconfigure(self.settings, at(seconds))
        return self

    def times(self) -> list[float]:
        return [when for when, _unused in self.sent]

    def message(self, which=-1) -> icmpv6.PrefixAdvertisement:
        packet = self.sent[which][1]
        icmpv6.check_packet(packet)
        message = icmpv6.decode(packet.payload)
        assert isinstance(message, icmpv6.PrefixAdvertisement)
        return message

    def homes(self) -> list[bytes]:
        return [packet.routing_home_address for _unused, packet in self.sent]


def quick(**changes) -> DiscoverySettings:
    """Told unasked within 100 s, of changes not before 10 s."""
    intervals = {"minimum_prefix_interval_us": 10 * SECOND, "maximum_prefix_interval_us": 100 * SECOND}
    return DiscoverySettings(**{**intervals, **changes})


# --- asked -----------------------------------------------------------------------------------------------------


def test_who_is_bound_is_told_at_its_care_of_address_by_way_of_its_home_address():
    told = Told().asks(1)
    ((_unused, packet),) = told.sent
    assert (packet.source, packet.destination, packet.routing_home_address) == (VHA, CARE_OF, HOME)
    message = told.message()
    assert (message.identifier, message.managed, message.other) == (7, False, False)
    assert message.options == (PrefixInformation(VHA, 64, True, False, True, 30 * DAY * SECOND, 7 * DAY * SECOND),)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"source": ELSEWHERE}, "dropped.prefix_solicitation_unbound"),
        ({"home": packed("2001:db8:1::dead")}, "dropped.prefix_solicitation_unbound"),
    ],
    ids=["from elsewhere than it is bound", "not bound"],
)
def test_nobody_else_is_told_anything(asked, reason):
    told = Told().asks(1, **asked)
    assert (told.sent, told.counted) == ([], [reason])


def test_a_backup_does_not_answer_and_nor_does_one_that_is_told_not_to():
    assert Told(speaks=False).asks(1).counted == ["dropped.not_master"]
    off = DiscoverySettings(prefix_solicitations=False)
    assert Told(discovery=off).asks(1).counted == ["dropped.prefix_solicitation_off"]


def test_a_mobile_node_is_told_once_in_a_second_at_most():
    told = Told()
    for tenth in range(25):
        told.asks(1 + tenth / 10)
    assert told.times() == [1, 2, 3]


def test_all_together_are_told_no_more_than_the_pace_allows():
    told = Told(50, discovery=DiscoverySettings(pace=Pace(1_000_000, 10)))
    for number in range(50):
        told.asks(1, binding(number).home_address, binding(number).care_of_address)
    assert len(told.sent) == 10
    assert told.counted.count("dropped.prefix_solicitation_limited") == 40


# --- unasked ---------------------------------------------------------------------------------------------------


def test_everybody_is_told_once_in_the_longest_interval_at_a_steady_pace():
    told = Told(40, random.Random(3), discovery=quick(prefix_rate_millionths=1_000_000_000))
    firsts: dict[bytes, float] = {}
    told.run_until(100)
    for (when, _unused), home in zip(told.sent, told.homes(), strict=True):
        firsts.setdefault(home, when)
    assert len(firsts) == 40
    in_tenths = [sum(part * 5 <= when < part * 5 + 5 for when in firsts.values()) for part in range(10)]
    assert max(in_tenths) <= 5


def test_one_who_came_behind_the_walk_is_told_within_the_interval_too():
    told = Told(0, discovery=quick()).run_until(1)
    told.cache.put(binding())
    assert told.run_until(101).sent


def test_who_does_not_answer_is_told_again_after_3_6_and_12_seconds():
    told = Told(discovery=quick()).run_until(49)
    first = told.times()[0]
    assert told.times() == [first, first + 3, first + 9, first + 21]
    assert len(told.sent) == 4


def test_an_answer_ends_it():
    told = Told(discovery=quick())
    told.run_until(26)
    assert told.times() == [25]
    told.asks(27)  # a Mobile Prefix Solicitation is what acknowledges
    told.run_until(49)
    assert told.times() == [25, 27]


def test_whose_binding_is_gone_is_not_told():
    told = Told(discovery=quick()).run_until(26)
    told.cache.remove(HOME)
    assert told.run_until(1000).times() == [25]


def test_one_that_is_turned_off_or_hands_over_says_nothing_more():
    told = Told(discovery=quick()).run_until(26)
    told.happens(SpeakerChanged(False), 26)
    assert told.core.deadline() is None
    assert Told(discovery=quick(prefix_advertisements=False)).core.deadline() is None


def test_the_rate_is_a_limit_whatever_the_interval():
    told = Told(200, discovery=quick(prefix_rate_millionths=2_000_000)).run_until(100)
    news = [when for (when, _unused), home in zip(told.sent, told.homes(), strict=True)]
    first_told = len(set(told.homes()))
    assert 195 <= first_told <= 200
    assert news == sorted(news)
    assert Told(200, discovery=quick(prefix_rate_millionths=2_000_000)).run_until(10).homes().count(HOME) <= 4


# --- changes of the prefix -------------------------------------------------------------------------------------


def test_a_change_is_told_to_all_not_before_the_least_and_within_the_longest_interval():
    told = Told(20, random.Random(5), discovery=DiscoverySettings()).becomes(100, router_advertisements=SHORTER)
    before = len(told.sent)
    told.run_until(100 + 600)
    assert len(told.sent) == before
    told.run_until(100 + 5000)  # the preferred lifetime, which is less than a day
    assert set(told.homes()[before:]) == {binding(number).home_address for number in range(20)}
    assert told.message().options[0].preferred_lifetime_us == 5000 * SECOND


def test_flags_are_a_change_and_other_settings_are_none():
    told = Told(discovery=DiscoverySettings()).becomes(100, home_link=HomeLink.ROUTED)
    assert told.core.deadline() < at(100 + 86_400)
    unchanged = Told(discovery=DiscoverySettings())
    due = unchanged.core.deadline()
    assert unchanged.becomes(100, priority=7).core.deadline() == due


def test_a_second_change_is_in_what_is_still_to_be_told_and_then_told_to_the_others():
    told = Told(2, Dice(0.5), discovery=quick()).becomes(1, router_advertisements=SHORTER)
    told.run_until(40)
    (early,) = {home for (when, _unused), home in zip(told.sent, told.homes(), strict=True) if when > 11}
    told.becomes(40, router_advertisements=replace(SHORTER, managed=True, valid_lifetime_us=6000 * SECOND))
    seen: dict[bytes, set[int]] = {}
    start = len(told.sent)
    told.run_until(300)
    for index, home in enumerate(told.homes()[start:], start):
        seen.setdefault(home, set()).add(told.message(index).options[0].valid_lifetime_us)
    assert seen[early] == {6000 * SECOND}
    assert len(seen) == 2


def test_a_change_that_a_backup_saw_is_told_when_it_becomes_master():
    told = Told(speaks=False, discovery=quick()).becomes(1, router_advertisements=SHORTER)
    assert told.core.deadline() is None
    told.happens(SpeakerChanged(True), 50)
    assert at(60) <= told.core.deadline() <= at(150)
    late = Told(speaks=False, discovery=quick()).becomes(1, router_advertisements=SHORTER)
    late.happens(SpeakerChanged(True), 500)
    assert late.core.deadline() < at(560)


def test_who_never_answered_to_a_change_is_told_again_when_it_registers_but_not_for_ever():
    settings = quick(maximum_prefix_interval_us=10_000 * SECOND)
    told = Told(discovery=settings).becomes(1, router_advertisements=SHORTER).run_until(4999)
    before = len(told.sent)
    assert before == 4
    for turn in range(5):
        told.happens(CacheChanged([binding()]), 5000 + turn * 100)
        told.run_until(5000 + turn * 100 + 99)
    assert [len([w for w in told.times() if 5000 + t * 100 <= w < 5100 + t * 100]) for t in range(5)] == [4, 4, 0, 0, 0]


def test_a_sparse_cache_is_walked_all_the_same():
    told = Told(3000, discovery=quick(prefix_rate_millionths=1_000_000_000))
    for number in range(2999):
        told.cache.remove(binding(number).home_address)
    assert binding(2999).home_address in told.run_until(100).homes()
