# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.mip6.vrrp_ha.plugins.module_utils.moves import moves


def config(vrid=51, priority=200, address="2001:db8:1::51", owner="ha1"):
    members = [{"name": owner, "priority": 255}, {"name": "ha2", "priority": priority}]
    entry = {"vrid": vrid, "priority": priority, "addresses": [address], "members": members}
    return {"host": "ha2", "virtual_has": [entry]}


NOTHING = {"host": "ha2", "virtual_has": []}


def status(state="backup", vrid=51):
    return {"virtual_has": [{"vrid": vrid, "state": state}]}


def test_a_master_that_stays_owner_or_backup_moves_nothing():
    assert moves(config(priority=255), config(priority=255), status("master")) == []
    assert moves(config(priority=200), config(priority=190), status("master")) == []


def test_an_owner_that_is_master_may_not_be_demoted():
    (line,) = moves(config(priority=255), config(priority=200, owner="ha3"), status("master"))
    assert line.startswith("VRID 51: this host is its Master and is to own it no more")
    assert line.endswith("first fail over to ha3")


def test_an_owner_that_has_handed_over_may_be_demoted():
    assert moves(config(priority=255), config(priority=200), status("backup")) == []


def test_a_backup_may_not_become_owner_while_another_is_master():
    (line,) = moves(config(priority=200), config(priority=255), status("backup"))
    assert line.endswith("first fail over to ha2")


def test_a_backup_that_is_master_may_become_owner():
    assert moves(config(priority=200), config(priority=255), status("master")) == []


def test_a_new_virtual_ha_moves_nothing():
    assert moves(NOTHING, config(priority=255), {"virtual_has": []}) == []


def test_a_host_whose_agent_does_not_answer_serves_nobody():
    assert moves(config(priority=255), config(priority=200), None) == []


def test_another_vrid_for_an_address_in_use_is_a_move():
    (line,) = moves(config(priority=255), config(vrid=61, priority=255), status("master"))
    assert line == "VRID 51: it is in use here and is to be VRID 61"


def test_another_spelling_of_the_address_is_none():
    assert moves(config(), config(address="2001:DB8:1:0::51"), status("master")) == []


def test_another_address_is_a_move_for_the_master_alone():
    other = config(address="2001:db8:1::99")
    assert moves(config(), other, status("backup")) == []
    (line,) = moves(config(), other, status("master"))
    assert "2001:db8:1::51 is in use here and is to be 2001:db8:1::99" in line


def test_taking_a_virtual_ha_from_its_master_is_a_move():
    (line,) = moves(config(), NOTHING, status("master"))
    assert "taken away" in line
    assert moves(config(), NOTHING, status("backup")) == []
