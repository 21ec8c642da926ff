# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to be supported: hosts of both Debian releases in one fleet, whose agents have no warnings to give."""

from __future__ import annotations

import re

import pytest

from tests.lab import fleet, story, topology
from tests.lab.places import SUITE

STRICT = "[Service]\nEnvironment=PYTHONWARNINGS=error PYTHONDEVMODE=1\n"
"""Python's warnings stop the agent, and what it closes too late or forgets to wait for is told."""


@pytest.fixture(scope="module", autouse=True)
def strict_agents(deployed: None) -> None:
    place = "/run/systemd/system/vrrp-ha.service.d"
    write = f"mkdir -p {place}; printf '{STRICT}' > {place}/strict.conf; systemctl daemon-reload"
    for host in topology.HOME_AGENTS:
        fleet.execute(host, "sh", "-ec", f"{write}; systemctl restart vrrp-ha")
    story.wait_for_owners()


def release(host: str) -> str:
    told = fleet.execute(host, "cat", "/etc/os-release")
    return dict(line.split("=", 1) for line in told.splitlines())["VERSION_CODENAME"]


def test_each_host_runs_its_release_of_debian() -> None:
    planned = {host: topology.node(host).suite for host in topology.HOME_AGENTS}
    assert {host: release(host) for host in topology.HOME_AGENTS} == planned
    assert set(planned.values()) == {"bookworm", "trixie"} or SUITE


@pytest.mark.parametrize("host", topology.HOME_AGENTS)
def test_systemd_and_python_have_nothing_to_warn_of(host: str) -> None:
    assert fleet.execute(host, "systemd-analyze", "verify", "vrrp-ha.service") == ""
    compiled = "python3 -W error -m compileall -q -f /tmp/compiled"
    fleet.execute(host, "sh", "-ec", f"cp -r /opt/vrrp-ha/current/lib /tmp/compiled; {compiled}; rm -r /tmp/compiled")
    process = fleet.execute(host, "systemctl", "show", "-p", "MainPID", "--value", "vrrp-ha").strip()
    assert "PYTHONWARNINGS=error" in fleet.execute(host, "cat", f"/proc/{process}/environ")
    journal = fleet.execute(host, "journalctl", "-b", "-u", "vrrp-ha", "-o", "cat")
    assert not re.findall(r"^.*(?:Warning|Traceback|Exception ignored|Unknown key|obsolete).*$", journal, re.MULTILINE)
    assert fleet.execute(host, "journalctl", "-b", "-u", "vrrp-ha", "-p", "warning", "-q") == ""
