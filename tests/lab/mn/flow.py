# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A measured UDP flow over IPv6 between two network namespaces of one machine.

README
    Both ends at once, one JSON object at the end (this is what tests want):
        flow.py run --from-netns cn --to-netns mn1 --to 2001:db8:1::1001 --rate 1000 --seconds 10
    or each end alone (in its namespace); the receiver learns the number sent from the sender's last packets:
        flow.py receive --to 2001:db8:1::1001 --seconds 15
        flow.py send    --to 2001:db8:1::1001 --rate 1000 --seconds 10

    sent, received, lost, duplicates, reordered (came after a packet with a higher number);
    outage_ms: the longest time between two arrivals (or between the first sending and the first arrival, the
        last sending and the last arrival), as the user of the flow feels it; one packet's interval when all is well;
    outage_start: when it began, seconds of CLOCK_MONOTONIC (the same for every process of the machine:
        compare it with time.monotonic() of whatever was done to the system);
    longest_loss: the longest run of consecutive numbers that never came; longest_loss_ms: their time on the
        sender's clock;
    latency_us: minimum, median, maximum; sender_late_us: how much after its time a packet left, at worst
        (a large one makes the outage a fact of this machine, not of the network).

    Arrivals are stamped by the kernel. Options come after the word run, send or receive. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import socket
import statistics
import struct
import sys
import time
from array import array
from itertools import pairwise

import netns

PAYLOAD = struct.Struct("!4sIqq")  # magic, sequence number, CLOCK_MONOTONIC ns at sending, total (last packets only)
MAGIC = b"vflo"
LAST = 0xFFFF_FFFF
SO_TIMESTAMPNS = 35
PR_SET_TIMERSLACK = 29


def analyse(sent_at: array | tuple[()], total: int, arrivals: list[tuple[int, int, int]]) -> dict[str, object]:
    """The figures from (sequence, sent ns, arrived ns) in the order of arrival.

    sent_at may be empty (a receiver alone knows only what came).
    """
    highest = -1
    reordered = duplicates = 0
    seen: set[int] = set()
    for sequence, _sent, _arrived in arrivals:
        if sequence in seen:
            duplicates += 1
            continue
        seen.add(sequence)
        if sequence < highest:
            reordered += 1
        highest = max(highest, sequence)
    result: dict[str, object] = {
        "sent": total,
        "received": len(seen),
        "lost": total - len(seen),
        "duplicates": duplicates,
        "reordered": reordered,
    }
    times = [arrived for _sequence, _sent, arrived in arrivals]
    if len(sent_at):
        times = [sent_at[0], *times, max(sent_at[total - 1], times[-1] if times else 0)]
    gap, start = max(((later - earlier, earlier) for earlier, later in pairwise(times)), default=(0, 0))
    result["outage_ms"] = round(gap / 1e6, 3)
    result["outage_start"] = round(start / 1e9, 6)
    run, first = _longest_run_of_missing(seen, total)
    result["longest_loss"] = run
    result["longest_loss_first"] = first
    if len(sent_at) and run:
        after = sent_at[first + run] if first + run < total else sent_at[total - 1]
        result["longest_loss_ms"] = round((after - sent_at[first]) / 1e6, 3)
    latencies = [(arrived - sent) / 1e3 for _sequence, sent, arrived in arrivals]
    if latencies:
        result["latency_us"] = [round(f(latencies), 1) for f in (min, statistics.median, max)]
    return result


def _longest_run_of_missing(seen: set[int], total: int) -> tuple[int, int | None]:
    best, best_first, run = 0, None, 0
    for sequence in range(total):
        run = 0 if sequence in seen else run + 1
        if run > best:
            best, best_first = run, sequence - run + 1
    return best, best_first


def send(args: argparse.Namespace) -> tuple[array, int]:
    """Send on an absolute schedule, so that a late packet delays no other; return the times and the worst lateness."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):  # or else a busy machine looks like an outage
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    total = round(args.rate * args.seconds)
    sent_at, worst = array("q"), 0
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        if args.source:
            udp.bind((args.source, 0))
        target = (args.to, args.port)
        padding = bytes(max(0, args.size - PAYLOAD.size))
        start = time.monotonic_ns() + 1_000_000
        for sequence in range(total):
            due = start + round(sequence * 1e9 / args.rate)
            while (wait := due - time.monotonic_ns()) > 0:
                time.sleep(wait / 1e9)
            now = time.monotonic_ns()
            worst = max(worst, now - due)
            sent_at.append(now)
            _send_quietly(udp, PAYLOAD.pack(MAGIC, sequence, now, 0) + padding, target)
        for _unused in range(5):
            time.sleep(0.1)
            _send_quietly(udp, PAYLOAD.pack(MAGIC, LAST, time.monotonic_ns(), total), target)
    return sent_at, worst


def _send_quietly(udp: socket.socket, payload: bytes, target: tuple[str, int]) -> None:
    """A refused packet (no route just now, a full queue before an unresolved neighbour) is lost, nobody waits."""
    try:
        udp.sendto(payload, socket.MSG_DONTWAIT, target)
    except OSError:
        pass


def receive(args: argparse.Namespace, ready: int | None = None) -> tuple[int | None, list[tuple[int, int, int]]]:
    """Collect until the sender's last packets came (and half a second has passed) or the time is over."""
    arrivals: list[tuple[int, int, int]] = []
    total = None
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        # A mobile node's home address may live on a device that is no longer (or not yet) up.
        udp.setsockopt(socket.IPPROTO_IPV6, getattr(socket, "IPV6_FREEBIND", 78), 1)
        udp.bind((args.to, args.port))
        if ready is not None:
            os.write(ready, b"1")
        offset = time.time_ns() - time.monotonic_ns()
        end = time.monotonic() + args.seconds + args.wait
        while (left := end - time.monotonic()) > 0:
            udp.settimeout(left)
            try:
                data, ancillary, _flags, _address = udp.recvmsg(2048, 64)
            except TimeoutError:
                break
            if len(data) < PAYLOAD.size or data[:4] != MAGIC:
                continue
            _magic, sequence, sent, count = PAYLOAD.unpack_from(data)
            if sequence == LAST:
                if total is None:
                    total, end = count, min(end, time.monotonic() + 0.5)
                continue
            arrivals.append((sequence, sent, _stamp(ancillary) - offset))
    return total, arrivals


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data)
            return seconds * 1_000_000_000 + nanoseconds
    return time.time_ns()


def run(args: argparse.Namespace) -> dict[str, object]:
    """The receiver in a child process in its namespace, the sender in this one."""
    ready_read, ready_write = os.pipe()
    result_read, result_write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            netns.enter(args.to_netns)
            _total, arrivals = receive(args, ready_write)
            flat = array("q", (number for arrival in arrivals for number in arrival))
            with os.fdopen(result_write, "wb") as pipe:
                pipe.write(flat.tobytes())
            status = 0
        except OSError as error:
            print(f"flow.py: receiver: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    os.close(ready_write)
    os.close(result_write)
    if not os.read(ready_read, 1):
        raise SystemExit("flow.py: the receiver did not start")
    netns.enter(args.from_netns)
    sent_at, late = send(args)
    flat = array("q")
    with os.fdopen(result_read, "rb") as pipe:
        flat.frombytes(pipe.read())
    os.waitpid(child, 0)
    arrivals = list(zip(flat[0::3], flat[1::3], flat[2::3], strict=True))
    return {**analyse(sent_at, len(sent_at), arrivals), "started": sent_at[0] / 1e9, "sender_late_us": late / 1e3}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "send", "receive"):
        command = commands.add_parser(name)
        command.add_argument("--to", required=True, help="the address that receives")
        command.add_argument("--port", type=int, default=5678)
        command.add_argument("--seconds", type=float, default=10.0)
        command.add_argument("--wait", type=float, default=2.0, help="the receiver stays this much longer")
        if name != "receive":
            command.add_argument("--source", help="the address that sends")
            command.add_argument("--rate", type=float, default=1000.0, help="packets per second")
            command.add_argument("--size", type=int, default=64, help="octets of UDP payload")
        if name == "run":
            command.add_argument("--from-netns", required=True)
            command.add_argument("--to-netns", required=True)
    args = parser.parse_args()
    if args.command == "run":
        result = run(args)
    elif args.command == "send":
        sent_at, late = send(args)
        result = {"sent": len(sent_at), "started": sent_at[0] / 1e9, "sender_late_us": late / 1e3}
    else:
        total, arrivals = receive(args)
        result = analyse((), max((a[0] for a in arrivals), default=-1) + 1 if total is None else total, arrivals)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
