# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which HA of a link owns which virtual HA: by weight, and moving as few as that takes.

HAs and virtual HAs are numbers here, their places in the link's sorted lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from .model import ACTIVE, DRAINED, LEAVING, HomeAgent
from .shares import balanced


@dataclass(frozen=True)
class Members:
    """The HAs of one link, as numbers: whole weights, and who is in which zone and service."""

    weights: tuple[int, ...]
    zones: tuple[str | None, ...]
    services: tuple[str, ...]

    @classmethod
    def of(cls, agents: Sequence[HomeAgent]) -> Members:
        """The weights as whole numbers in the same proportions."""
        scale = lcm(*(agent.weight.denominator for agent in agents))
        return cls(
            tuple(int(agent.weight * scale) for agent in agents),
            tuple(agent.zone for agent in agents),
            tuple(agent.service for agent in agents),
        )

    def __len__(self) -> int:
        return len(self.weights)

    def in_service(self, *services: str) -> list[int]:
        """Who is in one of these services."""
        return [index for index, service in enumerate(self.services) if service in services]


def shares_of(
    members: Members, pinned: Sequence[int], held: Sequence[int], inherits: Sequence[int], total: int
) -> list[int]:
    """How many virtual HAs each HA shall own.

    Counts for each HA: those that are pinned to it, those that are its now, those that have lost their owner and have
    it as first backup.
    """
    size = len(members)
    tie = [index - size * inherits[index] for index in range(size)]
    weights = [0 if service == LEAVING else weight for weight, service in zip(members.weights, members.services)]
    at_least = list(pinned)
    if not any(weights):
        return at_least
    while True:
        counts = balanced(total, weights, at_least, held, tie)
        # Drained: keeps what it has as far as that is its share, and is given nothing.
        full = [
            index
            for index in members.in_service(DRAINED)
            if weights[index] and counts[index] > max(held[index], pinned[index])
        ]
        if not full:
            return counts
        for index in full:
            weights[index] = 0
            at_least[index] = max(held[index], pinned[index])
        if not any(weights):
            return at_least


def fair_share(members: Members, index: int, total: int) -> Fraction:
    """An HA's part by weight, not rounded."""
    weight = sum(weight for weight, service in zip(members.weights, members.services) if service != LEAVING)
    return Fraction(total * members.weights[index], weight) if weight else Fraction(0)


def assign_owners(
    members: Members,
    pinned: Sequence[int | None],
    previous: Sequence[int | None],
    previous_orders: Sequence[Sequence[int]],
) -> list[int | None]:
    """The owner of each virtual HA; None where nobody may own it.

    `previous` and `previous_orders` are the owners and the backups of the previous plan, as far as they are still here.
    What has to move goes to the HA that would have taken over: it has the bindings already.
    """
    total = len(pinned)
    forced = [0] * len(members)
    held = [0] * len(members)
    keeps: list[int | None] = []
    for pin, owner in zip(pinned, previous):
        keep = pin if pin is not None else owner
        if pin is not None:
            forced[pin] += 1
        if keep is not None and (pin is not None or members.services[keep] != LEAVING):
            held[keep] += 1
            keeps.append(keep)
        else:
            keeps.append(None)
    inherits = [0] * len(members)
    for keep, order in zip(keeps, previous_orders):
        heir = next((backup for backup in order if members.services[backup] == ACTIVE), None)
        if keep is None and heir is not None:
            inherits[heir] += 1
    room = shares_of(members, forced, held, inherits, total)

    owners: list[int | None] = [None] * total
    for index, pin in enumerate(pinned):
        if pin is not None:
            owners[index] = pin
            room[pin] -= 1
    homeless = []
    for index, keep in enumerate(keeps):
        if owners[index] is None:
            if keep is not None and room[keep] > 0:
                owners[index] = keep
                room[keep] -= 1
            else:
                homeless.append(index)
    _place(homeless, owners, room, previous_orders, members)
    return owners


def _place(
    homeless: list[int],
    owners: list[int | None],
    room: list[int],
    previous_orders: Sequence[Sequence[int]],
    members: Members,
) -> None:
    """First to their next backups, those that are nearest to it before others; then in turn to who has room."""
    depth = max((len(previous_orders[index]) for index in homeless), default=0)
    for rank in range(depth):
        for index in homeless:
            order = previous_orders[index]
            if owners[index] is None and rank < len(order) and room[order[rank]] > 0:
                owners[index] = order[rank]
                room[order[rank]] -= 1
    turn = [index for index in members.in_service(ACTIVE, DRAINED) if room[index] > 0]
    position = 0
    for index in homeless:
        if owners[index] is None and turn:
            position %= len(turn)
            owner = turn[position]
            owners[index] = owner
            room[owner] -= 1
            if room[owner] > 0:
                position += 1
            else:
                turn.pop(position)
