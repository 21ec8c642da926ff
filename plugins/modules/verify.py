#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Compare what a whole fleet of home agents reports with what it should be
version_added: 0.1.0
description:
  - Fails, naming host and VRID, when a virtual HA has no Master or more than one, a backup's bindings differ from the
    Master's, an owner is not Master without being drained, a member is down, its agent unhealthy, or a host differs
    from the plan.
  - Runs on the controller and touches no host. Give it what M(mip6.vrrp_ha.agent) in check mode, or
    M(mip6.vrrp_ha.agent_info), returned for each host.
  - The playbook C(mip6.vrrp_ha.verify) does all of it and asks again while deltas are under way.
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
  leaving:
    description:
      - Hosts that are about to be taken out of service. It is a problem as well when a virtual HA would have no member
        left that is up, in sync and not drained.
    type: list
    elements: str
    default: []
  absent:
    description:
      - Hosts that are not to have an agent, though the plan still has them as members. Nothing is expected of them.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  drift:
    description:
      - A host that differs from what M(mip6.vrrp_ha.agent) was asked for is a problem. V(false) is for the middle of a
        change.
    type: bool
    default: true
  since:
    description:
      - RV(since) of the first of several looks. Members whose bindings differ when they are asked are believed when
        they held the same at a moment after it.
    type: dict
    default: {}
    version_added: 0.2.0
  deep:
    description:
      - Compare entry by entry as well. RV(ask) says what M(mip6.vrrp_ha.consistency_info) has to be asked for; call
        again with its answers added to O(looks), until there is nothing to ask for.
    type: bool
    default: false
    version_added: 0.2.0
  looks:
    description:
      - What M(mip6.vrrp_ha.consistency_info) returned, a dictionary by inventory name for each time that it was asked.
    type: list
    elements: dict
    default: []
    version_added: 0.2.0
  deep_limit:
    description:
      - Name so many differing entries of each virtual HA on each member at most.
    type: int
    default: 20
    version_added: 0.2.0
  rounds:
    description:
      - Look at entries that differ so many times at most.
    type: int
    default: 10
    version_added: 0.2.0
  report:
    description:
      - Write what was found to C(verify.json) and, as JUnit XML, to C(verify.xml) in this directory on the controller,
        in check mode too. It is made if it is not there.
    type: path
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes.info
attributes:
  action:
    description: Runs on the controller.
    support: full
seealso:
  - module: mip6.vrrp_ha.agent
  - module: mip6.vrrp_ha.agent_info
  - module: mip6.vrrp_ha.consistency_info
"""

EXAMPLES = r"""
- name: See what a deploy would change, and the status
  mip6.vrrp_ha.agent:
    virtual_has: "{{ vrrp_ha_virtual_has }}"
    sync_keys: "{{ vrrp_ha_sync_keys }}"
  check_mode: true
  register: answer

- name: Compare the fleet
  mip6.vrrp_ha.verify:
    virtual_has: "{{ vrrp_ha_virtual_has }}"
    observed: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'answer'))) }}"
  run_once: true
"""

RETURN = r"""
problems:
  description: Everything that is not as it should be.
  returned: always
  type: list
  elements: dict
  sample:
    - host: ha2
      vrid: 51
      message: holds 9 bindings (digest 0000000000000001), the Master ha1 10 (digest 0000000000000002)
      remedy: it repairs itself within two digest intervals
      transient: true
      entry: null
transient:
  description: Whether there are problems and all of them may pass by themselves. O(deep) has no part in it.
  returned: always
  type: bool
  sample: false
since:
  description: How many seconds each agent had run at the first look.
  returned: always
  type: dict
  sample: {"ha1": 12.5, "ha2": 3600.1}
ask:
  description:
    - Option O(mip6.vrrp_ha.consistency_info#module:virtual_has) by host. Empty without O(deep), and at the end.
  returned: always
  type: dict
  sample: {"ha2": [{"vrid": 51, "home_addresses": ["2001:db8:1::1001"]}]}
looks:
  description: O(looks), to be added to.
  returned: always
  type: list
  elements: dict
  sample: []
report:
  description: The files that were written.
  returned: when O(report) is given
  type: list
  elements: str
  sample: [/var/tmp/fleet/verify.json, /var/tmp/fleet/verify.xml]
table:
  description: Every virtual HA on every member, as aligned lines.
  returned: always
  type: list
  elements: str
  sample:
    - VRID  NAME   MEMBER  PRIORITY  STATE   BINDINGS  DIGEST            NOTES
    - 51    vha-a  ha1     255       master  10        0000000000000002  -
"""
