# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long planning takes: 10,000 HAs on 1,000 links, and what the inventory plugin adds for 1,000 hosts.

Run by `make bench`, or alone: python tests/bench/bench_plan.py

The limits are on processor time, the best of three, since other work on the machine would be measured otherwise.
"""

from __future__ import annotations

import importlib.util
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from time import process_time
from typing import TypeVar

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LINKS, PER_LINK = 1_000, 10
LIMIT = 1.5
"""Seconds of processor time that count as about one."""
INVENTORY_LIMIT = 2.0

Result = TypeVar("Result")


@pytest.fixture(scope="module")
def collections():
    """The checkout where Ansible looks for collections, and importable."""
    place = Path(tempfile.mkdtemp(prefix="vrrp-ha-bench-"))
    (place / "ansible_collections" / "mip6").mkdir(parents=True)
    (place / "ansible_collections" / "mip6" / "vrrp_ha").symlink_to(CHECKOUT)
    if importlib.util.find_spec("ansible_collections") is None:
        sys.path.insert(0, str(place))
    return place


def best(name: str, work: Callable[[], Result], limit: float) -> Result:
    """Run three times, print the best, fail above the limit."""
    times = []
    while len(times) < 3:
        start = process_time()
        result = work()
        times.append(process_time() - start)
    print(f"{name:62s} {min(times):7.3f} s")
    assert min(times) < limit
    return result


@pytest.mark.parametrize("varied", [False, True], ids=["all alike", "weights and zones"])
def test_ten_thousand_has_on_a_thousand_links(collections, varied):
    from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_lock import read_lock, write_lock
    from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.addresses import number_of
    from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.model import HomeAgent, Link, Pool
    from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.plan import make_plan

    chance = random.Random(7)
    links, agents = [], []
    for number in range(1, LINKS + 1):
        first = number_of(f"2001:db8:{number:x}::")
        pool = Pool(((first + 0x100, first + 0x1FF),))
        links.append(Link(f"link{number}", f"2001:db8:{number:x}::/64", (first, first + 2**64 - 1), pool))
        for member in range(PER_LINK):
            name = f"ha{number}-{member}"
            weight = Fraction(chance.choice((1, 1, 2, 3)) if varied else 1)
            zone = chance.choice("abc") if varied else None
            agents.append(HomeAgent(name, f"link{number}", weight, zone, identity=f"fd00::{number:x}:{member:x}"))

    print()
    plan = best(f"plan {len(agents)} HAs on {LINKS} links", lambda: make_plan(links, agents), LIMIT).plan
    again = best("plan them again from the plan", lambda: make_plan(links, agents, plan), LIMIT)
    assert again.changes == []
    text = best("write the lock file", lambda: write_lock(plan), LIMIT)
    assert best(f"read the lock file, {len(text) / 1e6:.1f} MB", lambda: read_lock(text), LIMIT) == plan
    fewer = [agent for agent in agents if not agent.name.endswith("-3")]
    after = best("plan them again with an HA less on each link", lambda: make_plan(links, fewer, plan), 2 * LIMIT)
    moved = sum(1 for change in after.changes if change.what == "owner")
    owned = sum(1 for link in plan.links.values() for entry in link.virtual_has.values() if entry.owner.endswith("-3"))
    print(f"{'virtual HAs that move for it, and those that have to':62s} {moved} and {owned}")


def test_the_inventory_plugin_for_a_thousand_hosts(collections, tmp_path):
    chance = random.Random(7)
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(
        "vrrp_ha:\n  hosts:\n"
        + "".join(
            f"    ha{number}: {{ansible_host: 'fd00::{number:x}', vrrp_ha_link: link{number // PER_LINK}, "
            f"vrrp_ha_weight: {chance.choice((1, 2))}, vrrp_ha_zone: {'ab'[number % 2]}}}\n"
            for number in range(1_000)
        )
    )
    source = tmp_path / "vrid_plan.yml"
    source.write_text(
        "plugin: mip6.vrrp_ha.vrid_plan\n"
        "defaults: {interface: eth1, settings: {sync_key: fleet}}\nlinks:\n"
        + "".join(
            f"  link{number}: {{prefix: '2001:db8:{number:x}::/64', addresses: '2001:db8:{number:x}::100/120'}}\n"
            for number in range(1_000 // PER_LINK)
        )
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_HOME": str(tmp_path / "home")}

    def ansible(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "ansible", *arguments]
        subprocess.run(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    ansible("playbook", "-i", str(hosts), "-i", str(source), "mip6.vrrp_ha.plan")
    assert (tmp_path / "vrid_plan.lock.yml").exists()
    without = min(ansible("inventory", "-i", str(hosts), "--list") for turn in range(3))
    planned = min(ansible("inventory", "-i", str(hosts), "-i", str(source), "--list") for turn in range(3))
    print()
    print(f"{'ansible-inventory --list of 1,000 hosts on 100 links':62s} {without:7.3f} s")
    print(f"{'the same with virtual HAs planned and locked':62s} {planned:7.3f} s")
    assert planned - without < INVENTORY_LIMIT


@pytest.mark.parametrize(("size", "total"), [(3, 6), (10, 60), (20, 240)])
def test_compared_with_the_usual_arithmetic(collections, size, total):
    """Owner: the host at place VRID modulo hosts; backups: the hosts after it. Found in roles for keepalived."""
    from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.addresses import number_of
    from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.load import loads_after_failures
    from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.model import (
        HomeAgent,
        Link,
        LinkPlan,
        Plan,
        Pool,
        VirtualHa,
    )
    from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.plan import make_plan

    first = number_of("2001:db8:1::")
    pool = Pool(((first + 0x100, first + 0x1FF),))
    link = Link("link", "2001:db8:1::/64", (first, first + 2**64 - 1), pool, wanted=total)

    def usual(hosts: list[str]) -> LinkPlan:
        entries = {}
        for vrid in range(1, total + 1):
            place = vrid % len(hosts)
            order = hosts[place:] + hosts[:place]
            priorities = {host: 255 - rank for rank, host in enumerate(order)}
            entries[f"link-{vrid}"] = VirtualHa(f"link-{vrid}", vrid, "", priorities)
        return LinkPlan("link", "", {host: host for host in hosts}, entries)

    def planned(hosts: list[str], before: LinkPlan | None = None) -> LinkPlan:
        agents = [HomeAgent(host, "link", identity=host) for host in hosts]
        return make_plan([link], agents, before and Plan({"link": before})).plan.links["link"]

    hosts = [f"ha{number:02}" for number in range(1, size + 1)]
    more = sorted([*hosts, "ha01b"])
    print()
    for name, before, after in (
        ("usual", usual(hosts), usual(more)),
        ("planned", planned(hosts), planned(more, planned(hosts))),
    ):
        worst = max(max(served.values()) for served in loads_after_failures(before).values())
        moved = sum(entry.owner != after.virtual_has[title].owner for title, entry in before.virtual_has.items())
        print(
            f"{size:2d} HAs, {total:3d} virtual HAs, {name:8s} most that one serves after a failure: {worst:3d} "
            f"(fair: {total / (size - 1):5.1f}); owners that change for one HA more: {moved:3d}"
        )
    assert worst - 1 <= total / (size - 1)


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-s", __file__]))
