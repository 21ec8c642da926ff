#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: procedure
short_description: Let one playbook at a time change a fleet of home agents
version_added: 0.2.0
description:
  - Each host remembers which run of which playbook it works for. Another run fails, and says who it has to wait for.
  - A run that was killed is recognised on the controller that it ran on, and its place taken. For others it is over
    when its lease is.
  - What a killed run has left at work on the host is waited for, a minute at most.
  - The playbooks of this collection that move services use it by themselves.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  state:
    description:
      - V(begun) claims the host or renews the claim, V(ended) lets go of it.
    type: str
    choices: [begun, ended]
    default: begun
  playbook:
    description:
      - What the others are told that is going on.
    type: str
    required: true
  lease:
    description:
      - Seconds after which the claim is over by itself.
    type: int
    default: 900
  force:
    description:
      - Take the place of any other run.
    type: bool
    default: false
  holder:
    description:
      - For internal use.
    type: dict
  take_over_from:
    description:
      - For internal use.
    type: str
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes.info
attributes:
  check_mode:
    details:
      - Says who holds the host, and claims nothing. A claim is never reported as a change in any mode.
  diff_mode:
    details:
      - A claim changes nothing that the host is or serves.
  action:
    description: Who asks is found out on the controller.
    support: full
seealso:
  - module: mip6.vrrp_ha.drain
"""

EXAMPLES = r"""
- name: Begin, or fail when another run is at work
  mip6.vrrp_ha.procedure:
    playbook: our-maintenance

- name: Let others work again
  mip6.vrrp_ha.procedure:
    playbook: our-maintenance
    state: ended
"""

RETURN = r"""
held_by:
  description: Whom the host works for; null when it is this run or nobody.
  returned: always
  type: dict
  sample: null
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.host import Host
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.procedure_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import PROCEDURE


def main():
    """Run with the host's own file."""
    module = AnsibleModule(
        argument_spec=dict(PROCEDURE, holder=dict(type="dict"), take_over_from=dict(type="str")),
        supports_check_mode=True,
    )
    run(module, Host(module.run_command))


if __name__ == "__main__":
    main()
