# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses to go on with a plan that was not accepted: says what differs, and the command that accepts it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_fleet import (
    FleetPlanError,
    accepting,
    collect,
    not_accepted,
    procedure,
)

PLANS = ("vrid_plan.yml", "vrid_plan.yaml")


class ActionModule(ActionBase):
    """Looks at variables only; touches no host. Without a plan in the inventory there is nothing to refuse."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec({})
        task_vars = task_vars or {}
        inventory = task_vars.get("ansible_inventory_sources") or []
        try:
            sources = collect(task_vars["groups"], task_vars["hostvars"])
        except FleetPlanError as error:
            raise AnsibleActionFail(str(error)) from error
        unread = sorted(
            {os.path.realpath(path) for path in _plans_in(inventory)}
            - {os.path.realpath(source.path) for source in sources}
        )
        if unread:
            raise AnsibleActionFail(
                f"{', '.join(unread)} could not be read, so there is no plan to bring the hosts to; the reasons are in "
                "the warnings at the top of this output, or from: ansible-inventory --graph"
            )
        changes = not_accepted(sources, task_vars["ansible_play_hosts_all"], task_vars["groups"])
        result.update(changed=False, changes=[change["line"] for change in changes])
        if changes:
            locks = ", ".join(source.lock for source in sources)
            lines = [f"the inventory asks for another plan than was accepted in {locks}:"]
            lines += [f"- {change['line']}" for change in changes]
            lines += procedure(changes)
            lines.append(f"Look at it and accept it with: {accepting(inventory)}")
            result.update(failed=True, msg="\n".join(lines))
        return result


def _plans_in(inventory: Sequence[str]) -> Iterable[str]:
    """The files among the sources, and in directories among them, that are to plan."""
    for source in inventory:
        if os.path.isdir(source):
            for directory, _directories, files in os.walk(source):
                yield from (os.path.join(directory, name) for name in files if name.endswith(PLANS))
        elif source.endswith(PLANS):
            yield source
