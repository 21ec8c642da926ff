#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_check
short_description: Refuse to go on with virtual HAs that were planned and not accepted
version_added: 0.2.0
description:
  - Fails when the inventory asks, on the links of the play's hosts, for another plan than is in the lock file. It says
    what differs, and the command that accepts it.
  - Fails as well when a source of the inventory that plans could not be read.
  - Does nothing when no source plans. Runs on the controller and touches no host.
author:
  - the mip6.vrrp_ha developers (@mip6)
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes.info
attributes:
  action:
    description: Runs on the controller.
    support: full
seealso:
  - plugin: mip6.vrrp_ha.vrid_plan
    plugin_type: inventory
  - module: mip6.vrrp_ha.plan
"""

EXAMPLES = r"""
- name: Have the plan reviewed first
  mip6.vrrp_ha.plan_check:
  run_once: true
"""

RETURN = r"""
changes:
  description: What is asked for and was not accepted, one line each.
  returned: always
  type: list
  elements: str
  sample: ["berlin: host ha4 added"]
"""
