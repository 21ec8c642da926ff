# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the collection importable by its real name when pytest runs from a plain checkout."""

import importlib.util
import sys
import tempfile
from pathlib import Path

import pytest

if importlib.util.find_spec("ansible_collections") is None or "ansible_collections.mip6" not in sys.modules:
    try:
        importlib.import_module("ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec")
    except ImportError:
        place = Path(tempfile.mkdtemp(prefix="vrrp-ha-collections-"))
        (place / "ansible_collections" / "mip6").mkdir(parents=True)
        (place / "ansible_collections" / "mip6" / "vrrp_ha").symlink_to(Path(__file__).resolve().parents[3])
        sys.path.insert(0, str(place))


@pytest.fixture
def fake():
    """The stand-ins for a host, an agent and a module."""
    from ansible_collections.mip6.vrrp_ha.tests.unit.plugins import fakes

    return fakes


@pytest.fixture
def place(fake, tmp_path):
    """A host for the agent module."""
    from ansible_collections.mip6.vrrp_ha.tests.unit.plugins.place import Place

    made = Place(fake, tmp_path)
    yield made
    made.agent.close()
