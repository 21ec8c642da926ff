# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections `balance` of agent.json and of its virtual HAs, both ways.

That of a virtual HA says what is different there; whether it makes sense is asked of the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..core.balance_settings import BalanceMode, BalanceSettings
from ..core.token_bucket import Pace
from ..core.types import SECOND
from .fields import Fields, per_second

MOST_BINDINGS = 10_000_000


def read(fields: Fields, otherwise: BalanceSettings, *, of_virtual_ha: bool) -> BalanceSettings:
    """The settings; what is not given is as in `otherwise`. Notes every problem."""
    mode = fields.choice("mode", [mode.value for mode in BalanceMode], otherwise.mode.value)
    rate = fields.per_second("rate", 0.001, 10_000, per_second(otherwise.pace.rate_millionths))
    settings = BalanceSettings(
        mode=BalanceMode(mode),
        high_water=_mark(fields, "high_water", otherwise.high_water),
        low_water=_mark(fields, "low_water", otherwise.low_water),
        pace=Pace(rate, 1),
        hold_us=fields.seconds("hold_time", 0, 86_400, otherwise.hold_us / SECOND),
    )
    high, low = settings.high_water, settings.low_water
    if high is not None and low is not None and low >= high:
        place = "low_water" if fields.is_given("low_water") else "high_water"
        message = f"the low-water mark, {low}, is not below the high-water mark, {high}"
        fields.problem(place, message, "Four fifths of the high-water mark is a good low-water mark.")
    elif of_virtual_ha and (high is None) != (low is None):
        missing = "high_water" if high is None else "low_water"
        fields.problem(missing, "is missing", "Give both marks, here or in the agent's section 'balance', or neither.")
    elif of_virtual_ha and high is None and settings.mode is not BalanceMode.OFF:
        remedy = "Give high_water and low_water, here or in the agent's section 'balance'."
        fields.problem("high_water", f"is missing, but the mode is '{mode}'", remedy)
    fields.close()
    return settings


def plain(settings: BalanceSettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {
        "mode": settings.mode.value,
        "high_water": settings.high_water,
        "low_water": settings.low_water,
        "rate": per_second(settings.pace.rate_millionths),
        "hold_time": settings.hold_us / SECOND,
    }


def remarks(virtual_has: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What `status` says, in the form of the control protocol, in a line for each overloaded virtual HA."""
    for virtual_ha in virtual_has:
        balance = virtual_ha["balance"]
        if not balance["overloaded"]:
            continue
        advice = ", ".join(f"{entry['count']} to VRID {entry['to']}" for entry in balance["advice"])
        then = f"hand off {advice}" if advice else "no other virtual HA of its home link can take more"
        if advice and balance["mode"] == BalanceMode.AUTO.value:
            then = f"handing off {advice}"
        yield f"vrid {virtual_ha['vrid']}: load {balance['load']} is above {balance['low_water']}: {then}"


def _mark(fields: Fields, name: str, otherwise: int | None) -> int | None:
    return fields.integer(name, 1, MOST_BINDINGS) if fields.is_given(name) else otherwise
