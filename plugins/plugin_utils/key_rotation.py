# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the sync keys that members use to those that they should use, so that all understand each other meanwhile: pure.

Three steps, each of which is done on all members before the next begins. At every moment of them each member accepts
what any other one sends, in whatever order the hosts are reached. They are computed from what is there, so that a
rotation that was broken off is gone on with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ACCEPT, SWITCH, FINISH = "accept", "switch", "finish"
STEPS = (ACCEPT, SWITCH, FINISH)


class RotationError(ValueError):
    """The keys cannot be changed like this; says why and what to do."""


def virtual_has_of_step(
    step: str,
    host: str,
    virtual_has: Sequence[Mapping[str, Any]],
    observed: Mapping[str, Sequence[Mapping[str, Any]]],
    keys: Iterable[str],
) -> list[dict[str, Any]]:
    """The fleet's virtual HAs as the host is to be told in a step.

    virtual_has: as they are to be in the end; those of others stay so. observed: of each host, those
    that its agent runs, as a run that was broken off may have left other files. keys: the names of those that can be
    given out.
    """
    if step not in STEPS:
        raise RotationError(f"{step!r} is no step of a rotation; there are: {', '.join(STEPS)}")
    names = set(keys)
    return [_entry(step, host, entry, observed, names) for entry in virtual_has]


def _entry(
    step: str,
    host: str,
    entry: Mapping[str, Any],
    observed: Mapping[str, Sequence[Mapping[str, Any]]],
    names: set[str],
) -> dict[str, Any]:
    wanted = entry.get("sync_key")
    in_use = _in_use(entry, observed)
    if step == FINISH or host not in entry["priorities"] or not wanted or set(in_use.values()) <= {wanted}:
        return dict(entry)
    where = f"virtual_has[vrid={entry['vrid']}]"
    if missing := sorted(set(entry["priorities"]) - set(observed)):
        raise RotationError(f"{where}: {', '.join(missing)} did not answer; all members have to be there")
    for member, name in sorted(in_use.items()):
        if name not in names:
            raise RotationError(
                f"{where}: {member} still sends with the key '{name}', which is not in vrrp_ha_sync_keys; "
                f"keep it there until the keys are changed"
            )
    sends = in_use.get(host, wanted) if step == ACCEPT else wanted
    accepted = sorted({*in_use.values(), wanted, *entry.get("accepted_sync_keys", ())} - {sends})
    return dict(entry, sync_key=sends, accepted_sync_keys=accepted)


def _in_use(entry: Mapping[str, Any], observed: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """What each member sends with that has the virtual HA already."""
    found = {}
    for member in entry["priorities"]:
        for other in observed.get(member, ()):
            if other.get("vrid") == entry["vrid"] and other.get("sync_key"):
                found[member] = str(other["sync_key"])
    return found
