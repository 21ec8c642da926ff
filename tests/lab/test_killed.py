# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook is killed at a random moment; run again, it ends with what it was to bring about, and a sound fleet.

VRRP_HA_KILLS says how often each is killed; without it one of them is, once. VRRP_HA_SEED chooses it and the moments.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.lab import agents, fleet, story, topology
from tests.lab.mobility import MobileNode
from tests.lab.places import RUN
from tests.lab.playbooks import playbook

KILLS = int(os.environ.get("VRRP_HA_KILLS", "0"))
SEED = int(os.environ.get("VRRP_HA_SEED", "0")) or time.time_ns() % 2**32
RESTART = ("-e", json.dumps({"vrrp_ha_settings": {"first_table": 2000}}))


@dataclass(frozen=True, slots=True)
class Procedure:
    """A playbook with its arguments, how long it takes, what it brings about, and what undoes it."""

    words: tuple[str, ...]
    seconds: float
    holds: Callable[[], bool]
    undo: tuple[str, ...]


PROCEDURES = {
    "drain": Procedure(
        ("drain", "-e", "host=ha1"), 6, lambda: agents.master(51) == "ha2", ("undrain", "-e", "host=ha1")
    ),
    "failover": Procedure(
        ("failover", "-e", "vrid=51", "-e", "to=ha3"),
        8,
        lambda: agents.master(51) == "ha3",
        ("failover", "-e", "vrid=51", "-e", "to=plan"),
    ),
    "rolling_upgrade": Procedure(
        ("rolling_upgrade", *RESTART),
        14,
        lambda: all("lookup 2051" in fleet.execute(host, "ip", "-6", "rule") for host in topology.HOME_AGENTS),
        ("rolling_upgrade",),
    ),
}


def killed(words: tuple[str, ...], after: float) -> None:
    """Run a playbook and kill ansible-playbook, and nothing else, that long after its start."""
    name, *arguments = words
    line, environment = fleet.command(topology.CONTROLLER, ["ansible-playbook", f"mip6.vrrp_ha.{name}", *arguments])
    process = subprocess.Popen(
        line, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=RUN
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", range(max(1, len(PROCEDURES) * KILLS)))
def test_a_playbook_that_was_killed_is_run_again_and_ends_well(mobile_node: MobileNode, number: int) -> None:
    name = list(PROCEDURES)[(SEED + number) % len(PROCEDURES)]
    procedure = PROCEDURES[name]
    moment = random.Random(f"{SEED}/{name}/{number}").uniform(0.5, procedure.seconds)
    print(f"VRRP_HA_SEED={SEED}: {name} was killed after {moment:.2f} s")
    killed(procedure.words, moment)
    playbook(*procedure.words).must_succeed()
    assert procedure.holds()
    assert playbook(*procedure.words).must_succeed().changed == 0
    playbook(*procedure.undo).must_succeed()
    story.wait_for_owners()
    story.must_agree(51, 10)
