# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Register one or many mobile nodes with a home agent from inside a network namespace, and judge the answers.

README
    One mobile node, then its return home, then ten thousand at 5,000 a second:
        bind.py --netns mn1 --home-agent 2001:db8:1::51 --home-address 2001:db8:1::1001 \\
            --care-of 2001:db8:2::77 --key 000102030405060708090a0b0c0d0e0f --spi 256 --lifetime 600
        bind.py --netns home --home-agent 2001:db8:1::51 --home-address 2001:db8:1::1001 --at-home \\
            --key 000102030405060708090a0b0c0d0e0f --spi 256
        bind.py --netns mn1 ... --home-address 2001:db8:1::1:0 --count 10000 --rate 5000 --json

    The home addresses are FIRST, FIRST + 1, ... All have the same care-of address and the same key (give the
    agent one key for a prefix). Without --key the updates carry no authentication. --lifetime 0 de-registers.
    Sequence numbers come from the clock unless --sequence says otherwise; an answer 135 (sequence number) or 144
    (timestamp) is followed once by an update that heeds it, unless --no-heed. What stays unanswered for
    --timeout seconds is sent anew (next sequence number, new timestamp), --tries times in all.

    An acknowledgement counts if checksum, routing header, sequence number, timestamp and - with --key - its
    authentication data are right; if not it is listed under "wrong" and the update counts as unanswered.

    JSON: sent, accepted, refused, unanswered, statuses {status: mobile nodes}, wrong {problem: packets},
    lifetimes {granted seconds: mobile nodes}, seconds, per_second (answers), latency_ms [minimum, median, maximum],
    last [the last answer in words, when --count is 1]. The exit status is 0 if every mobile node was accepted.

    Needs CAP_NET_RAW (packet and raw sockets) and Scapy. The care-of address (with --at-home the home address) need not
    be on an interface for sending, but answers must be routed here. A kernel without Mobile IPv6 answers the
    type 2 routing header of an acknowledgement with Parameter Problem; the home agent has to live with that.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address

import binding
import netns

ETH_P_IPV6 = 0x86DD
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4
SEQUENCE_OUT_OF_WINDOW = 135
ID_MISMATCH = 144


@dataclass
class Attempt:
    """Where one mobile node stands."""

    sequence: int
    timestamp: int = 0
    sent_at: float = 0.0
    tries: int = 0
    heeded: set[int] = field(default_factory=set)  # statuses
    clock_offset: int = 0  # NTP units, learnt from an answer 144
    answer: binding.Acknowledgement | None = None


@dataclass
class Run:
    """One run of the tool; sockets in, figures out."""

    nodes: binding.MobileNodes
    args: argparse.Namespace
    homes: list[bytes]
    attempts: dict[bytes, Attempt] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    sent: int = 0

    def go(self) -> dict[str, object]:
        """Send everything at the given rate, collecting as it goes; then again what was not answered."""
        with (
            socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out,
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6)) as back,
        ):
            out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            back.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            back.setblocking(False)
            self.out, self.back = out, back
            started = time.monotonic()
            first = int(time.time() * 4) if self.args.sequence is None else self.args.sequence
            for home in self.homes:
                self.attempts[home] = Attempt(first & 0xFFFF)
            waiting = self.homes
            for _unused in range(self.args.tries):
                self._send_all(waiting)
                self._wait(self.args.timeout)
                waiting = [home for home in waiting if self.attempts[home].answer is None]
                if not waiting:
                    break
                for home in waiting:
                    self.attempts[home].sequence = (self.attempts[home].sequence + 1) & 0xFFFF
            return self._figures(time.monotonic() - started)

    def _send_all(self, homes: list[bytes]) -> None:
        start = time.monotonic()
        for number, home in enumerate(homes):
            due = start + number / self.args.rate
            while (left := due - time.monotonic()) > 0:
                self._collect(left)
            if number % 16 == 0:
                self._collect(0)
            self._send(home)

    def _send(self, home: bytes) -> None:
        attempt = self.attempts[home]
        attempt.timestamp = (binding.ntp(time.time_ns()) + attempt.clock_offset + self.shift) & 0xFFFF_FFFF_FFFF_FFFF
        attempt.sent_at = time.monotonic()
        attempt.tries += 1
        self.sent += 1
        packet = self.nodes.update(home, attempt.sequence, attempt.timestamp)
        self.out.sendto(packet, (str(IPv6Address(self.nodes.home_agent)), 0))

    @property
    def shift(self) -> int:
        """How wrong the mobile nodes' clocks are to be, in NTP units."""
        return round(self.args.clock_offset * (1 << 32))

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and any(a.answer is None for a in self.attempts.values()):
            self._collect(min(left, 0.05))

    def _collect(self, timeout: float) -> None:
        """Everything that has come by now, after waiting at most this long for the first of it."""
        if not select.select([self.back], [], [], timeout)[0]:
            return
        while True:
            try:
                packet, address = self.back.recvfrom(4096)
            except BlockingIOError:
                return
            if address[2] != PACKET_OUTGOING and (found := binding.acknowledgement(packet, self.nodes.home_agent)):
                self._answered(*found, time.monotonic())

    def _answered(self, answer: binding.Acknowledgement, mh: bytes, now: float) -> None:
        attempt = self.attempts.get(answer.home)
        if attempt is None or attempt.answer is not None:
            self.wrong["for nobody" if attempt is None else "duplicate"] += 1
            return
        if problem := self._judge(answer, attempt, mh):
            self.wrong[problem] += 1
            return
        if not self.args.no_heed and self._heeds(answer, attempt):
            self._send(answer.home)
            return
        attempt.answer = answer
        self.latencies.append((now - attempt.sent_at) * 1e3)

    def _heeds(self, answer: binding.Acknowledgement, attempt: Attempt) -> bool:
        """Learn from a refusal, once from each kind; whether there was something to learn."""
        if answer.status in attempt.heeded:
            return False
        attempt.heeded.add(answer.status)
        if answer.status == SEQUENCE_OUT_OF_WINDOW:
            attempt.sequence = (answer.sequence + 1) & 0xFFFF
            return True
        if answer.status == ID_MISMATCH and answer.timestamp is not None:
            # An offset from before is in the timestamp already, so this one comes on top.
            attempt.clock_offset += answer.timestamp - attempt.timestamp
            attempt.sequence = (attempt.sequence + 1) & 0xFFFF
            return True
        return False

    def _judge(self, answer: binding.Acknowledgement, attempt: Attempt, mh: bytes) -> str:
        """What is wrong with an acknowledgement; nothing if it is what a mobile node may believe."""
        nodes = self.nodes
        if answer.problem:
            return answer.problem
        if answer.routing_header is nodes.at_home:
            return "routing header"
        if answer.status != SEQUENCE_OUT_OF_WINDOW and answer.sequence != attempt.sequence:
            return "sequence number"
        if nodes.key is None:
            return ""
        if answer.spi is None:
            return "not authenticated"
        if answer.spi != nodes.spi:
            return "SPI"
        if not binding.is_signed(mh, nodes.key, nodes.bound_to(answer.home), answer.home):
            return "authentication data"
        if answer.timestamp is None:
            return "no timestamp"
        if answer.status != ID_MISMATCH and answer.timestamp != attempt.timestamp:
            return "timestamp"
        return ""

    def _figures(self, seconds: float) -> dict[str, object]:
        answers = [a.answer for a in self.attempts.values() if a.answer is not None]
        accepted = [answer for answer in answers if answer.status < 128]
        result: dict[str, object] = {
            "sent": self.sent,
            "accepted": len(accepted),
            "refused": len(answers) - len(accepted),
            "unanswered": len(self.attempts) - len(answers),
            "statuses": dict(sorted(Counter(answer.status for answer in answers).items())),
            "lifetimes": dict(sorted(Counter(answer.lifetime_s for answer in accepted).items())),
            "wrong": dict(self.wrong),
            "seconds": round(seconds, 3),
            "per_second": round(len(answers) / seconds) if answers else 0,
        }
        if self.latencies:
            result["latency_ms"] = [round(f(self.latencies), 2) for f in (min, statistics.median, max)]
        if len(self.homes) == 1 and answers:
            answer = answers[0]
            result["last"] = {
                "status": answer.status,
                "sequence": answer.sequence,
                "lifetime": answer.lifetime_s,
                "options": list(answer.options),
            }
        return result


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--netns", help="name or path of the network namespace (default: this one)")
    parser.add_argument("--home-agent", required=True, type=IPv6Address)
    parser.add_argument("--home-address", required=True, type=IPv6Address, metavar="FIRST")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--care-of", type=IPv6Address, help="required unless --at-home")
    parser.add_argument("--alternate-care-of", type=IPv6Address, help="what the option says (default: --care-of)")
    parser.add_argument("--at-home", action="store_true", help="de-register from home: source is the home address")
    parser.add_argument("--key", type=bytes.fromhex, metavar="HEX")
    parser.add_argument("--spi", type=int, default=256)
    parser.add_argument("--lifetime", type=int, default=600, help="seconds, a multiple of 4; 0 with --at-home")
    parser.add_argument("--flags", default="AH", help="letters of A H L K (default AH)")
    parser.add_argument("--sequence", type=int)
    parser.add_argument("--clock-offset", type=float, default=0.0, help="seconds the mobile nodes' clock is ahead")
    parser.add_argument("--rate", type=float, default=2000.0, help="updates per second")
    parser.add_argument("--timeout", type=float, default=1.5, help="seconds")
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--no-heed", action="store_true", help="do not try again after 135 or 144")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.care_of is None and not args.at_home:
        parser.error("--care-of is required unless --at-home")
    nodes = binding.MobileNodes(
        home_agent=args.home_agent.packed,
        care_of=args.care_of.packed if args.care_of else b"",
        key=args.key,
        spi=args.spi,
        lifetime_s=0 if args.at_home else args.lifetime,
        flags=args.flags,
        at_home=args.at_home,
        alternate_care_of=args.alternate_care_of.packed if args.alternate_care_of else None,
    )
    if args.netns:
        netns.enter(args.netns)
    first = int(args.home_address)
    result = Run(nodes, args, [(first + number).to_bytes(16, "big") for number in range(args.count)]).go()
    if args.json:
        print(json.dumps(result))
    else:
        print("  ".join(f"{name} {value}" for name, value in result.items()))
    return 0 if result["accepted"] == args.count else 1


if __name__ == "__main__":
    sys.exit(main())
