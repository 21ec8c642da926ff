# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `recovery` of agent.json, both ways."""

from __future__ import annotations

from ..core.settings import RecoverySettings
from .fields import Fields, plain_pace

MOST_QUEUED = 100_000


def read(fields: Fields) -> RecoverySettings:
    """The settings; notes every problem."""
    defaults = RecoverySettings()
    settings = RecoverySettings(
        enabled=fields.boolean("enabled", defaults.enabled),
        pace=fields.pace("rate", "burst", defaults.pace),
        per_source=fields.pace("per_source_rate", "per_source_burst", defaults.per_source),
        queue=fields.integer("queue", 1, MOST_QUEUED, defaults.queue),
        on_expiry=fields.boolean("on_expiry", defaults.on_expiry),
        hook=fields.absolute_path("hook") if fields.is_given("hook") else "",
    )
    fields.close()
    return settings


def plain(settings: RecoverySettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {
        "enabled": settings.enabled,
        **plain_pace("rate", "burst", settings.pace),
        **plain_pace("per_source_rate", "per_source_burst", settings.per_source),
        "queue": settings.queue,
        "on_expiry": settings.on_expiry,
        "hook": settings.hook or None,
    }
