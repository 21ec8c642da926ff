# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that find an agent on the host."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the agent is on the host."""

    DOCUMENTATION = r"""
options:
  config_file:
    description:
      - The agent's configuration file on the host.
    type: path
    default: /etc/vrrp-ha/agent.json
  control_socket:
    description:
      - The agent's control socket on the host.
    type: path
    default: /run/vrrp-ha/control.sock
"""
