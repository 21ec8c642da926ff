#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_info
short_description: Tell what a host's home agent is doing and how it is configured
version_added: 0.1.0
description:
  - Returns the status of the agent on a host, and its virtual HAs in the form that M(mip6.vrrp_ha.virtual_ha) takes.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  recoveries:
    description:
      - Return so many recoveries of each virtual HA at most, those under way first. V(0) returns none; how many there
        are is in RV(status) in any case.
    type: int
    default: 100
  handoffs:
    description:
      - Return so many handoffs of each virtual HA at most, those under way first. V(0) returns none; how many there
        are is in RV(status) in any case.
    type: int
    default: 100
  timeout:
    description:
      - Seconds to wait for each answer of the agent.
    type: float
    default: 5
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes.info
  - mip6.vrrp_ha.attributes.action_group
  - mip6.vrrp_ha.locations
seealso:
  - module: mip6.vrrp_ha.virtual_ha
  - module: mip6.vrrp_ha.verify
  - module: mip6.vrrp_ha.recovery
  - module: mip6.vrrp_ha.handoff
"""

EXAMPLES = r"""
- name: Ask every home agent
  mip6.vrrp_ha.agent_info:
  register: agents

- name: Show how many bindings each of its virtual HAs holds
  ansible.builtin.debug:
    msg: "{{ agents.status.virtual_has | items2dict(key_name='vrid', value_name='bindings') }}"
"""

RETURN = r"""
running:
  description: Whether an agent answers on the control socket.
  returned: success
  type: bool
  sample: true
status:
  description: The agent's status, as the control protocol defines it. Null when no agent answers.
  returned: success
  type: dict
  sample: {"host": "ha1", "healthy": true, "config_current": true, "virtual_has": [{"vrid": 51, "state": "master"}]}
problem:
  description: Why there is no status. Empty when there is one.
  returned: success
  type: str
  sample: ""
virtual_has:
  description: The host's virtual HAs as configured; can be given to O(mip6.vrrp_ha.virtual_ha#module:config).
  returned: success
  type: list
  elements: dict
  sample:
    - vrid: 51
      interface: eth1
      addresses: ["2001:db8:1::51"]
      prefix: 2001:db8:1::/64
      priority: 255
      sync_key: fleet
master_of:
  description: The VRIDs whose Master the host is.
  returned: success
  type: list
  elements: int
  sample: [51]
recoveries:
  description:
    - The mobile nodes that register anew, or did lately, for each virtual HA that knows of any. V(counts)
      says how many are pending and sent now, and how many were done and failed since the agent started.
  returned: success
  type: list
  elements: dict
  sample:
    - vrid: 51
      counts: {"pending": 0, "sent": 1, "done": 12, "failed": 0}
      recoveries:
        - home_address: 2001:db8:1::1001
          state: sent
          reason: unknown_spi
          method: switch
          destination: 2001:db8:f::1
          attempts: 1
          since_s: 0.5
          detail: ""
handoffs:
  description:
    - The mobile nodes that were asked to use another virtual HA, for each virtual HA that knows of any. V(counts)
      says how many are pending and sent now, and how many were done and failed since the agent started; V(unnamed)
      how many more are wanted whoever they are; V(under_way) how many are to go where, and are not there yet.
  returned: success
  type: list
  elements: dict
  sample:
    - vrid: 51
      counts: {"pending": 2, "sent": 1, "done": 12, "failed": 0, "refused_extensions": 0}
      unnamed: [{"to": 52, "count": 2}]
      under_way: [{"to": 52, "reason": "operator", "count": 3}]
      handoffs:
        - home_address: 2001:db8:1::1001
          state: sent
          reason: operator
          to: 52
          destination: 2001:db8:f::1
          attempts: 1
          since_s: 0.5
          detail: ""
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.configuration import parsed
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient, ControlError
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.handoff_run import infos as handoff_infos
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.health import masters_of
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.host import Host, HostError
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.recovery_run import LISTED, infos
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import LOCATIONS


def run(module, host, control):
    """Ask the agent and read its configuration."""
    status, problem, recoveries, handoffs = None, "", [], []
    for option in ("recoveries", "handoffs"):
        limit = module.params[option]
        if not 0 <= limit <= LISTED:
            module.fail_json(msg="{0} is {1}; give a number from 0 to {2}".format(option, limit, LISTED))
    try:
        status = control.call("status")
        recoveries = infos(status, control, module.params["recoveries"])
        handoffs = handoff_infos(status, control, module.params["handoffs"])
    except ControlError as error:
        problem = str(error)
    try:
        config = parsed(host.read(module.params["config_file"]) or "") or {}
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        running=status is not None,
        status=status,
        problem=problem,
        virtual_has=config.get("virtual_has", []),
        master_of=masters_of(status),
        recoveries=recoveries,
        handoffs=handoffs,
    )


def main():
    """Run with the host's own things."""
    module = AnsibleModule(
        argument_spec=dict(
            LOCATIONS,
            recoveries=dict(type="int", default=100),
            handoffs=dict(type="int", default=100),
            timeout=dict(type="float", default=5.0),
        ),
        supports_check_mode=True,
    )
    run(module, Host(module.run_command), ControlClient(module.params["control_socket"], module.params["timeout"]))


if __name__ == "__main__":
    main()
