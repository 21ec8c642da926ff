# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security associations in keys.json, and the section `ipsec` of agent.json."""

from __future__ import annotations

import json
import sys

import pytest

from tests.unit.shell.test_config import Files
from vrrp_ha.core.ipsec_settings import IpsecSettings, SecurityAssociation
from vrrp_ha.core.types import packed
from vrrp_ha.shell import tables
from vrrp_ha.shell.config import load
from vrrp_ha.shell.effective import effective
from vrrp_ha.wire.esp import Algorithm, Keys

HOME = "2001:db8:1::1001"


def key(octet: int, length: int) -> str:
    return bytes((octet,) * length).hex()


def cbc(number: int = 1, **changes) -> dict:
    entry = {
        "home_address": f"2001:db8:1::100{number}",
        "algorithm": "aes-cbc-hmac-sha-256-128",
        "spi_in": 0x1000 + number,
        "spi_out": 0x2000 + number,
        "encryption_key_in": key(16 * number, 16),
        "authentication_key_in": key(16 * number + 1, 32),
        "encryption_key_out": key(16 * number + 2, 32),
        "authentication_key_out": key(16 * number + 3, 32),
    }
    return {name: value for name, value in (entry | changes).items() if value is not None}


def gcm(number: int = 2, **changes) -> dict:
    entry = {
        "home_address": f"2001:db8:1::100{number}",
        "algorithm": "aes-gcm-16",
        "spi_in": 0x1000 + number,
        "spi_out": 0x2000 + number,
        "encryption_key_in": key(16 * number, 20),
        "encryption_key_out": key(16 * number + 1, 36),
    }
    return entry | changes


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_what_is_given_is_used_and_shown_without_its_secrets(files, tmp_path):
    files.config["ipsec"] = {"sender_id": 7}
    files.keys["ipsec_security_associations"] = [cbc(home_agent="2001:db8:1::51"), gcm(prefix_discovery=False)]
    configuration = files.load()
    assert configuration.node.ipsec == IpsecSettings(
        (
            SecurityAssociation(
                packed(HOME),
                Keys(0x1001, Algorithm.AES_CBC_HMAC_SHA_256_128, b"\x10" * 16, b"\x11" * 32),
                Keys(0x2001, Algorithm.AES_CBC_HMAC_SHA_256_128, b"\x12" * 32, b"\x13" * 32),
                packed("2001:db8:1::51"),
            ),
            SecurityAssociation(
                packed("2001:db8:1::1002"),
                Keys(0x1002, Algorithm.AES_GCM_16, b"\x20" * 20),
                Keys(0x2002, Algorithm.AES_GCM_16, b"\x21" * 36),
                prefix_discovery=False,
            ),
        ),
        7,
    )
    shown = effective(configuration)
    assert shown["ipsec"] == {"sender_id": 7}
    first, second = shown["keys"]["ipsec_security_associations"]
    assert (first["home_address"], first["home_agent"], first["spi_in"]) == (HOME, "2001:db8:1::51", 0x1001)
    assert second["algorithm"] == "aes-gcm-16"
    assert (first["prefix_discovery"], second["prefix_discovery"]) == (True, False)
    for octet in range(0x10, 0x30):
        assert f"{octet:02x}" * 16 not in json.dumps(shown)
    del shown["keys"]
    (tmp_path / "second.json").write_text(json.dumps(shown))
    assert load(str(tmp_path / "second.json")).node == configuration.node


def test_cbc_with_hmac_is_what_is_meant_when_nothing_is_said(files):
    files.keys["ipsec_security_associations"] = [cbc(algorithm=None)]
    (association,) = files.load().node.ipsec.associations
    assert association.inbound.algorithm is Algorithm.AES_CBC_HMAC_SHA_256_128
    assert files.load().warnings == ()


def test_associations_alone_let_mobile_nodes_register(files):
    files.keys["mobile_node_keys"] = []
    assert "no mobile node can register" in " ".join(files.load().warnings)
    files.keys["ipsec_security_associations"] = [cbc()]
    assert files.load().warnings == ()


def test_static_keys_with_gcm_are_warned_of(files):
    files.config["ipsec"] = {"sender_id": 7}
    files.keys["ipsec_security_associations"] = [gcm()]
    (warning,) = files.load().warnings
    assert "1 security associations use aes-gcm-16 with static keys" in warning
    assert "sender_id 7" in warning


@pytest.mark.parametrize(
    ("entries", "where", "words"),
    [
        ([cbc(home_address=None)], "[0].home_address", "is missing"),
        ([cbc(home_address="ff02::1")], "[0].home_address", "not a global unicast address"),
        ([cbc(home_address="fe80::1")], "[0].home_address", "not a global unicast address"),
        ([cbc(home_agent="::1")], "[0].home_agent", "not a global unicast address"),
        ([cbc(algorithm="aes-ccm")], "[0].algorithm", "'aes-ccm' is not known"),
        ([cbc(spi_in=255)], "[0].spi_in", "255 is out of range"),
        ([cbc(spi_out=2**32)], "[0].spi_out", "out of range"),
        ([cbc(spi_out=None)], "[0].spi_out", "is missing"),
        ([cbc(encryption_key_in=None)], "[0].encryption_key_in", "is missing"),
        ([cbc(encryption_key_in="")], "[0].encryption_key_in", "is empty"),
        ([cbc(encryption_key_in="xx")], "[0].encryption_key_in", "not hexadecimal"),
        ([cbc(encryption_key_in=key(1, 20))], "[0].encryption_key_in", "has 20 octets. Use 16 or 24 or 32"),
        ([cbc(authentication_key_in=None)], "[0].authentication_key_in", "is missing"),
        ([cbc(authentication_key_out=key(1, 31))], "[0].authentication_key_out", "has 31 octets. Use 32"),
        ([cbc(encryption_key_out=key(16, 16))], "[0].encryption_key_out", "is the encryption_key_in, too"),
        ([cbc(authentication_key_out=key(17, 32))], "[0].authentication_key_out", "is the authentication_key_in, too"),
        ([cbc(), cbc(2, spi_in=0x1001)], "[1].spi_in", "already the SPI of keys:ipsec_security_associations[0]"),
        ([cbc(), cbc(2, encryption_key_in=key(18, 32))], "[1].encryption_key_in", "another mobile node"),
        ([cbc(), cbc(2, authentication_key_out=key(17, 32))], "[1].authentication_key_out", "another mobile node"),
        ([cbc(spi=1)], "[0].spi", "unknown field"),
        ([gcm(encryption_key_in=key(1, 16))], "[0].encryption_key_in", "has 16 octets. Use 20 or 28 or 36"),
        ([gcm(authentication_key_in=key(1, 32))], "[0].authentication_key_in", "aes-gcm-16 has none"),
        ("x", "", "must be a list"),
    ],
)
def test_mistakes_are_named_with_what_to_do(files, entries, where, words):
    files.config["ipsec"] = {"sender_id": 1}
    files.keys["ipsec_security_associations"] = entries
    problems = files.problems()
    assert f"keys:ipsec_security_associations{where}" in [problem.path for problem in problems]
    assert words in " ".join(map(str, problems))


def test_two_associations_of_one_mobile_node_while_its_keys_change(files):
    files.keys["ipsec_security_associations"] = [cbc(), cbc(2, home_address=HOME)]
    assert len(files.load().node.ipsec.between(packed(HOME), packed("2001:db8:1::51"))) == 2


def test_one_spi_with_two_home_agents(files):
    entries = [cbc(home_agent="2001:db8:1::51"), cbc(2, spi_in=0x1001, home_agent="2001:db8:1::52")]
    files.keys["ipsec_security_associations"] = entries
    assert len(files.load().node.ipsec.associations) == 2


def test_no_part_of_a_key_is_in_any_message(files):
    secret = "5ec2e7"
    files.keys["ipsec_security_associations"] = [
        cbc(
            encryption_key_in=secret * 3,
            encryption_key_out=secret + "zz",
            authentication_key_in=secret * 2,
            authentication_key_out=secret * 2,
        ),
        cbc(2, authentication_key_in=secret * 2),
    ]
    assert files.problems()
    assert not any(secret in str(problem) for problem in files.problems())


@pytest.mark.parametrize("section", [{}, {"sender_id": None}])
def test_gcm_needs_to_know_which_agent_this_is(files, section):
    files.config["ipsec"] = section
    files.keys["ipsec_security_associations"] = [gcm()]
    (problem,) = files.problems()
    assert problem.path == "ipsec.sender_id"
    assert "a number of its own" in problem.remedy


@pytest.mark.parametrize("number", [0, 256, "1"])
def test_a_sender_id_is_a_number_of_one_octet(files, number):
    files.config["ipsec"] = {"sender_id": number}
    (problem,) = files.problems()
    assert problem.path == "ipsec.sender_id"


def test_without_what_encrypts_the_files_are_refused_and_the_remedy_is_told(files, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert files.load().node.ipsec == IpsecSettings()
    files.keys["ipsec_security_associations"] = [cbc()]
    (problem,) = files.problems()
    assert problem.path == "keys:ipsec_security_associations"
    assert "cannot import" in problem.message
    assert "python3-cryptography" in problem.remedy


def test_the_status_table_tells_how_many_there_are():
    result = {"host": "ha1", "healthy": True, "config_current": True, "uptime_s": 1, "version": "1", "warnings": []}
    assert "IPsec security associations: 2" in tables.status(result | {"virtual_has": [], "security_associations": 2})
    assert not [
        line for line in tables.status(result | {"virtual_has": [], "security_associations": 0}) if "IPsec" in line
    ]
