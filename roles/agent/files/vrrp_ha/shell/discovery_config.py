# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `discovery` of a virtual HA in agent.json, both ways."""

from __future__ import annotations

from ..core.discovery_settings import DiscoverySettings
from ..core.settings import RouterAdvertisementSettings
from ..core.types import SECOND
from .fields import Fields, per_second, plain_pace

MOST_BINDINGS = 10_000_000


def read(fields: Fields, router: RouterAdvertisementSettings) -> DiscoverySettings:
    """The settings; notes every problem."""
    defaults = DiscoverySettings()
    interval = -(-router.maximum_interval_us // SECOND)
    usual = max(defaults.home_agent_lifetime_us // SECOND, 3 * interval)
    lifetime = fields.integer("home_agent_lifetime", 1, 0xFFFF, usual)
    if router.enabled and lifetime < interval:
        message = f"{lifetime} is over before the next advertisement, which may take {interval} seconds"
        fields.problem("home_agent_lifetime", message, f"Use {interval} to 65535, or leave it out.")
    shortest = fields.integer("minimum_prefix_interval", 1, 86_400, defaults.minimum_prefix_interval_us // SECOND)
    longest = fields.integer("maximum_prefix_interval", 2, 8_640_000, defaults.maximum_prefix_interval_us // SECOND)
    if shortest >= longest:
        message = f"{shortest} is not less than the maximum_prefix_interval, {longest}"
        fields.problem("minimum_prefix_interval", message, f"Use 1 to {longest - 1}.")
    settings = DiscoverySettings(
        home_agent_information=fields.boolean("home_agent_information", defaults.home_agent_information),
        preference=fields.integer("preference", 0, 0xFFFF) if fields.is_given("preference") else None,
        full_at=fields.integer("full_at", 1, MOST_BINDINGS, defaults.full_at),
        home_agent_lifetime_us=lifetime * SECOND,
        dhaad=fields.boolean("dhaad", defaults.dhaad),
        pace=fields.pace("rate", "burst", defaults.pace),
        per_source=fields.pace("per_source_rate", "per_source_burst", defaults.per_source),
        prefix_solicitations=fields.boolean("prefix_solicitations", defaults.prefix_solicitations),
        prefix_advertisements=fields.boolean("prefix_advertisements", defaults.prefix_advertisements),
        prefix_rate_millionths=fields.per_second(
            "prefix_advertisement_rate", 0.01, 10_000, per_second(defaults.prefix_rate_millionths)
        ),
        minimum_prefix_interval_us=shortest * SECOND,
        maximum_prefix_interval_us=longest * SECOND,
    )
    fields.close()
    return settings


def plain(settings: DiscoverySettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {
        "home_agent_information": settings.home_agent_information,
        "preference": settings.preference,
        "full_at": settings.full_at,
        "home_agent_lifetime": settings.home_agent_lifetime_us // SECOND,
        "dhaad": settings.dhaad,
        **plain_pace("rate", "burst", settings.pace),
        **plain_pace("per_source_rate", "per_source_burst", settings.per_source),
        "prefix_solicitations": settings.prefix_solicitations,
        "prefix_advertisements": settings.prefix_advertisements,
        "prefix_advertisement_rate": per_second(settings.prefix_rate_millionths),
        "minimum_prefix_interval": settings.minimum_prefix_interval_us // SECOND,
        "maximum_prefix_interval": settings.maximum_prefix_interval_us // SECOND,
    }
