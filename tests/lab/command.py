# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command: three Debian home agents, a router, a correspondent node, foreign links with mobile nodes.

Needs the standard library, root, and the Debian packages that tests/setup installs.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.lab import base, fleet, playbooks, topology
from tests.lab.places import LabError, need_root


def main() -> int:
    arguments = _parser().parse_args()
    match arguments.verb:
        case "up":
            fleet.up()
        case "base":
            need_root()
            base.prepare()
        case "install":
            print(playbooks.install())
        case "down":
            fleet.down()
        case "status":
            return _status()
        case "power-off":
            fleet.power_off(arguments.host)
        case "power-on":
            fleet.power_on(arguments.host)
        case "exec":
            line, environment = fleet.command(arguments.node, arguments.command)
            if environment is None:
                os.execvp(line[0], line)
            os.execvpe(line[0], line, environment)
    return 0


def _status() -> int:
    rows = fleet.status()
    table = [("NODE", "KIND", "NAMESPACE", "STATE", "PROCESSES", "MANAGEMENT")]
    table += [(r.name, r.kind, r.namespace, r.state, str(r.processes), r.management_address) for r in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0 if all(row.up for row in rows) else 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("up", help="build and boot what is missing; nothing when all is up")
    verbs.add_parser("base", help="make the base systems that hosts boot from, once; `up` does it too")
    verbs.add_parser("install", help="build this checkout's collection and install it for the controller")
    verbs.add_parser("down", help="remove everything, also what a crashed run left")
    verbs.add_parser("status", help="a table of the nodes; exit code 3 unless all are up")
    names = [node.name for node in topology.NODES]
    run = verbs.add_parser("exec", help="run a command on a node", description=f"Nodes: {', '.join(names)}")
    run.add_argument("node", metavar="NODE")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD...")
    for verb, text in (("power-off", "cut a host's power"), ("power-on", "boot it again from its own disk")):
        power = verbs.add_parser(verb, help=text)
        power.add_argument("host", choices=topology.HOME_AGENTS)
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"lab: {error}")
