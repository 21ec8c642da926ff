# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual HA as plain data, in the form of docs/reference/control-protocol.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .types import CENTISECOND, SECOND, Instant, State, text

if TYPE_CHECKING:
    from .virtual_ha import VirtualHa


def describe(virtual_ha: VirtualHa, host: str, now: Instant) -> dict[str, object]:
    """One entry of status()["virtual_has"]."""
    settings = virtual_ha.settings
    return {
        "vrid": settings.vrid,
        "name": settings.name,
        "interface": settings.interface,
        "address": text(settings.vha_address),
        "addresses": [text(address) for address in (settings.link_local, *settings.addresses)],
        "prefix": f"{text(settings.prefix)}/{settings.prefix_length}",
        "mipv6_ha_mode": settings.mipv6_ha_mode,
        "owner": settings.is_owner,
        "priority": settings.priority,
        "effective_priority": virtual_ha.effective_priority,
        "state": virtual_ha.state.value,
        "since_s": (now - virtual_ha.since) / SECOND,
        "master": text(virtual_ha.master) if virtual_ha.master else None,
        "master_name": _master_name(virtual_ha, host),
        "master_is_self": virtual_ha.state is State.MASTER,
        "leaving": virtual_ha.leaving,
        "drained": virtual_ha.drained,
        "advertisement_interval": settings.interval_us // CENTISECOND,
        "members": [{"name": member.name, "priority": member.priority} for member in settings.members],
        "bindings": len(virtual_ha.cache),
        "maximum_bindings": settings.policy.maximum_bindings,
        "digest": f"{virtual_ha.cache.digest:016x}",
        "synced": virtual_ha.synced,
        "sync_points": virtual_ha.points.describe(now) if virtual_ha.points else [],
        "tentative": virtual_ha.signalling.tentative,
        "home_agent": _home_agent(virtual_ha) if settings.mipv6_ha_mode else None,
        "recoveries": virtual_ha.signalling.recovery.counts(),
        "handoffs": virtual_ha.signalling.handoffs.counts(),
        "balance": virtual_ha.signalling.handoffs.balance(),
        "alarm": virtual_ha.alarm,
        "insecure_bindings": settings.insecure_bindings,
        "insecure_sync": settings.mipv6_ha_mode and settings.sync_key is None,
        "sync_key": settings.sync_key.name if settings.sync_key else None,
        "accepted_sync_keys": [key.name for key in settings.accepted_sync_keys],
        "counters": dict(sorted(virtual_ha.counters.items())),
    }


def _master_name(virtual_ha: VirtualHa, host: str) -> str | None:
    if virtual_ha.state is State.MASTER:
        return host
    by_address = {member.address: member.name for member in virtual_ha.settings.members if member.address}
    return by_address.get(virtual_ha.master) if virtual_ha.master else None


def _home_agent(virtual_ha: VirtualHa) -> dict[str, object]:
    """What a Master says of itself; of a Backup, what this member would say."""
    service = virtual_ha.advertising.service
    return {
        "preference": service.preference,
        "advertised": service.information() is not None,
        "backups_agree": service.backups_agree,
    }
