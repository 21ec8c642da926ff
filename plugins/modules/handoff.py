#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: handoff
short_description: Have mobile nodes use another virtual HA of their home link
version_added: 0.2.0
description:
  - Asks mobile nodes by Home Agent Switch messages (RFC 5142) to register with another virtual HA of the same home
    link, where they keep their home addresses. Until they have, they are served as before.
  - They are told one after the other, at the rate of C(balance) in C(agent.json).
  - Runs on the Master of the virtual HA alone. The playbook C(mip6.vrrp_ha.rebalance) works out who is to hand how many
    to whom.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  vrid:
    description:
      - The VRID of the virtual HA that they are bound at.
    type: int
  to:
    description:
      - The VRID or an address of the virtual HA that they are to use. The least loaded one when not given.
    type: str
  count:
    description:
      - How many of them, whoever they are. Those that wait or were told already, to go to O(to), count.
      - Who came by a handoff a while ago, or did not follow one, is left alone.
    type: int
  home_addresses:
    description:
      - Which of them, by home address or by prefix. What is not bound is left alone, and so is what waits, was told
        already, or is bound where it is to go.
    type: list
    elements: str
  handoffs:
    description:
      - Several at once, of one or more virtual HAs, instead of the options above.
    type: list
    elements: dict
    suboptions:
      vrid:
        description: As O(vrid).
        type: int
        required: true
      to:
        description: As O(to).
        type: str
      count:
        description: As O(count).
        type: int
      home_addresses:
        description: As O(home_addresses).
        type: list
        elements: str
  wait:
    description:
      - Wait until every one of them has registered or been given up, which takes 55 seconds for one that does not
        answer.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait. What is not done by then goes on, and a second run waits for it.
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
      - With O(home_addresses) it is, but for those that did not follow, who are asked again. With O(count) it is while
        they are under way; after that so many more are asked.
seealso:
  - module: mip6.vrrp_ha.agent_info
  - module: mip6.vrrp_ha.recovery
  - module: mip6.vrrp_ha.binding_info
"""

EXAMPLES = r"""
- name: Move one mobile node to another virtual HA
  mip6.vrrp_ha.handoff:
    vrid: 51
    to: "2001:db8:1::52"
    home_addresses: ["2001:db8:1::1001"]

- name: Find out which host is Master of what
  mip6.vrrp_ha.agent_info:
  register: agents

- name: Relieve a virtual HA of a hundred mobile nodes, wherever its Master is
  mip6.vrrp_ha.handoff:
    vrid: 51
    count: 100
    timeout: 300
  when: 51 in agents.master_of

- name: Several at once
  mip6.vrrp_ha.handoff:
    handoffs:
      - {vrid: 51, to: "52", count: 20}
      - {vrid: 51, to: "53", count: 10}
"""

RETURN = r"""
changes:
  description: What was asked for, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["vrid 51: hand 1 mobile nodes off to VRID 52"]
handoffs:
  description:
    - What was asked for, or would be in check mode, for each of the handoffs. V(asked) is how many, V(home_addresses)
      who, if they were named. V(to) is null for the least loaded.
  returned: success
  type: list
  elements: dict
  sample: [{"vrid": 51, "to": 52, "asked": 1, "home_addresses": ["2001:db8:1::1001"]}]
done:
  description: How many mobile nodes of these virtual HAs moved meanwhile. 0 without O(wait).
  returned: success
  type: int
  sample: 1
given_up:
  description: Those that did not follow, and why. They are served as before until their bindings end.
  returned: success
  type: list
  elements: dict
  sample:
    - vrid: 51
      home_address: 2001:db8:1::1002
      to: 52
      detail: it neither de-registered nor went elsewhere
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.handoff_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import HANDOFF, LOCATIONS


def main():
    """Run with the host's own agent."""
    module = AnsibleModule(
        argument_spec=dict(
            LOCATIONS,
            vrid=dict(type="int"),
            to=dict(type="str"),
            count=dict(type="int"),
            home_addresses=dict(type="list", elements="str"),
            handoffs=dict(type="list", elements="dict", options=HANDOFF),
            wait=dict(type="bool", default=True),
            timeout=dict(type="float", default=120.0),
        ),
        supports_check_mode=True,
    )
    run(module, ControlClient(module.params["control_socket"], timeout=30.0))


if __name__ == "__main__":
    main()
