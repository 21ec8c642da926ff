# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decode command: what it prints and how it ends."""

from __future__ import annotations

import json
from struct import pack

import pytest

from tests.unit.shell.captures import pcap, pcapng
from tests.unit.wire.packets import TYPES, VECTORS
from vrrp_ha.shell.decode import run
from vrrp_ha.wire.describe import describe

ETHERNET = bytes.fromhex("333300000012 00005e000207 86dd")
ARP = bytes.fromhex("ffffffffffff 020000000001 0806") + bytes(28)
DAMAGED = VECTORS["BU-REG"][:-1] + b"\x00"


@pytest.mark.parametrize("name", VECTORS)
def test_every_reference_packet_is_shown(name, capsys):
    assert run(VECTORS[name].hex(), False, TYPES) == 0
    assert capsys.readouterr().out.startswith("ipv6\n    source")


@pytest.mark.parametrize("name", VECTORS)
def test_json_is_the_description(name, capsys):
    assert run(VECTORS[name].hex(), True, TYPES) == 0
    assert json.loads(capsys.readouterr().out) == describe(VECTORS[name], TYPES)


def test_white_space_and_case_do_not_matter(capsys):
    assert run("\n 0x" + VECTORS["BRR"].hex(" ", 2).upper().replace(" ", "\n\t") + " ", False, TYPES) == 0
    assert "binding refresh request" in capsys.readouterr().out.replace("_", " ")


def test_fields_are_aligned_and_bindings_stand_in_columns(capsys):
    run(VECTORS["BC-UPDATE-2"].hex(), False, TYPES)
    assert capsys.readouterr().out.splitlines()[9:] == [
        "      message   bc_update",
        "      version   3",
        "      type      3",
        "      vrid      7",
        "      checksum  0x55b5",
        "      bindings",
        "        home address      care of address  lifetime  sequence  flags",
        "        2001:db8:1::1001  2001:db8:2::77   600 s     1         AHL",
        "        2001:db8:1::1002  2001:db8:3::99   300 s     65535     AH",
    ]


def test_options_are_shown_down_to_their_fields(capsys):
    run(VECTORS["BU-AUTH"].hex(), False, TYPES)
    out = capsys.readouterr().out
    assert "home address  home address 2001:db8:1::1001\n" in out
    assert "alternate care of address  care of address 2001:db8:2::77\n" in out
    assert "authentication             subtype 1 (mn ha), spi 256, authenticator 8fe413e5f378bfca15d53f4c\n" in out


def test_damaged_packet_ends_with_1_and_its_reason(capsys):
    assert run(DAMAGED.hex(), False, TYPES) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("damaged: checksum: ")


def test_damaged_packet_in_json_has_its_reason(capsys):
    assert run(VECTORS["BRR"][:-1].hex(), True, TYPES) == 1
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "truncated"


@pytest.mark.parametrize("argument", ["", " ", "600", "6z", "no/such/file", "\0", "60" * 3000 + "x"])
def test_what_is_neither_packet_nor_file_ends_with_2(argument, capsys):
    assert run(argument, False, TYPES) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_capture_is_shown_packet_by_packet(make, tmp_path, capsys):
    path = tmp_path / "some.pcap"
    path.write_bytes(make([ETHERNET + VECTORS["VRRP-ADV"], ARP, ETHERNET + VECTORS["BC-REQUEST"]], 1))
    assert run(str(path), False, TYPES) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("packet")] == [
        ["packet", "1"],
        ["packet", "2"],
        ["packet", "3"],
    ]
    assert "advertisement" in out
    assert "not IPv6" in out
    assert "bc_request" in out


def test_capture_in_json_is_a_list(tmp_path, capsys):
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap([ETHERNET + VECTORS["VRRP-ADV"], ARP], 1))
    assert run(str(path), True, TYPES) == 0
    advertisement, other = json.loads(capsys.readouterr().out)
    assert advertisement == {"packet": 1, "time": "5.000007000", **describe(VECTORS["VRRP-ADV"], TYPES)}
    assert other == {"packet": 2, "time": "5.000007000", "skipped": "not IPv6"}


def test_damaged_packet_in_a_capture_is_named_and_the_others_are_shown(tmp_path, capsys):
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap([VECTORS["BRR"], DAMAGED, VECTORS["BE-1"]], 101))
    assert run(str(path), False, TYPES) == 1
    out, err = capsys.readouterr()
    assert err.startswith("packet 2: damaged: checksum: ")
    assert "binding_refresh_request" in out
    assert "binding_error" in out


def test_damaged_packet_in_a_capture_in_json(tmp_path, capsys):
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap([DAMAGED], 229))
    assert run(str(path), True, TYPES) == 1
    (packet,) = json.loads(capsys.readouterr().out)
    assert (packet["packet"], packet["error"]["reason"]) == (1, "checksum")


def test_packet_that_was_captured_in_part_is_damaged(tmp_path, capsys):
    packet = VECTORS["TUN-TO-MN"]
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap([], 101) + pack("<IIII", 5, 7, 60, len(packet)) + packet[:60])
    assert run(str(path), False, TYPES) == 1
    assert "packet 1: damaged: truncated: 60 of 93 octets were captured" in capsys.readouterr().err


def test_capture_that_ends_too_early_shows_what_is_whole(tmp_path, capsys):
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap([VECTORS["BRR"], VECTORS["BRR"]], 101)[:-1])
    assert run(str(path), True, TYPES) == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 1
    assert "packet 2: the file ends within it" in err


def test_file_that_is_no_capture_ends_with_2(tmp_path, capsys):
    path = tmp_path / "some.txt"
    path.write_text("hello")
    assert run(str(path), False, TYPES) == 2
    assert "not a pcap" in capsys.readouterr().err
