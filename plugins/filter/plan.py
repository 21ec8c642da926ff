# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for virtual HAs: as data, table, Markdown; of a whole fleet; in the order of an upgrade; with other keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils import key_rotation, plan_report, upgrade_order


def _filter(show: Callable[..., Any]) -> Callable[..., Any]:
    def apply(virtual_has: Any, drained: Any = ()) -> Any:
        try:
            return show(virtual_has, {str(host) for host in drained})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"needs virtual HAs as in vrrp_ha_virtual_has, with vrid and priorities: {error!r}"
            raise AnsibleFilterError(message) from error

    return apply


def _fleet_virtual_has(lists: Any) -> Any:
    try:
        return plan_report.fleet_virtual_has(lists)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"needs a list for each host, each as in vrrp_ha_virtual_has: {error!r}") from error


def _batches(hosts: Any, virtual_has: Any, masters: Any) -> Any:
    try:
        return upgrade_order.batches(hosts, virtual_has, masters)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"needs hosts, virtual HAs as in vrrp_ha_virtual_has, and VRIDs by host: {error!r}"
        raise AnsibleFilterError(message) from error


def _sync_key_step(virtual_has: Any, step: Any, host: Any, observed: Any, keys: Any) -> Any:
    try:
        return key_rotation.virtual_has_of_step(step, host, virtual_has, observed, keys)
    except key_rotation.RotationError as error:
        raise AnsibleFilterError(str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"needs virtual HAs as in vrrp_ha_virtual_has, a step, a host, what there is, and names: {error!r}"
        raise AnsibleFilterError(message) from error


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "batches": _batches,
            "fleet_virtual_has": _fleet_virtual_has,
            "plan_data": _filter(plan_report.plan_data),
            "plan_table": _filter(plan_report.plan_table),
            "plan_markdown": _filter(plan_report.plan_markdown),
            "sync_key_step": _sync_key_step,
        }
