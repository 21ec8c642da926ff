# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be waited for, read from an agent's status: pure, and in words that a timeout can repeat."""

from __future__ import annotations

from .host import HostError


def unhealthy(status, config_digest=None, synced=False):
    """Why the agent is not yet as it should be; an empty text when it is.

    With synced, every backup must also hold its Master's bindings.
    """
    if config_digest is not None and status.get("config_digest") != config_digest:
        return "the agent to load the configuration that was written"
    if not status.get("config_current", True):
        return "the agent to load the configuration and keys that are on disk"
    for virtual_ha in status.get("virtual_has", []):
        if virtual_ha.get("state") == "initialize":
            return "VRID {0} on {1} to leave the state initialize".format(
                virtual_ha["vrid"], virtual_ha.get("interface")
            )
        if synced and virtual_ha.get("mipv6_ha_mode") and not virtual_ha.get("synced"):
            return "VRID {0} to hold the bindings of its Master".format(virtual_ha["vrid"])
    if not status.get("healthy", True):
        warnings = "; ".join(status.get("warnings") or []) or "it does not say why"
        return "the agent to be healthy ({0})".format(warnings)
    return ""


def virtual_ha_of(status, vrid):
    """The part of a status that is about one VRID; None if the agent has none such."""
    for virtual_ha in status.get("virtual_has", []):
        if virtual_ha.get("vrid") == vrid:
            return virtual_ha
    return None


def state_of(status, vrid):
    """What says whether a member serves a virtual HA; HostError if the agent does not run it."""
    entry = virtual_ha_of(status, vrid)
    if entry is None:
        raise HostError("the agent does not run VRID {0}, though it is configured; deploy the host again".format(vrid))
    return {name: entry.get(name) for name in ("vrid", "state", "drained", "master", "effective_priority")}


def masters_of(status):
    """The VRIDs whose Master the host is."""
    return [entry["vrid"] for entry in (status or {}).get("virtual_has", []) if entry.get("state") == "master"]
