# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sysctls that a home agent's host needs all the time; what concerns one interface the agent sets itself."""

from __future__ import annotations

SYSCTLS = {
    "net.ipv6.conf.all.forwarding": "1",
}
