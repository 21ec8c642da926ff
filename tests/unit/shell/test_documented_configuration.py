# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample in docs/reference/configuration.md is a good configuration that names every option."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.shell.test_config import KEYS
from vrrp_ha.shell.config import load
from vrrp_ha.shell.effective import effective

OF_THE_AGENT = ("balance",)  # sections that a virtual HA without its own takes from the agent's
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"


@pytest.fixture
def sample():
    return json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[1])


@pytest.fixture
def loaded(sample, tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(KEYS))
    keys.chmod(0o600)
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({**sample, "keys_file": str(keys)}))
    return effective(load(str(path)))


def test_the_sample_is_accepted_and_means_what_it_says(sample, loaded):
    del loaded["keys"]
    (meant,), (said,) = loaded.pop("virtual_has"), sample.pop("virtual_has")
    assert loaded == {**sample, "keys_file": loaded["keys_file"]}
    said |= {name: sample[name] for name in OF_THE_AGENT if name not in said}
    assert [name for name in meant | said if meant.get(name) != said.get(name)] == []


def test_its_sections_are_the_defaults(sample, tmp_path):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps({"format": 1, "host": "ha1", "virtual_has": []}))
    defaults = effective(load(str(path)))
    sections = [name for name, value in defaults.items() if isinstance(value, dict) and name != "keys"]
    assert {name: sample[name] for name in sections} == {name: defaults[name] for name in sections}
