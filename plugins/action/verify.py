# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet-wide comparison of the verify playbook, once and on the controller."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import FLEET_VIRTUAL_HA, without_none
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils import report_files, verify_report
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.deep import Deep
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.fleet import Fleet

SPEC = dict(
    virtual_has=dict(type="list", elements="dict", options=FLEET_VIRTUAL_HA, required=True),
    observed=dict(type="dict", required=True),
    leaving=dict(type="list", elements="str", default=[]),
    drift=dict(type="bool", default=True),
    absent=dict(type="list", elements="str", default=[]),
    since=dict(type="dict", default={}),
    deep=dict(type="bool", default=False),
    looks=dict(type="list", elements="dict", default=[]),
    deep_limit=dict(type="int", default=20),
    rounds=dict(type="int", default=10),
    report=dict(type="path"),
)


class ActionModule(ActionBase):
    """Compares what the hosts answered with what they should be; touches no host."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(SPEC)
        fleet = Fleet(
            without_none(arguments["virtual_has"]),
            arguments["observed"],
            frozenset(arguments["leaving"]),
            arguments["drift"],
            frozenset(arguments["absent"]),
            arguments["since"],
        )
        problems = fleet.problems()
        transient = bool(problems) and all(problem.transient for problem in problems)
        ask = {}
        if arguments["deep"]:
            deep = Deep(fleet, arguments["looks"], arguments["deep_limit"], arguments["rounds"])
            problems, ask = problems + deep.problems(), deep.ask()
        if arguments["report"]:
            result["report"] = report_files.write(arguments["report"], verify_report.files(fleet, problems))
        result.update(
            changed=False,
            failed=bool(problems),
            problems=[problem.document() for problem in problems],
            transient=transient,
            since=fleet.first_looked(),
            ask=ask,
            looks=arguments["looks"],
            table=fleet.table(),
            msg="\n".join(problem.line() for problem in problems) or "the fleet is as it should be",
        )
        return result
