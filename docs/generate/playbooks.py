# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks and the variables that they and the role take, as the templates in them say.

A variable is an input where a playbook reads it and none of the playbooks sets it. What it means is in the role's
argument specification or in variables.yml beside this file; its default is what the templates have.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import yaml
from jinja2 import nodes

from .blocks import blocks
from .pages import ROOT, code, table
from .plugins import default_of, markdown, type_of

PLAYBOOKS = sorted(ROOT.glob("playbooks/*.yml"))
ROLE = ROOT / "roles/agent"
HOW_TO = ROOT / "docs/how-to"
_OWN = re.compile(r"vrrp_ha_\w+|host|vrid|to|deep")
"""What is looked for: names of ours, and the short ones that procedures take on the command line."""

_FLEET = {
    "vrrp_ha_virtual_has",
    "vrrp_ha_settings",
    "vrrp_ha_sync_keys",
    "vrrp_ha_mobile_node_keys",
    "vrrp_ha_ipsec_security_associations",
    "vrrp_ha_sender_id",
    "vrrp_ha_python",
    "vrrp_ha_wheels",
}
_PLANNED = {"vrrp_ha_plan", "vrrp_ha_virtual_has_planned"}
"""What the inventory plugin tells the playbooks."""

_MANY = 3
"""Playbooks that take a variable, the role included."""

_BARE = ("when", "that", "failed_when", "changed_when", "until", "loop")
"""Keys of a task whose text is an expression without braces."""

_ENVIRONMENT = jinja2.Environment(autoescape=True)


@dataclass(slots=True)
class Reads:
    """What some tasks read, with the defaults that they have for it; and what they set."""

    names: set[str] = field(default_factory=set)
    defaults: dict[str, list[Any]] = field(default_factory=dict)
    sets: set[str] = field(default_factory=set)


@functools.cache
def described() -> dict[str, dict[str, Any]]:
    """Every variable for people, in the form of an argument specification: the role's, then those of playbooks."""
    role = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]["main"]["options"]
    return role | yaml.safe_load(Path(__file__).with_name("variables.yml").read_text("utf-8"))


@functools.cache
def inputs() -> dict[str, list[str]]:
    """{variable: the playbooks that take it}, the role as '(role)'."""
    everything = [(path.stem, _reads(_closure(path))) for path in PLAYBOOKS]
    everything.append(("(role)", _reads(sorted(ROLE.glob("tasks/*.yml")))))
    ours = _PLANNED.union(*(reads.sets for _name, reads in everything))
    found: dict[str, list[str]] = {}
    for name, reads in everything:
        for variable in sorted(reads.names - ours):
            found.setdefault(variable, []).append(name)
    return found


def defaults() -> dict[str, list[Any]]:
    """{variable: the different constants that templates fall back to}."""
    return _reads([*PLAYBOOKS, *sorted(ROOT.glob("playbooks/*/*.yml"))]).defaults


def variables() -> str:
    """The table of docs/reference/variables.md."""
    used = inputs()
    rows = []
    for name, option in described().items():
        rows.append(
            (
                code(name),
                type_of(option),
                default_of(option),
                markdown(option["description"], "modules/"),
                _only_for(used[name]),
            )
        )
    return table(("variable", "type", "default", "meaning", "only for"), rows)


def playbooks() -> str:
    """A section for each playbook: what it does, how it is called, what it takes, where its contract is."""
    used = inputs()
    parts = []
    for path in PLAYBOOKS:
        about, commands = header(path)
        takes = [code(name) for name in described() if path.stem in used[name] and name not in _FLEET]
        if all(path.stem in used[name] for name in _FLEET):
            takes.append("the variables that describe the fleet")
        parts += [f"## {path.stem}", about]
        parts += ["```\n" + "\n".join(commands) + "\n```"]
        parts += [f"Takes {', '.join(takes)}.", f"[What is promised, and how to go about it]({_how_to(path.stem)})."]
    return "\n\n".join(parts)


def header(path: Path) -> tuple[str, list[str]]:
    """What the comment at the head of a playbook says: text, and commands."""
    lines = path.read_text("utf-8").split("\n---\n")[0].splitlines()
    comment = [line.removeprefix("#").strip() for line in lines if "Copyright:" not in line and "SPDX-" not in line]
    commands = [line for line in comment if line.startswith("ansible-playbook")]
    return " ".join(line for line in comment if line and line not in commands), commands


def _only_for(names: list[str]) -> str:
    return ", ".join(f"[{name}](playbooks.md#{name})" for name in names) if len(names) < _MANY else ""


def _how_to(name: str) -> str:
    pages = sorted(HOW_TO.glob("*.md"), key=lambda path: path.stem != name.replace("_", "-"))
    command = re.compile(rf"mip6\.vrrp_ha\.{name}\b")
    return next(f"../how-to/{path.name}" for path in pages if command.search(_commands(path)))


def _commands(page: Path) -> str:
    return "".join(block.text for block in blocks(page.read_text("utf-8")) if not block.language)


def _closure(path: Path) -> list[Path]:
    """A playbook and every file that it imports or includes, the role's tasks too."""
    found = [path]
    for file in found:
        for node in _mappings(yaml.safe_load(file.read_text("utf-8"))):
            for key, value in node.items():
                action = str(key).rpartition(".")[2]
                if action in ("import_playbook", "import_tasks", "include_tasks"):
                    name = value if isinstance(value, str) else value["file"]
                    found += [other for other in [(file.parent / name).resolve()] if other not in found]
                elif action == "include_role":
                    found += [other for other in sorted(ROLE.glob("tasks/*.yml")) if other not in found]
    return found


def _reads(files: list[Path]) -> Reads:
    reads = Reads()
    for file in files:
        for node in _mappings(yaml.safe_load(file.read_text("utf-8"))):
            reads.sets |= set(node.get("vars") or {}) | set(node.get("ansible.builtin.set_fact") or {})
            reads.sets |= {node["register"]} if "register" in node else set()
            reads.sets |= {node["loop_var"]} if "loop_var" in node else set()
            for key, value in node.items():
                for text in _texts(value):
                    _read(text if "{{" in text or key not in _BARE else f"{{{{ {text} }}}}", reads)
    return reads


def _read(text: str, reads: Reads) -> None:
    if "{{" not in text and "{%" not in text:
        return
    tree = _ENVIRONMENT.parse(text)
    reads.names |= {name.name for name in tree.find_all(nodes.Name) if _OWN.fullmatch(name.name)}
    for call in tree.find_all(nodes.Filter):
        if (
            call.name == "default"
            and isinstance(call.node, nodes.Name)
            and call.args
            and _OWN.fullmatch(call.node.name)
        ):
            with_default = reads.defaults.setdefault(call.node.name, [])
            if isinstance(call.args[0], nodes.Const) and call.args[0].value not in with_default:
                with_default.append(call.args[0].value)


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in some YAML."""
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _mappings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _mappings(inner)


def _texts(value: Any) -> Iterator[str]:
    """The strings right at a key, in a list of them too."""
    for inner in value if isinstance(value, list) else [value]:
        if isinstance(inner, str):
            yield inner
