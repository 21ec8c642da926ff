#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: consistency_info
short_description: Tell what a host's binding caches and its kernel have to be compared by
version_added: 0.2.0
description:
  - Compares the routes and source checks in a host's kernel with its binding caches, and everything else that the
    agent put on the host with what should be there. Nothing is changed.
  - Returns each binding cache in 256 parts, so that members can be compared whatever the number of bindings, and the
    bindings of the parts or home addresses that are asked for.
  - C(ansible-playbook mip6.vrrp_ha.verify -e deep=true) asks all members and compares them.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  virtual_has:
    description:
      - What to tell of which virtual HAs.
    type: list
    elements: dict
    required: true
    suboptions:
      vrid:
        description: The VRID.
        type: int
        required: true
      parts:
        description:
          - Return the bindings of these parts, and nothing else. When they hold more than 5000, those of the first
            ones.
        type: list
        elements: int
      home_addresses:
        description:
          - Return the bindings of these home addresses, and nothing else.
        type: list
        elements: str
  limit:
    description:
      - Name so many differences between kernel and cache of each virtual HA at most.
    type: int
    default: 20
  timeout:
    description:
      - Seconds to wait for each answer of the agent, which looks at everything in between its other work.
    type: float
    default: 120
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes.info
  - mip6.vrrp_ha.attributes.action_group
  - mip6.vrrp_ha.locations
seealso:
  - module: mip6.vrrp_ha.verify
  - module: mip6.vrrp_ha.binding_info
"""

EXAMPLES = r"""
- name: Is everything in the kernel
  mip6.vrrp_ha.consistency_info:
    virtual_has:
      - vrid: 51
      - vrid: 52
  register: found

- name: Say what is not
  ansible.builtin.debug:
    msg: "{{ found.faults + found.virtual_has | map(attribute='kernel.differences') | flatten }}"
"""

RETURN = r"""
faults:
  description: What is not on the host as the agent put it there, bindings left out. Empty when bindings were asked for.
  returned: success
  type: list
  elements: dict
  sample:
    - vrid: 51
      text: "rule 30 to table 1051: missing"
virtual_has:
  description:
    - An entry for each of O(virtual_has), in the same order, as the control protocol's call C(examine) has it; when
      bindings were asked for, C(vrid) and C(rows).
    - C(points) and C(rows) are lists as the control protocol has them, in JSON, compressed by zlib, in Base64.
  returned: success
  type: list
  elements: dict
  sample:
    - vrid: 51
      bindings: 1
      digest: 9c1185a5c5e9fc54
      points: eJyLrlZKyUxPLS5RslJQskw2NLQwTTRNNk21TEs2NVHSUVAqSCwqKQZKRkdbmOgoGOpgVWVsamkUG1sbCwBYYBUB
      associations: {"count": 0, "digest": "4c7a0d5f8d2e9b11", "fingerprints": {}}
      kernel:
        settled: true
        routes: 0
        source_checks: 1
        differences:
          - {"what": "route", "home_address": "2001:db8:1::1001", "wanted": "2001:db8:f::1", "found": null}
        more: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.consistency_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import LOCATIONS


def main():
    """Run with the host's own agent."""
    wanted = dict(
        vrid=dict(type="int", required=True),
        parts=dict(type="list", elements="int"),
        home_addresses=dict(type="list", elements="str"),
    )
    module = AnsibleModule(
        argument_spec=dict(
            LOCATIONS,
            virtual_has=dict(type="list", elements="dict", options=wanted, required=True),
            limit=dict(type="int", default=20),
            timeout=dict(type="float", default=120.0),
        ),
        supports_check_mode=True,
    )
    run(module, ControlClient(module.params["control_socket"], module.params["timeout"]))


if __name__ == "__main__":
    main()
