# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that more than one plugin takes."""

from __future__ import annotations

from typing import Any

_ROUTER_ADVERTISEMENTS = dict(
    enabled=dict(type="bool"),
    router_lifetime=dict(type="int"),
    maximum_interval=dict(type="float"),
    minimum_interval=dict(type="float"),
    minimum_delay=dict(type="float"),
    interval_option=dict(type="bool"),
    managed=dict(type="bool"),
    other=dict(type="bool"),
    autonomous=dict(type="bool"),
    valid_lifetime=dict(type="int"),
    preferred_lifetime=dict(type="int"),
    unsolicited=dict(type="bool"),
)

_DISCOVERY = dict(
    home_agent_information=dict(type="bool"),
    preference=dict(type="int"),
    full_at=dict(type="int"),
    home_agent_lifetime=dict(type="int"),
    dhaad=dict(type="bool"),
    rate=dict(type="float"),
    burst=dict(type="int"),
    per_source_rate=dict(type="float"),
    per_source_burst=dict(type="int"),
    prefix_solicitations=dict(type="bool"),
    prefix_advertisements=dict(type="bool"),
    prefix_advertisement_rate=dict(type="float"),
    minimum_prefix_interval=dict(type="int"),
    maximum_prefix_interval=dict(type="int"),
)

_POLICY = dict(
    allow_home_addresses=dict(type="list", elements="str"),
    deny_home_addresses=dict(type="list", elements="str"),
    allow_identities=dict(type="list", elements="str"),
    deny_identities=dict(type="list", elements="str"),
    believe_claimed_identities=dict(type="bool"),
    maximum_bindings=dict(type="int"),
)

_BALANCE = dict(
    mode=dict(type="str", choices=["off", "advise", "auto"]),
    high_water=dict(type="int"),
    low_water=dict(type="int"),
    rate=dict(type="float"),
    hold_time=dict(type="float"),
)

# What a virtual HA is on every member of it alike.
_SHARED = dict(
    vrid=dict(type="int", required=True),
    name=dict(type="str"),
    interface=dict(type="str"),
    link_local_address=dict(type="str"),
    addresses=dict(type="list", elements="str"),
    prefix=dict(type="str"),
    advertisement_interval=dict(type="int"),
    preempt=dict(type="bool"),
    preempt_delay=dict(type="float"),
    accept_mode=dict(type="bool"),
    mipv6_ha_mode=dict(type="bool"),
    home_link=dict(type="str", choices=["on_link", "routed"]),
    duplicate_address_detection=dict(type="bool"),
    router_advertisements=dict(type="dict", options=_ROUTER_ADVERTISEMENTS),
    discovery=dict(type="dict", options=_DISCOVERY),
    maximum_lifetime=dict(type="int"),
    balance=dict(type="dict", options=_BALANCE),
    policy=dict(type="dict", options=_POLICY),
    sync_key=dict(type="str", no_log=False),  # the key's name
    accepted_sync_keys=dict(type="list", elements="str", no_log=False),  # names of keys
    insecure_sync=dict(type="bool"),
    insecure_bindings=dict(type="bool"),
)

# The fleet's: with every member's priority.
FLEET_VIRTUAL_HA = dict(
    _SHARED,
    interface=dict(type="str", required=True),
    addresses=dict(type="list", elements="str", required=True),
    prefix=dict(type="str", required=True),
    priorities=dict(type="dict", required=True),
    member_addresses=dict(type="dict"),
)

# One host's, as in its agent.json.
HOST_VIRTUAL_HA = dict(
    _SHARED,
    priority=dict(type="int"),
    members=dict(
        type="list",
        elements="dict",
        options=dict(
            name=dict(type="str", required=True),
            priority=dict(type="int", required=True),
            address=dict(type="str"),
        ),
    ),
)

SYNC_KEY = dict(
    name=dict(type="str", required=True),
    key_id=dict(type="int", required=True, no_log=False),
    key=dict(type="str", required=True, no_log=True),
)

MOBILE_NODE_KEY = dict(
    spi=dict(type="int", required=True),
    home_addresses=dict(type="str", required=True),
    identity=dict(type="str"),
    key=dict(type="str", required=True, no_log=True),
)

IPSEC_SECURITY_ASSOCIATION = dict(
    home_address=dict(type="str", required=True),
    home_agent=dict(type="str"),
    algorithm=dict(type="str", choices=["aes-cbc-hmac-sha-256-128", "aes-gcm-16"]),
    prefix_discovery=dict(type="bool"),
    spi_in=dict(type="int", required=True),
    encryption_key_in=dict(type="str", required=True, no_log=True),
    authentication_key_in=dict(type="str", no_log=True),
    spi_out=dict(type="int", required=True),
    encryption_key_out=dict(type="str", required=True, no_log=True),
    authentication_key_out=dict(type="str", no_log=True),
    identity=dict(type="str"),
)

CONFIG_FILE = "/etc/vrrp-ha/agent.json"
CONTROL_SOCKET = "/run/vrrp-ha/control.sock"

# Of all modules that ask or tell an agent something, so that each of them can be a default of the action group.
LOCATIONS = dict(
    config_file=dict(type="path", default=CONFIG_FILE),
    control_socket=dict(type="path", default=CONTROL_SOCKET),
)

AGENT = dict(
    LOCATIONS,
    state=dict(type="str", choices=["present", "absent", "restarted"], default="present"),
    virtual_has=dict(type="list", elements="dict", options=FLEET_VIRTUAL_HA),
    settings=dict(type="dict"),
    sync_keys=dict(type="list", elements="dict", options=SYNC_KEY, no_log=False),
    mobile_node_keys=dict(type="list", elements="dict", options=MOBILE_NODE_KEY, no_log=False),
    ipsec_security_associations=dict(type="list", elements="dict", options=IPSEC_SECURITY_ASSOCIATION, no_log=False),
    sender_id=dict(type="int"),
    restart=dict(type="str", choices=["now", "deferred"], default="now"),
    moves=dict(type="str", choices=["refuse", "accept"], default="refuse"),
    timeout=dict(type="float", default=30.0),
    python=dict(type="path", default="/usr/bin/python3"),
    wheels=dict(type="path"),
)

# What the action on the controller hands to the module on the host, as JSON. One text and all of it secret: modules
# log their options on the host, where a secret deep inside a structure would not be recognised.
PREPARED = dict(type="str", no_log=True)

PROCEDURE = dict(
    state=dict(type="str", choices=["begun", "ended"], default="begun"),
    playbook=dict(type="str", required=True),
    lease=dict(type="int", default=900),
    force=dict(type="bool", default=False),
)

HANDOFF = dict(
    vrid=dict(type="int", required=True),
    to=dict(type="str"),
    count=dict(type="int"),
    home_addresses=dict(type="list", elements="str"),
)


def without_none(value: Any) -> Any:
    """The value without the options that were not given."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value
