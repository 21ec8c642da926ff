# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's programs: what they get, and that they never hold anything up."""

import os
import time
from collections import Counter

import pytest

from vrrp_ha.core.effects import RunHook
from vrrp_ha.shell import hooks
from vrrp_ha.shell.hooks import Hooks
from vrrp_ha.shell.journal import Journal


@pytest.fixture
def counters():
    return Counter()


@pytest.fixture
def running(counters):
    return Hooks(Journal(output=os.open(os.devnull, os.O_WRONLY)), counters)


def script(directory, text):
    path = directory / "hook"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def until(hooks_, condition):
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        hooks_.reap()
        time.sleep(0.01)


def test_a_program_gets_its_arguments_as_they_are_and_nothing_of_the_agents(running, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "of the agent")
    out = tmp_path / "out"
    program = script(tmp_path, f'(echo "$2"; env; pwd; readlink /proc/self/fd/0) > {out}.new; mv {out}.new {out}\n')
    running.run(RunHook(program, ("51", "$(id) ; echo")))
    until(running, out.exists)
    said = out.read_text().splitlines()
    assert said[0] == "$(id) ; echo"
    assert not [line for line in said if "SECRET" in line]
    assert said[-2:] == ["/", "/dev/null"]


def test_nobody_waits_for_a_program(running, tmp_path):
    program = script(tmp_path, "exec sleep 30\n")
    started = time.monotonic()
    for _unused in range(hooks.MOST_RUNNING + 3):
        running.run(RunHook(program, ()))
    running.reap()
    assert time.monotonic() - started < 2
    for each in list(running._running):
        each.process.kill()
        each.process.wait()


def test_only_a_few_run_at_once_and_the_others_follow(running, counters, tmp_path):
    gate = tmp_path / "gate"
    program = script(tmp_path, f"until [ -e {gate} ]; do sleep 0.02; done\n")
    for _unused in range(hooks.MOST_RUNNING + 3):
        running.run(RunHook(program, ()))
    assert counters["hooks_run"] == hooks.MOST_RUNNING
    gate.touch()
    until(running, lambda: counters["hooks_run"] == hooks.MOST_RUNNING + 3)
    until(running, lambda: not running._running)


def test_one_that_does_not_end_is_killed(running, counters, tmp_path, monkeypatch):
    monkeypatch.setattr(hooks, "PATIENCE_US", 50_000)
    running.run(RunHook(script(tmp_path, "exec sleep 30\n"), ()))
    until(running, lambda: not running._running)
    assert counters["hooks_failed"] == 1


@pytest.mark.parametrize("text", ["exit 3\n", None], ids=["fails", "is not there"])
def test_a_failure_is_counted(running, counters, tmp_path, text):
    program = script(tmp_path, text) if text else str(tmp_path / "nothing")
    running.run(RunHook(program, ()))
    until(running, lambda: counters["hooks_failed"] == 1)
