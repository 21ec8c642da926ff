# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of mip6.vrrp_ha.procedure: which run this is, and whether another one still lives."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import PROCEDURE

MODULE = "mip6.vrrp_ha.procedure"


class ActionModule(ActionBase):
    """One call of the module; a second one only to take the place of a run that was killed."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(PROCEDURE)
        # Tasks are carried out by processes that ansible-playbook forks.
        pid = os.getppid()
        holder = {
            "id": run_id(pid),
            "playbook": arguments["playbook"],
            "controller": socket.gethostname(),
            "pid": pid,
        }
        result = self._call(arguments, holder, "", task_vars)
        other = result.get("held_by")
        if other and _was_killed(other) and not self._task.check_mode:
            result = self._call(arguments, holder, other["id"], task_vars)
            other = result.get("held_by")
        if other and arguments["state"] == "begun":
            result.update(failed=True, msg=_told(other))
        return result

    def _call(
        self, arguments: dict[str, Any], holder: dict[str, Any], instead_of: str, task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        call = dict(arguments, holder=holder, take_over_from=instead_of)
        return dict(self._execute_module(module_name=MODULE, module_args=call, task_vars=task_vars))


def run_id(pid: int) -> str:
    """A name for a process of this machine that no other one ever has."""
    return f"{_boot()}/{pid}/{_started(pid)}"


def _was_killed(holder: dict[str, Any]) -> bool:
    """It ran on this machine, and does not any more."""
    return str(holder["id"]).startswith(f"{_boot()}/") and run_id(int(holder["pid"])) != holder["id"]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: the lease alone says when a run is over
        return f"{socket.gethostname()}/{time.time_ns()}"


def _started(pid: int) -> str:
    """When the process was started, in ticks since the boot; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def _told(other: dict[str, Any]) -> str:
    since, until = (time.strftime("%H:%M:%S", time.localtime(other[name])) for name in ("since", "until"))
    return (
        f"{other['playbook']} is at work since {since}, process {other['pid']} on {other['controller']}; "
        f"wait until it is over, {until} at the latest, or give -e vrrp_ha_take_over=true if you know that it is not"
    )
