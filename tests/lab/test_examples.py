# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples that the documentation of modules and filters has, run as they are written, from hosts without an agent.

Those that would end the service, or have nobody to move, are run in check mode. That of the inventory plugin needs no
host and is run by the unit tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.lab import fleet, playbooks, witnessed
from tests.lab.places import CHECKOUT
from tests.lab.witnessed import Run, Task

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py"))
FILTERS = sorted(path.stem for path in (CHECKOUT / "plugins/filter").glob("*.yml"))
ONLY_PREDICTED = {("agent", 1), ("recovery", 0), ("recovery", 2), ("handoff", 0), ("handoff", 2), ("handoff", 3)}
DEPLOY = {
    "name": "the lab's virtual HAs",
    "mip6.vrrp_ha.agent": {"virtual_has": "{{ vrrp_ha_virtual_has }}", "sync_keys": "{{ vrrp_ha_sync_keys }}"},
}
OF_ALL = ("agent_info", "consistency_info", "verify", "plan", "plan_check", "report", "mastership")
OF_ONE = ("binding_info", "handoff", "procedure", "recovery", "virtual_ha", "drain")


def written(module: str) -> list[Task]:
    text = (CHECKOUT / f"plugins/modules/{module}.py").read_text()
    found: list[Task] = yaml.safe_load(text.split('EXAMPLES = r"""')[1].split('"""')[0])
    return found


def examples(module: str) -> list[Task]:
    """Each with a name that says where it is from."""
    found = []
    for number, task in enumerate(written(module)):
        named = task | {"name": f"{module}: {task['name']}"}
        found.append(named | {"check_mode": True} if (module, number) in ONLY_PREDICTED else named)
    return found


def of_filter(name: str) -> dict[str, Any]:
    document = yaml.safe_load((CHECKOUT / f"plugins/filter/{name}.yml").read_text())
    found: dict[str, Any] = yaml.safe_load(document["EXAMPLES"])
    return found


@pytest.fixture(scope="module")
def run(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    fleet.down()
    fleet.up()
    playbooks.install()
    variables = {"vaulted_sync_keys": "{{ vrrp_ha_sync_keys }}"}
    filters: list[Task] = [{"name": f"filter: {name}", "ansible.builtin.set_fact": of_filter(name)} for name in FILTERS]
    plays: list[dict[str, Any]] = [
        {"hosts": "vrrp_ha", "vars": variables, "tasks": [*examples("agent"), DEPLOY | {"register": "deployed"}]},
        {"hosts": "vrrp_ha", "tasks": [task for module in OF_ALL for task in examples(module)] + filters},
        {"hosts": "ha1", "tasks": [task for module in OF_ONE for task in examples(module)]},
    ]
    yield witnessed.run_plays(plays, tmp_path_factory.mktemp("examples"))
    fleet.down()


def test_no_module_is_left_out() -> None:
    assert sorted(("agent", *OF_ALL, *OF_ONE)) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_a_module_run(run: Run, module: str) -> None:
    for task in examples(module):
        seen = [entry for entry in run.seen if entry.task == task["name"]]
        assert seen, f"{task['name']} was not run:\n{run.play.output[-3000:]}"
        assert [f"{entry.host}: {entry.message}" for entry in seen if entry.failed] == []


@pytest.mark.parametrize("name", FILTERS)
def test_the_example_of_a_filter_runs(run: Run, name: str) -> None:
    seen = run[f"filter: {name}"]
    assert not seen.failed, seen.message
    assert all(seen.result["ansible_facts"].values())


def test_what_the_examples_say_is_so(run: Run) -> None:
    assert run["filter: batches"].result["ansible_facts"] == {"order": [["ha2"], ["ha1"]]}
    handed_over = [entry for entry in run.seen if entry.task == "mastership: Hand over to ha2"]
    states = {entry.host: entry.result["virtual_has"][0]["state"] for entry in handed_over}
    assert states == {"ha1": "backup", "ha2": "master", "ha3": "backup"}
    assert run["plan: Put the plan into a page"].changed
    assert run["drain: Take the home agent out of service before the machine is switched off"].changed
