# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load balance with real hosts (draft section 6): a thousand mobile nodes are at one of three virtual HAs.

They are Scapy's and iproute2's, and follow a Home Agent Switch as RFC 5142 says, make before break. One of them, which
is the first to go, carries traffic.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator

import pytest

from tests.lab import agents, fleet, playbooks, story, topology
from tests.lab.following import Following
from tests.lab.mobility import PACKETS_PER_SECOND, Flow, Measured, MobileNode, home_address
from tests.lab.places import RUN

CROWD = 1000
HIGH, LOW, RATE = 400, 350, 100


def settings(mode: str) -> str:
    balance = {"mode": mode, "high_water": HIGH, "low_water": LOW, "rate": RATE, "hold_time": 300}
    place = RUN / "balance.json"
    place.write_text(json.dumps({"vrrp_ha_settings": {"balance": balance}}))
    return f"@{place}"


def loads() -> dict[int, int | None]:
    """Bindings by VRID, as every member has them; None while they differ."""
    found: dict[int, int | None] = {}
    for vrid in topology.VIRTUAL_HAS:
        counts = set(agents.counts(vrid).values())
        found[vrid] = counts.pop() if len(counts) == 1 else None
    return found


def balanced() -> bool:
    known = [count for count in loads().values() if count is not None]
    return len(known) == len(topology.VIRTUAL_HAS) and sum(known) == CROWD and max(known) <= HIGH


def handoffs() -> dict[str, int]:
    status = agents.virtual_ha("ha1", 51)
    assert status is not None
    return dict(status["handoffs"])


@pytest.fixture(scope="module")
def advised(machine: None) -> Iterator[tuple[Following, Following]]:
    """All are at VRID 51; its Master says what it would do."""
    fleet.down()
    fleet.up()
    playbooks.install()
    playbooks.playbook("deploy", "-e", settings("advise")).must_succeed()
    story.wait_for_owners()
    node = MobileNode("mn1", 51)
    one = Following(node, 1, 1, "--tunnel", node.device, "--lifetime", "7200")  # the longest lifetime: it goes first
    agents.wait_for("it is bound", lambda: loads()[51] == 1, 10)
    many = Following(MobileNode("mn2", 51), 2, CROWD - 1)
    story.must_agree(51, CROWD)
    yield one, many
    fleet.down()


def test_a_master_that_only_advises_says_who_should_take_how_many(advised: tuple[Following, Following]) -> None:
    def advice() -> list[dict[str, int]]:
        status = agents.virtual_ha("ha1", 51)
        assert status is not None
        return list(status["balance"]["advice"])

    assert agents.wait_for("ha1 advises", advice, 5) == [{"to": 52, "count": 325}, {"to": 53, "count": 325}]
    assert handoffs()["sent"] + handoffs()["done"] == 0


def test_a_thousand_on_one_of_three_end_within_the_marks_and_traffic_goes_on(
    advised: tuple[Following, Following],
) -> None:
    one, many = advised
    here, home = topology.CN_ADDRESS, home_address(51)
    flows = [
        Flow("CN to MN", "cn", here, "mn1", home, 5051, 25),
        Flow("MN to CN", "mn1", home, "cn", here, 5051, 25),
    ]
    playbooks.playbook("deploy", "-e", settings("auto")).must_succeed()
    started = time.monotonic()
    agents.wait_for("the load is balanced", balanced, 20)
    took = time.monotonic() - started
    measured: list[Measured] = [flow.finish() for flow in flows]
    counted, (mover, others) = handoffs(), (one.finish(), many.finish())
    print(f"balanced {took:.1f} s after the playbook: {loads()}, {counted}")
    for flow in measured:
        print(f"{flow.name}: {flow.figures}")
    print(f"round trips: {sorted(others['round_trips'])[-3:]}, of the one with traffic: {mover['round_trips']}")

    assert loads() == {51: LOW, 52: 325, 53: 325}
    assert counted == {"pending": 0, "sent": 0, "done": CROWD - LOW, "failed": 0, "refused_extensions": 0}
    assert mover["moves"] == {"1": 1}
    assert others["moves"] == {"0": LOW, "1": CROWD - 1 - LOW}
    assert (mover["registered"], others["registered"]) == (1, CROWD - 1)
    assert mover["taking_leave"] == others["taking_leave"] == 0
    (round_trip,) = mover["round_trips"]
    for flow in measured:
        assert flow.lost <= math.ceil(round_trip * PACKETS_PER_SECOND), flow


def test_who_was_handed_off_is_left_in_peace(advised: tuple[Following, Following]) -> None:
    """Looked at for as long as a Master looks at its load several times."""
    before = loads()
    time.sleep(5)
    assert loads() == before
    assert handoffs()["done"] == CROWD - LOW
