# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-doc tells of the collection is complete: every plugin, each of its options and what it returns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gates.collection import run

FLEET = "mip6.vrrp_ha"
PREFIX = f"{FLEET}."
TYPES = ("module", "filter", "inventory")
ATTRIBUTES = {"check_mode", "diff_mode", "idempotent", "platform"}
SUPPORT = {"full", "partial", "none", "N/A"}
TYPE_NAMES = {"str", "int", "float", "bool", "list", "dict", "path", "raw"}
OF_ANSIBLE = {"cache_prefix"}
"""An option that Ansible's own documentation of caches adds, without a type."""


class Documented:
    """What ansible-doc knows, by type of plugin and by name without the collection's."""

    def __init__(self, collection: Path) -> None:
        self._collection = collection
        self.listed = {kind: self._asked(kind, "--list", FLEET) for kind in (*TYPES, "role")}
        self.of = {kind: self._asked(kind, *map(PREFIX.__add__, names)) for kind, names in self.listed.items()}

    def _asked(self, kind: str, *arguments: str) -> dict[str, Any]:
        found = json.loads(run(self._collection, "ansible-doc", "--json", "-t", kind, *arguments))
        return {name.removeprefix(PREFIX): entry for name, entry in found.items()}

    def files(self, directory: str) -> set[str]:
        """The names of plugins/DIRECTORY."""
        return {path.stem for path in (self._collection / "plugins" / directory).glob("*.py")}


@pytest.fixture(scope="module")
def documented(collection: Path) -> Documented:
    return Documented(collection)


def told(text: Any) -> bool:
    """Whether it is one sentence at least, or several."""
    lines = [text] if isinstance(text, str) else text
    return bool(lines) and all(isinstance(line, str) and line.strip() for line in lines)


def gaps_in_options(options: dict[str, Any], where: str) -> Iterator[str]:
    for name, option in options.items():
        place = f"{where}.{name}"
        if not told(option.get("description")):
            yield f"{place}: no description"
        if option.get("type") not in TYPE_NAMES and name not in OF_ANSIBLE:
            yield f"{place}: no type"
        if option.get("type") == "list" and "elements" not in option:
            yield f"{place}: a list of what?"
        yield from gaps_in_options(option.get("suboptions") or option.get("options") or {}, place)


def gaps_in_returns(values: dict[str, Any], where: str, *, of_task: bool) -> Iterator[str]:
    for name, value in values.items():
        place = f"{where}:{name}"
        if not told(value.get("description")):
            yield f"{place}: no description"
        if value.get("type") not in TYPE_NAMES:
            yield f"{place}: no type"
        if of_task and not value.get("returned"):
            yield f"{place}: not said when it is returned"
        if value.get("type") == "list" and "elements" not in value:
            yield f"{place}: a list of what?"
        yield from gaps_in_returns(value.get("contains") or {}, place, of_task=False)


def gaps(kind: str, name: str, entry: dict[str, Any]) -> Iterator[str]:
    """What is not told of a plugin."""
    doc = entry["doc"]
    for key in ("short_description", "description", "author", "version_added"):
        if not told(doc.get(key)):
            yield f"{name}: no {key}"
    if FLEET not in (entry.get("examples") or ""):
        yield f"{name}: no example with its whole name"
    yield from gaps_in_options(doc.get("options") or {}, name)
    if kind != "inventory":
        if not entry.get("return"):
            yield f"{name}: not said what it returns"
        yield from gaps_in_returns(entry.get("return") or {}, name, of_task=kind == "module")


@pytest.mark.parametrize("kind", TYPES)
def test_every_plugin_tells_all_of_its_options_and_of_what_it_returns(documented: Documented, kind: str) -> None:
    found = documented.of[kind]
    assert found
    assert [gap for name, entry in found.items() for gap in gaps(kind, name, entry)] == []


def test_no_plugin_is_left_out(documented: Documented, collection: Path) -> None:
    """An action is documented by the module of its name. Filters are listed as they are implemented."""
    assert set(documented.of["module"]) == documented.files("modules")
    assert documented.files("action") <= documented.files("modules")
    assert set(documented.of["inventory"]) == documented.files("inventory")
    assert [name for kind in TYPES for name, told in documented.listed[kind].items() if told == "UNDOCUMENTED"] == []
    helpers = {"doc_fragments", "module_utils", "plugin_utils"}
    there = {path.name for path in (collection / "plugins").iterdir() if path.is_dir()}
    assert there == {"action", "filter", "inventory", "modules"} | helpers


def test_every_module_tells_its_attributes(documented: Documented) -> None:
    incomplete = []
    for name, entry in documented.of["module"].items():
        attributes = entry["doc"].get("attributes") or {}
        if missing := ATTRIBUTES - attributes.keys():
            incomplete.append(f"{name}: no {', '.join(sorted(missing))}")
        for attribute, value in attributes.items():
            if value.get("support") not in SUPPORT or not told(value.get("description")):
                incomplete.append(f"{name}.{attribute}: {value}")
            if value.get("support") == "partial" and not told(value.get("details")):
                incomplete.append(f"{name}.{attribute}: not said what is not supported")
    assert incomplete == []


def test_actions_are_said_to_be_some(documented: Documented) -> None:
    said = {name for name, entry in documented.of["module"].items() if "action" in entry["doc"]["attributes"]}
    assert said == documented.files("action")


def test_the_action_group_has_who_says_so_and_takes_the_options_that_it_is_for(
    documented: Documented, collection: Path
) -> None:
    """A default of the group that one of its modules does not know makes that module fail."""
    groups = yaml.safe_load((collection / "meta/runtime.yml").read_text())["action_groups"]
    modules = {name: entry["doc"] for name, entry in documented.of["module"].items()}
    for group, members in groups.items():
        named = f"{FLEET}.{group}"
        memberships = {
            name: (doc["attributes"].get("action_group") or {}).get("membership", []) for name, doc in modules.items()
        }
        assert members == sorted(name for name, membership in memberships.items() if named in membership)
        assert members == sorted(name for name, doc in modules.items() if "control_socket" in doc["options"])
        assert all("config_file" in modules[name]["options"] for name in members)
    assert set(groups) == {"vrrp_ha"}


def test_the_role_tells_all_of_its_options(documented: Documented) -> None:
    roles = documented.of["role"]
    assert set(roles) == {"agent"}
    for role, entry in roles.items():
        assert set(entry["entry_points"]) == {"main"}
        specification = entry["entry_points"]["main"]
        assert told(specification["short_description"])
        assert told(specification["description"])
        assert [*gaps_in_options(specification["options"], role)] == []
