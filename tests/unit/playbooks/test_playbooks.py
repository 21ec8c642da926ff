# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of every task of every playbook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
FILES = sorted(PLAYBOOKS.rglob("*.yml"))
Task = dict[str, Any]


def tasks(entries: list[Task], any_errors_fatal: bool) -> Iterator[tuple[Task, bool]]:
    """All of a list of plays or tasks, with what holds for them when they do not say it themselves."""
    for entry in entries:
        fatal = bool(entry.get("any_errors_fatal", any_errors_fatal))
        inside = [task for part in ("tasks", "block", "rescue", "always") for task in entry.get(part, [])]
        yield from tasks(inside, fatal)
        if not inside:
            yield entry, fatal


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PLAYBOOKS)))
def test_a_host_that_cannot_be_reached_and_is_ignored_ends_no_play(file: Path) -> None:
    """With any_errors_fatal it would, and nobody would be told why. What includes a file of tasks may have set that."""
    found = tasks(yaml.safe_load(file.read_text()), any_errors_fatal=file.parent.name == "tasks")
    assert [task["name"] for task, fatal in found if task.get("ignore_unreachable") and fatal] == []
