# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules, filters and the inventory plugin, from what ansible-doc shows of them."""

from __future__ import annotations

import ast
import functools
import json
import re
import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .pages import ROOT, code, table

COLLECTION = "mip6.vrrp_ha"
MODULES = sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
FILTERS = sorted(path.stem for path in ROOT.glob("plugins/filter/*.yml"))
_MARKUP = re.compile(r"\b(C|V|O|RV|E|M|P|I|B|U)\(((?:[^()\\]|\\.)*)\)|\bL\(([^,()]+),\s*([^()]+)\)")


@functools.cache
def documentation(path: Path) -> dict[str, Any]:
    """{DOCUMENTATION, EXAMPLES, RETURN} of a plugin; the first and the last as data, fragments of ours merged in."""
    if path.suffix == ".yml":
        return yaml.safe_load(path.read_text("utf-8"))
    texts = _strings(path)
    found: dict[str, Any] = {name: yaml.safe_load(texts.get(name, "")) or {} for name in ("DOCUMENTATION", "RETURN")}
    found["EXAMPLES"] = texts.get("EXAMPLES", "")
    about = found["DOCUMENTATION"]
    for name in about.get("extends_documentation_fragment", []):
        if name.startswith(f"{COLLECTION}."):
            for section, entries in _fragment(name).items():
                own = about.get(section, {})
                about[section] = own | {key: value | own.get(key, {}) for key, value in entries.items()}
    return found


def module(name: str) -> dict[str, Any]:
    """What there is about one of the modules."""
    return documentation(ROOT / f"plugins/modules/{name}.py")


def module_pages() -> dict[str, str]:
    """{path in docs/reference: a whole page} for each module."""
    return {f"modules/{name}.md": _module_page(name) for name in MODULES}


def module_list() -> str:
    rows = []
    for name in MODULES:
        about = module(name)["DOCUMENTATION"]
        rows.append((f"[{name}](modules/{name}.md)", _where(about), markdown(about["short_description"], "modules/")))
    return table(("module", "runs on", ""), rows)


def filters() -> str:
    """All filters: what they make of what, with an example."""
    return "\n\n".join(map(_filter, FILTERS))


def inventory_options() -> str:
    """The options of the inventory plugin's source; those of links have a table of their own."""
    options = documentation(ROOT / "plugins/inventory/vrid_plan.py")["DOCUMENTATION"]["options"]
    return options_table({name: option for name, option in options.items() if name != "links"}, "modules/")


def options_table(options: Mapping[str, Any], modules: str) -> str:
    """modules: where the modules' pages are from the page that gets the table, '' or a path with a slash."""
    rows = []
    for path, option in _flat(options):
        rows.append((code(path), type_of(option), default_of(option), markdown(option["description"], modules)))
    return table(("option", "type", "default", "meaning"), rows)


def type_of(option: Mapping[str, Any]) -> str:
    """With the choices, if only a few words will do."""
    kind = option.get("type", "str")
    kind = f"list of {option.get('elements', 'str')}" if kind == "list" else str(kind)
    return ": ".join([kind, *([", ".join(map(code, option["choices"]))] if "choices" in option else [])])


def default_of(option: Mapping[str, Any]) -> str:
    if option.get("default") is None:
        return "required" if option.get("required") else ""
    default = option["default"]
    return code(default if isinstance(default, str) else json.dumps(default))


def markdown(text: str | list[str], modules: str) -> str:
    """Ansible's markup as Markdown; several paragraphs as lines."""
    return "\n".join(_MARKUP.sub(lambda match: _marked(match, modules), part) for part in _listed(text))


def _module_page(name: str) -> str:
    found = module(name)
    about, returned = found["DOCUMENTATION"], found["RETURN"]
    attributes = (
        (code(key), value["support"], "\n".join(_details(value))) for key, value in about["attributes"].items()
    )
    parts = [
        "<!-- made by make docs from plugins/modules; edit it there -->",
        f"# {COLLECTION}.{name}",
        markdown(about["short_description"], "") + ". [All modules](../modules.md).",
        "\n".join(f"- {line}" for line in markdown(about["description"], "").split("\n")),
        "## Options",
        options_table(about["options"], "") if about.get("options") else "None.",
        "## What it can be relied on for",
        table(("attribute", "support", ""), attributes),
        "## Examples",
        f"```yaml\n{found['EXAMPLES'].strip()}\n```",
    ]
    if returned:
        parts += ["## What it returns", _returned(returned)]
    return "\n\n".join(parts) + "\n"


def _filter(name: str) -> str:
    found = documentation(ROOT / f"plugins/filter/{name}.yml")
    about = found["DOCUMENTATION"]
    options = {("input" if key == "_input" else key): value for key, value in about["options"].items()}
    value = found["RETURN"]["_value"]
    return "\n\n".join([
        f"## {name}",
        markdown(about["short_description"], "modules/") + ".",
        markdown(about["description"], "modules/").replace("\n", "\n\n"),
        options_table(options, "modules/"),
        f"Gives a {type_of(value)}: {markdown(value['description'], 'modules/')}",
        f"```yaml\n{found['EXAMPLES'].strip()}\n```",
    ])  # fmt: skip


def _returned(values: Mapping[str, Any]) -> str:
    rows = []
    for name, value in values.items():
        sample = f"\nFor example {code(json.dumps(value['sample']))}" if "sample" in value else ""
        description = markdown(value["description"], "") + sample
        rows.append((code(name), type_of(value), markdown(value.get("returned", ""), ""), description))
    return table(("value", "type", "returned", "what it is"), rows)


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, option in options.items():
        yield prefix + name, option
        inner = "[]." if option.get("type") == "list" else "."
        yield from _flat(option.get("suboptions", {}), f"{prefix}{name}{inner}")


def _where(about: Mapping[str, Any]) -> str:
    action = about.get("attributes", {}).get("action")
    if action is None:
        return "the host"
    return "the controller" if action["description"] == "Runs on the controller." else "both"


def _details(attribute: Mapping[str, Any]) -> Iterator[str]:
    yield markdown(attribute["description"], "")
    for line in _listed(attribute.get("details", [])):
        yield markdown(line, "")


def _marked(match: re.Match[str], modules: str) -> str:
    letter, inner = match[1], re.sub(r"\\(.)", r"\1", match[2] or "")
    if letter is None:
        return f"[{match[3]}]({match[4]})"
    if letter in "IB":
        return f"*{inner}*" if letter == "I" else f"**{inner}**"
    if letter == "U":
        return f"<{inner}>"
    plugin, _hash, rest = inner.partition("#")
    short = plugin.removeprefix(f"{COLLECTION}.")
    if rest == "playbook":
        return code(plugin)
    if letter in ("M", "P"):
        return f"[{short}]({modules}{short}.md)" if short in MODULES else code(plugin)
    if letter in ("O", "RV") and rest:
        option = rest.partition(":")[2]
        return f"{code(option)} of [{short}]({modules}{short}.md)" if short in MODULES else code(option)
    return code(inner)


def _listed(text: str | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else text


def _strings(path: Path) -> dict[str, str]:
    """The string constants that a plugin assigns at its top, or in its first class."""
    tree = ast.parse(path.read_text("utf-8"))
    body = [*tree.body, *(node for top in tree.body if isinstance(top, ast.ClassDef) for node in top.body)]
    return {
        node.targets[0].id: node.value.value
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }


def _fragment(name: str) -> dict[str, Any]:
    """What a fragment says; it may be put together from parts, so it is asked and not read."""
    _namespace, _collection, file, *part = name.split(".")
    fragments = runpy.run_path(str(ROOT / f"plugins/doc_fragments/{file}.py"))["ModuleDocFragment"]
    found: dict[str, Any] = yaml.safe_load(getattr(fragments, part[0].upper() if part else "DOCUMENTATION"))
    return found
