#!/usr/bin/python

# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: agent
short_description: Bring the home agent of a host to the desired state in one call
version_added: 0.1.0
description:
  - Installs the bundled agent with everything it needs, its unit, sysctls, configuration and keys, starts or reloads
    it, and waits until it is healthy. When there is nothing to do this is one module call on the host.
  - The controller computes what the host should be. Only when the host lacks the release is it sent, as one archive
    that contains all that the agent needs, so that hosts need neither internet access nor pip.
  - Configuration and keys are validated by the agent's own checker before anything is changed.
author:
  - the mip6.vrrp_ha developers (@mip6)
options:
  state:
    description:
      - V(present) brings the host to the desired state.
      - V(absent) stops the agent and removes everything that V(present) made. Sysctls keep their values until the
        next boot.
      - V(restarted) restarts the agent with what is on the host, and waits until it is healthy and holds its Masters'
        bindings.
    type: str
    choices: [present, absent, restarted]
    default: present
  virtual_has:
    description:
      - The virtual HAs of the whole fleet. The host takes part in those that name it in O(virtual_has[].priorities).
      - Required with O(state=present).
    type: list
    elements: dict
  settings:
    description:
      - Settings of the agent outside its virtual HAs, as in its configuration file, for example C(first_table) and
        C(sync).
      - The agent's checker refuses what it does not know.
    type: dict
  sync_keys:
    description:
      - Keys that authenticate members to each other. A host gets those that its virtual HAs name.
    type: list
    elements: dict
    suboptions:
      name:
        description: The name that virtual HAs refer to.
        type: str
        required: true
      key_id:
        description: The number of the key on the wire.
        type: int
        required: true
      key:
        description: The key in hex, at least 16 octets.
        type: str
        required: true
  mobile_node_keys:
    description:
      - Keys of mobile nodes (RFC 4285). A host gets those whose home addresses lie in the prefixes of its virtual HAs.
    type: list
    elements: dict
    suboptions:
      spi:
        description: The security parameter index.
        type: int
        required: true
      home_addresses:
        description: The home address, or a prefix of home addresses.
        type: str
        required: true
      identity:
        description: The network access identifier of the mobile node that has the key, for lists of identities.
        type: str
      key:
        description: The key in hex.
        type: str
        required: true
  ipsec_security_associations:
    description:
      - Manually keyed ESP security associations with mobile nodes (RFC 3776). I(in) is from the mobile node to the home
        agent, I(out) the other way.
      - A host gets those that it can be the home agent of. A deployment that has any carries the wheels of
        C(roles/agent/files/requirements-esp.txt) to its hosts.
    type: list
    elements: dict
    suboptions:
      home_address:
        description: The mobile node's home address.
        type: str
        required: true
      home_agent:
        description:
          - The address of the virtual HA that it is with.
          - Left out, it is with each that the home address belongs to.
        type: str
      algorithm:
        description:
          - What encrypts and authenticates. Left out, it is V(aes-cbc-hmac-sha-256-128).
          - V(aes-gcm-16) needs O(sender_id), and is not recommended with keys that are never changed.
        type: str
        choices: [aes-cbc-hmac-sha-256-128, aes-gcm-16]
      prefix_discovery:
        description: Protect Mobile Prefix Solicitations and Advertisements as well. Left out, it is V(true).
        type: bool
      spi_in:
        description: The security parameter index of what the mobile node sends.
        type: int
        required: true
      encryption_key_in:
        description: The key in hex, 16, 24 or 32 octets, with V(aes-gcm-16) 4 more for the salt.
        type: str
        required: true
      authentication_key_in:
        description: The key in hex, 32 octets. Not with V(aes-gcm-16).
        type: str
      spi_out:
        description: The security parameter index of what the home agent sends.
        type: int
        required: true
      encryption_key_out:
        description: As O(ipsec_security_associations[].encryption_key_in), and another key.
        type: str
        required: true
      authentication_key_out:
        description: As O(ipsec_security_associations[].authentication_key_in), and another key.
        type: str
      identity:
        description: The network access identifier of the mobile node, for lists of identities.
        type: str
  sender_id:
    description:
      - A number from 1 to 255 that no other host with the same security associations has or ever had. Needed for
        V(aes-gcm-16) alone.
      - Refused when the variable C(vrrp_ha_sender_id) of another member is the same.
    type: int
  restart:
    description:
      - When a restart is needed (a new release, or a setting that a running agent cannot change), V(now) restarts and
        V(deferred) leaves it to a later O(state=restarted) and returns RV(restart_pending), so that a play can restart
        the members of a virtual HA one after the other.
      - An agent that does not run is started in either case.
    type: str
    choices: [now, deferred]
    default: now
  moves:
    description:
      - Whether to go on when the change would move a service that mobile nodes are using at this moment. That is when
        the host is Master of a virtual HA and is to own it no more, or to have it no more or under another VRID or
        address; or when it is to own one whose Master is another.
      - V(refuse) changes nothing on the host then, and says how to move it safely first.
    type: str
    choices: [refuse, accept]
    default: refuse
  config_file:
    description:
      - An agent that this module deploys has its configuration file there, and nowhere else.
  control_socket:
    description:
      - The control socket that the agent is told to have, unless C(control_socket) is in O(settings).
  timeout:
    description:
      - Seconds to wait for the agent to be healthy. V(0) does not wait.
    type: float
    default: 30
  python:
    description:
      - The Python on the host that runs the agent, 3.11 or newer.
    type: path
    default: /usr/bin/python3
  wheels:
    description:
      - The directory on the controller with the wheels that C(roles/agent/files/requirements.txt) asks for, and
        C(requirements-esp.txt) beside it where there are O(ipsec_security_associations).
      - All wheels of a package that are there go to the hosts, so that they may run different versions of Python.
        They are for one kind of machine; give hosts of another kind another directory.
      - By default C(roles/agent/files/wheels) of the collection, then C(~/.cache/vrrp-ha/wheels).
    type: path
  prepared:
    description:
      - What the controller's half of this module computed from the other options, as JSON. Not for playbooks.
    type: str
extends_documentation_fragment:
  - mip6.vrrp_ha.attributes
  - mip6.vrrp_ha.attributes.action_group
  - mip6.vrrp_ha.locations
  - mip6.vrrp_ha.virtual_ha.fleet
attributes:
  idempotent:
    support: partial
    details:
      - O(state=restarted) restarts each time.
  action:
    description: Has a part that runs on the controller.
    support: full
notes:
  - Runs as root on the host.
seealso:
  - module: mip6.vrrp_ha.agent_info
  - module: mip6.vrrp_ha.mastership
"""

EXAMPLES = r"""
- name: Bring every home agent to the plan
  mip6.vrrp_ha.agent:
    virtual_has:
      - vrid: 51
        name: vha-a
        interface: eth1
        addresses: ["2001:db8:1::51"]
        prefix: 2001:db8:1::/64
        priorities: {ha1: 255, ha2: 200, ha3: 150}
        advertisement_interval: 10
        sync_key: fleet
    sync_keys: "{{ vaulted_sync_keys }}"

- name: Take the agent away
  mip6.vrrp_ha.agent:
    state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["/etc/vrrp-ha/agent.json: virtual_has.vrid=51.priority 150 -> 200", "service: reload"]
release:
  description: The digest of the release that the host has after the run.
  returned: O(state=present)
  type: str
  sample: 0f3a9c5b7d21
restart_pending:
  description: Whether the agent still has to be restarted, after O(restart=deferred).
  returned: O(state=present)
  type: bool
  sample: false
restart_reasons:
  description: Why it has to be, one line each.
  returned: O(state=present)
  type: list
  elements: str
  sample: []
master_of:
  description: The VRIDs whose Master the host is.
  returned: success
  type: list
  elements: int
  sample: [51]
service:
  description: What systemd said of the service before anything was changed, for example V(active) or V(activating).
  returned: O(state=present), O(state=absent)
  type: str
  sample: active
status:
  description: The agent's status, as the control protocol defines it. Null when no agent answers.
  returned: success
  type: dict
  sample: {"host": "ha1", "healthy": true, "config_current": true, "virtual_has": [{"vrid": 51, "state": "master"}]}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.agent_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.host import Host
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import AGENT, PREPARED


def main():
    """Do what the action on the controller computed."""
    module = AnsibleModule(argument_spec=dict(AGENT, prepared=PREPARED), supports_check_mode=True)
    run(module, Host(module.run_command), ControlClient)


if __name__ == "__main__":
    main()
