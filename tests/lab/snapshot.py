# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a procedure could change, of every host and of the controller, to be compared: what lasts, by name.

What moves by itself is left out, and is listed here with its reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.lab import access, agents, fleet, topology
from tests.lab.procedures import WORK

MOVES_BY_ITSELF = {
    "uptime_s": "a time",
    "since_s": "a time",
    "counters": "packets and events, which go on",
    "sync_points": "the digests of the last seconds, with their ages",
    "home_agent": "what was heard of the others' lists last",
}
"""Parts of the agents' status, wherever they are in it."""

FILES_THAT_MOVE = {
    "bindings": "saved for a restart every so often; how many there are, and their digest, is in the status",
    "heard.json": "what the link's routers and home agents said last, with times",
}
"""Files that the agent writes of its own accord."""

FILES = ("/etc/vrrp-ha", "/var/lib/vrrp-ha", "/etc/systemd/system/vrrp-ha.service", "/etc/sysctl.d")
_TREES = " ".join(FILES)
_TELLING = " ".join(f"! -name {name} ! -name .{name}.new" for name in FILES_THAT_MOVE)
_KERNELS = "-e 's/ expires [0-9a-z]*//' -e '/^multicast .* proto kernel/d' -e 's/ dead//' -e 's/ linkdown//'"
PARTS = {
    "files": f"find {_TREES} -type f {_TELLING} -exec sha256sum {{}} + -o -type l -printf '%p -> %l\\n' 2>&1 | sort",
    "owners": f"find {_TREES} {_TELLING} -printf '%M %u %g %p\\n' 2>&1 | sort",
    "releases": "ls /opt/vrrp-ha/releases; readlink /opt/vrrp-ha/current /usr/local/bin/vrrp-ha",
    "claim": "cat /run/vrrp-ha-procedure.json",
    "routes": f"ip -6 route show table all | sed {_KERNELS}",
    "rules": "ip -6 rule",
    "addresses": "ip -o -6 addr | sed 's/ *valid_lft.*//'",
    "links": "ip -o link",
    "firewall": "nft -s list ruleset",
    "sysctls": "sed -n 's/ *=.*//p' /etc/sysctl.d/*vrrp* | while read name; do sysctl $name; done",
    "service": "systemctl show -p MainPID,ActiveState,UnitFileState,NRestarts vrrp-ha",
}
"""Of a host, by shell commands: `nft -s` has no counters; a route's lifetime runs, and the kernel sees late that
a device of ours leads nowhere."""

_SCRIPT = "; ".join(f"echo '=== {name}'; {{ {command}; }} 2>&1" for name, command in PARTS.items())

Snapshot = dict[str, str]
"""What it is, as `ha1 routes`: what it was."""


def snapshot() -> Snapshot:
    """The fleet as it is now."""
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(_of_host, topology.HOME_AGENTS))
    return {name: value for part in (*parts, _of_controller()) for name, value in part.items()}


def settled(seconds: float = 20) -> Snapshot:
    """The same, once it stays as it is: what was done before may go on for a moment."""
    found = [snapshot()]

    def stays() -> bool:
        found.append(snapshot())
        return found[-1] == found[-2]

    agents.wait_for("nothing changes any more", stays, seconds, 0.3)
    return found[-1]


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """Line by line what is in one of them only."""
    found = []
    for name in before.keys() | after.keys():
        was, now = (set(one.get(name, "").splitlines()) for one in (before, after))
        found += [f"{name}: - {line}" for line in was - now] + [f"{name}: + {line}" for line in now - was]
    return sorted(found)


def _of_host(host: str) -> Snapshot:
    found: Snapshot = {}
    for section in fleet.execute(host, "sh", "-c", _SCRIPT).split("=== ")[1:]:
        name, _newline, value = section.partition("\n")
        found[f"{host} {name}"] = value
    try:
        agent = agents.Agent(host)
        found[f"{host} status"] = "\n".join(_lasting("", agent.call("status")))
        agent.close()
    except agents.NoAnswerError:
        found[f"{host} status"] = "no agent"
    return found


def _lasting(path: str, value: Any) -> list[str]:
    """A line for each value of a status."""
    if isinstance(value, Mapping):
        return [
            line
            for name, inner in value.items()
            if name not in MOVES_BY_ITSELF
            for line in _lasting(f"{path}.{name}".lstrip("."), inner)
        ]
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [line for number, inner in enumerate(value) for line in _lasting(f"{path}[{number}]", inner)]
    return [f"{path} = {value!r}"]


def _of_controller() -> Snapshot:
    """The lock files of the plan: the lab's, and those of the procedures' inventories."""
    places = [access.INVENTORIES[0], *WORK.glob("*")]
    locks = [place / "vrid_plan.lock.yml" for place in places]
    return {
        f"controller {lock}": hashlib.sha256(lock.read_bytes()).hexdigest() for lock in sorted(locks) if lock.exists()
    }
