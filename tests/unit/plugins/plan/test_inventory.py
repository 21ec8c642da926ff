# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan as operators meet it: ansible-inventory, the playbook plan, and the check before a deploy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_lock import read_lock

CHECKOUT = Path(__file__).resolve().parents[4]


def has_commands() -> bool:
    """ansible-test gives its unit tests an Ansible without them."""
    return bool(entry_points(group="console_scripts", name="ansible-playbook"))


pytestmark = pytest.mark.skipif(not has_commands(), reason="needs ansible-playbook and ansible-inventory")

HOSTS = {
    "vrrp_ha": {
        "hosts": {f"ha{number}": {"ansible_host": f"fd00::{number}"} for number in (1, 2, 3)},
        "vars": {"vrrp_ha_link": "berlin"},
    }
}
PLAN = {
    "plugin": "mip6.vrrp_ha.vrid_plan",
    "links": {
        "berlin": {
            "prefix": "2001:db8:1::/64",
            "interface": "eth1",
            "addresses": "2001:db8:1::51-2001:db8:1::5f",
            "vrids": "51-95",
            "settings": {"sync_key": "fleet"},
        }
    },
}
CHECK = [
    {"hosts": "vrrp_ha", "gather_facts": False, "tasks": [{"mip6.vrrp_ha.plan_check": None, "run_once": True}]},
]


class Fleet:
    """An inventory in a directory, and the commands that read it."""

    def __init__(self, place: Path, collections: Path) -> None:
        self.place = place
        self.sources = place / "inventory"
        self.sources.mkdir()
        self.lock = self.sources / "vrid_plan.lock.yml"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_HOME": str(place / "home"),
            "ANSIBLE_NOCOLOR": "1",
        }
        self.hosts = json.loads(json.dumps(HOSTS))
        self.plan = json.loads(json.dumps(PLAN))
        self.write()
        (place / "check.yml").write_text(yaml.safe_dump(CHECK))

    def write(self) -> None:
        (self.sources / "hosts.yml").write_text(yaml.safe_dump(self.hosts))
        (self.sources / "vrid_plan.yml").write_text(yaml.safe_dump(self.plan))

    def run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ansible", tool, "-i", str(self.sources), *arguments],
            env=self.environment,
            cwd=self.place,
            capture_output=True,
            text=True,
            check=False,
        )

    def host(self, name: str) -> dict:
        done = self.run("inventory", "--host", name)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def list(self) -> dict:
        done = self.run("inventory", "--list")
        assert "WARNING" not in done.stderr
        return json.loads(done.stdout)

    def accept(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self.run("playbook", "mip6.vrrp_ha.plan", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def check(self) -> subprocess.CompletedProcess[str]:
        return self.run("playbook", "check.yml")


def says(output: str, text: str) -> bool:
    """Whether a text is in what Ansible printed, which may have wrapped it."""
    return "".join(text.split()) in "".join(output.split())


@pytest.fixture
def fleet(tmp_path, tmp_path_factory):
    collections = tmp_path_factory.mktemp("collections")
    (collections / "ansible_collections" / "mip6").mkdir(parents=True)
    (collections / "ansible_collections" / "mip6" / "vrrp_ha").symlink_to(CHECKOUT)
    return Fleet(tmp_path, collections)


def test_hosts_get_virtual_has_and_groups(fleet):
    everything = fleet.list()
    variables = everything["_meta"]["hostvars"]["ha2"]
    assert [(entry["vrid"], entry["priorities"]) for entry in variables["vrrp_ha_virtual_has"]] == [
        (51, {"ha1": 255, "ha2": 200, "ha3": 190}),
        (52, {"ha2": 255, "ha3": 200, "ha1": 190}),
        (53, {"ha3": 255, "ha1": 200, "ha2": 190}),
    ]
    assert variables["vrrp_ha_virtual_has"][0] | {"priorities": None} == {
        "vrid": 51,
        "name": "berlin-1",
        "interface": "eth1",
        "addresses": ["2001:db8:1::51"],
        "prefix": "2001:db8:1::/64",
        "priorities": None,
        "sync_key": "fleet",
    }
    assert everything["vrrp_ha_link_berlin"]["hosts"] == ["ha1", "ha2", "ha3"]
    assert sorted(everything["vrrp_ha_vrid_52"]["hosts"]) == ["ha1", "ha2", "ha3"]
    assert everything["vrrp_ha_owner_52"]["hosts"] == ["ha2"]
    assert "vrrp_ha_link_berlin" in everything["vrrp_ha"]["children"]


def test_variables_may_stand_in_group_vars_and_host_vars_and_be_templates(fleet):
    del fleet.hosts["vrrp_ha"]["vars"]
    fleet.write()
    for path, variables in {
        "group_vars/vrrp_ha.yml": {"vrrp_ha_link": "{{ site }}", "site": "berlin"},
        "host_vars/ha3.yml": {"vrrp_ha_interface": "eth9"},
    }.items():
        (fleet.sources / path).parent.mkdir()
        (fleet.sources / path).write_text(yaml.safe_dump(variables))
    hostvars = fleet.list()["_meta"]["hostvars"]
    assert {entry["interface"] for entry in hostvars["ha3"]["vrrp_ha_virtual_has"]} == {"eth9"}
    assert {entry["interface"] for entry in hostvars["ha1"]["vrrp_ha_virtual_has"]} == {"eth1"}


def test_what_cannot_be_planned_is_said_all_at_once(fleet):
    fleet.plan["links"]["berlin"]["vrids"] = "51-52"
    fleet.plan["links"]["hamburg"] = {"prefix": "2001:db8:2::/64", "addresses": "2001:db8:2::1", "interface": "eth1"}
    fleet.write()
    said = fleet.run("inventory", "--graph").stderr
    assert says(said, "- link berlin: 3 virtual HAs need a VRID each, and 2 are allowed; allow more in vrids")
    assert says(said, "- link hamburg: no host is on it; set vrrp_ha_link of its HAs")


def test_a_deploy_is_refused_while_the_plan_cannot_be_read(fleet):
    fleet.accept()
    fleet.plan["links"]["berlin"]["vrids"] = "51-52"
    fleet.write()
    done = fleet.check()
    assert done.returncode != 0
    assert "vrid_plan.yml could not be read" in done.stdout + done.stderr


def test_plan_shows_and_accepts_and_does_so_once(fleet):
    told = fleet.accept("--check", "--diff")
    assert "changed=1" in told.stdout
    assert "+        vrid: 51" in told.stdout
    assert not fleet.lock.exists()
    done = fleet.accept()
    assert "51    berlin-1  2001:db8:1::51  owner  1st    2nd" in done.stdout
    assert "without ha1  -    2    1" in done.stdout
    plan = read_lock(fleet.lock.read_text())
    assert [entry.owner for entry in plan.links["berlin"].virtual_has.values()] == ["ha1", "ha2", "ha3"]
    assert "changed=0" in fleet.accept().stdout
    assert fleet.check().returncode == 0


def test_a_plan_that_was_not_accepted_is_refused_with_the_difference_and_the_command(fleet):
    fleet.accept()
    fleet.hosts["vrrp_ha"]["hosts"]["ha4"] = {"ansible_host": "fd00::4"}
    fleet.write()
    done = fleet.check()
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "- berlin: host ha4 added" in said
    assert "- berlin: berlin-4: virtual HA VRID 54, 2001:db8:1::54, owner ha4" in said
    assert f"ansible-playbook mip6.vrrp_ha.plan -i {fleet.sources}" in said
    # Until it is accepted hosts get what was accepted before.
    assert [entry["vrid"] for entry in fleet.host("ha1")["vrrp_ha_virtual_has"]] == [51, 52, 53]
    fleet.accept()
    assert fleet.check().returncode == 0
    assert [entry["vrid"] for entry in fleet.host("ha4")["vrrp_ha_virtual_has"]] == [51, 52, 53, 54]


def test_a_move_is_marked_with_what_to_do_first(fleet):
    fleet.accept()
    fleet.hosts["vrrp_ha"]["hosts"]["ha1"]["vrrp_ha_service"] = "leaving"
    fleet.write()
    said = fleet.accept("--check").stdout
    assert "berlin: berlin-1: owner ha1 -> ha2 (ha1 is leaving) [MOVES A LIVE SERVICE]" in said
    command = "ansible-playbook mip6.vrrp_ha.failover -e vrrp_ha_hosts=vrrp_ha_link_berlin -e vrid=51 -e to=ha2"
    assert command in " ".join(said.replace("'", "").split())


def test_another_name_for_a_machine_is_no_move_and_it_keeps_its_virtual_has_meanwhile(fleet):
    fleet.accept()
    hosts = fleet.hosts["vrrp_ha"]["hosts"]
    hosts["berlin-one"] = hosts.pop("ha1")
    fleet.write()
    assert fleet.host("berlin-one")["vrrp_ha_virtual_has"][0]["priorities"] == {
        "berlin-one": 255,
        "ha2": 200,
        "ha3": 190,
    }
    said = fleet.accept("--check").stdout
    assert "berlin: host ha1 -> berlin-one (the same machine under another name)" in said
    assert "MOVES" not in said


def test_a_link_that_is_taken_out_is_a_change_to_accept(fleet):
    fleet.plan["links"]["hamburg"] = {"prefix": "2001:db8:2::/64", "addresses": "2001:db8:2::/120", "interface": "eth1"}
    for name in ("hh1", "hh2"):
        fleet.hosts["vrrp_ha"]["hosts"][name] = {"vrrp_ha_link": "hamburg"}
    fleet.write()
    fleet.accept()
    del fleet.plan["links"]["hamburg"]
    for name in ("hh1", "hh2"):
        del fleet.hosts["vrrp_ha"]["hosts"][name]
    fleet.write()
    assert "hamburg: link 2001:db8:2::/64 with 2 HAs and 2 virtual HAs removed" in fleet.check().stdout
    fleet.accept()
    assert list(read_lock(fleet.lock.read_text()).links) == ["berlin"]


def test_a_broken_lock_file_is_named_with_the_path_in_it(fleet):
    fleet.accept()
    fleet.lock.write_text(fleet.lock.read_text().replace("vrid: 51", "vrid: 510"))
    said = fleet.run("inventory", "--graph").stderr
    assert says(said, "links.berlin.virtual_has.berlin-1.vrid: 510 is no VRID; give 1 to 255")


def test_a_plan_from_the_cache_is_that_of_the_same_inventory_only(fleet):
    fleet.plan |= {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(fleet.place / "cache")}
    fleet.write()
    first = fleet.list()["_meta"]["hostvars"]
    assert list((fleet.place / "cache").iterdir())
    assert fleet.list()["_meta"]["hostvars"] == first
    fleet.hosts["vrrp_ha"]["hosts"]["ha4"] = {}
    fleet.write()
    assert "ha4" in fleet.list()["_meta"]["hostvars"]["ha1"]["vrrp_ha_virtual_has"][0]["priorities"]


def test_filters_show_the_plan_as_data_and_as_markdown(fleet):
    expression = "{{ (vrrp_ha_virtual_has | mip6.vrrp_ha.plan_data).loads.without.ha1 }}"
    done = fleet.run("adhoc", "ha2", "-m", "debug", "-a", f"msg={expression}")
    assert json.loads(done.stdout.split("=>", 1)[1])["msg"] == {"ha2": 2, "ha3": 1}
    done = fleet.run("adhoc", "ha2", "-m", "debug", "-a", "msg={{ vrrp_ha_virtual_has | mip6.vrrp_ha.plan_markdown }}")
    page = json.loads(done.stdout.split("=>", 1)[1])["msg"].splitlines()
    assert page[0] == "| VRID | NAME | ADDRESS | ha1 | ha2 | ha3 |"
    assert "| 52 | berlin-2 | 2001:db8:1::52 | 2nd | owner | 1st |" in page


def test_virtual_has_that_are_written_by_hand_need_no_plan(fleet):
    (fleet.sources / "vrid_plan.yml").unlink()
    assert fleet.check().returncode == 0
