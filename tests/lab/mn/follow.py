# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile nodes that stay where they are and change their home agent when theirs asks them to, make before break.

README
    A thousand in one process, and one with a tunnel, until they get a signal (SIGTERM) or --seconds are over:
        follow.py --netns mn1 --home-agent 2001:db8:1::51 --home-address 2001:db8:1::1:0 --count 1000 \\
            --care-of 2001:db8:2::77 --key 0001..0f --spi 256
        follow.py --netns mn1 ... --home-address 2001:db8:1::1001 --tunnel eth1

    Each registers with --home-agent. When a Home Agent Switch comes from the home agent that it uses (believed as
    roam.py does), it registers with the first of the list, and when that has accepted it de-registers with the old one
    (RFC 5142 section 6.1). With --tunnel, what comes from either home agent is taken meanwhile, and what goes out takes
    the new one's tunnel in the moment of the acceptance. Everything unanswered is sent again.

    JSON: registered (mobile nodes), home_agents {address: mobile nodes}, moves {how often: mobile nodes}, wrong
    {problem: packets}, taking_leave (de-registrations unanswered), round_trips [seconds from the first Binding Update
    of each change to its acknowledgement]. Needs CAP_NET_RAW, with --tunnel also CAP_NET_ADMIN, and Scapy.
"""

from __future__ import annotations

import json
import select
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from ipaddress import IPv6Address

import binding
import roam
import tunnel

LEAVE_AGAIN_S = 1.0
NOT_HOME_AGENT = 133


@dataclass
class Leave:
    """A de-registration that is not answered yet."""

    sequence: int
    timestamp: int


@dataclass
class Followers(roam.Crowd):
    """They wait for what they are told."""

    leaving: dict[tuple[bytes, bytes], Leave] = field(default_factory=dict)  # by home address and home agent
    leave_timers: list[tuple[float, bytes, bytes]] = field(default_factory=list)
    before: dict[bytes, bytes] = field(default_factory=dict)  # the home agent to take leave of, by home address
    moves: Counter[bytes] = field(default_factory=Counter)
    asked: dict[bytes, float] = field(default_factory=dict)
    round_trips: list[float] = field(default_factory=list)
    goodbyes: dict[bytes, binding.MobileNodes] = field(default_factory=dict)  # de-registrations, by home agent
    over: bool = False

    def _run(self, end: float) -> None:
        while not self.over and (now := time.monotonic()) < end:
            self._send_what_is_due(now)
            while self.leave_timers and self.leave_timers[0][0] <= now:
                self._take_leave(*heappop(self.leave_timers)[1:])
            due = min(end, now + 0.2, *(timers[0][0] for timers in (self.timers, self.leave_timers) if timers))
            if select.select([self.back], [], [], max(0.0, due - time.monotonic()))[0]:
                self._collect()

    # --- a Home Agent Switch -----------------------------------------------------------------------------

    def _switched(self, message: binding.HomeAgentSwitch, mh: bytes) -> None:
        node = self.nodes.get(message.home)
        if node is None:
            return
        if problem := self._judge(message, mh):
            self.wrong[f"switch: {problem}"] += 1
            return
        self.switches += 1
        if message.source != node.agent:  # it does not know that this mobile node went; unless that is under way
            if node.home not in self.before and (node.home, message.source) not in self.leaving:
                self._take_leave(node.home, message.source)
            return
        chosen = message.home_agents[0]
        self.moves[node.home] += 1
        self.before[node.home] = node.agent
        self.by_agent.setdefault(chosen, self._others(chosen))
        if self.args.tunnel:
            tunnel.hear(roam._text(chosen), roam._text(self.old.care_of))
        node.agent, node.status, node.wait_s = chosen, None, roam.FIRST_RETRY_S
        self.asked[node.home] = time.monotonic()
        self._send(node)

    def _answered(self, node: roam.MobileNode, answer: binding.Acknowledgement, mh: bytes) -> None:
        super()._answered(node, answer, mh)
        if node.status != 0 or node.home not in self.before:
            return
        self.round_trips.append(time.monotonic() - self.asked[node.home])
        self._take_leave(node.home, self.before.pop(node.home))

    def _opened(self, node: roam.MobileNode) -> None:
        """Registered: the way out, and at first all of the tunnel."""
        if node.home in self.before:
            tunnel.leave_by(self.args.tunnel, roam._text(node.agent))
        else:
            super()._opened(node)

    # --- taking leave ------------------------------------------------------------------------------------

    def _take_leave(self, home: bytes, agent: bytes) -> None:
        leave = self.leaving.get((home, agent))
        if leave is None and any(entry[1:] == (home, agent) for entry in self.leave_timers):
            return  # answered meanwhile
        node = self.nodes[home]
        node.sequence = (node.sequence + 1) & 0xFFFF
        self.leaving[home, agent] = leave = Leave(node.sequence, binding.ntp(time.time_ns()))
        if agent not in self.goodbyes:
            self.goodbyes[agent] = replace(self.by_agent[agent], lifetime_s=0)
        packet = self.goodbyes[agent].update(home, leave.sequence, leave.timestamp)
        self.out.sendto(packet, (str(IPv6Address(agent)), 0))
        heappush(self.leave_timers, (time.monotonic() + LEAVE_AGAIN_S, home, agent))

    def _collected(self, packet: bytes, home: bytes) -> bool:
        """Whether it is the answer to a de-registration."""
        for agent in self.by_agent:
            if (home, agent) in self.leaving and (answer := binding.acknowledgement(packet, agent)):
                if answer[0].status in (0, NOT_HOME_AGENT):
                    del self.leaving[home, agent]
                    self.leave_timers = [timer for timer in self.leave_timers if timer[1:] != (home, agent)]
                return True
        return False

    def _figures(self) -> dict[str, object]:
        served = [node for node in self.nodes.values() if node.status == 0]
        return {
            "registered": len(served),
            "home_agents": Counter(roam._text(node.agent) for node in served),
            "moves": Counter(self.moves[home] for home in self.nodes),
            "wrong": dict(self.wrong),
            "taking_leave": len(self.leaving),
            "round_trips": [round(seconds, 6) for seconds in self.round_trips],
        }


def main() -> int:
    """The command line."""
    parser = roam.options(__doc__)
    parser.add_argument("--lifetime", type=int, default=3600, help="seconds, a multiple of 4")
    parser.add_argument("--rate", type=float, default=500.0, help="of the first updates, per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="end after that")
    parser.add_argument("--tunnel", metavar="DEVICE", help="have a tunnel as well")
    parser.set_defaults(new_key=None, new_spi=None, silent=False, esp=False)
    args = parser.parse_args()
    old, nodes = roam.begin(args)
    crowd = Followers(args, old, nodes)
    signal.signal(signal.SIGTERM, lambda *_unused: setattr(crowd, "over", True))
    result = crowd.go()
    print(json.dumps(result))
    return 0 if result["registered"] == args.count else 1


if __name__ == "__main__":
    sys.exit(main())
