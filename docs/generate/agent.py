# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent says and is asked: metrics, calls of the control protocol, events, the command line.

Events are found in the source, since a report is made where something happens: each has a line in events.yml.
"""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import yaml

from vrrp_ha import cli
from vrrp_ha.core.handoff_events import HandoffState
from vrrp_ha.shell import calls, metrics

from .blocks import blocks
from .pages import REFERENCE, ROOT, code, table

SOURCES = sorted(ROOT.glob("roles/agent/files/vrrp_ha/*/*.py"))
_REPORTING = {"Report", "report", "_report", "_tell", "_mismatch"}
_LEVELS = {"debug", "info", "warning", "error"}
_FINISHED = {HandoffState.DONE.value: "info", HandoffState.FAILED.value: "warning"}
"""How recoveries and handoffs end, and the level of that."""

_OTHER_WORDS = {"drain", "handed_over"}
"""Literals beside the kind and the level: the reasons of changes of state."""


def metric_table() -> str:
    rows = []
    for name, family in metrics.FAMILIES.items():
        labels = ", ".join(map(code, _labels()[name])) or "-"
        rows.append((code(metrics.PREFIX + name), family.kind, labels, family.help.rstrip(".")))
    return table(("metric", "type", "labels", ""), rows)


def call_table() -> str:
    """The docstrings of the methods, with the limits that they name."""
    known = calls.Calls(SimpleNamespace())  # type: ignore[arg-type] # nothing is called
    rows = []
    for who, entries in (("group", known.reading), ("root", known.changing)):
        for name, method in entries.items():
            text = " ".join(inspect.getdoc(method).removesuffix(".").split())
            for limit in (word for word in vars(calls) if word.startswith("MOST_")):
                text = text.replace(f"{{{limit}}}", str(getattr(calls, limit)))
            arguments, _arrow, result = text.partition(" -> ")
            rows.append((code(name), who, arguments, result))
    return table(("call", "who", "args", "result"), rows)


def error_codes() -> str:
    """Every code that a CallError is made with."""
    found = {
        call.args[0].value
        for path in SOURCES
        for call in _calls(ast.parse(path.read_text("utf-8")), {"CallError"})
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    return ", ".join(map(code, sorted(found))) + "."


def event_table() -> str:
    described = yaml.safe_load(Path(__file__).with_name("events.yml").read_text("utf-8"))
    return table(
        ("event", "level", "meaning"), ((code(k), " or ".join(sorted(events()[k])), v) for k, v in described.items())
    )


@functools.cache
def events() -> dict[str, set[str]]:
    """{kind: its levels} of everything that is reported with a level above debug."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                for call in _calls(function, _REPORTING):
                    words = {word for argument in call.args[:2] for word in _words(argument, function)}
                    levels = words & _LEVELS or {"warning"}  # a mismatch does not say
                    for kind in words - levels - _OTHER_WORDS:
                        found.setdefault(kind, set()).update({_FINISHED[end]} if (end := _end(kind)) else levels)
    return {kind: levels - {"debug"} for kind, levels in found.items() if levels != {"debug"}}


def commands() -> str:
    """What `vrrp-ha COMMAND --help` says, for every command."""
    (actions,) = [a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)]
    rows = []
    for name, parser in actions.choices.items():
        own = [action for action in parser._actions if action.dest not in ("help", "json", "config", "socket")]
        rows.append((code(_usage(name, own)), parser.description or "", "\n".join(map(_argument, own))))
    return table(("command", "", "arguments"), rows)


def _usage(name: str, actions: list[argparse.Action]) -> str:
    words = [f"vrrp-ha {name}"]
    for action in actions:
        shown = str(action.metavar or action.dest.upper())
        if action.option_strings:
            words.append(f"[{action.option_strings[0]}{'' if action.nargs == 0 else ' ' + shown}]")
        else:
            words.append({None: shown, "?": f"[{shown}]", "*": f"[{shown} ...]", "+": f"{shown} ..."}[action.nargs])
    return " ".join(words)


def _argument(action: argparse.Action) -> str:
    shown = action.option_strings[0] if action.option_strings else str(action.metavar or action.dest.upper())
    return f"{code(shown)}: {action.help}"


def _labels() -> dict[str, tuple[str, ...]]:
    """{family: the labels of its values}, of the sample status with a counter of every kind."""
    page = (REFERENCE / "control-protocol.md").read_text("utf-8")
    (status,) = (json.loads(block.text) for block in blocks(page) if block.language == "json")
    for counters, prefixes in (
        (status["counters"], metrics.AGENT_FAMILY_BY_PREFIX),
        (status["virtual_has"][0]["counters"], metrics.FAMILY_BY_PREFIX),
    ):
        counters.update({f"{prefix}.reason": 1 for prefix in prefixes})
    samples = [*metrics.of_agent(status), *metrics.of_virtual_ha(status["virtual_has"][0])]
    return {sample.family: tuple(sample.labels) for sample in samples}


def _calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in names:
            yield node


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _words(argument: ast.expr, function: ast.FunctionDef) -> Iterator[str]:
    """The constants that an argument may be; what ends in the state of something finished may be any of them."""
    match argument:
        case ast.Constant(value=str() as word):
            yield word
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*_words(body, function), *_words(orelse, function))
        case ast.JoinedStr(values=[ast.Constant(value=str() as prefix), _]) if prefix.endswith("_"):
            yield from (prefix + state for state in _FINISHED)
        case ast.Name(id=name):
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and _name(node.targets[0]) == name:
                    yield from _words(node.value, function)


def _end(kind: str) -> str:
    """The state at the end of its name, "" if there is none."""
    return next((state for state in _FINISHED if kind in (f"recovery_{state}", f"handoff_{state}")), "")
