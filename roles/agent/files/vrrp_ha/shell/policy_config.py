# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `policy` of a virtual HA and the section `limits` of agent.json, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

from ..core.binding_policy import WILDCARD, canonical
from ..core.policy_settings import LimitSettings, PolicySettings, Prefix
from ..core.settings import NodeSettings, VirtualHaSettings
from ..core.types import text
from .fields import Fields, plain_pace

MOST_BINDINGS = 10_000_000
MOST_PER_SECOND = 100_000


def read_policy(fields: Fields, home_prefix: IPv6Network | None) -> PolicySettings:
    """The policy of a virtual HA with this home prefix; notes every problem."""
    defaults = PolicySettings()
    settings = PolicySettings(
        allow_home_addresses=_prefixes(fields, "allow_home_addresses", home_prefix),
        deny_home_addresses=_prefixes(fields, "deny_home_addresses", home_prefix),
        allow_identities=_identities(fields, "allow_identities"),
        deny_identities=_identities(fields, "deny_identities"),
        believe_claimed_identities=fields.boolean("believe_claimed_identities", defaults.believe_claimed_identities),
        maximum_bindings=fields.integer("maximum_bindings", 1, MOST_BINDINGS, defaults.maximum_bindings),
    )
    fields.close()
    return settings


def plain_policy(settings: PolicySettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {
        "allow_home_addresses": list(map(_plain_prefix, settings.allow_home_addresses)),
        "deny_home_addresses": list(map(_plain_prefix, settings.deny_home_addresses)),
        "allow_identities": list(settings.allow_identities),
        "deny_identities": list(settings.deny_identities),
        "believe_claimed_identities": settings.believe_claimed_identities,
        "maximum_bindings": settings.maximum_bindings,
    }


def read_limits(fields: Fields) -> LimitSettings:
    """What the whole agent takes on; notes every problem."""
    defaults = LimitSettings()
    settings = LimitSettings(
        maximum_bindings=fields.integer("maximum_bindings", 1, MOST_BINDINGS, defaults.maximum_bindings),
        updates=fields.pace("update_rate", "update_burst", defaults.updates, MOST_PER_SECOND),
        per_source=fields.pace("per_source_rate", "per_source_burst", defaults.per_source, MOST_PER_SECOND),
        per_mobile_node=fields.pace(
            "per_mobile_node_rate", "per_mobile_node_burst", defaults.per_mobile_node, MOST_PER_SECOND
        ),
        errors=fields.pace("error_rate", "error_burst", defaults.errors, MOST_PER_SECOND),
    )
    fields.close()
    return settings


def plain_limits(settings: LimitSettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {
        "maximum_bindings": settings.maximum_bindings,
        **plain_pace("update_rate", "update_burst", settings.updates),
        **plain_pace("per_source_rate", "per_source_burst", settings.per_source),
        **plain_pace("per_mobile_node_rate", "per_mobile_node_burst", settings.per_mobile_node),
        **plain_pace("error_rate", "error_burst", settings.errors),
    }


def warnings(virtual_ha: VirtualHaSettings, node: NodeSettings) -> Iterator[str]:
    """What is allowed and mostly not meant."""
    policy = virtual_ha.policy
    if not (policy.allow_identities or policy.deny_identities) or policy.believe_claimed_identities:
        return
    has_identities = any(key.identity for key in node.mobile_node_keys)
    if not has_identities and not any(association.identity for association in node.ipsec.associations):
        yield f"vrid {virtual_ha.vrid}: there are lists of identities, but no key has one: no mobile node can register"


def read_identity(fields: Fields) -> str:
    """Who has a key: a field that may be left out."""
    if not fields.is_given("identity"):
        return ""
    identity = fields.text("identity")
    if identity and (WILDCARD in identity or not canonical(identity)):
        fields.problem("identity", f"{identity!r} is no network access identifier", "Write it as in mn1@example.net.")
        return ""
    return canonical(identity)


def _prefixes(fields: Fields, name: str, home_prefix: IPv6Network | None) -> tuple[Prefix, ...]:
    found: dict[Prefix, None] = {}
    for i, value in enumerate(fields.items(name, [])):
        place = f"{name}[{i}]"
        try:
            network = IPv6Network(value if isinstance(value, str) else "", strict=False)
        except ValueError:
            shown = f"'{value}'" if isinstance(value, str) else "that"
            fields.problem(place, f"{shown} is no home address or prefix", "Write it as in 2001:db8:1:0:5::/80.")
            continue
        if IPv6Address(str(value).split("/", maxsplit=1)[0]) != network.network_address:
            fields.problem(place, f"'{value}' has bits set beyond the prefix", f"Did you mean '{network}'?")
        elif home_prefix is not None and not network.overlaps(home_prefix):
            message = f"{network} is outside the home prefix {home_prefix}, so no mobile node has such an address"
            fields.problem(place, message, "Correct it or take it out.")
        found[Prefix(network.network_address.packed, network.prefixlen)] = None
    return tuple(found)


def _identities(fields: Fields, name: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for i, value in enumerate(fields.items(name, [])):
        if isinstance(value, str) and canonical(value):
            found[canonical(value)] = None
        else:
            shown = repr(value) if isinstance(value, str) else "that"
            remedy = "Write one as in mn1@example.net, or many as in *@example.net."
            fields.problem(f"{name}[{i}]", f"{shown} is no network access identifier", remedy)
    return tuple(found)


def _plain_prefix(prefix: Prefix) -> str:
    return f"{text(prefix.address)}/{prefix.length}"
