# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links and home agents to plan for, by hand and by Hypothesis; and what a plan amounts to."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.addresses import number_of
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.model import (
    ACTIVE,
    HomeAgent,
    Link,
    LinkPlan,
    Plan,
    Pool,
)
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.plan import Planned, make_plan
from hypothesis import strategies as st

PREFIX = "2001:db8:1::/64"
FIRST = number_of("2001:db8:1::")


def link(name="berlin", **wanted) -> Link:
    pool = Pool(((FIRST + 0x51, FIRST + 0x1FF),))
    return Link(name, PREFIX, (FIRST, FIRST + 2**64 - 1), **{"pool": pool, **wanted})


def agent(name, link="berlin", weight=1, identity=None, **more) -> HomeAgent:
    return HomeAgent(name, link, Fraction(weight), identity=identity or f"id of {name}", **more)


def agents(*weights, link="berlin", **more) -> list[HomeAgent]:
    return [agent(f"ha{number}", link, weight, **more) for number, weight in enumerate(weights, 1)]


def planned(links, hosts, previous=None) -> LinkPlan:
    """The plan of a single link."""
    links = [links] if isinstance(links, Link) else links
    (only,) = make_plan(links, hosts, previous and Plan({previous.name: previous})).plan.links.values()
    return only


def replanned(links, hosts, previous: LinkPlan) -> Planned:
    links = [links] if isinstance(links, Link) else links
    return make_plan(links, hosts, Plan({previous.name: previous}))


def owners(plan: LinkPlan) -> dict[str, str]:
    return {name: entry.owner for name, entry in plan.virtual_has.items()}


def owned(plan: LinkPlan) -> Counter[str]:
    return Counter(owners(plan).values())


def loads(plan: LinkPlan, *failed: str) -> Counter[str]:
    """How many virtual HAs each host serves when some have failed."""
    return Counter(
        next(member for member in entry.order if member not in failed) for entry in plan.virtual_has.values()
    )


def moved(before: LinkPlan, after: LinkPlan) -> list[str]:
    """Virtual HAs of both plans that have another owner."""
    old, new = owners(before), owners(after)
    return [name for name in old if name in new and old[name] != new[name]]


weights = st.one_of(
    st.lists(st.just(1), min_size=2, max_size=20),
    st.lists(st.integers(1, 4), min_size=2, max_size=20),
    st.lists(st.integers(1, 100), min_size=2, max_size=12),
)
"""As fleets are: often all alike, or of a few sizes; at times of any."""

amounts = st.one_of(st.none(), st.integers(1, 40), st.integers(1, 255))


@st.composite
def fleets(draw, zones=False, services=False):
    """(link, its home agents): any that can be planned."""
    hosts = agents(*draw(weights))
    if zones and draw(st.booleans()):
        names = draw(st.lists(st.sampled_from("abc"), min_size=len(hosts), max_size=len(hosts)))
        hosts = [agent(host.name, weight=host.weight, zone=zone) for host, zone in zip(hosts, names, strict=True)]
    if services:
        states = draw(
            st.lists(st.sampled_from((ACTIVE, ACTIVE, "drained", "leaving")), min_size=len(hosts), max_size=len(hosts))
        )
        states[0] = ACTIVE
        hosts = [
            agent(host.name, weight=host.weight, zone=host.zone, service=state)
            for host, state in zip(hosts, states, strict=True)
        ]
    wanted = draw(amounts)
    backups = draw(st.sampled_from((100, 100, 1, 2, 3)))
    return link(wanted=wanted, backups=backups), hosts
