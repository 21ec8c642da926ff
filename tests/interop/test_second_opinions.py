# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""tshark, Scapy and `vrrp-ha decode` read the reference packets, and every message that a node sends, alike.

What tshark and Scapy are known to get wrong is in opinions.py, and nothing else is overlooked: a fact that one reader
tells and another one does not is a disagreement as well.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.interop.emitted import Emitted, everything
from tests.interop.opinion_of_scapy import by_scapy
from tests.interop.opinion_of_tshark import by_tshark, opening
from tests.interop.opinions import Facts, by_vrrp_ha, capture, disagreements
from tests.unit.wire.packets import VECTORS

EMITTED = {emitted.name: emitted for emitted in everything()}


@pytest.fixture(scope="module")
def opinions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[bytes, Facts]]:
    """{reader: {packet: facts}}, one run of each reader for all packets."""
    if shutil.which("tshark") is None:
        pytest.skip("needs tshark: apt-get install tshark")
    octets = [*VECTORS.values(), *(emitted.packet for emitted in EMITTED.values())]
    return read(tmp_path_factory.mktemp("opinions") / "all.pcap", octets)


def read(path: Path, octets: list[bytes]) -> dict[str, dict[bytes, Facts]]:
    capture(path, octets)
    said: dict[str, Iterable[Facts]] = {
        "vrrp-ha": by_vrrp_ha(path),
        "tshark": by_tshark(path),
        "Scapy": map(by_scapy, octets),
    }
    return {reader: dict(zip(octets, facts, strict=True)) for reader, facts in said.items()}


@pytest.mark.parametrize("reader", ["tshark", "Scapy"])
@pytest.mark.parametrize("name", VECTORS)
def test_reference_packet_is_read_alike(opinions, name: str, reader: str) -> None:
    packet = VECTORS[name]
    assert disagreements(opinions["vrrp-ha"][packet], reader, opinions[reader][packet]) == []


@pytest.mark.parametrize("reader", ["tshark", "Scapy"])
@pytest.mark.parametrize("emitted", EMITTED.values(), ids=EMITTED.keys())
def test_message_of_a_node_is_read_alike(opinions, emitted: Emitted, reader: str) -> None:
    assert disagreements(opinions["vrrp-ha"][emitted.packet], reader, opinions[reader][emitted.packet]) == []


@pytest.mark.parametrize("emitted", EMITTED.values(), ids=EMITTED.keys())
def test_message_of_a_node_says_what_it_is_meant_to(opinions, emitted: Emitted) -> None:
    facts = opinions["vrrp-ha"][emitted.packet]
    assert {name: facts.get(name) for name in emitted.meant} == emitted.meant


def test_every_kind_of_message_is_there(opinions) -> None:
    """VRRP and BC_*, Mobility Header types, ICMPv6 types: what a node is able to send at all."""
    facts = [opinions["vrrp-ha"][emitted.packet] for emitted in EMITTED.values()]
    kinds = {name: {one[name] for one in facts if name in one} for name in ("vrrp_type", "mh_type", "icmp_type")}
    assert kinds == {
        "vrrp_type": {1, 2, 3, 4},
        "mh_type": {6, 7, 12},
        "icmp_type": {1, 2, 3, 4, 134, 135, 136, 145, 147},
    }


@pytest.mark.parametrize("emitted", [e for e in EMITTED.values() if e.keys], ids=lambda emitted: emitted.name)
def test_message_in_esp_is_opened_and_read_by_tshark(tmp_path, emitted: Emitted) -> None:
    """Scapy opens them in tests/unit/wire/test_esp.py and tests/unit/core/test_ipsec.py."""
    keys = emitted.keys
    preferences = opening(keys.spi, keys.algorithm.value, keys.encryption, keys.authentication)
    (facts,) = by_tshark(capture(tmp_path / "esp.pcap", [emitted.packet]), *preferences)
    inside = {"mh_type": 6, "status": 0, "sequence": 1, "lifetime_s": 600, "key_management": False}
    assert {name: facts.get(name) for name in inside} == inside
    assert "icv" not in facts
    changed = emitted.packet[:-1] + bytes((emitted.packet[-1] ^ 1,))
    (facts,) = by_tshark(capture(tmp_path / "changed.pcap", [changed]), *preferences)
    assert facts["icv"] == "bad"


def test_a_packet_that_is_not_as_it_should_be_is_noticed_by_both(tmp_path) -> None:
    """The control of the above: one bit of an acknowledgement, with a checksum that fits or does not."""
    packet = bytearray(EMITTED["Binding Acknowledgement"].packet)
    good = read(tmp_path / "good.pcap", [bytes(packet)])["vrrp-ha"][bytes(packet)]
    status_at = 40 + 24 + 6
    packet[status_at] ^= 0x80
    changed = bytes(packet)
    capture(tmp_path / "changed.pcap", [changed])
    assert disagreements(good, "tshark", by_tshark(tmp_path / "changed.pcap")[0]) == ["status: tshark 128, we 0"]
    assert set(disagreements(good, "Scapy", by_scapy(changed))) == {
        "checksum: Scapy 'bad', we 'good'",
        "status: Scapy 128, we 0",
    }
