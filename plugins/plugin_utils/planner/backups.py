# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the other HAs of a link back up each virtual HA.

The first backups of one owner are spread so that the survivors' loads stay in proportion when it fails, and lie in
another failure zone where there is one. The second backups do the same for the failure of owner and first backup
together. Who comes after that hardly matters for load: they stay as they were, and new ones take turns. Drained HAs
come last but for leaving ones. What was good in the previous plan is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from .model import ACTIVE, DRAINED, LEAVING
from .owners import Members
from .shares import apportion, beyond_tolerance


def backup_orders(
    members: Members, owners: Sequence[int | None], previous: Sequence[Sequence[int]], limit: int
) -> list[list[int]]:
    """The backups of each virtual HA, the first to take over first. `previous`: the orders so far, without who left."""
    spread = _Spread(members, owners, previous)
    firsts = spread.firsts()
    seconds = spread.seconds(firsts)
    active = members.in_service(ACTIVE)
    behind = [members.in_service(DRAINED), members.in_service(LEAVING)]
    orders = []
    for index, owner in enumerate(owners):
        order = [backup for backup in (firsts[index], seconds[index]) if backup is not None]
        if owner is None:
            orders.append(order)
            continue
        taken = {owner, *order}
        kept = [backup for backup in previous[index] if backup not in taken and members.services[backup] == ACTIVE]
        order += kept
        taken.update(kept)
        # New ones take turns: they begin behind the last of those that were chosen by load.
        start = (order[-1] if order else owner) + 1
        order += [backup for backup in active if backup >= start and backup not in taken]
        order += [backup for backup in active if backup < start and backup not in taken]
        for tier in behind:
            known = [backup for backup in previous[index] if backup in tier]
            order += [backup for backup in known + [new for new in tier if new not in known] if backup != owner]
        orders.append(order[:limit])
    return orders


class _Spread:
    """Loads of one link while backups are chosen, owner by owner."""

    def __init__(self, members: Members, owners: Sequence[int | None], previous: Sequence[Sequence[int]]) -> None:
        self.members = members
        self.owners = owners
        self.active = members.in_service(ACTIVE)
        self.owned: list[list[int]] = [[] for member in members.weights]
        for index, owner in enumerate(owners):
            if owner is not None:
                self.owned[owner].append(index)
        # Who serves how many when nothing fails: what active HAs own, and later what they serve for drained ones.
        self.loads = [len(self.owned[member]) if member in self.active else 0 for member in range(len(members))]
        # Who is first backup of how many, of each owner, and of each zone's owners.
        self.first_of = [[0] * len(members) for member in members.weights]
        self.first_of_zone: dict[str | None, list[int]] = {zone: [0] * len(members) for zone in set(members.zones)}
        self.previous = [
            [backup for backup in order if backup != owner and members.services[backup] == ACTIVE]
            for order, owner in zip(previous, owners)
        ]

    def firsts(self) -> list[int | None]:
        """The first backup of each virtual HA."""
        chosen: list[int | None] = [None] * len(self.owners)
        # Drained owners first: what their backups serve for them is load that the others' backups have to consider.
        for owner in self.members.in_service(DRAINED) + self.active:
            if self.owned[owner]:
                self._firsts_of(owner, chosen)
        return chosen

    def _firsts_of(self, owner: int, chosen: list[int | None]) -> None:
        others = [member for member in self.active if member != owner]
        zone = self.members.zones[owner]
        eligible = [member for member in others if self.members.zones[member] != zone or zone is None] or others
        if not eligible:
            return
        wanted = self._preferred(owner, set(eligible))
        counts = self._first_counts(owner, eligible, wanted, len(eligible) == len(others))
        for member in eligible:
            self.first_of[owner][member] = counts[member]
            self.first_of_zone[zone][member] += counts[member]
            if self.members.services[owner] == DRAINED:
                self.loads[member] += counts[member]
        left = list(counts)
        for index, backup in wanted.items():
            if left[backup]:
                chosen[index] = backup
                left[backup] -= 1
        turn = [member for member in self._from(owner, eligible) if left[member]]
        for index in self.owned[owner]:
            if chosen[index] is None:
                known = next((backup for backup in self.previous[index] if left[backup]), None)
                backup = max(turn, key=lambda member: left[member]) if known is None else known
                chosen[index] = backup
                left[backup] -= 1

    def _preferred(self, owner: int, eligible: set[int]) -> dict[int, int]:
        """By virtual HA of the owner: who was next in the previous plan."""
        wanted = {}
        for index in self.owned[owner]:
            backup = next((backup for backup in self.previous[index] if backup in eligible), None)
            if backup is not None:
                wanted[index] = backup
        return wanted

    def _first_counts(self, owner: int, eligible: list[int], wanted: dict[int, int], anybody: bool) -> list[int]:
        """How many of the owner's virtual HAs each HA backs up first."""
        size = len(self.members)
        weights, at_least, held, nothing = [0] * size, [0] * size, [0] * size, [0] * size
        for member in eligible:
            weights[member] = self.members.weights[member]
            at_least[member] = held[member] = self.loads[member]
        for backup in wanted.values():
            held[backup] += 1
        total = sum(at_least) + len(self.owned[owner])
        seen = self.first_of_zone[self.members.zones[owner]]
        tie = [seen[member] * size + (member - owner) % size for member in range(size)]
        loads = apportion(total, weights, at_least, held, tie)
        if wanted and anybody and self.members.services[owner] == ACTIVE:
            # Keeping the backups there were may leave the survivors too uneven: then not.
            off = sum(beyond_tolerance(total, weights, loads, owner))
            if off:
                fresh = apportion(total, weights, at_least, nothing, tie)
                if sum(beyond_tolerance(total, weights, fresh, owner)) < off:
                    loads = fresh
        return [load - own for load, own in zip(loads, at_least)]

    def _from(self, owner: int, among: list[int]) -> list[int]:
        """Those among whom to choose, beginning after the owner, so that not everybody begins with the same."""
        return [member for member in among if member > owner] + [member for member in among if member < owner]

    def seconds(self, firsts: Sequence[int | None]) -> list[int | None]:
        """The second backup of each virtual HA, for when owner and first backup fail together."""
        chosen: list[int | None] = [None] * len(self.owners)
        pairs: dict[tuple[int, int], list[int]] = {}
        for index, (owner, first) in enumerate(zip(self.owners, firsts)):
            if owner is not None and first is not None:
                pairs.setdefault((min(owner, first), max(owner, first)), []).append(index)
        seconds_of = [0] * len(self.members)
        for pair, indexes in pairs.items():
            eligible = [member for member in self.active if member not in pair]
            if eligible:
                self._seconds_of(pair, indexes, eligible, chosen, seconds_of)
        return chosen

    def _seconds_of(
        self, pair: tuple[int, int], indexes: list[int], eligible: list[int], chosen: list[int | None], seen: list[int]
    ) -> None:
        one, other = pair
        weights = self.members.weights
        backs_one, backs_other = self.first_of[one], self.first_of[other]
        loads = {member: self.loads[member] + backs_one[member] + backs_other[member] for member in eligible}
        total = sum(loads.values()) + len(indexes)
        weight = sum(weights[member] for member in eligible)
        size = len(self.members)

        def take(index: int, member: int) -> None:
            chosen[index] = member
            loads[member] += 1
            seen[member] += 1

        for index in indexes:
            before = next((backup for backup in self.previous[index] if backup in loads), None)
            if before is not None and loads[before] * weight < total * weights[before]:
                take(index, before)
        for index in indexes:
            if chosen[index] is None:
                # Only who is below its part: so that planning again from this plan keeps it.
                below = [member for member in eligible if loads[member] * weight < total * weights[member]]
                take(
                    index,
                    min(
                        below,
                        key=lambda member: (
                            (2 * loads[member] + 1) / weights[member],
                            seen[member],
                            (member - other) % size,
                        ),
                    ),
                )
