# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import binding_info_run


class Agent:
    """An agent with this many bindings: home addresses 1, 2, ... behind alternating care-of networks."""

    def __init__(self, total):
        self.bindings = [
            {"home_address": "2001:db8:1::{0:x}".format(i), "care_of_address": "2001:db8:{0:x}::1".format(0xF0 + i % 2)}
            for i in range(1, total + 1)
        ]
        self.asked = []

    def call(self, name, vrid, limit, after=None):
        assert (name, vrid) == ("bindings", 51)
        self.asked.append(limit)
        homes = [entry["home_address"] for entry in self.bindings]
        start = homes.index(after) + 1 if after else 0
        page = self.bindings[start : start + limit]
        more = start + limit < len(self.bindings)
        return {
            "total": len(self.bindings),
            "digest": "00aa",
            "bindings": page,
            "next": page[-1]["home_address"] if more and page else None,
        }


def ask(fake, agent, **options):
    known = dict(vrid=51, home_addresses=None, care_of_addresses=None, limit=100, after=None)
    with pytest.raises(fake.Exit) as caught:
        binding_info_run.run(fake.Module(**dict(known, **options)), agent)
    return caught.value.result


def homes(result):
    return [entry["home_address"] for entry in result["bindings"]]


def test_a_large_cache_is_not_returned_by_accident(fake):
    agent = Agent(250)
    result = ask(fake, agent)
    assert (result["total"], len(result["bindings"]), result["truncated"]) == (250, 100, True)
    assert sum(agent.asked) <= 200


def test_the_next_page_follows_where_the_last_one_ended(fake):
    agent = Agent(25)
    seen, after = [], None
    while True:
        result = ask(fake, agent, limit=10, after=after)
        seen += homes(result)
        after = result["next"]
        if not after:
            break
    assert seen == [entry["home_address"] for entry in agent.bindings]
    assert not result["truncated"]


def test_all_of_them_and_no_more(fake):
    result = ask(fake, Agent(10), limit=10)
    assert (len(result["bindings"]), result["truncated"], result["next"]) == (10, False, None)


def test_without_bindings_to_return_there_are_total_and_digest(fake):
    result = ask(fake, Agent(10), limit=0)
    assert (result["bindings"], result["total"], result["digest"]) == ([], 10, "00aa")
    assert ask(fake, Agent(0))["truncated"] is False


@pytest.mark.parametrize("page", [1, 7, 10000])
def test_filters_look_at_the_whole_cache(fake, monkeypatch, page):
    monkeypatch.setattr(binding_info_run, "PAGE", page)
    result = ask(fake, Agent(50), care_of_addresses=["2001:db8:f1::/48"], home_addresses=["2001:db8:1::20/123"])
    assert homes(result) == ["2001:db8:1::{0:x}".format(i) for i in range(33, 51, 2)]
    assert not result["truncated"]


def test_spelling_does_not_matter(fake):
    assert homes(ask(fake, Agent(3), home_addresses=["2001:0DB8:1:0::0002"])) == ["2001:db8:1::2"]


@pytest.mark.parametrize("wrong", ["2001:db8::/129", "ha1", "10.0.0.1", "2001:db8::/x"])
def test_what_is_no_address_is_named(fake, wrong):
    result = ask(fake, Agent(1), home_addresses=[wrong])
    assert result["failed"]
    assert "home_addresses: '{0}' is no IPv6 address or prefix".format(wrong) in result["msg"]


def test_a_negative_limit_is_refused(fake):
    assert "limit is -1" in ask(fake, Agent(1), limit=-1)["msg"]
