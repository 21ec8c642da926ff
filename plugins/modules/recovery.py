#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery
short_description: Have mobile nodes register anew with a home agent that has their keys
version_added: 0.2.0
description:
  - The bindings of the mobile nodes are deleted from the virtual HA, on every member, and each of them is asked by a
    Home Agent Switch message to register with the virtual HA that this host owns. Where the host has no key of a mobile
    node the hook of C(recovery) in C(agent.json) is run instead.
  - They are recovered one after the other, at the rate of C(recovery) in C(agent.json). Until its turn a mobile node is
    served as before; from then on until it has registered it is not.
  - An acting Master does this by itself for mobile nodes that signal with a key that it does not have. This module is
    for those that an operator wants moved, before the owner of a virtual HA is gone for good, say.
  - Runs on the Master of the virtual HA alone.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  vrid:
    description:
      - The VRID of the virtual HA that they are bound at.
    type: int
    required: true
  home_addresses:
    description:
      - The mobile nodes, by home address or by prefix. What is not bound is left alone, and so is what is being
        recovered already.
      - V(::/0) is all that are bound there.
    type: list
    elements: str
    required: true
  wait:
    description:
      - Wait until every one of them has registered or been given up, which takes 55 seconds for one that does not
        answer.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait.
    type: float
    default: 120
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes
  - mip6.vrrp_ha.attributes.action_group
  - mip6.vrrp_ha.locations
attributes:
  idempotent:
    support: partial
    details:
      - Who has moved to another virtual HA is not bound at this one any more, and a second run leaves it alone. A
        mobile node that registered with the same virtual HA again, because the host owns no other, is asked once more.
seealso:
  - module: mip6.vrrp_ha.agent_info
  - module: mip6.vrrp_ha.binding_info
"""

EXAMPLES = r"""
- name: Move one mobile node
  mip6.vrrp_ha.recovery:
    vrid: 51
    home_addresses: ["2001:db8:1::1001"]

- name: Find out which host is Master of what
  mip6.vrrp_ha.agent_info:
  register: agents

- name: Move everybody whose owner will not come back, wherever the acting Master is
  mip6.vrrp_ha.recovery:
    vrid: 51
    home_addresses: ["::/0"]
    timeout: 3600
  when: 51 in agents.master_of
"""

RETURN = r"""
changes:
  description: What was asked for, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["vrid 51: recover 1 mobile nodes"]
wanted:
  description: The home addresses whose recovery was asked for, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["2001:db8:1::1001"]
done:
  description: Those that have registered. Empty without O(wait).
  returned: success
  type: list
  elements: str
  sample: ["2001:db8:1::1001"]
given_up:
  description: Those that did not answer. Their bindings are deleted; they are recovered when they are heard again.
  returned: success
  type: list
  elements: str
  sample: []
unfinished:
  description: Those that were still waiting, or had not answered. Always empty but without O(wait).
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.recovery_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import LOCATIONS


def main():
    """Run with the host's own agent."""
    module = AnsibleModule(
        argument_spec=dict(
            LOCATIONS,
            vrid=dict(type="int", required=True),
            home_addresses=dict(type="list", elements="str", required=True),
            wait=dict(type="bool", default=True),
            timeout=dict(type="float", default=120.0),
        ),
        supports_check_mode=True,
    )
    run(module, ControlClient(module.params["control_socket"], timeout=30.0))


if __name__ == "__main__":
    main()
