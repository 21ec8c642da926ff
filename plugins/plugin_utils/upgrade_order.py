# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which home agents may be restarted at the same time, and in which order: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def batches(
    hosts: Iterable[str], virtual_has: Sequence[Mapping[str, Any]], masters: Mapping[str, Sequence[int]]
) -> list[list[str]]:
    """Hosts in batches of which no two back each other up, those that are Master of least first.

    masters has the VRIDs that each host is Master of now; a host that is not in it is Master of nothing.
    """
    order = sorted(set(hosts), key=lambda host: (len(masters.get(host, ())), host))
    of_host: dict[str, set[int]] = {host: set() for host in order}
    for number, entry in enumerate(virtual_has):
        for host in entry["priorities"]:
            of_host.setdefault(str(host), set()).add(number)
    found: list[tuple[list[str], set[int]]] = []
    for host in order:
        for batch, busy in found:
            if not busy & of_host[host]:
                batch.append(host)
                busy |= of_host[host]
                break
        else:
            found.append(([host], set(of_host[host])))
    return [batch for batch, _busy in found]
