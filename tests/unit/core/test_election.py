# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stories of RFC 9568 section 6.4: who is Master, when, and who is told."""

from __future__ import annotations

import pytest

from tests.unit.core.electing import (
    HIGHER,
    INTERVAL,
    LINK_LOCAL,
    LOCAL,
    LOWER,
    advert,
    at,
    backup,
    master,
    orders,
    reports,
    stopped,
    virtual_ha,
)
from vrrp_ha.core.effects import Advertise, BecomeBackup, BecomeInitialize, BecomeMaster, Report
from vrrp_ha.core.events import LinkLost, PriorityChanged, Shutdown, Startup, TimerFired
from vrrp_ha.core.types import SECOND, Instant, State, packed

# --- Initialize ------------------------------------------------------------------------------------------------


def test_owner_is_master_at_once_and_activates_before_it_advertises():
    router = stopped(priority=255)
    effects = router.handle(Startup(), at(0))
    assert orders(effects) == [BecomeMaster(), Advertise(255)]
    assert effects[-1] == Report("info", "became_master", 51, {"reason": "startup", "master": "fe80::5"})
    assert (router.state, router.master, router.deadline()) == (State.MASTER, LOCAL, at(1))


def test_other_router_starts_as_backup_and_waits_master_down_interval():
    router = stopped(priority=128)
    effects = router.handle(Startup(), at(10))
    assert orders(effects) == [BecomeBackup(was_master=False)]
    assert (router.state, router.master) == (State.BACKUP, None)
    assert router.deadline() == at(10 + 3 + 0.5)


@pytest.mark.parametrize(
    ("priority", "interval_us", "skew_us"),
    [(254, 1_000_000, 7_812), (1, 1_000_000, 996_093), (100, 10_000, 6_093), (255, 40_950_000, 159_960)],
)
def test_skew_and_down_interval_are_the_formulas_of_section_6_1_in_microseconds(priority, interval_us, skew_us):
    router = stopped(priority=priority, interval_us=interval_us)
    assert router.skew_time_us == skew_us
    assert router.master_down_interval_us == 3 * interval_us + skew_us


# --- Backup ----------------------------------------------------------------------------------------------------


def test_backup_takes_over_when_the_master_is_silent():
    router = backup()
    router.handle(advert(200), at(1))
    effects = router.handle(TimerFired(), at(4.5))
    assert orders(effects) == [BecomeMaster(), Advertise(128)]
    assert reports(effects) == [("became_master", "master_down")]
    assert (router.master, router.deadline()) == (LOCAL, at(5.5))


def test_a_timer_that_fires_too_early_is_ignored():
    router = backup()
    assert router.handle(TimerFired(), Instant(at(3.5) - 1)) == []
    assert router.state is State.BACKUP
    assert router.handle(TimerFired(), at(3.5)) != []


def test_advertisement_of_the_master_restarts_the_down_timer():
    router = backup()
    assert router.handle(advert(200), at(2)) == []
    assert (router.master, router.deadline()) == (LOWER, at(5.5))


def test_an_equal_priority_is_listened_to_whatever_its_address():
    router = backup()
    router.handle(advert(128, LOWER), at(2))
    assert router.deadline() == at(5.5)


def test_backup_learns_the_masters_interval_for_both_timers():
    router = backup()
    router.handle(advert(200, interval_us=2 * SECOND), at(1))
    assert router.deadline() == at(1 + 3 * 2 + 1)
    router.handle(advert(0), at(2))
    assert router.deadline() == at(3)


def test_backup_waits_skew_time_after_priority_zero():
    router = backup()
    router.handle(advert(200), at(1))
    assert router.handle(advert(0), at(5)) == []
    assert router.deadline() == at(5.5)


def test_lower_priority_does_not_restart_the_down_timer():
    router = backup()
    assert router.handle(advert(100), at(2)) == []
    assert router.deadline() == at(3.5)


def test_lower_priority_is_known_as_master_until_it_is_preempted():
    router = backup()
    router.handle(advert(100), at(2))
    assert router.master == LOWER


def test_without_preemption_a_lower_priority_master_stays():
    router = backup(preempt=False)
    for second in range(1, 20):
        router.handle(advert(100), at(second))
        assert router.deadline() == at(second + 3.5)


def test_without_preemption_a_dead_master_is_replaced_all_the_same():
    router = backup(preempt=False)
    router.handle(advert(100), at(1))
    assert orders(router.handle(TimerFired(), at(4.5))) == [BecomeMaster(), Advertise(128)]


def test_preempt_delay_holds_a_starting_router_back():
    router = backup(preempt_delay_us=10 * SECOND)
    for second in range(1, 10):
        router.handle(advert(100), at(second))
    assert router.deadline() == at(9 + 3.5)
    router.handle(advert(100), at(10))
    router.handle(advert(100), at(11))
    assert router.deadline() == at(12.5)


def test_preempt_delay_does_not_protect_a_dead_master():
    router = backup(preempt_delay_us=1000 * SECOND)
    assert orders(router.handle(TimerFired(), at(3.5))) == [BecomeMaster(), Advertise(128)]


def test_own_advertisements_are_ignored():
    router = backup()
    assert router.handle(advert(255, LOCAL), at(2)) == []
    assert (router.master, router.deadline()) == (None, at(3.5))


def test_backup_leaves_without_a_word():
    router = backup()
    assert orders(router.handle(Shutdown(), at(1))) == [BecomeInitialize(was_master=False)]
    assert router.deadline() is None


def test_a_raised_priority_preempts():
    router = backup(priority=50)
    router.handle(advert(100), at(1))
    router.handle(PriorityChanged(150), at(1.5))
    router.handle(advert(100), at(2))
    assert router.deadline() == Instant(at(1 + 3) + router.skew_time_us)
    assert orders(router.handle(TimerFired(), router.deadline())) == [BecomeMaster(), Advertise(150)]


def test_a_changed_priority_changes_the_skew_of_the_running_timer():
    router = backup(priority=192)
    assert router.deadline() == at(3.25)
    router.handle(PriorityChanged(64), at(1))
    assert router.deadline() == at(3.75)


# --- Master ----------------------------------------------------------------------------------------------------


def test_master_advertises_by_the_clock_without_drift():
    router = master()
    for second in range(1, 50):
        assert router.handle(TimerFired(), Instant(at(second) + 700)) == [Advertise(128)]
        assert router.deadline() == at(second + 1)


def test_master_skips_the_slots_that_it_missed():
    router = master()
    assert router.handle(TimerFired(), at(7.3)) == [Advertise(128)]
    assert router.deadline() == at(8)


def test_master_answers_priority_zero_and_restarts_its_timer():
    router = master()
    assert router.handle(advert(0), at(0.4)) == [Advertise(128)]
    assert router.deadline() == at(1.4)


def test_master_yields_to_a_higher_priority():
    router = master()
    effects = router.handle(advert(200, LOWER, interval_us=2 * SECOND), at(0.4))
    assert orders(effects) == [BecomeBackup(was_master=True)]
    assert effects[-1] == Report("info", "became_backup", 51, {"reason": "higher_priority", "master": "fe80::1"})
    assert (router.master, router.deadline()) == (LOWER, at(0.4 + 3 * 2 + 1))


def test_master_yields_to_the_higher_address_of_an_equal_priority():
    router = master()
    assert orders(router.handle(advert(128, HIGHER), at(0.4))) == [BecomeBackup(was_master=True)]


def test_master_asserts_itself_at_once_against_the_lower_address_of_an_equal_priority():
    router = master()
    assert router.handle(advert(128, LOWER), at(0.4)) == [Advertise(128)]
    assert router.deadline() == at(1)


def test_master_asserts_itself_at_once_against_a_lower_priority():
    router = master(preempt=False)
    assert router.handle(advert(100, HIGHER), at(0.4)) == [Advertise(128)]


def test_two_masters_settle_in_one_exchange():
    loser, winner = master(priority=100), master(priority=128)
    loser.local_address = HIGHER
    answer = winner.handle(advert(100, HIGHER), at(0.4))
    assert answer == [Advertise(128)]
    assert orders(loser.handle(advert(128, LOCAL), at(0.4))) == [BecomeBackup(was_master=True)]


def test_owner_ignores_advertisements():
    router = master(priority=255)
    for priority in (0, 1, 254, 255):
        assert router.handle(advert(priority, HIGHER), at(0.4)) == []
    assert (router.state, router.deadline()) == (State.MASTER, at(1))


def test_a_lasting_second_owner_is_reported_once():
    router = master(priority=255)
    told = [reports(router.handle(advert(255, HIGHER), at(second))) for second in range(1, 7)]
    assert told == [[], [], [("second_owner", None)], [], [], []]


# --- any state -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "was_master"), [(backup, False), (master, True)])
def test_a_lost_link_ends_everything_without_a_word(make, was_master):
    router = make()
    effects = router.handle(LinkLost(), at(0.5))
    assert orders(effects) == [BecomeInitialize(was_master)]
    assert reports(effects) == [("became_initialize", "link_lost")]
    assert (router.state, router.master, router.deadline()) == (State.INITIALIZE, None, None)


@pytest.mark.parametrize("priority", [0, -55, 256])
def test_a_priority_that_no_router_can_have_is_refused(priority):
    with pytest.raises(ValueError, match="priority"):
        master().handle(PriorityChanged(priority), at(0))


# --- what peers say about the virtual router ---------------------------------------------------------------------


def test_a_huge_interval_does_not_silence_a_backup():
    router = backup(priority=255 - 127)
    effects = router.handle(advert(254, interval_us=40_950_000), at(1))
    assert router.master_interval_us == 10 * INTERVAL
    assert router.deadline() == at(1 + 30 + 5)
    assert reports(effects) == [("interval_clamped", None)]
    assert "interval_clamped" not in dict(reports(router.handle(advert(254, interval_us=40_950_000), at(2))))


def test_the_bound_of_the_interval_is_a_setting():
    router = backup(maximum_interval_factor=2)
    router.handle(advert(254, interval_us=3 * SECOND), at(1))
    assert router.master_interval_us == 2 * INTERVAL


def test_an_interval_of_zero_does_not_make_a_backup_take_over_at_once():
    router = backup()
    router.handle(advert(254, interval_us=0), at(1))
    assert router.deadline() == at(4.5)


def test_a_lasting_interval_mismatch_is_reported_once():
    router = backup()
    told = [reports(router.handle(advert(200, interval_us=2 * SECOND), at(second))) for second in range(1, 9)]
    assert told == [[], [], [("interval_mismatch", None)], [], [], [], [], []]


def test_a_lasting_address_mismatch_is_reported_with_both_lists_and_the_advertisement_counts():
    router = backup()
    foreign = (LINK_LOCAL, packed("2001:db8:1::99"))
    effects = [router.handle(advert(200, addresses=foreign), at(second)) for second in (1, 2, 3)]
    assert effects[-1] == [
        Report(
            "warning",
            "address_mismatch",
            51,
            {
                "source": "fe80::1",
                "theirs": ["fe80::5eff:fe00:233", "2001:db8:1::99"],
                "ours": ["fe80::5eff:fe00:233", "2001:db8:1::51"],
            },
        )
    ]
    assert router.deadline() == at(6.5)


def test_a_mismatch_that_ended_is_reported_anew():
    router = backup()
    seconds = iter(range(1, 100))
    strange, usual = advert(200, interval_us=2 * SECOND), advert(200)
    told = [reports(router.handle(event, at(next(seconds)))) for event in [strange] * 3 + [usual] + [strange] * 3]
    assert told == [[], [], [("interval_mismatch", None)], [], [], [], [("interval_mismatch", None)]]


# --- new settings ------------------------------------------------------------------------------------------------


def test_new_settings_that_change_nothing_here_do_not_touch_the_timer():
    for router in (master(), backup()):
        before = router.deadline()
        router.reconfigure(virtual_ha(name="renamed", accept_mode=True))
        assert router.deadline() == before


def test_a_shorter_interval_is_kept_from_the_last_advertisement_on():
    router = master()
    router.reconfigure(virtual_ha(interval_us=SECOND // 10))
    assert router.deadline() == at(0.1)
    router.handle(TimerFired(), at(0.42))
    assert router.deadline() == at(0.5)


def test_a_backup_that_heard_a_master_keeps_its_interval():
    router = backup()
    router.handle(advert(200), at(1))
    router.reconfigure(virtual_ha(interval_us=SECOND // 2))
    assert router.deadline() == at(4.5)


def test_a_backup_that_heard_nobody_uses_the_new_interval():
    router = backup()
    router.reconfigure(virtual_ha(interval_us=SECOND // 2))
    assert router.deadline() == at(1.75)


def test_preemption_can_be_switched_on_in_a_running_backup():
    router = backup(preempt=False)
    router.handle(advert(100), at(1))
    router.reconfigure(virtual_ha(preempt=True))
    router.handle(advert(100), at(2))
    assert router.deadline() == at(4.5)
