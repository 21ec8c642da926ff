# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full recovery with real packets: the owner of 51 is out of service, and only it has the mobile node's key."""

import struct
import subprocess

import pytest
from scapy.layers.inet6 import IPv6, IPv6ExtHdrRouting, MIP6MH_Generic, in6_chksum
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from tests.kernel.agents import CARE_OF, HOME, PREFIX, VHA, binding_update, packed, until

NEW_VHA = "2001:db8:1::52"
MOVED_TO = "2001:db8:2::99"
NEW_SPI, NEW_KEY = 257, bytes(range(16, 32))


def esp(home=HOME, source=MOVED_TO):
    """ESP behind a Home Address option, as only the owner can open it."""
    payload = b"\x32\x02\x01\x02\0\0\xc9\x10" + packed(home) + struct.pack("!II", 0x1234, 1) + bytes(range(32))
    return struct.pack("!IHBB", 6 << 28, len(payload), 60, 64) + packed(source) + packed(VHA) + payload


@pytest.fixture
def members(new_agent, mobile_node):
    """a owns 51 and has the mobile node's key of it; b acts for 51, owns 52, and has the key of that."""
    a, b = new_agent("a", {51: 255, 52: 200}), new_agent("b", {51: 200, 52: 255})
    b.keys["mobile_node_keys"] = [{"spi": NEW_SPI, "key": NEW_KEY.hex(), "home_addresses": PREFIX}]
    a.start()
    b.start()
    a.becomes("master")
    b.becomes("master", 52)
    until(lambda: b.virtual_ha()["synced"])
    assert mobile_node.register() == 0
    until(lambda: b.bound() == {HOME: CARE_OF})
    a.call("drain", vrids=[51])
    b.becomes("master")
    until(lambda: a.is_state("backup"))
    assert a.bound() == {HOME: CARE_OF}
    return a, b


def home_agent_switch(observer, seconds=2.0):
    """The first frame to the mobile node that has a Mobility Header behind a type 2 routing header."""
    for _unused, frame in observer.frames(seconds):
        packet = frame[14:]
        if packet[6] == 43 and packet[40] == 135 and packet[64 + 2] == 12:
            return frame
    raise AssertionError("no Home Agent Switch")


@pytest.mark.parametrize("trigger", [esp(), binding_update(5, care_of=MOVED_TO)], ids=["esp", "unknown_spi"])
def test_a_mobile_node_whose_key_is_gone_registers_with_the_new_home_agent(
    members, link, mobile_node, observer, tmp_path, trigger
):
    a, b = members
    until(mobile_node.receives_tunnelled)
    observer.drop()
    mobile_node.send(trigger)
    frame = home_agent_switch(observer)
    until(lambda: a.bound() == {} and b.bound() == {}, 2.0)
    assert HOME not in link.run("b", "ip", "-6", "route", "show", "table", "1051")
    assert not mobile_node.receives_tunnelled(0.3)

    # Scapy agrees: the pseudo-header's destination is the home address.
    packet = Ether(frame)[IPv6]
    assert (packet.src, packet.dst) == (NEW_VHA, MOVED_TO)
    assert packet[IPv6ExtHdrRouting].addresses == [HOME]
    assert packet[MIP6MH_Generic].mhtype == 12
    assert in6_chksum(135, packet[MIP6MH_Generic].underlayer, frame[14 + 64 :]) == 0

    # tshark agrees; what it makes of options behind the addresses is known to be wrong.
    wrpcap(str(tmp_path / "switch.pcap"), [Ether(frame)])
    shown = subprocess.run(
        ["tshark", "-r", tmp_path / "switch.pcap", "-V"], check=True, capture_output=True, text=True
    ).stdout
    assert "Mobility Header Type: Home Agent Switch (12)" in shown
    assert "Number of Addresses: 1" in shown
    assert f"Address: {NEW_VHA}" in shown
    assert f"Address[1]: {HOME}" in shown

    (recovery,) = b.call("recoveries", vrid=51)["recoveries"]
    assert (recovery["home_address"], recovery["state"], recovery["method"]) == (HOME, "sent", "switch")
    assert mobile_node.register(vha=NEW_VHA, spi=NEW_SPI, key=NEW_KEY) == 0
    assert b.virtual_ha()["recoveries"] == {"pending": 0, "sent": 0, "done": 1, "failed": 0}
    assert b.bound(52) == {HOME: CARE_OF}
    until(lambda: a.bound(52) == {HOME: CARE_OF})


def test_the_operator_asks_and_without_a_key_the_hook_is_run(members, tmp_path, link):
    a, b = members
    noted = tmp_path / "noted"
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$@" > {noted}.new && mv {noted}.new {noted}\n')
    hook.chmod(0o755)
    b.keys["mobile_node_keys"] = []
    b.config["recovery"] = {"hook": str(hook)}
    b.write()
    b.call("reload")
    refused = b.ctl("recover", "51", "2001:db8:1::dead", check=False)
    assert refused.returncode == 1
    assert "not bound here" in refused.stdout
    assert a.ctl("recover", "51", HOME, check=False).returncode == 1  # it is not Master
    assert b.ctl("recover", "51", HOME).stdout == f"{HOME}: queued\n"
    until(noted.exists)
    assert noted.read_text() == f"51 {VHA} {NEW_VHA} {HOME} {CARE_OF} operator\n"
    until(lambda: a.bound() == {} and b.bound() == {}, 2.0)
    assert "hook" in b.ctl("recoveries", "51").stdout


def test_a_spoofer_costs_no_more_than_the_pace_allows(members, mobile_node, observer):
    a, b = members
    homes = [f"2001:db8:1::2:{number:x}" for number in range(1, 41)]
    a.call("undrain", vrids=[51])
    a.becomes("master")
    for home in homes:
        assert mobile_node.register(home=home) == 0
    a.call("drain", vrids=[51])
    b.becomes("master")
    assert len(b.bound()) == 41
    for number in range(10_000):
        mobile_node.send(esp(homes[number % 40], f"2001:db8:2:{number:x}::1"))
    until(lambda: b.virtual_ha()["counters"].get("dropped.esp", 0) > 5000, 20.0)
    status = b.call("status")
    counts = b.virtual_ha()["recoveries"]
    lost = 41 - len(b.bound())
    assert 10 <= lost <= 10 + status["uptime_s"]
    assert counts["pending"] <= 40
    until(lambda: a.bound() == b.bound(), 5.0)
