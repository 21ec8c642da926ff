# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner: (home links, home agents, the plan so far) -> the plan, and what changed and why.

Pure: the same input, in whatever order, gives the same plan, and planning again from a plan gives that plan. The steps
for one link stand in `_plan_link`, each in a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .backups import backup_orders
from .changes import Change, Reasons, compare, successors
from .checks import problems_of
from .model import LEAVING, HomeAgent, Link, LinkPlan, Plan, PlanError, Problem, VirtualHa, natural
from .numbers import Numbered, name_virtual_has, number_addresses, number_vrids
from .owners import Members, assign_owners, fair_share
from .priorities import assign_priorities


@dataclass(frozen=True)
class Planned:
    """A plan, and its differences from the previous one with their reasons."""

    plan: Plan
    changes: list[Change]


def make_plan(links: Iterable[Link], agents: Iterable[HomeAgent], previous: Plan | None = None) -> Planned:
    """Plan every link. Raises PlanError with all problems of all links."""
    by_name = {link.name: link for link in links}
    ordered = sorted(agents, key=lambda agent: natural(agent.name))
    problems = problems_of(by_name, ordered)
    on_link: dict[str, list[HomeAgent]] = {name: [] for name in by_name}
    for agent in ordered:
        if agent.link in on_link:
            on_link[agent.link].append(agent)
    blocked = {problem.link for problem in problems}
    plans = {}
    reasons = {}
    for name in sorted(by_name, key=natural):
        if name in blocked:
            continue
        before = previous.links.get(name) if previous is not None else None
        plan, why, found = _plan_link(by_name[name], on_link[name], before)
        problems += found
        if plan is not None:
            plans[name] = plan
            reasons[name] = why
    if problems:
        raise PlanError(problems)
    after = Plan(plans)
    return Planned(after, compare(previous, after, reasons))


def _plan_link(
    link: Link, agents: list[HomeAgent], before: LinkPlan | None
) -> tuple[LinkPlan | None, Reasons, list[Problem]]:
    names = [agent.name for agent in agents]
    hosts = {agent.name: agent.identity or agent.name for agent in agents}
    called = successors(before, hosts) if before is not None else {}
    known = _renamed(before, link)

    serving = sum(1 for agent in agents if agent.service != LEAVING)
    virtual_has = name_virtual_has(link, serving, known)
    problems = number_vrids(link, virtual_has, known) + number_addresses(link, virtual_has, known)
    if problems:
        return None, {}, problems

    place = {name: index for index, name in enumerate(names)}
    priorities_before: list[dict[str, int]] = []
    previous_orders: list[list[int]] = []
    previous_owners: list[int | None] = []
    for entry in virtual_has:
        earlier = known.virtual_has.get(entry.name) if known is not None else None
        priorities = (
            {}
            if earlier is None
            else {called[member]: priority for member, priority in earlier.priorities.items() if member in called}
        )
        priorities_before.append(priorities)
        order = [place[member] for member in sorted(priorities, key=lambda member: -priorities[member])]
        previous_owner = None if earlier is None or earlier.owner is None else called.get(earlier.owner)
        previous_orders.append(order)
        previous_owners.append(None if previous_owner is None else place[previous_owner])

    members = Members.of(agents)
    pinned = [None if entry.pin.owner is None else place[entry.pin.owner] for entry in virtual_has]
    owners = assign_owners(members, pinned, previous_owners, previous_orders)
    owned = [owner for owner in owners if owner is not None]
    if len(owned) < len(owners):
        ownerless = [entry.name for entry, owner in zip(virtual_has, owners) if owner is None]
        message = f"all its HAs are drained or leaving: nobody may own {', '.join(ownerless)}"
        return None, {}, [Problem(link.name, message, "bring one into service, or pin an owner")]
    orders = backup_orders(members, owners, previous_orders, link.backups)

    planned = {}
    for entry, owner, order, priorities in zip(virtual_has, owned, orders, priorities_before):
        ranked = [names[owner], *(names[backup] for backup in order)]
        mode = link.mipv6_ha_mode if entry.pin.mipv6_ha_mode is None else entry.pin.mipv6_ha_mode
        planned[entry.name] = VirtualHa(
            entry.name, entry.vrid, entry.address, assign_priorities(ranked, priorities), mode
        )
    plan = LinkPlan(link.name, link.prefix, hosts, planned)
    why = {} if known is None else _reasons(agents, known, virtual_has, owners, previous_owners, members)
    return plan, why, []


def _renamed(before: LinkPlan | None, link: Link) -> LinkPlan | None:
    """The previous plan, with virtual HAs called as pins call them now that name a VRID that is there."""
    if before is None:
        return None
    by_vrid = {entry.vrid: name for name, entry in before.virtual_has.items()}
    claimed = {pin.name for pin in link.pins}
    new_names = {
        by_vrid[pin.vrid]: pin.name
        for pin in link.pins
        if pin.name and pin.name not in before.virtual_has and pin.vrid in by_vrid and by_vrid[pin.vrid] not in claimed
    }
    if not new_names:
        return before
    entries = [replace(entry, name=new_names.get(name, name)) for name, entry in before.virtual_has.items()]
    return replace(before, virtual_has={entry.name: entry for entry in entries})


def _reasons(
    agents: list[HomeAgent],
    known: LinkPlan,
    virtual_has: list[Numbered],
    owners: list[int | None],
    previous_owners: list[int | None],
    members: Members,
) -> Reasons:
    """Why VRIDs, addresses and owners are not what they were."""
    why = {}
    names = {agent.name: index for index, agent in enumerate(agents)}
    claims = [0] * len(agents)
    for entry, previous_owner in zip(virtual_has, previous_owners):
        claimant = previous_owner if entry.pin.owner is None else names.get(entry.pin.owner, previous_owner)
        if claimant is not None:
            claims[claimant] += 1
    for entry, owner, previous_owner in zip(virtual_has, owners, previous_owners):
        earlier = known.virtual_has.get(entry.name)
        if earlier is None:
            continue
        why[entry.name, "VRID"] = entry.vrid_why
        why[entry.name, "address"] = entry.address_why
        if previous_owner == owner:
            continue
        if entry.pin.owner is not None:
            text = "it is pinned"
        elif previous_owner is None:
            text = f"{earlier.owner} is no longer on the link" if earlier.owner else "it had no owner"
        elif members.services[previous_owner] == LEAVING:
            text = f"{agents[previous_owner].name} is leaving"
        else:
            share = float(fair_share(members, previous_owner, len(virtual_has)))
            name = agents[previous_owner].name
            would = f"{name} would own {claims[previous_owner]} of {len(virtual_has)}"
            text = f"balance: {would}, by weight its share is {share:.1f}"
        why[entry.name, "owner"] = text
    return why
