# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no plan can satisfy: found before planning, all of it, each with its place and remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .addresses import text_of
from .model import LEAVING, HomeAgent, Link, Pin, Problem, natural


def problems_of(links: Mapping[str, Link], agents: Sequence[HomeAgent]) -> list[Problem]:
    """Every problem of the input, link by link."""
    by_link: dict[str, list[HomeAgent]] = {name: [] for name in links}
    found = []
    known = ", ".join(sorted(links, key=natural)[:8]) or "none"
    for agent in agents:
        if agent.link in by_link:
            by_link[agent.link].append(agent)
        else:
            remedy = f"define the link, or correct vrrp_ha_link (there are: {known})"
            found.append(Problem(agent.link, "there is no such link", remedy, agent.name))
    for name in sorted(links, key=natural):
        found += _of_link(links[name], by_link[name])
    return found


def _of_link(link: Link, agents: Sequence[HomeAgent]) -> Iterable[Problem]:
    if not agents:
        yield Problem(link.name, "no host is on it", "set vrrp_ha_link of its HAs, or take the link out")
        return
    if len(agents) == 1:
        message = "it is the only HA on the link, nobody could back it up"
        yield Problem(link.name, message, "put another HA on the link, or take the link out", agents[0].name)
    if all(agent.service == LEAVING for agent in agents):
        names = ", ".join(agent.name for agent in agents)
        yield Problem(link.name, f"all its HAs are leaving ({names})", "keep one, or take the link out")
    if len(agents) > link.backups + 1 and link.backups > 253:
        yield Problem(link.name, f"{len(agents)} HAs are too many for VRRP's priorities", "set backups to 253 or less")
    yield from _zones(link, agents)
    yield from _identities(link, agents)
    yield from _pins(link, agents)


def _zones(link: Link, agents: Sequence[HomeAgent]) -> Iterable[Problem]:
    with_zone = [agent for agent in agents if agent.zone is not None]
    if not with_zone:
        return
    for agent in agents:
        if agent.zone is None:
            message = f"it has no zone, and others of the link have ({with_zone[0].name}: {with_zone[0].zone})"
            yield Problem(link.name, message, "set its vrrp_ha_zone", agent.name)


def _identities(link: Link, agents: Sequence[HomeAgent]) -> Iterable[Problem]:
    seen: dict[str, str] = {}
    for agent in agents:
        if agent.identity in seen:
            message = f"it has the vrrp_ha_id of {seen[agent.identity]}, {agent.identity}"
            yield Problem(link.name, message, "give each host its own", agent.name)
        seen[agent.identity] = agent.name


def _pins(link: Link, agents: Sequence[HomeAgent]) -> Iterable[Problem]:
    services = {agent.name: agent.service for agent in agents}
    for what, values in (
        ("name", [(pin.name, pin) for pin in link.pins]),
        ("VRID", [(pin.vrid, pin) for pin in link.pins]),
        ("address", [(pin.address, pin) for pin in link.pins]),
    ):
        yield from _twice(link, what, values)
    for pin in link.pins:
        if pin.vrid is not None and pin.vrid in link.reserved:
            yield Problem(link.name, f"{pin.label()}: VRID {pin.vrid} is reserved", "pin another, or unreserve it")
        elif pin.vrid is not None and pin.vrid not in link.vrids:
            remedy = "pin another, or allow it in vrids"
            yield Problem(link.name, f"{pin.label()}: VRID {pin.vrid} is not among the link's", remedy)
        first, last = link.network
        if pin.address is not None and not first <= pin.address <= last:
            message = f"{pin.label()}: address {text_of(pin.address)} is outside {link.prefix}"
            yield Problem(link.name, message, "pin an address of the prefix")
        elif pin.address is not None and any(low <= pin.address <= high for low, high in link.anycast):
            message = f"{pin.label()}: address {text_of(pin.address)} is an anycast address"
            yield Problem(link.name, message, "pin another address of the prefix")
        if pin.name is not None and pin.name in link.retired:
            yield Problem(link.name, f"{pin.label()}: it is retired", "take it out of pins or out of retired")
        if pin.owner is not None and pin.owner not in services:
            names = ", ".join(sorted(services, key=natural)[:8])
            remedy = f"pin one of the link's HAs ({names}), or take the owner out of the pin"
            yield Problem(link.name, f"{pin.label()}: it is to own it and is not on the link", remedy, pin.owner)
        elif pin.owner is not None and services[pin.owner] == LEAVING:
            remedy = "pin another owner, or do not let it leave"
            yield Problem(link.name, f"{pin.label()}: it is to own it and is leaving", remedy, pin.owner)
    if link.wanted is not None and len(link.pins) > link.wanted:
        message = f"{len(link.pins)} virtual HAs are pinned, and {link.wanted} are wanted"
        yield Problem(link.name, message, "raise virtual_has or take pins out")


def _twice(link: Link, what: str, values: Sequence[tuple[object, Pin]]) -> Iterable[Problem]:
    seen: set[object] = set()
    for value, pin in values:
        if value is not None and value in seen:
            shown = text_of(value) if what == "address" and isinstance(value, int) else value
            yield Problem(link.name, f"{pin.label()}: {what} {shown} is pinned twice", "take one of the pins out")
        seen.add(value)
