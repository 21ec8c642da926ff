# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to be supported: every controller works with hosts of every release, and nothing of it warns.

All other tests are run by the ansible-core of the pinned environment; here are the oldest and the newest. That no
controller tells of a deprecation is asserted with every run of a playbook, see playbooks.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab import fleet, playbooks, procedures, story, topology
from tests.lab.controllers import CONTROLLERS, Controller
from tests.lab.places import SUITE
from tests.lab.playbooks import playbook
from tests.lab.procedures import PROCEDURES

STRICT = "[Service]\nEnvironment=PYTHONWARNINGS=error PYTHONDEVMODE=1\n"
"""Python's warnings stop the agent, and what it closes too late or forgets to wait for is told."""


@pytest.fixture(scope="module", autouse=True)
def strict_agents(deployed: None) -> None:
    place = "/run/systemd/system/vrrp-ha.service.d"
    write = f"mkdir -p {place}; printf '{STRICT}' > {place}/strict.conf; systemctl daemon-reload"
    for host in topology.HOME_AGENTS:
        fleet.execute(host, "sh", "-ec", f"{write}; systemctl restart vrrp-ha")
    story.wait_for_owners()


@pytest.fixture(scope="module", params=CONTROLLERS.values(), ids=[f"ansible-core {core}" for core in CONTROLLERS])
def controller(strict_agents: None, request: pytest.FixtureRequest) -> Iterator[Controller]:
    """All that is run on the controller is run by this one, and the collection is installed by it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VRRP_HA_LAB_CONTROLLER", request.param.core)
        playbooks.install()
        yield request.param


def release(host: str) -> str:
    told = fleet.execute(host, "cat", "/etc/os-release")
    return dict(line.split("=", 1) for line in told.splitlines())["VERSION_CODENAME"]


def versions() -> list[str]:
    """Of ansible-core and of Python on the controller, the first two numbers of each."""
    told = fleet.execute(topology.CONTROLLER, "ansible-playbook", "--version")
    return re.findall(r"(?:\[core |python version = )(\d+\.\d+)", told)


def test_each_host_runs_its_release_of_debian() -> None:
    planned = {host: topology.node(host).suite for host in topology.HOME_AGENTS}
    assert {host: release(host) for host in topology.HOME_AGENTS} == planned
    assert set(planned.values()) == {"bookworm", "trixie"} or SUITE


def test_all_other_tests_are_run_by_the_controller_between_the_two() -> None:
    assert versions()[0] == "2.19"


def test_deploy_has_nothing_to_change_and_costs_one_ssh_operation_a_host(controller: Controller) -> None:
    assert versions() == [controller.core, controller.python]
    play = playbook("deploy", "-vvv").must_succeed()
    assert play.changed == 0
    assert play.ssh_operations == dict.fromkeys(topology.HOME_AGENTS, 1)
    assert "WARNING]" not in play.output


@pytest.mark.parametrize("name", ["deploy that reloads", "failover", "plan"])
def test_a_procedure_does_what_it_predicts(controller: Controller, name: str) -> None:
    procedure = PROCEDURES[name]
    procedure.prepare()
    predicted = procedure.run("--check", "--diff")
    done = procedure.run()
    assert procedure.holds()
    assert predicted.changed == done.changed > 0
    assert "WARNING]" not in predicted.output + done.output
    procedure.undo()
    procedures.must_be_as_deployed()


# After all that was done above.


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
