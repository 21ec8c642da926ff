#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mastership
short_description: Say which home agent shall be Master of a virtual HA, and wait until it is
version_added: 0.1.0
description:
  - Drains the home agent it runs on when it would win the election against the one that shall be Master, and undrains
    it when it would not. A drained home agent hands over without losing a packet, and stays a backup.
  - Run it on every member. So that no third one is Master in between, run it with O(wait=false) on those that would win
    and are not Master, then on the one that shall be Master, and last on the present Master. The playbook
    C(mip6.vrrp_ha.failover) does this.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  vrids:
    description:
      - The VRIDs.
    type: list
    elements: int
    required: true
  master:
    description:
      - The inventory name of the member that shall be Master.
      - When not given, the member with the highest priority is meant, so nobody is drained afterwards.
    type: str
  wait:
    description:
      - Wait until the host is Master if it shall be, and a backup of a Master otherwise.
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
  - module: mip6.vrrp_ha.agent_info
"""

EXAMPLES = r"""
- name: Hand over to ha2
  mip6.vrrp_ha.mastership:
    vrids: [51]
    master: ha2

- name: Hand back to the member with the highest priority
  mip6.vrrp_ha.mastership:
    vrids: [51]
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["vrid 51: drain, so that ha2 (priority 200) becomes Master"]
virtual_has:
  description: The state of the VRIDs on this host after the run.
  returned: success
  type: list
  elements: dict
  sample: [{"vrid": 51, "state": "backup", "drained": true, "master": "fe80::2", "effective_priority": 1}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.host import Host
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.mastership_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import LOCATIONS


def main():
    """Run with the host's own things."""
    module = AnsibleModule(
        argument_spec=dict(
            LOCATIONS,
            vrids=dict(type="list", elements="int", required=True),
            master=dict(type="str"),
            wait=dict(type="bool", default=True),
            timeout=dict(type="float", default=30.0),
        ),
        supports_check_mode=True,
    )
    run(module, Host(module.run_command), ControlClient(module.params["control_socket"]))


if __name__ == "__main__":
    main()
