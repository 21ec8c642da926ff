# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator writes about links and hosts, made into the planner's input; the plan, made into hosts' variables.

Pure: the link definitions and the hosts' variables come in as plain data. Mistakes are collected, not raised one by
one. The formats are docs/reference/plan.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from ..module_utils.spec import FLEET_VIRTUAL_HA
from .planner.addresses import anycast_of, network_of, number_of, pool_of
from .planner.model import ACTIVE, SERVICES, VRIDS, HomeAgent, Link, LinkPlan, Pin, Problem

HOST_VARIABLES = (
    "vrrp_ha_link",
    "vrrp_ha_weight",
    "vrrp_ha_zone",
    "vrrp_ha_service",
    "vrrp_ha_id",
    "vrrp_ha_interface",
    "vrrp_ha_link_local_address",
    "ansible_host",
)
"""All that the plan wants to know about a host."""

PLANNED = ("vrid", "name", "interface", "addresses", "prefix", "priorities", "member_addresses", "mipv6_ha_mode")
SETTINGS = tuple(sorted(set(FLEET_VIRTUAL_HA) - {*PLANNED, "link_local_address"}))
"""What a link may set for all its virtual HAs."""

LINK_KEYS = (
    "prefix",
    "addresses",
    "interface",
    "virtual_has",
    "virtual_has_per_ha",
    "vrids",
    "reserved_vrids",
    "pins",
    "retired",
    "backups",
    "mipv6_ha_mode",
    "zones",
    "settings",
)
PIN_KEYS = ("name", "vrid", "address", "owner", "mipv6_ha_mode")
LINK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
NAME = "give it a name of letters, digits, '_', '-' and '.'"


@dataclass
class Inputs:
    """Everything that was read, and what was wrong with it."""

    links: dict[str, Link] = field(default_factory=dict)
    agents: list[HomeAgent] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    link_settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    interfaces: dict[str, str] = field(default_factory=dict)
    link_locals: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)

    def plannable(self) -> list[HomeAgent]:
        """All hosts but those of links whose definition could not be read: that is a problem already."""
        return [agent for agent in self.agents if agent.link not in self.unreadable]


def read_inputs(
    links: Mapping[str, Any], defaults: Mapping[str, Any], hosts: Mapping[str, Mapping[str, Any]]
) -> Inputs:
    """Link definitions, what they have in common, and the variables of the hosts that have a vrrp_ha_link."""
    inputs = Inputs()
    raw: dict[str, Mapping[str, Any]] = {}
    for key, given in links.items():
        name = str(key)
        if not LINK_NAME.fullmatch(name):
            inputs.problems.append(Problem(name, "is no name for a link", NAME))
        elif not isinstance(given, Mapping):
            inputs.problems.append(Problem(name, "is no mapping", "write its prefix, addresses and so on below it"))
        else:
            raw[name] = _merged(defaults, given)
            _LinkReader(name, raw[name], inputs).read()
        if name not in inputs.links:
            inputs.unreadable.add(name)
    for name, variables in hosts.items():
        _read_host(name, variables, raw, inputs)
    without: dict[str, list[str]] = {}
    for agent in inputs.agents:
        if agent.link in inputs.links and agent.name not in inputs.interfaces:
            without.setdefault(agent.link, []).append(agent.name)
    for name, names in without.items():
        message = f"interface: is missing, and {', '.join(names)} have no vrrp_ha_interface"
        inputs.problems.append(Problem(name, message, "set the link's interface, or theirs"))
    _tell_apart(inputs, {name for name, variables in hosts.items() if variables.get("vrrp_ha_id")})
    return inputs


def _merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **given}
    if "virtual_has" in given and "virtual_has_per_ha" not in given:
        merged.pop("virtual_has_per_ha", None)
    if "virtual_has_per_ha" in given and "virtual_has" not in given:
        merged.pop("virtual_has", None)
    common, own = defaults.get("settings"), given.get("settings")
    if isinstance(common, Mapping) and isinstance(own, Mapping):
        merged["settings"] = {**common, **own}
    return merged


class _LinkReader:
    """One link's definition; every mistake becomes a problem and reading goes on with a value that will do."""

    def __init__(self, name: str, given: Mapping[str, Any], inputs: Inputs) -> None:
        self.name = name
        self.given = given
        self.inputs = inputs

    def problem(self, path: str, message: str, remedy: str) -> None:
        self.inputs.problems.append(Problem(self.name, f"{path}: {message}", remedy))

    def read(self) -> None:
        given = self.given
        for key in given:
            if key not in LINK_KEYS:
                self.problem(str(key), "is not known", f"take it out (known: {', '.join(LINK_KEYS)})")
        try:
            network = network_of(given.get("prefix"))
        except ValueError as error:
            self.problem("prefix", str(error), "give the home prefix, like 2001:db8:1::/64")
            return
        try:
            pool = pool_of(_listed(given.get("addresses")), network)
        except ValueError as error:
            self.problem("addresses", str(error), f"give addresses, first-last or prefixes inside {network}")
            return
        if "virtual_has" in given and "virtual_has_per_ha" in given:
            self.problem("virtual_has", "is given together with virtual_has_per_ha", "give one of them")
        self._settings()
        self.inputs.links[self.name] = Link(
            name=self.name,
            prefix=str(network),
            network=(int(network.network_address), int(network.broadcast_address)),
            anycast=anycast_of(network),
            pool=pool,
            wanted=self._whole("virtual_has", None, 1, 255),
            per_ha=self._whole("virtual_has_per_ha", 1, 1, 255) or 1,
            vrids=self._vrids("vrids", frozenset(VRIDS)),
            reserved=self._vrids("reserved_vrids", frozenset()),
            pins=tuple(self._pins()),
            retired=frozenset(str(name) for name in _listed(given.get("retired"))),
            backups=self._whole("backups", 100, 1, 253) or 100,
            mipv6_ha_mode=self._switch("mipv6_ha_mode", given.get("mipv6_ha_mode", True)),
        )

    def _whole(self, key: str, default: int | None, low: int, high: int) -> int | None:
        value: int | None = self.given.get(key, default)
        if value is None or (_is_whole(value) and low <= value <= high):
            return value
        self.problem(key, f"{value!r} is no number from {low} to {high}", "correct it")
        return default

    def _switch(self, path: str, value: Any) -> bool:
        if not isinstance(value, bool):
            self.problem(path, f"{value!r} is no switch", "give true or false")
            return True
        return value

    def _vrids(self, key: str, default: frozenset[int]) -> frozenset[int]:
        if self.given.get(key) is None:
            return default
        found: set[int] = set()
        for part in _listed(self.given[key]):
            first, dash, last = str(part).partition("-")
            ends = [first.strip(), last.strip() if dash else first.strip()]
            numbers = [int(end) for end in ends if end.isdecimal()]
            if len(numbers) == 2 and 1 <= numbers[0] <= numbers[1] <= 255:
                found.update(range(numbers[0], numbers[1] + 1))
            else:
                self.problem(key, f"{part!r} is no VRID and no range", "give numbers from 1 to 255, or first-last")
        return frozenset(found)

    def _pins(self) -> Iterable[Pin]:
        for position, given in enumerate(_listed(self.given.get("pins"))):
            path = f"pins[{position}]"
            if not isinstance(given, Mapping) or not (given.get("name") or given.get("vrid")):
                self.problem(path, "names no virtual HA", "give its name or its vrid")
                continue
            unknown = [str(key) for key in given if key not in PIN_KEYS]
            if unknown:
                self.problem(path, f"{', '.join(unknown)} is not known", f"take it out (known: {', '.join(PIN_KEYS)})")
            vrid, address = given.get("vrid"), given.get("address")
            if vrid is not None and not (_is_whole(vrid) and 1 <= vrid <= 255):
                self.problem(f"{path}.vrid", f"{vrid!r} is no VRID", "give a number from 1 to 255")
                continue
            try:
                number = None if address is None else number_of(address)
            except ValueError as error:
                self.problem(f"{path}.address", str(error), "correct it")
                continue
            mode = given.get("mipv6_ha_mode")
            name, owner = given.get("name"), given.get("owner")
            yield Pin(
                name=None if name is None else str(name),
                vrid=vrid,
                address=number,
                owner=None if owner is None else str(owner),
                mipv6_ha_mode=None if mode is None else self._switch(f"{path}.mipv6_ha_mode", mode),
            )

    def _settings(self) -> None:
        settings = self.given.get("settings") or {}
        if not isinstance(settings, Mapping):
            self.problem("settings", "is no mapping", f"give some of {', '.join(SETTINGS)}")
            return
        for key in settings:
            if key in PLANNED:
                self.problem(f"settings.{key}", "is planned", "take it out; a link's own options and pins decide it")
            elif key not in SETTINGS:
                self.problem(f"settings.{key}", "is not known", f"take it out (known: {', '.join(SETTINGS)})")
        self.inputs.link_settings[self.name] = dict(settings)


def _read_host(name: str, variables: Mapping[str, Any], links: Mapping[str, Mapping[str, Any]], inputs: Inputs) -> None:
    link = str(variables["vrrp_ha_link"])

    def problem(message: str, remedy: str) -> None:
        inputs.problems.append(Problem(link, message, remedy, name))

    weight = _weight(variables.get("vrrp_ha_weight", 1))
    if weight is None:
        given = variables["vrrp_ha_weight"]
        problem(f"vrrp_ha_weight: {given!r} is no number above 0", "correct it; use vrrp_ha_service to take it out")
        weight = Fraction(1)
    service = str(variables.get("vrrp_ha_service", ACTIVE))
    if service not in SERVICES:
        problem(f"vrrp_ha_service: {service!r} is not known", f"give one of {', '.join(SERVICES)}")
        service = ACTIVE
    zone = variables.get("vrrp_ha_zone")
    zones = [str(known) for known in _listed(links.get(link, {}).get("zones"))]
    if zones and zone is not None and str(zone) not in zones:
        problem(f"vrrp_ha_zone: the link has no zone {zone}", f"give one of {', '.join(zones)}, or add it to zones")
    identity = variables.get("vrrp_ha_id") or variables.get("ansible_host") or name
    inputs.agents.append(
        HomeAgent(name, link, weight, None if zone in (None, "") else str(zone), service, str(identity))
    )
    interface = variables.get("vrrp_ha_interface") or links.get(link, {}).get("interface")
    if interface:
        inputs.interfaces[name] = _text(interface)
    address = variables.get("vrrp_ha_link_local_address")
    if address:
        inputs.link_locals[name] = _text(address)


def _tell_apart(inputs: Inputs, told: set[str]) -> None:
    """Hosts that share an ansible_host, as behind one gateway, are known by their names instead."""
    shared = Counter((agent.link, agent.identity) for agent in inputs.agents)
    inputs.agents = [
        agent if agent.name in told or shared[agent.link, agent.identity] == 1 else replace(agent, identity=agent.name)
        for agent in inputs.agents
    ]


def _text(value: Any) -> str:
    """Text as it is: what Ansible has noted on it, whether it may be a template, goes with it to the hosts."""
    return value if isinstance(value, str) else str(value)


def _weight(value: Any) -> Fraction | None:
    try:
        weight = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return None
    return weight if 0 < weight < 1_000_000 and not isinstance(value, bool) else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def virtual_has_of(link: LinkPlan, inputs: Inputs, called: Mapping[str, str]) -> list[dict[str, Any]]:
    """A link's virtual HAs in the shape of the variable vrrp_ha_virtual_has, still without the interface.

    `called`: the inventory's names of the plan's hosts; a host that is not in it has left, and is left out.
    """
    entries = []
    settings = inputs.link_settings.get(link.name, {})
    for entry in sorted(link.virtual_has.values(), key=lambda entry: entry.vrid):
        document: dict[str, Any] = {
            "vrid": entry.vrid,
            "name": entry.name,
            "addresses": [entry.address],
            "prefix": link.prefix,
            "priorities": {called[name]: value for name, value in entry.priorities.items() if name in called},
            **settings,
        }
        if not entry.mipv6_ha_mode:
            document["mipv6_ha_mode"] = False
        members = document["priorities"]
        if members and members.keys() <= inputs.link_locals.keys():
            document["member_addresses"] = {name: inputs.link_locals[name] for name in members}
        entries.append(document)
    return entries
