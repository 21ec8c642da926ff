#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Take a home agent out of service, or put it back
version_added: 0.2.0
description:
  - A drained home agent hands over what it serves, without losing a packet, stays a backup with the bindings, and
    serves only when no other member can. A drain outlives a restart of the agent and of the host.
  - It does not look at the other members. The playbook C(mip6.vrrp_ha.drain) does, before it drains.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  vrids:
    description:
      - The VRIDs to drain the host of. All that it takes part in when not given; an empty list is none.
    type: list
    elements: int
  state:
    description:
      - V(drained) takes the host out of service, V(undrained) puts it back into the election.
    type: str
    choices: [drained, undrained]
    default: drained
  wait:
    description:
      - Wait until another member serves what this host served, or, with V(undrained), until the host holds the bindings
        of its Masters and serves what it owns.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait.
    type: float
    default: 30
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes
  - mip6.vrrp_ha.attributes.action_group
  - mip6.vrrp_ha.locations
seealso:
  - module: mip6.vrrp_ha.mastership
  - module: mip6.vrrp_ha.agent_info
"""

EXAMPLES = r"""
- name: Take the home agent out of service before the machine is switched off
  mip6.vrrp_ha.drain:

- name: Put it back
  mip6.vrrp_ha.drain:
    state: undrained

- name: Take it out of one virtual HA alone
  mip6.vrrp_ha.drain:
    vrids: [51]
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["vrid 51: drain"]
virtual_has:
  description: The state of the VRIDs on this host after the run.
  returned: success
  type: list
  elements: dict
  sample: [{"vrid": 51, "state": "backup", "drained": true, "master": "fe80::2", "effective_priority": 1}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.drain_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import LOCATIONS


def main():
    """Run with the host's own things."""
    module = AnsibleModule(
        argument_spec=dict(
            LOCATIONS,
            vrids=dict(type="list", elements="int"),
            state=dict(type="str", choices=["drained", "undrained"], default="drained"),
            wait=dict(type="bool", default=True),
            timeout=dict(type="float", default=30.0),
        ),
        supports_check_mode=True,
    )
    run(module, ControlClient(module.params["control_socket"]))


if __name__ == "__main__":
    main()
