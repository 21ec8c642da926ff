# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `tunnel` of agent.json, both ways."""

from __future__ import annotations

from ..core.tunnel_settings import MINIMUM_MTU, TunnelSettings
from .fields import Fields, plain_pace

_LARGEST_MTU = 65_535


def read(fields: Fields) -> TunnelSettings:
    """The settings; notes every problem."""
    defaults = TunnelSettings()
    given = fields.is_given("path_mtu")
    settings = TunnelSettings(
        path_mtu=fields.integer("path_mtu", MINIMUM_MTU, _LARGEST_MTU) if given else defaults.path_mtu,
        mss_clamp=fields.boolean("mss_clamp", defaults.mss_clamp),
        hop_limit=fields.integer("hop_limit", 1, 255, defaults.hop_limit),
        reassemble=fields.boolean("reassemble", defaults.reassemble),
        relay_errors=fields.boolean("relay_errors", defaults.relay_errors),
        errors=fields.pace("error_rate", "error_burst", defaults.errors),
        errors_of_one=fields.pace("mobile_node_error_rate", "mobile_node_error_burst", defaults.errors_of_one),
    )
    fields.close()
    return settings


def plain(settings: TunnelSettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {
        "path_mtu": settings.path_mtu or None,
        "mss_clamp": settings.mss_clamp,
        "hop_limit": settings.hop_limit,
        "reassemble": settings.reassemble,
        "relay_errors": settings.relay_errors,
        **plain_pace("error_rate", "error_burst", settings.errors),
        **plain_pace("mobile_node_error_rate", "mobile_node_error_burst", settings.errors_of_one),
    }
