#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: binding_info
short_description: Return bindings of a virtual HA as a home agent holds them
version_added: 0.2.0
description:
  - Returns how many bindings a host holds for a virtual HA, their digest, and some of them.
  - Two members hold the same bindings when RV(total) and RV(digest) are the same. M(mip6.vrrp_ha.verify) compares a
    whole fleet in that way.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  vrid:
    description:
      - The VRID.
    type: int
    required: true
  home_addresses:
    description:
      - Only bindings of these home addresses, or of home addresses in these prefixes.
    type: list
    elements: str
  care_of_addresses:
    description:
      - Only bindings to these care-of addresses, or to care-of addresses in these prefixes.
    type: list
    elements: str
  limit:
    description:
      - Return no more bindings than this. V(0) returns none, and so only RV(total) and RV(digest).
    type: int
    default: 100
  after:
    description:
      - Begin after this home address, the RV(next) of an earlier answer.
    type: str
  timeout:
    description:
      - Seconds to wait for each answer of the agent, of which there is one for every 10000 bindings that are looked at.
    type: float
    default: 30
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes.info
  - mip6.vrrp_ha.attributes.action_group
  - mip6.vrrp_ha.locations
seealso:
  - module: mip6.vrrp_ha.agent_info
"""

EXAMPLES = r"""
- name: Look for a mobile node
  mip6.vrrp_ha.binding_info:
    vrid: 51
    home_addresses: ["2001:db8:1::1001"]

- name: Who is in that foreign network
  mip6.vrrp_ha.binding_info:
    vrid: 51
    care_of_addresses: ["2001:db8:f::/48"]
    limit: 1000

- name: Compare without transferring anything
  mip6.vrrp_ha.binding_info:
    vrid: 51
    limit: 0
"""

RETURN = r"""
total:
  description: How many bindings the host holds for the virtual HA.
  returned: success
  type: int
  sample: 100000
digest:
  description: The digest over all of them, lifetimes left out.
  returned: success
  type: str
  sample: 9c1185a5c5e9fc54
bindings:
  description: Those that were asked for, by home address, O(limit) of them at most.
  returned: success
  type: list
  elements: dict
  sample:
    - home_address: 2001:db8:1::1001
      care_of_address: 2001:db8:f::1
      sequence: 7
      flags: AH
      remaining_s: 3592.5
truncated:
  description: Whether there are more that fit the options.
  returned: success
  type: bool
  sample: false
next:
  description: Give this as O(after) for those that follow. Null when there are none, or when O(limit=0).
  returned: success
  type: str
  sample: 2001:db8:1::1001
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.binding_info_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import LOCATIONS


def main():
    """Run with the host's own agent."""
    module = AnsibleModule(
        argument_spec=dict(
            LOCATIONS,
            vrid=dict(type="int", required=True),
            home_addresses=dict(type="list", elements="str"),
            care_of_addresses=dict(type="list", elements="str"),
            limit=dict(type="int", default=100),
            after=dict(type="str"),
            timeout=dict(type="float", default=30.0),
        ),
        supports_check_mode=True,
    )
    run(module, ControlClient(module.params["control_socket"], module.params["timeout"]))


if __name__ == "__main__":
    main()
