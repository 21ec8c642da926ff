# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How strongly a member competes for a virtual HA, and when its owner may come back.

A member that is drained, or that may lack bindings which others have, competes with a lower priority; an owner takes
over only when what it holds is the acting Master's cache and is in the kernel (docs/protocol.md "returning owner").
"""

from __future__ import annotations

from collections.abc import Iterator

from .effects import ConfirmInstalled
from .settings import NodeSettings, VirtualHaSettings


class Eligibility:
    """What one member is worth in the election of one virtual HA."""

    def __init__(self, drained: bool) -> None:
        self.drained = drained
        self._has_history = False
        self._token = 0

    def gains_history(self) -> bool:
        """Another member has what this one has: True if that is news.

        A Master that nobody asked stays modest. It may be alone with an empty cache on its side of a partition, and
        must not win against the members that have the bindings.
        """
        news, self._has_history = not self._has_history, True
        return news

    def priority(self, settings: VirtualHaSettings, node: NodeSettings) -> int:
        """What this member competes with: drained, not yet synced, or as configured."""
        if self.drained:
            return min(settings.priority, node.drained_priority)
        if self._has_history or settings.is_owner or not settings.mipv6_ha_mode:
            return settings.priority
        return max(1, settings.priority - node.sync.unsynced_priority_penalty)

    def confirm(self, vrid: int) -> Iterator[ConfirmInstalled]:
        """Ask whether everything that was synchronised is in the kernel; an earlier question is void."""
        self._token += 1
        yield ConfirmInstalled(vrid, self._token)

    def is_answer(self, token: int) -> bool:
        """Whether this answers the last question."""
        return token == self._token
