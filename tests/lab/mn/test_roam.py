# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's mobile nodes believe of a Home Agent Switch, and what they do not (RFC 5142 section 6.1)."""

from __future__ import annotations

import argparse
import struct
import sys
import time
from ipaddress import IPv6Address
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import binding
import roam

OLD, NEW = IPv6Address("2001:db8:1::51").packed, IPv6Address("2001:db8:1::52").packed
HOME, CARE_OF = IPv6Address("2001:db8:1::1001").packed, IPv6Address("2001:db8:2::77").packed
OLD_KEY, NEW_KEY = bytes(range(16)), bytes(range(16, 32))


def switch(
    *,
    key: bytes = NEW_KEY,
    spi: int = 257,
    agents: tuple[bytes, ...] = (NEW,),
    seconds: float | None = 0.0,
    care_of: bytes = CARE_OF,
    routing_header: bool = True,
    damage: bool = False,
) -> bytes:
    """A Home Agent Switch from NEW, octet by octet; seconds: how wrong its clock is, None: no timestamp."""
    options = b""
    if seconds is not None:
        timestamp = binding.ntp(time.time_ns()) + round(seconds * (1 << 32))
        options = b"\1\0" + struct.pack("!BBQ", 10, 8, timestamp & 0xFFFF_FFFF_FFFF_FFFF)  # 8n + 2
        options += b"\1\3\0\0\0"  # 4n + 1
    else:
        options = b"\0"
    options += struct.pack("!BBBI", 9, 17, 1, spi)
    head = struct.pack("!BBBBHBB", 59, 0, 12, 0, 0, len(agents), 0) + b"".join(agents)
    whole = len(head) + len(options) + 12
    padding = -whole % 8
    if padding:  # in front of the authentication option, which is the last
        options = bytes(padding) + options
    mh = bytearray(head + options)
    mh[1] = (whole + padding) // 8 - 1
    mh += binding.sign(key, care_of, HOME, bytes(mh))
    mh[4:6] = struct.pack("!H", binding.internet_checksum(NEW, HOME, bytes(mh)))
    if damage:
        mh[-1] ^= 1
    routing = struct.pack("!BBBBI", 135, 2, 2, 1, 0) + HOME if routing_header else b""
    destination = CARE_OF if routing_header else HOME
    length, following = len(routing) + len(mh), 43 if routing_header else 135
    return struct.pack("!IHBB", 6 << 28, length, following, 64) + NEW + destination + routing + bytes(mh)


def judged(packet: bytes) -> str:
    """Nothing if a mobile node believes it."""
    args = argparse.Namespace(key=OLD_KEY, spi=256, new_key=NEW_KEY, new_spi=257, lifetime=600)
    crowd = roam.Crowd(args, binding.MobileNodes(OLD, CARE_OF, OLD_KEY, 256, 600), {})
    crowd.by_agent = {OLD: crowd.old}
    found = binding.home_agent_switch(packet)
    assert found is not None
    return crowd._judge(*found)


def test_a_good_one_is_believed():
    assert judged(switch()) == ""
    assert judged(switch(agents=(NEW, OLD))) == ""
    assert judged(switch(seconds=-6.5)) == ""


@pytest.mark.parametrize(
    ("packet", "problem"),
    [
        (switch(key=OLD_KEY), "authentication"),
        (switch(spi=256), "authentication"),
        (switch(care_of=HOME), "authentication"),
        (switch(damage=True), "checksum"),
        (switch(seconds=None), "no timestamp"),
        (switch(seconds=-8), "timestamp"),
        (switch(seconds=3600), "timestamp"),
        (switch(agents=()), "no addresses"),
        (switch(routing_header=False), "routing header"),
    ],
    ids=["another key", "another SPI", "another care-of address", "damaged", "no timestamp", "recorded", "tomorrow's",
         "nowhere to go", "no routing header"],
)  # fmt: skip
def test_what_is_wrong_with_one_is_told(packet: bytes, problem: str):
    assert judged(packet) == problem


def test_an_update_in_esp_hides_everything_but_the_home_address():
    nodes = binding.MobileNodes(OLD, CARE_OF, OLD_KEY, 256, 600)
    plain = nodes.update(HOME, 7, 0)
    hidden = binding.in_esp(plain)
    assert hidden[8:24] == CARE_OF
    assert (hidden[6], hidden[40]) == (60, 50)  # destination options, then ESP
    assert HOME in hidden
    assert plain[-24:] not in hidden
