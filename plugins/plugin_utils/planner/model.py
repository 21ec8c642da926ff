# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planning is about: home links and home agents go in, a plan with reasons comes out.

Plain values. They know neither Ansible nor files; inputs.py makes them from what an operator wrote, plan_lock.py reads
and writes plans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

OWNER = 255
VRIDS = range(1, 256)

ACTIVE = "active"
DRAINED = "drained"
LEAVING = "leaving"
SERVICES = (ACTIVE, DRAINED, LEAVING)
"""Active takes its share; drained keeps what it owns, gets nothing new and is the last to take over; leaving also hands
over what it owns."""

_DIGITS = re.compile(r"(\d+)")


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts ha2 before ha10."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part]


@dataclass(frozen=True)
class HomeAgent:
    """A host that can serve on a link. Its identity outlives its name in the inventory."""

    name: str
    link: str
    weight: Fraction = Fraction(1)
    zone: str | None = None
    service: str = ACTIVE
    identity: str = ""


@dataclass(frozen=True)
class Pin:
    """What an operator decided about one virtual HA; what is None is the planner's choice."""

    name: str | None = None
    vrid: int | None = None
    address: int | None = None
    owner: str | None = None
    mipv6_ha_mode: bool | None = None

    def label(self) -> str:
        """How messages call it."""
        return f"pin {self.name}" if self.name else f"pin of VRID {self.vrid}"


@dataclass(frozen=True)
class Pool:
    """Addresses that virtual HAs may get: inclusive ranges, in the order in which they are used up."""

    ranges: tuple[tuple[int, int], ...]

    def __contains__(self, address: int) -> bool:
        return any(first <= address <= last for first, last in self.ranges)

    def __len__(self) -> int:
        return min(sum(last - first + 1 for first, last in self.ranges), 1 << 32)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)


@dataclass(frozen=True)
class Link:
    """A home link and what is wanted on it. `wanted` None: one virtual HA, or `per_ha`, for each HA."""

    name: str
    prefix: str
    network: tuple[int, int]
    pool: Pool
    wanted: int | None = None
    per_ha: int = 1
    vrids: frozenset[int] = frozenset(VRIDS)
    reserved: frozenset[int] = frozenset()
    pins: tuple[Pin, ...] = ()
    retired: frozenset[str] = frozenset()
    backups: int = 100
    mipv6_ha_mode: bool = True
    anycast: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class VirtualHa:
    """One virtual HA as planned: members with their priorities, the highest first."""

    name: str
    vrid: int
    address: str
    priorities: Mapping[str, int]
    mipv6_ha_mode: bool = True

    @property
    def order(self) -> list[str]:
        """The members: the owner first, then the backups in the order in which they take over."""
        return sorted(self.priorities, key=lambda member: -self.priorities[member])

    @property
    def owner(self) -> str | None:
        """The member that holds the address as its own; None only in a plan that somebody edited."""
        return next((name for name, priority in self.priorities.items() if priority == OWNER), None)


@dataclass(frozen=True)
class LinkPlan:
    """A link's part of the plan: who is on it (name and identity), and its virtual HAs by name."""

    name: str
    prefix: str
    hosts: Mapping[str, str]
    virtual_has: Mapping[str, VirtualHa]


@dataclass(frozen=True)
class Plan:
    """Every link's plan."""

    links: Mapping[str, LinkPlan] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """Why there can be no plan, in one line that says where and what to do."""

    link: str
    message: str
    remedy: str
    host: str | None = None

    def line(self) -> str:
        """The problem for people."""
        where = f"link {self.link}" if self.link else "plan"
        return (
            f"{where}, host {self.host}: {self.message}; {self.remedy}"
            if self.host
            else (f"{where}: {self.message}; {self.remedy}")
        )


class PlanError(ValueError):
    """What was asked for cannot be planned; carries every problem, not just the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(problem.line() for problem in problems))
