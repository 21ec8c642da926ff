# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole IPv6 packet as plain data: every layer down to options and bindings, tunnels included.

The other modules of this package do the decoding and the refusing; this one only words what they found, for
people and for `vrrp-ha decode --json`. Units are in the names. UDP and TCP are shown, not judged: their
checksums in a capture are often not filled in yet.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from typing import Any

from . import bc_sync, icmpv6, ipv6, mobility, nd_options, vrrp
from .bc_sync import MessageTypes
from .errors import WireError
from .ipv6 import Address, Packet
from .mobility_options import decode_option as decode_mobility_option
from .mobility_options import iter_options as iter_mobility_options

Fields = dict[str, Any]

TCP = 6
UDP = 17

_NEXT_HEADER_NAMES = {
    ipv6.HOP_BY_HOP: "hop_by_hop_options",
    TCP: "tcp",
    UDP: "udp",
    ipv6.IPV6: "ipv6",
    ipv6.ROUTING: "routing",
    ipv6.FRAGMENT: "fragment",
    ipv6.ESP: "esp",
    ipv6.AUTHENTICATION: "authentication",
    ipv6.ICMPV6: "icmpv6",
    ipv6.NO_NEXT_HEADER: "none",
    ipv6.DESTINATION_OPTIONS: "destination_options",
    ipv6.VRRP: "vrrp",
    ipv6.MOBILITY: "mobility",
}
_MOBILITY_NAMES = {  # of those not understood in mobility.py
    1: "home_test_init",
    2: "care_of_test_init",
    3: "home_test",
    4: "care_of_test",
}
_BINDING_FLAGS = ((0x8000, "A"), (0x4000, "H"), (0x2000, "L"), (0x1000, "K"))
_AUTHENTICATION_NAMES = {mobility.MN_HA: "mn_ha", mobility.MN_AAA: "mn_aaa"}
_NETWORK_ACCESS_IDENTIFIER = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def describe(data: bytes, types: MessageTypes) -> Fields:
    """{"length": octets, "layers": [...]} of the packet at the start of data; WireError if it is damaged."""
    layers: list[Fields] = []
    packet = ipv6.decode(data)
    result: Fields = {"length": packet.outer_length, "layers": layers}
    if len(data) > packet.outer_length:
        result["trailing_octets"] = len(data) - packet.outer_length
    while True:
        layers += _ipv6_layers(data[: packet.outer_length])
        if packet.next_header != ipv6.IPV6:
            break
        data = packet.payload
        packet = ipv6.decode(data)
    layers += _upper_layer(packet, types)
    return result


def _text(address: Address) -> str:
    return str(IPv6Address(address))


def _hex16(octets: bytes) -> str:
    return "0x" + octets.hex()


def _next_header(number: int) -> Fields:
    return {"next_header": number, "next_header_name": _NEXT_HEADER_NAMES.get(number, "unknown")}


# --- IPv6 and its extension headers ------------------------------------------------------------------------


def _ipv6_layers(data: bytes) -> list[Fields]:
    first = int.from_bytes(data[:4], "big")
    fixed: Fields = {
        "layer": "ipv6",
        "source": _text(data[8:24]),
        "destination": _text(data[24:40]),
        "hop_limit": data[7],
        "traffic_class": first >> 20 & 0xFF,
        "flow_label": first & 0xFFFFF,
        "payload_length": int.from_bytes(data[4:6], "big"),
        **_next_header(data[6]),
    }
    return [fixed, *map(_extension_header, ipv6.extension_headers(data))]


def _extension_header(header: ipv6.ExtensionHeader) -> Fields:
    layer: Fields = {"layer": _NEXT_HEADER_NAMES[header.kind], **_next_header(header.next_header)}
    if header.kind == ipv6.ROUTING:
        layer["type"] = header.data[2]
        layer["segments_left"] = header.data[3]
        if header.data[2] == ipv6.HOME_ADDRESS_ROUTING and len(header.data) == 24:
            layer["home_address"] = _text(header.data[8:])
        else:
            layer["data"] = header.data[4:].hex()
        return layer
    layer["options"] = [_ipv6_option(kind, value) for kind, value in ipv6.options(header)]
    return layer


def _ipv6_option(kind: int, value: bytes) -> Fields:
    if kind == ipv6.HOME_ADDRESS_OPTION and len(value) == 16:
        return {"option": "home_address", "home_address": _text(value)}
    return _padding(kind, value) or {"option": "unknown", "type": kind, "data": value.hex()}


def _padding(kind: int, value: bytes) -> Fields:
    if kind == ipv6.PAD1:
        return {"option": "pad1"}
    if kind == ipv6.PADN:
        return {"option": "padn", "octets": 2 + len(value)}
    return {}


# --- upper layers ------------------------------------------------------------------------------------------


def _upper_layer(packet: Packet, types: MessageTypes) -> list[Fields]:
    payload = packet.payload
    match packet.next_header:
        case ipv6.VRRP:
            return _vrrp(packet, types)
        case ipv6.MOBILITY:
            return [_mobility(packet)]
        case ipv6.ICMPV6:
            return [_icmpv6(packet)]
        case 17:  # UDP
            return [_ports("udp", payload, 8, payload[6:8])]
        case 6:  # TCP
            return [_ports("tcp", payload, 20, payload[16:18])]
        case ipv6.ESP:
            if len(payload) < 8:
                raise WireError("truncated", f"ESP of {len(payload)} octets")
            spi, sequence = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")
            return [{"layer": "esp", "spi": spi, "sequence": sequence, "octets": len(payload) - 8}]
        case ipv6.NO_NEXT_HEADER:
            return []
        case _:
            return [{"layer": "unknown", "data": payload.hex()}]


def _ports(layer: str, payload: bytes, minimum: int, checksum: bytes) -> Fields:
    if len(payload) < minimum:
        raise WireError("truncated", f"{layer} header in {len(payload)} octets")
    header = 4 * (payload[12] >> 4) if layer == "tcp" else minimum
    return {
        "layer": layer,
        "source_port": int.from_bytes(payload[:2], "big"),
        "destination_port": int.from_bytes(payload[2:4], "big"),
        "checksum": _hex16(checksum),
        "data": payload[max(header, minimum) :].hex(),
    }


# --- VRRP --------------------------------------------------------------------------------------------------


def _vrrp(packet: Packet, types: MessageTypes) -> list[Fields]:
    vrrp.check_packet(packet)
    payload = packet.payload
    version, kind, vrid = vrrp.peek(payload)
    layer: Fields = {"layer": "vrrp", "message": "", "version": version, "type": kind, "vrid": vrid}
    layer["checksum"] = _hex16(payload[6:8])
    if kind == vrrp.ADVERTISEMENT:
        advertisement = vrrp.decode(payload)
        layer["message"] = "advertisement"
        layer["priority"] = advertisement.priority
        layer["interval_cs"] = advertisement.interval_us // vrrp.CENTISECOND_US
        layer["addresses"] = [_text(address) for address in advertisement.addresses]
        return [layer]
    body, trailer = bc_sync.split_trailer(payload, types)
    match bc_sync.decode(body, types):
        case bc_sync.BcRequest():
            layer["message"] = "bc_request"
        case bc_sync.BcUpdate(_, bindings):
            layer["message"] = "bc_update"
            layer["bindings"] = [_binding(option) for option in bindings]
        case bc_sync.BcDigest(_, count, digest):
            layer["message"] = "bc_digest"
            layer["count"] = count
            layer["digest"] = f"{digest:016x}"
    return [layer, _authenticator(trailer)] if trailer else [layer]


def _binding(option: bc_sync.BindingOption) -> Fields:
    lifetime_us, sequence, flags, home_address, care_of_address = option
    return {
        "home_address": _text(home_address),
        "care_of_address": _text(care_of_address),
        "lifetime_s": lifetime_us // 1_000_000,
        "sequence": sequence,
        "flags": _binding_flags(flags),
    }


def _binding_flags(flags: int) -> str:
    names = "".join(name for bit, name in _BINDING_FLAGS if flags & bit)
    rest = flags & 0x0FFF
    return f"{names}+0x{rest:04x}" if rest else names


def _authenticator(trailer: bytes) -> Fields:
    return {
        "layer": "authenticator",
        "key_id": int.from_bytes(trailer[:4], "big"),
        "epoch": int.from_bytes(trailer[8:12], "big"),
        "number": int.from_bytes(trailer[12:16], "big"),
        "mac": trailer[16:].hex(),
    }


# --- Mobility Header ---------------------------------------------------------------------------------------


def _mobility(packet: Packet) -> Fields:
    mobility.check_packet(packet)
    payload = packet.payload
    message = mobility.decode(payload)
    layer: Fields = {"layer": "mobility", "message": "unknown", "type": payload[2], "header_length": payload[1]}
    layer["checksum"] = _hex16(payload[4:6])
    match message:
        case mobility.BindingUpdate():
            layer["message"] = "binding_update"
            layer["sequence"] = message.sequence
            layer["flags"] = _binding_flags(message.flags)
            layer["lifetime_s"] = message.lifetime_us // 1_000_000
        case mobility.BindingAck():
            layer["message"] = "binding_acknowledgement"
            layer["status"] = message.status
            layer["status_name"] = _status_name(message.status)
            layer["key_management"] = message.key_management
            layer["sequence"] = message.sequence
            layer["lifetime_s"] = message.lifetime_us // 1_000_000
        case mobility.BindingError():
            layer["message"] = "binding_error"
            layer["status"] = message.status
            layer["home_address"] = _text(message.home_address)
        case mobility.HomeAgentSwitch():
            layer["message"] = "home_agent_switch"
            layer["home_agents"] = [_text(address) for address in message.home_agents]
        case mobility.BindingRefreshRequest():
            layer["message"] = "binding_refresh_request"
        case mobility.UnknownMessage(kind, data):
            layer["message"] = _MOBILITY_NAMES.get(kind, "unknown")
            layer["data"] = data.hex()
            return layer
    options = iter_mobility_options(payload, mobility.options_offset(payload))
    layer["options"] = [_mobility_option(at, kind, data) for at, kind, data in options]
    return layer


def _status_name(status: int) -> str:
    try:
        return mobility.BindingStatus(status).name.lower()
    except ValueError:
        return "unknown"


def _mobility_option(offset: int, kind: int, data: bytes) -> Fields:
    if padding := _padding(kind, data):
        return padding
    match decode_mobility_option(kind, data, offset):
        case mobility.RefreshAdvice(interval_us):
            return {"option": "refresh_advice", "interval_s": interval_us // 1_000_000}
        case mobility.AlternateCareOf(address):
            return {"option": "alternate_care_of_address", "care_of_address": _text(address)}
        case mobility.MobileNodeIdentifier(subtype, identifier):
            readable = subtype == _NETWORK_ACCESS_IDENTIFIER
            shown = identifier.decode("utf-8", "backslashreplace") if readable else identifier.hex()
            return {"option": "mobile_node_identifier", "subtype": subtype, "identifier": shown}
        case mobility.Authentication(subtype, spi, authenticator):
            return {
                "option": "authentication",
                "subtype": subtype,
                "subtype_name": _AUTHENTICATION_NAMES.get(subtype, "unknown"),
                "spi": spi,
                "authenticator": authenticator.hex(),
            }
        case mobility.ReplayProtection(timestamp) as option:
            time = _EPOCH + timedelta(microseconds=option.wall_time_us)
            return {"option": "replay_protection", "timestamp": f"{timestamp:016x}", "time": time.isoformat()}
        case mobility.UnknownOption():
            return {"option": "unknown", "type": kind, "data": data.hex()}


# --- ICMPv6 ------------------------------------------------------------------------------------------------


def _icmpv6(packet: Packet) -> Fields:
    icmpv6.check_packet(packet)
    payload = packet.payload
    message = icmpv6.decode(payload)
    layer: Fields = {"layer": "icmpv6", "message": "unknown", "type": payload[0], "code": payload[1]}
    layer["checksum"] = _hex16(payload[2:4])
    if not isinstance(message, icmpv6.UnknownMessage):
        layer["message"] = icmpv6.MessageType(payload[0]).name.lower()
    match message:
        case icmpv6.IcmpError(kind, _, value, invoking):
            if kind == icmpv6.MessageType.PACKET_TOO_BIG:
                layer["mtu"] = value
            elif kind == icmpv6.MessageType.PARAMETER_PROBLEM:
                layer["pointer"] = value
            layer["invoking"] = _invoking(invoking)
        case icmpv6.RouterAdvertisement():
            layer["current_hop_limit"] = message.current_hop_limit
            layer["managed"] = message.managed
            layer["other"] = message.other
            layer["home_agent"] = message.home_agent
            layer["router_lifetime_s"] = message.router_lifetime_us // 1_000_000
            layer["reachable_time_ms"] = message.reachable_time_us // 1_000
            layer["retransmit_ms"] = message.retransmit_us // 1_000
        case icmpv6.NeighbourSolicitation(target):
            layer["target"] = _text(target)
        case icmpv6.NeighbourAdvertisement():
            layer["target"] = _text(message.target)
            layer["router"] = message.router
            layer["solicited"] = message.solicited
            layer["override"] = message.override
        case icmpv6.DiscoveryRequest(identifier):
            layer["identifier"] = identifier
        case icmpv6.DiscoveryReply(identifier, home_agents):
            layer["identifier"] = identifier
            layer["home_agents"] = [_text(address) for address in home_agents]
        case icmpv6.PrefixSolicitation(identifier):
            layer["identifier"] = identifier
        case icmpv6.PrefixAdvertisement():
            layer["identifier"] = message.identifier
            layer["managed"] = message.managed
            layer["other"] = message.other
        case icmpv6.UnknownMessage(_, _, data):
            layer["data"] = data.hex()
        case icmpv6.RouterSolicitation():
            pass
    if not isinstance(
        message, icmpv6.IcmpError | icmpv6.DiscoveryRequest | icmpv6.DiscoveryReply | icmpv6.UnknownMessage
    ):
        layer["options"] = [_nd_option(option) for option in message.options]
    return layer


def _invoking(data: bytes) -> Fields:
    """As much as an error message quotes, which is seldom a whole packet."""
    shown: Fields = {"octets": len(data)}
    if len(data) >= ipv6.HEADER_LENGTH and data[0] >> 4 == 6:
        shown |= {"source": _text(data[8:24]), "destination": _text(data[24:40]), **_next_header(data[6])}
    return shown


def _nd_option(option: icmpv6.Option) -> Fields:
    match option:
        case nd_options.LinkLayerAddress(kind, address):
            of = "source" if kind == nd_options.OptionType.SOURCE_LINK_LAYER else "target"
            return {"option": f"{of}_link_layer_address", "address": address.hex(":")}
        case nd_options.PrefixInformation():
            return {
                "option": "prefix_information",
                "prefix": _text(option.prefix),
                "prefix_length": option.prefix_length,
                "on_link": option.on_link,
                "autonomous": option.autonomous,
                "router_address": option.router_address,
                "valid_lifetime_s": option.valid_lifetime_us // 1_000_000,
                "preferred_lifetime_s": option.preferred_lifetime_us // 1_000_000,
            }
        case nd_options.Mtu(mtu):
            return {"option": "mtu", "mtu": mtu}
        case nd_options.AdvertisementInterval(interval_us):
            return {"option": "advertisement_interval", "interval_ms": interval_us // 1_000}
        case nd_options.HomeAgentInformation(preference, lifetime_us):
            lifetime_s = lifetime_us // 1_000_000
            return {"option": "home_agent_information", "preference": preference, "lifetime_s": lifetime_s}
        case nd_options.Nonce(nonce):
            return {"option": "nonce", "nonce": nonce.hex()}
        case nd_options.UnknownOption(kind, data):
            return {"option": "unknown", "type": kind, "data": data.hex()}
