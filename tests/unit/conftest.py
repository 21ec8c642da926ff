# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test runs what is below tests/unit, too: there the agent's own tests are skipped, and say so.

It has neither the agent in its path nor what mobile nodes are made of (Scapy). `make check` and `make test` run them;
a complete run takes a skip like this one for a failure.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"


class ElsewhereOnly(pytest.Module):
    """A module of tests that is not even imported."""

    def collect(self):
        pytest.skip("a test of the agent: make check runs it", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector):
    if PLUGINS in module_path.parents or importlib.util.find_spec("vrrp_ha") is not None:
        return None
    return ElsewhereOnly.from_parent(parent, path=module_path)
