# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Scapy makes of a packet, as the facts of opinions.py."""

from __future__ import annotations

from typing import Any

from scapy.layers import inet6
from scapy.layers.ipsec import ESP
from scapy.layers.vrrp import VRRPv3

from tests.interop.opinions import Facts


def by_scapy(data: bytes) -> Facts:
    """One packet as Scapy dissects it."""
    packet = inet6.IPv6(data)
    facts: Facts = {"source": packet.src, "destination": packet.dst, "hop_limit": packet.hlim}
    layer = packet.payload
    while isinstance(layer, inet6.IPv6ExtHdrDestOpt | inet6.IPv6ExtHdrRouting):
        if isinstance(layer, inet6.IPv6ExtHdrRouting):
            facts["routing_home_address"] = layer.addresses[0]
        for option in getattr(layer, "options", []):
            if isinstance(option, inet6.HAO):
                facts["home_address"] = option.hoa
        layer = layer.payload
    if isinstance(layer, inet6.IPv6):
        return facts | {"inner_source": layer.src, "inner_destination": layer.dst}
    if isinstance(layer, ESP):
        return facts | {"esp_spi": layer.spi, "esp_sequence": layer.seq}
    if isinstance(layer, VRRPv3):
        facts |= {"vrrp_version": layer.version, "vrrp_type": layer.type, "vrid": layer.vrid}
        if layer.type == 1:
            facts |= {"priority": layer.priority, "interval_cs": layer.adv, "addresses": layer.addrlist}
        return facts | {"checksum": _checksum(packet, layer, "chksum")}
    if isinstance(layer, inet6._MobilityHeader):
        return facts | _mobility_layer(layer) | {"checksum": _checksum(packet, layer, "cksum")}
    return facts | _icmpv6_layer(layer) | {"checksum": _checksum(packet, layer, "cksum")}


def _checksum(packet: inet6.IPv6, layer: Any, name: str) -> str:
    """Let Scapy compute it anew, and compare."""
    again = packet.copy()
    again.getlayer(type(layer)).delfieldval(name)
    computed = inet6.IPv6(bytes(again)).getlayer(type(layer)).getfieldval(name)
    return "good" if computed == layer.getfieldval(name) else "bad"


def _mobility_layer(layer: Any) -> Facts:
    facts: Facts = {"mh_type": layer.mhtype, "header_length": layer.len}
    match layer:
        case inet6.MIP6MH_BU():
            bits = int(layer.flags)
            by_name = {"A": "A", "H": "H", "L": "L", "K": "K"}
            facts["flags"] = "".join(name for name in by_name if name in str(layer.flags)) if bits else ""
            facts |= {"sequence": layer.seq, "lifetime_s": 4 * layer.mhtime}
        case inet6.MIP6MH_BA():
            facts |= {"status": layer.status, "sequence": layer.seq, "lifetime_s": 4 * layer.mhtime}
            facts["key_management"] = "K" in str(layer.flags)
        case inet6.MIP6MH_BE():
            facts |= {"status": layer.status, "named_home_address": layer.ha}
    for option in getattr(layer, "options", []):
        match option:
            case inet6.MIP6OptBRAdvice():
                facts["refresh_s"] = 4 * option.rinter
            case inet6.MIP6OptAltCoA():
                facts["care_of_address"] = option.acoa
            case inet6.MIP6OptMNID():
                facts |= {"mn_id": option.id.decode(), "mn_id_subtype": option.subtype}
            case inet6.MIP6OptMsgAuth():
                facts |= {"subtype": option.subtype, "spi": option.mspi, "authenticator": option.authdata.hex()}
            case inet6.MIP6OptReplayProtection():
                facts["timestamp"] = f"{option.timestamp:016x}"
    return facts


def _icmpv6_layer(layer: Any) -> Facts:
    facts: Facts = {"icmp_type": layer.type, "code": layer.code}
    match layer:
        case inet6.ICMPv6PacketTooBig():
            facts["mtu"] = layer.mtu
        case inet6.ICMPv6ParamProblem():
            facts["pointer"] = layer.ptr
        case inet6.ICMPv6ND_NS():
            facts["target"] = layer.tgt
        case inet6.ICMPv6ND_NA():
            facts |= {
                "target": layer.tgt,
                "router": bool(layer.R),
                "solicited": bool(layer.S),
                "override": bool(layer.O),
            }
        case inet6.ICMPv6ND_RA():
            facts |= {"current_hop_limit": layer.chlim, "managed": bool(layer.M), "other": bool(layer.O)}
            facts |= {"home_agent": bool(layer.H), "router_lifetime_s": layer.routerlifetime}
            facts |= {"reachable_time_ms": layer.reachabletime, "retransmit_ms": layer.retranstimer}
        case inet6.ICMPv6HAADRequest() | inet6.ICMPv6MPSol():
            facts["identifier"] = layer.id
        case inet6.ICMPv6HAADReply():
            facts |= {"identifier": layer.id, "home_agents": layer.addresses}
        case inet6.ICMPv6MPAdv():
            flags = str(layer.flags)
            facts |= {"identifier": layer.id, "managed": "M" in flags, "other": "O" in flags}
    prefixes = []
    option = layer.payload
    while option:
        match option:
            case inet6.ICMPv6NDOptDstLLAddr():  # a subclass of the other one
                facts["target_link_layer_address"] = option.lladdr
            case inet6.ICMPv6NDOptSrcLLAddr():
                facts["source_link_layer_address"] = option.lladdr
            case inet6.ICMPv6NDOptPrefixInfo():
                flags = (bool(option.L), bool(option.A), bool(option.R))
                prefixes.append(
                    (option.prefix, option.prefixlen, *flags, option.validlifetime, option.preferredlifetime)
                )
            case inet6.ICMPv6NDOptHAInfo():
                facts |= {"preference": option.pref, "home_agent_lifetime_s": option.lifetime}
            case inet6.ICMPv6NDOptAdvInterval():
                facts["advertisement_interval_ms"] = option.advint
            case inet6.ICMPv6NDOptMTU():
                facts["link_mtu"] = option.mtu
        option = option.payload
    return facts | ({"prefixes": prefixes} if prefixes else {})
