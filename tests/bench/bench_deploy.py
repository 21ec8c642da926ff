# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""`deploy` with nothing to change beside a plain playbook and a role for keepalived, on eight hosts of the lab.

PYTHONPATH=. python3 tests/bench/bench_deploy.py [ROUNDS]     (as root)
Each playbook is run twice, the second time with -vvv to count what it asks of the hosts, and then ROUNDS times for all
hosts and for one, in turns. Asserts that nothing changed, and that `deploy` is one module call and one SSH operation
for each host; prints the rest. All of them use pipelining and connections that are open already.

VRRP_HA_KEEPALIVED_ROLE is the directory of another role for keepalived to be measured instead of the one here, with
VRRP_HA_KEEPALIVED_ARGUMENTS for ansible-playbook; collections that it needs are looked for in ANSIBLE_COLLECTIONS_PATH.
The hosts' base systems are of their own and have keepalived.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

HOSTS = 8
os.environ |= {
    "VRRP_HA_LAB": os.environ.get("VRRP_HA_LAB", "dep"),
    "VRRP_HA_LAB_SIZE": str(HOSTS),
    "VRRP_HA_LAB_PACKAGES": "keepalived python3-apt",
}

from tests.lab import access, fleet, playbooks, topology  # noqa: E402
from tests.lab.places import CHECKOUT, RUN, locked, say  # noqa: E402

HERE = Path(__file__).parent / "deploy"
INVENTORY = RUN / "bench"


def processor_s() -> float:
    """Of all commands that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(slots=True)
class Contender:
    """A playbook, and what it took: pairs of seconds and the controller's processor seconds, by number of hosts."""

    name: str
    playbook: str
    arguments: Sequence[str] = ()
    calls: float = 0
    operations: float = 0
    took: dict[int, list[tuple[float, float]]] = field(default_factory=dict)

    def run(self, hosts: int, *arguments: str) -> playbooks.Play:
        limit = ("--limit", ",".join(topology.HOME_AGENTS[:hosts])) if hosts < HOSTS else ()
        command = ("--forks", str(HOSTS), *self.arguments, *limit, *arguments)
        return playbooks.playbook(self.playbook, *command, timeout=900).must_succeed()

    def count(self) -> None:
        """Bring the hosts to where nothing changes any more, and count what the next run asks of each."""
        say(f"counting: {self.name}")
        self.run(HOSTS)
        play = self.run(HOSTS, "-vvv")
        assert play.changed == 0, f"{self.name} changes something in its second run"
        self.calls = play.module_calls / HOSTS
        self.operations = sum(play.ssh_operations.values()) / HOSTS

    def measure(self, hosts: int, *arguments: str, changed: int = 0) -> None:
        before = processor_s()
        play = self.run(hosts, *arguments)
        assert play.changed == changed, f"{self.name} changed {play.changed}, not {changed}"
        self.took.setdefault(hosts, []).append((play.seconds, processor_s() - before))
        say(f"{self.name}, {hosts} hosts: {play.seconds:.1f} s")

    def seconds(self, hosts: int) -> list[float]:
        return [wall for wall, _processor in self.took[hosts]]

    def shown(self, hosts: int, ours: Contender) -> str:
        walls = self.seconds(hosts)
        processor = median(used for _wall, used in self.took[hosts])
        ratios = [theirs / own for theirs, own in zip(walls, ours.seconds(hosts), strict=True)]
        return f"{min(walls):7.2f} {median(walls):7.2f} {median(ratios):6.1f} {processor:10.2f}"


def write_inventory() -> None:
    """A fleet of as many hosts as there are, instead of the tests'; its keys are generated with the lab."""
    INVENTORY.mkdir(exist_ok=True)
    addresses = {name: {"ansible_host": topology.node(name).management_address} for name in topology.HOME_AGENTS}
    variables = {"ansible_user": "root", "vrrp_ha_link": "home", "agent_files": str(CHECKOUT / "roles/agent/files")}
    (INVENTORY / "hosts.yml").write_text(json.dumps({"vrrp_ha": {"hosts": addresses, "vars": variables}}))
    link = {
        "prefix": topology.HOME_PREFIX,
        "interface": "eth1",
        "addresses": "2001:db8:1::51-2001:db8:1::9f",
        "settings": {"sync_key": "fleet"},
    }
    (INVENTORY / "vrid_plan.yml").write_text(json.dumps({"plugin": "mip6.vrrp_ha.vrid_plan", "links": {"home": link}}))
    os.environ["ANSIBLE_INVENTORY"] = f"{INVENTORY},{RUN / 'inventory'}"
    others = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = f"{access.COLLECTIONS}:{others}"


def contenders() -> list[Contender]:
    """Ours first."""
    role = Path(os.environ.get("VRRP_HA_KEEPALIVED_ROLE", HERE / "roles/keepalived")).resolve()
    arguments = shlex.split(os.environ.get("VRRP_HA_KEEPALIVED_ARGUMENTS", ""))
    for name in topology.HOME_AGENTS:  # lists of packages that look new: there is no network to get newer ones from
        fleet.execute(name, "mkdir", "-p", "/var/lib/apt/lists/partial")
    return [
        Contender("mip6.vrrp_ha.deploy", "deploy"),
        Contender("plain playbook, no facts", str(HERE / "plain.yml")),
        Contender("plain playbook, facts", str(HERE / "plain.yml"), ("-e", "facts=true")),
        Contender(f"role {role.name}", str(HERE / "keepalived.yml"), ("-e", f"keepalived_role={role}", *arguments)),
        Contender("one ping, the least there is", str(HERE / "ping.yml")),
    ]


def one_change(ours: Contender, rounds: int) -> Contender:
    """A setting of one virtual HA that every host takes part in, to and fro."""
    changing = Contender("mip6.vrrp_ha.deploy, one change everywhere", ours.playbook)
    virtual_has = playbooks.planned_virtual_has()
    virtual_has[0]["preempt_delay"] = 1.5
    variables = INVENTORY / "changed.json"
    variables.write_text(json.dumps({"vrrp_ha_virtual_has": virtual_has}))
    for turn in range(rounds):
        changing.measure(HOSTS, *(() if turn % 2 else ("-e", f"@{variables}")), changed=HOSTS)
    ours.run(HOSTS)
    return changing


def compare(rounds: int) -> None:
    running = contenders()
    ours = running[0]
    for contender in running:
        contender.count()
    assert (ours.calls, ours.operations) == (1, 1), "deploy is more than one call and one SSH operation for each host"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print("nothing to change, for each host:                 module calls   SSH operations")
    for contender in running:
        print(f"{contender.name:50}{contender.calls:12.1f} {contender.operations:16.1f}")
    for hosts in (HOSTS, 1):
        for turn in range(rounds):
            # Whoever follows the longest run would find the machine as that left it.
            for contender in running if turn % 2 else running[::-1]:
                contender.measure(hosts)
        print(f"\n{f'{hosts} hosts' if hosts > 1 else '1 host':44}best s  median  ratio  processor s of the controller")
        for contender in running:
            print(f"{contender.name:42}{contender.shown(hosts, ours)}")
    others = [one_change(ours, rounds), verify := Contender("mip6.vrrp_ha.verify", "verify")]
    for _turn in range(rounds):
        verify.measure(HOSTS)
    print(f"\n{f'{HOSTS} hosts':44}best s  median  ratio  processor s of the controller")
    for contender in others:
        print(f"{contender.name:42}{contender.shown(HOSTS, ours)}")
    print(f"\nlargest process of the controller: {peak:.0f} MB")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with locked(RUN.with_name(f"{RUN.name}-tests")), contextlib.ExitStack() as stack:
        fleet.down()
        stack.callback(fleet.down)
        fleet.up()
        write_inventory()
        playbooks.install()
        playbooks.playbook("plan").must_succeed()
        print(f"{HOSTS} hosts, {rounds} rounds in turns; load {os.getloadavg()[0]:.1f} at the start")
        playbooks.playbook("deploy").must_succeed()
        playbooks.playbook("verify").must_succeed()
        compare(rounds)
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
