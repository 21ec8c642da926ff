# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mobile nodes of VRID 51 that go where a home agent sends them, make before break."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

from tests.lab import access, topology
from tests.lab.mobility import TOOLS, MobileNode, home_address
from tests.lab.places import LabError


class Following:
    """follow.py at work: mobile nodes of VRID 51."""

    def __init__(self, at: MobileNode, first: int, count: int, *options: str) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable, "-B", str(TOOLS / "follow.py"), "--netns", at.namespace,
                "--home-agent", topology.VIRTUAL_HAS[51], "--home-address", home_address(51, first),
                "--count", str(count), "--care-of", at.care_of, "--key", access.mobile_node_key(51).hex(),
                "--spi", str(access.spi(51)), *options,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(self) -> dict[str, Any]:
        self._process.send_signal(signal.SIGTERM)
        output, errors = self._process.communicate(timeout=20)
        if not output.strip():
            raise LabError(f"follow.py: {errors.strip()[-1000:]}")
        found: dict[str, Any] = json.loads(output)
        return found
