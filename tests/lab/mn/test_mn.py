# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mobile node's tools against a home agent made of three routes: correspondent - home agent - mobile node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import flow
import flows

TOOLS = Path(__file__).parent
VHA, HOME, CARE_OF, CORRESPONDENT = "2001:db8:1::51", "2001:db8:1::1001", "2001:db8:2::77", "2001:db8:c::c"
MS = 1_000_000


def sh(commands: str) -> None:
    for command in commands.strip().splitlines():
        subprocess.run(command.split(), check=True, capture_output=True)


def tool(name: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, str(TOOLS / name), *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def link() -> Iterator[tuple[str, str]]:
    """(correspondent's namespace, mobile node's namespace), the home agent between them serving HOME at CARE_OF."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    cn, ha, mn = (f"mnt{os.getpid()}{letter}" for letter in "cam")
    try:
        for name in (cn, ha, mn):
            sh(f"ip netns add {name}\nip -n {name} link set lo up")
        for (left, right), device in zip(pairwise((cn, ha, mn)), ("v0", "v1"), strict=True):
            sh(f"""
                ip link add {device} netns {left} type veth peer name {device} netns {right}
                ip -n {left} link set {device} up
                ip -n {right} link set {device} up
            """)
        sh(f"""
            ip -n {cn} addr add {CORRESPONDENT}/64 dev v0 nodad
            ip -n {ha} addr add 2001:db8:c::1/64 dev v0 nodad
            ip -n {ha} addr add 2001:db8:2::1/64 dev v1 nodad
            ip -n {ha} addr add {VHA}/64 dev v1 nodad
            ip -n {mn} addr add {CARE_OF}/64 dev v1 nodad
            ip -n {cn} route add default via 2001:db8:c::1
            ip -n {mn} route add 2001:db8:1::/64 via 2001:db8:2::1
            ip netns exec {ha} sysctl -qw net.ipv6.conf.all.forwarding=1
            ip netns exec {ha} ip sr tunsrc set {VHA}
            ip -n {ha} route add {HOME}/128 encap seg6 mode encap.red segs {CARE_OF} dev v1
            ip -n {ha} -6 rule add pref 20 lookup local
            ip -n {ha} -6 rule del pref 0
            ip -n {ha} -6 rule add pref 10 ipproto 41 from {CARE_OF} to {VHA} lookup 900
            ip -n {ha} -6 route add {VHA}/128 encap seg6local action End.DX6 nh6 :: dev v1 table 900
        """)
        yield cn, mn
    finally:
        for name in (cn, ha, mn):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def measured(sender: str, receiver: str, to: str, source: str) -> dict[str, object]:
    arguments = ("--from-netns", sender, "--to-netns", receiver, "--to", to, "--source", source, "--seconds", "0.5")
    return json.loads(tool("flow.py", "run", *arguments, "--rate", "500"))


@pytest.mark.root
def test_the_tunnel_carries_both_ways_while_it_is_up(link):
    cn, mn = link
    tunnel = ("--device", "v1", "--home-agent", VHA, "--care-of", CARE_OF, "--home-address", HOME)
    tool("tunnel.py", "up", "--netns", mn, *tunnel)
    tool("tunnel.py", "up", "--netns", mn, *tunnel)  # again: replaces itself
    there = measured(cn, mn, HOME, CORRESPONDENT)
    back = measured(mn, cn, CORRESPONDENT, HOME)
    assert (there["sent"], there["lost"], there["duplicates"]) == (250, 0, 0)
    assert (back["sent"], back["lost"], back["duplicates"]) == (250, 0, 0)
    tool("tunnel.py", "down", "--netns", mn)
    assert measured(cn, mn, HOME, CORRESPONDENT)["received"] == 0


@pytest.mark.root
def test_many_flows_know_each_its_own_losses(link):
    cn, mn = link
    tool("tunnel.py", "up", "--netns", mn, "--device", "v1", "--home-agent", VHA, "--care-of", CARE_OF,
         "--home-address", HOME)  # fmt: skip
    there = {"name": "there", "from_netns": cn, "source": CORRESPONDENT, "to_netns": mn, "to": HOME, "port": 5001}
    back = {"name": "back", "from_netns": mn, "source": HOME, "to_netns": cn, "to": CORRESPONDENT, "port": 5002}
    process = subprocess.Popen(
        [sys.executable, str(TOOLS / "flows.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write(json.dumps([there, back]))
    process.stdin.close()
    process.stdin = None
    assert process.stdout.readline() == "ready\n"
    sh(f"ip -n {cn} route add blackhole {HOME}/128")
    sh(f"ip -n {cn} route del blackhole {HOME}/128")
    process.terminate()
    output, _unused = process.communicate(timeout=20)
    found = {figures["name"]: figures for figures in json.loads(output)}
    assert found["back"]["lost"] == 0
    assert found["there"]["lost"] == found["there"]["losses"][0][1] > 0
    assert found["there"]["sent"] >= found["back"]["sent"] > found["there"]["lost"]


@pytest.mark.root
def test_a_home_agent_that_says_nothing_is_reported_as_unanswered(link):
    _cn, mn = link
    done = subprocess.run(
        [sys.executable, str(TOOLS / "bind.py"), "--netns", mn, "--home-agent", VHA, "--home-address", HOME]
        + ["--care-of", CARE_OF, "--key", "00" * 16, "--count", "5", "--tries", "2", "--timeout", "0.2", "--json"],
        check=False,
        capture_output=True,
        text=True,
    )
    result = json.loads(done.stdout)
    assert done.returncode == 1
    assert (result["sent"], result["accepted"], result["unanswered"]) == (10, 0, 5)


# --- the arithmetic of the flow ----------------------------------------------------------------------------


def arrivals(*sequences: int, delay: int = 0) -> list[tuple[int, int, int]]:
    return [(number, number * MS, number * MS + delay) for number in sequences]


def test_a_perfect_flow_has_one_interval_as_its_outage():
    result = flow.analyse([n * MS for n in range(10)], 10, arrivals(*range(10)))
    assert (result["received"], result["lost"], result["outage_ms"], result["longest_loss"]) == (10, 0, 1.0, 0)


def test_an_outage_is_the_longest_silence_and_has_a_beginning():
    result = flow.analyse([n * MS for n in range(10)], 10, arrivals(0, 1, 2, 7, 8, 9))
    assert (result["lost"], result["outage_ms"], result["outage_start"]) == (4, 5.0, 0.002)
    assert (result["longest_loss"], result["longest_loss_first"], result["longest_loss_ms"]) == (4, 3, 4.0)


def test_silence_at_either_end_counts():
    sent = [n * MS for n in range(10)]
    assert flow.analyse(sent, 10, arrivals(6, 7, 8, 9))["outage_ms"] == 6.0
    assert flow.analyse(sent, 10, arrivals(0, 1, 2))["outage_ms"] == 7.0
    assert flow.analyse(sent, 10, [])["outage_ms"] == 9.0


def test_duplicates_and_reordering_are_counted_apart():
    result = flow.analyse([n * MS for n in range(4)], 4, arrivals(0, 2, 1, 1, 3))
    assert (result["received"], result["duplicates"], result["reordered"], result["lost"]) == (4, 1, 1, 0)


def test_losses_of_many_flows_are_runs_with_the_time_of_the_first():
    sent = array("q", [n * 1_000_000_000 for n in range(8)])
    result = flows.figures("one", sent, array("I", [0, 1, 4, 5, 5, 7]), late=3)
    assert (result["sent"], result["received"], result["lost"], result["duplicates"]) == (8, 5, 3, 1)
    assert result["losses"] == [[2.0, 2], [6.0, 1]]
