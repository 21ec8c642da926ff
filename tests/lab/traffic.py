# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand packets a second in both directions with a mobile node of every virtual HA, while something is done."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from tests.lab import topology
from tests.lab.homelink import HomeLink
from tests.lab.mobility import TOOLS, MobileNode
from tests.lab.places import LabError

PACKETS_PER_SECOND = 1000
LOST_PER_CHANGE = 2
"""Packets, so milliseconds, that a change of Master may cost a flow."""
LATE_SHARE = 0.05
"""Of the packets that a machine may send too late to be a measure."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What one flow went through, and how often its virtual HA changed hands meanwhile."""

    vrid: int
    changes: int
    figures: dict[str, Any]

    @property
    def lost(self) -> int:
        return int(self.figures["lost"])

    @property
    def kept(self) -> bool:
        """Whether it stayed within what is promised."""
        return self.lost <= LOST_PER_CHANGE * self.changes

    def __str__(self) -> str:
        figures = self.figures
        return f"{figures['name']}: lost {self.lost} of {figures['sent']} in {self.changes} changes {figures['losses']}"


class Traffic:
    """A context; when it is over, `losses` has a line for each flow."""

    def __init__(self, nodes: Sequence[MobileNode]) -> None:
        self.losses: list[Loss] = []
        self._flows = [(node.vrid, flow) for node in nodes for flow in _both_ways(node)]
        self._link = HomeLink()

    def __enter__(self) -> Self:
        self._link.__enter__()
        self._process = subprocess.Popen(
            [sys.executable, "-B", str(TOOLS / "flows.py"), "--rate", str(PACKETS_PER_SECOND)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        json.dump([flow for _vrid, flow in self._flows], self._process.stdin)
        self._process.stdin.close()
        self._process.stdin = None
        if self._process.stdout.readline() != "ready\n":
            raise LabError(f"flows.py: {self._process.communicate()[1].strip()[-1000:]}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            output, errors = self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise LabError("flows.py does not end") from None
        finally:
            self._link.__exit__()
        if self._process.returncode:
            raise LabError(f"flows.py: {errors.strip()[-1000:]}")
        for (vrid, _flow), figures in zip(self._flows, json.loads(output), strict=True):
            self.losses.append(Loss(vrid, self._link.changes(vrid), figures))

    @property
    def takeovers(self) -> dict[int, int]:
        """How often each virtual HA got another Master."""
        return {loss.vrid: loss.changes for loss in self.losses}

    def must_be_kept(self) -> None:
        """No flow lost more than is promised."""
        packets = sum(loss.figures["sent"] for loss in self.losses)
        late = self.losses[0].figures["late"]
        if late > LATE_SHARE * packets:
            raise LabError(f"{late} of {packets} packets left late: this machine is too busy to measure by")
        assert all(loss.kept for loss in self.losses), "\n".join(map(str, self.losses))


def _both_ways(node: MobileNode) -> list[dict[str, Any]]:
    """Correspondent to mobile node and back, both through the home agent."""
    here, there = topology.node("cn").namespace, node.namespace
    port = 5100 + node.vrid
    return [
        {
            "name": f"CN to {node.name} (VRID {node.vrid})", "from_netns": here, "source": topology.CN_ADDRESS,
            "to_netns": there, "to": node.home, "port": port,
        },
        {
            "name": f"{node.name} to CN (VRID {node.vrid})", "from_netns": there, "source": node.home,
            "to_netns": here, "to": topology.CN_ADDRESS, "port": port,
        },
    ]  # fmt: skip
