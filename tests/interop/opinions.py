# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What readers make of the same packets, as flat facts that can be compared; and `vrrp-ha decode` as the first of them.

The others are opinion_of_tshark.py and opinion_of_scapy.py.

A fact that a reader does not tell is left out, never guessed. What tshark 4.0 and Scapy 2 are known to get wrong
is in DEFECTS, each with its reason; everything else they have to agree on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from struct import pack
from typing import Any

Facts = dict[str, Any]

ROOT = Path(__file__).parents[2]
_RAW_IP = 101  # link type of a capture without link layer

HOME_AGENT_SWITCH = 12

DEFECTS: dict[str, list[tuple[Callable[[Facts], bool], tuple[str, ...], str]]] = {
    "tshark": [
        (
            lambda facts: facts.get("mh_type") == HOME_AGENT_SWITCH,
            ("spi", "subtype", "authenticator", "mn_id", "mn_id_subtype"),
            "options of a Home Agent Switch are read 6 octets early",
        ),
        (lambda facts: True, ("timestamp",), "NTP timestamps are shown 70 years late"),
        (
            lambda facts: facts.get("vrrp_type", 1) != 1,
            ("bindings", "digest", "count"),
            "unassigned VRRP types are read as if they were advertisements",
        ),
    ],
    "Scapy": [
        (
            lambda facts: facts.get("mh_type") == HOME_AGENT_SWITCH,
            ("home_agents", "spi", "subtype", "authenticator", "mn_id", "mn_id_subtype", "timestamp"),
            "MH Type 12 is not known",
        ),
        (lambda facts: facts.get("vrrp_type", 1) != 1, ("bindings", "digest", "count"), "unassigned types of VRRP"),
        (
            lambda facts: "home_address" in facts,
            ("checksum",),
            "PadN beside a Home Address option: wrong pseudo-header",
        ),
        (lambda facts: facts.get("vrrp_type", 1) != 1, ("checksum",), "VRRPv3 leaves a payload out of the checksum"),
    ],
}


def capture(path: Path, packets: Iterable[bytes]) -> Path:
    """Packets as a file that tshark and vrrp-ha read."""
    content = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _RAW_IP)
    for number, packet in enumerate(packets):
        content += pack("<IIII", number, 0, len(packet), len(packet)) + packet
    path.write_bytes(content)
    return path


def disagreements(ours: Facts, reader: str, theirs: Facts) -> list[str]:
    """Where a reader says something else than we do, or does not say what we do, its defects left out."""
    if reader == "tshark" and "authenticator" in ours:
        ours = ours | {"authenticator": ours["authenticator"][:-4]}  # it leaves the last 2 octets out
    excused = {name for applies, names, _why in DEFECTS[reader] if applies(ours) for name in names}
    found = []
    for name in sorted((ours.keys() | theirs.keys()) - excused):
        if name not in theirs:
            found.append(f"{reader} says nothing of {name} (we: {ours[name]!r})")
        elif name not in ours:
            found.append(f"{reader} says {name} is {theirs[name]!r}, we say nothing of it")
        elif ours[name] != theirs[name]:
            found.append(f"{name}: {reader} {theirs[name]!r}, we {ours[name]!r}")
    return found


# --- vrrp-ha decode ----------------------------------------------------------------------------------------


def by_vrrp_ha(path: Path) -> list[Facts]:
    """`vrrp-ha decode --json` of a capture."""
    command = [sys.executable, "-m", "vrrp_ha", "decode", "--json", str(path)]
    environment = {"PYTHONPATH": str(ROOT / "roles/agent/files")}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [_of_layers(packet["layers"]) for packet in json.loads(ended.stdout)]


def _of_layers(layers: list[Facts]) -> Facts:
    first = layers[0]
    facts: Facts = {name: first[name] for name in ("source", "destination", "hop_limit")}
    for layer in layers[1:]:
        match layer["layer"]:
            case "destination_options" if "inner_source" not in facts:
                addresses = [o["home_address"] for o in layer["options"] if o["option"] == "home_address"]
                facts |= {"home_address": addresses[0]} if addresses else {}
            case "routing" if "inner_source" not in facts:
                facts["routing_home_address"] = layer["home_address"]
            case "ipv6":
                facts |= {"inner_source": layer["source"], "inner_destination": layer["destination"]}
            case "mobility":
                facts |= _of_mobility(layer)
            case "icmpv6":
                facts |= _of_icmpv6(layer)
            case "vrrp":
                facts |= _of_vrrp(layer)
            case "esp":
                facts |= {"esp_spi": layer["spi"], "esp_sequence": layer["sequence"]}
    return facts


def _of_mobility(layer: Facts) -> Facts:
    facts: Facts = {"mh_type": layer["type"], "header_length": layer["header_length"], "checksum": "good"}
    facts |= {
        name: layer[name] for name in ("sequence", "status", "lifetime_s", "flags", "home_agents") if name in layer
    }
    if "key_management" in layer:
        facts["key_management"] = layer["key_management"]
    if "home_address" in layer:
        facts["named_home_address"] = layer["home_address"]
    for option in layer.get("options", []):
        match option["option"]:
            case "refresh_advice":
                facts["refresh_s"] = option["interval_s"]
            case "alternate_care_of_address":
                facts["care_of_address"] = option["care_of_address"]
            case "mobile_node_identifier":
                facts |= {"mn_id": option["identifier"], "mn_id_subtype": option["subtype"]}
            case "authentication":
                facts |= {name: option[name] for name in ("spi", "subtype", "authenticator")}
            case "replay_protection":
                facts["timestamp"] = option["timestamp"]
    return facts


def _of_icmpv6(layer: Facts) -> Facts:
    facts: Facts = {"icmp_type": layer["type"], "code": layer["code"], "checksum": "good"}
    names = ("identifier", "target", "router", "solicited", "override", "current_hop_limit", "managed", "other")
    names += ("home_agent", "router_lifetime_s", "reachable_time_ms", "retransmit_ms", "home_agents", "pointer")
    facts |= {name: layer[name] for name in names if name in layer}
    if layer["type"] == 2:
        facts["mtu"] = layer["mtu"]
    prefixes = []
    for option in layer.get("options", []):
        match option["option"]:
            case "source_link_layer_address" | "target_link_layer_address" as kind:
                facts[kind] = option["address"]
            case "prefix_information":
                prefixes.append(tuple(option[name] for name in _PREFIX))
            case "home_agent_information":
                facts |= {"preference": option["preference"], "home_agent_lifetime_s": option["lifetime_s"]}
            case "advertisement_interval":
                facts["advertisement_interval_ms"] = option["interval_ms"]
            case "mtu":
                facts["link_mtu"] = option["mtu"]
    return facts | ({"prefixes": prefixes} if prefixes else {})


_PREFIX = (
    "prefix",
    "prefix_length",
    "on_link",
    "autonomous",
    "router_address",
    "valid_lifetime_s",
    "preferred_lifetime_s",
)


def _of_vrrp(layer: Facts) -> Facts:
    facts: Facts = {"vrrp_version": layer["version"], "vrrp_type": layer["type"], "vrid": layer["vrid"]}
    facts["checksum"] = "good"
    if layer["type"] == 1:
        facts |= {"priority": layer["priority"], "interval_cs": layer["interval_cs"], "addresses": layer["addresses"]}
    elif "bindings" in layer:
        facts["bindings"] = len(layer["bindings"])
    elif "digest" in layer:
        facts |= {"count": layer["count"], "digest": layer["digest"]}
    return facts
