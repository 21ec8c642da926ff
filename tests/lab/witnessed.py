# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that are run in one go, and looked at one by one afterwards: what each returned, what the host was then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import hosts, playbooks, topology
from tests.lab.places import CHECKOUT, LabError

CALLBACKS = CHECKOUT / "tests/lab/callbacks"
Task = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """One task on one host: what it returned, and how the host was after it."""

    task: str
    module: str
    host: str
    failed: bool
    result: dict[str, Any]
    state: dict[str, Any] | None

    @property
    def changed(self) -> bool:
        return bool(self.result.get("changed"))

    @property
    def message(self) -> str:
        return str(self.result.get("msg", ""))

    @property
    def diff(self) -> list[dict[str, str]]:
        """The parts of the diff that Ansible would show something of."""
        parts = self.result.get("diff") or []
        parts = [parts] if isinstance(parts, dict) else parts
        return [part for part in parts if part.get("before") != part.get("after")]


@dataclass(frozen=True, slots=True)
class Run:
    """A playbook that was run, and what was seen of its tasks, in their order."""

    play: playbooks.Play
    seen: list[Seen]

    def __getitem__(self, name: str) -> Seen:
        """What was seen of the task of that name, on the first host."""
        return self.seen[self._index(name)]

    def before(self, name: str) -> Seen:
        """What was seen just before it."""
        return self.seen[self._index(name) - 1]

    def _index(self, name: str) -> int:
        for index, entry in enumerate(self.seen):
            if entry.task == name:
                return index
        raise LabError(f"no task {name!r} was run:\n{self.play.output[-3000:]}")


def run(tasks: list[Task], place: Path, *arguments: str) -> Run:
    """Run tasks on ha1, each with a name of its own; a task that fails does not end it."""
    return run_plays([{"hosts": "ha1", "tasks": tasks}], place, *arguments)


def run_plays(plays: list[dict[str, Any]], place: Path, *arguments: str) -> Run:
    """Run plays that go on whatever fails."""
    book, record = place / "play.yml", place / "seen.jsonl"
    record.unlink(missing_ok=True)
    document = [{"gather_facts": False, "ignore_errors": True} | play for play in plays]
    book.write_text(json.dumps(document, indent=1))  # JSON is YAML
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "witness",
        "PYTHONPATH": str(CHECKOUT),
        "WITNESS": str(record),
        "WITNESS_LEADERS": json.dumps({name: hosts.leader(topology.node(name)) for name in topology.HOME_AGENTS}),
    }
    done = playbooks.playbook(str(book), *arguments, timeout=900, environment=environment)
    if not record.exists():
        raise LabError(f"no task was run:\n{done.output[-3000:]}")
    return Run(done, [Seen(**json.loads(line)) for line in record.read_text().splitlines()])
