# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections `discovery` and `router_advertisements` of a virtual HA, and the call about home agents."""

import json

import pytest

from tests.unit.core.nodes import master
from tests.unit.core.test_discovery import advert, hears_router
from tests.unit.shell.test_config import Files
from tests.unit.shell.test_recovery_settings import READER, ask
from vrrp_ha.core.discovery_settings import DiscoverySettings
from vrrp_ha.core.settings import RouterAdvertisementSettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import SECOND
from vrrp_ha.shell import tables
from vrrp_ha.shell.clock import monotonic
from vrrp_ha.shell.config import load
from vrrp_ha.shell.effective import effective


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def given(files, **sections):
    files.config["virtual_has"][0].update(sections)
    return files.load().node.virtual_has[0]


def test_left_out_everything_is_on_and_follows_the_rfcs(files):
    virtual_ha = given(files)
    assert virtual_ha.discovery == DiscoverySettings()
    assert virtual_ha.router_advertisements == RouterAdvertisementSettings()


def test_what_is_given_is_used_shown_and_read_again(files, tmp_path):
    discovery = {
        "home_agent_information": False,
        "preference": 10,
        "full_at": 500,
        "home_agent_lifetime": 700,
        "dhaad": False,
        "rate": 5,
        "burst": 6,
        "per_source_rate": 0.5,
        "per_source_burst": 2,
        "prefix_solicitations": False,
        "prefix_advertisements": False,
        "prefix_advertisement_rate": 3,
        "minimum_prefix_interval": 60,
        "maximum_prefix_interval": 3600,
    }
    router = {
        "enabled": True,
        "router_lifetime": 2,
        "maximum_interval": 0.1,
        "minimum_interval": 0.05,
        "minimum_delay": 0.03,
        "interval_option": False,
        "managed": True,
        "other": True,
        "autonomous": True,
        "valid_lifetime": 262140,
        "preferred_lifetime": 3600,
        "unsolicited": False,
    }
    settings = given(files, discovery=discovery, router_advertisements=router)
    assert settings.discovery == DiscoverySettings(
        False, 10, 500, 700 * SECOND, False, Pace(5_000_000, 6), Pace(500_000, 2), False, False,
        3_000_000, 60 * SECOND, 3600 * SECOND,
    )  # fmt: skip
    assert settings.router_advertisements == RouterAdvertisementSettings(
        True, 2 * SECOND, 100_000, 50_000, 30_000, False, True, True, True, 262_140 * SECOND, 3600 * SECOND, False
    )
    shown = effective(files.load())
    assert shown["virtual_has"][0]["discovery"] == discovery
    assert shown["virtual_has"][0]["router_advertisements"] == router
    del shown["keys"]
    (tmp_path / "second.json").write_text(json.dumps(shown))
    assert load(str(tmp_path / "second.json")).node.virtual_has[0] == settings


def test_a_shorter_interval_shortens_the_least_delay_and_a_longer_one_the_lifetime(files):
    """MinDelayBetweenRAs SHOULD be MinRtrAdvInterval if that is less than 3 s (RFC 6275 section 13)."""
    fast = given(files, router_advertisements={"maximum_interval": 0.07, "minimum_interval": 0.03})
    assert fast.router_advertisements.minimum_delay_us == 30_000
    slow = given(files, router_advertisements={"maximum_interval": 1800})
    assert slow.router_advertisements.minimum_delay_us == 3 * SECOND
    assert slow.discovery.home_agent_lifetime_us == 5400 * SECOND


@pytest.mark.parametrize(
    ("section", "fields", "name", "words"),
    [
        ("discovery", {"home_agent_lifetime": 599}, "home_agent_lifetime", "over before the next advertisement"),
        ("discovery", {"preference": 65536}, "preference", "out of range"),
        ("discovery", {"preference": "high"}, "preference", "must be a whole number"),
        ("discovery", {"dhaad": "yes"}, "dhaad", "must be true or false"),
        ("discovery", {"rate": 0}, "rate", "out of range"),
        ("discovery", {"dhad": True}, "dhad", "unknown field"),
        (
            "discovery",
            {"minimum_prefix_interval": 600, "maximum_prefix_interval": 600},
            "minimum_prefix_interval",
            "is not less than",
        ),
        ("router_advertisements", {"preferred_lifetime": 2_592_001}, "preferred_lifetime", "more than the valid"),
        ("router_advertisements", {"valid_lifetime": 0}, "valid_lifetime", "out of range"),
        ("router_advertisements", {"minimum_delay": 0.02}, "minimum_delay", "out of range"),
    ],
)
def test_a_mistake_is_named_with_its_place(files, section, fields, name, words):
    files.config["virtual_has"][0][section] = fields
    (problem,) = files.problems()
    assert problem.path == f"virtual_has[0].{section}.{name}"
    assert words in problem.message
    assert problem.remedy or "must be" in problem.message


def test_a_lifetime_of_0_as_a_home_agent_is_refused(files):
    """RFC 6275 section 7.4."""
    files.config["virtual_has"][0]["discovery"] = {"home_agent_lifetime": 0}
    problem = files.problems()[0]
    assert (problem.path, problem.message) == ("virtual_has[0].discovery.home_agent_lifetime", "0 is out of range")


def test_no_binding_outlives_the_home_prefix(files):
    """RFC 6275 section 10.6.4."""
    files.config["virtual_has"][0].pop("maximum_lifetime", None)
    short = given(files, router_advertisements={"valid_lifetime": 3600})
    assert short.maximum_lifetime_us == 3600 * SECOND
    assert short.router_advertisements.preferred_lifetime_us == 3600 * SECOND
    files.config["virtual_has"][0]["maximum_lifetime"] = 3604
    (problem,) = files.problems()
    assert (problem.path, problem.remedy) == ("virtual_has[0].maximum_lifetime", "Use 3600 at most, or leave it out.")


def test_home_agents_are_listed_for_programs_and_for_people():
    story = master()
    hears_router(story, monotonic() / SECOND, advert("2001:db8:1::f", preference=100))
    answer = ask(story, "home_agents", READER)
    (link,) = answer["links"]
    assert link["interface"] == "eth1"
    foreign, own = link["home_agents"]
    assert foreign["link_local"] == "fe80::f"
    assert foreign["addresses"] == ["2001:db8:1::f"]
    assert (foreign["preference"], foreign["served_here"]) == (100, False)
    assert own == {
        "link_local": "fe80::5eff:fe00:233",
        "addresses": ["2001:db8:1::1"],
        "preference": 64,
        "lifetime_s": None,
        "served_here": True,
    }
    foreign["lifetime_s"] = 998.0
    lines = list(tables.home_agents(answer))
    assert lines[1].split() == ["eth1", "fe80::f", "2001:db8:1::f", "100", "16m38s"]
    assert lines[2].endswith("64          served here")
