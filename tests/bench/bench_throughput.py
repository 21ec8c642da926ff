# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP through the tunnel to a mobile node beside TCP that is merely forwarded: prints figures, asserts nothing.

PYTHONPATH=roles/agent/files:. python3 tests/bench/bench_throughput.py [BINDINGS]     (as root)
Both go from the correspondent node by way of the home agent to the same mobile node, in turns, in one run.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from statistics import median

from tests.kernel.home_link import (
    CARE_OF,
    HA1_ADDRESS,
    HOME,
    HomeLink,
    binding,
    inside,
    many_bindings,
    settings,
    settle,
)

SECONDS = 3.0
ROUNDS = 5
PORT = 5555
PIECE = 1 << 20


def gigabits(link: HomeLink, destination: str) -> float:
    """What a TCP connection to the mobile node carries a second."""
    received = 0
    with (
        link.mn.socket(socket.AF_INET6, socket.SOCK_STREAM) as server,
        link.cn.socket(socket.AF_INET6, socket.SOCK_STREAM) as client,
    ):
        with inside(link.mn.namespace):
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((destination, PORT))
            server.listen()

        def receive() -> None:
            nonlocal received
            connection, _address = server.accept()
            with connection:
                place = bytearray(PIECE)
                while count := connection.recv_into(place):
                    received += count

        receiver = threading.Thread(target=receive, daemon=True)
        receiver.start()
        client.settimeout(10)
        client.connect((destination, PORT))
        data = bytes(PIECE)
        started = time.monotonic()
        while time.monotonic() < started + SECONDS:
            client.sendall(data)
        took = time.monotonic() - started
        client.shutdown(socket.SHUT_WR)
        receiver.join(5)
    return received * 8 / took / 1e9


def main() -> None:
    bindings = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with HomeLink() as link, link.dataplane(link.ha1) as plane:
        # What is plain goes by way of the home agent as well.
        link.router.ip("-6", "rule", "add", "pref", "5", "iif", "cn", "to", CARE_OF, "lookup", "77")
        link.router.ip("-6", "route", "add", "default", "via", HA1_ADDRESS, "table", "77")
        link.mn.ip("addr", "add", f"{HOME}/128", "dev", "lo", "nodad")
        link.mn.ip("-6", "rule", "add", "pref", "20", "lookup", "local")
        link.mn.ip("-6", "rule", "del", "pref", "0")
        link.mn.ip("-6", "rule", "add", "pref", "10", "ipproto", "41", "lookup", "900")
        action = ("encap", "seg6local", "action", "End.DT6", "table", "255", "dev", "eth0")
        link.mn.ip("-6", "route", "add", f"{CARE_OF}/128", "table", "900", *action)
        link.cn.ip("-6", "route", "add", f"{HOME}/128", "via", "2001:db8:9::1", "mtu", "1460")
        plane.set_up(settings())
        plane.install(51, [binding(HOME, CARE_OF)])
        plane.install(51, many_bindings(bindings))
        settle(plane)
        plane.activate(51)
        settle(plane)
        plain, tunnelled = [], []
        for _round in range(ROUNDS):
            plain.append(gigabits(link, CARE_OF))
            tunnelled.append(gigabits(link, HOME))
    for name, figures in (("forwarded", plain), ("tunnelled", tunnelled)):
        spread = ", ".join(f"{figure:.1f}" for figure in sorted(figures))
        print(f"{name:10} {median(figures):6.1f} Gbit/s median of {spread}")
    print(f"ratio      {median(tunnelled) / median(plain):6.2f} with {bindings} bindings more")


if __name__ == "__main__":
    main()
