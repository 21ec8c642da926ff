#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Accept the virtual HAs that the inventory plans
version_added: 0.2.0
description:
  - Writes what P(mip6.vrrp_ha.vrid_plan#inventory) has planned to its lock file, and returns the plan to look at.
  - Runs on the controller and touches no host. The playbook C(mip6.vrrp_ha.plan) shows what it returns.
author:
  - the mip6.vrrp_ha developers (@mip6)
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes
attributes:
  action:
    description: Runs on the controller.
    support: full
seealso:
  - plugin: mip6.vrrp_ha.vrid_plan
    plugin_type: inventory
  - module: mip6.vrrp_ha.plan_check
"""

EXAMPLES = r"""
- name: Accept what the inventory asks for
  mip6.vrrp_ha.plan:
  register: planned
  run_once: true

- name: Put the plan into a page
  ansible.builtin.copy:
    dest: plan.md
    content: "{{ planned.links[0].virtual_has | mip6.vrrp_ha.plan_markdown }}"
    mode: "0644"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
changes:
  description: What is asked for and was not accepted before, one line each with its reason.
  returned: success
  type: list
  elements: str
  sample: ["berlin: berlin-1: owner ha1 -> ha2 (ha1 is leaving) [MOVES A LIVE SERVICE]"]
moves:
  description: Those of the changes that move a service which may be in use.
  returned: success
  type: list
  elements: str
  sample: []
procedure:
  description: What to do on a live fleet before moves are accepted; empty when there are none.
  returned: success
  type: list
  elements: str
  sample:
    - "Before this is accepted for a fleet in use, see docs/how-to/plan.md, 'Moves on a live fleet':"
    - "- ansible-playbook mip6.vrrp_ha.failover -e vrrp_ha_hosts=vrrp_ha_link_berlin -e vrid=51 -e to=ha2"
links:
  description: The links, with their virtual HAs and a table of them.
  returned: success
  type: list
  elements: dict
  sample:
    - link: berlin
      prefix: 2001:db8:1::/64
      drained: []
      changes: []
      virtual_has:
        - vrid: 51
          name: berlin-1
          addresses: ["2001:db8:1::51"]
          priorities: {ha1: 255, ha2: 200}
      table: ["VRID  NAME      ADDRESS         ha1    ha2", "51    berlin-1  2001:db8:1::51  owner  1st"]
locks:
  description: The lock files.
  returned: success
  type: list
  elements: str
  sample: [/etc/fleet/vrid_plan.lock.yml]
"""
