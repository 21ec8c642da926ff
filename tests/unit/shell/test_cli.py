# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line where no agent runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.shell.test_config import KEY, Files
from vrrp_ha import __version__
from vrrp_ha.cli import main
from vrrp_ha.shell import run as shell_run

FILES = Path(__file__).parents[3] / "roles" / "agent" / "files"


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_check_of_a_sound_file_ends_with_0(files, capsys):
    assert main(["check", files.write()]) == 0
    assert "no problems" in capsys.readouterr().out


def test_check_prints_every_problem_on_a_line_and_ends_with_1(files, capsys):
    files.config["virtual_has"][0] |= {"vrid": 0, "preempt": "no"}
    assert main(["check", files.write()]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "virtual_has[0].vrid: 0 is out of range. Use 1 to 255." in lines
    assert "virtual_has[0].preempt: must be true or false, not a string." in lines


def test_check_as_json_has_problems_with_path_and_remedy(files, capsys):
    files.config["virtual_has"][0]["vrid"] = 0
    assert main(["check", "--json", "--config", files.write()]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is False
    assert {"path": "virtual_has[0].vrid", "message": "0 is out of range", "remedy": "Use 1 to 255."} in result[
        "problems"
    ]


def test_check_as_json_shows_the_effective_configuration_without_secrets(files, capsys):
    assert main(["check", "--json", files.write()]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["effective"]["virtual_has"][0]["link_local_address"] == "fe80::5eff:fe00:233"
    assert KEY not in out


def test_check_of_a_candidate_pair(files, tmp_path, capsys):
    path = files.write()
    candidate = tmp_path / "new-keys.json"
    candidate.write_text(json.dumps({"format": 1, "sync_keys": [{"name": "other", "key_id": 1, "key": KEY}]}))
    candidate.chmod(0o600)
    assert main(["check", path, "--keys", str(candidate)]) == 1
    assert f"no key 'fleet' in {candidate}" in capsys.readouterr().out


def test_run_with_a_bad_configuration_ends_with_2_so_that_nobody_restarts_it(files, capsys):
    files.config["virtual_has"][0]["vrid"] = 0
    assert shell_run.run(files.write(), verbose=False) == 2
    assert "virtual_has[0].vrid" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["explode"], ["bindings"], ["drain", "x"], ["status", "--color"]])
def test_a_wrong_command_line_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_commands_without_an_agent_say_so_and_end_with_1(tmp_path, capsys):
    assert main(["status", "--socket", str(tmp_path / "none")]) == 1
    assert "no agent answers" in capsys.readouterr().err
    assert main(["status", "--json", "--socket", str(tmp_path / "none")]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unreachable"


def test_version(capsys):
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


def test_help_tells_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "exit codes:" in capsys.readouterr().out


def test_check_needs_nothing_but_the_standard_library_and_no_netlink():
    code = "import sys; import vrrp_ha.cli, vrrp_ha.shell.config, vrrp_ha.shell.effective; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(FILES)}, check=True, capture_output=True, text=True
    ).stdout.split()
    assert "vrrp_ha.shell.config" in modules
    assert not {"pyroute2", "vrrp_ha.shell.netlink", "vrrp_ha.core.node"} & set(modules)
