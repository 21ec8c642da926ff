# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify must not let pass. Each test breaks one thing, looks for its name, and mends it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.lab import agents, faults, fleet, playbooks, story, topology
from tests.lab.mobility import MobileNode, home_address
from tests.lab.places import RUN

IMPATIENT = ("-e", "vrrp_ha_verify_rounds=2")
DEEP = ("-e", "deep=true")
CHANGES = 300  # a second


@pytest.fixture(autouse=True)
def mended(mobile_node: MobileNode) -> Iterator[ExitStack]:
    """A place for what has to be undone; the fleet is sound before and after."""
    with ExitStack() as undo:
        yield undo
    story.wait_for_owners()
    agents.wait_for("all agree again", lambda: agents.in_agreement(51), 15)
    playbooks.playbook("verify").must_succeed()


def assert_red(*named: str) -> None:
    """Verify fails, and one line of it names all of these."""
    assert_names(playbooks.playbook("verify", *IMPATIENT), named)


def assert_names(play: playbooks.Play, *lines: Sequence[str]) -> None:
    """It failed, and for each of these a line has all of the words."""
    assert not play.ok, "verify is green"
    output = [line for line in play.output.splitlines() if " ok=" not in line]  # the recap names all of them
    for named in lines:
        assert any(all(re.search(rf"(?<!\w){re.escape(word)}", line) for word in named) for line in output), play.output


def systemctl(host: str, *arguments: str) -> None:
    fleet.execute(host, "systemctl", *arguments)


def test_no_master(mended: ExitStack) -> None:
    mended.enter_context(faults.home_link_down(*topology.HOME_AGENTS))
    for host in topology.HOME_AGENTS:
        agents.wait_for(f"{host} is not Master", lambda host=host: agents.virtual_ha(host, 53)["state"] != "master", 10)
    assert_red("VRID 53", "no Master")


def test_two_masters(mended: ExitStack) -> None:
    mended.enter_context(faults.vrrp_cut_off("ha2"))
    agents.wait_for("ha2 thinks it is alone", lambda: agents.virtual_ha("ha2", 51)["state"] == "master", 5)
    assert_red("ha1", "ha2", "VRID 51", "2 Masters")


def test_a_cache_that_differs(mended: ExitStack, mobile_node: MobileNode) -> None:
    mended.enter_context(faults.updates_lost_towards("ha3"))
    mobile_node.must_register(1, first=50)
    agents.wait_for("ha2 has it", lambda: agents.counts(51)["ha2"] == agents.counts(51)["ha1"])
    assert_red("ha3", "VRID 51", "bindings")


def test_an_owner_that_is_not_master(mended: ExitStack, mobile_node: MobileNode) -> None:
    systemctl("ha1", "stop", "vrrp-ha")
    agents.wait_for("ha2 is Master", lambda: agents.master(51) == "ha2", 5)
    mobile_node.must_register(1, first=60)
    mended.enter_context(faults.updates_lost_towards("ha1"))
    systemctl("ha1", "start", "vrrp-ha")
    assert_red("ha1", "VRID 51", "owner is backup")


def test_a_drained_owner_is_no_fault(mended: ExitStack) -> None:
    fleet.execute("ha1", "vrrp-ha", "drain", "51")
    mended.callback(fleet.execute, "ha1", "vrrp-ha", "undrain", "51")
    agents.wait_for("ha2 is Master", lambda: agents.master(51) == "ha2", 5)
    playbooks.playbook("verify").must_succeed()


def test_an_agent_that_is_down(mended: ExitStack) -> None:
    systemctl("ha3", "stop", "vrrp-ha")
    mended.callback(systemctl, "ha3", "start", "vrrp-ha")
    assert_red("ha3", "down")


def test_a_host_that_is_down(mended: ExitStack) -> None:
    """Also the one that Ansible would ask on behalf of all."""
    host = topology.HOME_AGENTS[0]
    fleet.power_off(host)
    mended.callback(fleet.power_on, host)
    assert_red(host, "is unreachable")
    refused = playbooks.playbook("drain", "-e", "host=ha2", *IMPATIENT)
    assert not refused.ok
    assert refused.changed == 0
    assert f"{host}: is unreachable" in refused.output


def test_a_configuration_that_was_edited_by_hand(mended: ExitStack) -> None:
    fleet.execute("ha2", "sed", "-i", 's/"priority": 200/"priority": 199/', "/etc/vrrp-ha/agent.json")
    mended.callback(lambda: playbooks.playbook("deploy").must_succeed())
    assert_red("ha2", "drifted", "priority")


def test_while_bindings_change_all_the_time(mended: ExitStack, mobile_node: MobileNode) -> None:
    """A sound fleet is green; the one binding that a backup missed among thousands is found, and nothing else."""
    lost = home_address(51, 70)
    with mobile_node.registering(CHANGES, first=1000):
        agents.wait_for("bindings change", lambda: agents.counts(51)["ha1"] > 300)
        playbooks.playbook("verify", *DEEP).must_succeed()
        with faults.binding_lost_towards("ha3", lost):
            mobile_node.must_register(1, first=70)
            play = playbooks.playbook("verify", *DEEP, "-e", "vrrp_ha_verify_rounds=3")
    assert_names(play, ("ha3", "VRID 51", "holds"), ("ha3", "VRID 51", lost, "is missing", mobile_node.care_of))
    assert "more bindings differ" not in play.output
    assert "ha2, VRID 51" not in play.output


def test_entry_by_entry(mended: ExitStack, mobile_node: MobileNode) -> None:
    """What was changed by hand in the kernel of a backup is named, and mended by nobody but `repair`."""
    homes = [home_address(51, number) for number in (1, 2, 3)]
    extra, elsewhere = home_address(51, 999_999), "2001:db8:22::dead"
    tunnel = "dev mip6-51 encap seg6 mode encap.red segs"
    for command in (
        f"route del {homes[0]} table 1051",
        f"route replace {homes[1]} table 1051 {tunnel} {elsewhere}",
        f"route add {extra} table 1051 {tunnel} {elsewhere}",
        "rule del pref 30 lookup 1053",
    ):
        fleet.execute("ha2", "ip", "-6", *command.split())
    mended.callback(lambda: playbooks.playbook("verify", *DEEP).must_succeed())
    mended.callback(fleet.execute, "ha2", "vrrp-ha", "repair")
    assert_names(
        playbooks.playbook("verify", *DEEP, "-e", f"vrrp_ha_report={RUN / 'verify'}"),
        ("ha2", "VRID 51", homes[0], f"route to {mobile_node.care_of} is missing"),
        ("ha2", "VRID 51", homes[1], f"route to {elsewhere} instead of {mobile_node.care_of}"),
        ("ha2", "VRID 51", extra, f"route to {elsewhere} is there"),
        ("ha2", "VRID 53", "rule 30 to table 1053: missing"),
    )
    problems = json.loads((RUN / "verify" / "verify.json").read_text())["problems"]
    assert [problem["entry"]["home_address"] for problem in problems if problem["entry"]] == [*homes[:2], extra]
    assert homes[0] in (RUN / "verify" / "verify.xml").read_text()
