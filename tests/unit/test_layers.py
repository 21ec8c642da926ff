# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decides knows no clock, no dice and no host: the imports of core/ and wire/ are walked."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "roles" / "agent" / "files" / "vrrp_ha"

# Standard library modules that compute and nothing else. Anything not named here needs a decision.
PURE = {
    "__future__",
    "array",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",  # for showing times; its clocks are forbidden below
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "ipaddress",
    "itertools",
    "math",
    "operator",
    "re",
    "struct",
    "types",
    "typing",
}
# Third parties', and where: nothing else may, and not until a function is called.
LATE = {"wire/esp.py": {"cryptography"}}
FORBIDDEN = {"time", "random", "os", "socket", "asyncio", "pyroute2"}
CLOCKS = {"now", "utcnow", "today"}
MAY_IMPORT = {"wire": {"wire"}, "core": {"core", "wire"}}

MODULES = sorted(path for layer in MAY_IMPORT for path in (PACKAGE / layer).rglob("*.py"))


def imports_of(source: str) -> Iterator[tuple[int, str]]:
    """(level, name) of every import anywhere in a module; level counts the dots of a relative one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.level, node.module
            else:  # from . import a, b
                for alias in node.names:
                    yield node.level, alias.name


def violations(path: Path, source: str) -> list[str]:
    """What a module of a pure layer must not do."""
    layer = path.relative_to(PACKAGE).parts[0]
    depth = len(path.relative_to(PACKAGE).parts)  # dots that lead to the package itself
    found = []
    late = LATE.get(str(path.relative_to(PACKAGE)), set())
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [
                f"imports {name} at once"
                for _unused, name in imports_of(ast.unparse(node))
                if name.split(".")[0] in late
            ]
    for level, name in imports_of(source):
        top = name.split(".")[0]
        if level == 0 and top not in PURE | late:
            found.append(f"imports {name}")
        elif level == depth and top not in MAY_IMPORT[layer]:
            found.append(f"imports {top}/ from {layer}/")
        elif level > depth:
            found.append(f"imports {name} from outside the package")
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=attribute) if attribute in CLOCKS:
                found.append(f"reads the clock in line {node.lineno}")
            case ast.Call(func=ast.Name(id="__import__" | "open" | "exec" | "eval" as name)):
                found.append(f"calls {name} in line {node.lineno}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_pure_layers_import_nothing_of_the_host(path):
    assert violations(path, path.read_text()) == []


def test_both_layers_were_found():
    assert {path.relative_to(PACKAGE).parts[0] for path in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    "line",
    [
        *(f"import {name}" for name in sorted(FORBIDDEN)),
        "import os.path",
        "from time import monotonic",
        "from ..shell import loop",
        "from ..shell.loop import run",
        "from .. import shell",
        "from ... import anything",
        "def late():\n    import socket",
        "datetime.now()",
        "open('/etc/passwd')",
    ],
)
def test_the_walk_finds_what_is_forbidden(line):
    assert violations(PACKAGE / "core" / "node.py", line) != []


def test_esp_is_imported_without_what_encrypts():
    path = PACKAGE / "wire" / "esp.py"
    assert violations(path, "def seal():\n    from cryptography import x") == []
    assert violations(path, "from cryptography import x") != []
    assert violations(PACKAGE / "wire" / "ipv6.py", "def seal():\n    from cryptography import x") != []


def test_wire_does_not_look_up_to_core():
    assert violations(PACKAGE / "wire" / "vrrp.py", "from ..core.types import Address") != []
    assert violations(PACKAGE / "core" / "node.py", "from ..wire import vrrp\nfrom .types import text") == []
