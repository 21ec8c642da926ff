# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible callback: writes down what each task returned and, looked at without Ansible, how its host is after it.

A line of JSON for each to the file that WITNESS names. Of a host it sees what lasts: its files, its rules and routes,
what its agent says of itself, less what counts and times. WITNESS_LEADERS has the hosts' first processes by name.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient, ControlError

from tests.lab import topology

DOCUMENTATION = """
name: witness
type: notification
short_description: what tasks return and do
description: [For tests alone.]
"""

FILES = ("etc/vrrp-ha", "etc/systemd/system/vrrp-ha.service", "etc/sysctl.d", "usr/local/bin", "opt/vrrp-ha/releases")
CLAIM = "run/vrrp-ha-procedure.json"
VOLATILE = re.compile(r" linkdown| expires \d+sec| \S*_lft \d+sec|^\d+: (?=\S+ +inet6)")
LASTING = ("config_digest", "config_current", "pid", "healthy")
OF_VIRTUAL_HA = ("vrid", "state", "drained", "master", "priority", "effective_priority", "bindings", "digest")


def host_state(name: str) -> dict[str, Any]:
    """What a module in check mode must leave alone."""
    root = Path(f"/proc/{json.loads(os.environ['WITNESS_LEADERS'])[name]}/root")
    return {"files": _files(root), "network": _network(topology.node(name).namespace), "agent": _agent(root)}


def _settle(name: str) -> None:
    """Wait until what was set in motion on a host is done: a new virtual HA's routes follow the answer to a reload."""
    if name in topology.HOME_AGENTS:
        namespace = topology.node(name).namespace
        looks: list[list[str]] = []
        while len(looks) < 2 or (len(looks) < 50 and looks[-1] != looks[-2]):
            looks.append(_network(namespace))
            time.sleep(0.05)


def _files(root: Path) -> dict[str, list[str]]:
    found = {}
    claim = root / CLAIM
    for place in FILES:
        # A release's own files are named by its digest: that it is there will do.
        inside = (root / place).glob("*" if place.startswith("opt") else "**/*")
        for path in [*inside, root / place, claim]:
            if path.is_symlink():
                found[str(path.relative_to(root))] = ["link", str(path.readlink())]
            elif path.is_file():
                known = path.stat()
                text = "" if path == claim and not path.stat().st_size else path.read_text(errors="replace")
                found[str(path.relative_to(root))] = [f"{known.st_mode:o} {known.st_uid} {known.st_gid}", text]
            elif path.is_dir():
                found[str(path.relative_to(root))] = ["directory", ""]
    return found


def _network(namespace: str) -> list[str]:
    lines = []
    for what in (["rule"], ["route", "show", "table", "all"], ["address"]):
        done = subprocess.run(["ip", "-n", namespace, "-6", "-o", *what], capture_output=True, text=True, check=True)
        lines += [VOLATILE.sub("", line).strip() for line in done.stdout.splitlines() if "proto kernel" not in line]
    return sorted(lines)


def _agent(root: Path) -> dict[str, Any] | None:
    try:
        status = ControlClient(str(root / "run/vrrp-ha/control.sock")).call("status")
    except ControlError:
        return None
    known = {key: status[key] for key in LASTING}
    return known | {"virtual_has": [{key: entry[key] for key in OF_VIRTUAL_HA} for entry in status["virtual_has"]]}


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Enabled by name."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "witness"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write(result, failed=True)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write(result)

    def _write(self, result: Any, failed: bool = False) -> None:
        host = result._host.get_name()
        if result._result.get("changed") and not result._task.check_mode:
            _settle(host)
        seen = {
            "task": result._task.get_name(),
            "module": result._task.resolved_action,
            "host": host,
            "failed": failed,
            "result": {name: value for name, value in result._result.items() if not name.startswith("_ansible")},
            "state": host_state(host) if host in topology.HOME_AGENTS else None,
        }
        with Path(os.environ["WITNESS"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(seen, default=str) + "\n")
