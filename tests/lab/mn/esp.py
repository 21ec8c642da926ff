# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node that speaks with its home agent in ESP: one Binding Update, and everything that comes back.

README
    The security associations come as JSON on standard input, a list in the form of the agent's keys.json (what the
    home agent calls in is out here):
        esp.py --netns mn1 --home-agent 2001:db8:1::51 --home-address 2001:db8:1::1001 --care-of 2001:db8:2::77 <keys
        esp.py --netns home --home-agent 2001:db8:1::51 --home-address 2001:db8:1::1001 --at-home <keys

    The first association with this home agent (or with none named) protects what is sent. What comes for the home
    address within --timeout seconds is opened with any of them that has its SPI, until there is an answer that
    --until asks for: ack, switch, any (which never comes: all that comes is listed).

    JSON: {"received": [{"kind": "ack" | "switch" | "other", "from", "protected", "spi", "routing_header", ...}]}.

    Scapy's Mobile IPv6 layer builds the packets and its IPsec layer does the ESP; nothing here comes from the agent.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import struct
import sys
import time
from ipaddress import IPv6Address

import binding
import netns
from scapy.layers.inet6 import HAO, MIP6MH_BU, IPv6, IPv6ExtHdrDestOpt, MIP6OptAltCoA
from scapy.layers.ipsec import ESP, SecurityAssociation

ETH_P_IPV6 = 0x86DD
PACKET_OUTGOING = 4
ESP_NUMBER = 50
HOME_AGENT_SWITCH = 12


def association(entry: dict[str, object], direction: str) -> SecurityAssociation:
    """Scapy's idea of one direction."""
    gcm = entry.get("algorithm") == "aes-gcm-16"
    return SecurityAssociation(
        ESP,
        int(str(entry[f"spi_{direction}"])),
        crypt_algo="AES-GCM" if gcm else "AES-CBC",
        crypt_key=bytes.fromhex(str(entry[f"encryption_key_{direction}"])),
        auth_algo="NULL" if gcm else "SHA2-256-128",
        auth_key=None if gcm else bytes.fromhex(str(entry[f"authentication_key_{direction}"])),
    )


def update(args: argparse.Namespace) -> IPv6:
    """RFC 3776 section 3.1, before ESP."""
    options = [] if args.at_home or args.no_alternate else [MIP6OptAltCoA(acoa=str(args.care_of))]
    lifetime = 0 if args.at_home else args.lifetime // 4
    message = MIP6MH_BU(seq=args.sequence & 0xFFFF, flags="AH", mhtime=lifetime, options=options)
    if args.at_home:
        return IPv6(bytes(IPv6(src=str(args.home_address), dst=str(args.home_agent)) / message))
    home = IPv6ExtHdrDestOpt(options=[HAO(hoa=str(args.home_address))])
    return IPv6(bytes(IPv6(src=str(args.care_of), dst=str(args.home_agent)) / home / message))


def read(packet: bytes, home: bytes, known: list[dict[str, object]]) -> dict[str, object] | None:
    """What a packet to this mobile node says; None if it is for another or nothing that is looked for."""
    source, destination, next_header, offset, routing = packet[8:24], packet[24:40], packet[6], 40, False
    if next_header == binding.ROUTING and len(packet) >= 72 and packet[42] == binding.TYPE_2:
        destination, next_header, offset, routing = packet[48:64], packet[40], 64, True
    if destination != home or next_header not in (ESP_NUMBER, binding.MOBILITY):
        return None
    payload = packet[offset : 40 + struct.unpack_from("!H", packet, 4)[0]]
    found: dict[str, object] = {"from": str(IPv6Address(source)), "routing_header": routing, "protected": False}
    if next_header == ESP_NUMBER:
        found |= {"protected": True, "spi": struct.unpack_from("!I", payload)[0]}
        fixed = packet[:4] + struct.pack("!HBB", len(payload), ESP_NUMBER, packet[7])
        received = IPv6(fixed + source + destination + payload)
        for entry in known:
            if entry["spi_out"] == found["spi"]:
                plain = association(entry, "out").decrypt(received)
                if plain.nh != binding.MOBILITY:
                    return found | {"kind": "other", "next_header": plain.nh}
                payload = bytes(plain)[40:]
                break
        else:
            return found | {"kind": "other", "problem": "unknown SPI"}
    if binding.internet_checksum(source, home, payload[:4] + b"\0\0" + payload[6:]) != int.from_bytes(payload[4:6]):
        return found | {"kind": "other", "problem": "checksum"}
    if payload[2] == binding.BINDING_ACKNOWLEDGEMENT:
        sequence, lifetime = struct.unpack_from("!HH", payload, 8)
        return found | {"kind": "ack", "status": payload[6], "sequence": sequence, "lifetime": 4 * lifetime}
    if payload[2] == HOME_AGENT_SWITCH:
        addresses = [str(IPv6Address(payload[8 + 16 * i : 24 + 16 * i])) for i in range(payload[6])]
        return found | {"kind": "switch", "home_agents": addresses}
    return found | {"kind": "other", "mobility_type": payload[2]}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--netns", help="name or path of the network namespace (default: this one)")
    parser.add_argument("--home-agent", required=True, type=IPv6Address)
    parser.add_argument("--home-address", required=True, type=IPv6Address)
    parser.add_argument("--care-of", type=IPv6Address, help="required unless --at-home")
    parser.add_argument(
        "--at-home", action="store_true", help="de-register from home: ESP without a Home Address option"
    )
    parser.add_argument("--no-alternate", action="store_true", help="leave the Alternate Care-of Address option out")
    parser.add_argument("--lifetime", type=int, default=600, help="seconds, a multiple of 4")
    parser.add_argument("--sequence", type=int, default=int(time.time() * 16))
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds")
    parser.add_argument("--until", choices=["ack", "switch", "any"], default="ack")
    args = parser.parse_args()
    if args.care_of is None and not args.at_home:
        parser.error("--care-of is required unless --at-home")
    known = json.load(sys.stdin)
    home_agent = str(args.home_agent)
    mine = next(entry for entry in known if entry.get("home_agent") in (None, home_agent))
    packet = bytes(association(mine, "in").encrypt(update(args)))
    if args.netns:
        netns.enter(args.netns)
    received: list[dict[str, object]] = []
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out,
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6)) as back,
    ):
        out.sendto(packet, (home_agent, 0))
        end = time.monotonic() + args.timeout
        while (left := end - time.monotonic()) > 0 and not any(found["kind"] == args.until for found in received):
            if select.select([back], [], [], left)[0]:
                octets, address = back.recvfrom(65536)
                if address[2] != PACKET_OUTGOING and (found := read(octets, args.home_address.packed, known)):
                    received.append(found)
    print(json.dumps({"received": received}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
