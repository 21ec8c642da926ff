# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an authenticated Binding Update costs, from the octets of the packet to the octets of the answer, on one core.

Run: PYTHONPATH=roles/agent/files:. python tests/bench/bench_registration.py [--mobile-nodes N] [--json]
Prints Binding Updates per second and microseconds each for: first registrations, refreshes, moves, replays (refused
with an authenticated answer), forgeries (wrong key), updates without authentication (dropped), de-registrations.
Scapy makes the packets, before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.lab.mn import binding
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.binding_request import MobilityReceived
from vrrp_ha.core.commons import Commons
from vrrp_ha.core.registration import Registration
from vrrp_ha.core.settings import MobileNodeKey, NodeSettings, VirtualHaSettings
from vrrp_ha.core.types import SECOND, Instant, packed
from vrrp_ha.wire import ipv6

VHA = packed("2001:db8:1::51")
CARE_OF = packed("2001:db8:2::77")
ELSEWHERE = packed("2001:db8:3::99")
FIRST = int.from_bytes(packed("2001:db8:1::1:0"), "big")
KEY = bytes(range(16))
SPI = 256
WALL = 1_700_000_000 * SECOND
AIM = 5_000  # authenticated Binding Updates per second


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mobile-nodes", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    count = args.mobile_nodes

    virtual_ha = VirtualHaSettings(
        vrid=51,
        interface="eth1",
        priority=255,
        link_local=packed("fe80::5eff:fe00:233"),
        addresses=(VHA,),
        prefix=packed("2001:db8:1::"),
        prefix_length=64,
        duplicate_address_detection=False,
    )
    homes = [(FIRST + number).to_bytes(16, "big") for number in range(count)]
    keys = tuple(MobileNodeKey(SPI, KEY, home, 128) for home in homes)
    cache = BindingCache()
    registration = Registration(virtual_ha, Commons(NodeSettings("bench", (virtual_ha,), keys)), cache)
    results: dict[str, float] = {}

    def measure(
        name: str, wants: str, sequence: int, care_of: bytes = CARE_OF, key: bytes | None = KEY, life: int = 600
    ):
        nodes = binding.MobileNodes(VHA, care_of, key, SPI, life)
        wall = WALL + sequence * SECOND
        packets = [nodes.update(home, sequence, binding.ntp(wall * 1000)) for home in homes]
        now = Instant(sequence * SECOND)
        seen = set()
        began = time.perf_counter()
        for octets in packets:
            effects = registration.handle(MobilityReceived(ipv6.decode(octets), wall), now)
            seen.add(effects[-1].kind)
        results[name] = count / (time.perf_counter() - began)
        if seen != {wants}:
            raise SystemExit(f"{name}: expected {wants}, got {sorted(seen)}")

    measure("first registrations", "binding_registered", 1)
    measure("refreshes", "binding_refreshed", 2)
    measure("moves", "binding_moved", 3, care_of=ELSEWHERE)
    measure("replays", "refused.replay_mismatch", 3, care_of=ELSEWHERE)
    measure("forgeries", "refused.authentication_failed", 4, key=b"x" * 16)
    measure("unauthenticated", "dropped.unauthenticated", 4, key=None)
    measure("deregistrations", "binding_deregistered", 4, life=0)

    if args.json:
        print(json.dumps({"mobile_nodes": count, **{name: round(value) for name, value in results.items()}}))
    else:
        for name, value in results.items():
            print(f"{name:20} {value:10,.0f} /s {1e6 / value:8.1f} us each")
    return 0 if min(results.values()) >= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
