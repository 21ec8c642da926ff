# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every situation of a router times every event: where it ends, and whether it says or does anything."""

from __future__ import annotations

import pytest

from tests.unit.core.electing import (
    HIGHER,
    LOCAL,
    LOWER,
    advert,
    at,
    backup,
    draining,
    held_owner,
    master,
    orders,
    stopped,
    stopping,
)
from vrrp_ha.core.effects import Advertise, BecomeBackup, BecomeInitialize, BecomeMaster
from vrrp_ha.core.events import LinkLost, PriorityChanged, Release, Shutdown, Startup, TimerFired
from vrrp_ha.core.types import State


def owner():
    return master(priority=255)


SITUATIONS = {
    "initialize": stopped,
    "backup": backup,
    "held": held_owner,
    "master": master,
    "owner": owner,
    "stopping": stopping,
    "draining": draining,
}

# Times at which each running timer of the situations above is due, or not yet.
EVENTS = {
    "startup": (Startup(), at(0.9)),
    "startup, hold": (Startup(hold=True), at(0.9)),
    "release": (Release(), at(0.9)),
    "shutdown": (Shutdown(), at(0.9)),
    "link lost": (LinkLost(), at(0.9)),
    "priority 200": (PriorityChanged(200), at(0.9)),
    "priority 1, resign": (PriorityChanged(1, resign=True), at(0.9)),
    "own advert": (advert(255, LOCAL), at(0.9)),
    "advert 0": (advert(0), at(0.9)),
    "advert 100": (advert(100), at(0.9)),
    "advert 128 from lower": (advert(128, LOWER), at(0.9)),
    "advert 128 from higher": (advert(128, HIGHER), at(0.9)),
    "advert 254": (advert(254), at(0.9)),
    "advert 255": (advert(255), at(0.9)),
    "timer early": (TimerFired(), at(0.9)),
    "timer due": (TimerFired(), at(5)),
}

INITIALIZE, BACKUP, MASTER = State.INITIALIZE, State.BACKUP, State.MASTER
DOWN = (BACKUP, BecomeBackup(was_master=True))
OUT = (INITIALIZE, BecomeInitialize(was_master=True))
LEFT = (INITIALIZE, BecomeInitialize(was_master=False))

# What is not listed stays as it is and has no effect.
MOVES = {
    ("initialize", "startup"): (BACKUP, BecomeBackup(was_master=False)),
    ("initialize", "startup, hold"): (BACKUP, BecomeBackup(was_master=False)),
    ("backup", "shutdown"): LEFT,
    ("backup", "link lost"): LEFT,
    ("backup", "timer due"): (MASTER, BecomeMaster(), Advertise(128)),
    ("held", "release"): (MASTER, BecomeMaster(), Advertise(255)),
    ("held", "shutdown"): LEFT,
    ("held", "link lost"): LEFT,
    ("held", "timer due"): (MASTER, BecomeMaster(), Advertise(255)),
    ("master", "shutdown"): (MASTER, Advertise(0)),
    ("master", "link lost"): OUT,
    ("master", "priority 1, resign"): (MASTER, Advertise(0)),
    ("master", "advert 0"): (MASTER, Advertise(128)),
    ("master", "advert 100"): (MASTER, Advertise(128)),
    ("master", "advert 128 from lower"): (MASTER, Advertise(128)),
    ("master", "advert 128 from higher"): DOWN,
    ("master", "advert 254"): DOWN,
    ("master", "advert 255"): DOWN,
    ("master", "timer due"): (MASTER, Advertise(128)),
    ("owner", "shutdown"): (MASTER, Advertise(0)),
    ("owner", "link lost"): OUT,
    ("owner", "priority 1, resign"): (MASTER, Advertise(0)),
    ("owner", "timer due"): (MASTER, Advertise(255)),
    ("stopping", "link lost"): OUT,
    ("stopping", "advert 100"): OUT,
    ("stopping", "advert 128 from lower"): OUT,
    ("stopping", "advert 128 from higher"): OUT,
    ("stopping", "advert 254"): OUT,
    ("stopping", "advert 255"): OUT,
    ("stopping", "timer due"): OUT,
    ("draining", "link lost"): OUT,
    ("draining", "priority 200"): (MASTER, Advertise(200)),
    ("draining", "advert 100"): DOWN,
    ("draining", "advert 128 from lower"): DOWN,
    ("draining", "advert 128 from higher"): DOWN,
    ("draining", "advert 254"): DOWN,
    ("draining", "advert 255"): DOWN,
    ("draining", "timer due"): (MASTER, Advertise(1)),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_event_in_every_situation(situation, event):
    router = SITUATIONS[situation]()
    happened, now = EVENTS[event]
    state, *effects = MOVES.get((situation, event), (router.state,))
    assert orders(router.handle(happened, now)) == effects
    assert router.state is state
    assert (router.deadline() is None) == (state is INITIALIZE)
    assert (router.master == LOCAL) == (state is MASTER)
    assert not (router.leaving and state is not MASTER)
    assert not (router.held and state is not BACKUP)


def test_the_table_names_only_what_is_tested():
    assert set(MOVES) <= {(situation, event) for situation in SITUATIONS for event in EVENTS}
