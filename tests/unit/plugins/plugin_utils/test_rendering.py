# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
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

VIRTUAL_HA = {
    "vrid": 51,
    "interface": "eth1",
    "addresses": ["2001:0DB8:1::0051"],
    "prefix": "2001:db8:1:0::/64",
    "priorities": {"ha3": 150, "ha1": 255, "ha2": "200"},
    "sync_key": "fleet",
}
SYNC_KEYS = [
    {"name": "fleet", "key_id": 1, "key": "aa" * 16},
    {"name": "other", "key_id": 2, "key": "bb" * 16},
]
HERE = {"spi": 256, "key": "cc" * 16, "home_addresses": "2001:db8:1::1001"}
THERE = {"spi": 257, "key": "dd" * 16, "home_addresses": "2001:db8:2::/80"}


def test_a_member_gets_its_priority_and_all_members():
    config = render_config("ha2", [VIRTUAL_HA], {"first_table": 2000}, with_keys=True)
    assert config["host"] == "ha2"
    assert config["first_table"] == 2000
    (entry,) = config["virtual_has"]
    assert entry["priority"] == 200
    assert entry["members"] == [
        {"name": "ha1", "priority": 255},
        {"name": "ha2", "priority": 200},
        {"name": "ha3", "priority": 150},
    ]
    assert "priorities" not in entry


def test_addresses_are_written_in_their_one_canonical_form():
    (entry,) = render_config("ha1", [VIRTUAL_HA], {}, with_keys=False)["virtual_has"]
    assert entry["addresses"] == ["2001:db8:1::51"]
    assert entry["prefix"] == "2001:db8:1::/64"


def test_a_host_outside_gets_nothing():
    assert render_config("ha9", [VIRTUAL_HA], {}, with_keys=False)["virtual_has"] == []


def test_member_addresses_go_to_the_members():
    entry = dict(VIRTUAL_HA, member_addresses={"ha1": "fe80::0:1"})
    members = render_config("ha2", [entry], {}, with_keys=False)["virtual_has"][0]["members"]
    assert members[0] == {"name": "ha1", "priority": 255, "address": "fe80::1"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"priorities": {"ha1": 255, "ha2": 255}}, r"virtual_has\[vrid=51\].priorities: ha1 and ha2 all have 255"),
        ({"priorities": {"ha1": "high"}}, r"priorities.ha1: 'high' is no number"),
        ({"member_addresses": {"ha9": "fe80::9"}}, "ha9 is no member"),
    ],
)
def test_what_no_host_could_see_is_refused_with_its_path(change, words):
    with pytest.raises(InputError, match=words):
        render_config("ha1", [dict(VIRTUAL_HA, **change)], {}, with_keys=False)


def test_settings_of_the_collection_cannot_be_overridden():
    with pytest.raises(InputError, match=r"settings.host"):
        render_config("ha1", [VIRTUAL_HA], {"host": "ha7"}, with_keys=False)


def options(**more):
    known = {"config_file": "/etc/vrrp-ha/agent.json", "control_socket": "/run/vrrp-ha/control.sock"}
    return dict(known, **more)


def test_the_control_socket_of_all_modules_is_the_agents():
    assert located(options(settings={"first_table": 2000})) == {"first_table": 2000}
    assert located(options(control_socket="/run/x")) == {"control_socket": "/run/x"}
    assert (
        located(options(control_socket="/run/x", settings={"control_socket": "/run/x"}))["control_socket"] == "/run/x"
    )
    assert located(options(settings={"control_socket": "/run/y"})) == {"control_socket": "/run/y"}


@pytest.mark.parametrize(
    "given",
    [dict(control_socket="/run/x", settings={"control_socket": "/run/y"}), dict(config_file="/srv/agent.json")],
)
def test_an_agent_that_would_not_be_found_is_refused(given):
    with pytest.raises(InputError, match="keep one of the two|the unit reads /etc/vrrp-ha/agent.json"):
        located(options(**given))


def test_a_host_gets_the_keys_that_it_needs_and_no_others():
    other = dict(VIRTUAL_HA, vrid=52, prefix="2001:db8:2::/64", priorities={"ha9": 100}, sync_key="other")
    document = json.loads(render_keys("ha1", [VIRTUAL_HA, other], SYNC_KEYS, [HERE, THERE]))
    assert document["sync_keys"] == [SYNC_KEYS[0]]
    assert document["mobile_node_keys"] == [HERE]


def test_while_keys_are_changed_a_host_has_the_old_and_the_new():
    both = dict(VIRTUAL_HA, sync_key="other", accepted_sync_keys=["fleet"])
    assert json.loads(render_keys("ha1", [both], SYNC_KEYS, []))["sync_keys"] == SYNC_KEYS
    (entry,) = render_config("ha1", [both], {}, with_keys=True)["virtual_has"]
    assert (entry["sync_key"], entry["accepted_sync_keys"]) == ("other", ["fleet"])


def test_a_key_for_nobody_is_refused_without_showing_it():
    with pytest.raises(InputError, match=r"mobile_node_keys\[0\].home_addresses: 2001:db8:2::/80 is in no") as caught:
        render_keys("ha1", [VIRTUAL_HA], SYNC_KEYS, [THERE])
    assert "dd" * 16 not in str(caught.value)


def test_who_needs_no_key_has_no_file():
    assert render_keys("ha9", [VIRTUAL_HA], SYNC_KEYS, []) is None


def test_unknown_members_are_named():
    assert unknown_members([VIRTUAL_HA], {"ha1", "ha2"}) == [
        "virtual_has[vrid=51].priorities.ha3: the inventory has no host of that name"
    ]


def test_masked_hides_keys_at_any_depth():
    shown = json.dumps(masked({"sync_keys": SYNC_KEYS, "more": [{"deep": THERE}]}))
    for secret in ("aa" * 16, "bb" * 16, "dd" * 16):
        assert secret not in shown


# --- ESP ---------------------------------------------------------------------------------------------------

ASSOCIATION = {
    "home_address": "2001:0DB8:1::2001",
    "spi_in": 4096,
    "spi_out": 4097,
    "encryption_key_in": "a1" * 16,
    "authentication_key_in": "a2" * 32,
    "encryption_key_out": "a3" * 16,
    "authentication_key_out": "a4" * 32,
}


def associations(host, *given, virtual_has=(VIRTUAL_HA,)):
    text = render_keys(host, list(virtual_has), [], [], given)
    return json.loads(text)["ipsec_security_associations"] if text else []


def test_a_host_gets_the_associations_of_home_addresses_that_it_may_serve():
    other = dict(VIRTUAL_HA, vrid=52, prefix="2001:db8:2::/64", addresses=["2001:db8:2::52"], priorities={"ha9": 100})
    there = dict(ASSOCIATION, home_address="2001:db8:2::2001")
    both = (VIRTUAL_HA, other)
    assert associations("ha1", ASSOCIATION, there, virtual_has=both) == [
        dict(ASSOCIATION, home_address="2001:db8:1::2001")
    ]
    assert [a["home_address"] for a in associations("ha9", ASSOCIATION, there, virtual_has=both)] == [
        "2001:db8:2::2001"
    ]


def test_an_association_with_one_home_agent_goes_to_its_members():
    other = dict(VIRTUAL_HA, vrid=52, addresses=["2001:db8:1::52"], priorities={"ha9": 100})
    given = dict(ASSOCIATION, home_agent="2001:0db8:1::0051")
    assert associations("ha1", given, virtual_has=(VIRTUAL_HA, other))[0]["home_agent"] == "2001:db8:1::51"
    assert associations("ha9", given, virtual_has=(VIRTUAL_HA, other)) == []


def test_without_associations_the_keys_file_is_what_it_was():
    assert "ipsec_security_associations" not in json.loads(render_keys("ha1", [VIRTUAL_HA], SYNC_KEYS, [HERE]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"home_address": "2001:db8:9::1"},
            r"ipsec_security_associations\[0\].home_address: .* no virtual HA's prefix",
        ),
        ({"home_address": "nobody"}, r"ipsec_security_associations\[0\].home_address"),
        ({"home_agent": "2001:db8:1::77"}, r"\[0\].home_agent: 2001:db8:1::77 is no virtual HA's address"),
    ],
)
def test_an_association_for_nobody_is_refused_without_showing_its_keys(change, words):
    with pytest.raises(InputError, match=words) as caught:
        associations("ha1", dict(ASSOCIATION, **change))
    assert "a1a1" not in str(caught.value)


def test_no_key_of_an_association_is_shown():
    shown = json.dumps(masked({"ipsec_security_associations": [ASSOCIATION]}))
    known = secrets(render_keys("ha1", [VIRTUAL_HA], SYNC_KEYS, [], [ASSOCIATION]))
    for name in ("encryption_key_in", "encryption_key_out", "authentication_key_in", "authentication_key_out"):
        assert ASSOCIATION[name] not in shown
        assert ASSOCIATION[name] in known
    assert "4096" in shown


def test_the_sender_id_goes_into_the_configuration():
    assert render_config("ha1", [VIRTUAL_HA], {}, with_keys=True, sender_id=3)["ipsec"] == {"sender_id": 3}
    assert "ipsec" not in render_config("ha1", [VIRTUAL_HA], {}, with_keys=True)
    with pytest.raises(InputError, match=r"settings.ipsec.sender_id: is given, and sender_id too"):
        render_config("ha1", [VIRTUAL_HA], {"ipsec": {"sender_id": 4}}, with_keys=True, sender_id=3)


def test_members_with_one_sender_id_are_refused_and_strangers_are_not():
    check_senders("ha1", [VIRTUAL_HA], {"ha1": 1, "ha2": 2, "ha9": 1})
    with pytest.raises(InputError, match="sender_id: 1 is also that of ha3"):
        check_senders("ha1", [VIRTUAL_HA], {"ha1": 1, "ha2": 2, "ha3": "1"})
