# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""When Router Advertisements are sent, with dice that fall as the test says, and what is in them."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tests.unit.core.electing import LINK_LOCAL, VHA, at, virtual_ha
from vrrp_ha.core.effects import Report, SendFrame
from vrrp_ha.core.events import TimerFired
from vrrp_ha.core.router_advertiser import (
    RouterAdvertiser,
    ServiceChanged,
    SolicitationReceived,
    SpeakerChanged,
)
from vrrp_ha.core.settings import HomeLink, RouterAdvertisementSettings
from vrrp_ha.core.types import ALL_NODES, SECOND, packed
from vrrp_ha.wire import icmpv6, ipv6
from vrrp_ha.wire.icmpv6 import (
    AdvertisementInterval,
    HomeAgentInformation,
    LinkLayerAddress,
    OptionType,
    PrefixInformation,
    first,
)

DAY = 86_400 * SECOND
ROUTER = RouterAdvertisementSettings(router_lifetime_us=1800 * SECOND)
OFF = RouterAdvertisementSettings(enabled=False)


class Dice:
    """Fall at a given part of the way from the lowest to the highest number."""

    def __init__(self, part: float) -> None:
        self.part = part

    def randint(self, a: int, b: int, /) -> int:
        return a + round(self.part * (b - a))


class Router:
    """An advertiser whose timer fires when it is due, and what it sent when."""

    def __init__(self, dice=None, **changes) -> None:
        self.advertiser = RouterAdvertiser(virtual_ha(**changes), dice or Dice(1.0))
        self.sent: list[tuple[float, SendFrame]] = []

    def run_until(self, seconds: float) -> None:
        while (due := self.advertiser.deadline()) is not None and due <= at(seconds):
            for effect in self.advertiser.handle(TimerFired(), due):
                if isinstance(effect, SendFrame):
                    self.sent.append((due / SECOND, effect))
                else:
                    assert effect == Report("debug", "router_advertisements_sent")

    def happens(self, event, seconds: float) -> None:
        self.run_until(seconds)
        assert self.advertiser.handle(event, at(seconds)) == []

    def speaks(self, seconds: float = 0.0) -> Router:
        self.happens(SpeakerChanged(True), seconds)
        return self

    def is_silent(self, seconds: float) -> Router:
        self.happens(SpeakerChanged(False), seconds)
        return self

    def is_solicited(self, seconds: float) -> Router:
        self.happens(SolicitationReceived(), seconds)
        return self

    def becomes(self, seconds: float, **changes) -> Router:
        self.run_until(seconds)
        self.advertiser.reconfigure(virtual_ha(**changes), at(seconds))
        return self

    def sent_until(self, seconds: float) -> list[float]:
        self.run_until(seconds)
        return [when for when, _unused in self.sent]

    def said(self) -> list[icmpv6.RouterAdvertisement]:
        return [read(frame) for _unused, frame in self.sent]


def read(frame: SendFrame) -> icmpv6.RouterAdvertisement:
    packet = ipv6.decode(frame.packet)
    icmpv6.check_packet(packet)
    message = icmpv6.decode(packet.payload)
    assert isinstance(message, icmpv6.RouterAdvertisement)
    return message


# --- what is said ----------------------------------------------------------------------------------------------


def test_an_advertisement_is_from_the_virtual_router_to_all_nodes():
    router = Router().speaks()
    router.run_until(1)
    ((_unused, frame),) = router.sent
    packet = ipv6.decode(frame.packet)
    assert (packet.source, packet.destination, packet.hop_limit) == (LINK_LOCAL, ALL_NODES, 255)
    assert (frame.vrid, frame.virtual_mac, frame.destination_mac.hex(":")) == (51, True, "33:33:00:00:00:01")


def test_a_home_agent_advertises_its_address_and_prefix_but_is_no_default_router():
    router = Router().speaks()
    router.run_until(1)
    assert router.said() == [
        icmpv6.RouterAdvertisement(
            current_hop_limit=64,
            home_agent=True,
            router_lifetime_us=0,
            options=(
                LinkLayerAddress(OptionType.SOURCE_LINK_LAYER, bytes.fromhex("00005e000233")),
                PrefixInformation(VHA, 64, True, False, True, 30 * DAY, 7 * DAY),
                AdvertisementInterval(600 * SECOND),
            ),
        )
    ]


def test_a_plain_virtual_router_says_nothing_of_home_agents():
    settings = RouterAdvertisementSettings(interval_option=False)
    router = Router(mipv6_ha_mode=False, router_advertisements=settings).speaks()
    router.run_until(1)
    (message,) = router.said()
    assert not message.home_agent
    assert message.options == (
        LinkLayerAddress(OptionType.SOURCE_LINK_LAYER, bytes.fromhex("00005e000233")),
        PrefixInformation(packed("2001:db8:1::"), 64, True, False, False, 30 * DAY, 7 * DAY),
    )


def test_what_it_says_as_a_home_agent_is_asked_for_when_it_speaks():
    said = [HomeAgentInformation(64, 1800 * SECOND)]
    router = Router()
    router.advertiser = RouterAdvertiser(virtual_ha(), Dice(1.0), lambda: said[0])
    router.speaks().run_until(1)
    said[0] = HomeAgentInformation(63, 1800 * SECOND)
    router.run_until(17)
    assert [first(message.options, HomeAgentInformation).preference for message in router.said()] == [64, 63]


def test_a_changed_service_is_told_soon_but_not_more_than_every_thirty_seconds():
    router = Router(Dice(1.0)).speaks(0)
    router.happens(ServiceChanged(), 100)
    router.happens(ServiceChanged(), 110)
    assert router.sent_until(200)[3:] == [100.5, 130.5]
    router.happens(SolicitationReceived(), 140)
    assert router.sent_until(200)[5:] == [140.5]


def test_a_backup_keeps_what_changed_to_itself():
    router = Router()
    router.happens(ServiceChanged(), 10)
    assert router.sent_until(2000) == []


def test_intervals_below_those_of_rfc_4861_are_kept_and_allow_for_scheduling():
    """RFC 6275 section 7.5: what is advertised is 20 ms more than what is kept to."""
    fast = RouterAdvertisementSettings(maximum_interval_us=70_000, minimum_interval_us=30_000, minimum_delay_us=30_000)
    router = Router(Dice(1.0), router_advertisements=fast).speaks(0)
    times = router.sent_until(2)
    assert times[:3] == [0.5, 0.57, 0.64]
    assert first(router.said()[0].options, AdvertisementInterval).interval_us == 90_000


def test_a_default_router_says_for_how_long():
    router = Router(router_advertisements=ROUTER).speaks()
    router.run_until(1)
    assert [message.router_lifetime_us for message in router.said()] == [1800 * SECOND]


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({"home_link": HomeLink.ROUTED}, (False, False)),
        ({"router_advertisements": RouterAdvertisementSettings(autonomous=True)}, (True, True)),
    ],
    ids=["routed", "autonomous"],
)
def test_the_flags_of_the_prefix_follow_the_settings(changes, flags):
    router = Router(**changes).speaks()
    router.run_until(1)
    (message,) = router.said()
    prefix = icmpv6.first(message.options, PrefixInformation)
    assert (prefix.on_link, prefix.autonomous) == flags


# --- unsolicited -----------------------------------------------------------------------------------------------


def test_a_backup_is_silent_also_when_solicited():
    assert Router().is_solicited(1).sent_until(2000) == []


def test_the_first_ones_come_faster_and_then_one_in_each_interval():
    assert Router(Dice(1.0)).speaks(10).sent_until(1300) == [10.5, 26.5, 42.5, 642.5, 1242.5]
    assert Router(Dice(0.0)).speaks(10).sent_until(500) == [10, 26, 42, 242, 442]


def test_intervals_are_spread_between_the_minimum_and_the_maximum():
    times = Router(random.Random(7)).speaks().sent_until(400_000)[3:]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 200 <= min(gaps) < 210
    assert 590 < max(gaps) <= 600


def test_short_intervals_are_not_stretched_at_the_beginning():
    short = RouterAdvertisementSettings(maximum_interval_us=8 * SECOND, minimum_interval_us=3 * SECOND)
    assert Router(Dice(0.0), router_advertisements=short).speaks().sent_until(10) == [0, 3, 6, 9]


def test_speaking_on_does_not_begin_anew():
    assert Router().speaks(0).speaks(5).speaks(50).sent_until(100) == [0.5, 16.5, 32.5]


def test_one_that_falls_silent_takes_nothing_back():
    router = Router(router_advertisements=ROUTER).speaks(0).is_silent(20)
    assert router.sent_until(5000) == [0.5, 16.5]
    assert all(message.router_lifetime_us for message in router.said())


def test_one_that_is_master_again_keeps_to_the_rate_limit():
    assert Router(Dice(1.0)).speaks(0).is_silent(1).speaks(2).sent_until(10) == [0.5, 4.0]


# --- solicited -------------------------------------------------------------------------------------------------


def test_a_solicitation_is_answered_after_a_random_delay():
    assert Router(Dice(1.0)).speaks(0).is_solicited(100).sent_until(101) == [0.5, 16.5, 32.5, 100.5]
    assert Router(Dice(0.2)).speaks(0).is_solicited(100).sent_until(101)[-1] == 100.1


def test_one_answer_serves_many_and_the_delay_counts_from_the_first():
    router = Router(Dice(1.0)).speaks(0).is_solicited(100).is_solicited(100.2).is_solicited(100.4)
    assert router.sent_until(102)[3:] == [100.5]


def test_answers_are_three_seconds_apart_whoever_asks():
    router = Router(Dice(0.5)).speaks(0)
    for tenth in range(1000, 1200):
        router.is_solicited(tenth / 10)
    times = router.sent_until(125)[3:]
    assert times[0] == 100.25
    assert min(later - earlier for earlier, later in pairwise(times)) >= 3
    assert len(times) >= 6


def test_what_is_due_anyway_answers():
    assert Router(Dice(1.0)).speaks(0).is_solicited(16.2).sent_until(20) == [0.5, 16.5]


def test_an_answer_starts_the_interval_again():
    assert Router(Dice(1.0)).speaks(0).is_solicited(100).sent_until(800)[3:] == [100.5, 700.5]


# --- another configuration -------------------------------------------------------------------------------------


def test_what_changed_is_told_as_fast_as_by_a_new_router():
    router = Router(Dice(1.0)).speaks(0).becomes(100, router_advertisements=ROUTER)
    assert router.sent_until(200)[3:] == [100.5, 116.5, 132.5]
    assert router.said()[3].router_lifetime_us == 1800 * SECOND


def test_what_hosts_do_not_see_changes_nothing():
    assert Router(Dice(1.0)).speaks(0).becomes(100, priority=7).sent_until(200) == [0.5, 16.5, 32.5]


def test_one_that_is_turned_off_says_once_that_it_is_no_default_router():
    router = Router(Dice(1.0), router_advertisements=ROUTER).speaks(0)
    router.becomes(100, router_advertisements=OFF).is_solicited(100.2).is_solicited(200)
    assert router.sent_until(5000)[3:] == [100.5]
    assert router.said()[3].router_lifetime_us == 0


def test_one_that_was_no_default_router_is_turned_off_without_a_word():
    router = Router(Dice(1.0)).speaks(0).becomes(100, router_advertisements=OFF).is_solicited(200)
    assert len(router.sent_until(5000)) == 3


def test_one_that_is_turned_on_begins():
    router = Router(Dice(1.0), router_advertisements=OFF).speaks(0).is_solicited(10)
    assert router.sent_until(100) == []
    assert router.becomes(100, router_advertisements=ROUTER).sent_until(120) == [100.5, 116.5]


def test_a_backup_that_is_turned_off_or_on_stays_silent():
    router = Router(router_advertisements=ROUTER).becomes(1, router_advertisements=OFF)
    assert router.becomes(2, router_advertisements=ROUTER).sent_until(100) == []


# --- only when solicited (RFC 6275 section 7.5) ----------------------------------------------------------------

ASKED_ONLY = RouterAdvertisementSettings(unsolicited=False)


def test_one_that_speaks_only_when_it_is_asked_is_silent_otherwise():
    router = Router(router_advertisements=ASKED_ONLY).speaks(0)
    router.happens(ServiceChanged(), 50)
    assert router.sent_until(5000) == []
    router.is_solicited(5000)
    assert router.sent_until(20_000) == [5000.5]
    assert first(router.said()[0].options, AdvertisementInterval) is None  # there is none


def test_its_answers_are_three_seconds_apart_too():
    router = Router(Dice(0.0), router_advertisements=ASKED_ONLY).speaks(0)
    for second in (10, 11, 12):
        router.is_solicited(second)
    assert router.sent_until(100) == [10, 13]


def test_its_backup_is_not_asked():
    assert Router(router_advertisements=ASKED_ONLY).is_solicited(10).sent_until(100) == []


def test_speaking_unasked_can_be_turned_off_and_on():
    router = Router().speaks(0).becomes(5, router_advertisements=ASKED_ONLY)
    assert router.sent_until(3000) == [0.5]
    assert router.becomes(3000).sent_until(3001) == [0.5, 3000.5]
