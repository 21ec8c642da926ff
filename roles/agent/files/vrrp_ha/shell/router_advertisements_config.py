# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `router_advertisements` of a virtual HA in agent.json, both ways."""

from __future__ import annotations

from ipaddress import IPv6Network

from ..core.settings import RouterAdvertisementSettings
from ..core.types import SECOND
from .fields import Fields

INFINITY = 0xFFFF_FFFF  # RFC 4861 section 4.6.2


def read(fields: Fields, mipv6_ha_mode: bool, prefix: IPv6Network | None) -> RouterAdvertisementSettings:
    """RFC 4861 section 6.2.1. A virtual HA is a router for its mobile nodes, not by itself for hosts on the link.

    Bounds and defaults of the intervals are those of RFC 4861; RFC 6275 section 7.5 lets one go below them.
    """
    defaults = RouterAdvertisementSettings()
    lifetime = fields.integer("router_lifetime", 0, 9000, 0 if mipv6_ha_mode else 1800)
    maximum = fields.seconds("maximum_interval", 0.07, 1800, 600)
    minimum = fields.seconds("minimum_interval", 0.03, 1350, _minimum(maximum) / SECOND)
    if 4 * minimum > 3 * maximum:
        message = f"{_plain(minimum)} is more than three quarters of the maximum_interval, {_plain(maximum)}"
        fields.problem("minimum_interval", message, f"Use 0.03 to {_plain(3 * maximum // 4)}, or leave it out.")
    if 0 < lifetime * SECOND < maximum:
        message = f"{lifetime} is over before the next advertisement, which may take {_plain(maximum)} seconds"
        fields.problem("router_lifetime", message, "Use 0 (no default router) or at least the maximum_interval.")
    autonomous = fields.boolean("autonomous", False)
    if autonomous and prefix is not None and prefix.prefixlen != 64:
        message = f"is true, but hosts make addresses of 64-bit prefixes only, and the prefix is {prefix}"
        fields.problem("autonomous", message, "Leave it out.")
    valid = fields.integer("valid_lifetime", 1, INFINITY, defaults.valid_lifetime_us // SECOND)
    preferred = fields.integer("preferred_lifetime", 0, INFINITY, min(valid, defaults.preferred_lifetime_us // SECOND))
    if preferred > valid:
        message = f"{preferred} is more than the valid_lifetime, {valid}"
        fields.problem("preferred_lifetime", message, f"Use {valid} at most (RFC 4861 section 4.6.2).")
    settings = RouterAdvertisementSettings(
        enabled=fields.boolean("enabled", defaults.enabled),
        router_lifetime_us=lifetime * SECOND,
        maximum_interval_us=maximum,
        minimum_interval_us=minimum,
        minimum_delay_us=fields.seconds("minimum_delay", 0.03, 3, min(3 * SECOND, minimum) / SECOND),
        interval_option=fields.boolean("interval_option", mipv6_ha_mode),
        managed=fields.boolean("managed", defaults.managed),
        other=fields.boolean("other", defaults.other),
        autonomous=autonomous,
        valid_lifetime_us=valid * SECOND,
        preferred_lifetime_us=preferred * SECOND,
        unsolicited=fields.boolean("unsolicited", defaults.unsolicited),
    )
    fields.close()
    return settings


def plain(settings: RouterAdvertisementSettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {
        "enabled": settings.enabled,
        "router_lifetime": settings.router_lifetime_us // SECOND,
        "maximum_interval": _plain(settings.maximum_interval_us),
        "minimum_interval": _plain(settings.minimum_interval_us),
        "minimum_delay": _plain(settings.minimum_delay_us),
        "interval_option": settings.interval_option,
        "managed": settings.managed,
        "other": settings.other,
        "autonomous": settings.autonomous,
        "valid_lifetime": settings.valid_lifetime_us // SECOND,
        "preferred_lifetime": settings.preferred_lifetime_us // SECOND,
        "unsolicited": settings.unsolicited,
    }


def _minimum(maximum: int) -> int:
    """MinRtrAdvInterval by default: a third of the maximum, at least 3 s where that fits."""
    third = maximum // 3 // SECOND * SECOND if maximum >= 3 * SECOND else maximum // 3
    return max(3 * SECOND, third) if maximum >= 4 * SECOND else max(SECOND * 3 // 100, maximum // 3)


def _plain(time_us: int) -> int | float:
    return time_us // SECOND if time_us % SECOND == 0 else time_us / SECOND
