# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accepts what the inventory plans: writes the lock files, and returns what is to be seen of the plan."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_fleet import (
    FleetPlanError,
    Source,
    collect,
    procedure,
    virtual_has_shown,
)
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_lock import LockError, write_lock
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_report import plan_table
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.model import Plan, natural

WRITING = ".vrid_plan."
MISSING = (
    "the inventory has no plan; give it a source whose name ends in vrid_plan.yml after the others, and if it has one, "
    "see the warnings at the top of this output for why it could not be read"
)


class ActionModule(ActionBase):
    """Works on the controller's files; touches no host."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec({})
        task_vars = task_vars or {}
        try:
            sources = collect(task_vars["groups"], task_vars["hostvars"])
            if not sources:
                raise FleetPlanError(MISSING)
            texts = [(source, *_accepted(source)) for source in sources]
        except (FleetPlanError, LockError) as error:
            raise AnsibleActionFail(str(error)) from error

        changed = [(source, before, write_lock(plan)) for source, before, plan in texts if before != write_lock(plan)]
        if not self._task.check_mode:
            for source, _before, after in changed:
                _write(source.lock, after)
        changes = [change for source in sources for change in source.changes()]
        result.update(
            changed=bool(changed),
            changes=[change["line"] for change in changes],
            moves=[change["line"] for change in changes if change["moves"]],
            procedure=procedure(changes),
            links=[link for source, _before, plan in texts for link in _shown(source, plan)],
            locks=[source.lock for source in sources],
            diff=[
                {"before_header": source.lock, "after_header": source.lock, "before": before or "", "after": after}
                for source, before, after in changed
            ],
        )
        return result


def _accepted(source: Source) -> tuple[str | None, Plan]:
    """The lock file's text, if there is one, and the plan that is asked for."""
    text = None
    if os.path.exists(source.lock):
        with open(source.lock, encoding="utf-8") as file:
            text = file.read()
    return text, source.wanted(text)


def _shown(source: Source, plan: Plan) -> list[dict[str, Any]]:
    shown = []
    for name in sorted(plan.links, key=natural):
        virtual_has = virtual_has_shown(plan.links[name])
        document = source.links[name]
        shown.append(
            {
                "link": name,
                "prefix": plan.links[name].prefix,
                "virtual_has": virtual_has,
                "drained": list(document["drained"]),
                "changes": [change["line"] for change in document["changes"]],
                "table": plan_table(virtual_has, set(document["drained"])),
            }
        )
    return shown


def _write(path: str, text: str) -> None:
    """All of it or nothing: the plan that was accepted must never be half a file."""
    try:
        mode = os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        mode = 0o644
    _tidy(os.path.dirname(path))
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=f"{WRITING}{os.getpid()}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _tidy(directory: str) -> None:
    """Remove what runs that were killed did not get to complete."""
    for name in os.listdir(directory):
        writer = name.removeprefix(WRITING).partition(".")[0]
        if name.startswith(WRITING) and not (writer.isdecimal() and os.path.exists(f"/proc/{writer}")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))
