# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock file: the plan that was accepted, as text under version control.

Written in one way only, sorted and a value to a line, so that a diff shows what changed and nothing else. Read with
suspicion: people edit it and merge it. Text in, plan out; opening the file is the caller's business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import yaml

from .planner.addresses import network_of, number_of, text_of
from .planner.model import OWNER, LinkPlan, Plan, VirtualHa, natural

FORMAT = 1
PLUGIN = "mip6.vrrp_ha.vrid_plan"
HEADER = f"""\
# The plan of virtual HAs that was accepted. The playbook mip6.vrrp_ha.plan writes it; review changes like code.
---
plugin: {PLUGIN}
format: {FORMAT}
"""
REMEDY = "mend it, or take the last version that was committed and run the playbook mip6.vrrp_ha.plan"

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_UNPRINTABLE = re.compile(r"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
"""Words that YAML takes for something else than text."""


class LockError(ValueError):
    """The file's text holds no plan; carries every problem, each with its path in the file and its remedy."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def write_lock(plan: Plan) -> str:
    """The plan as the text of a lock file."""
    lines = ["links:" if plan.links else "links: {}"]
    for name in sorted(plan.links, key=natural):
        link = plan.links[name]
        lines += [f"  {_key(name)}:", f'    prefix: "{link.prefix}"', "    hosts:"]
        lines += [f"      {_key(host)}: {_quoted(link.hosts[host])}" for host in sorted(link.hosts, key=natural)]
        lines.append("    virtual_has:" if link.virtual_has else "    virtual_has: {}")
        for title in sorted(link.virtual_has, key=natural):
            entry = link.virtual_has[title]
            mode = "true" if entry.mipv6_ha_mode else "false"
            lines += [f"      {_key(title)}:", f"        vrid: {entry.vrid}", f'        address: "{entry.address}"']
            lines += [f"        mipv6_ha_mode: {mode}", "        priorities:"]
            lines += [f"          {_key(member)}: {entry.priorities[member]}" for member in entry.order]
    return HEADER + "\n".join(lines) + "\n"


def _key(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else _quoted(text)


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", quoted)


def read_lock(text: str) -> Plan:
    """The plan in the text of a lock file. Raises LockError."""
    document = _own_document(text)
    if document is not None and not any(_problems(document)):
        plan = _plan(document)
        if write_lock(plan) == text:
            return plan
    document = _yaml_document(text)
    problems = list(_problems(document))
    if problems:
        raise LockError(problems)
    return _plan(document)


def _plan(document: Mapping[str, Any]) -> Plan:
    return Plan({name: _link(name, link) for name, link in document["links"].items()})


def _link(name: str, link: Mapping[str, Any]) -> LinkPlan:
    virtual_has = {}
    for title, entry in link["virtual_has"].items():
        priorities = dict(sorted(entry["priorities"].items(), key=lambda member: -member[1]))
        address = text_of(number_of(entry["address"]))
        virtual_has[title] = VirtualHa(title, entry["vrid"], address, priorities, entry["mipv6_ha_mode"])
    return LinkPlan(name, str(network_of(link["prefix"])), link["hosts"], virtual_has)


# Reading


def _own_document(text: str) -> dict[str, Any] | None:
    """The document in a text as `write_lock` writes it, some ten times as fast as YAML; None if it looks otherwise.

    Goes by indentation and may be wrong about a text of other making: the caller writes what was read again, and
    believes it only when that gives the same text.
    """
    start = HEADER + "links:\n"
    if not text.startswith(start) or _UNPRINTABLE.search(text):
        return None
    links: dict[str, Any] = {}
    levels: list[dict[str, Any]] = [links] + [{}] * 4
    for line in text[len(start) :].splitlines():
        content = line.lstrip(" ")
        depth = (len(line) - len(content)) // 2
        key, colon, value = content.partition(": ")
        if not 1 <= depth <= 5:
            return None
        if key.startswith('"'):
            key = key[1:].rstrip(':"')
        if colon:
            levels[depth - 1][key] = _value(value)
        elif depth < 5:
            levels[depth - 1][key.rstrip(":")] = levels[depth] = {}
    return {"plugin": PLUGIN, "format": FORMAT, "links": links}


def _value(text: str) -> Any:
    if text.startswith('"'):
        return text[1:-1]
    if text.isdecimal():
        return int(text)
    return {"true": True, "false": False, "{}": {}}.get(text)


def _yaml_document(text: str) -> dict[str, Any]:
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "the file"
        merge = " (an unfinished merge?)" if re.search(r"^(<<<<<<<|>>>>>>>)", text, re.MULTILINE) else ""
        problem = getattr(error, "problem", None) or "cannot be read"
        raise LockError([f"{where}: is not YAML: {problem}{merge}; {REMEDY}"]) from None
    if not isinstance(document, dict):
        raise LockError([f"the file: holds no plan; {REMEDY}"])
    return document


# Checking


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    if document.get("format") != FORMAT:
        yield f"format: is {document.get('format')!r} and this collection knows {FORMAT}; {REMEDY}"
        return
    yield from _unknown("", document, ("plugin", "format", "links"))
    links = document.get("links")
    if not isinstance(links, dict):
        yield f"links: is no mapping of links by name; {REMEDY}"
        return
    for name, link in links.items():
        yield from _of_link(f"links.{name}", name, link)


def _unknown(path: str, value: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[str]:
    if len(value) != len(known):
        for key in known:
            if key not in value:
                yield f"{path}.{key}: is missing; {REMEDY}".lstrip(".")
    for key in value:
        if key not in known:
            yield f"{path}.{key}: is not known; take it out (known: {', '.join(known)})".lstrip(".")


def _of_link(path: str, name: Any, link: Any) -> Iterator[str]:
    if not isinstance(name, str) or not isinstance(link, dict):
        yield f"{path}: is no link; {REMEDY}"
        return
    yield from _unknown(path, link, ("prefix", "hosts", "virtual_has"))
    hosts, virtual_has = link.get("hosts"), link.get("virtual_has")
    if not _named(hosts) or not _named(virtual_has):
        yield f"{path}: hosts and virtual_has have to be mappings by name; {REMEDY}"
        return
    for host, identity in hosts.items():
        if not isinstance(identity, str):
            yield f"{path}.hosts.{host}: {identity!r} is no text; put it in quotes"
    try:
        network = network_of(link.get("prefix"))
    except ValueError as error:
        yield f"{path}.prefix: {error}; {REMEDY}"
        return
    inside = int(network.network_address), int(network.broadcast_address)
    vrids: dict[Any, str] = {}
    addresses: dict[Any, str] = {}
    for title, entry in virtual_has.items():
        where = f"{path}.virtual_has.{title}"
        if not isinstance(entry, dict):
            yield f"{where}: is no virtual HA; {REMEDY}"
            continue
        yield from _unknown(where, entry, ("vrid", "address", "mipv6_ha_mode", "priorities"))
        yield from _of_virtual_ha(where, entry, inside, network)
        for what, seen in (("vrid", vrids), ("address", addresses)):
            value = entry.get(what)
            if isinstance(value, (str, int)) and seen.setdefault(value, title) != title:
                yield f"{where}.{what}: {value} is that of {seen[value]} too; give each its own"
        yield from _of_members(f"{where}.priorities", entry.get("priorities"), hosts)


def _named(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _of_virtual_ha(path: str, entry: Mapping[str, Any], inside: tuple[int, int], network: object) -> Iterator[str]:
    if not _whole(entry.get("vrid")) or not 1 <= entry["vrid"] <= OWNER:
        yield f"{path}.vrid: {entry.get('vrid')!r} is no VRID; give 1 to 255"
    if not isinstance(entry.get("mipv6_ha_mode"), bool):
        yield f"{path}.mipv6_ha_mode: {entry.get('mipv6_ha_mode')!r} is no switch; give true or false"
    try:
        if not inside[0] <= number_of(entry.get("address")) <= inside[1]:
            yield f"{path}.address: {entry['address']} is outside the link's prefix {network}; give one inside"
    except ValueError as error:
        yield f"{path}.address: {error}; give an IPv6 address in quotes"


def _of_members(path: str, priorities: Any, hosts: Mapping[str, str]) -> Iterator[str]:
    if not _named(priorities):
        yield f"{path}: is no mapping of hosts to priorities; {REMEDY}"
        return
    seen: dict[int, str] = {}
    for member, priority in priorities.items():
        if member not in hosts:
            yield f"{path}.{member}: is not among the link's hosts; mend the name, or add it to hosts"
        if not _whole(priority) or not 1 <= priority <= OWNER:
            yield f"{path}.{member}: {priority!r} is no priority; give 1 to 254, or 255 to the owner"
        elif seen.setdefault(priority, member) != member:
            yield f"{path}.{member}: has {priority} like {seen[priority]}; give each member its own, one of them 255"
    if OWNER not in seen:
        yield f"{path}: nobody has 255; give it to the owner"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
