# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `metrics` of agent.json, both ways."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.types import SECOND
from .fields import Fields

_ENDING = ".prom"


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where metrics go besides to who asks for them on the control socket."""

    textfile: str | None = None
    interval_us: int = 15 * SECOND


def read(fields: Fields) -> MetricsSettings:
    """The settings; notes every problem."""
    defaults = MetricsSettings()
    settings = MetricsSettings(
        textfile=fields.absolute_path("textfile") if fields.is_given("textfile") else None,
        interval_us=fields.seconds("interval", 1, 3600, defaults.interval_us / SECOND),
    )
    if settings.textfile and not settings.textfile.endswith(_ENDING):
        remedy = f"node_exporter reads no others: let it end in {_ENDING}."
        fields.problem("textfile", f"does not end in {_ENDING}", remedy)
    fields.close()
    return settings


def plain(settings: MetricsSettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {"textfile": settings.textfile, "interval": settings.interval_us / SECOND}
