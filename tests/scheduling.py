# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests one worker has after each other, when there are several workers."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling


class Scheduling(LoadScopeScheduling):
    """What shares something slow to make stays together, and is begun first; the rest is for whoever has time."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/gates/"):
            return "gates"  # share copies of the collection
        if nodeid.startswith("tests/lab/"):
            return nodeid.split("::")[0]  # share a fleet
        return nodeid
