# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration as plain data in the form of agent.json, every default filled in and every secret masked."""

from __future__ import annotations

from ..core.settings import Member, SyncSettings, VirtualHaSettings
from ..core.types import CENTISECOND, SECOND, text
from . import (
    balance_config,
    discovery_config,
    ipsec_config,
    metrics_config,
    policy_config,
    recovery_config,
    router_advertisements_config,
    tunnel_config,
)
from .config import FORMAT, Configuration

MASK = "********"


def effective(configuration: Configuration) -> dict[str, object]:
    """What the agent makes of the files; the keys as a section of their own."""
    node, shell = configuration.node, configuration.shell
    return {
        "format": FORMAT,
        "host": node.host,
        "keys_file": shell.keys_file,
        "state_directory": shell.state_directory,
        "control_socket": shell.control_socket,
        "control_group": shell.control_group,
        "first_table": shell.first_table,
        "decapsulation_table": shell.decapsulation_table,
        "solicited_node_groups": shell.solicited_node_groups,
        "sync": _sync(node.sync),
        "recovery": recovery_config.plain(node.recovery),
        "ipsec": ipsec_config.plain(node.ipsec),
        "tunnel": tunnel_config.plain(node.tunnel),
        "balance": balance_config.plain(node.balance),
        "limits": policy_config.plain_limits(node.limits),
        "metrics": metrics_config.plain(configuration.metrics),
        "virtual_has": [_virtual_ha(virtual_ha) for virtual_ha in node.virtual_has],
        "keys": {
            "sync_keys": [{"name": k.name, "key_id": k.key_id, "key": MASK} for k in configuration.sync_keys],
            "mobile_node_keys": [
                {
                    "spi": k.spi,
                    "key": MASK,
                    "home_addresses": f"{text(k.prefix)}/{k.prefix_length}",
                    "identity": k.identity or None,
                }
                for k in node.mobile_node_keys
            ],
            ipsec_config.SECTION: ipsec_config.plain_associations(node.ipsec.associations),
        },
    }


def _sync(sync: SyncSettings) -> dict[str, object]:
    return {
        "request_type": sync.request_type,
        "update_type": sync.update_type,
        "digest_type": sync.digest_type,
        "digest_interval": sync.digest_interval_us / SECOND,
        "delta_sends": sync.delta_sends,
        "sync_timeout": sync.sync_timeout_us / SECOND,
        "owner_takes_over_unsynced": sync.owner_takes_over_unsynced,
        "unsynced_priority_penalty": sync.unsynced_priority_penalty,
    }


def _virtual_ha(settings: VirtualHaSettings) -> dict[str, object]:
    return {
        "vrid": settings.vrid,
        "name": settings.name,
        "interface": settings.interface,
        "link_local_address": text(settings.link_local),
        "addresses": [text(address) for address in settings.addresses],
        "prefix": f"{text(settings.prefix)}/{settings.prefix_length}",
        "priority": settings.priority,
        "advertisement_interval": settings.interval_us // CENTISECOND,
        "preempt": settings.preempt,
        "preempt_delay": settings.preempt_delay_us / SECOND,
        "accept_mode": settings.accept_mode,
        "mipv6_ha_mode": settings.mipv6_ha_mode,
        "home_link": settings.home_link.value,
        "duplicate_address_detection": settings.duplicate_address_detection,
        "router_advertisements": router_advertisements_config.plain(settings.router_advertisements),
        "discovery": discovery_config.plain(settings.discovery),
        "maximum_lifetime": settings.maximum_lifetime_us // SECOND,
        "balance": balance_config.plain(settings.balance),
        "policy": policy_config.plain_policy(settings.policy),
        "members": [_member(member) for member in settings.members],
        "sync_key": settings.sync_key.name if settings.sync_key else None,
        "accepted_sync_keys": [key.name for key in settings.accepted_sync_keys],
        "insecure_sync": settings.mipv6_ha_mode and settings.sync_key is None,
        "insecure_bindings": settings.insecure_bindings,
    }


def _member(member: Member) -> dict[str, object]:
    plain: dict[str, object] = {"name": member.name, "priority": member.priority}
    return plain | ({"address": text(member.address)} if member.address else {})
