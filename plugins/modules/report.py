#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write down what a whole fleet of home agents is doing
version_added: 0.2.0
description:
  - Writes a page in Markdown, C(fleet.md), and the same as data with all that the agents told, C(fleet.json).
  - Both have who serves what, how many bindings, recoveries and handoffs there are, versions, alarms, and the plan.
  - Runs on the controller and touches no host. Give it what M(mip6.vrrp_ha.agent_info) returned for each host.
  - Whether the hosts are as they were deployed, M(mip6.vrrp_ha.verify) says.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  virtual_has:
    description:
      - The virtual HAs of the whole fleet, as for O(mip6.vrrp_ha.agent#module:virtual_has).
    type: list
    elements: dict
    required: true
  observed:
    description:
      - What each host answered, by inventory name.
    type: dict
    required: true
  report:
    description:
      - The directory on the controller to write to, in check mode too. It is made if it is not there.
    type: path
    required: true
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes.info
attributes:
  check_mode:
    details:
      - It changes nothing of what it reports on. The report is written in check mode, too.
  action:
    description: Runs on the controller.
    support: full
seealso:
  - module: mip6.vrrp_ha.agent_info
  - module: mip6.vrrp_ha.verify
"""

EXAMPLES = r"""
- name: Ask every home agent
  mip6.vrrp_ha.agent_info:
  register: told

- name: Write it down
  mip6.vrrp_ha.report:
    virtual_has: "{{ vrrp_ha_virtual_has }}"
    observed: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'told'))) }}"
    report: /var/tmp/fleet
  run_once: true
"""

RETURN = r"""
report:
  description: The files that were written.
  returned: success
  type: list
  elements: str
  sample: [/var/tmp/fleet/fleet.md, /var/tmp/fleet/fleet.json]
alarms:
  description: What is not as it should be, one line each.
  returned: success
  type: list
  elements: str
  sample: ["ha3: its agent is down (see 'systemctl status vrrp-ha' there, or deploy)"]
"""
