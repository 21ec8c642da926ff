# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `vrrp-ha`. What a command needs is imported when it is called: most of them need little."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    from .shell.client import Client

DEFAULT_CONFIG = "/etc/vrrp-ha/agent.json"
OK, FAILED, USAGE = 0, 1, 2
_EPILOG = """\
exit codes:
  0  done
  1  it failed: problems found, no agent, or an agent that says no (the message says why and what to do)
  2  the command line is wrong; run: so is the configuration; decode: there is nothing to decode

The control socket is the one of --socket, else the one in --config, else that in /etc/vrrp-ha/agent.json,
else /run/vrrp-ha/control.sock.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or OK)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to say at exit either
        return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vrrp-ha",
        description="The Mobile IPv6 home agent with VRRP redundancy, and its controls.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--json", action="store_true", help="print the result as JSON")
    everywhere.add_argument("--config", metavar="FILE", help=f"configuration of the agent (default {DEFAULT_CONFIG})")
    everywhere.add_argument("--socket", metavar="PATH", help="control socket of the agent")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=text, description=text, parents=[everywhere], epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        added.set_defaults(command=function)
        return added

    run = command("run", _run, "Run the agent in the foreground.")
    run.add_argument("--verbose", action="store_true", help="log debug events too")
    check = command("check", _check, "Check a configuration; names every problem with its path and remedy.")
    check.add_argument("file", nargs="?", help="the configuration (default: that of --config)")
    check.add_argument("--keys", metavar="FILE", help="use this keys file in place of keys_file")
    command("status", _status, "Show the virtual HAs and the health of the agent.")
    command("metrics", _metrics, "Print the status as metrics for Prometheus.")
    bindings = command("bindings", _bindings, "List the binding cache of one virtual HA by home address.")
    bindings.add_argument("vrid", type=int, help="the virtual HA")
    bindings.add_argument("home_address", nargs="?", help="only this one")
    bindings.add_argument("--limit", type=int, default=100, help="how many at most (default 100, at most 10000)")
    bindings.add_argument("--after", metavar="ADDRESS", help="go on after this home address")
    events = command("events", _events, "Show the last events.")
    events.add_argument("--follow", action="store_true", help="and go on with new ones as they happen")
    events.add_argument("--after", type=int, metavar="NUMBER", help="those after this one")
    events.add_argument("--limit", type=int, default=100, help="how many at most (default 100, at most 1000)")
    drain = command("drain", _drain, "Hand virtual HAs over to other members and stay out of service.")
    undrain = command("undrain", _undrain, "Let drained virtual HAs serve again.")
    for changing in (drain, undrain):
        changing.add_argument("vrid", type=int, nargs="*", help="which (default: all)")
    drain.add_argument("--wait", type=float, metavar="SECONDS", help="wait until none of them is served here")
    recover = command("recover", _recover, "Have mobile nodes register anew with a home agent that has their keys.")
    recover.add_argument("vrid", type=int, help="the virtual HA that they are bound at")
    recover.add_argument("home_address", nargs="+", help="who")
    recoveries = command("recoveries", _recoveries, "List the recoveries of one virtual HA.")
    recoveries.add_argument("vrid", type=int, help="the virtual HA")
    recoveries.add_argument("--limit", type=int, default=1000, help="at most so many, those under way first")
    command("home-agents", _home_agents, "List the home agents of each home link, the best ones first.")
    handoff = command("handoff", _handoff, "Ask mobile nodes to use another virtual HA of the same home link.")
    handoff.add_argument("vrid", type=int, help="the virtual HA that they are bound at")
    handoff.add_argument("home_address", nargs="*", help="who")
    handoff.add_argument("--count", type=int, metavar="N", help="or how many, whoever they are")
    handoff.add_argument("--to", type=int, metavar="VRID", help="which one they are to use (default: the least loaded)")
    handoff.add_argument("--cancel", action="store_true", help="let those stay that were not told yet")
    handoffs = command("handoffs", _handoffs, "List the handoffs of one virtual HA.")
    handoffs.add_argument("vrid", type=int, help="the virtual HA")
    command("reload", _reload, "Read the configuration again and apply what changed.")
    command("repair", _repair, "Make the host's state what it should be.")
    cleanup = command("cleanup", _cleanup, "Remove everything that a dead agent left on the host.")
    cleanup.add_argument("--force", action="store_true", help="even while an agent runs")
    decode = command("decode", _decode, "Explain packets: one in hexadecimal, or a pcap file.")
    decode.add_argument("packet", metavar="HEX|FILE", help="a whole IPv6 packet in hexadecimal, or a capture")
    command("version", _version, "Print the version.")
    return parser


# --- commands that need no agent ---------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    from .shell.run import run

    return run(options.config or DEFAULT_CONFIG, verbose=options.verbose)


def _check(options: argparse.Namespace) -> int:
    from .shell.config import ConfigurationError, load
    from .shell.effective import effective

    path = options.file or options.config or DEFAULT_CONFIG
    try:
        configuration = load(path, options.keys)
    except ConfigurationError as error:
        if options.json:
            problems = [{"path": p.path, "message": p.message, "remedy": p.remedy} for p in error.problems]
            _print_json({"ok": False, "problems": problems, "warnings": [], "effective": None})
        else:
            _print(map(str, error.problems))
        return FAILED
    warnings = list(configuration.warnings)
    if options.json:
        _print_json({"ok": True, "problems": [], "warnings": warnings, "effective": effective(configuration)})
    else:
        _print([*(f"warning: {warning}" for warning in warnings), f"{path}: no problems"])
    return OK


def _cleanup(options: argparse.Namespace) -> int:
    from .shell.config import shell_settings_of
    from .shell.dataplane import cleanup
    from .shell.state import is_in_use

    settings = shell_settings_of(options.config or DEFAULT_CONFIG)
    if is_in_use(settings.state_directory) and not options.force:
        return _complain(
            {
                "code": "in_use",
                "message": f"an agent runs with {settings.state_directory}: this would take its virtual HAs away",
                "remedy": "Stop the agent, which cleans up by itself, or say --force.",
            },
            options.json,
        )
    try:
        removed = cleanup(settings.first_table, settings.decapsulation_table)
    except PermissionError:
        return _complain(
            {"code": "forbidden", "message": "this needs CAP_NET_ADMIN", "remedy": "Run it as root."}, options.json
        )
    if options.json:
        _print_json({"removed": removed})
    else:
        _print(removed or ["nothing to remove"])
    return OK


def _decode(options: argparse.Namespace) -> int:
    from .core.settings import SyncSettings
    from .shell import decode

    types = SyncSettings()
    if options.config:
        from .shell.config import ConfigurationError, load

        try:
            types = load(options.config).node.sync
        except ConfigurationError as error:
            _print(map(str, error.problems))
            return FAILED
    return decode.run(options.packet, options.json, types)


def _version(options: argparse.Namespace) -> int:
    if options.json:
        _print_json({"version": __version__})
    else:
        print(__version__)
    return OK


# --- commands that ask the agent ---------------------------------------------------------------------------


def _asking(function: Any) -> Any:
    """A command that talks to the agent; its refusals become messages with remedies."""

    def command(options: argparse.Namespace) -> int:
        from .shell.client import Client, ClientError

        try:
            with Client(_socket(options)) as client:
                return int(function(options, client) or OK)
        except ClientError as error:
            return _complain(error.error, options.json)

    return command


def _socket(options: argparse.Namespace) -> str:
    if options.socket:
        return str(options.socket)
    from .shell.config import shell_settings_of

    return shell_settings_of(options.config or DEFAULT_CONFIG).control_socket


@_asking
def _status(options: argparse.Namespace, client: Client) -> None:
    from .shell import tables

    result = client.call("status")
    _show(result, tables.status(result), options.json)


@_asking
def _metrics(options: argparse.Namespace, client: Client) -> None:
    from .shell import metrics

    status = client.call("status")
    if options.json:
        _print_json(metrics.plain(status))
    else:
        sys.stdout.write(metrics.render(status))


@_asking
def _bindings(options: argparse.Namespace, client: Client) -> int:
    from .shell import tables

    result = client.call(
        "bindings", vrid=options.vrid, home_address=options.home_address, limit=options.limit, after=options.after
    )
    _show(result, tables.bindings(result), options.json)
    return FAILED if options.home_address and not result["bindings"] else OK


@_asking
def _events(options: argparse.Namespace, client: Client) -> None:
    from .shell import tables

    results = [client.call("events", after=options.after, limit=options.limit)] if not options.follow else (
        client.follow("events", after=options.after, limit=options.limit)
    )  # fmt: skip
    for result in results:
        _print(json.dumps(event) if options.json else tables.event(event) for event in result["events"])
        sys.stdout.flush()


@_asking
def _drain(options: argparse.Namespace, client: Client) -> int:
    result = client.call("drain", vrids=options.vrid or None)
    if options.wait is not None and not _handed_over(options, client):
        message = f"still served here after {options.wait:g} s"
        remedy = "Is there another member that can serve (vrrp-ha status on each)?"
        return _complain({"code": "timeout", "message": message, "remedy": remedy}, options.json)
    _show(result, _changed("drained", result["changed"]), options.json)
    return OK


def _handed_over(options: argparse.Namespace, client: Client) -> bool:
    until = time.monotonic() + options.wait
    while True:
        virtual_has = client.call("status")["virtual_has"]
        if not any(v["state"] == "master" for v in virtual_has if not options.vrid or v["vrid"] in options.vrid):
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)


@_asking
def _undrain(options: argparse.Namespace, client: Client) -> None:
    result = client.call("undrain", vrids=options.vrid or None)
    _show(result, _changed("undrained", result["changed"]), options.json)


@_asking
def _recover(options: argparse.Namespace, client: Client) -> int:
    result = client.call("recover", vrid=options.vrid, home_addresses=options.home_address)
    lines = [f"{address}: queued" for address in result["queued"]]
    lines += [
        f"{address}: not bound here, no key and no hook for it, or too many are queued" for address in result["refused"]
    ]
    _show(result, lines, options.json)
    return FAILED if result["refused"] else OK


@_asking
def _recoveries(options: argparse.Namespace, client: Client) -> None:
    from .shell import tables

    result = client.call("recoveries", vrid=options.vrid, limit=options.limit)
    _show(result, tables.recoveries(result), options.json)


@_asking
def _home_agents(options: argparse.Namespace, client: Client) -> None:
    from .shell import tables

    result = client.call("home_agents")
    _show(result, tables.home_agents(result), options.json)


def _handoff(options: argparse.Namespace) -> int:
    if bool(options.home_address) + (options.count is not None) + options.cancel != 1:
        print("vrrp-ha handoff: give home addresses, --count or --cancel, and one of them only", file=sys.stderr)
        return USAGE
    return int(_hand_off(options))


@_asking
def _hand_off(options: argparse.Namespace, client: Client) -> int:
    result = client.call(
        "handoff", vrid=options.vrid, home_addresses=options.home_address or None, count=options.count, to=options.to,
        cancel=options.cancel or None,
    )  # fmt: skip
    lines = [f"{address}: queued" for address in result.get("queued", ())]
    lines += [f"{address}: not bound here, told already, or there is no key" for address in result.get("refused", ())]
    lines += [f"{word}: {result[word]}" for word in ("cancelled", "count") if word in result]
    _show(result, lines, options.json)
    return FAILED if result.get("refused") else OK


@_asking
def _handoffs(options: argparse.Namespace, client: Client) -> None:
    from .shell import tables

    result = client.call("handoffs", vrid=options.vrid)
    _show(result, tables.handoffs(result), options.json)


@_asking
def _reload(options: argparse.Namespace, client: Client) -> None:
    result = client.call("reload")
    lines = [f"{name}: {', '.join(map(str, result[name])) or 'none'}" for name in ("changed", "added", "removed")]
    if result["restart_needed"]:
        lines.append(f"in use only after a restart: {', '.join(result['restart_needed'])}")
    _show(result, lines, options.json)


@_asking
def _repair(options: argparse.Namespace, client: Client) -> None:
    result = client.call("repair")
    _show(result, result["repaired"] or ["nothing to repair"], options.json)


# --- output ------------------------------------------------------------------------------------------------


def _changed(word: str, vrids: list[int]) -> list[str]:
    return [f"{word}: {', '.join(map(str, vrids))}" if vrids else f"nothing to do: all were {word} already"]


def _show(result: Any, lines: Iterable[str], as_json: bool) -> None:
    if as_json:
        _print_json(result)
    else:
        _print(lines)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _complain(error: dict[str, Any], as_json: bool) -> int:
    if as_json:
        _print_json({"ok": False, "error": error})
    else:
        problems = error.get("problems") or [error]
        for problem in problems:
            place = f"{problem['path']}: " if problem.get("path") else ""
            remedy = f". {problem['remedy']}" if problem.get("remedy") else ""
            print(f"vrrp-ha: {place}{problem['message']}{remedy}", file=sys.stderr)
    return FAILED
