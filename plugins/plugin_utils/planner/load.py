# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many virtual HAs each HA serves by a plan, when all is well and when others fail."""

from __future__ import annotations

from collections.abc import Collection

from .model import LinkPlan


def loads(link: LinkPlan, without: Collection[str] = ()) -> dict[str, int]:
    """By host: how many virtual HAs it is Master of, when those in `without` (failed or drained) serve none."""
    served = {host: 0 for host in link.hosts if host not in without}
    for entry in link.virtual_has.values():
        master = next((member for member in entry.order if member in served), None)
        if master is not None:
            served[master] += 1
    return served


def loads_after_failures(link: LinkPlan, without: Collection[str] = ()) -> dict[str, dict[str, int]]:
    """By failing host: the loads of the others."""
    return {host: loads(link, {*without, host}) for host in link.hosts if host not in without}
