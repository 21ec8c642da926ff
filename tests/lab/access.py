# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controller reaches the hosts: SSH and host keys, Ansible's settings, and the secrets of this run.

All of it is generated at `lab up` into the run directory, readable by root alone, and goes with `lab down`. Host keys
are known beforehand, so that host key checking stays on, as it should in production.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from tests.lab import topology
from tests.lab.places import CHECKOUT, RUN, VENV, run

SSH = RUN / "ssh"
SSH_CONFIG = SSH / "config"
INVENTORIES = (CHECKOUT / "tests/lab/inventory", RUN / "inventory")
"""What an operator would have written, and the keys that are generated."""

KEYS = RUN / "inventory/group_vars/vrrp_ha/keys.yml"
COLLECTIONS = RUN / "collections"
ANSIBLE_CONFIG = RUN / "ansible.cfg"


def spi(vrid: int) -> int:
    """The security parameter index of the MN key for that VRID's home addresses; 0 to 255 are reserved."""
    return 256 + vrid


def generate() -> None:
    """Everything that is not there yet; a second call changes nothing."""
    SSH.mkdir(mode=0o700, parents=True, exist_ok=True)
    _key_pair(SSH / "lab")
    known = []
    for name in topology.HOME_AGENTS:
        _key_pair(SSH / f"host-{name}")
        public = (SSH / f"host-{name}.pub").read_text().split()[:2]
        known.append(f"{topology.node(name).management_address} {' '.join(public)}")
    (SSH / "known_hosts").write_text("\n".join(known) + "\n")
    SSH_CONFIG.write_text(_ssh_config())
    ANSIBLE_CONFIG.write_text(_ansible_config())
    if not KEYS.exists():
        KEYS.parent.mkdir(parents=True, exist_ok=True)
        KEYS.touch(mode=0o600)
        KEYS.write_text(json.dumps(_new_keys(), indent=2) + "\n")  # JSON is YAML
        (RUN / "inventory/hosts.yml").write_text("vrrp_ha:\n")


def host_files(name: str) -> dict[str, tuple[int, str]]:
    """What makes a copy of the base system this host, reachable by this controller only."""
    return {
        "etc/hostname": (0o644, f"{name}\n"),
        "etc/hosts": (0o644, f"::1 localhost {name}\n127.0.0.1 localhost\n"),
        "root/.ssh/authorized_keys": (0o600, (SSH / "lab.pub").read_text()),
        "etc/ssh/ssh_host_ed25519_key": (0o600, (SSH / f"host-{name}").read_text()),
        "etc/ssh/ssh_host_ed25519_key.pub": (0o644, (SSH / f"host-{name}.pub").read_text()),
    }


def environment() -> dict[str, str]:
    """For commands on the controller: the lab's Ansible settings and the pinned tools first in PATH."""
    path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    return os.environ | {
        "ANSIBLE_CONFIG": str(ANSIBLE_CONFIG),
        "ANSIBLE_HOME": str(RUN / "ansible"),
        "PATH": f"{VENV / 'bin'}:{path}",
    }


def mobile_node_key(vrid: int) -> bytes:
    """The key shared by the mobile nodes whose home addresses that VRID serves."""
    for entry in json.loads(KEYS.read_text())["vrrp_ha_mobile_node_keys"]:
        if entry["spi"] == spi(vrid):
            return bytes.fromhex(entry["key"])
    raise KeyError(vrid)


def _key_pair(path: Path) -> None:
    if not path.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {path.name}", "-f", str(path))


def _new_keys() -> dict[str, object]:
    return {
        "vrrp_ha_sync_keys": [{"name": "fleet", "key_id": 1, "key": secrets.token_hex(32)}],
        "vrrp_ha_mobile_node_keys": [
            {"spi": spi(vrid), "key": secrets.token_hex(20), "home_addresses": prefix}
            for vrid, prefix in topology.HOME_ADDRESS_PREFIXES.items()
        ],
    }


def _ssh_config() -> str:
    # Keep-alives so that a multiplexed connection to a host whose power was cut does not outlive it for long.
    common = f"""Host *
  User root
  IdentityFile {SSH / "lab"}
  IdentitiesOnly yes
  UserKnownHostsFile {SSH / "known_hosts"}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  ServerAliveInterval 1
  ServerAliveCountMax 3
  ConnectTimeout 5
  LogLevel ERROR
"""
    hosts = [f"Host {name}\n  HostName {topology.node(name).management_address}\n" for name in topology.HOME_AGENTS]
    return "".join(hosts) + common


def _ansible_config() -> str:
    return f"""[defaults]
inventory = {",".join(map(str, INVENTORIES))}
collections_path = {COLLECTIONS}
local_tmp = {RUN / "ansible/tmp"}
host_key_checking = True
interpreter_python = /usr/bin/python3
gathering = explicit
forks = 10
nocows = True
retry_files_enabled = False
display_skipped_hosts = False
callback_result_format = yaml

[ssh_connection]
pipelining = True
ssh_args = -F {SSH_CONFIG} -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = {RUN / "ansible/cp"}
"""
