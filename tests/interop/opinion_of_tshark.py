# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tshark makes of the packets of a capture, as the facts of opinions.py."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.interop.opinions import HOME_AGENT_SWITCH, Facts

_SEPARATOR = ";"

_FIELDS = [
    name
    for names in (
        "ipv6.src ipv6.dst ipv6.hlim ipv6.opt.mipv6.home_address ipv6.routing.mipv6.home_address",
        "mip6.mhtype mip6.hlen mip6.bu.seqnr mip6.bu.a_flag mip6.bu.h_flag mip6.bu.l_flag mip6.bu.k_flag",
        "mip6.bu.lifetime",
        "mip6.ba.status mip6.ba.k_flag mip6.ba.seqnr mip6.ba.lifetime mip6.be.status mip6.be.haddr mip6.has.address",
        "mip6.bra.interval mip6.acoa.acoa mip6.mnid.subtype mip6.mnid.identifier",
        "mip6.auth.subtype mip6.auth.mobility_spi mip6.auth.auth_data",
        "icmpv6.type icmpv6.code icmpv6.checksum.status icmpv6.mtu icmpv6.pointer icmpv6.mip6.identifier",
        "icmpv6.mip6.home_agent_address icmpv6.mip6.flag.m icmpv6.mip6.flag.o",
        "icmpv6.nd.ns.target_address icmpv6.nd.na.target_address icmpv6.nd.na.flag.r icmpv6.nd.na.flag.s",
        "icmpv6.nd.na.flag.o icmpv6.nd.ra.cur_hop_limit icmpv6.nd.ra.flag.m icmpv6.nd.ra.flag.o icmpv6.nd.ra.flag.h",
        "icmpv6.nd.ra.router_lifetime icmpv6.nd.ra.reachable_time icmpv6.nd.ra.retrans_timer",
        "icmpv6.opt.src_linkaddr icmpv6.opt.target_linkaddr icmpv6.opt.prefix icmpv6.opt.prefix.length",
        "icmpv6.opt.prefix.flag.l icmpv6.opt.prefix.flag.a icmpv6.opt.prefix.flag.r icmpv6.opt.prefix.valid_lifetime",
        "icmpv6.opt.prefix.preferred_lifetime icmpv6.opt.home_agent_preference icmpv6.opt.home_agent_lifetime",
        "icmpv6.opt.advertisement_interval icmpv6.opt.mtu",
        "vrrp.version vrrp.type vrrp.virt_rtr_id vrrp.prio vrrp.addr_count vrrp.short_adver_int vrrp.ipv6_addr",
        "vrrp.checksum.status esp.spi esp.sequence esp.icv_bad _ws.malformed",
    )
    for name in names.split()
]


ESP_NAMES = {
    "aes-cbc-hmac-sha-256-128": ("AES-CBC [RFC3602]", "HMAC-SHA-256-128 [RFC4868]"),
    "aes-gcm-16": ("AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
}


def by_tshark(path: Path, *preferences: str) -> list[Facts]:
    """One run for a whole capture."""
    command = ["tshark", *(word for preference in preferences for word in ("-o", preference))]
    command += ["-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", f"aggregator={_SEPARATOR}"]
    for field in _FIELDS:
        command += ["-e", field]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return [_of_fields(line.split("\t")) for line in ended.stdout.rstrip("\n").split("\n")]


def opening(spi: int, algorithm: str, encryption: bytes, authentication: bytes) -> list[str]:
    """Preferences with which tshark decrypts what has this SPI, and checks its ICV."""
    cipher, check = ESP_NAMES[algorithm]
    hexadecimal = f"0x{authentication.hex()}" if authentication else ""
    association = f'uat:esp_sa:"IPv6","*","*","{spi:#010x}","{cipher}","0x{encryption.hex()}","{check}","{hexadecimal}"'
    return ["esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE", association]


class _Fields:
    """The values that tshark found in one packet; whole numbers are decimal or hexadecimal."""

    def __init__(self, values: list[str]) -> None:
        self._values = {name: value.split(_SEPARATOR) for name, value in zip(_FIELDS, values, strict=True) if value}

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def numbers(self, name: str) -> list[int]:
        return [int(value, 0) for value in self.all(name)]

    def put(self, facts: Facts, fact: str, name: str, kind: Callable[[str], Any] = str) -> None:
        """The outermost value of a field, if it is there."""
        if values := self.all(name):
            facts[fact] = kind(values[0])


def _number(value: str) -> int:
    return int(value, 0)


def _flag(value: str) -> bool:
    return value == "1"


def _of_fields(values: list[str]) -> Facts:
    found = _Fields(values)
    facts: Facts = {}
    if found.all("_ws.malformed"):
        facts["malformed"] = True
    found.put(facts, "source", "ipv6.src")
    found.put(facts, "destination", "ipv6.dst")
    found.put(facts, "hop_limit", "ipv6.hlim", _number)
    found.put(facts, "home_address", "ipv6.opt.mipv6.home_address")
    found.put(facts, "routing_home_address", "ipv6.routing.mipv6.home_address")
    found.put(facts, "esp_spi", "esp.spi", _number)
    found.put(facts, "esp_sequence", "esp.sequence", _number)
    if found.all("esp.icv_bad") == ["1"]:
        facts["icv"] = "bad"
    if found.all("icmpv6.type"):  # an error quotes other headers
        _icmpv6_fields(found, facts)
    elif found.all("mip6.mhtype"):
        _mobility_fields(found, facts)
    elif found.all("vrrp.type"):
        _vrrp_fields(found, facts)
    elif len(found.all("ipv6.src")) > 1:
        facts |= {"inner_source": found.all("ipv6.src")[1], "inner_destination": found.all("ipv6.dst")[1]}
    return facts


def _mobility_fields(found: _Fields, facts: Facts) -> None:
    facts["checksum"] = "good"  # tshark does not verify it
    found.put(facts, "mh_type", "mip6.mhtype", _number)
    found.put(facts, "header_length", "mip6.hlen", _number)
    for kind in ("bu", "ba"):
        found.put(facts, "sequence", f"mip6.{kind}.seqnr", _number)
        found.put(facts, "lifetime_s", f"mip6.{kind}.lifetime", lambda value: 4 * int(value, 0))
    for kind in ("ba", "be"):
        found.put(facts, "status", f"mip6.{kind}.status", _number)
    found.put(facts, "key_management", "mip6.ba.k_flag", _flag)
    if found.all("mip6.bu.seqnr"):
        facts["flags"] = "".join(name for name in "AHLK" if found.all(f"mip6.bu.{name.lower()}_flag") == ["1"])
    found.put(facts, "named_home_address", "mip6.be.haddr")
    if facts["mh_type"] == HOME_AGENT_SWITCH:
        facts["home_agents"] = found.all("mip6.has.address")
    found.put(facts, "refresh_s", "mip6.bra.interval", lambda value: 4 * int(value, 0))
    found.put(facts, "care_of_address", "mip6.acoa.acoa")
    found.put(facts, "mn_id", "mip6.mnid.identifier")
    found.put(facts, "mn_id_subtype", "mip6.mnid.subtype", _number)
    found.put(facts, "subtype", "mip6.auth.subtype", _number)
    found.put(facts, "spi", "mip6.auth.mobility_spi", _number)
    found.put(facts, "authenticator", "mip6.auth.auth_data", lambda value: value.replace(":", ""))


def _icmpv6_fields(found: _Fields, facts: Facts) -> None:
    facts["checksum"] = "good" if found.all("icmpv6.checksum.status")[0] == "1" else "bad"
    found.put(facts, "icmp_type", "icmpv6.type", _number)
    found.put(facts, "code", "icmpv6.code", _number)
    if facts["icmp_type"] < 128:
        found.put(facts, "mtu", "icmpv6.mtu", _number)
        found.put(facts, "pointer", "icmpv6.pointer", _number)
        facts.pop("home_address", None)  # of the packet that is quoted
        facts.pop("routing_home_address", None)
        return
    found.put(facts, "identifier", "icmpv6.mip6.identifier", _number)
    if facts["icmp_type"] == 145:
        facts["home_agents"] = found.all("icmpv6.mip6.home_agent_address")
    for kind in ("nd.ra.flag", "mip6.flag"):
        found.put(facts, "managed", f"icmpv6.{kind}.m", _flag)
        found.put(facts, "other", f"icmpv6.{kind}.o", _flag)
    found.put(facts, "home_agent", "icmpv6.nd.ra.flag.h", _flag)
    found.put(facts, "current_hop_limit", "icmpv6.nd.ra.cur_hop_limit", _number)
    found.put(facts, "router_lifetime_s", "icmpv6.nd.ra.router_lifetime", _number)
    found.put(facts, "reachable_time_ms", "icmpv6.nd.ra.reachable_time", _number)
    found.put(facts, "retransmit_ms", "icmpv6.nd.ra.retrans_timer", _number)
    for kind in ("ns", "na"):
        found.put(facts, "target", f"icmpv6.nd.{kind}.target_address")
    for name in ("router", "solicited", "override"):
        found.put(facts, name, f"icmpv6.nd.na.flag.{name[0]}", _flag)
    found.put(facts, "source_link_layer_address", "icmpv6.opt.src_linkaddr")
    found.put(facts, "target_link_layer_address", "icmpv6.opt.target_linkaddr")
    found.put(facts, "preference", "icmpv6.opt.home_agent_preference", _number)
    found.put(facts, "home_agent_lifetime_s", "icmpv6.opt.home_agent_lifetime", _number)
    found.put(facts, "advertisement_interval_ms", "icmpv6.opt.advertisement_interval", _number)
    found.put(facts, "link_mtu", "icmpv6.opt.mtu", _number)
    if prefixes := found.all("icmpv6.opt.prefix"):
        columns: list[list[Any]] = [prefixes, found.numbers("icmpv6.opt.prefix.length")]
        columns += [[_flag(value) for value in found.all(f"icmpv6.opt.prefix.flag.{flag}")] for flag in "lar"]
        columns += [found.numbers(f"icmpv6.opt.prefix.{kind}_lifetime") for kind in ("valid", "preferred")]
        facts["prefixes"] = list(zip(*columns, strict=True))


def _vrrp_fields(found: _Fields, facts: Facts) -> None:
    facts["checksum"] = "good" if found.all("vrrp.checksum.status") == ["1"] else "bad"
    found.put(facts, "vrrp_version", "vrrp.version", _number)
    found.put(facts, "vrrp_type", "vrrp.type", _number)
    found.put(facts, "vrid", "vrrp.virt_rtr_id", _number)
    if facts["vrrp_type"] == 1:
        found.put(facts, "priority", "vrrp.prio", _number)
        found.put(facts, "interval_cs", "vrrp.short_adver_int", _number)
        facts["addresses"] = found.all("vrrp.ipv6_addr")
