# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vrid_plan
short_description: Plans virtual HAs for the home agents of the inventory
version_added: 0.2.0
author:
  - the mip6.vrrp_ha developers (@mip6)
description:
  - Plans VRIDs, VHA addresses, owners and backup orders for the hosts that other inventory sources have brought, and
    gives each host its C(vrrp_ha_virtual_has), as the role and the playbooks of this collection take it.
  - Like P(ansible.builtin.constructed#inventory) it is a source of its own that comes after the others. Its name ends
    in C(vrid_plan.yml) or C(vrid_plan.yaml).
  - A host takes part that has the variable C(vrrp_ha_link). C(vrrp_ha_weight), C(vrrp_ha_zone), C(vrrp_ha_service)
    (V(active), V(drained) or V(leaving)), C(vrrp_ha_id), C(vrrp_ha_interface) and C(vrrp_ha_link_local_address) say
    more about it.
  - The plan that was accepted is in a lock file beside the source, written by the playbook C(mip6.vrrp_ha.plan). As
    long as there is one, hosts get what it says. What the inventory asks for meanwhile is in C(vrrp_ha_plan), and the
    playbook C(mip6.vrrp_ha.deploy) refuses to go on until that was accepted.
  - Groups the hosts in C(vrrp_ha), C(vrrp_ha_link_NAME), C(vrrp_ha_vrid_VRID) (its members) and C(vrrp_ha_owner_VRID).
    On several links the latter two have hosts of each; C(vrrp_ha_link_NAME:&vrrp_ha_vrid_VRID) is those of one.
  - When there can be no plan, all the reasons are given at once, each with link, host and remedy.
requirements: []
extends_documentation_fragment:
  - inventory_cache
options:
  plugin:
    description: Marks a file as this plugin's.
    type: str
    required: true
    choices: [mip6.vrrp_ha.vrid_plan]
  lock:
    description:
      - The lock file, relative to the directory of this source. By default it has this file's name with C(.lock) before
        its extension.
    type: str
  use_vars_plugins:
    description:
      - Also looks for the hosts' variables in C(group_vars) and C(host_vars). Groups have to be defined in an earlier
        source for that.
    type: bool
    default: true
  defaults:
    description: What links have in common; a link's own O(links) options come before it.
    type: dict
    default: {}
  links:
    description:
      - The home links by name.
      - C(prefix), the home prefix, is required, and so is C(addresses), the addresses, ranges like C(first-last) and
        prefixes from which virtual HAs get their addresses.
      - C(interface) is the hosts' interface on the link, where they have no C(vrrp_ha_interface).
      - C(virtual_has) is how many virtual HAs there shall be. Otherwise there are C(virtual_has_per_ha) (1) for each HA
        that is not leaving; that an HA leaves takes no virtual HA away.
      - C(retired) names virtual HAs that shall go.
      - C(vrids) lists the VRIDs and ranges that may be used, C(reserved_vrids) those that may not.
      - C(pins) fixes C(vrid), C(address), C(owner) or C(mipv6_ha_mode) of the virtual HA with a C(name) or C(vrid).
      - C(backups) is how many backups each virtual HA has at most (100).
      - C(mipv6_ha_mode) is V(false) for plain VRRP routers.
      - C(zones) lists the failure zones that hosts may name. Without it any will do.
      - C(settings) are further settings of all its virtual HAs, such as C(advertisement_interval) and C(sync_key).
    type: dict
    required: true
"""

EXAMPLES = r"""
# vrid_plan.yml, beside hosts.yml: ansible-inventory -i hosts.yml -i vrid_plan.yml --graph
plugin: mip6.vrrp_ha.vrid_plan
defaults:
  interface: eth1
  settings:
    advertisement_interval: 10
    sync_key: fleet
links:
  berlin:
    prefix: 2001:db8:1::/64
    addresses: 2001:db8:1::51-2001:db8:1::5f
    vrids: 51-95
  hamburg:
    prefix: 2001:db8:2::/64
    addresses: [2001:db8:2::100/120]
    virtual_has: 12
    reserved_vrids: [1, 10-19]
    zones: [row-a, row-b]
    pins:
      - name: flagship
        vrid: 100
        owner: ha-hh-1

# hosts.yml
# vrrp_ha:
#   hosts:
#     ha-b-1: {vrrp_ha_link: berlin}
#     ha-b-2: {vrrp_ha_link: berlin}
#     ha-hh-1: {vrrp_ha_link: hamburg, vrrp_ha_weight: 2, vrrp_ha_zone: row-a}
#     ha-hh-2: {vrrp_ha_link: hamburg, vrrp_ha_zone: row-b}
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.helpers import get_group_vars
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_fleet import group_of
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_inputs import (
    HOST_VARIABLES,
    Inputs,
    read_inputs,
    virtual_has_of,
)
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_lock import LockError, read_lock, write_lock
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.changes import Change, successors
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.model import DRAINED, LinkPlan, Plan, PlanError
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.plan import Planned, make_plan

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19

    def trust_as_template(value: str) -> str:
        """All text is trusted there."""
        return value


GROUP = "vrrp_ha"
EXTENSIONS = (".yml", ".yaml")


class InventoryModule(BaseInventoryPlugin, Cacheable):
    """Reads the hosts that are there, plans, and hands out what was accepted."""

    NAME = "mip6.vrrp_ha.vrid_plan"

    def verify_file(self, path: str) -> bool:
        """Sources by their names; the lock file too, since in a directory of sources it is found as one."""
        stem, extension = os.path.splitext(path)
        return super().verify_file(path) and extension in EXTENSIONS and stem.endswith(("vrid_plan", ".lock"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache=cache)
        if os.path.splitext(path)[0].endswith(".lock"):
            self._read_lock(path)
            return
        self._read_config_data(path)
        lock_path = self._lock_path(path)
        locked = self._read_lock(lock_path)
        inputs = read_inputs(self.get_option("links"), self.get_option("defaults"), self._hosts())
        try:
            planned = self._plan(inputs, locked, path, cache)
        except PlanError as error:
            raise AnsibleParserError(_several("there can be no plan", [p.line() for p in error.problems])) from None
        self._hand_out(_Outcome(path, lock_path, locked, planned), inputs)

    def _lock_path(self, path: str) -> str:
        stem, extension = os.path.splitext(path)
        name = self.get_option("lock") or f"{stem}.lock{extension}"
        return os.path.normpath(os.path.join(os.path.dirname(path), name))

    def _read_lock(self, path: str) -> Plan | None:
        if not os.path.exists(path):
            return None
        try:
            with open(path, encoding="utf-8") as file:
                return read_lock(file.read())
        except (OSError, UnicodeDecodeError) as error:
            raise AnsibleParserError(f"{path} cannot be read: {error}") from error
        except LockError as error:
            raise AnsibleParserError(_several(f"{path} is no lock file", error.problems)) from None

    # The hosts

    def _hosts(self) -> dict[str, dict[str, Any]]:
        """What the plan wants to know of each host that is on a link."""
        sources = getattr(self.inventory, "processed_sources", []) if self.get_option("use_vars_plugins") else []
        of_groups: dict[tuple[str, ...], dict[str, Any]] = {}
        found = {}
        for name, host in self.inventory.hosts.items():
            groups = host.get_groups()
            key = tuple(sorted(group.name for group in groups))
            if key not in of_groups:
                of_groups[key] = get_group_vars(groups)
                if sources:
                    others = get_vars_from_inventory_sources(self.loader, sources, groups, "all")
                    of_groups[key] = combine_vars(of_groups[key], others)
            layers = [of_groups[key], host.get_vars()]
            if sources:
                layers.append(get_vars_from_inventory_sources(self.loader, sources, [host], "all"))
            variables = {}
            for layer in layers:
                variables.update({name: layer[name] for name in HOST_VARIABLES if name in layer})
            if variables.get("vrrp_ha_link") not in (None, ""):
                found[str(name)] = self._rendered(name, variables, layers)
        return found

    def _rendered(self, host: str, variables: dict[str, Any], layers: list[dict[str, Any]]) -> dict[str, Any]:
        templates = [name for name, value in variables.items() if isinstance(value, str) and "{" in value]
        if templates:
            everything: dict[str, Any] = {"inventory_hostname": host}
            for layer in layers:
                everything = combine_vars(everything, layer)
            self.templar.available_variables = everything
            for name in templates:
                try:
                    variables[name] = self.templar.template(variables[name])
                except AnsibleError as error:
                    raise AnsibleParserError(f"host {host}: {name} cannot be rendered: {error}") from error
        return variables

    # The plan

    def _plan(self, inputs: Inputs, locked: Plan | None, path: str, cache: bool) -> Planned:
        """The plan, from the cache if the very same was planned before."""
        if not self.get_option("cache"):
            return _planned(inputs, locked)
        key = self.get_cache_key(path)
        digest = _digest(inputs, locked)
        known = self._cache.get(key) if cache else None
        if isinstance(known, Mapping) and known.get("digest") == digest:
            plan = read_lock(known["plan"])
            return Planned(plan, [Change(**change) for change in known["changes"]])
        planned = _planned(inputs, locked)
        changes = [{n: v for n, v in change.document().items() if n != "line"} for change in planned.changes]
        self._cache[key] = {"digest": digest, "plan": write_lock(planned.plan), "changes": changes}
        return planned

    # What hosts and groups get

    def _hand_out(self, outcome: _Outcome, inputs: Inputs) -> None:
        top = self.inventory.add_group(GROUP)
        sources = dict(self.inventory.groups[top].vars.get("vrrp_ha_plan_sources", {}))
        sources[outcome.source] = {"lock": outcome.lock, "removed": outcome.changes_of(None)}
        self.inventory.set_variable(top, "vrrp_ha_plan_sources", sources)
        taken: dict[str, str] = {}
        for name, link in outcome.planned.plan.links.items():
            group = group_of(name)
            if taken.setdefault(group, name) != name:
                raise AnsibleParserError(f"links {taken[group]} and {name} are both group {group}; rename one")
            self.inventory.add_group(group)
            self.inventory.add_child(top, group)
            drained = [agent.name for agent in inputs.agents if agent.link == name and agent.service == DRAINED]
            self.inventory.set_variable(group, "vrrp_ha_plan", {**outcome.document(name), "drained": drained})
            for host in link.hosts:
                self.inventory.add_child(group, host)
            self._hand_out_link(outcome.accepted(name), link, inputs)

    def _hand_out_link(self, accepted: LinkPlan | None, link: LinkPlan, inputs: Inputs) -> None:
        entries: list[dict[str, Any]] = []
        if accepted is not None:
            called = successors(accepted, link.hosts)
            entries = [_as_written_here(entry) for entry in virtual_has_of(accepted, inputs, called)]
            if accepted != link:
                called = {name: name for name in link.hosts}
                planned = [_as_written_here(entry) for entry in virtual_has_of(link, inputs, called)]
                self._set_for_hosts("vrrp_ha_virtual_has_planned", planned, link, inputs)
        self._set_for_hosts("vrrp_ha_virtual_has", entries, link, inputs)
        for entry in entries:
            members = f"{GROUP}_vrid_{entry['vrid']}"
            owners = f"{GROUP}_owner_{entry['vrid']}"
            self.inventory.add_group(members)
            for host, priority in entry["priorities"].items():
                self.inventory.add_child(members, host)
                if priority == 255:
                    self.inventory.add_group(owners)
                    self.inventory.add_child(owners, host)

    def _set_for_hosts(self, name: str, entries: list[dict[str, Any]], link: LinkPlan, inputs: Inputs) -> None:
        with_interface: dict[str, list[dict[str, Any]]] = {}
        for host in link.hosts:
            interface = inputs.interfaces[host]
            if interface not in with_interface:
                with_interface[interface] = [{**entry, "interface": interface} for entry in entries]
            # Not the inventory's own set_variable: it would walk through the same list again for every host.
            self.inventory.hosts[host].set_variable(name, with_interface[interface])


class _Outcome:
    """What was accepted, what is asked for now, and the difference, for one source."""

    def __init__(self, source: str, lock: str, locked: Plan | None, planned: Planned) -> None:
        self.source = source
        self.lock = lock
        self.locked = locked
        self.planned = planned
        self.by_link: dict[str, list[dict[str, Any]]] = {}
        for change in planned.changes:
            self.by_link.setdefault(change.link, []).append(change.document())

    def accepted(self, name: str) -> LinkPlan | None:
        """What a link's hosts get: the lock file's word, and before there is one the plan's."""
        return (self.planned.plan if self.locked is None else self.locked).links.get(name)

    def changes_of(self, link: str | None) -> list[dict[str, Any]]:
        """The differences on one link, or those on links that are no more."""
        if link is not None:
            return self.by_link.get(link, [])
        return [
            change for name, found in self.by_link.items() if name not in self.planned.plan.links for change in found
        ]

    def document(self, name: str) -> dict[str, Any]:
        """The link's variable vrrp_ha_plan. It has the plan only where that is not what was accepted."""
        changes = self.changes_of(name)
        link = self.planned.plan.links[name]
        found: dict[str, Any] = {"link": name, "source": self.source, "lock": self.lock, "changes": changes}
        if self.locked is None or self.locked.links.get(name) != link:
            # As text: every host of the link has this variable, and Ansible handles one long value far faster.
            found["planned"] = write_lock(Plan({name: link}))
        return found


def _as_written_here(entry: dict[str, Any]) -> dict[str, Any]:
    """What comes from the operator's own files and not from other sources is text like any that they write."""
    trusted = {name: trust_as_template(entry[name]) for name in ("name", "prefix")}
    return {**entry, **trusted, "addresses": [trust_as_template(address) for address in entry["addresses"]]}


def _planned(inputs: Inputs, locked: Plan | None) -> Planned:
    """The plan; mistakes in what was written come together with what cannot be planned."""
    problems = list(inputs.problems)
    planned = None
    try:
        planned = make_plan(inputs.links.values(), inputs.plannable(), locked)
    except PlanError as error:
        problems += error.problems
    if problems or planned is None:
        raise PlanError(problems)
    return planned


def _digest(inputs: Inputs, locked: Plan | None) -> str:
    agents = sorted(inputs.agents, key=lambda agent: agent.name)
    parts = [[repr(sorted(inputs.links.items())), repr(agents), repr(inputs.problems)], locked and write_lock(locked)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _several(title: str, lines: list[str]) -> str:
    return lines[0] if len(lines) == 1 else f"{title}:\n" + "\n".join(f"- {line}" for line in lines)
