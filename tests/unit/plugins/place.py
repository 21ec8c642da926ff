# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host below a directory with one agent that speaks the protocol, and the agent module's calls on it."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import host as paths
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.agent_run import run
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.configuration import text_of
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.control import ControlClient

SECRET = "5ec7e75ec7e75ec7e75ec7e75ec7e75e"
KEYS = text_of({"format": 1, "sync_keys": [{"name": "fleet", "key_id": 1, "key": SECRET}]})


class Place:
    """One host with one agent, and the module's calls on it."""

    def __init__(self, fake, tmp_path):
        self.fake = fake
        self.root = tmp_path / "host"
        self.system = fake.System(self.root)
        self.archive = str(tmp_path / "release.tar.gz")
        self.archive_digest = fake.archive(self.archive)
        self.agent = fake.Agent(tmp_path / "socket", fake.status(fake.virtual_ha()), str(self.root) + paths.CONFIG)
        self.config = {"format": 1, "host": "ha2", "virtual_has": [{"vrid": 51, "priority": 200}]}
        self.keys = KEYS
        self.release = "release1"

    def client(self, _path):
        system, agent = self.system, self.agent

        class Client(ControlClient):
            def call(self, name, **arguments):
                if not system.active:
                    self.path = self.path + ".gone"
                else:
                    self.path = agent.path
                return ControlClient.call(self, name, **arguments)

        return Client(agent.path)

    def call(self, check_mode=False, archive=True, state="present", restart="now", moves="refuse", timeout=0.3):
        desired = dict(
            release=self.release,
            config=self.config,
            unit="[Service]\n",
            sysctls={"net.ipv6.conf.all.forwarding": "1"},
            python="/usr/bin/python3",
        )
        prepared = dict(desired=desired, keys=self.keys)
        if archive:
            prepared.update(archive=self.archive, archive_digest=self.archive_digest)
        module = self.fake.Module(
            check_mode, state=state, restart=restart, moves=moves, timeout=timeout, prepared=json.dumps(prepared)
        )
        with pytest.raises(self.fake.Exit) as caught:
            run(module, self.system.host(), self.client)
        assert caught.value.result.pop("invocation")["module_args"] == {"state": state}
        return caught.value.result

    def deploy(self):
        """A deployed host whose agent has loaded what is on the disk."""
        self._load_on_start()
        return self.call()

    def _load_on_start(self):
        systemctl = self.system._systemctl

        def loading(command):
            answer = systemctl(command)
            if command[0] in ("start", "restart"):
                with open(str(self.root) + paths.CONFIG, "rb") as file:
                    self.agent.status["config_digest"] = hashlib.sha256(file.read()).hexdigest()
                self.agent.status["config_current"] = True
            return answer

        self.system._systemctl = loading

    def text(self, path):
        with open(str(self.root) + path, encoding="utf-8") as file:
            return file.read()

    def tree(self):
        """Every file and link with its content, but for the lock."""
        found = {}
        for directory, _names, files in os.walk(str(self.root)):
            for name in files:
                path = os.path.join(directory, name)
                if path.endswith(paths.LOCK):
                    continue
                if os.path.islink(path):
                    found[path] = os.readlink(path)
                else:
                    with open(path, "rb") as file:
                        found[path] = file.read()
        return found
