# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routers in each situation of an election, for the tests of core/election.py."""

from __future__ import annotations

from dataclasses import replace

from vrrp_ha.core.effects import Report
from vrrp_ha.core.election import Election
from vrrp_ha.core.events import AdvertReceived, PriorityChanged, Shutdown, Startup, TimerFired
from vrrp_ha.core.settings import VirtualHaSettings
from vrrp_ha.core.types import SECOND, Address, Instant, State, packed
from vrrp_ha.wire.vrrp import Advertisement

INTERVAL = 1 * SECOND
LINK_LOCAL = packed("fe80::5eff:fe00:233")
VHA = packed("2001:db8:1::51")
LOCAL = packed("fe80::5")
LOWER = packed("fe80::1")
HIGHER = packed("fe80::9")


def at(seconds: float) -> Instant:
    return Instant(round(seconds * SECOND))


def virtual_ha(**changes) -> VirtualHaSettings:
    base = VirtualHaSettings(
        vrid=51,
        interface="eth1",
        priority=128,
        link_local=LINK_LOCAL,
        addresses=(VHA,),
        prefix=packed("2001:db8:1::"),
        prefix_length=64,
        interval_us=INTERVAL,
    )
    return replace(base, **changes)


def advert(priority: int, source: Address = LOWER, interval_us: int = INTERVAL, addresses=(LINK_LOCAL, VHA)):
    return AdvertReceived(source, Advertisement(51, priority, interval_us, addresses))


def stopped(**changes) -> Election:
    """In Initialize."""
    return Election(virtual_ha(**changes), LOCAL)


def backup(**changes) -> Election:
    """Started at 0 s, not an owner."""
    router = stopped(**changes)
    router.handle(Startup(), at(0))
    return router


def master(**changes) -> Election:
    """Master since 0 s, so that advertisements are due at each whole interval."""
    router = stopped(**changes)
    started = 0 if router.priority == 255 else -router.master_down_interval_us
    router.handle(Startup(), Instant(started))
    router.handle(TimerFired(), at(0))
    assert router.state is State.MASTER
    return router


def held_owner(**changes) -> Election:
    """An owner that started at 0 s and waits for its bindings."""
    router = stopped(priority=255, **changes)
    router.handle(Startup(hold=True), at(0))
    return router


def stopping(**changes) -> Election:
    """A Master that was shut down at 0.5 s and waits for a successor."""
    router = master(**changes)
    router.handle(Shutdown(), at(0.5))
    return router


def draining(**changes) -> Election:
    """A Master that resigned at 0.5 s, with priority 1 from now on."""
    router = master(**changes)
    router.handle(PriorityChanged(1, resign=True), at(0.5))
    return router


def orders(effects: list) -> list:
    """The effects without what is only told."""
    return [effect for effect in effects if not isinstance(effect, Report)]


def reports(effects: list) -> list[tuple[str, object]]:
    """(kind, reason) of what is told."""
    return [(effect.kind, effect.fields.get("reason")) for effect in effects if isinstance(effect, Report)]
