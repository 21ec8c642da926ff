# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins at the edges: an agent that speaks the documented protocol, a host below a directory, a module."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import tarfile
import threading

from ansible_collections.mip6.vrrp_ha.plugins.module_utils import host as paths


class Exit(Exception):
    """The module ended; result is what it returned."""

    def __init__(self, result):
        super().__init__(str(result))
        self.result = result


class Module:
    """As much of AnsibleModule as the run functions use."""

    def __init__(self, check_mode=False, **params):
        self.params = params
        self.check_mode = check_mode
        self.tmpdir = None

    def exit_json(self, **result):
        raise Exit(result)

    def fail_json(self, **result):
        raise Exit(dict(result, failed=True))


class Agent:
    """Answers calls on a Unix socket. Its status is data; reload takes in what is on the disk."""

    def __init__(self, path, status, config_path=None):
        self.path = str(path)
        self.status = status
        self.config_path = config_path
        self.calls = []
        self.refuse = {}  # call -> error
        self.on_call = {}  # call -> function(agent, args)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(self.path)
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        # A last connection takes the thread out of accept.
        self._server_closed = True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
                last.connect(self.path)
        finally:
            self._thread.join(5)
            self._server.close()

    def __enter__(self):
        return self

    def __exit__(self, *_details):
        self.close()

    _server_closed = False

    def _serve(self):
        while not self._server_closed:
            connection = self._server.accept()[0]
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    stream.write(json.dumps(self._answer(json.loads(line))).encode() + b"\n")
                    stream.flush()

    def _answer(self, request):
        name, args = request["call"], request["args"]
        self.calls.append((name, args) if args else name)
        head = {"v": 1, "id": request["id"]}
        if name in self.refuse:
            return dict(head, ok=False, error=self.refuse[name])
        if name in self.on_call:
            self.on_call[name](self, args)
        if name in ("drain", "undrain"):
            for entry in self.status["virtual_has"]:
                if entry["vrid"] in args["vrids"]:
                    entry["drained"] = name == "drain"
            return dict(head, ok=True, result={"changed": args["vrids"]})
        if name == "reload":
            with open(self.config_path, "rb") as file:
                self.status["config_digest"] = hashlib.sha256(file.read()).hexdigest()
            self.status["config_current"] = True
            needed = self.status.get("restart_needed", [])
            return dict(head, ok=True, result={"changed": [], "added": [], "removed": [], "restart_needed": needed})
        return dict(head, ok=True, result=self.status)


def virtual_ha(vrid=51, state="backup", **more):
    """One virtual HA of a status."""
    known = dict(
        vrid=vrid,
        interface="eth1",
        priority=200,
        effective_priority=200,
        state=state,
        master="fe80::1",
        drained=False,
        leaving=False,
        mipv6_ha_mode=True,
        bindings=10,
        digest="00000000000000aa",
        synced=True,
    )
    return dict(known, **more)


def status(*virtual_has, **more):
    """The status of a healthy agent."""
    known = dict(host="ha2", healthy=True, warnings=[], config_current=True, virtual_has=list(virtual_has))
    return dict(known, **more)


class System:
    """A host below a directory: real files, a make-believe systemd, users and checker."""

    def __init__(self, root):
        self.root = str(root)
        self.commands = []
        self.active = False
        self.enabled = False
        self.checker = (0, "{}", "")
        self.user = False
        self.running = None
        self.stale = False
        for name in ("all/forwarding",):
            path = os.path.join(self.root, "proc/sys/net/ipv6/conf", name)
            os.makedirs(os.path.dirname(path))
            with open(path, "w", encoding="ascii") as file:
                file.write("0\n")

    def host(self):
        """The host as a module sees it."""
        system = self

        class Host(paths.Host):
            def has_user(self):
                return system.user

            def running_release(self, _pid):
                return system.running

        return Host(self.run, self.root)

    def run(self, command, data=None):
        """What run_command would return."""
        self.commands.append([part.replace(self.root, "") for part in command])
        if command[0] == "useradd":
            self.user = True
        if command[0] == "userdel":
            self.user = False
        if command[0] == "systemctl":
            return self._systemctl(command[1:])
        if "check" in command:
            return self.checker
        return 0, "", ""

    def _systemctl(self, command):
        if command[0] in ("start", "stop", "restart"):
            self.active = command[0] != "stop"
            self.running = self.current()
        if command[0] in ("enable", "disable"):
            self.enabled = command[0] == "enable"
        if command[0] == "show":
            states = (
                "active" if self.active else "inactive",
                "enabled" if self.enabled else "disabled",
            )
            states += ("yes" if self.stale else "no",)
            return 0, "ActiveState={0}\nUnitFileState={1}\nMainPID=7\nNeedDaemonReload={2}\n".format(*states), ""
        return 0, "", ""

    def current(self):
        """The release that the link points to."""
        return (paths.Host(self.run, self.root).link_target(paths.CURRENT) or "").rsplit("/", 1)[-1] or None

    def did(self):
        """What was done with systemctl, but for the questions."""
        return [" ".join(c[1:]) for c in self.commands if c[0] == "systemctl" and c[1] != "show"]


def archive(path):
    """A release's archive with nothing much in it; returns its digest."""
    with tarfile.open(path, "w:gz") as tar:
        for name, mode in (("lib/vrrp_ha/__init__.py", 0o644), ("bin/vrrp-ha", 0o755)):
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            tar.addfile(entry, io.BytesIO(b""))
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
