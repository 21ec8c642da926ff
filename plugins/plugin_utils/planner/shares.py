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
    so many already, then to those who are furthest below their part of it all, then by `tie`. Weight 0: `at_least`.
    """
    shares, lacking, left = _parts(total, weights, at_least)
    if left:
        order = sorted((held[i] <= shares[i], -lack, tie[i], i) for i, lack in lacking)
        for place in order[:left]:
            shares[place[-1]] += 1
    return shares


def _parts(total: int, weights: Sequence[int], at_least: Sequence[int]) -> tuple[list[int], list[tuple[int, int]], int]:
    """Parts rounded down, how many are left over, and who could take one: (sharer, how much it lacks)."""
    shares = list(at_least)
    whole = total
    all_weights = 0
    sharing = []
    for index, own in enumerate(weights):
        if own:
            all_weights += own
            sharing.append(index)
        else:
            whole -= shares[index]
    rest, weight = whole, all_weights
    while above := [index for index in sharing if shares[index] * weight > rest * weights[index]]:
        for index in above:
            rest -= shares[index]
            weight -= weights[index]
            sharing.remove(index)
    left = rest
    lacking = []
    for index in sharing:
        share, remainder = divmod(rest * weights[index], weight)
        shares[index] = share
        left -= share
        if remainder:
            lacking.append((index, whole * weights[index] - share * all_weights))
    return shares, lacking, left


def loads_after(total: int, weights: Sequence[int], counts: Sequence[int], failed: int) -> list[int]:
    """The loads when one fails and the others share what it had as evenly as they can."""
    alive = list(weights)
    alive[failed] = 0
    own = list(counts)
    own[failed] = 0
    nothing = [0] * len(alive)
    return apportion(total, alive, own, nothing, nothing)


def beyond_tolerance(total: int, weights: Sequence[int], loads: Sequence[int], failed: int) -> list[float]:
    """By how many virtual HAs each survivor's load is out of tolerance."""
    weight = sum(weights) - weights[failed]
    beyond = [0.0] * len(loads)
    for index, load in enumerate(loads):
        if index != failed and weights[index]:
            fair = total * weights[index]
            off = TOLERANCE * abs(load * weight - fair) - max(TOLERANCE * weight, fair)
            if off > 0:
                beyond[index] = off / (TOLERANCE * weight)
    return beyond


def worst_survivor(weights: Sequence[int], counts: Sequence[int]) -> tuple[float, int]:
    """How far loads are out of tolerance, all single failures taken together, and who suffers most; 0 if nobody."""
    sharers = [index for index, weight in enumerate(weights) if weight]
    if len(sharers) < 2:
        return 0.0, -1
    own = [count if weight else 0 for count, weight in zip(counts, weights)]
    total = sum(own)
    suffered = [0.0] * len(weights)
    for failed in sharers:
        for index, off in enumerate(beyond_tolerance(total, weights, loads_after(total, weights, own, failed), failed)):
            suffered[index] += off
    return sum(suffered), suffered.index(max(suffered))


def balanced(
    total: int, weights: Sequence[int], at_least: Sequence[int], held: Sequence[int], tie: Sequence[int]
) -> list[int]:
    """Apportioned so that any failure leaves the survivors' loads within tolerance, as far as whole things allow.

    Who is rounded up makes that difference, where weights differ. As few as possible are exchanged.
    """
    counts = apportion(total, weights, at_least, held, tie)
    if len({weight for weight in weights if weight}) < 2:
        return counts
    lower, lacking = _parts(total, weights, at_least)[:2]
    uneven = [index for index, lack in lacking]
    off, short = worst_survivor(weights, counts)
    while off > 0:
        # Most often it helps to give one more to who suffers most; if not, to another.
        takers = sorted((i for i in uneven if counts[i] == lower[i]), key=lambda i: (i != short, tie[i]))
        givers = [index for index in uneven if counts[index] > lower[index]]
        exchanges = (_best_exchange(weights, counts, givers, taker, tie) for taker in takers if givers)
        better = next((exchange for exchange in exchanges if exchange[0] < off), None)
        if better is None:
            break
        off, short, counts = better[0], better[1], better[-1]
    return counts


def _best_exchange(
    weights: Sequence[int], counts: Sequence[int], givers: Sequence[int], taker: int, tie: Sequence[int]
) -> tuple[float, int, int, list[int]]:
    """What is best when one of the givers gives one to the taker: as `worst_survivor`, whose turn, and the counts."""
    exchanges = []
    for giver in givers:
        changed = list(counts)
        changed[giver] -= 1
        changed[taker] += 1
        exchanges.append((*worst_survivor(weights, changed), tie[giver], changed))
    return min(exchanges)
