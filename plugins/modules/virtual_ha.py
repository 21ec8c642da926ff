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
  timeout:
    description:
      - Seconds to wait for the agent to be healthy with the new configuration. V(0) does not wait.
    type: float
    default: 30
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes
  - mip6.vrrp_ha.attributes.action_group
  - mip6.vrrp_ha.locations
  - mip6.vrrp_ha.virtual_ha.host
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
