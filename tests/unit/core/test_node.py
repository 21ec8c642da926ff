# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cores meet: one node, told what happens, asked what it wants done."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.core.nodes import (
    INTERVAL,
    UP,
    Story,
    advertised,
    at,
    master,
    of,
    settings,
    virtual_ha,
    vrrp_types,
)
from tests.unit.core.registering import CARE_OF, HOME, VIRTUAL_HA, update
from vrrp_ha.core.effects import (
    Activate,
    ConfirmInstalled,
    Deactivate,
    InstallBindings,
    Report,
    SendFrame,
    SendPacket,
    SetUp,
    TearDown,
)
from vrrp_ha.core.events import (
    BindingsInstalled,
    DrainRequested,
    EffectFailed,
    LinkDown,
    Reconfigured,
    StopRequested,
    UndrainRequested,
)
from vrrp_ha.core.types import SECOND, packed
from vrrp_ha.wire import bc_sync, ipv6, vrrp


def test_returning_owner_says_nothing_but_a_request_until_its_bindings_are_in_the_kernel():
    story = Story(virtual_ha())
    said = story.happens(UP, 0)
    said += story.hears_advert(200, 0.05)
    update_ = bc_sync.BcUpdate(51, [(600 * SECOND, 7, 0xC000, HOME, CARE_OF)])
    applied = story.hears_sync(update_, 0.1)
    assert of(applied, InstallBindings)
    cache = story.node.bindings(51)
    completed = story.hears_sync(bc_sync.BcDigest(51, len(cache), cache.digest), 0.11)
    (confirm,) = of(completed, ConfirmInstalled)
    quiet = said + applied + completed + story.hears_advert(200, 0.15)
    assert set(vrrp_types(quiet)) == {2}  # requests
    assert not of(quiet, Activate)
    taken = story.happens(BindingsInstalled(51, confirm.token), 0.16)
    assert advertised(taken) == [255]
    order = [type(effect) for effect in taken]
    assert order.index(Activate) < order.index(SendFrame)
    assert cache.get(HOME).care_of_address == CARE_OF


def test_owner_that_hears_nobody_takes_over_after_the_master_down_interval():
    story = Story(virtual_ha())
    story.happens(UP, 0)
    assert not of(story.runs_until(0.30), Activate)
    assert of(story.runs_until(0.302), Activate)


def test_owner_without_an_answer_raises_an_alarm_and_stays_backup():
    story = Story(virtual_ha())
    said = story.happens(UP, 0)
    for tenth in range(1, 120):
        said += story.hears_advert(200, tenth / 10)
        said += story.runs_until(tenth / 10 + 0.09)
    assert "owner_unsynced" in [report.kind for report in of(said, Report)]
    assert story.state()["alarm"]
    assert not of(said, Activate)


def test_a_backups_request_does_not_use_the_virtual_mac():
    story = Story(virtual_ha())
    (request,) = of(story.happens(UP, 0), SendFrame)
    assert not request.virtual_mac


def test_member_without_a_sync_competes_with_less():
    story = Story(virtual_ha(priority=200))
    story.happens(UP, 0)
    assert story.state()["effective_priority"] == 100
    story.hears_advert(150, 0.05)
    story.hears_sync(bc_sync.BcDigest(51, 0, 0), 0.06)
    assert story.state()["effective_priority"] == 200


def test_announcements_follow_the_first_advertisement():
    story = Story(virtual_ha())
    story.happens(UP, 0)
    effects = story.runs_until(0.35)
    kinds = [ipv6.decode(frame.packet).next_header for frame in of(effects, SendFrame)]
    first_advert = kinds.index(112)
    assert kinds.count(58) == 3 * 3  # the link-local and two addresses, each three times in 20 ms
    assert kinds.index(58) > first_advert


def test_binding_update_at_an_acting_master_is_installed_replicated_and_acknowledged():
    story = master(priority=200)
    effects = story.receives(update(seconds=1.0), 1.0)
    assert of(effects, InstallBindings)
    assert of(effects, SendPacket)
    assert 3 in vrrp_types(effects)
    assert story.state()["bindings"] == 1


def test_backup_does_not_answer_binding_updates():
    story = Story(virtual_ha(priority=200))
    story.happens(UP, 0)
    assert story.receives(update(), 0.01) == []
    assert story.state()["counters"]["dropped.not_master"] == 1


def test_drained_master_forwards_until_its_successor_is_heard():
    story = master(priority=200)
    effects = story.happens(DrainRequested((51,)), 1.0)
    assert advertised(effects) == [0]
    assert vrrp_types(effects).index(4) < vrrp_types(effects).index(1)  # the digest came before
    assert not of(effects, Deactivate)
    assert of(story.hears_advert(150, 1.03), Deactivate)
    assert story.node.drained == {51}


def test_undrained_owner_takes_over_as_soon_as_its_bindings_are_confirmed():
    story = master()
    story.happens(DrainRequested((51,)), 1.0)
    story.hears_advert(150, 1.03)
    story.hears_sync(bc_sync.BcDigest(51, 0, 0), 1.04)
    assert 2 in vrrp_types(story.happens(UndrainRequested((51,)), 2.0))  # it asks what changed this very moment
    (confirm,) = of(story.hears_sync(bc_sync.BcDigest(51, 0, 0), 2.01), ConfirmInstalled)
    assert advertised(story.happens(BindingsInstalled(51, confirm.token), 2.0)) == [255]


def test_undraining_in_the_middle_of_the_handover_ends_it():
    story = master()
    story.happens(DrainRequested((51,)), 1.0)
    assert advertised(story.happens(UndrainRequested((51,)), 1.01)) == [255]
    assert (story.state()["state"], story.state()["leaving"]) == ("master", False)


def test_backup_that_is_made_the_owner_takes_over_once_its_bindings_are_confirmed():
    story = Story(virtual_ha(priority=200))
    story.happens(UP, 0)
    story.hears_advert(250, 0.05)
    story.hears_sync(bc_sync.BcDigest(51, 0, 0), 0.06)
    (confirm,) = of(story.happens(Reconfigured(settings(virtual_ha(priority=255))), 1.0), ConfirmInstalled)
    assert advertised(story.happens(BindingsInstalled(51, confirm.token), 1.0)) == [255]


def test_drained_stays_drained_across_a_restart():
    story = Story(virtual_ha(), drained=frozenset({51}))
    story.happens(UP, 0)
    story.hears_advert(100, 0.05)
    assert (story.state()["drained"], story.state()["effective_priority"]) == (True, 1)
    assert not of(story.runs_until(0.3), Activate)


def test_untouched_virtual_ha_does_not_notice_a_reload():
    other = virtual_ha(vrid=52, addresses=(packed("2001:db8:1::52"),), link_local=packed("fe80::5eff:fe00:234"))
    story = master(other, priority=200)
    before = story.node.deadline()
    changed = replace(other, preempt=False)
    effects = story.happens(Reconfigured(settings(virtual_ha(priority=200), changed)), 0.951)
    assert effects == []
    assert story.node.deadline() == before


def test_removed_virtual_ha_hands_over_before_it_is_taken_down():
    story = master(priority=200)
    effects = story.happens(Reconfigured(settings()), 1.0)
    assert advertised(effects) == [0]
    assert not of(effects, TearDown)
    addresses = (VIRTUAL_HA.link_local, *VIRTUAL_HA.addresses)
    effects = story.hears(vrrp.encode(vrrp.Advertisement(51, 150, INTERVAL, addresses)), 1.05)
    assert [type(e) for e in effects if isinstance(e, Deactivate | TearDown)] == [Deactivate, TearDown]


def test_changed_address_makes_a_new_virtual_router_that_keeps_nothing_of_the_old_address():
    story = master(priority=200)
    story.receives(update(seconds=1.0), 1.0)
    moved = virtual_ha(priority=200, addresses=(packed("2001:db8:1::99"),))
    effects = story.happens(Reconfigured(settings(moved)), 1.1)
    assert [type(e) for e in effects if isinstance(e, Deactivate | TearDown | SetUp)] == [Deactivate, TearDown, SetUp]
    assert story.state()["bindings"] == 0


def test_member_that_cannot_forward_lets_another_one_serve_and_tries_again():
    story = master(priority=200)
    effects = story.happens(EffectFailed(51, "activate", "no such device"), 1.0)
    assert advertised(effects) == [0]
    assert of(effects, Deactivate)
    assert story.state()["state"] == "initialize"
    assert "no such device" in story.state()["alarm"]
    story.runs_until(6.5)
    assert story.state()["state"] == "master"


def test_lost_link_stops_serving_at_once_and_its_return_starts_anew():
    story = master(priority=200)
    effects = story.happens(LinkDown("eth1"), 1.0)
    assert of(effects, Deactivate)
    assert not of(effects, SendFrame)
    assert story.runs_until(5) == []
    assert of(story.happens(UP, 5), SetUp)


def test_stopping_master_is_stopped_only_after_it_handed_over():
    story = master(priority=200)
    assert advertised(story.happens(StopRequested(), 1.0)) == [0]
    assert not story.node.stopped
    story.hears_advert(150, 1.05)
    assert story.node.stopped


def test_expired_binding_is_removed_everywhere_by_the_master():
    story = master(priority=200)
    story.receives(update(seconds=1.0, lifetime_s=8), 1.0)
    story.runs_until(8.9)
    assert story.state()["bindings"] == 1
    effects = story.runs_until(9.0)
    assert 3 in vrrp_types(effects)
    assert story.state()["bindings"] == 0


def test_what_is_wrong_with_a_packet_is_counted_under_its_reason():
    story = master(priority=200)
    story.receives(b"\x60", 1.0)
    story.hears(vrrp.encode(vrrp.Advertisement(77, 100, INTERVAL, (VIRTUAL_HA.link_local,))), 1.0)
    counters = story.node.status(at(1))["counters"]
    assert counters == {"dropped.truncated": 1, "dropped.vrid_not_configured": 1}


def test_returning_owner_takes_the_answer_to_its_first_request_before_it_has_heard_an_advertisement():
    story = Story(virtual_ha())
    story.happens(UP, 0)
    story.hears_sync(bc_sync.BcUpdate(51, [(600 * SECOND, 7, 0xC000, HOME, CARE_OF)]), 0.01)
    cache = story.node.bindings(51)
    (confirm,) = of(story.hears_sync(bc_sync.BcDigest(51, 1, cache.digest), 0.02), ConfirmInstalled)
    assert advertised(story.happens(BindingsInstalled(51, confirm.token), 0.03)) == [255]


def test_first_master_of_a_cold_start_competes_fully_once_another_member_asked_it():
    story = master(priority=200)
    assert story.state()["effective_priority"] == 100
    story.hears_sync(bc_sync.BcRequest(51), 1.0)
    assert story.state()["effective_priority"] == 200
    assert advertised(story.runs_until(1.2))[-1] == 200
