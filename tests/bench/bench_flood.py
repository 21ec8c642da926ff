# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What forged Binding Updates cost under the default limits, and what the keys of mobile nodes weigh.

Run: PYTHONPATH=roles/agent/files:. python tests/bench/bench_flood.py [--json]
The flood: 10,000 a second for two seconds of the agent's time, each right but for its authenticator, from one source,
from 5,000 sources, and from one source without limits. Prints processor time for each and how many were answered.
The keys: 100,000 of them, for one virtual HA and for ten.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc

from tests.lab.mn import binding
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.binding_request import MobilityReceived
from vrrp_ha.core.commons import Commons
from vrrp_ha.core.effects import SendPacket
from vrrp_ha.core.node import Node
from vrrp_ha.core.policy_settings import LimitSettings
from vrrp_ha.core.registration import Registration
from vrrp_ha.core.settings import MobileNodeKey, NodeSettings, SyncKey, VirtualHaSettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import SECOND, Instant, packed
from vrrp_ha.wire import ipv6, mobility

HOME = packed("2001:db8:1::1001")
SPI = 256
WALL = 1_700_000_000 * SECOND
RATE = 10_000
SECONDS = 2
SOURCES = 5_000
NO_LIMITS = LimitSettings(updates=Pace(10**12, 10**5), per_source=Pace(10**12, 10**5))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = {
        "flood, no limits": flood(NO_LIMITS, 1),
        "flood, one source": flood(LimitSettings(), 1),
        "flood, many sources": flood(LimitSettings(), SOURCES),
        "100,000 keys, 1 virtual HA": keys(1),
        "100,000 keys, 10 virtual HAs": keys(10),
    }
    if args.json:
        print(json.dumps(results))
    else:
        for name, figures in results.items():
            print(f"{name:30}", "  ".join(f"{what} {value:,.1f}" for what, value in figures.items()))
    return 0


def flood(limits: LimitSettings, sources: int) -> dict[str, float]:
    """Microseconds of processor time for each forged update, and how many were answered."""
    virtual_ha = a_virtual_ha(51)
    keys = (MobileNodeKey(SPI, bytes(16), virtual_ha.prefix, 64),)
    commons = Commons(NodeSettings("bench", (virtual_ha,), keys, limits=limits))
    registration = Registration(virtual_ha, commons, BindingCache())
    packets = [forged(number, virtual_ha) for number in range(sources)]
    answered, count = 0, RATE * SECONDS
    began = time.process_time()
    for number in range(count):
        passed = number * SECOND // RATE
        event = MobilityReceived(ipv6.decode(packets[number % sources]), WALL + passed)
        effects = registration.handle(event, Instant(passed))
        answered += isinstance(effects[0], SendPacket)
    return {"us_each": (time.process_time() - began) / count * 1e6, "answered": answered}


def forged(number: int, virtual_ha: VirtualHaSettings) -> bytes:
    """From a /64 of its own."""
    source = packed("2001:db8::")[:4] + (0xF000_0000 + number).to_bytes(4, "big") + bytes(7) + b"\1"
    when = mobility.ReplayProtection(binding.ntp(WALL * 1000))
    message = mobility.BindingUpdate(1, 0xC000, 600 * SECOND, (when,))
    payload = mobility.encode_authenticated(message, SPI, b"not the key!", source, HOME)
    packet = ipv6.Packet(source, virtual_ha.vha_address, 64, ipv6.MOBILITY, payload, home_address=HOME)
    return ipv6.encode(ipv6.with_checksum(packet, mobility.CHECKSUM_OFFSET))


def keys(virtual_has: int, count: int = 100_000) -> dict[str, float]:
    """Megabytes that a node takes beyond the settings that it is given."""
    first = int.from_bytes(packed("2001:db8:1::1:0"), "big")
    given = tuple(
        MobileNodeKey(SPI, bytes(12) + number.to_bytes(4, "big"), (first + number).to_bytes(16, "big"), 128)
        for number in range(count)
    )
    settings = NodeSettings("bench", tuple(a_virtual_ha(51 + number) for number in range(virtual_has)), given)
    tracemalloc.start()
    node = Node(settings, epoch=1)
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert len(node.vrids) == virtual_has
    return {"megabytes": megabytes}


def a_virtual_ha(vrid: int) -> VirtualHaSettings:
    return VirtualHaSettings(
        vrid=vrid,
        interface="eth1",
        priority=200,
        link_local=packed(f"fe80::5eff:fe00:{0x200 + vrid:x}"),
        addresses=(packed(f"2001:db8:1::{vrid}"),),
        prefix=packed("2001:db8:1::"),
        prefix_length=64,
        sync_key=SyncKey("fleet", 1, bytes(32)),
    )


if __name__ == "__main__":
    sys.exit(main())
