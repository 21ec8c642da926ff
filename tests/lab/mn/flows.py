# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many measured UDP flows at once between network namespaces, until told to stop: which packets were lost, and when.

README
    The flows are a JSON list on standard input; SIGTERM ends them:
        echo '[{"name": "there", "from_netns": "cn", "source": "2001:db8:9::10",
                "to_netns": "mn1", "to": "2001:db8:1::1001", "port": 5051}]' | flows.py --rate 1000
    It says "ready" in a line of its own once packets flow, and at the end a JSON list, for each flow:
        name, sent, received, lost, duplicates;
        losses: [when the first of them was sent, seconds of CLOCK_REALTIME; how many in a row], in order;
        late: how many packets of all flows left later than a packet's interval after their moment, so that a loss could
        have gone unseen (many make the figures a fact of this machine, not of the network).

    One process sends and one receives for all flows, so that six times a thousand packets a second leave time for what
    is to be measured. Every packet has its own moment; the flows take turns. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from array import array
from typing import Any

import netns

NUMBER = struct.Struct("!4sI")  # magic, sequence number
MAGIC = b"vflw"
SIZE = 64
PR_SET_TIMERSLACK = 29
SO_RCVBUFFORCE = 33
SETTLE_S = 0.5
"""How long the last packets are waited for."""


def socket_in(namespace: str, address: str, port: int) -> socket.socket:
    """A UDP socket that stays in the namespace; the address need not be on a device (yet)."""
    netns.enter(namespace)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    udp.setsockopt(socket.IPPROTO_IPV6, getattr(socket, "IPV6_FREEBIND", 78), 1)
    udp.bind((address, port))
    udp.setblocking(False)
    return udp


def urgent() -> None:
    """Ahead of what else the machine does, or else a busy machine looks like an outage."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def send(flows: list[dict[str, Any]], rate: float) -> tuple[list[array[int]], int]:
    """Send in turns on an absolute schedule until SIGTERM: each flow's packets' times (ns), and how many left late."""
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_unused: over.append(1))
    ways = [(socket_in(flow["from_netns"], flow["source"], 0), (flow["to"], flow["port"])) for flow in flows]
    times: list[array[int]] = [array("q") for _unused in flows]
    padding = bytes(SIZE - NUMBER.size)
    urgent()
    print("ready", flush=True)
    interval = 1e9 / rate
    start, number, late = time.monotonic_ns() + 1_000_000, 0, 0
    while not over:
        sequence, turn = divmod(number, len(ways))
        due = start + round(number * interval / len(ways))
        while (wait := due - time.monotonic_ns()) > 0:
            time.sleep(wait / 1e9)
        late += -wait > interval
        udp, target = ways[turn]
        times[turn].append(time.time_ns())
        with contextlib.suppress(OSError):  # no route for a moment: the packet is lost, and counted as such
            udp.sendto(NUMBER.pack(MAGIC, sequence) + padding, target)
        number += 1
    return times, late


def receive(flows: list[dict[str, Any]], ready: int, stop: int, result: int) -> None:
    """Collect sequence numbers until `stop` is closed; write, for each flow, how many they are and then the numbers."""
    sockets = [socket_in(flow["to_netns"], flow["to"], flow["port"]) for flow in flows]
    arrived: list[array[int]] = [array("I") for _unused in flows]
    by_descriptor = {udp.fileno(): (udp, numbers.append) for udp, numbers in zip(sockets, arrived, strict=True)}
    poll = select.epoll()
    for descriptor in (*by_descriptor, stop):
        poll.register(descriptor, select.EPOLLIN)
    urgent()
    os.write(ready, b"1")
    unpack = NUMBER.unpack_from
    while True:
        for descriptor, _event in poll.poll():
            if descriptor == stop:
                with os.fdopen(result, "wb") as pipe:
                    for numbers in arrived:
                        pipe.write(array("I", [len(numbers)]).tobytes() + numbers.tobytes())
                return
            udp, append = by_descriptor[descriptor]
            with contextlib.suppress(BlockingIOError):
                while True:
                    magic, number = unpack(udp.recv(SIZE))
                    if magic == MAGIC:
                        append(number)


def figures(name: str, sent: array[int], arrived: array[int], late: int) -> dict[str, Any]:
    """What one flow went through."""
    seen = set(arrived)
    losses: list[list[float]] = []
    previous = -2
    for number in range(len(sent)):
        if number in seen:
            continue
        if number == previous + 1:
            losses[-1][1] += 1
        else:
            losses.append([sent[number] / 1e9, 1])
        previous = number
    return {
        "name": name,
        "sent": len(sent),
        "received": len(seen),
        "lost": len(sent) - len(seen),
        "duplicates": len(arrived) - len(seen),
        "losses": losses,
        "late": late,
    }


def main() -> int:
    """The command line: the receiver in a child process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0, help="packets per second of each flow")
    args = parser.parse_args()
    flows = json.load(sys.stdin)
    ready, stop, result = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for mine in (ready[0], stop[1], result[0]):
                os.close(mine)
            receive(flows, ready[1], stop[0], result[1])
            status = 0
        except OSError as error:
            print(f"flows.py: receiver: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    for theirs in (ready[1], stop[0], result[1]):
        os.close(theirs)
    if not os.read(ready[0], 1):
        raise SystemExit("flows.py: the receiver did not start")
    times, late = send(flows, args.rate)
    time.sleep(SETTLE_S)
    os.close(stop[1])
    numbers = array("I")
    with os.fdopen(result[0], "rb") as pipe:
        numbers.frombytes(pipe.read())
    os.waitpid(child, 0)
    found = []
    for flow, sent in zip(flows, times, strict=True):
        count = numbers[0]
        found.append(figures(flow["name"], sent, numbers[1 : count + 1], late))
        numbers = numbers[count + 1 :]
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
