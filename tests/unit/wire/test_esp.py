# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ESP against the published vectors, against Scapy's IPsec layer both ways, and against whatever bytes there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import HAO, MIP6MH_BU, IPv6, IPv6ExtHdrDestOpt, MIP6OptAltCoA
from scapy.layers.ipsec import ESP, SecurityAssociation

from tests.unit.wire.packets import CARE_OF, HOME_ADDRESS, HOME_AGENT, octets, thirty_two_bits
from vrrp_ha.core.types import text
from vrrp_ha.wire import esp, ipv6
from vrrp_ha.wire.errors import WireError

CBC = esp.Algorithm.AES_CBC_HMAC_SHA_256_128
GCM = esp.Algorithm.AES_GCM_16
AUTHENTICATION = bytes(range(100, 132))
EITHER = (
    esp.Keys(0x1001, CBC, bytes(range(16)), AUTHENTICATION),
    esp.Keys(0x1001, CBC, bytes(range(32)), AUTHENTICATION),
    esp.Keys(0x1001, GCM, bytes(range(20))),
    esp.Keys(0x1001, GCM, bytes(range(36))),
)
both = pytest.mark.parametrize("keys", EITHER, ids=lambda keys: f"{keys.algorithm.value}-{len(keys.encryption)}")


def iv(keys: esp.Keys, number: int = 1) -> bytes:
    return number.to_bytes(16 if keys.algorithm is CBC else 8, "big")


def sealed(keys: esp.Keys, payload: bytes = b"payload", next_header: int = 135) -> bytes:
    return esp.seal(keys, 7, iv(keys), next_header, payload)


def scapys(keys: esp.Keys) -> SecurityAssociation:
    names = {CBC: ("AES-CBC", "SHA2-256-128"), GCM: ("AES-GCM", "NULL")}[keys.algorithm]
    return SecurityAssociation(
        ESP,
        keys.spi,
        crypt_algo=names[0],
        crypt_key=keys.encryption,
        auth_algo=names[1],
        auth_key=keys.authentication or None,
    )


# --- published vectors -------------------------------------------------------------------------------------


def test_rfc_3602_case_5():
    """Section 4 encrypts without authenticating, so the ICV is ours."""
    keys = esp.Keys(0x4321, CBC, bytes.fromhex("90d382b410eeba7ad938c46cec1a82bf"), AUTHENTICATION)
    ping = bytes.fromhex("08000ebda70a00008e9c083db95b0700") + bytes(range(0x08, 0x38))
    expected = bytes.fromhex(
        "0000432100000001e96e8c08ab465763fd098d45dd3ff893"
        "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
        "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
        "a269add047ad2d5913ac19b7cfbad4a6"
    )
    packet = esp.seal(keys, 1, expected[8:24], 1, ping)
    assert packet[:-16] == expected
    assert esp.open_(keys, packet) == (1, ping)


@pytest.mark.parametrize(
    ("key", "header", "iv", "next_header", "payload", "encrypted"),
    [
        (
            "feffe9928665731c6d6a8f9467308308feffe9928665731ccafebabe",
            "0000a5f80000000a",
            "facedbaddecaf888",
            1,
            "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d07568",
            (
                "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77"
                "95457b9652037f5318027b5b4cd7a636"
            ),
        ),
        (
            "abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344",
            "4a2cbfe300000002",
            "0102030405060708",
            1,
            "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b401010402",
            (
                "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f0545659f14e99d"
                "ef842d8eb335f4eecfdbf831824b4c4915956c96"
            ),
        ),
    ],
)
def test_gcm_cases_of_draft_mcgrew_gcm_test(key, header, iv, next_header, payload, encrypted):
    spi, sequence = int(header[:8], 16), int(header[8:], 16)
    keys = esp.Keys(spi, GCM, bytes.fromhex(key))
    packet = esp.seal(keys, sequence, bytes.fromhex(iv), next_header, bytes.fromhex(payload))
    assert packet == bytes.fromhex(header + iv + encrypted)
    assert esp.open_(keys, packet) == (next_header, bytes.fromhex(payload))


# --- Scapy is the peer -------------------------------------------------------------------------------------


@both
def test_scapy_reads_what_is_sealed_here(keys):
    packet = ipv6.Packet(HOME_AGENT, HOME_ADDRESS, 64, ipv6.ESP, sealed(keys, bytes(range(40)), 17))
    plain = scapys(keys).decrypt(IPv6(ipv6.encode(packet)))
    assert plain.nh == 17
    assert bytes(plain)[40:] == bytes(range(40))


@both
def test_what_scapy_seals_behind_a_home_address_option_is_read_here(keys):
    options = [MIP6OptAltCoA(acoa=text(CARE_OF))]
    clear = (
        IPv6(src=text(CARE_OF), dst=text(HOME_AGENT))
        / IPv6ExtHdrDestOpt(options=[HAO(hoa=text(HOME_ADDRESS))])
        / MIP6MH_BU(seq=5, flags="AH", mhtime=150, options=options)
    )
    clear = IPv6(bytes(clear))
    packet = ipv6.decode(bytes(scapys(keys).encrypt(clear)))
    assert packet.next_header == ipv6.ESP
    assert packet.home_address == HOME_ADDRESS
    assert esp.spi_of(packet.payload) == keys.spi
    assert esp.open_(keys, packet.payload) == (ipv6.MOBILITY, ipv6.decode(bytes(clear)).payload)


# --- what is refused ---------------------------------------------------------------------------------------


@both
def test_every_octet_is_covered(keys):
    packet = sealed(keys)
    for at in range(len(packet)):
        damaged = packet[:at] + bytes((packet[at] ^ 1,)) + packet[at + 1 :]
        with pytest.raises(WireError, match="esp_icv"):
            esp.open_(keys, damaged)


@both
def test_another_key_opens_nothing(keys):
    other = esp.Keys(keys.spi, keys.algorithm, keys.encryption[::-1], keys.authentication[::-1])
    with pytest.raises(WireError, match="esp_icv"):
        esp.open_(other, sealed(keys))


def test_authentic_with_padding_that_is_not_one_two_three():
    keys = EITHER[0]
    plain = b"a payload, " + bytes((1, 2, 9, 3, 135))
    body = sealed(keys)[:24] + esp._aes_cbc(keys.encryption, iv(keys), plain)
    with pytest.raises(WireError, match="esp_padding"):
        esp.open_(keys, body + esp._icv(keys, body))


def test_authentic_with_more_padding_than_there_is():
    keys = EITHER[0]
    body = sealed(keys)[:24] + esp._aes_cbc(keys.encryption, iv(keys), bytes(14) + b"\xff\x87")
    with pytest.raises(WireError, match="esp_padding"):
        esp.open_(keys, body + esp._icv(keys, body))


@both
def test_every_shorter_packet_is_refused_by_its_length_or_icv(keys):
    packet = sealed(keys)
    for length in range(len(packet)):
        with pytest.raises(WireError, match=r"esp_length|esp_icv"):
            esp.open_(keys, packet[:length])


def test_no_spi_in_seven_octets():
    with pytest.raises(WireError, match="truncated"):
        esp.spi_of(bytes(7))


# --- properties --------------------------------------------------------------------------------------------


@given(st.sampled_from(EITHER), thirty_two_bits, octets, st.binary(max_size=300))
def test_what_is_sealed_can_be_opened(keys, sequence, next_header, payload):
    packet = esp.seal(keys, sequence, iv(keys), next_header, payload)
    assert esp.open_(keys, packet) == (next_header, payload)
    assert packet[:8] == keys.spi.to_bytes(4, "big") + sequence.to_bytes(4, "big")
    assert len(packet) % 4 == 0


@given(st.sampled_from(EITHER), st.binary(max_size=200))
def test_whatever_comes_is_opened_or_a_wire_error(keys, data):
    with pytest.raises(WireError):
        esp.open_(keys, data)


@given(st.binary(min_size=16, max_size=16))
def test_whatever_an_authentic_sender_padded_is_opened_or_a_wire_error(plain):
    keys = EITHER[0]
    body = sealed(keys)[:24] + esp._aes_cbc(keys.encryption, iv(keys), plain)
    packet = body + esp._icv(keys, body)
    pad_length = plain[-2]
    if pad_length <= 14 and plain[:-2].endswith(bytes(range(1, pad_length + 1))):
        assert esp.open_(keys, packet) == (plain[-1], plain[: 14 - pad_length])
    else:
        with pytest.raises(WireError, match="esp_padding"):
            esp.open_(keys, packet)


# --- initialisation vectors --------------------------------------------------------------------------------


def test_an_unpredictable_iv_is_the_nonce_encrypted_under_the_same_key():
    """NIST SP 800-38A appendix C; the AES-128 example of FIPS 197 appendix C.1."""
    keys = esp.Keys(1, CBC, bytes(range(16)), AUTHENTICATION)
    nonce = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert esp.unpredictable_iv(keys, nonce).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


def test_aes_can_be_had_here():
    assert esp.unavailable() == ""


def test_keys_are_not_shown():
    shown = repr(EITHER[0])
    assert EITHER[0].encryption.hex() not in shown
    assert repr(EITHER[0].encryption) not in shown
    assert repr(AUTHENTICATION) not in shown
