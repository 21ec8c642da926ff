# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages show of inventories, variables, tasks and configurations is what the collection takes."""

import json
import re
from pathlib import Path

import pytest
import yaml

from docs.generate import configuration, playbooks, plugins
from docs.generate.blocks import Block, blocks
from plugins.plugin_utils.plan_inputs import HOST_VARIABLES, SETTINGS, read_inputs
from plugins.plugin_utils.plan_lock import read_lock
from plugins.plugin_utils.planner.plan import make_plan
from tests.lab import documents
from vrrp_ha.shell import metrics
from vrrp_ha.shell.config import load

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "roles/agent/README.md", *sorted(ROOT.glob("docs/**/*.md"))]
LANGUAGES = {"", "sh", "yaml", "json", "text"}

VARIABLES = {f"vrrp_ha_{name}": option for name, option in plugins.module("agent")["DOCUMENTATION"]["options"].items()}
PLUGIN = "mip6.vrrp_ha."


def of(language: str) -> list:
    found = [(page.relative_to(ROOT), block) for page in PAGES for block in blocks(page.read_text("utf-8"))]
    return [pytest.param(page, b, id=f"{page}:{b.line}") for page, b in found if b.language == language]


def everything(value: object):
    """Every mapping in some data."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from everything(inner)


def unknown(given: object, options: dict, path: str = "") -> list[str]:
    """What some options of a module are not, by their documentation."""
    found = []
    for entry in given if isinstance(given, list) else [given]:
        for name, value in entry.items() if isinstance(entry, dict) else ():
            if name not in options:
                found.append(path + name)
                continue
            choices = options[name].get("choices", [value])
            if not isinstance(value, dict | list) and value not in choices and "{{" not in str(value):
                found.append(f"{path}{name}: {value}")
            if "suboptions" in options[name]:
                found += unknown(value, options[name]["suboptions"], f"{path}{name}.")
    return found


def wrong(data: object) -> list[str]:
    """Tasks and variables in some YAML that nothing takes."""
    described = {*playbooks.described(), *HOST_VARIABLES}
    found = []
    for mapping in everything(data):
        for key, value in mapping.items():
            name = str(key)
            if name.startswith(PLUGIN) and name.removeprefix(PLUGIN) in plugins.MODULES:
                found += unknown(
                    value, plugins.module(name.removeprefix(PLUGIN))["DOCUMENTATION"]["options"], f"{name}: "
                )
            elif name.startswith(PLUGIN) or (name.startswith("vrrp_ha_") and name not in described):
                found.append(name)
            elif name == "vrrp_ha_settings":
                found += [f"{name}: {path}" for path in paths(value) if path not in configuration.fields()]
            elif name in VARIABLES and isinstance(value, list):
                found += unknown(value, VARIABLES[name].get("suboptions", {}), f"{name}: ")
            elif name == "settings" and isinstance(value, dict):
                found += [f"settings: {setting}" for setting in value if setting not in {*SETTINGS, "metrics"}]
    return found


def paths(value: dict, outer: str = "") -> list[str]:
    return [
        path
        for name, inner in value.items()
        for path in [outer + name, *(paths(inner, f"{outer}{name}.") if isinstance(inner, dict) else [])]
    ]


@pytest.mark.parametrize(("page", "block"), of("yaml"))
def test_yaml_is_read_and_says_nothing_that_is_not_known(page: Path, block: Block):
    for data in yaml.safe_load_all(block.text):
        assert wrong(data) == []


@pytest.mark.parametrize(("page", "block"), of("yaml"))
def test_plans_and_lock_files_are_accepted(page: Path, block: Block):
    data = yaml.safe_load(block.text)
    if not isinstance(data, dict) or data.get("plugin") != "mip6.vrrp_ha.vrid_plan":
        return
    if "format" in data:
        assert read_lock(block.text)
        return
    inputs = read_inputs(data["links"], data.get("defaults", {}), hosts_of(page, next(iter(data["links"]))))
    assert [problem.line() for problem in inputs.problems] == []
    assert make_plan(inputs.links.values(), inputs.plannable()).plan


def hosts_of(page: Path, link: str) -> dict[str, dict]:
    """The hosts that the page shows, else three."""
    for block in blocks((ROOT / page).read_text("utf-8")):
        if block.language == "yaml" and "hosts:" in block.text and "vrrp_ha:" in block.text:
            group = yaml.safe_load(block.text)["vrrp_ha"]
            return {name: {**group["vars"], **(own or {})} for name, own in group["hosts"].items()}
    return {name: {"vrrp_ha_link": link} for name in ("ha1", "ha2", "ha3")}


@pytest.mark.parametrize(("page", "block"), of("yaml"))
def test_rules_for_prometheus_name_metrics_that_there_are(page: Path, block: Block):
    named = {name for name in re.findall(r"expr: (.*)", block.text) for name in re.findall(r"vrrp_ha_\w+", name)}
    assert {name.removeprefix(metrics.PREFIX) for name in named} <= set(metrics.FAMILIES)


@pytest.mark.parametrize(("page", "block"), of("json"))
def test_parts_of_configurations_are_accepted(page: Path, block: Block, tmp_path: Path):
    """Whole ones have a test of their own: tests/unit/shell/test_documented_configuration.py."""
    if block.text.startswith("{"):
        json.loads(block.text)
        return
    file = tmp_path / "agent.json"
    file.write_text(json.dumps({"format": 1, "host": "ha1", "virtual_has": [], **json.loads(f"{{{block.text}}}")}))
    load(str(file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_are_in_languages_that_something_looks_at(page: Path):
    assert {block.language for block in blocks(page.read_text("utf-8"))} <= LANGUAGES


def test_blocks_that_are_run_are_commands():
    """What a program prints is in a block with the language `text`."""
    programs = {
        "ansible",
        "ansible-galaxy",
        "ansible-inventory",
        "ansible-playbook",
        "git",
        "make",
        "python3",
        "vrrp-ha",
    }
    found = [command for page in documents.pages() for command in documents.commands(page)]
    assert [str(command) for command in found if command.text.split()[0] not in programs] == []
    assert len(found) > 50


def test_what_is_wrong_is_found():
    assert wrong({"vrrp_ha_sttings": {}}) == ["vrrp_ha_sttings"]
    assert wrong({"vrrp_ha_settings": {"tunnel": {"mtu": 1}}}) == ["vrrp_ha_settings: tunnel.mtu"]
    assert wrong([{"mip6.vrrp_ha.drain": {"state": "dry"}}]) == ["mip6.vrrp_ha.drain: state: dry"]
    assert wrong([{"mip6.vrrp_ha.agent": {"virtual_has": [{"vrrid": 1}]}}]) == ["mip6.vrrp_ha.agent: virtual_has.vrrid"]
    assert wrong({"vrrp_ha_sync_keys": [{"id": 1}]}) == ["vrrp_ha_sync_keys: id"]
    assert wrong({"vrrp_ha_settings": {"tunnel": {"path_mtu": 1280}}, "settings": {"sync_key": "fleet"}}) == []
