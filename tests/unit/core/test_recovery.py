# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full recovery (draft section 5.2.2): a mobile node whose security association died with the owner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab.mn import binding
from tests.unit.core.nodes import PEER_MAC, at, of, vrrp_types
from tests.unit.core.recovering import (
    HOOK,
    OWN_VHA,
    acting_master,
    bind,
    deleted,
    esp,
    home,
    hooks,
    known,
    pace,
    registration_at_own,
    switches,
    unreadable,
)
from tests.unit.core.registering import CARE_OF, ELSEWHERE, HOME, KEY, OTHER_HOME, SPI, VHA, WALL, update
from vrrp_ha.core.effects import RemoveBindings, Report
from vrrp_ha.core.events import PacketReceived, Reconfigured, RecoverRequested
from vrrp_ha.core.settings import MobileNodeKey, VirtualHaSettings
from vrrp_ha.core.types import SECOND, Binding, packed
from vrrp_ha.wire import mobility

HOME_TEXT = "2001:db8:1::1001"
TRIGGERS = pytest.mark.parametrize("trigger", [esp(), unreadable()], ids=["esp", "unknown_spi"])


def assert_nothing_recovered(story, effects):
    assert not deleted(effects)
    assert not switches(effects)
    assert story.node.bindings(51).get(HOME)


# --- what begins one ---------------------------------------------------------------------------------------


@TRIGGERS
def test_signalling_that_no_key_here_opens_deletes_the_binding_everywhere_and_switches_the_mobile_node(trigger):
    story = acting_master()
    effects = story.receives(trigger, 1.0)
    assert deleted(effects) == [HOME]
    assert story.node.bindings(51).get(HOME) is None
    assert 3 in vrrp_types(effects)  # BC_UPDATE: the others delete it, too
    ((packet, message),) = switches(effects)
    assert message.home_agents == (OWN_VHA,)
    assert (packet.source, packet.destination, packet.routing_home_address) == (OWN_VHA, ELSEWHERE, HOME)
    assert known(story, 1.0) == [(HOME_TEXT, "sent")]


def test_the_switch_is_authenticated_with_the_key_that_this_member_has_of_the_mobile_node():
    story = acting_master()
    ((packet, message),) = switches(story.receives(esp(), 1.0))
    option = mobility.first(message.options, mobility.Authentication)
    assert (option.subtype, option.spi) == (mobility.MN_HA, SPI)
    covered = packet.payload[: packet.payload.index(option.authenticator)]
    assert binding.sign(KEY, ELSEWHERE, HOME, covered) == option.authenticator
    assert packet.payload.endswith(option.authenticator)  # RFC 4285 section 5.1: the last option


def test_each_switch_says_the_time_of_day_so_that_an_old_one_is_not_believed():
    """RFC 4285 section 6: these security associations use timestamps."""
    story = acting_master()
    ((_unused, first),) = switches(story.receives(esp(), 1.0))
    second = switches(story.runs_until(6.0))[0][1]
    timestamps = [mobility.first(message.options, mobility.ReplayProtection).timestamp for message in (first, second)]
    assert timestamps == [binding.ntp((WALL + seconds * SECOND) * 1000) for seconds in (1, 6)]


def test_the_clock_that_was_set_meanwhile_is_the_one_that_counts():
    story = acting_master()
    story.receives(esp(), 1.0)
    day = 86_400
    story.node.handle(PacketReceived("eth1", PEER_MAC, b"", WALL + (day + 2) * SECOND), at(2))
    message = switches(story.runs_until(6.0))[0][1]
    timestamp = mobility.first(message.options, mobility.ReplayProtection).timestamp
    assert timestamp == binding.ntp((WALL + (day + 6) * SECOND) * 1000)


def test_while_keys_are_changed_the_switch_is_repeated_with_each_of_them():
    story = acting_master()
    newer = replace(story.node.settings.mobile_node_keys[0], spi=SPI + 1)
    keys = (*story.node.settings.mobile_node_keys, newer)
    story.happens(Reconfigured(replace(story.node.settings, mobile_node_keys=keys)), 0.98)
    effects = [*story.receives(esp(), 1.0), *story.runs_until(36.5)]
    options = [mobility.first(message.options, mobility.Authentication) for _unused, message in switches(effects)]
    assert [option.spi for option in options] == [SPI + 1, SPI, SPI, SPI + 1, SPI + 1, SPI, SPI]  # to two places


def test_a_binding_update_that_can_be_read_is_answered_and_begins_nothing():
    story = acting_master()
    effects = story.receives(update(care_of=ELSEWHERE, sequence=2, seconds=1.0), 1.0)
    assert_nothing_recovered(story, effects)
    assert story.node.bindings(51).get(HOME).care_of_address == ELSEWHERE


@pytest.mark.parametrize(
    "packet",
    [
        update(care_of=ELSEWHERE, key=None, sequence=2, seconds=1.0),
        update(care_of=ELSEWHERE, key=bytes(16), sequence=2, seconds=1.0),
        update(spi=999, key=bytes(16), sequence=2, seconds=1.0, at_home=True),
        esp(None),
        esp(source=packed("fe80::1")),
    ],
    ids=["unauthenticated", "wrong key", "from home", "esp without HAO", "link-local source"],
)
def test_what_says_nothing_about_a_lost_key_begins_nothing(packet):
    story = acting_master()
    assert_nothing_recovered(story, story.receives(packet, 1.0))
    assert known(story, 1.0) == []


@TRIGGERS
def test_a_damaged_packet_begins_nothing(trigger):
    story = acting_master()
    damaged = bytearray(trigger)
    if damaged[40] == 135:
        damaged[-1] ^= 1  # the checksum of the Mobility Header
    else:
        del damaged[50:]
    assert_nothing_recovered(story, story.receives(bytes(damaged), 1.0))


@TRIGGERS
def test_an_owner_deletes_nothing_of_its_own(trigger):
    story = acting_master(priority=255, owns=False)
    assert_nothing_recovered(story, story.receives(trigger, 1.0))


@TRIGGERS
def test_a_backup_leaves_it_to_the_master(trigger):
    story = acting_master()
    story.hears_advert(255, 0.99)
    effects = story.receives(trigger, 1.0)
    assert not deleted(effects)
    assert not switches(effects)


@TRIGGERS
def test_nothing_begins_when_it_is_switched_off_but_the_operator_still_can(trigger):
    story = acting_master(enabled=False)
    assert_nothing_recovered(story, story.receives(trigger, 1.0))
    effects = story.happens(RecoverRequested(51, (HOME,)), 1.1)
    assert deleted(effects) == [HOME]
    ((packet, _unused),) = switches(effects)
    assert packet.destination == CARE_OF  # nobody said that it is somewhere else


def test_the_operator_can_recover_also_what_a_member_owns():
    story = acting_master(priority=255, owns=False)
    ((packet, message),) = switches(story.happens(RecoverRequested(51, (HOME, OTHER_HOME)), 1.0))
    assert packet.source == VHA
    assert message.home_agents == (VHA,)
    assert known(story, 1.0) == [(HOME_TEXT, "sent")]  # nothing is known of the other one


@pytest.mark.parametrize("on_expiry", [False, True])
def test_a_binding_that_expires_is_recovered_if_that_is_wanted(on_expiry):
    story = acting_master(on_expiry=on_expiry)
    effects = story.runs_until(603)
    assert deleted(effects) == [HOME]
    assert [packet.destination for packet, _unused in switches(effects)][:1] == ([CARE_OF] if on_expiry else [])


# --- who it is switched to ---------------------------------------------------------------------------------


def test_a_member_that_owns_none_asks_for_a_registration_where_the_mobile_node_is():
    story = acting_master(owns=False)
    ((packet, message),) = switches(story.receives(esp(), 1.0))
    assert packet.source == VHA
    assert message.home_agents == (VHA,)


def test_an_own_virtual_ha_of_another_home_link_is_of_no_use():
    story = acting_master()
    elsewhere: VirtualHaSettings = replace(
        story.node.settings.virtual_has[1], prefix=packed("2001:db8:4::"), addresses=(packed("2001:db8:4::52"),)
    )
    both = (story.node.settings.virtual_has[0], elsewhere)
    story.happens(Reconfigured(replace(story.node.settings, virtual_has=both)), 0.97)
    ((packet, _unused),) = switches(story.receives(esp(), 1.0))
    assert packet.source == VHA


# --- how it goes on ----------------------------------------------------------------------------------------


def test_the_switch_is_sent_again_after_5_10_and_20_seconds_and_then_given_up():
    story = acting_master()
    story.receives(esp(), 1.0)
    times = []
    while (due := story.node.deadline()) <= at(80):
        if switches(story.runs_until(due / 1e6)):
            times.append(due)
    assert times == [at(6), at(16), at(36)]
    assert known(story, 80) == [(HOME_TEXT, "failed")]
    assert story.state()["recoveries"] == {"pending": 0, "sent": 0, "done": 0, "failed": 1}


def test_done_when_the_mobile_node_registers_with_the_new_home_agent():
    story = acting_master()
    story.receives(esp(), 1.0)
    effects = story.receives(registration_at_own(2.0), 2.0)
    assert story.node.bindings(52).get(HOME).care_of_address == ELSEWHERE
    assert "recovery_done" in [report.kind for report in of(effects, Report)]
    assert known(story, 2.0) == [(HOME_TEXT, "done")]
    assert not switches(story.runs_until(60))
    assert story.state()["counters"]["recovery_done"] == 1


def test_done_when_it_registers_where_it_was():
    story = acting_master()
    story.receives(esp(), 1.0)
    story.receives(update(care_of=ELSEWHERE, sequence=9, seconds=2.0), 2.0)
    assert known(story, 2.0) == [(HOME_TEXT, "done")]


def test_a_refused_registration_ends_nothing():
    story = acting_master()
    story.receives(esp(), 1.0)
    story.receives(update(care_of=ELSEWHERE, key=bytes(16), sequence=9, seconds=2.0), 2.0)
    assert known(story, 2.0) == [(HOME_TEXT, "sent")]


def test_a_mobile_node_that_comes_late_is_done_all_the_same():
    story = acting_master()
    story.receives(esp(), 1.0)
    story.runs_until(80)
    story.receives(registration_at_own(81), 81)
    assert known(story, 81) == [(HOME_TEXT, "done")]


def test_a_mobile_node_that_moves_again_is_followed():
    story = acting_master()
    story.receives(esp(), 1.0)
    farther = packed("2001:db8:5::1")
    assert not switches(story.receives(esp(source=farther), 2.0))
    assert [packet.destination for packet, _unused in switches(story.runs_until(6.0))] == [farther, CARE_OF]


def test_a_mobile_node_that_somebody_else_spoke_for_is_told_where_it_was_bound():
    """It did not ask for anything, and its binding is gone; the first message went to whoever pretended."""
    story = acting_master()
    ((packet, _unused),) = switches(story.receives(esp(), 1.0))
    assert packet.destination == ELSEWHERE
    again = [packet for packet, _unused in switches(story.runs_until(6.0))]
    assert [packet.destination for packet in again] == [ELSEWHERE, CARE_OF]
    covered = again[1].payload[:-12]
    assert binding.sign(KEY, CARE_OF, HOME, covered) == again[1].payload[-12:]


def test_a_failed_one_can_be_tried_again_by_the_operator():
    story = acting_master()
    story.receives(esp(), 1.0)
    story.runs_until(80)
    ((packet, _unused),) = switches(story.happens(RecoverRequested(51, (HOME,)), 81))
    assert packet.destination == ELSEWHERE


def test_all_are_given_up_when_the_owner_is_back():
    story = acting_master()
    story.receives(esp(), 1.0)
    effects = story.hears_advert(255, 1.1)
    assert "recoveries_given_up" in [report.kind for report in of(effects, Report)]
    assert known(story, 1.1) == [(HOME_TEXT, "failed")]
    assert not switches(story.runs_until(1.3))


# --- without a key -----------------------------------------------------------------------------------------


def test_without_a_key_the_hook_is_run_once_with_what_it_needs_and_no_secret():
    story = acting_master(keys=False, hook=HOOK)
    effects = story.receives(esp(), 1.0)
    assert not switches(effects)
    (run,) = hooks(effects)
    assert run.program == HOOK
    assert run.arguments == ("51", "2001:db8:1::1", "2001:db8:1::52", HOME_TEXT, "2001:db8:3::99", "esp")
    assert not hooks(story.runs_until(80))
    assert known(story, 80) == [(HOME_TEXT, "failed")]


def test_a_hook_that_brings_a_key_has_done_it():
    story = acting_master(keys=False, hook=HOOK)
    story.receives(esp(), 1.0)
    keys = (MobileNodeKey(SPI, KEY, HOME, 128),)
    story.happens(Reconfigured(replace(story.node.settings, mobile_node_keys=keys)), 2.0)
    story.receives(registration_at_own(3.0), 3.0)
    assert known(story, 3.0) == [(HOME_TEXT, "done")]


def test_with_neither_key_nor_hook_it_fails_at_once_but_the_binding_is_deleted():
    story = acting_master(keys=False)
    effects = story.receives(esp(), 1.0)
    assert deleted(effects) == [HOME]
    assert not switches(effects)
    assert known(story, 1.0) == [(HOME_TEXT, "failed")]


def test_where_binding_updates_need_no_key_the_switch_needs_none():
    story = acting_master(keys=False)
    insecure = replace(story.node.settings.virtual_has[0], insecure_bindings=True)
    both = (insecure, story.node.settings.virtual_has[1])
    story.happens(Reconfigured(replace(story.node.settings, virtual_has=both)), 0.97)
    ((_unused, message),) = switches(story.receives(esp(), 1.0))
    assert message.options == ()


# --- pace --------------------------------------------------------------------------------------------------


def test_more_than_a_burst_wait_for_their_turn_and_keep_their_bindings_meanwhile():
    story = acting_master(pace=pace(50, 10), per_source=pace(1, 10_000))
    homes = [home(number) for number in range(100)]
    bind(story, *homes)
    effects = [effect for address in homes for effect in story.receives(esp(address), 1.0)]
    assert deleted(effects) == homes[:10]
    assert story.state()["recoveries"] == {"pending": 90, "sent": 10, "done": 0, "failed": 0}
    assert all(story.node.bindings(51).get(address) for address in homes[10:])
    assert deleted(story.runs_until(2.0)) == homes[10:60]  # first come, first served
    assert deleted(story.runs_until(2.8)) == homes[60:]
    assert story.state()["recoveries"]["pending"] == 0


def test_a_thousand_at_once_are_all_served_and_the_first_do_not_wait_for_the_last():
    story = acting_master(pace=pace(50, 10), per_source=pace(1, 10_000))
    homes = [home(number) for number in range(1000)]
    for address in homes:
        story.node.bindings(51).put(Binding(address, CARE_OF, 1, 0xC000, at(600)))
    waiting = [effect for address in homes for effect in story.receives(esp(address), 1.0)]
    served, second = [], 1.0
    while len(served) < 1000 and second < 60:
        for packet, _unused in switches(waiting):
            address = packet.routing_home_address
            served.append(address)
            story.receives(update(home=address, destination=OWN_VHA, seconds=second), second)
        second += 0.5
        waiting = story.runs_until(second)
    assert served == homes  # each once: all answered before the first one was sent again
    assert second < 1 + 1000 / 50 + 1
    assert story.state()["recoveries"] == {"pending": 0, "sent": 0, "done": 1000, "failed": 0}
    assert len(story.node.bindings(52)) == 1000


def test_a_valid_binding_update_ends_a_recovery_that_waits_and_nothing_is_lost():
    story = acting_master(pace=pace(1, 1))
    bind(story, OTHER_HOME)
    story.receives(esp(OTHER_HOME), 1.0)
    story.receives(esp(HOME), 1.0)
    assert ("2001:db8:1::1001", "pending") in known(story, 1.0)
    story.receives(update(care_of=ELSEWHERE, sequence=7, seconds=1.2), 1.2)
    assert not deleted(story.runs_until(10.0))
    assert story.node.bindings(51).get(HOME).care_of_address == ELSEWHERE


def test_one_that_registers_elsewhere_before_its_turn_leaves_no_binding_behind():
    story = acting_master(pace=pace(1, 1))
    bind(story, OTHER_HOME)
    story.receives(esp(OTHER_HOME), 1.0)
    story.receives(esp(HOME), 1.0)
    effects = story.receives(registration_at_own(1.2, sequence=9), 1.2)
    assert deleted(effects) == [HOME]
    assert story.node.bindings(51).get(HOME) is None
    assert story.node.bindings(52).get(HOME).care_of_address == ELSEWHERE
    assert (HOME_TEXT, "done") in known(story, 1.2)


def test_the_queue_has_an_end():
    story = acting_master(pace=pace(1, 1), queue=2, per_source=pace(1, 10_000))
    homes = [home(number) for number in range(10)]
    bind(story, *homes)
    for address in homes:
        story.receives(esp(address), 1.0)
    assert story.state()["recoveries"]["pending"] == 2
    assert story.state()["counters"]["recovery_limited.queue"] == 7


def test_removed_bindings_are_those_of_the_cache():
    story = acting_master()
    (removal,) = of(story.receives(esp(), 1.0), RemoveBindings)
    assert [(removed.home_address, removed.care_of_address) for removed in removal.bindings] == [(HOME, CARE_OF)]


def test_what_the_operator_wants_is_not_done_where_nothing_could_follow():
    story = acting_master(keys=False)
    assert_nothing_recovered(story, story.happens(RecoverRequested(51, (HOME,)), 1.0))
    assert known(story, 1.0) == []
