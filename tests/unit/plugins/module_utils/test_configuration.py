# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

from ansible_collections.mip6.vrrp_ha.plugins.module_utils.configuration import (
    differences,
    masked_keys,
    merge,
    same,
    text_of,
)

VHA = {"vrid": 51, "interface": "eth1", "addresses": ["2001:db8:1::51"], "prefix": "2001:db8:1::/64", "priority": 200}


def keys(*values):
    entries = [{"name": "k%d" % number, "key_id": number, "key": value} for number, value in enumerate(values)]
    return text_of({"format": 1, "sync_keys": entries})


def test_another_spelling_of_an_address_is_the_same():
    spelled = dict(VHA, addresses=["2001:0DB8:1:0::51"], prefix="2001:db8:1:0::/64")
    assert same(text_of(VHA), json.dumps(spelled))


def test_another_order_of_the_virtual_has_is_the_same():
    other = dict(VHA, vrid=52)
    assert same(text_of({"virtual_has": [VHA, other]}), text_of({"virtual_has": [other, VHA]}))


def test_another_address_is_not_the_same():
    assert not same(text_of(VHA), text_of(dict(VHA, addresses=["2001:db8:1::52"])))


def test_no_file_is_the_same_as_no_other():
    assert not same(None, text_of(VHA))
    assert not same("no json", text_of(VHA))


def test_differences_name_the_path():
    before = {"virtual_has": [VHA]}
    after = {"virtual_has": [dict(VHA, priority=150)]}
    assert differences(before, after) == ["virtual_has.vrid=51.priority 200 -> 150"]


def test_a_diff_of_keys_shows_that_a_key_changed_but_no_key():
    before, after = keys("aaaa1111", "bbbb2222"), keys("aaaa1111", "cccc3333")
    shown = masked_keys(before) + masked_keys(after, before)
    assert masked_keys(before) != masked_keys(after, before)
    assert shown.count("another key") == 1
    for secret in ("aaaa1111", "bbbb2222", "cccc3333"):
        assert secret not in shown


def test_merged_keeps_what_is_not_given():
    assert merge([VHA], [{"vrid": 51, "priority": 150}], "merged") == [dict(VHA, priority=150)]


def test_merged_keeps_what_is_not_given_of_an_object_in_it():
    before = dict(VHA, router_advertisements={"router_lifetime": 900, "maximum_interval": 300})
    changed = {"vrid": 51, "router_advertisements": {"router_lifetime": 0}}
    (after,) = merge([before], [changed], "merged")
    assert after == dict(VHA, router_advertisements={"router_lifetime": 0, "maximum_interval": 300})
    (after,) = merge([before], [dict(VHA, **changed)], "replaced")
    assert after["router_advertisements"] == {"router_lifetime": 0}


def test_merged_keeps_a_spelling():
    given = {"vrid": 51, "addresses": ["2001:DB8:1:0:0::51"]}
    assert merge([VHA], [given], "merged") == [VHA]


def test_replaced_keeps_other_vrids_only():
    other = dict(VHA, vrid=52)
    new = {"vrid": 51, "interface": "eth2"}
    assert merge([VHA, other], [new], "replaced") == [new, other]


def test_overridden_keeps_nothing_else():
    assert merge([VHA], [dict(VHA, vrid=53)], "overridden") == [dict(VHA, vrid=53)]


def test_deleted_without_a_list_removes_all():
    other = dict(VHA, vrid=52)
    assert merge([VHA, other], [], "deleted") == []
    assert merge([VHA, other], [{"vrid": 52}], "deleted") == [VHA]


def test_a_diff_of_security_associations_shows_which_key_changed_but_no_key():
    def text(**changes):
        entry = {"home_address": "2001:db8:1::1", "spi_in": 256, "encryption_key_in": "aaaa1111"}
        entry.update({"authentication_key_in": "bbbb2222"}, **changes)
        return text_of({"ipsec_security_associations": [entry]})

    shown = masked_keys(text(authentication_key_in="cccc3333"), text())
    assert shown.count("another key") == 1
    assert '"authentication_key_in": "******** (another key)"' in shown
    assert "256" in shown
    for secret in ("aaaa1111", "bbbb2222", "cccc3333"):
        assert secret not in shown


def test_what_comes_back_comes_back_to_its_place():
    other = dict(VHA, vrid=52)
    assert merge(merge([VHA, other], [{"vrid": 51}], "deleted"), [VHA], "merged") == [VHA, other]
