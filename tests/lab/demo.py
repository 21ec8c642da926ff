# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make demo` shows, step by step, and a table at the end; exit code 1 if something is not as promised."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from tests.lab import fleet, playbooks, story, topology
from tests.lab.mobility import MobileNode
from tests.lab.places import LabError
from tests.lab.story import Event

BINDINGS = 10
VRID = 51


class Demo:
    """What has happened so far, and what was not as it should be."""

    def __init__(self, started: float) -> None:
        self._started = started
        self.events: list[Event] = []
        self.broken: list[str] = []

    def step(self, text: str) -> None:
        print(f"[{time.time() - self._started:6.1f} s] {text}", flush=True)

    def say(self, text: str) -> None:
        print(f"{'':11}{text}", flush=True)

    def expect(self, holds: bool, what: str) -> None:
        self.say(f"{'ok' if holds else 'NOT AS PROMISED'}: {what}")
        if not holds:
            self.broken.append(what)

    def record(self, event: Event) -> None:
        self.events.append(event)
        for note in event.notes:
            self.say(note)
        for flow in event.measured:
            self.expect(
                flow.lost <= event.limit_packets,
                f"{flow.name}: {flow.lost} of {flow.sent} packets lost, at most {event.limit_packets:.1f} allowed; "
                f"longest gap {flow.outage_ms:.1f} ms",
            )


def play(demo: Demo) -> None:
    mn1, mn2 = MobileNode("mn1", VRID, topology.FOREIGN_1), MobileNode("mn2", 52, topology.FOREIGN_2)
    demo.step("boot the lab: three home agents, a router, a correspondent node, two foreign links")
    fleet.down()
    fleet.up()
    demo.step("build the collection and install it from its tarball")
    demo.say(playbooks.install().name)

    demo.step("ansible-playbook mip6.vrrp_ha.plan")
    planned = playbooks.playbook("plan").must_succeed()
    for line in planned.output.splitlines():
        if line.startswith("    - "):
            demo.say(line[6:].strip("'"))
    demo.expect(planned.changed == 0, "the inventory asks for the plan that was accepted")

    demo.step("ansible-playbook mip6.vrrp_ha.deploy")
    deployed = playbooks.playbook("deploy").must_succeed()
    demo.say(f"changed={deployed.changed} in {deployed.seconds:.1f} s")
    story.wait_for_owners()
    demo.say("Masters: " + ", ".join(f"{owner} of VRID {vrid}" for vrid, owner in topology.OWNERS.items()))

    demo.step(f"register {BINDINGS} mobile nodes with each of VRID {mn1.vrid} and {mn2.vrid}")
    for node in (mn1, mn2):
        node.open_tunnel()
        answer = node.must_register(BINDINGS)
        demo.say(f"VRID {node.vrid}: {answer['accepted']} of {BINDINGS} updates accepted")
        story.must_agree(node.vrid, BINDINGS)

    demo.step("ansible-playbook mip6.vrrp_ha.verify")
    verified = playbooks.playbook("verify")
    for line in verified.output.splitlines():
        if line.startswith("    - "):
            demo.say(line[6:])
    demo.expect(verified.ok, "verify is green")

    demo.step("deploy once more")
    again = playbooks.playbook("deploy", "-vvv").must_succeed()
    demo.expect(again.changed == 0, f"changed={again.changed}")
    demo.expect(set(again.ssh_operations.values()) == {1}, f"SSH operations: {again.ssh_operations}")

    demo.step(f"cut the power of ha1, Master of VRID {VRID}, under traffic")
    demo.record(story.power_off([mn1, mn2], VRID, "ha1", "ha2"))

    demo.step("ha1 returns, under traffic")
    event, returned = story.power_on([mn1, mn2], VRID, "ha1", BINDINGS)
    demo.record(event)
    demo.expect(returned.complete, "every live binding was in its cache before it advertised")
    demo.expect(playbooks.playbook("verify").ok, "verify is green")

    for host in ("ha2", "ha1"):
        demo.step(f"ansible-playbook mip6.vrrp_ha.failover -e vrid={VRID} -e to={host}, under traffic")
        demo.record(story.planned([mn1, mn2], VRID, host))
    demo.expect(playbooks.playbook("verify").ok, "verify is green")


def table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def summary(demo: Demo) -> str:
    traffic = [("EVENT", "FLOW", "SENT", "LOST", "ALLOWED", "LONGEST GAP ms")]
    for event in demo.events:
        for number, flow in enumerate(event.measured):
            traffic.append(
                (
                    "" if number else event.name, flow.name, str(flow.sent), str(flow.lost),
                    str(int(event.limit_packets)), f"{flow.outage_ms:.1f}",
                )
            )  # fmt: skip
    caches: list[tuple[str, ...]] = [("EVENT", f"BINDINGS OF VRID {VRID}", *topology.HOME_AGENTS)]
    for event in demo.events:
        for when, counts in (("before", event.before), ("after", event.after)):
            held = ["off" if counts[host] is None else str(counts[host]) for host in topology.HOME_AGENTS]
            caches.append((event.name if when == "before" else "", when, *held))
    return f"{table(traffic)}\n\n{table(caches)}"


def main() -> int:
    started = float(os.environ.get("VRRP_HA_DEMO_STARTED", time.time()))
    demo = Demo(started)
    try:
        play(demo)
    except LabError as error:
        demo.broken.append(str(error))
    if demo.events:
        print(f"\n{summary(demo)}\n")
    if demo.broken:
        print("Not as promised:")
        for what in demo.broken:
            print(f"- {what}")
        print("The lab is left as it is: tests/lab/lab status; tests/lab/lab exec ha1 vrrp-ha status; make lab-down")
        return 1
    if "KEEP" not in os.environ:
        fleet.down()
    print(f"All as promised, in {time.time() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
