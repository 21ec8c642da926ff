# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters by which procedures decide on the controller, once for all hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.rebalance import rebalance


def _rebalance(observed: Any, virtual_has: Any, tolerance: Any = 10) -> Any:
    try:
        percent = float(tolerance)
    except (TypeError, ValueError):
        percent = -1.0
    if not 0 <= percent <= 100:
        raise AnsibleFilterError(f"vrrp_ha_tolerance is {tolerance!r}; give a number of percent from 0 to 100")
    try:
        return rebalance(observed, virtual_has, percent)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"needs what agent_info returned by host, and virtual HAs as in vrrp_ha_virtual_has: {error!r}"
        raise AnsibleFilterError(message) from error


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rebalance": _rebalance}
