# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of mip6.vrrp_ha.agent: computes what the host should be and hands it over in one call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.checker import RefusedError, check
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.spec import AGENT, without_none
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.release import Release, ReleaseError, collect
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.rendering import (
    InputError,
    check_senders,
    located,
    masked,
    render_config,
    render_keys,
    secrets,
    unknown_members,
)
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.sysctls import SYSCTLS

MODULE = "mip6.vrrp_ha.agent"
FILES = Path(__file__).resolve().parents[2] / "roles" / "agent" / "files"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vrrp-ha" / "wheels"


class ActionModule(ActionBase):
    """One call of the module; a second one only when the host lacks the release."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _spec, arguments = self.validate_argument_spec(AGENT)
        arguments = without_none(arguments)
        call = {name: arguments[name] for name in ("state", "restart", "moves", "timeout", "python")}
        try:
            if arguments["state"] == "present":
                result = self._present(call, arguments, task_vars)
            else:
                result = self._call(call, task_vars)
        except (InputError, ReleaseError, RefusedError) as error:
            raise AnsibleActionFail(str(error)) from error
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        # The operator's own options, not what was computed from them.
        result["invocation"] = {"module_args": masked(arguments)}
        return result

    def _present(self, call: dict[str, Any], arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if "virtual_has" not in arguments:
            raise InputError("virtual_has", "is missing", "give the fleet's virtual HAs")
        host = task_vars["inventory_hostname"]
        virtual_has = arguments["virtual_has"]
        associations = arguments.get("ipsec_security_associations", [])
        keys = render_keys(
            host, virtual_has, arguments.get("sync_keys", []), arguments.get("mobile_node_keys", []), associations
        )
        sender_id = arguments.get("sender_id")
        if sender_id is not None:
            check_senders(host, virtual_has, _sender_ids(task_vars, host, sender_id))
        config = render_config(host, virtual_has, located(arguments), keys is not None, sender_id)
        # Every host of the deployment alike, so that all of them run the same release.
        extras = ("esp",) if associations else ()
        release = collect(FILES, _wheel_directories(arguments), arguments["python"], extras)
        desired = dict(
            release=release.digest, config=config, unit=release.unit, sysctls=SYSCTLS, python=arguments["python"]
        )
        prepared: dict[str, Any] = dict(desired=desired, keys=keys)

        result = self._call(dict(call, prepared=json.dumps(prepared)), task_vars)
        if result.pop("release_missing", False):
            self._check_here(config, keys)  # nothing is put on the host for a configuration that is refused
            prepared.update(self._transfer(release))
            result = self._call(dict(call, prepared=json.dumps(prepared)), task_vars)
        if result.pop("unchecked", False):
            self._check_here(config, keys)
        warnings = unknown_members(virtual_has, set(task_vars["groups"]["all"]))
        if not config["virtual_has"]:
            warnings.append(f"no virtual HA has {host} in its priorities: its agent will have nothing to do")
        if warnings:
            result.setdefault("warnings", []).extend(warnings)
        return result

    def _call(self, call: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        return dict(self._execute_module(module_name=MODULE, module_args=call, task_vars=task_vars))

    def _transfer(self, release: Release) -> dict[str, str]:
        """Put the release on the host as one archive in the task's own temporary directory."""
        directory = self._connection._shell.tmpdir or self._make_tmp_path()
        remote = self._connection._shell.join_path(directory, "release.tar.gz")
        with tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as place:
            archive = Path(place) / "release.tar.gz"
            digest = release.archive(archive)
            self._transfer_file(str(archive), remote)
        self._fixup_perms2((directory, remote))
        return {"archive": remote, "archive_digest": digest}

    def _check_here(self, config: dict[str, Any], keys: str | None) -> None:
        """For a host without the release: the same checker, on the controller."""
        if sys.version_info < (3, 11):
            self._display.warning("the configuration was not checked: the agent's checker needs Python 3.11")
            return
        environment = dict(os.environ, PYTHONPATH=str(FILES), PYTHONDONTWRITEBYTECODE="1")

        def run(command: list[str], keys: str | None) -> tuple[int, str, str]:
            done = subprocess.run(
                command, input=keys or "", capture_output=True, text=True, env=environment, check=False
            )
            return done.returncode, done.stdout, done.stderr

        try:
            check(run, [sys.executable, "-m", "vrrp_ha"], config, keys, constants.DEFAULT_LOCAL_TMP)
        except RefusedError as refused:
            problems = refused.problems
            for secret in secrets(keys):
                problems = [problem.replace(secret, "********") for problem in problems]
            raise RefusedError(problems) from None


def _sender_ids(task_vars: dict[str, Any], host: str, own: int) -> dict[str, Any]:
    """What the inventory says of the other hosts, where it uses the role's variable."""
    known = {name: variables.get("vrrp_ha_sender_id") for name, variables in task_vars["hostvars"].items()}
    return {name: number for name, number in known.items() if number is not None} | {host: own}


def _wheel_directories(arguments: dict[str, Any]) -> list[Path]:
    return [Path(arguments["wheels"])] if "wheels" in arguments else [FILES / "wheels", CACHE]
