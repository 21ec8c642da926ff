# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes of a host's configuration would move a service that mobile nodes are using at this moment.

Pure: two configurations and the agent's status in, one line for each move out. A host judges only what it sees itself;
each move of an owner is seen by one that is Master.
"""

from __future__ import annotations

from .configuration import canonical
from .health import masters_of

OWNER = 255
PROCEDURE = "docs/how-to/plan.md, 'Moves on a live fleet'"


def moves(before, after, status):
    """What a configuration (a document) would move on a host that has another one and whose agent has this status."""
    if status is None:
        return []
    master_of = set(masters_of(status))
    wanted = _by_vrid(after)
    known = _by_vrid(before)
    found = []
    for vrid, entry in known.items():
        if vrid in master_of:
            found.extend(_of_master(vrid, entry, wanted))
    for vrid, entry in wanted.items():
        if vrid in known and vrid not in master_of and _is_owner(entry) and not _is_owner(known[vrid]):
            # The other side of the same: who is Master would lose it to this host.
            text = "VRID {0}: this host is to own it and is not its Master; first fail over to {1}"
            found.append(text.format(vrid, after.get("host")))
    return found


def _of_master(vrid, entry, wanted):
    address = _address(entry)
    if vrid not in wanted:
        others = [other for other, candidate in wanted.items() if _address(candidate) == address]
        if others:
            return ["VRID {0}: it is in use here and is to be VRID {1}".format(vrid, others[0])]
        return [
            "VRID {0}: it is in use here and is to be taken away; make another member its Master first".format(vrid)
        ]
    after = wanted[vrid]
    if _address(after) != address:
        return ["VRID {0}: {1} is in use here and is to be {2}".format(vrid, address, _address(after))]
    if _is_owner(entry) and not _is_owner(after):
        owner = next(
            (member["name"] for member in after.get("members", []) if member.get("priority") == OWNER), "another"
        )
        text = "VRID {0}: this host is its Master and is to own it no more; first fail over to {1}"
        return [text.format(vrid, owner)]
    return []


def refusal(lines):
    """Why nothing was changed, and what to do."""
    text = "refused, it would move what mobile nodes use: {0}. The procedure is in {1}; vrrp_ha_moves=accept forces it"
    return text.format("; ".join(lines), PROCEDURE)


def _by_vrid(config):
    return {entry.get("vrid"): entry for entry in config.get("virtual_has") or []}


def _is_owner(entry):
    return entry.get("priority") == OWNER


def _address(entry):
    return canonical(str((entry.get("addresses") or [""])[0]))
