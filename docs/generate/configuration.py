# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of agent.json and keys.json, as the agent's own readers ask for them.

The readers are run on two configurations: one with what is required alone, for the defaults, and the samples of
docs/reference/configuration.md, which name every field. What a getter is asked for says what the field may be.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from vrrp_ha.shell.config import ConfigurationError, load
from vrrp_ha.shell.fields import REQUIRED, Fields

from . import plugins
from .blocks import blocks
from .pages import REFERENCE, code, table

KEYS = "keys:"
_VIRTUAL_HA = {
    "vrid": 51,
    "interface": "eth1",
    "addresses": ["2001:db8:1::51"],
    "prefix": "2001:db8:1::/64",
    "priority": 255,
    "insecure_sync": True,
}
_KEYS = {
    "sync_keys": [{}],
    "mobile_node_keys": [{}],
    "ipsec_security_associations": [{}],
}
_MINIMAL = {"format": 1, "host": "ha1", "virtual_has": [_VIRTUAL_HA]}, {"format": 1, **_KEYS}
GETTERS: dict[str, Callable[..., str]] = {
    "boolean": lambda: "true or false",
    "integer": lambda low, high: f"{low} to {high}" if low < high else str(low),
    "seconds": lambda low, high: f"{low:g} to {high:g} seconds",
    "per_second": lambda low, high: f"{low:g} to {high:g} a second",
    "text": lambda: "text",
    "choice": lambda choices: ", ".join(map(code, choices)),
    "absolute_path": lambda: "absolute path",
    "octets": lambda least: f"{2 * least} hex digits or more" if least else "hex digits",
    "address": lambda: "address",
    "optional_address": lambda: "address",
    "network": lambda strict=True: "prefix" if strict else "address or prefix",
    "section": lambda: "object",
    "sections": lambda: "list of objects",
    "items": lambda: "list",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader wants of one field."""

    value: str
    default: Any = REQUIRED


def parts() -> dict[str, str]:
    """{name of a part: its table}, one for each object of the two files."""
    inside: dict[str, dict[str, Asked]] = {}
    for path, asked in fields().items():
        outer, _dot, name = path.rpartition(".")
        if path.startswith(KEYS) and not outer:
            outer, name = KEYS, path.removeprefix(KEYS)
        inside.setdefault(outer, {})[name] = asked
    del inside["virtual_has[].balance"]  # the agent's section once more
    return {_part(outer): _table(outer, found) for outer, found in inside.items()}


@functools.cache
def fields() -> dict[str, Asked]:
    """{path: what is asked}, an index of a list as []; those of keys.json begin with 'keys:'."""
    page = (REFERENCE / "configuration.md").read_text("utf-8")
    files = tuple(json.loads(block.text) for block in blocks(page) if block.language == "json")[:2]
    _found, left_out = _recorded(*files)
    for path in left_out:
        _put(files, path)
    there, optional = _recorded(*files)
    usual, _optional = _recorded(*_MINIMAL)
    found = {}
    for path, asked in there.items():
        default = usual[path].default if path in usual else None if path in optional else asked.default
        found[path] = Asked(asked.value, default)
    return found


def _put(files: tuple[Any, ...], path: str) -> None:
    """Something at a path of the two files: what, is the same, since readers only note that it is wrong."""
    place = files[path.startswith(KEYS)]
    *outer, name = path.removeprefix(KEYS).split(".")
    for step in outer:
        place = place.setdefault(step.removesuffix("[]"), {})
        place = place[0] if step.endswith("[]") else place
    place[name] = place.get(name) or "something"


def _recorded(agent: Any, keys: Any) -> tuple[dict[str, Asked], set[str]]:
    """What was asked of these files, and which fields were asked for only if they are there."""
    found: dict[str, Asked] = {}
    optional: set[str] = set()
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        for name in GETTERS:
            getter = _recording(name, getattr(Fields, name), found)
            stack.enter_context(mock.patch.object(Fields, name, getter))
        is_given = Fields.is_given

        def asked_whether(self: Fields, name: str) -> bool:
            optional.add(_general(self.at(name)))
            return is_given(self, name)

        stack.enter_context(mock.patch.object(Fields, "is_given", asked_whether))
        files = [Path(directory, name) for name in ("agent.json", "keys.json")]
        for file, value in zip(files, (agent, keys), strict=True):
            file.write_text(json.dumps(value))
            file.chmod(0o600)
        with contextlib.suppress(ConfigurationError):
            load(*map(str, files))
    return found, optional


def _recording(kind: str, getter: Callable[..., Any], found: dict[str, Asked]) -> Callable[..., Any]:
    """The getter, noting what it is called with. Another one that it calls itself says nothing new."""
    signature = inspect.signature(getter)

    def record(self: Fields, *arguments: Any, **named: Any) -> Any:
        given = dict(signature.bind(self, *arguments, **named).arguments)
        path = _general(given.pop("self").at(given.pop("name")))
        default = given.pop("default", None if kind in ("section", "optional_address") else REQUIRED)
        found.setdefault(path, Asked(GETTERS[kind](**given), default))
        return getter(self, *arguments, **named)

    return record


def _general(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def _part(outer: str) -> str:
    return f"keys.json:{outer.removeprefix(KEYS)}" if outer.startswith(KEYS) else f"agent.json:{outer}"


def _table(outer: str, found: dict[str, Asked]) -> str:
    described = _described(outer)
    rows = []
    for name, asked in found.items():
        meaning = plugins.markdown(described[name]["description"], "modules/") if name in described else ""
        rows.append((code(name), asked.value, _default(asked), *([meaning] if described else [])))
    return table(("field", "value", "default", *(["meaning"] if described else [])), rows)


def _default(asked: Asked) -> str:
    if asked.default is REQUIRED:
        return "required"
    if isinstance(asked.default, float):
        return code(f"{asked.default:g}")
    return "" if asked.default in (None, "", []) else code(json.dumps(asked.default).strip('"'))


def _described(outer: str) -> dict[str, Any]:
    """The module's options of that name, where a field means the same there."""
    options = plugins.module("agent")["DOCUMENTATION"]["options"]
    if outer == "balance":
        outer = "virtual_has[].balance"
    for name in filter(None, outer.removeprefix(KEYS).split(".")):
        options = options.get(name.removesuffix("[]"), {}).get("suboptions", {})
    return {} if outer in ("", KEYS) else options
