# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets under random trouble, from many seeds: nothing that tests/sim/checks.py watches for may happen.

VRRP_HA_SIMULATION=deep runs fifty times as many seeds, several times as long; VRRP_HA_SEED=number just that one of
every fleet, to look at a failure.
"""

from __future__ import annotations

import os

import pytest

from tests.sim.segment import Link
from tests.sim.trouble import Restlessness, Trouble
from tests.sim.world import World
from vrrp_ha.core.types import MILLISECOND, SECOND

DEEP = os.environ.get("VRRP_HA_SIMULATION") == "deep"
ONE = os.environ.get("VRRP_HA_SEED")

LOSSY = Link(latency_us=(100, 900), loss=0.05, duplication=0.02, reordering=0.02)
INTERVAL = 100 * MILLISECOND
EVERYDAY = 6  # of each fleet

# Name: how the world differs, how many seeds.
FLEETS = {
    "plain": ({}, 60),
    "lossy": ({"link": LOSSY, "access_loss": 0.05}, 60),
    "fast adverts": ({"interval_us": INTERVAL}, 12),
    "fast adverts, lossy": ({"interval_us": INTERVAL, "link": LOSSY, "access_loss": 0.05}, 12),
    "no owner": ({"priorities": ((200, 150, 100),)}, 40),
    "each backs up the other": ({"priorities": ((255, 200, 150), (200, 255, 150))}, 30),
    "four members": ({"names": "abcd", "priorities": ((255, 200, 150, 100),)}, 40),
    "two members, lossy": ({"names": "ab", "priorities": ((255, 200),), "link": LOSSY}, 40),
}


def seeds(count: int) -> list[int]:
    return [int(ONE)] if ONE else list(range(50 * count if DEEP else count))


def cases(name: str, count: int) -> list[object]:
    """The first few are for everyday, all of them for a complete run."""
    return [
        pytest.param(name, seed, marks=[pytest.mark.slow] if i >= EVERYDAY else [])
        for i, seed in enumerate(seeds(count))
    ]


@pytest.mark.parametrize(
    ("fleet", "seed"), [case for name, (_unused, count) in FLEETS.items() for case in cases(name, count)]
)
def test_trouble_loses_nothing(fleet: str, seed: int):
    changes, _unused = FLEETS[fleet]
    world = World(seed, **changes)
    interval = changes.get("interval_us", 1 * SECOND)
    # A frame in twenty lost: now and then a Backup hears no advertisement for a whole Master_Down_Interval.
    settle = (12 if "link" in changes else 5) * interval + 2 * SECOND
    world.checks.watch(max(interval, 200 * MILLISECOND), settle)
    world.start()
    world.add_mobile_nodes(5)
    world.run(10)
    for _unused in range(5 if DEEP else 1):
        nodes = Restlessness(world, mean_us=2 * SECOND)
        Trouble(world).run(60)
        nodes.stop()
        world.run(60)
        world.checks.quiet()
