# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real agent as a process: what it leaves behind, whom it obeys, what it tells its supervisor."""

import grp
import json
import signal
import socket
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.kernel.agents import HOME, environment, until, virtual_ha

NOBODY = 65534


def test_a_killed_agent_leaves_no_trace_after_cleanup(new_agent, link, mobile_node):
    before = link.traces("a")
    a = new_agent("a", {51: 255, 52: 255}).start()
    a.becomes("master")
    a.becomes("master", 52)
    assert mobile_node.register() == 0
    assert link.traces("a") != before
    a.kill()
    started = time.monotonic()
    a.cleanup()
    assert time.monotonic() - started < 1.0
    assert link.traces("a") == before
    assert a.ctl("cleanup").stdout == "nothing to remove\n"


def test_cleanup_works_without_a_usable_configuration(new_agent, link):
    before = link.traces("a")
    a = new_agent("a", {51: 255}).start()
    a.becomes("master")
    a.kill()
    a.config_path.write_text("{")
    a.cleanup()
    assert link.traces("a") == before


def test_cleanup_spares_a_living_agent_unless_forced(new_agent):
    a = new_agent("a", {51: 255}).start()
    a.becomes("master")
    refused = a.ctl("cleanup", check=False)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert a.is_state("master")


def test_an_orderly_stop_leaves_no_trace(new_agent, link):
    before = link.traces("a")
    a = new_agent("a", {51: 255}).start()
    a.becomes("master")
    assert a.stop() == 0
    assert link.traces("a") == before
    assert not Path(a.config["control_socket"]).exists()


def test_a_killed_agent_starts_again_over_what_it_left(new_agent, mobile_node):
    a = new_agent("a", {51: 255}).start()
    a.becomes("master")
    a.kill()
    a.start()
    a.becomes("master")
    assert mobile_node.register() == 0
    until(mobile_node.receives_tunnelled)


def test_repair_mends_what_somebody_broke(new_agent, link, mobile_node):
    a = new_agent("a", {51: 255}).start()
    a.becomes("master")
    assert mobile_node.register() == 0
    until(mobile_node.receives_tunnelled)
    whole = link.traces("a")
    link.run("a", "ip", "-6", "rule", "del", "to", "2001:db8:1::/64", "lookup", "1051")
    link.run("a", "ip", "-6", "addr", "del", "2001:db8:1::51/128", "dev", "vrrp6-51")
    assert not mobile_node.receives_tunnelled(0.3)
    assert a.call("repair")["repaired"]
    assert link.traces("a") == whole
    assert mobile_node.receives_tunnelled()
    assert a.call("repair") == {"repaired": []}


def test_a_gate_that_somebody_closed_is_opened_again_and_told(new_agent, link, mobile_node):
    a = new_agent("a", {51: 255}).start()
    a.becomes("master")
    assert mobile_node.register() == 0
    link.run("a", "sysctl", "-qw", "net.ipv6.conf.mip6-51.ignore_routes_with_linkdown=1")
    until(lambda: "repaired" in [event["kind"] for event in a.call("events")["events"]])
    until(mobile_node.receives_tunnelled)


def test_reload_leaves_other_virtual_has_untouched(pair, observer):
    a, _b = pair
    observer.drop()
    a.config["virtual_has"].append(virtual_ha(52, priority=255))
    a.write()
    assert a.call("status")["config_current"] is False
    assert a.call("reload")["added"] == [52]
    a.becomes("master", 52)
    a.config["virtual_has"] = a.config["virtual_has"][:1]
    a.write()
    assert a.call("reload")["removed"] == [52]
    assert a.call("status")["config_current"] is True
    times = [when for when, _source, _priority in observer.advertisements(1.0)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) > 8
    assert max(gaps) < 0.12
    elections = [e for e in a.call("events")["events"] if e["kind"].startswith("became_") and e["vrid"] == 51]
    assert [e["kind"] for e in elections] == ["became_backup", "became_master"]


def test_what_takes_a_restart_is_told_until_it_is_done_or_taken_back(pair):
    a, _b = pair
    before = a.config.get("first_table")
    for table, needed in ((4321, ["first_table"]), (4322, ["first_table"]), (before, [])):
        a.config.pop("first_table", None)
        a.config.update({} if table is None else {"first_table": table})
        a.write()
        assert a.call("reload")["restart_needed"] == needed
        status = a.call("status")
        assert (status["restart_needed"], status["config_current"]) == (needed, True)


def test_a_bad_configuration_is_refused_and_changes_nothing(pair):
    a, _b = pair
    loaded = a.call("status")["config_digest"]
    a.config["virtual_has"].append(virtual_ha(51, priority=255, addresses=["2001:db8:1::99"]))
    a.write()
    refused = a.ctl("reload", check=False)
    assert refused.returncode == 1
    assert "virtual_has[1].vrid: 51 is already the VRID of virtual_has[0]" in refused.stderr
    a.signal(signal.SIGHUP)
    until(lambda: [e for e in a.call("events")["events"] if e["kind"] == "not_reloaded"])
    status = a.call("status")
    assert (status["config_digest"], status["config_current"]) == (loaded, False)
    assert a.is_state("master")


def test_an_agent_does_not_start_with_a_bad_configuration(new_agent):
    a = new_agent("a", {51: 255})
    a.config["virtual_has"][0]["interfase"] = "eth1"
    a.start(wait=False)
    assert a.process.wait(5) == 2
    assert "virtual_has[0].interfase: unknown field. Did you mean 'interface'?" in a.log()


def test_two_agents_cannot_share_a_state_directory(new_agent):
    a = new_agent("a", {51: 255}).start()
    second = subprocess.run(
        a.command("run"), capture_output=True, text=True, env=environment(), timeout=10, check=False
    )
    assert second.returncode == 1
    assert "in use by another agent" in second.stderr
    a.becomes("master")


@pytest.mark.parametrize("member", [True, False])
def test_members_of_the_group_may_look_and_root_alone_may_change(new_agent, member):
    a = new_agent("a", {51: 255}).start()
    a.becomes("master")
    for directory in (a.directory, *a.directory.parents):
        if directory.stat().st_uid == 0 and directory.name:
            directory.chmod(directory.stat().st_mode | 0o011)
    groups = [grp.getgrnam("daemon").gr_gid] if member else []
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": groups}

    def ask(call):
        request = {"v": 1, "id": 1, "call": call, "args": {}}
        code = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            "s.sendall(sys.argv[2].encode() + b'\\n'); print(s.makefile().readline())"
        )
        command = ["/usr/bin/python3", "-I", "-c", code, a.config["control_socket"], json.dumps(request)]
        return subprocess.run(command, capture_output=True, text=True, check=False, **who)

    if not member:
        assert "PermissionError" in ask("status").stderr
        return
    assert json.loads(ask("status").stdout)["ok"]
    for call in ("drain", "reload", "repair"):
        assert json.loads(ask(call).stdout)["error"]["code"] == "forbidden"
    assert a.is_state("master")


def test_supervisor_hears_that_the_agent_is_ready_alive_and_stopping(new_agent, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(5)
        a = new_agent("a", {51: 255})
        a.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        a.start()
        assert supervisor.recv(100).startswith(b"READY=1")
        times = []
        for _unused in range(4):
            assert supervisor.recv(100) == b"WATCHDOG=1"
            times.append(time.monotonic())
        assert max(later - earlier for earlier, later in pairwise(times)) < 0.2
        a.signal(signal.SIGTERM)
        while (said := supervisor.recv(100)) == b"WATCHDOG=1":
            pass
        assert said == b"STOPPING=1"


def test_events_can_be_followed_from_the_command_line(pair):
    a, _b = pair
    following = subprocess.Popen(
        a.command("events", "--follow", "--json"), stdout=subprocess.PIPE, text=True, env=environment()
    )
    try:
        a.call("drain")
        kinds = []
        while "drained" not in kinds or kinds[-1] != "became_backup":
            kinds.append(json.loads(following.stdout.readline())["kind"])
    finally:
        following.kill()
        following.communicate()


def test_status_and_bindings_are_tables(pair, mobile_node):
    a, _b = pair
    assert mobile_node.register() == 0
    lines = a.ctl("status").stdout.splitlines()
    assert lines[0].startswith("a: healthy")
    assert lines[-2].split()[:2] == ["VRID", "NAME"]
    assert "master" in lines[-1]
    assert HOME in a.ctl("bindings", "51").stdout
    assert json.loads(a.ctl("bindings", "51", HOME, "--json").stdout)["bindings"][0]["flags"] == "AH"
    assert a.ctl("bindings", "51", "2001:db8:1::9", check=False).returncode == 1
