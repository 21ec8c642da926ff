# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node's bidirectional tunnel (RFC 6275 section 11.3) in a network namespace, by iproute2 alone.

README
    Away from home (run again for a new care-of address or home agent: it replaces what was there):
        tunnel.py up --netns mn1 --device eth0 --home-agent 2001:db8:1::51 \\
            --care-of 2001:db8:2::77 --home-address 2001:db8:1::1001
    Home again:
        tunnel.py down --netns mn1

    --home-address may be a prefix (2001:db8:1::1:0/112): every address of it is then local, as many mobile nodes
    as one likes behind one care-of address (to bind one of them a socket needs IPV6_FREEBIND). The care-of
    address must be on the device; the home address is put on lo. Needs CAP_NET_ADMIN in the namespace and
    CONFIG_IPV6_SEG6_LWTUNNEL; no ip6_tunnel.

    Outgoing: what has the home address as its source takes a route `encap seg6 mode encap.red segs HOME-AGENT`:
    with one segment that is plain IPv6-in-IPv6, without a segment routing header. Its outer source is the care-of
    address (ip sr tunsrc). Incoming: IPv6-in-IPv6 from the home agent - and nobody else - to the care-of address
    takes `seg6local End.DT6 table 255`, which delivers the inner packet locally. For that the `local` rule moves
    from preference 0 to 20, here and not back on `down`.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import netns

LOCAL, DECAPSULATE, ENCAPSULATE = 20, 10, 30  # preferences of the rules
LOCAL_TABLE, DECAPSULATION_TABLE, ENCAPSULATION_TABLE = 255, 901, 902


def ip(command: str, *, may_fail: bool = False) -> bool:
    """Run iproute2 in this namespace; whether it worked."""
    done = subprocess.run(["ip", "-6", *command.split()], capture_output=True, text=True, check=False)
    if done.returncode != 0 and not may_fail:
        raise SystemExit(f"ip -6 {command}: {done.stderr.strip()}")
    return done.returncode == 0


def down() -> None:
    """No tunnel and no home address; nothing happens if there is none."""
    for preference in (DECAPSULATE, ENCAPSULATE):
        while ip(f"rule del pref {preference}", may_fail=True):
            pass
    for table in (DECAPSULATION_TABLE, ENCAPSULATION_TABLE):
        ip(f"route flush table {table}", may_fail=True)
    ip("route flush table local proto static dev lo", may_fail=True)
    ip("addr flush dev lo scope global", may_fail=True)
    ip("sr tunsrc set ::", may_fail=True)


def up(device: str, home_agent: str, care_of: str, home_addresses: list[str]) -> None:
    """The tunnel, whatever was there before."""
    down()
    for name in ("all", device, "lo"):
        Path(f"/proc/sys/net/ipv6/conf/{name}/seg6_enabled").write_text("1", encoding="ascii")
    ip("link set lo up")
    if ip(f"rule add pref {LOCAL} lookup local", may_fail=True):
        ip("rule del pref 0", may_fail=True)
    ip(f"sr tunsrc set {care_of}")
    ip(f"route add {care_of}/128 encap seg6local action End.DT6 table {LOCAL_TABLE} dev {device} "
       f"table {DECAPSULATION_TABLE}")  # fmt: skip
    ip(f"rule add pref {DECAPSULATE} ipproto 41 from {home_agent} to {care_of} lookup {DECAPSULATION_TABLE}")
    ip(f"route add default encap seg6 mode encap.red segs {home_agent} dev {device} table {ENCAPSULATION_TABLE}")
    for address in home_addresses:
        if "/" in address:
            ip(f"route add local {address} dev lo proto static table local")
        else:
            ip(f"addr add {address}/128 dev lo nodad")
        ip(f"rule add pref {ENCAPSULATE} from {address} lookup {ENCAPSULATION_TABLE}")


def hear(home_agent: str, care_of: str) -> None:
    """Take what comes from this home agent as well; from the others as before."""
    rule = f"pref {DECAPSULATE} ipproto 41 from {home_agent} to {care_of} lookup {DECAPSULATION_TABLE}"
    ip(f"rule del {rule}", may_fail=True)
    ip(f"rule add {rule}")


def leave_by(device: str, home_agent: str) -> None:
    """Everything that goes out takes the tunnel to this home agent from now on."""
    ip(f"route replace default encap seg6 mode encap.red segs {home_agent} dev {device} table {ENCAPSULATION_TABLE}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "down"):
        command = commands.add_parser(name)
        command.add_argument("--netns", help="name or path of the network namespace (default: this one)")
        if name == "up":
            command.add_argument("--device", required=True)
            command.add_argument("--home-agent", required=True)
            command.add_argument("--care-of", required=True)
            command.add_argument("--home-address", required=True, action="append", help="or a prefix; repeatable")
    args = parser.parse_args()
    if args.netns:
        netns.enter(args.netns)
    if args.command == "up":
        up(args.device, args.home_agent, args.care_of, args.home_address)
    else:
        down()


if __name__ == "__main__":
    main()
