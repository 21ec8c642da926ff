# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member of two virtual HAs of one home link, Master of the first, for the tests of handoffs."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.core.nodes import UP, Story, of, settings, virtual_ha
from tests.unit.core.recovering import OWN, OWN_VHA, home, switches
from tests.unit.core.registering import CARE_OF, HOME, update
from vrrp_ha.core.balance_settings import BalanceMode, BalanceSettings
from vrrp_ha.core.effects import Report
from vrrp_ha.core.events import HandoffRequested, HandoffsCancelled, HandoffWanted, Reconfigured
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import SECOND
from vrrp_ha.wire.bc_sync import BcDigest, BcUpdate

HERE, THERE = 51, 52
AUTO, ADVISE = BalanceMode.AUTO, BalanceMode.ADVISE
MASTER_SINCE = 0.95


def marks(high: int, low: int, mode: BalanceMode = AUTO, *, rate: float = 1, hold_s: float = 600) -> BalanceSettings:
    return BalanceSettings(mode, high, low, Pace(round(rate * 1_000_000), 1), round(hold_s * SECOND))


def fleet(here: BalanceSettings | None = None, there: BalanceSettings | None = None, **state) -> Story:
    """Master of both; nobody is bound. Without marks for the other one it has those of the first."""
    here = here or BalanceSettings()
    story = Story(virtual_ha(balance=here), replace(OWN, balance=there or here), **state)
    story.happens(UP, 0)
    story.runs_until(MASTER_SINCE)
    assert (story.state(HERE)["state"], story.state(THERE)["state"]) == ("master", "master")
    return story


def with_another_master(here: BalanceSettings, priority: int = 255) -> Story:
    """Master of the first only: of the second a peer is, with the same home addresses to come."""
    story = Story(virtual_ha(balance=here, priority=priority), replace(OWN, priority=100, balance=here))
    story.happens(UP, 0)
    for step in range(10):
        story.hears_advert(255, 0.05 + step / 10, THERE)
        story.runs_until(0.1 + step / 10)
    story.hears_sync(BcDigest(THERE, 0, 0), 1.0)
    assert (story.state(HERE)["state"], story.state(THERE)["state"]) == ("master", "backup")
    assert story.state(THERE)["synced"]
    return story


def bind(story: Story, count: int, seconds: float, first: int = 1, destination: bytes | None = None) -> list[bytes]:
    """So many mobile nodes register, one after the other in the same moment."""
    homes = [home(number) for number in range(first, first + count)]
    for address in homes:
        registers(story, address, seconds, **({"destination": destination} if destination else {}))
    return homes


def registers(story: Story, address: bytes, seconds: float, sequence: int = 1, **more) -> list:
    """A Binding Update, at the first virtual HA unless it says another destination."""
    return story.receives(update(home=address, seconds=seconds, sequence=sequence, **more), seconds)


def appears_there(story: Story, address: bytes, seconds: float, care_of: bytes = CARE_OF, sequence: int = 1) -> list:
    """The other virtual HA's Master says that it has bound it."""
    return story.hears_sync(BcUpdate(THERE, [(600 * SECOND, sequence, 0xC000, address, care_of)]), seconds)


def wants(story: Story, *homes: bytes, seconds: float, count: int = 0, to: int | None = None) -> list:
    return story.happens(HandoffRequested(HERE, HandoffWanted(homes, count, to)), seconds)


def cancels(story: Story, seconds: float) -> list:
    return story.happens(HandoffRequested(HERE, HandoffsCancelled()), seconds)


def told(effects: list) -> list[bytes]:
    """The home addresses that a Home Agent Switch went to, in order."""
    return [packet.routing_home_address for packet, _unused in switches(effects)]


def counts(story: Story, vrid: int = HERE) -> dict[str, int]:
    return story.node.handoffs(vrid).counts()


def states(story: Story) -> dict[str, str]:
    """home address -> state."""
    return {entry["home_address"]: entry["state"] for entry in story.node.handoffs(HERE).describe(0)}


def reported(effects: list, kind: str) -> list[dict]:
    return [report.fields for report in of(effects, Report) if report.kind == kind]


def reconfigure(story: Story, seconds: float, *vrids: int, **balance) -> list:
    """Other settings for these, or for both."""
    configured = [
        replace(v, balance=replace(v.balance, **balance)) if v.vrid in (vrids or (HERE, THERE)) else v
        for v in story.node.settings.virtual_has
    ]
    return story.happens(Reconfigured(settings(*configured)), seconds)


__all__ = ["HOME", "OWN_VHA"]
