# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory plugin left in the variables of groups, put together again: one plan for each lock file.

Pure: variables come in as plain data, files are read and written by the actions.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .plan_lock import read_lock
from .planner.model import LinkPlan, Plan

COMMAND = "ansible-playbook mip6.vrrp_ha.plan"
LINK_GROUP = "vrrp_ha_link_"


class FleetPlanError(ValueError):
    """The variables do not make a plan; says what to do."""


@dataclass
class Source:
    """One source of the inventory that plans, with its lock file."""

    path: str
    lock: str
    removed: list[dict[str, Any]] = field(default_factory=list)
    links: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def changes(self) -> list[dict[str, Any]]:
        """Everything that is asked for and not accepted."""
        return [change for link in self.links.values() for change in link["changes"]] + self.removed

    def wanted(self, text: str | None) -> Plan:
        """The plan that is asked for. `text`: what the lock file holds."""
        locked = read_lock(text) if text is not None else Plan()
        links: dict[str, LinkPlan] = {}
        for name, link in self.links.items():
            if "planned" in link:
                links.update(read_lock(link["planned"]).links)
            elif name in locked.links:
                links[name] = locked.links[name]
            else:
                raise FleetPlanError(f"{self.lock} was changed during the play; run it again")
        return Plan(links)


def virtual_has_shown(link: LinkPlan) -> list[dict[str, Any]]:
    """A link's virtual HAs for the filters."""
    return [
        {"vrid": entry.vrid, "name": entry.name, "addresses": [entry.address], "priorities": dict(entry.priorities)}
        for entry in sorted(link.virtual_has.values(), key=lambda entry: entry.vrid)
    ]


def sources_of(fleet: Mapping[str, Any], links: Mapping[str, Mapping[str, Any]]) -> list[Source]:
    """The sources by their paths, from vrrp_ha_plan_sources and each link's vrrp_ha_plan."""
    found = {
        path: Source(path, document["lock"], list(document["removed"])) for path, document in sorted(fleet.items())
    }
    locks: dict[str, str] = {}
    for source in found.values():
        if locks.setdefault(source.lock, source.path) != source.path:
            raise FleetPlanError(f"{source.path} and {locks[source.lock]} have one lock file; give each its own 'lock'")
    for name, document in links.items():
        if document["source"] not in found:
            raise FleetPlanError(f"link {name} comes from {document['source']}, which is no source of this inventory")
        found[document["source"]].links[document["link"]] = document
    return list(found.values())


def collect(groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]) -> list[Source]:
    """The sources from Ansible's `groups` and `hostvars`, asking one host for each link."""
    fleet: dict[str, Any] = {}
    links = {}
    for group, hosts in groups.items():
        if group.startswith(LINK_GROUP) and hosts:
            variables = hostvars[hosts[0]]
            document = variables.get("vrrp_ha_plan")
            if document is not None:
                links[document["link"]] = document
                fleet = variables.get("vrrp_ha_plan_sources", {})
    return sources_of(fleet, links)


def not_accepted(
    sources: Sequence[Source], hosts: Collection[str], groups: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """What is asked for on the links of these hosts and was not accepted."""
    found = []
    for source in sources:
        here = {change["link"] for change in source.removed}
        here |= {name for name in source.links if not set(groups.get(group_of(name), ())).isdisjoint(hosts)}
        found += [change for change in source.changes() if change["link"] in here]
    return found


def procedure(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to do on a live fleet before changes that move something are accepted."""
    moves = [change for change in changes if change["moves"]]
    if not moves:
        return []
    lines = ["Before this is accepted for a fleet in use, see docs/how-to/plan.md, 'Moves on a live fleet':"]
    for change in moves:
        where = f"-e vrrp_ha_hosts={group_of(change['link'])}"
        if change["what"] == "owner":
            command = "ansible-playbook mip6.vrrp_ha.failover"
            lines.append(f"- {command} {where} -e vrid={change['vrid']} -e to={change['after']}")
        else:
            name = change["virtual_ha"] or "all of the link"
            lines.append(
                f"- {change['link']}: {name}: mobile nodes that use it lose their home agent; avoid it with a pin"
            )
    return lines


def group_of(link: str) -> str:
    """The group of a link's hosts."""
    return LINK_GROUP + re.sub(r"\W", "_", link)


def accepting(inventory_sources: Sequence[str]) -> str:
    """The command that accepts the plan of this inventory."""
    return " ".join([COMMAND, *(f"-i {shlex.quote(source)}" for source in inventory_sources)])
