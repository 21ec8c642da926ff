# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `vrrp-ha check` says about configurations, good and bad."""

import copy
import json

import pytest

from vrrp_ha.core.settings import RouterAdvertisementSettings
from vrrp_ha.core.types import SECOND, packed
from vrrp_ha.shell.config import ConfigurationError, ShellSettings, load, shell_settings_of
from vrrp_ha.shell.effective import effective

KEY = "00112233445566778899aabbccddeeff"
VIRTUAL_HA = {
    "vrid": 51,
    "interface": "eth1",
    "addresses": ["2001:db8:1::51"],
    "prefix": "2001:db8:1::/64",
    "priority": 255,
    "members": [{"name": "ha1", "priority": 255, "address": "fe80::1"}, {"name": "ha2", "priority": 200}],
    "sync_key": "fleet",
}
OTHER = {**VIRTUAL_HA, "vrid": 52, "addresses": ["2001:db8:1::52"]}
KEYS = {
    "format": 1,
    "sync_keys": [{"name": "fleet", "key_id": 1, "key": KEY}],
    "mobile_node_keys": [
        {"spi": 256, "key": KEY, "home_addresses": "2001:db8:1::1001"},
        {"spi": 257, "key": KEY, "home_addresses": "2001:db8:1:0:2::/80"},
    ],
}


class Files:
    """A configuration and its keys in a directory, to be damaged and loaded."""

    def __init__(self, directory):
        self.path = directory / "agent.json"
        self.keys_path = directory / "keys.json"
        self.config = {
            "format": 1,
            "host": "ha1",
            "keys_file": str(self.keys_path),
            "virtual_has": [copy.deepcopy(VIRTUAL_HA)],
        }
        self.keys = copy.deepcopy(KEYS)

    def write(self):
        self.path.write_text(json.dumps(self.config))
        self.keys_path.write_text(json.dumps(self.keys))
        self.keys_path.chmod(0o600)
        return str(self.path)

    def load(self):
        return load(self.write())

    def problems(self):
        with pytest.raises(ConfigurationError) as caught:
            self.load()
        return caught.value.problems

    def set(self, path, value):
        """Set something in the configuration, or in the keys for a path that begins with keys."""
        *parents, last = path
        place = self.config
        if parents and parents[0] == "keys":
            place, parents = self.keys, parents[1:]
        for step in parents:
            place = place[step]
        place[last] = value


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_a_sound_pair_of_files_becomes_settings(files):
    files.config["virtual_has"][0] |= {"advertisement_interval": 10, "preempt_delay": 1.5, "home_link": "routed"}
    configuration = files.load()
    virtual_ha = configuration.node.virtual_has[0]
    assert virtual_ha.interval_us == 100_000
    assert virtual_ha.preempt_delay_us == 1_500_000
    assert virtual_ha.home_link.value == "routed"
    assert virtual_ha.link_local == packed("fe80::5eff:fe00:233")
    assert virtual_ha.sync_key.key == bytes.fromhex(KEY)
    assert [key.prefix_length for key in configuration.node.mobile_node_keys] == [128, 80]
    assert configuration.node.sync.digest_interval_us == 2 * SECOND
    assert configuration.warnings == ()


RA = ("virtual_has", 0, "router_advertisements")
RA_PATH = "virtual_has[0].router_advertisements"

# path of the change, its value, the path that the problem names, words of the message, words of the remedy
MISTAKES = [
    (("format",), 2, "format", "out of range", "1"),
    (("hots",), "ha1", "hots", "unknown field", "Did you mean 'host'?"),
    (("host",), 7, "host", "must be a string, not a number", ""),
    (("virtual_has",), {}, "virtual_has", "must be a list, not an object", ""),
    (("state_directory",), "state", "state_directory", "not an absolute path", "'/'"),
    (("control_socket",), "/" + "x" * 120, "control_socket", "too long", "107"),
    (("decapsulation_table",), 254, "decapsulation_table", "table of the system", "900"),
    (("decapsulation_table",), 1051, "decapsulation_table", "among the virtual HAs' own", "900"),
    (("first_table",), 254, "first_table", "out of range", "256"),
    (("sync",), {"digest_type": 3}, "sync.digest_type", "also the update_type", "type of its own"),
    (("sync",), {"request_type": 1}, "sync.request_type", "out of range", "2 to 15"),
    (("sync",), {"digest_intervall": 2}, "sync.digest_intervall", "unknown field", "'digest_interval'"),
    (("sync",), {"delta_sends": True}, "sync.delta_sends", "must be a whole number", ""),
    (("virtual_has", 0, "vrid"), 0, "virtual_has[0].vrid", "out of range", "1 to 255"),
    (("virtual_has", 0, "vrid"), "51", "virtual_has[0].vrid", "not a string", ""),
    (("virtual_has", 0, "interface"), "a-very-long-interface", "virtual_has[0].interface", "no name of an", "15"),
    (("virtual_has", 0, "interface"), "vrrp6-51", "virtual_has[0].interface", "agent makes", "home link"),
    (("virtual_has", 0, "link_local_address"), "2001:db8::1", "virtual_has[0].link_local_address", "not link-", "fe80"),
    (("virtual_has", 0, "addresses"), [], "virtual_has[0].addresses", "is empty", "mobile nodes"),
    (("virtual_has", 0, "addresses"), ["2001:db8:2::51"], "virtual_has[0].addresses[0]", "outside", "2001:db8:1::/64"),
    (("virtual_has", 0, "addresses"), ["fe80::51"], "virtual_has[0].addresses[0]", "is link-local", "link_local_addr"),
    (("virtual_has", 0, "addresses"), ["ff02::1"], "virtual_has[0].addresses[0]", "not a unicast", "unicast"),
    (("virtual_has", 0, "addresses"), ["2001:db8:1::"], "virtual_has[0].addresses[0]", "anycast", "another"),
    (("virtual_has", 0, "addresses"), ["10.0.0.1"], "virtual_has[0].addresses[0]", "not an IPv6 address", "2001:"),
    (("virtual_has", 0, "addresses"), ["2001:db8:1::51"] * 2, "virtual_has[0].addresses[1]", "already used", "once"),
    (("virtual_has", 0, "prefix"), "2001:db8:1::51/64", "virtual_has[0].prefix", "bits set", "'2001:db8:1::/64'"),
    (("virtual_has", 0, "prefix"), "2001:db8:1::", "virtual_has[0].prefix", "no prefix length", "/64"),
    (("virtual_has", 0, "priority"), 256, "virtual_has[0].priority", "out of range", "1 to 255"),
    (("virtual_has", 0, "priority"), 200, "virtual_has[0].priority", "255 in members", "equal"),
    (("virtual_has", 0, "advertisement_interval"), 0.5, "virtual_has[0].advertisement_interval", "whole number", ""),
    (("virtual_has", 0, "preempt"), "yes", "virtual_has[0].preempt", "must be true or false, not a string", ""),
    (("virtual_has", 0, "home_link"), "onlink", "virtual_has[0].home_link", "'onlink' is not known", "'on_link'"),
    (RA, {"router_lifetyme": 0}, f"{RA_PATH}.router_lifetyme", "unknown field", "'router_lifetime'"),
    (RA, {"router_lifetime": 9001}, f"{RA_PATH}.router_lifetime", "out of range", "0 to 9000"),
    (RA, {"router_lifetime": 599}, f"{RA_PATH}.router_lifetime", "over before", "maximum_interval"),
    (RA, {"maximum_interval": 0.05}, f"{RA_PATH}.maximum_interval", "out of range", "0.07 to 1800"),
    (
        RA,
        {"maximum_interval": 60, "minimum_interval": 46},
        f"{RA_PATH}.minimum_interval",
        "three quarters",
        "0.03 to 45",
    ),
    (RA, {"enabled": 1}, f"{RA_PATH}.enabled", "must be true or false", ""),
    (RA, [], RA_PATH, "must be an object, not a list", ""),
    (("virtual_has", 0, "sync_key"), None, "virtual_has[0].sync_key", "is missing", "insecure_sync"),
    (("virtual_has", 0, "sync_key"), "flet", "virtual_has[0].sync_key", "no key 'flet'", "Did you mean 'fleet'?"),
    (("virtual_has", 0, "insecure_sync"), True, "virtual_has[0].insecure_sync", "there is a sync_key", "Remove one"),
    (("virtual_has", 0, "members", 1, "priority"), 255, "virtual_has[0].members[1].priority", "of 'ha1'", "owner"),
    (("virtual_has", 0, "members", 1, "name"), "ha1", "virtual_has[0].members[1].name", "listed twice", "once"),
    (("virtual_has", 0, "members", 1, "address"), "fe80::1", "virtual_has[0].members[1].address", "another", "own"),
    (("virtual_has", 0, "members", 1, "address"), "2001:db8::2", "virtual_has[0].members[1].address", "not link", ""),
    (("virtual_has", 0, "members", 0, "name"), "ha11", "virtual_has[0].members", "'ha1', is not among", "'ha11'"),
    (("keys", "format"), 9, "keys:format", "out of range", "1"),
    (("keys", "sync_keys", 0, "key"), "0011", "keys:sync_keys[0].key", "only 2 octets", "16 octets"),
    (("keys", "sync_keys", 0, "key"), "secret!", "keys:sync_keys[0].key", "not hexadecimal", "two hex digits"),
    (("keys", "sync_keys", 0, "name"), "", "keys:sync_keys[0].name", "is empty", ""),
    (("keys", "mobile_node_keys", 0, "spi"), 5, "keys:mobile_node_keys[0].spi", "out of range", "256"),
    (("keys", "mobile_node_keys", 0, "home_addresses"), "x", "keys:mobile_node_keys[0].home_addresses", "IPv6", ""),
    (("keys", "mobil_node_keys"), [], "keys:mobil_node_keys", "unknown field", "'mobile_node_keys'"),
]


@pytest.mark.parametrize(("change", "value", "path", "message", "remedy"), MISTAKES)
def test_a_mistake_is_named_with_its_path_and_remedy(files, change, value, path, message, remedy):
    files.set(change, value)
    found = [problem for problem in files.problems() if problem.path == path]
    assert found, files.problems()
    assert message in found[0].message
    assert remedy in found[0].remedy


@pytest.mark.parametrize("name", ["vrid", "interface", "addresses", "prefix", "priority"])
def test_a_required_field_that_is_missing_is_named(files, name):
    del files.config["virtual_has"][0][name]
    assert any(p.path == f"virtual_has[0].{name}" and "missing" in p.message for p in files.problems())


def test_a_vrid_given_twice_names_both_places(files):
    files.config["virtual_has"].append({**OTHER, "vrid": 51})
    (problem,) = files.problems()
    assert (problem.path, problem.message) == ("virtual_has[1].vrid", "51 is already the VRID of virtual_has[0]")


def test_an_address_of_two_virtual_has_names_both_places(files):
    files.config["virtual_has"].append({**OTHER, "addresses": ["2001:db8:1::51"]})
    (problem,) = files.problems()
    assert problem.path == "virtual_has[1].addresses[0]"
    assert "virtual_has[0].addresses[0]" in problem.message


def test_two_equal_link_local_addresses_on_one_link_are_refused(files):
    files.config["virtual_has"].append({**OTHER, "link_local_address": "fe80::5eff:fe00:233"})
    (problem,) = files.problems()
    assert problem.path == "virtual_has[1].link_local_address"


def test_two_keys_with_one_number_are_refused(files):
    files.keys["sync_keys"].append({"name": "next", "key_id": 1, "key": KEY})
    (problem,) = files.problems()
    assert problem.path == "keys:sync_keys[1].key_id"


def test_every_problem_is_found_in_one_run(files):
    files.config["virtual_has"][0] |= {"priority": 0, "prefix": "nonsense", "color": "red"}
    paths = {problem.path for problem in files.problems()}
    assert {"virtual_has[0].priority", "virtual_has[0].prefix", "virtual_has[0].color"} <= paths


def test_keys_that_others_may_read_are_refused(files):
    path = files.write()
    files.keys_path.chmod(0o644)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert problem.path == "keys_file"
    assert "0644" in problem.message
    assert "chmod 0640" in problem.remedy


def test_keys_that_cannot_be_read_are_one_problem_and_not_many(files):
    path = files.write()
    files.keys_path.unlink()
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert problem.path == "keys_file"
    assert "cannot be read: No such file" in problem.message


def test_a_candidate_keys_file_stands_in_for_the_configured_one(files, tmp_path):
    path = files.write()
    candidate = tmp_path / "candidate.json"
    candidate.write_text(json.dumps({**KEYS, "sync_keys": []}))
    candidate.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        load(path, str(candidate))
    (problem,) = caught.value.problems
    assert problem.path == "virtual_has[0].sync_key"


def test_no_part_of_a_key_is_in_any_message(files):
    files.keys["sync_keys"][0]["key"] = "5ec2e7" * 2
    files.keys["mobile_node_keys"][0]["key"] = "5ec2e7zz"
    assert not any("5ec2e7" in str(problem) for problem in files.problems())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "line 1, column 2"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "must be an object, not a list"),
        (b'{"format": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"format": 1, "format": 1}', "more than once"),
    ],
)
def test_a_file_that_is_no_json_object_is_a_problem_and_no_crash(files, content, words):
    files.path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        load(str(files.path))


def test_what_is_insecure_is_warned_of(files):
    files.config["virtual_has"][0] |= {"insecure_bindings": True, "insecure_sync": True, "sync_key": None}
    warnings = " ".join(files.load().warnings)
    assert "insecure_bindings" in warnings
    assert "insecure_sync" in warnings


def test_a_home_agent_is_no_default_router_unless_told_and_a_plain_vrrp_router_is(files):
    entry = files.config["virtual_has"][0]
    assert files.load().node.virtual_has[0].router_advertisements == RouterAdvertisementSettings()
    entry["router_advertisements"] = {"router_lifetime": 900}
    assert files.load().node.virtual_has[0].router_advertisements.router_lifetime_us == 900 * SECOND
    del entry["router_advertisements"]
    entry["mipv6_ha_mode"] = False
    assert files.load().node.virtual_has[0].router_advertisements.router_lifetime_us == 1800 * SECOND


@pytest.mark.parametrize(("maximum", "minimum"), [(1800, 600), (600, 200), (9, 3), (4, 3)])
def test_the_minimum_interval_of_router_advertisements_follows_the_maximum(files, maximum, minimum):
    files.config["virtual_has"][0]["router_advertisements"] = {"maximum_interval": maximum}
    settings = files.load().node.virtual_has[0].router_advertisements
    assert (settings.minimum_interval_us, settings.maximum_interval_us) == (minimum * SECOND, maximum * SECOND)


def test_only_a_64_bit_prefix_can_be_autonomous(files):
    entry = files.config["virtual_has"][0]
    entry["router_advertisements"] = {"autonomous": True}
    assert files.load().node.virtual_has[0].router_advertisements.autonomous
    entry["prefix"] = "2001:db8:1::/80"
    assert [problem.path for problem in files.problems()] == [f"{RA_PATH}.autonomous"]


def test_plain_vrrp_needs_no_sync_key(files):
    files.config["virtual_has"][0] |= {"mipv6_ha_mode": False, "sync_key": None}
    assert files.load().node.virtual_has[0].sync_key is None


def test_effective_configuration_is_a_configuration_with_the_same_meaning(files, tmp_path):
    configuration = files.load()
    shown = effective(configuration)
    del shown["keys"]
    second = tmp_path / "second.json"
    second.write_text(json.dumps(shown))
    assert load(str(second)).node == configuration.node


def test_effective_configuration_shows_no_key(files):
    assert KEY not in json.dumps(effective(files.load()))


def test_settings_for_clean_up_survive_a_broken_file(files):
    files.config |= {"first_table": 5000, "decapsulation_table": "x", "virtual_has": 7}
    settings = shell_settings_of(files.write())
    assert (settings.first_table, settings.decapsulation_table) == (5000, 900)
    assert shell_settings_of("/does/not/exist") == ShellSettings()
