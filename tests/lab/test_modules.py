# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module against a whole host: predicted, done, done again, undone; fed back, spelled otherwise, by default.

All tasks are run in one go by one playbook; each test looks at what was seen of some of them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import access, fleet, topology, witnessed
from tests.lab.matrix import (
    BY_DEFAULT,
    CASES,
    CHANGES,
    CLAIMING,
    EVERYTHING,
    FEEDING_BACK,
    GROUP,
    MODULES,
    QUERIES,
    SECRETS,
    SHOWING,
    SPELLING,
    Case,
    task,
)
from tests.lab.mobility import MobileNode
from tests.lab.places import CHECKOUT
from tests.lab.witnessed import Run, Seen


@pytest.fixture(scope="module")
def matrix(deployed: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Everything on ha1, whose virtual HA has bindings."""
    MobileNode("mn1", 51, topology.FOREIGN_1).must_register(10)
    queries = [task(f"query: {name}", name, options) for name, options in QUERIES.items()]
    tasks = [
        task("known", "agent_info", {}, register="known"),
        *queries,
        *[query | {"name": query["name"] + " in check mode", "check_mode": True} for query in queries],
        *FEEDING_BACK,
        *SPELLING,
        *CLAIMING,
        BY_DEFAULT,
        *[each for case in CASES for each in case.tasks()],
    ]
    run = witnessed.run(tasks, tmp_path_factory.mktemp("matrix"), "--diff")
    print(f"{len(run.seen)} tasks in {run.play.seconds:.1f} s")
    return run


def succeeded(seen: Seen) -> Seen:
    assert not seen.failed, seen.message
    return seen


def test_every_module_is_in_the_matrix(matrix: Run) -> None:
    seen = {entry.module.removeprefix("mip6.vrrp_ha.") for entry in matrix.seen}
    assert seen == set(MODULES) - {"plan"}, "plan has a test of its own, it is not about hosts"


@pytest.mark.parametrize(("case", "step"), CHANGES, ids=lambda value: getattr(value, "name", value))
def test_check_mode_predicts_and_changes_nothing(matrix: Run, case: Case, step: str) -> None:
    predicted = succeeded(matrix[f"{case.name}: {step} predicted"])
    done = succeeded(matrix[f"{case.name}: {step}"])
    assert predicted.changed
    assert done.changed
    assert predicted.result["changes"] == done.result["changes"] != []
    assert predicted.diff == done.diff != []
    if not case.goes_on:
        assert predicted.state == matrix.before(predicted.task).state


@pytest.mark.parametrize(("case", "step"), CHANGES, ids=lambda value: getattr(value, "name", value))
def test_a_second_run_changes_nothing_and_has_no_diff(matrix: Run, case: Case, step: str) -> None:
    done, again = matrix[f"{case.name}: {step}"], succeeded(matrix[f"{case.name}: {step} again"])
    assert not again.changed
    assert (again.result["changes"], again.diff) == ([], [])
    if not case.goes_on:
        assert again.state == done.state


@pytest.mark.parametrize("case", [case for case in CASES if case.undo is not None], ids=lambda case: case.name)
def test_what_was_undone_is_as_it_was(matrix: Run, case: Case) -> None:
    first, last = matrix.before(f"{case.name}: change predicted"), matrix[f"{case.name}: undo again"]
    assert first.state is not None
    assert last.state is not None
    for part in ("files", "network"):
        if case.name != "agent absent":  # it lost its bindings, and their routes
            assert last.state[part] == first.state[part]


@pytest.mark.parametrize("name", QUERIES)
def test_who_only_asks_changes_nothing(matrix: Run, name: str) -> None:
    for task_name in (f"query: {name}", f"query: {name} in check mode"):
        seen = matrix[task_name]
        assert name == "verify" or not seen.failed, seen.message
        assert (seen.changed, seen.diff) == (False, [])
        assert seen.state == matrix["known"].state


def test_a_claim_is_made_once_and_is_no_change(matrix: Run) -> None:
    path = "run/vrrp-ha-procedure.json"
    states = [succeeded(matrix[name]).state for name in ("claim predicted", "claim", "claim again", "claim ended")]
    claims = [state["files"].get(path) for state in states if state]
    assert [bool(claim and claim[1]) for claim in claims] == [False, True, True, False]
    assert not any(matrix[entry["name"]].changed for entry in CLAIMING)


def test_no_spelling_of_an_address_is_a_change(matrix: Run) -> None:
    for name in ("fleet is spelled otherwise", "everything is spelled otherwise"):
        seen = succeeded(matrix[name])
        assert (seen.changed, seen.diff) == (False, []), seen.result["changes"]
    found = succeeded(matrix["bindings"]).result["bindings"]
    other = succeeded(matrix["bindings are spelled otherwise"]).result["bindings"]
    assert [entry["home_address"] for entry in found] == [entry["home_address"] for entry in other] != []


def test_what_agent_info_returns_is_what_virtual_ha_takes_whatever_is_configured(matrix: Run) -> None:
    assert succeeded(matrix["everything is given"]).changed
    known = succeeded(matrix["everything is known"]).result["virtual_has"]
    assert set(known[-1]) == set(EVERYTHING)
    back = succeeded(matrix["everything is fed back"])
    assert (back.changed, back.diff) == (False, [])
    assert succeeded(matrix["everything is taken away"]).changed


@pytest.mark.parametrize("name", GROUP)
def test_defaults_of_the_action_group_reach_the_module(matrix: Run, name: str) -> None:
    seen = matrix[f"default: {name}"]
    told = " ".join([seen.message, str(seen.result.get("problem")), *seen.result.get("changes", [])])
    if name == "virtual_ha":  # predicts without the agent
        assert succeeded(seen).changed
    else:
        assert "/run/vrrp-ha/nobody.sock" in told


def test_modules_return_what_they_document(matrix: Run) -> None:
    everywhere = {"changed", "failed", "diff", "invocation", "msg", "warnings", "deprecations"}
    for seen in matrix.seen:
        if seen.failed:
            continue
        documented = returns(seen.module)
        found = set(seen.result) - everywhere
        always = {name for name, entry in documented.items() if entry["returned"] in ("always", "success")}
        assert always <= found <= set(documented), seen.task
        for name in found:
            assert has_type(seen.result[name], documented[name]["type"]), f"{seen.task}: {name}"


def returns(module: str) -> dict[str, Any]:
    text = (CHECKOUT / f"plugins/modules/{module.rsplit('.', 1)[-1]}.py").read_text()
    found: dict[str, Any] = yaml.safe_load(text.split('RETURN = r"""')[1].split('"""')[0])
    return found


def has_type(value: object, name: str) -> bool:
    types = {"list": list, "dict": dict, "str": str, "int": int, "bool": bool, "float": float}
    return value is None or isinstance(value, types[name])


def test_a_plan_is_accepted_as_predicted_and_once(deployed: None, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    shutil.copytree(access.INVENTORIES[0], inventory)
    lock = inventory / "vrid_plan.lock.yml"
    accepted = lock.read_text()
    (inventory / "vrid_plan.yml").write_text((inventory / "vrid_plan.yml").read_text() + "    virtual_has: 4\n")
    tasks = [
        task("predicted", "plan", {}) | {"check_mode": True},
        {"name": "lock", "ansible.builtin.slurp": {"src": str(lock)}, "delegate_to": "localhost"},
        task("refused", "plan_check", {}),
        task("done", "plan", {}),
        task("again", "plan", {}),
    ]
    sources = [argument for path in (inventory, access.INVENTORIES[1]) for argument in ("-i", str(path))]
    run = witnessed.run(tasks, tmp_path, "--diff", *sources)
    predicted, done, again = (succeeded(run[name]) for name in ("predicted", "done", "again"))
    assert predicted.changed
    assert (done.changed, again.changed) == (True, False)
    assert predicted.result["changes"] == done.result["changes"] != []
    assert predicted.diff == done.diff != []
    assert again.diff == []
    assert run["refused"].failed
    assert done.diff[0]["before"] == accepted
    assert lock.read_text() == done.diff[0]["after"] != accepted


@pytest.fixture(scope="module")
def shown(matrix: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Keys that are right and wrong, given in every way; everything is shown that Ansible can show."""
    place = tmp_path_factory.mktemp("secrets")
    vault = place / "vault.json"
    vault.write_text(json.dumps(SECRETS))
    return witnessed.run(SHOWING, place, "-vvv", "--diff", "-e", f"@{vault}")


@pytest.mark.parametrize("name", [entry["name"] for entry in SHOWING])
def test_keys_are_taken_or_refused(shown: Run, name: str) -> None:
    seen = shown[name]
    assert seen.failed == name.startswith("no key: "), seen.message
    if not seen.failed:
        assert seen.changed == (name != "keys again")


def all_secrets() -> list[str]:
    keys = json.loads(access.KEYS.read_text())
    known = [entry["key"] for name in ("vrrp_ha_sync_keys", "vrrp_ha_mobile_node_keys") for entry in keys[name]]
    return [*SECRETS.values(), *known]


def test_no_key_is_in_what_ansible_shows(shown: Run) -> None:
    assert "BECOME" in shown.play.output or "EXEC" in shown.play.output, "it was not as talkative as it can be"
    assert [secret for secret in all_secrets() if secret in shown.play.output] == []


def test_no_key_is_in_what_modules_return(shown: Run) -> None:
    returned = json.dumps([entry.result for entry in shown.seen])
    assert [secret for secret in all_secrets() if secret in returned] == []


def test_no_key_is_in_the_journal_of_the_host(shown: Run) -> None:
    journal = fleet.execute("ha1", "journalctl", "--boot", "--no-pager", "--output", "export")
    assert "NOT_LOGGING_PARAMETER" in journal
    assert [secret for secret in all_secrets() if secret in journal] == []


def test_no_key_is_where_anybody_could_read_it(shown: Run) -> None:
    patterns = "\n".join(all_secrets())
    places = ["/etc", "/opt/vrrp-ha", "/root", "/run", "/tmp", "/var/lib/vrrp-ha", "/var/log", "/var/tmp"]
    found = fleet.execute("ha1", "grep", "-rlFD", "skip", "-e", patterns, *places, check=False).split()
    assert set(found) <= {"/etc/vrrp-ha/keys.json"}
    assert fleet.execute("ha1", "stat", "-c", "%a %U %G", "/etc/vrrp-ha/keys.json").strip() == "640 root vrrp-ha"
