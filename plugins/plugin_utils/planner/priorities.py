# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VRRP priorities for an order of members: 255 for the owner, then from 200 downwards with room between them.

The room lets an operator put a router of another make between two members. All backups' priorities lie within less
than 100 of each other as long as there are no more than 100 of them: an agent without a complete binding cache
advertises 100 less, and so loses against every one that has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .model import OWNER

HIGHEST = 200
SPAN = 100
STEPS = (10, 5, 2, 1)


def spaced(count: int) -> list[int]:
    """Priorities for so many backups, evenly spaced."""
    step = next((step for step in STEPS if (count - 1) * step < SPAN), 1)
    highest = max(HIGHEST, count)  # more than 200 backups begin higher
    return [highest - step * rank for rank in range(count)]


def assign_priorities(order: Sequence[str], previous: Mapping[str, int]) -> dict[str, int]:
    """A priority for each member, in the order that is given (the owner first).

    Members that stay in their order keep the priorities that they have, an operator's own included, and new ones get
    what is between. Where that does not work out all backups are spaced anew.
    """
    backups = order[1:]
    kept = [previous.get(member, 0) for member in backups]
    values = _filled([value if value < OWNER else 0 for value in kept]) if any(kept) else None
    values = values or spaced(len(backups))
    return {order[0]: OWNER, **dict(zip(backups, values))}


def _filled(values: list[int]) -> list[int] | None:
    """The values with each 0 replaced by something between its neighbours; None if that is not possible."""
    filled = list(values)
    step = STEPS[0]
    above: int | None = None
    for rank, value in enumerate(filled):
        if not value:
            below = next((later for later in filled[rank + 1 :] if later), None)
            if above is not None:
                value = above - step if below is None else (above + below) // 2
            elif below is not None:
                value = min(below + step // 2, OWNER - 1)
            else:
                return None
            filled[rank] = value
        if value < 1 or (above is not None and value >= above):
            return None
        above = value
    if filled[0] - filled[-1] >= SPAN and len(filled) <= SPAN and max(values) - min(v for v in values if v) < SPAN:
        return None
    return filled
