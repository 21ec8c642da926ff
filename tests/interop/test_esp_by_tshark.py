# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""tshark's opinion of ESP: it has the keys, verifies the ICVs, and reads in it what the agent and Scapy mean."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from scapy.layers.inet6 import IPv6
from scapy.utils import wrpcap

from tests.unit.core.nodes import master, of
from tests.unit.core.protecting import CBC, GCM, association, give, update
from vrrp_ha.core.effects import SendPacket
from vrrp_ha.wire import esp

NAMES = {
    CBC: ("AES-CBC [RFC3602]", "HMAC-SHA-256-128 [RFC4868]"),
    GCM: ("AES-GCM with 16 octet ICV [RFC4106]", "NULL"),
}
FIELDS = [
    *("esp.spi", "esp.icv_good", "esp.pad_len", "esp.protocol"),
    *("mip6.mhtype", "mip6.bu.seqnr", "mip6.acoa.acoa", "mip6.ba.status"),
]

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed; run tests/setup")


def with_keys(keys: esp.Keys) -> list[str]:
    encryption, authentication = NAMES[keys.algorithm]
    shown = f"0x{keys.authentication.hex()}" if keys.authentication else ""
    values = ("IPv6", "*", "*", f"0x{keys.spi:08x}", encryption, f"0x{keys.encryption.hex()}", authentication, shown)
    return ["-o", "uat:esp_sa:" + ",".join(f'"{value}"' for value in values)]


@pytest.mark.parametrize("algorithm", [CBC, GCM], ids=lambda algorithm: algorithm.value)
def test_a_binding_update_and_its_acknowledgement(algorithm, tmp_path):
    given = association(algorithm=algorithm)
    request = update(given, sequence=9)
    (answer,) = of(give(master(), given).receives(request, 1.0), SendPacket)
    wrpcap(str(tmp_path / "esp.pcap"), [IPv6(request), IPv6(answer.packet)])
    command = ["tshark", "-r", tmp_path / "esp.pcap", "-T", "fields", "-E", "separator=|"]
    command += ["-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE"]
    command += [*with_keys(given.inbound), *with_keys(given.outbound)]
    for field in FIELDS:
        command += ["-e", field]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    seen = [dict(zip(FIELDS, line.split("|"), strict=True)) for line in shown]
    pads = {CBC: ("14", "14"), GCM: ("2", "2")}[algorithm]
    common = {"esp.icv_good": "1", "esp.protocol": "0x87"}
    assert seen == [
        {
            **common,
            "esp.spi": "0x00001001",
            "esp.pad_len": pads[0],
            "mip6.mhtype": "5",
            "mip6.bu.seqnr": "9",
            "mip6.acoa.acoa": "2001:db8:2::77",
            "mip6.ba.status": "",
        },
        {
            **common,
            "esp.spi": "0x00002001",
            "esp.pad_len": pads[1],
            "mip6.mhtype": "6",
            "mip6.bu.seqnr": "",
            "mip6.acoa.acoa": "",
            "mip6.ba.status": "0",
        },
    ]
