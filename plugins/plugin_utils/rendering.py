# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's fleet-wide input, rendered for one host: the documents of agent.json and keys.json.

Pure. What a value may be is the agent's checker's business; here is only what no single host can see:
who takes part in what, and which keys belong where.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from ..module_utils.configuration import canonical, text_of

FORMAT = 1
KEYS_FILE = "/etc/vrrp-ha/keys.json"
OWNER = 255


class InputError(ValueError):
    """The operator's input cannot be rendered; says where, why, and what to do."""

    def __init__(self, where: str, message: str, remedy: str) -> None:
        super().__init__(f"{where}: {message}; {remedy}")


def render_config(
    host: str, virtual_has: list[dict[str, Any]], settings: dict[str, Any], with_keys: bool
) -> dict[str, Any]:
    """The host's agent.json as a document."""
    for reserved in ("format", "host", "virtual_has", "keys_file"):
        if reserved in settings:
            raise InputError(f"settings.{reserved}", "is set by the collection", "take it out")
    config = dict(settings, format=FORMAT, host=host)
    if with_keys:
        config["keys_file"] = KEYS_FILE
    config["virtual_has"] = [_for_host(host, entry) for entry in virtual_has_of(host, virtual_has)]
    return config


def virtual_has_of(host: str, virtual_has: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The virtual HAs that a host takes part in, by VRID."""
    return sorted((entry for entry in virtual_has if host in entry["priorities"]), key=lambda entry: entry["vrid"])


def _for_host(host: str, entry: dict[str, Any]) -> dict[str, Any]:
    priorities = _priorities(entry)
    addresses = entry.get("member_addresses") or {}
    strangers = sorted(set(addresses) - set(priorities))
    if strangers:
        raise InputError(
            f"virtual_has[vrid={entry['vrid']}].member_addresses",
            f"{', '.join(strangers)} is no member",
            "give it a priority or take its address out",
        )
    members = []
    for name, priority in sorted(priorities.items(), key=lambda item: (-item[1], item[0])):
        member = {"name": name, "priority": priority}
        if name in addresses:
            member["address"] = canonical(addresses[name])
        members.append(member)
    rendered = {key: value for key, value in entry.items() if key not in ("priorities", "member_addresses")}
    rendered["addresses"] = [canonical(address) for address in entry["addresses"]]
    for key in ("prefix", "link_local_address"):
        if key in rendered:
            rendered[key] = canonical(rendered[key])
    return dict(rendered, priority=priorities[host], members=members)


def _priorities(entry: dict[str, Any]) -> dict[str, int]:
    where = f"virtual_has[vrid={entry['vrid']}].priorities"
    priorities = {}
    for name, value in entry["priorities"].items():
        try:
            priorities[name] = int(value)
        except (TypeError, ValueError):
            raise InputError(f"{where}.{name}", f"{value!r} is no number", "give a priority of 1 to 255") from None
    owners = sorted(name for name, priority in priorities.items() if priority == OWNER)
    if len(owners) > 1:
        raise InputError(where, f"{' and '.join(owners)} all have 255", "only one member can own the address")
    return priorities


def render_keys(
    host: str,
    virtual_has: list[dict[str, Any]],
    sync_keys: list[dict[str, Any]],
    mobile_node_keys: list[dict[str, Any]],
) -> str | None:
    """The text of the host's keys.json: the keys it needs and no others. None when it needs none."""
    own = virtual_has_of(host, virtual_has)
    names = {name for entry in own for name in (entry.get("sync_key"), *entry.get("accepted_sync_keys", ()))}
    sync = [key for key in sync_keys if key["name"] in names]
    everywhere = [_network(entry["prefix"], f"virtual_has[vrid={entry['vrid']}].prefix") for entry in virtual_has]
    here = [_network(entry["prefix"], "prefix") for entry in own]
    mobile = []
    for index, key in enumerate(mobile_node_keys):
        where = f"mobile_node_keys[{index}].home_addresses"
        home = _network(key["home_addresses"], where)
        if not any(home.overlaps(prefix) for prefix in everywhere):
            raise InputError(where, f"{home} is in no virtual HA's prefix", "mend it, or take the key out")
        if any(home.overlaps(prefix) for prefix in here):
            mobile.append(dict(key, home_addresses=canonical(key["home_addresses"])))
    if not sync and not mobile:
        return None
    return text_of({"format": FORMAT, "sync_keys": sync, "mobile_node_keys": mobile})


def _network(text: str, where: str) -> ipaddress.IPv6Network:
    try:
        return ipaddress.IPv6Network(text)
    except ValueError as error:
        raise InputError(where, str(error), "give an IPv6 address or a prefix like 2001:db8:1::/64") from None


def unknown_members(virtual_has: list[dict[str, Any]], known: set[str]) -> list[str]:
    """Members that the inventory does not know: mostly slips of the pen, so worth a warning each."""
    return [
        f"virtual_has[vrid={entry['vrid']}].priorities.{name}: the inventory has no host of that name"
        for entry in virtual_has
        for name in sorted(entry["priorities"])
        if name not in known
    ]


def masked(value: Any) -> Any:
    """The value with every key in it hidden."""
    if isinstance(value, dict):
        return {name: "********" if name == "key" else masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def secrets(keys: str | None) -> list[str]:
    """Every key in the text of a keys.json."""
    document = json.loads(keys or "{}")
    return [entry["key"] for name in ("sync_keys", "mobile_node_keys") for entry in document.get(name, [])]
