# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of a real agent, by the command and in the file."""

import http.client
import json

import pytest

from tests.kernel.agents import Link, until
from tests.unit.shell import exposition


@pytest.fixture
def link():
    with Link("a") as link:
        yield link


def test_a_running_agent_has_metrics_on_demand_and_in_a_file(link, new_agent, tmp_path):
    path = tmp_path / "vrrp_ha.prom"
    agent = new_agent("a", {51: 255})
    agent.config["metrics"] = {"textfile": str(path), "interval": 1, "listen": "[::1]:9909"}
    agent.start()
    agent.becomes("master")
    asked = exposition.read(agent.ctl("metrics").stdout)
    assert asked["vrrp_ha_state"].samples[("state", "master"), ("vrid", "51")] == 1
    assert ("reason", "tunnel_spoofed") in {
        pair for labels in asked["vrrp_ha_filtered_packets_total"].samples for pair in labels
    }
    until(path.exists)
    assert path.stat().st_mode & 0o777 == 0o644
    until(lambda: exposition.read(path.read_text())["vrrp_ha_state"].samples == asked["vrrp_ha_state"].samples)
    assert exposition.read(path.read_text()).keys() == asked.keys()
    with link.on("a"):
        connection = http.client.HTTPConnection("::1", 9909, timeout=5)
        connection.request("GET", "/metrics")
    served = exposition.read(connection.getresponse().read().decode())
    assert served["vrrp_ha_state"].samples == asked["vrrp_ha_state"].samples
    values = json.loads(agent.ctl("metrics", "--json").stdout)
    assert {sample["name"] for sample in values} == asked.keys()
    assert agent.stop() == 0
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_a_warning(link, new_agent, tmp_path):
    path = tmp_path / "missing" / "vrrp_ha.prom"
    agent = new_agent("a", {51: 255})
    agent.config["metrics"] = {"textfile": str(path), "interval": 1}
    agent.start()
    warning = f"metrics are not written: {path}: No such file or directory"
    until(lambda: warning in agent.call("status")["warnings"])
    path.parent.mkdir()
    until(lambda: warning not in agent.call("status")["warnings"])
