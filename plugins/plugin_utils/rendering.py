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
from collections.abc import Sequence
from typing import Any

from ..module_utils.configuration import SECRET_LISTS, SECRETS, canonical, text_of
from ..module_utils.spec import CONFIG_FILE, CONTROL_SOCKET

FORMAT = 1
KEYS_FILE = "/etc/vrrp-ha/keys.json"
OWNER = 255


class InputError(ValueError):
    """The operator's input cannot be rendered; says where, why, and what to do."""

    def __init__(self, where: str, message: str, remedy: str) -> None:
        super().__init__(f"{where}: {message}; {remedy}")


def render_config(
    host: str,
    virtual_has: list[dict[str, Any]],
    settings: dict[str, Any],
    with_keys: bool,
    sender_id: int | None = None,
) -> dict[str, Any]:
    """The host's agent.json as a document."""
    for reserved in ("format", "host", "virtual_has", "keys_file"):
        if reserved in settings:
            raise InputError(f"settings.{reserved}", "is set by the collection", "take it out")
    config = dict(settings, format=FORMAT, host=host)
    if with_keys:
        config["keys_file"] = KEYS_FILE
    if sender_id is not None:
        if "sender_id" in (settings.get("ipsec") or {}):
            raise InputError("settings.ipsec.sender_id", "is given, and sender_id too", "keep one of the two")
        config["ipsec"] = dict(settings.get("ipsec") or {}, sender_id=sender_id)
    config["virtual_has"] = [_for_host(host, entry) for entry in virtual_has_of(host, virtual_has)]
    return config


def located(arguments: dict[str, Any]) -> dict[str, Any]:
    """The settings, with what the options that all modules have say of where the agent is."""
    settings: dict[str, Any] = arguments.get("settings", {})
    if arguments["config_file"] != CONFIG_FILE:
        remedy = f"leave it out, or run an agent with another file by hand; the unit reads {CONFIG_FILE}"
        raise InputError("config_file", f"{arguments['config_file']} cannot be deployed", remedy)
    path = arguments["control_socket"]
    if path == CONTROL_SOCKET:
        return settings
    if settings.get("control_socket", path) != path:
        raise InputError("control_socket", f"is {path}, and another one in settings", "keep one of the two")
    return dict(settings, control_socket=path)


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
    associations: Sequence[dict[str, Any]] = (),
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
    ipsec = _associations(own, virtual_has, associations, everywhere, here)
    if not sync and not mobile and not ipsec:
        return None
    document = {"format": FORMAT, "sync_keys": sync, "mobile_node_keys": mobile}
    return text_of(dict(document, ipsec_security_associations=ipsec) if ipsec else document)


def _associations(
    own: list[dict[str, Any]],
    virtual_has: list[dict[str, Any]],
    associations: Sequence[dict[str, Any]],
    everywhere: list[ipaddress.IPv6Network],
    here: list[ipaddress.IPv6Network],
) -> list[dict[str, Any]]:
    """Those with home agents that the host can be; without one named, with any of the home address's link."""
    known = {canonical(address) for entry in virtual_has for address in entry["addresses"]}
    ours = {canonical(address) for entry in own for address in entry["addresses"]}
    result = []
    for index, association in enumerate(associations):
        where = f"ipsec_security_associations[{index}]"
        home = _network(association["home_address"], f"{where}.home_address")
        home_agent = canonical(association["home_agent"]) if association.get("home_agent") else None
        if not any(home.overlaps(prefix) for prefix in everywhere):
            raise InputError(f"{where}.home_address", f"{home} is in no virtual HA's prefix", "mend it, or take it out")
        if home_agent is not None and home_agent not in known:
            remedy = "name the address of one, or leave it out for all of them"
            raise InputError(f"{where}.home_agent", f"{home_agent} is no virtual HA's address", remedy)
        if any(home.overlaps(prefix) for prefix in here) and (home_agent is None or home_agent in ours):
            rendered = dict(association, home_address=canonical(association["home_address"]))
            result.append(dict(rendered, home_agent=home_agent) if home_agent else rendered)
    return result


def _network(text: str, where: str) -> ipaddress.IPv6Network:
    try:
        return ipaddress.IPv6Network(text)
    except ValueError as error:
        raise InputError(where, str(error), "give an IPv6 address or a prefix like 2001:db8:1::/64") from None


def check_senders(host: str, virtual_has: list[dict[str, Any]], sender_ids: dict[str, Any]) -> None:
    """Two members with one sender_id would use one initialisation vector of AES-GCM twice."""
    others = {name for entry in virtual_has_of(host, virtual_has) for name in entry["priorities"]} - {host}
    for name in sorted(others):
        if name in sender_ids and str(sender_ids[name]) == str(sender_ids.get(host)):
            remedy = "give each member a number of its own, and a retired one's to nobody"
            raise InputError("sender_id", f"{sender_ids[name]} is also that of {name}", remedy)


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
        return {name: "********" if name in SECRETS else masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def secrets(keys: str | None) -> list[str]:
    """Every key in the text of a keys.json."""
    document = json.loads(keys or "{}")
    entries = [entry for name in SECRET_LISTS for entry in document.get(name, [])]
    return [entry[field] for entry in entries for field in SECRETS if field in entry]
