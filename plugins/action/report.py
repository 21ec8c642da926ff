# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down what the fleet is doing, once and on the controller."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import FLEET_VIRTUAL_HA, without_none
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils import report_files
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.fleet_report import Report

SPEC = dict(
    virtual_has=dict(type="list", elements="dict", options=FLEET_VIRTUAL_HA, required=True),
    observed=dict(type="dict", required=True),
    report=dict(type="path", required=True),
)


class ActionModule(ActionBase):
    """Makes a page of what the hosts answered; touches no host."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(SPEC)
        now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        report = Report(now, without_none(arguments["virtual_has"]), arguments["observed"])
        paths = report_files.write(arguments["report"], report.files())
        result.update(changed=False, report=paths, alarms=report.alarms(), msg="written: " + ", ".join(paths))
        return result
