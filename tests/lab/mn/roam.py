# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile nodes that moved: they tell their home agent until it answers, and go where a home agent sends them.

README
    One mobile node with a tunnel, and a thousand in one process:
        roam.py --netns mn1 --home-agent 2001:db8:1::51 --home-address 2001:db8:1::1001 --care-of 2001:db8:2::77 \\
            --key 0001..0f --spi 256 --new-key 1011..1f --new-spi 257 --tunnel eth1
        roam.py --netns mn1 ... --home-address 2001:db8:1::1:0 --count 1000 --rate 5000

    Each mobile node sends a Binding Update for its new care-of address to its home agent, under the key of that one.
    Unanswered, it is sent again after 1, 2, 4 ... 32 s (RFC 6275 section 11.8), with new sequence number and timestamp.
    An acknowledgement ends it ("kept"). A Home Agent Switch (RFC 5142 section 6.1) is believed if its checksum and
    routing header are right, it is authenticated under a key that the mobile node shares with the sender, and its
    timestamp is not further off than the clock may be (RFC 4285 section 6); then the mobile node registers with the
    first home agent of the list, under the key of that one, and is "switched" when that has accepted. With --tunnel its
    tunnel is moved in the same moment, by iproute2.

    --silent: they have not moved, and wait until a home agent asks for something.
    --esp: the first message is what a mobile node with an IPsec security association would send (RFC 3776): the Binding
    Update in ESP transport mode behind the Home Address option, encrypted by Scapy.

    JSON: kept, switched, refused, unserved (numbers of mobile nodes), updates (Binding Updates and ESP packets sent to
    the first home agent), switches (believed), wrong {problem: packets}, home_agents [where they are now], times
    [[first update, first Home Agent Switch believed, registered], ...] in seconds since the first update of all, in
    the order of the home addresses, null for what did not happen. Exit status 0 if every mobile node is served.
    Needs CAP_NET_RAW, with --tunnel also CAP_NET_ADMIN, and Scapy.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from ipaddress import IPv6Address
from typing import Any

import binding
import netns
import tunnel

ETH_P_IPV6 = 0x86DD
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 32.0  # RFC 6275 section 12
FIRST_REGISTRATION_S = 1.5  # the home agent looks for duplicates of the home address first
CLOCK_TOLERANCE_S = 7.0  # RFC 4285 section 6
ACCEPTED_BELOW = 128
SEQUENCE_OUT_OF_WINDOW = 135


@dataclass
class MobileNode:
    """One of them."""

    number: int
    home: bytes
    agent: bytes  # the home agent that it talks to
    sequence: int
    timestamp: int = 0
    wait_s: float = FIRST_RETRY_S
    attempts: int = 0
    started: float | None = None
    told: float | None = None
    registered: float | None = None
    status: int | None = None

    @property
    def waits(self) -> bool:
        return self.status is None


@dataclass
class Crowd:
    """All of them; sockets in, figures out."""

    args: argparse.Namespace
    old: binding.MobileNodes
    nodes: dict[bytes, MobileNode]
    wrong: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    switches: int = 0

    def go(self) -> dict[str, Any]:
        self.by_agent = {self.old.home_agent: self.old}
        self.timers: list[tuple[float, bytes, int]] = []
        with (
            socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out,
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6)) as back,
        ):
            out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            back.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            back.setblocking(False)
            self.out, self.back = out, back
            self.begun = time.monotonic()
            for node in self.nodes.values() if not self.args.silent else ():
                heappush(self.timers, (self.begun + node.number / self.args.rate, node.home, 0))
            self._run(self.begun + self.args.seconds)
        return self._figures()

    def _run(self, end: float) -> None:
        while any(node.waits for node in self.nodes.values()) and (now := time.monotonic()) < end:
            self._send_what_is_due(now)
            due = min(self.timers[0][0] if self.timers else end, end)
            if select.select([self.back], [], [], max(0.0, due - time.monotonic()))[0]:
                self._collect()

    def _send_what_is_due(self, now: float) -> None:
        """A little at a time, so that answers are not left lying."""
        for _unused in range(16):
            if not self.timers or self.timers[0][0] > now:
                return
            _unused, home, attempt = heappop(self.timers)
            node = self.nodes[home]
            if node.waits and node.attempts == attempt:
                self._send(node)

    def _send(self, node: MobileNode) -> None:
        now = time.monotonic()
        node.started = node.started or now
        node.sequence = (node.sequence + 1) & 0xFFFF
        node.timestamp = binding.ntp(time.time_ns())
        shared = self.by_agent[node.agent]
        if node.agent == self.old.home_agent:
            self.updates += 1
        packet = shared.update(node.home, node.sequence, node.timestamp)
        if self.args.esp and not node.attempts:
            packet = binding.in_esp(packet)
        node.attempts += 1
        heappush(self.timers, (now + node.wait_s, node.home, node.attempts))
        node.wait_s = min(2 * node.wait_s, LAST_RETRY_S)
        self.out.sendto(packet, (str(IPv6Address(node.agent)), 0))

    def _collect(self) -> None:
        while True:
            try:
                packet, address = self.back.recvfrom(4096)
            except BlockingIOError:
                return
            if address[2] == PACKET_OUTGOING:
                continue
            if found := binding.home_agent_switch(packet):
                self._switched(*found)
                continue
            header = binding.mobility_header(packet)
            node = self.nodes.get(header.home) if header else None
            if node and self._collected(packet, node.home):
                continue
            if node and (answer := binding.acknowledgement(packet, node.agent)):
                self._answered(node, *answer)

    def _collected(self, _packet: bytes, _home: bytes) -> bool:
        """Whether it was something else than what is expected here, and was seen to; for who does more."""
        return False

    # --- Binding Acknowledgements ------------------------------------------------------------------------

    def _answered(self, node: MobileNode, answer: binding.Acknowledgement, mh: bytes) -> None:
        shared = self.by_agent[node.agent]
        problem = answer.problem
        heeds = answer.status == SEQUENCE_OUT_OF_WINDOW and self._is_signed(mh, answer.spi, shared, node.home)
        if heeds and not problem and node.waits:
            node.sequence = answer.sequence  # RFC 6275 section 11.7.3
            self._send(node)
            return
        if not problem and (answer.sequence != node.sequence or answer.timestamp != node.timestamp):
            problem = "sequence number or timestamp"
        if not problem and not self._is_signed(mh, answer.spi, shared, node.home):
            problem = "authentication"
        if problem or not node.waits:
            self.wrong[problem or "duplicate"] += 1
            return
        node.status = answer.status
        if answer.status < ACCEPTED_BELOW:
            if self.args.tunnel:
                self._opened(node)
            node.registered = time.monotonic()

    def _opened(self, node: MobileNode) -> None:
        tunnel.up(self.args.tunnel, _text(node.agent), _text(self.old.care_of), [_text(node.home)])

    # --- Home Agent Switch -------------------------------------------------------------------------------

    def _switched(self, message: binding.HomeAgentSwitch, mh: bytes) -> None:
        """RFC 5142 sections 6.1 and 6.2."""
        node = self.nodes.get(message.home)
        if node is None:
            return  # somebody else's here
        if problem := self._judge(message, mh):
            self.wrong[f"switch: {problem}"] += 1
            return
        self.switches += 1
        node.told = node.told or time.monotonic()
        chosen = message.home_agents[0]
        if node.agent == chosen:
            return  # told again: the registration is under way, or done
        self.by_agent.setdefault(chosen, self._others(chosen))
        node.agent, node.status, node.wait_s = chosen, None, FIRST_REGISTRATION_S
        self._send(node)

    def _judge(self, message: binding.HomeAgentSwitch, mh: bytes) -> str:
        """Why the message is not to be believed; nothing if it is."""
        if message.problem:
            return message.problem
        if not message.routing_header:
            return "routing header"
        if not message.home_agents:
            return "no addresses"
        shared = self.by_agent.get(message.source) or self._others(message.source)
        if not self._is_signed(mh, message.spi, shared, message.home):
            return "authentication"
        if message.timestamp is None:
            return "no timestamp"
        off = abs(message.timestamp - binding.ntp(time.time_ns())) / (1 << 32)
        return "timestamp" if off > CLOCK_TOLERANCE_S else ""

    def _is_signed(self, mh: bytes, spi: int | None, shared: binding.MobileNodes, home: bytes) -> bool:
        return spi == shared.spi and shared.key is not None and binding.is_signed(mh, shared.key, shared.care_of, home)

    def _others(self, home_agent: bytes) -> binding.MobileNodes:
        """What the mobile nodes share with any home agent but the first."""
        args = self.args
        return binding.MobileNodes(home_agent, self.old.care_of, args.new_key or args.key,
                                   args.new_spi or args.spi, args.lifetime)  # fmt: skip

    # --- what came of it ---------------------------------------------------------------------------------

    def _figures(self) -> dict[str, object]:
        nodes = list(self.nodes.values())
        served = [node for node in nodes if node.registered is not None and not node.waits]

        def since(moment: float | None) -> float | None:
            return None if moment is None else round(moment - self.begun, 4)

        return {
            "kept": sum(node.agent == self.old.home_agent for node in served),
            "switched": sum(node.agent != self.old.home_agent for node in served),
            "refused": sum(not node.waits and node.registered is None for node in nodes),
            "unserved": sum(node.waits for node in nodes),
            "updates": self.updates,
            "switches": self.switches,
            "wrong": dict(self.wrong),
            "home_agents": sorted({_text(node.agent) for node in served}),
            "times": [[since(node.started), since(node.told), since(node.registered)] for node in nodes],
        }


def _text(address: bytes) -> str:
    return str(IPv6Address(address))


def options(description: str | None) -> argparse.ArgumentParser:
    """Those of every command for mobile nodes that go elsewhere; `--lifetime` and what else there is, it adds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--netns", help="name or path of the network namespace (default: this one)")
    parser.add_argument("--home-agent", required=True, type=IPv6Address)
    parser.add_argument("--home-address", required=True, type=IPv6Address, metavar="FIRST")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--care-of", required=True, type=IPv6Address)
    parser.add_argument("--key", required=True, type=bytes.fromhex, metavar="HEX")
    parser.add_argument("--spi", required=True, type=int)
    return parser


def begin(args: argparse.Namespace) -> tuple[binding.MobileNodes, dict[bytes, MobileNode]]:
    """Enter the namespace: how to register with the first home agent, and the mobile nodes by home address."""
    old = binding.MobileNodes(args.home_agent.packed, args.care_of.packed, args.key, args.spi, args.lifetime)
    if args.netns:
        netns.enter(args.netns)
    first, sequence = int(args.home_address), int(time.time() * 4) & 0xFFFF
    homes = [(first + number).to_bytes(16, "big") for number in range(args.count)]
    nodes = {home: MobileNode(number, home, old.home_agent, sequence) for number, home in enumerate(homes)}
    return old, nodes


def main() -> int:
    """The command line."""
    parser = options(__doc__)
    parser.add_argument("--new-key", type=bytes.fromhex, metavar="HEX", help="of every other home agent")
    parser.add_argument("--new-spi", type=int)
    parser.add_argument("--lifetime", type=int, default=600, help="seconds, a multiple of 4")
    parser.add_argument("--rate", type=float, default=5000.0, help="of the first updates, per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="give up after that")
    parser.add_argument("--tunnel", metavar="DEVICE", help="move the tunnel as well")
    parser.add_argument("--silent", action="store_true", help="say nothing until a home agent asks")
    parser.add_argument("--esp", action="store_true", help="the first message is in ESP")
    args = parser.parse_args()
    old, nodes = begin(args)
    result = Crowd(args, old, nodes).go()
    print(json.dumps(result))
    return 0 if result["kept"] + result["switched"] == args.count else 1


if __name__ == "__main__":
    sys.exit(main())
