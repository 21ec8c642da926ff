# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stories beyond RFC 9568: an owner that waits for its bindings, a Master that leaves make before break."""

from __future__ import annotations

import pytest

from tests.unit.core.electing import (
    HIGHER,
    INTERVAL,
    LOCAL,
    LOWER,
    advert,
    at,
    backup,
    draining,
    held_owner,
    master,
    orders,
    reports,
    stopped,
    stopping,
)
from vrrp_ha.core.effects import Advertise, BecomeBackup, BecomeInitialize, BecomeMaster
from vrrp_ha.core.events import LinkLost, PriorityChanged, Release, Shutdown, Startup, TimerFired
from vrrp_ha.core.types import CENTISECOND, SECOND, Instant, State

# --- the returning owner -----------------------------------------------------------------------------------------


def test_held_owner_starts_as_backup_without_advertising():
    router = stopped(priority=255)
    assert orders(router.handle(Startup(hold=True), at(0))) == [BecomeBackup(was_master=False)]
    assert (router.state, router.held) == (State.BACKUP, True)
    assert router.deadline() == Instant(at(3) + INTERVAL // 256)


def test_held_owner_listens_to_a_lower_priority_as_to_its_master():
    router = held_owner()
    for second in range(1, 60):
        assert router.handle(advert(100), at(second)) == []
        assert router.deadline() == Instant(at(second + 3) + INTERVAL // 256)
    assert router.master == LOWER


def test_released_owner_is_master_at_once():
    router = held_owner()
    router.handle(advert(100), at(1))
    effects = router.handle(Release(), at(1.2))
    assert orders(effects) == [BecomeMaster(), Advertise(255)]
    assert reports(effects) == [("became_master", "released")]
    assert not router.held


def test_held_owner_serves_with_what_it_has_when_nobody_else_does():
    router = held_owner()
    router.handle(advert(100), at(1))
    assert orders(router.handle(TimerFired(), router.deadline())) == [BecomeMaster(), Advertise(255)]
    assert not router.held


def test_held_owner_lets_members_with_the_bindings_succeed_a_master_that_resigns():
    router = held_owner()
    router.handle(advert(100), at(1))
    assert router.handle(advert(0), at(1.5)) == []
    assert router.deadline() == Instant(at(4.5) + INTERVAL // 256)


def test_released_owner_ignores_advertisements_again():
    router = held_owner()
    router.handle(Release(), at(1))
    assert router.handle(advert(100), at(1.5)) == []


def test_release_of_a_drained_owner_does_not_make_it_master():
    router = held_owner()
    router.handle(PriorityChanged(1), at(0.5))
    assert router.handle(Release(), at(1)) == []
    assert (router.state, router.held) == (State.BACKUP, False)


def test_a_held_owner_that_is_no_owner_any_more_preempts_as_others_do():
    router = held_owner()
    router.handle(PriorityChanged(200), at(0.5))
    router.handle(advert(100), at(1))
    assert not router.held
    assert router.deadline() < at(4)


def test_an_undrained_owner_waits_for_its_bindings():
    router = draining(priority=255)
    router.handle(advert(100), at(1))
    assert router.state is State.BACKUP
    assert router.handle(PriorityChanged(255), at(2)) == []
    router.handle(advert(100), at(3))
    assert router.deadline() == Instant(at(6) + INTERVAL // 256)
    assert orders(router.handle(Release(), at(3.5))) == [BecomeMaster(), Advertise(255)]


def test_an_undrained_owner_of_a_plain_virtual_router_takes_over_at_once():
    router = draining(priority=255, mipv6_ha_mode=False)
    router.handle(advert(100), at(1))
    assert orders(router.handle(PriorityChanged(255), at(2))) == [BecomeMaster(), Advertise(255)]


# --- leaving -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [Shutdown(), PriorityChanged(1, resign=True)])
def test_a_leaving_master_says_so_once_and_forwards_on(event):
    router = master()
    assert orders(router.handle(event, at(0.5))) == [Advertise(0)]
    assert (router.state, router.master, router.leaving) == (State.MASTER, LOCAL, True)


def test_the_wait_for_a_successor_outlasts_the_skew_of_any_backup():
    router = stopping()
    worst = backup(priority=1)
    worst.handle(advert(0), at(0.5))
    assert worst.deadline() < router.deadline() == Instant(at(1.5) + CENTISECOND)


def test_a_stopping_master_ends_with_its_successors_first_advertisement():
    router = stopping()
    effects = router.handle(advert(100, LOWER), at(0.9))
    assert orders(effects) == [BecomeInitialize(was_master=True)]
    assert effects[-1].fields == {"reason": "handed_over", "master": "fe80::1"}
    assert (router.leaving, router.deadline()) == (False, None)


def test_a_stopping_owner_hears_its_successor_too():
    router = stopping(priority=255)
    assert orders(router.handle(advert(100), at(0.9))) == [BecomeInitialize(was_master=True)]


def test_a_stopping_master_without_a_successor_ends_all_the_same():
    router = stopping()
    assert router.handle(TimerFired(), at(1.5)) == []
    assert orders(router.handle(TimerFired(), router.deadline())) == [BecomeInitialize(was_master=True)]


def test_somebody_elses_resignation_is_no_successor():
    router = stopping()
    assert router.handle(advert(0, HIGHER), at(0.9)) == []
    assert router.leaving


def test_a_drained_master_becomes_backup_with_its_successors_first_advertisement():
    router = draining()
    effects = router.handle(advert(100, LOWER, interval_us=2 * SECOND), at(0.9))
    assert orders(effects) == [BecomeBackup(was_master=True)]
    assert reports(effects) == [("became_backup", "handed_over")]
    assert (router.master, router.leaving) == (LOWER, False)
    assert router.deadline() == Instant(at(0.9) + 6 * SECOND + 255 * 2 * SECOND // 256)


def test_a_drained_master_whom_nobody_follows_serves_on_with_the_lowered_priority():
    router = draining()
    ended = router.deadline()
    effects = router.handle(TimerFired(), ended)
    assert orders(effects) == [Advertise(1)]
    assert reports(effects) == [("nobody_took_over", "drain")]
    assert (router.state, router.leaving, router.deadline()) == (State.MASTER, False, ended + INTERVAL)
    assert orders(router.handle(advert(2), at(3))) == [BecomeBackup(was_master=True)]


def test_undraining_during_the_handover_cancels_it():
    router = draining()
    assert orders(router.handle(PriorityChanged(128), at(0.7))) == [Advertise(128)]
    assert (router.state, router.leaving, router.deadline()) == (State.MASTER, False, at(1.7))


def test_draining_twice_resigns_once():
    router = draining()
    before = router.deadline()
    assert router.handle(PriorityChanged(1, resign=True), at(0.7)) == []
    assert (router.leaving, router.deadline()) == (True, before)


def test_stopping_during_a_drain_ends_in_initialize_without_a_second_resignation():
    router = draining()
    assert router.handle(Shutdown(), at(0.7)) == []
    assert orders(router.handle(advert(100), at(0.9))) == [BecomeInitialize(was_master=True)]


def test_a_stop_cannot_be_undrained():
    router = stopping()
    assert router.handle(PriorityChanged(200), at(0.7)) == []
    assert router.leaving


def test_a_lost_link_ends_a_handover():
    router = draining()
    assert orders(router.handle(LinkLost(), at(0.7))) == [BecomeInitialize(was_master=True)]
    assert not router.leaving


def test_a_drained_backup_only_has_a_lower_priority():
    router = backup()
    assert router.handle(PriorityChanged(1, resign=True), at(1)) == []
    router.handle(advert(100), at(2))
    assert router.deadline() == Instant(at(5) + 255 * INTERVAL // 256)


def test_a_lowered_priority_without_resignation_is_in_the_next_advertisement():
    router = master()
    assert router.handle(PriorityChanged(90), at(0.5)) == []
    assert router.handle(TimerFired(), at(1)) == [Advertise(90)]
