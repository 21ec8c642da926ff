# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 4285: who may bind, what is replayed, and what the answers prove. Every mobile node here is Scapy's."""

from __future__ import annotations

import contextlib

import pytest
from scapy.layers.inet6 import MIP6OptMNID, MIP6OptMsgAuth, MIP6OptReplayProtection, MIP6OptUnknown

from tests.lab.mn import binding
from tests.unit.core.registering import (
    CARE_OF,
    ELSEWHERE,
    HOME,
    KEY,
    OTHER_HOME,
    SPI,
    WALL,
    WINDOW,
    HomeAgent,
    acknowledged,
    at,
    reports,
    update,
)
from vrrp_ha.core.binding_request import MobilityReceived
from vrrp_ha.core.settings import MobileNodeKey, NodeSettings
from vrrp_ha.core.types import SECOND, packed
from vrrp_ha.wire import ipv6
from vrrp_ha.wire.errors import WireError

# The reference packet BU-AUTH: sequence number 10, NTP timestamp e8d4a510.00000000, MN-ID mn1@example.com.
REFERENCE = bytes.fromhex(
    "6000000000683c4020010db800020000000000000000007720010db8000100000000000000000001870201020000c910"
    "20010db80001000000000000000010013b0905006284000ac00000960100031020010db8000200000000000000000077"
    "0810016d6e31406578616d706c652e636f6d0a08e8d4a5100000000000091101000001008fe413e5f378bfca15d53f4c"
)
REFERENCE_WALL = (0xE8D4A510 - 2_208_988_800) * SECOND


@pytest.fixture
def home_agent() -> HomeAgent:
    return HomeAgent()


def silent(home_agent: HomeAgent, octets: bytes, reason: str, seconds: float = 0) -> None:
    assert reports(home_agent.receive(octets, seconds)) == [("debug", f"dropped.{reason}")]
    assert len(home_agent.cache) == 0


# --- the reference packet ----------------------------------------------------------------------------------


def test_the_reference_packet_is_accepted_at_its_time(home_agent):
    event = MobilityReceived(ipv6.decode(REFERENCE), REFERENCE_WALL)
    answer, mh = acknowledged(home_agent.registration.handle(event, at(0)))
    assert (answer.status, answer.sequence, answer.lifetime_s) == (0, 10, 600)
    assert (answer.timestamp, answer.spi) == (0xE8D4A510_00000000, 0x100)
    assert binding.is_signed(mh, KEY, CARE_OF, HOME)
    assert home_agent.bound() == CARE_OF


@pytest.mark.parametrize("octet", [71, 75, 88, 100, 110, 121, 143])
def test_the_reference_packet_changed_anywhere_that_counts_is_not_authentic(home_agent, octet):
    """The one who changes it puts the checksum right, of course."""
    changed = bytearray(REFERENCE)
    changed[octet] ^= 0x01
    packet = ipv6.with_checksum(ipv6.decode(bytes(changed)), 4)
    answer, _mh = acknowledged(home_agent.registration.handle(MobilityReceived(packet, REFERENCE_WALL), at(0)))
    assert answer.status == 146
    assert len(home_agent.cache) == 0


def test_whatever_bit_is_changed_under_way_nothing_is_bound(home_agent):
    """Source, home address and every octet of the Mobility Header, its checksum put right again."""
    octets = update()
    positions = [*range(8, 24), *range(48, 64), *(at for at in range(64, len(octets)) if at not in (68, 69))]
    for position in positions:
        for bit in range(8):
            changed = bytearray(octets)
            changed[position] ^= 1 << bit
            with contextlib.suppress(WireError):
                packet = ipv6.with_checksum(ipv6.decode(bytes(changed)), 4)
                home_agent.registration.handle(MobilityReceived(packet, WALL), at(0))
            assert len(home_agent.cache) == 0, (position, bit)
    assert home_agent.answer(octets, 1).status == 0  # so many used up what one source may


# --- no key, wrong key -------------------------------------------------------------------------------------


def test_an_update_without_authentication_is_silently_dropped(home_agent):
    silent(home_agent, update(key=None), "unauthenticated")


def test_it_is_dropped_also_where_nobody_has_a_key():
    silent(HomeAgent(keys=()), update(key=None), "unauthenticated")


def test_an_spi_that_names_no_key_is_dropped_and_counted_as_such(home_agent):
    silent(home_agent, update(spi=SPI + 1), "unknown_spi")


def test_a_wrong_key_is_answered_with_auth_fail_signed_with_the_right_one(home_agent):
    effects = home_agent.receive(update(key=b"wrong" * 4, sequence=9))
    answer, mh = acknowledged(effects)
    assert (answer.status, answer.sequence, answer.lifetime_s) == (146, 9, 0)
    assert binding.is_signed(mh, KEY, CARE_OF, HOME)
    assert reports(effects) == [("debug", "refused.authentication_failed")]
    assert len(home_agent.cache) == 0


def test_whoever_has_no_key_does_not_learn_the_sequence_number():
    home_agent = HomeAgent()
    assert home_agent.answer(update(sequence=500)).status == 0
    answer = home_agent.answer(update(sequence=1, key=b"wrong" * 4, seconds=1), 1)
    assert (answer.status, answer.sequence) == (146, 1)


def test_a_mobile_node_cannot_speak_for_another():
    keys = tuple(
        MobileNodeKey(SPI, octets, home, 128) for octets, home in ((KEY, HOME), (b"other key 16 oct", OTHER_HOME))
    )
    home_agent = HomeAgent(keys=keys)
    assert home_agent.answer(update(home=OTHER_HOME, key=KEY)).status == 146
    assert home_agent.answer(update(home=HOME, key=KEY)).status == 0


def test_while_a_key_is_changed_both_are_good_and_the_answer_uses_the_one_that_was_used():
    new = b"the new key, 16o"
    prefix = packed("2001:db8:1::")
    home_agent = HomeAgent(keys=(MobileNodeKey(SPI, KEY, prefix, 64), MobileNodeKey(SPI + 1, new, prefix, 64)))
    for sequence, spi, key in ((1, SPI, KEY), (2, SPI + 1, new), (3, SPI, KEY)):
        answer, mh = acknowledged(
            home_agent.receive(update(sequence=sequence, spi=spi, key=key, seconds=sequence), sequence)
        )
        assert (answer.status, answer.spi) == (0, spi)
        assert binding.is_signed(mh, key, CARE_OF, HOME)


def test_new_keys_are_used_from_the_reconfiguration_on_and_timestamps_stay_known(home_agent):
    octets = update()
    assert home_agent.answer(octets).status == 0
    new = b"the new key, 16o"
    keys = (MobileNodeKey(SPI, KEY, HOME, 128), MobileNodeKey(SPI + 1, new, HOME, 128))
    home_agent.commons.reconfigure(NodeSettings("ha1", (), keys, replay_window_us=WINDOW))
    assert home_agent.answer(octets, 1).status == 144
    assert home_agent.answer(update(spi=SPI + 1, key=new, sequence=2, seconds=2), 2).status == 0


# --- the form of the options -------------------------------------------------------------------------------


def test_anything_after_the_authentication_option_is_dropped(home_agent):
    silent(home_agent, update(after=(MIP6OptUnknown(otype=200, odata=b"ab"),)), "authentication_option")
    silent(home_agent, update(after=(MIP6OptReplayProtection(timestamp=1),)), "authentication_option")


def test_an_aaa_option_may_follow_but_not_come_first(home_agent):
    aaa = MIP6OptMsgAuth(subtype=2, mspi=3, authdata=b"a" * 12)
    silent(home_agent, update(before=(aaa,)), "authentication_option")
    assert home_agent.answer(update(after=(aaa,))).status == 0


def test_two_options_of_our_kind_are_dropped(home_agent):
    again = MIP6OptMsgAuth(subtype=1, mspi=SPI, authdata=b"a" * 12)
    silent(home_agent, update(after=(again,)), "authentication_option")


def test_an_authenticator_of_another_length_is_not_authentic(home_agent):
    short = MIP6OptMsgAuth(subtype=1, mspi=SPI, authdata=b"")
    assert home_agent.answer(update(key=None, before=(short,))).status == 146


def test_the_answer_names_the_mobile_node_as_it_named_itself(home_agent):
    answer, mh = acknowledged(home_agent.receive(update(before=(MIP6OptMNID(subtype=1, id=b"mn1@example.com"),))))
    assert answer.options == (8, 10, 9)
    assert b"\x08\x10\x01mn1@example.com" in mh


# --- timestamps --------------------------------------------------------------------------------------------


def test_an_update_without_timestamp_is_told_to_send_one(home_agent):
    answer, mh = acknowledged(home_agent.receive(update(replay=False)))
    assert answer.status == 145
    assert answer.timestamp is None
    assert binding.is_signed(mh, KEY, CARE_OF, HOME)
    assert len(home_agent.cache) == 0


def test_the_timestamp_of_an_accepted_update_comes_back_whole(home_agent):
    timestamp = binding.ntp(WALL * 1000) + 12345
    assert home_agent.answer(update(timestamp=timestamp)).timestamp == timestamp


def test_a_replayed_update_is_refused_and_changes_nothing(home_agent):
    octets = update(sequence=1)
    assert home_agent.answer(octets).status == 0
    moved = update(sequence=2, care_of=ELSEWHERE, seconds=1)
    assert home_agent.answer(moved, 1).status == 0
    assert home_agent.answer(octets, 2).status == 144
    assert home_agent.bound() == ELSEWHERE


def test_a_replayed_update_does_not_bind_again_what_was_deregistered(home_agent):
    octets = update(sequence=1)
    assert home_agent.answer(octets).status == 0
    assert home_agent.answer(update(at_home=True, sequence=2, lifetime_s=0, seconds=1), 1).status == 0
    assert home_agent.answer(octets, 2).status == 144
    assert len(home_agent.cache) == 0


@pytest.mark.parametrize("ahead", [-8, 8, -100_000, 100_000_000])
def test_a_clock_that_is_wrong_is_corrected_by_the_answer(home_agent, ahead):
    sent = binding.ntp((WALL + ahead * SECOND) * 1000) | 0xABCDEF
    answer, mh = acknowledged(home_agent.receive(update(timestamp=sent)))
    assert answer.status == 144
    assert answer.timestamp >> 32 == WALL // SECOND + 2_208_988_800
    assert answer.timestamp & 0xFFFFFFFF == sent & 0xFFFFFFFF
    assert binding.is_signed(mh, KEY, CARE_OF, HOME)
    assert len(home_agent.cache) == 0


def test_the_corrected_timestamp_is_good_for_the_next_update(home_agent):
    refusal = home_agent.answer(update(sequence=1, seconds=-3600))
    assert home_agent.answer(update(sequence=2, timestamp=refusal.timestamp + 1), 0.5).status == 0


def test_an_acting_master_has_no_timestamps_but_has_the_replicated_sequence_number():
    before, after = HomeAgent(), HomeAgent()
    octets = update(sequence=7)
    assert before.answer(octets).status == 0
    after.cache.put(before.cache.get(HOME))
    answer = after.answer(octets, 2)
    assert (answer.status, answer.sequence) == (135, 7)
    assert after.answer(update(sequence=8, seconds=3), 3).status == 0


def test_a_timestamp_is_refused_before_a_sequence_number(home_agent):
    octets = update(sequence=7)
    home_agent.receive(octets)
    assert home_agent.answer(octets, 1).status == 144


# --- insecure_bindings -------------------------------------------------------------------------------------


def test_with_insecure_bindings_whoever_has_no_key_is_believed():
    home_agent = HomeAgent(keys=(), insecure_bindings=True)
    answer = home_agent.answer(update(key=None))
    assert (answer.status, answer.spi, answer.options) == (0, None, ())
    assert home_agent.bound() == CARE_OF


def test_with_insecure_bindings_whoever_has_a_key_must_still_use_it():
    home_agent = HomeAgent(keys=(MobileNodeKey(SPI, KEY, HOME, 128),), insecure_bindings=True)
    silent(home_agent, update(key=None), "unauthenticated")
    assert home_agent.answer(update(home=OTHER_HOME, key=None)).status == 0
    assert home_agent.answer(update(home=HOME, key=b"wrong" * 4)).status == 146


def test_an_unknown_spi_is_dropped_with_insecure_bindings_too():
    silent(HomeAgent(keys=(), insecure_bindings=True), update(), "unknown_spi")


def test_a_timestamp_without_authentication_is_echoed():
    home_agent = HomeAgent(keys=(), insecure_bindings=True)
    assert home_agent.answer(update(key=None, before=(MIP6OptReplayProtection(timestamp=5),))).timestamp == 5
