# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the documentation do as they are written: the tutorial from top to bottom, and on the fleet that it
makes, before it is tidied up, every command of the README and the how-to pages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate.blocks import blocks
from tests.lab import agents, documents, fleet, hosts, story, topology
from tests.lab.documents import Command
from tests.lab.places import CHECKOUT, VENV, LabError
from tests.lab.shell import Shell

TIDY_UP = "rm -r ~/fleet"
REPORTS = Path("/var/tmp/fleet")
GIT = {"GIT_EDITOR": "sed -i 1iplan"} | {
    f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "x"), ("EMAIL", "x@y"))
}
MOST_NOT_RUN = 6


class Reader:
    """Somebody with a checkout, a home directory and the tutorial's fleet."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {"HOME": str(home), **GIT}
        self.done: set[str] = set()
        self.shell = Shell(CHECKOUT, self.environment)

    def follow(self, page: Path, *, tidying: bool) -> None:
        """A whole page in one shell: what comes before it tidies up, or that."""
        for block in documents.is_run(page.read_text("utf-8")):
            if (TIDY_UP in block.text) is tidying:
                self.shell.run(block.text, fails=block.remark == "fails")

    def run(self, command: Command) -> None:
        if command.same_as in self.done:
            return
        self.done.add(command.same_as)
        if command.without:
            fleet.power_off(command.without)
        try:
            done = self._run(command.text, CHECKOUT if command.page == "README.md" else self.home / "fleet")
        finally:
            if command.without:
                fleet.power_on(command.without)
                story.wait_for_owners()
        assert (done.returncode != 0) is command.fails, (
            f"{command} ended with {done.returncode}:\n{done.stdout[-5000:]}"
        )

    def _run(self, text: str, directory: Path) -> subprocess.CompletedProcess[str]:
        if "--follow" in text:
            text = f"timeout 1 {text} || [ $? = 124 ]"
        if "-i inventory" in text:
            directory = self.home / "fleet"
        if text.removeprefix("timeout 1 ").startswith("vrrp-ha "):
            line = hosts.enter(topology.node("ha1"), ["sh", "-c", text])
            environment = dict(os.environ)
        else:
            line, found = fleet.command(topology.CONTROLLER, ["bash", "-ec", text])
            environment = {**(found or {}), **self.environment}
            environment["ANSIBLE_INVENTORY"] = str(self.home / "fleet/inventory")
            environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(self.home / "fleet/.vault-password")
        return subprocess.run(
            line, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=180, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def reader(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Who has followed the tutorial until there is nothing left but to tidy up."""
    if not (CHECKOUT / ".cache/venv").exists():  # where the tutorial has it, since VRRP_HA_VENV has it elsewhere
        (CHECKOUT / ".cache").mkdir(exist_ok=True)
        (CHECKOUT / ".cache/venv").symlink_to(VENV)
    reports_were_there = REPORTS.exists()
    reader = Reader(tmp_path_factory.mktemp("home"))
    try:
        reader.follow(documents.TUTORIAL, tidying=False)
        subprocess.run(["git", "init", "-q"], cwd=reader.home / "fleet", check=True)
        yield reader
        reader.follow(documents.TUTORIAL, tidying=True)
        assert not (reader.home / "fleet").exists()
    finally:
        reader.shell.close()
        fleet.down()
        if not reports_were_there:
            shutil.rmtree(REPORTS, ignore_errors=True)


def test_the_tutorial_gets_as_far_as_it_says(reader: Reader) -> None:
    assert (reader.home / "fleet/inventory/vrid_plan.lock.yml").exists()
    assert agents.virtual_ha("ha1", 51)["bindings"] == 1


@pytest.mark.parametrize("page", documents.pages(), ids=lambda path: path.stem)
def test_every_command_of_a_page_does_what_it_is_for(reader: Reader, page: Path) -> None:
    for command in documents.commands(page):
        if not command.why_not:
            reader.run(command)


def test_plays_of_the_pages_can_be_predicted(reader: Reader) -> None:
    for page in documents.pages():
        for block in blocks(page.read_text("utf-8")):
            if block.language == "yaml" and block.text.startswith("- hosts:"):
                (reader.home / "fleet/play.yml").write_text(block.text)
                reader.run(Command("ansible-playbook play.yml --check", str(page), block.line))


def test_few_commands_are_not_run(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    not_run = [command for page in documents.pages() for command in documents.commands(page) if command.why_not]
    with capsys.disabled():
        print(f"\n{len(reader.done)} commands of the documentation were run. Not run:")
        print("\n".join(f"  {command} ({command.why_not})" for command in not_run))
    assert len(not_run) <= MOST_NOT_RUN


def test_the_page_about_running_by_hand_works_in_a_namespace(machine: None, tmp_path: Path) -> None:
    """In a network of its own, with a /run/netns and a /tmp that nobody else has."""
    mounts = "mount --make-rprivate /; mount --bind . /mnt; mount -t tmpfs none /tmp; mount -t tmpfs none /run"
    elsewhere = ("unshare", "--net", "--mount", "sh", "-ec", f'{mounts}; cd /mnt; exec "$@"', "sh")
    shell = Shell(CHECKOUT, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, elsewhere)
    try:
        said = [shell.run(block.text) for block in documents.is_run(documents.BY_HAND.read_text("utf-8"))]
    finally:
        shell.close()
    assert "no problems" in said[2]


def test_a_shell_ends_at_the_first_command_that_fails() -> None:
    shell = Shell(CHECKOUT, {})
    try:
        assert shell.run("word=yes\nfor n in 1 2; do echo $n; done") == "1\n2\n"
        assert shell.run("echo $word") == "yes\n"
        assert shell.run("false", fails=True) == ""
        with pytest.raises(LabError, match=r"(?s)ended with 1:.*said:\nbefore\n$"):
            shell.run("echo before; false; echo after")
    finally:
        shell.close()
