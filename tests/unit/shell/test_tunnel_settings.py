# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `tunnel` of agent.json."""

import json

import pytest

from tests.unit.shell.test_config import Files
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.tunnel_settings import TunnelSettings
from vrrp_ha.shell.config import load
from vrrp_ha.shell.effective import effective


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_left_out_everything_is_on(files):
    settings = files.load().node.tunnel
    assert settings == TunnelSettings(
        0, True, 64, True, True, errors=Pace(200_000_000, 200), errors_of_one=Pace(10_000_000, 20)
    )
    assert effective(files.load())["tunnel"]["path_mtu"] is None


def test_what_is_given_is_used_and_shown(files, tmp_path):
    files.config["tunnel"] = given = {
        "path_mtu": 1280,
        "mss_clamp": False,
        "hop_limit": 255,
        "reassemble": False,
        "relay_errors": False,
        "error_rate": 50,
        "error_burst": 100,
        "mobile_node_error_rate": 0.5,
        "mobile_node_error_burst": 1,
    }
    configuration = files.load()
    assert configuration.node.tunnel == TunnelSettings(
        1280, False, 255, False, False, Pace(50_000_000, 100), Pace(500_000, 1)
    )
    shown = effective(configuration)
    assert shown["tunnel"] == given
    del shown["keys"]
    (tmp_path / "second.json").write_text(json.dumps(shown))
    assert load(str(tmp_path / "second.json")).node == configuration.node


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("path_mtu", 1279, "out of range"),
        ("hop_limit", 0, "out of range"),
        ("hop_limit", 256, "out of range"),
        ("error_rate", 0, "0 per second is out of range"),
        ("mobile_node_error_burst", 0, "out of range"),
        ("mss_clamp", "yes", "must be true or false"),
        ("mss_clap", True, "Did you mean 'mss_clamp'?"),
    ],
)
def test_mistakes_are_named(files, name, value, words):
    files.config["tunnel"] = {name: value}
    (problem,) = files.problems()
    assert problem.path == f"tunnel.{name}"
    assert words in str(problem)


@pytest.mark.parametrize(
    ("settings", "link_mtu", "segment"),
    [
        (TunnelSettings(), 1500, 1400),
        (TunnelSettings(), 9000, 8900),
        (TunnelSettings(path_mtu=1500), 9000, 1400),
        (TunnelSettings(path_mtu=9000), 1500, 1400),
        (TunnelSettings(path_mtu=1280), 1500, 1180),
        (TunnelSettings(), 1000, 1180),
        (TunnelSettings(mss_clamp=False), 1500, None),
    ],
)
def test_segments_fit_the_narrowest_known_path_less_three_headers(settings, link_mtu, segment):
    assert settings.maximum_segment(link_mtu) == segment
