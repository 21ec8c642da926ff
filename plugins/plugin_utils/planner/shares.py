# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole things shared out by weight, and how even the shares stay when one of the sharers fails.

Weights, counts and loads are lists with a place for each sharer. All arithmetic is in integers, so that the same input
gives the same shares on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

TOLERANCE = 10
"""Loads may be a tenth off what is proportional, or one virtual HA, whichever is more."""


def apportion(
    total: int, weights: Sequence[int], at_least: Sequence[int], held: Sequence[int], tie: Sequence[int]
) -> list[int]:
    """`total` things in proportion to `weights`, each sharer's part rounded down or up.

    Who has `at_least` more than its part keeps that, and the others share the rest. Rounding up goes to those who hold
    so many already, then by the larger remainder, then by `tie`. Weight 0: just `at_least`.
    """
    shares, remainders, left = _parts(total, weights, at_least)
    if left:
        order = sorted((held[i] <= shares[i], -remainder, tie[i], i) for i, remainder in remainders)
        for *_, index in order[:left]:
            shares[index] += 1
    return shares


def _parts(total: int, weights: Sequence[int], at_least: Sequence[int]) -> tuple[list[int], list[tuple[int, int]], int]:
    """Everybody's part rounded down, (sharer, remainder) where there is one, and how many are left over."""
    shares = list(at_least)
    rest = total
    weight = 0
    sharing = []
    for index, own in enumerate(weights):
        if own:
            weight += own
            sharing.append(index)
        else:
            rest -= shares[index]
    while above := [index for index in sharing if shares[index] * weight > rest * weights[index]]:
        for index in above:
            rest -= shares[index]
            weight -= weights[index]
            sharing.remove(index)
    left = rest
    remainders = []
    for index in sharing:
        shares[index], remainder = divmod(rest * weights[index], weight)
        left -= shares[index]
        if remainder:
            remainders.append((index, remainder))
    return shares, remainders, left


def loads_after(total: int, weights: Sequence[int], counts: Sequence[int], failed: int) -> list[int]:
    """The loads when one fails and the others share what it had as evenly as they can."""
    alive = list(weights)
    alive[failed] = 0
    own = list(counts)
    own[failed] = 0
    nothing = [0] * len(alive)
    return apportion(total, alive, own, nothing, nothing)


def beyond_tolerance(total: int, weights: Sequence[int], loads: Sequence[int], failed: int) -> tuple[float, int]:
    """By how many virtual HAs the worst survivor's load is out of tolerance, and which survivor; (0, -1) if none is."""
    weight = sum(weights) - weights[failed]
    worst, who = 0, -1
    for index, load in enumerate(loads):
        if index != failed and weights[index]:
            fair = total * weights[index]
            beyond = TOLERANCE * abs(load * weight - fair) - max(TOLERANCE * weight, fair)
            if beyond > worst:
                worst, who = beyond, index
    return worst / (TOLERANCE * weight), who


def worst_failure(weights: Sequence[int], counts: Sequence[int]) -> tuple[float, int]:
    """How far out of tolerance the failure that hurts most leaves whom; (0, -1) if none does."""
    sharers = [index for index, weight in enumerate(weights) if weight]
    if len(sharers) < 2:
        return 0, -1
    own = [count if weight else 0 for count, weight in zip(counts, weights)]
    total = sum(own)
    return max(beyond_tolerance(total, weights, loads_after(total, weights, own, failed), failed) for failed in sharers)


def balanced(
    total: int, weights: Sequence[int], at_least: Sequence[int], held: Sequence[int], tie: Sequence[int]
) -> list[int]:
    """Apportioned so that any failure leaves the survivors' loads within tolerance, as far as whole things allow.

    Who is rounded up makes that difference, where weights differ. As few as possible are exchanged.
    """
    counts = apportion(total, weights, at_least, held, tie)
    if len({weight for weight in weights if weight}) < 2:
        return counts
    lower, remainders, _ = _parts(total, weights, at_least)
    worst, short = worst_failure(weights, counts)
    while worst > 0 and counts[short] == lower[short]:
        tries = []
        for giver, _remainder in remainders:
            if counts[giver] > lower[giver]:
                changed = list(counts)
                changed[giver] -= 1
                changed[short] += 1
                tries.append((*worst_failure(weights, changed), tie[giver], changed))
        if not tries or min(tries)[0] >= worst:
            break
        worst, short, _, counts = min(tries)
    return counts
