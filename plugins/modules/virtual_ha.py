#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: virtual_ha
short_description: Assign virtual HAs to the home agent of a host
version_added: 0.1.0
description:
  - Changes the virtual HAs in the configuration of an agent that is already deployed, VRID by VRID, and lets the agent
    reload it. Virtual HAs that do not change are not disturbed.
  - The agent's own checker validates the result before it is written, in check mode too.
  - M(mip6.vrrp_ha.agent) brings a host back to the fleet's plan. What this module does is drift to it.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  state:
    description:
      - With V(merged) what is given for a VRID is changed and the rest of it kept.
      - With V(replaced) what is given for a VRID is all of it. Other VRIDs are kept.
      - With V(overridden) what is given is all that the host has.
      - With V(deleted) the VRIDs that are given are removed, all when none is given.
    type: str
    choices: [merged, replaced, overridden, deleted]
    default: merged
  config:
    description:
      - The virtual HAs, in the form of the agent's configuration file, which M(mip6.vrrp_ha.agent_info) returns.
      - Required but with O(state=deleted). An empty list with O(state=overridden) leaves the host none.
    type: list
    elements: dict
    suboptions:
      vrid:
        description: The virtual router identifier, 1 to 255.
        type: int
        required: true
      name:
        description: A name for people.
        type: str
      interface:
        description: The interface on the home link.
        type: str
      link_local_address:
        description: The virtual router's link-local address. The agent derives one from the VRID when it is not given.
        type: str
      addresses:
        description: The virtual addresses; the first is the home agent address that mobile nodes use.
        type: list
        elements: str
      prefix:
        description: The home prefix.
        type: str
      priority:
        description: The host's VRRP priority. 255 makes it the owner.
        type: int
      members:
        description: All members of the virtual HA. When given they must name this host with the same priority.
        type: list
        elements: dict
        suboptions:
          name:
            description: The member's inventory name.
            type: str
            required: true
          priority:
            description: The member's VRRP priority.
            type: int
            required: true
          address:
            description: The member's link-local address on the home link.
            type: str
      advertisement_interval:
        description: Centiseconds between advertisements.
        type: int
      preempt:
        description: Whether a member of higher priority takes over from a Master of lower priority.
        type: bool
      preempt_delay:
        description: Seconds to wait before doing so.
        type: float
      accept_mode:
        description: Whether a Master that is not the owner accepts packets to the virtual addresses.
        type: bool
      mipv6_ha_mode:
        description: Whether the virtual router is a virtual HA, or a plain VRRP router.
        type: bool
      home_link:
        description: Whether the home prefix is on the link (neighbours are answered) or routed to the virtual HA.
        type: str
        choices: [on_link, routed]
      duplicate_address_detection:
        description:
          - Whether the home link is asked for a second if a neighbour has a home address, before it is bound for the
            first time. The agent does by default. Nothing is asked where the home prefix is V(routed).
        type: bool
      router_advertisements:
        description:
          - What the Master sends as a router on the home link. The same for every member.
        type: dict
        suboptions:
          enabled:
            description: Whether it sends Router Advertisements at all. The agent does by default.
            type: bool
          router_lifetime:
            description:
              - Seconds for which hosts on the link may use the virtual router as their default router, V(0) for not at
                all. By default V(0) for a virtual HA and V(1800) for a plain VRRP router.
            type: int
          unsolicited:
            description: Whether it sends any that nobody asked for. The agent does by default.
            type: bool
          maximum_interval:
            description: The longest time in seconds between unsolicited advertisements.
            type: float
          minimum_interval:
            description: The shortest time in seconds between unsolicited advertisements.
            type: float
          minimum_delay:
            description: The shortest time in seconds between any two advertisements, answers to solicitations included.
            type: float
          interval_option:
            description: Whether mobile nodes are told the O(config[].router_advertisements.maximum_interval).
            type: bool
          managed:
            description: Whether hosts are told to get their addresses by DHCPv6.
            type: bool
          other:
            description: Whether hosts are told to get other information by DHCPv6.
            type: bool
          autonomous:
            description: Whether hosts may make themselves addresses of the home prefix.
            type: bool
          valid_lifetime:
            description: Seconds for which the home prefix is valid.
            type: int
          preferred_lifetime:
            description: Seconds for which addresses of the home prefix are preferred.
            type: int
      discovery:
        description:
          - How mobile nodes find the virtual HA, and what those that are away are told of the home prefix. The same for
            every member.
        type: dict
        suboptions:
          home_agent_information:
            description: Whether Router Advertisements name the preference and lifetime of the home agent.
            type: bool
          preference:
            description: The preference. Left out it falls as the number of bindings rises.
            type: int
          full_at:
            description: The number of bindings at which the preference is lowest.
            type: int
          home_agent_lifetime:
            description: Seconds for which other home agents remember this one.
            type: int
          dhaad:
            description: Whether Home Agent Address Discovery Requests are answered.
            type: bool
          rate:
            description: The number of discovery requests, and of prefix solicitations, answered per second.
            type: float
          burst:
            description: How many of them are answered at once.
            type: int
          per_source_rate:
            description: The number of discovery requests of one /64 answered per second.
            type: float
          per_source_burst:
            description: How many of them are answered at once.
            type: int
          prefix_solicitations:
            description: Whether Mobile Prefix Solicitations of bound mobile nodes are answered.
            type: bool
          prefix_advertisements:
            description: Whether bound mobile nodes are sent Mobile Prefix Advertisements unasked.
            type: bool
          prefix_advertisement_rate:
            description: How many of those are sent per second at most.
            type: float
          minimum_prefix_interval:
            description: Seconds after a change of the prefix before mobile nodes are told of it.
            type: int
          maximum_prefix_interval:
            description: Seconds within which every bound mobile node is told of the prefix.
            type: int
      maximum_lifetime:
        description: The longest lifetime of a binding, in seconds.
        type: int
      balance:
        description:
          - What the virtual HA's Master does about too many bindings, where that differs from C(balance) of
            the agent's settings. The same for every member.
        type: dict
        suboptions:
          mode:
            description: With V(advise) it says what it would do, with V(auto) it does so.
            type: str
            choices: ["off", advise, auto]
          high_water:
            description: The number of bindings above which mobile nodes are handed off to other virtual HAs.
            type: int
          low_water:
            description: The number of bindings that it stops at, and that nobody fills it above.
            type: int
          rate:
            description: How many mobile nodes are told in a second.
            type: float
          hold_time:
            description: For how many seconds a mobile node that was handed off is left alone.
            type: float
      policy:
        description:
          - Who may register with the virtual HA, and how many. The same for every member.
        type: dict
        suboptions:
          allow_home_addresses:
            description: Home addresses, or prefixes of them, that may be bound. All when none is given.
            type: list
            elements: str
          deny_home_addresses:
            description: Those that may not. What is denied is denied, also when it is allowed.
            type: list
            elements: str
          allow_identities:
            description:
              - Network access identifiers of mobile nodes that may register, such as V(mn1@example.net) or
                V(*@example.net). All when none is given.
              - Who a mobile node is, the C(identity) of its key says.
            type: list
            elements: str
          deny_identities:
            description: Those that may not. What is denied is denied, also when it is allowed.
            type: list
            elements: str
          believe_claimed_identities:
            description:
              - Whether a mobile node whose key has no identity is who its Binding Update says. By default it is refused
                where there are lists of identities.
            type: bool
          maximum_bindings:
            description: How many bindings the virtual HA takes on.
            type: int
      sync_key:
        description: The name of the key that authenticates the members to each other. The host sends with it.
        type: str
      accepted_sync_keys:
        description:
          - The names of keys that the other members may send with besides O(config[].sync_key), while keys are changed.
        type: list
        elements: str
      insecure_sync:
        description: Go without O(config[].sync_key), for foreign peers.
        type: bool
      insecure_bindings:
        description: Accept unauthenticated Binding Updates.
        type: bool
  timeout:
    description:
      - Seconds to wait for the agent to be healthy with the new configuration. V(0) does not wait.
    type: float
    default: 30
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes
  - mip6.vrrp_ha.attributes.action_group
  - mip6.vrrp_ha.locations
seealso:
  - module: mip6.vrrp_ha.agent
  - module: mip6.vrrp_ha.agent_info
"""

EXAMPLES = r"""
- name: Make the host a backup of one more virtual HA
  mip6.vrrp_ha.virtual_ha:
    config:
      - vrid: 52
        interface: eth1
        addresses: ["2001:db8:1::52"]
        prefix: 2001:db8:1::/64
        priority: 150
        sync_key: fleet

- name: Take it away again
  mip6.vrrp_ha.virtual_ha:
    state: deleted
    config:
      - vrid: 52
"""

RETURN = r"""
before:
  description: The host's virtual HAs before the run.
  returned: success
  type: list
  elements: dict
  sample: []
after:
  description: The host's virtual HAs after the run.
  returned: success
  type: list
  elements: dict
  sample:
    - vrid: 52
      interface: eth1
      addresses: ["2001:db8:1::52"]
      prefix: 2001:db8:1::/64
      priority: 150
      sync_key: fleet
changes:
  description: What was changed, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["virtual_has.vrid=52.priority 200 -> 150"]
problems:
  description: Why the agent's checker refuses the virtual HAs, one line each, with path and remedy.
  returned: when it does
  type: list
  elements: str
  sample: ["virtual_has[1].prefix (VRID 52): is missing (Give the home prefix.)"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.host import Host
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import HOST_VIRTUAL_HA, LOCATIONS
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.virtual_ha_run import run


def main():
    """Run with the host's own things."""
    module = AnsibleModule(
        argument_spec=dict(
            LOCATIONS,
            state=dict(type="str", choices=["merged", "replaced", "overridden", "deleted"], default="merged"),
            config=dict(type="list", elements="dict", options=HOST_VIRTUAL_HA),
            timeout=dict(type="float", default=30.0),
        ),
        required_if=[("state", state, ["config"]) for state in ("merged", "replaced", "overridden")],
        supports_check_mode=True,
    )
    run(module, Host(module.run_command), ControlClient(module.params["control_socket"]))


if __name__ == "__main__":
    main()
