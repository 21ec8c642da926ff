# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 6275 sections 9.5.1, 9.5.4, 10.3.1 and 10.3.2, the home agent's side. Every mobile node here is Scapy's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.layers.inet6 import MIP6MH_BRR, IPv6, MIP6OptNonceIndices, MIP6OptUnknown

from tests.unit.core.registering import (
    CARE_OF,
    ELSEWHERE,
    HOME,
    OTHER_HOME,
    VHA,
    HomeAgent,
    acknowledged,
    at,
    reports,
    text,
    update,
)
from vrrp_ha.core.binding_request import is_greater, is_unicast_routable
from vrrp_ha.core.effects import InstallBindings, RemoveBindings, SendFrame, SendPacket
from vrrp_ha.core.settings import HomeLink
from vrrp_ha.core.types import SECOND, Binding, packed

MAC = bytes.fromhex("020000000001")


@pytest.fixture
def home_agent() -> HomeAgent:
    return HomeAgent()


@pytest.fixture
def bound() -> HomeAgent:
    """HOME is bound to CARE_OF with sequence number 100."""
    home_agent = HomeAgent()
    assert home_agent.answer(update(sequence=100)).status == 0
    return home_agent


def dropped(home_agent: HomeAgent, octets: bytes, reason: str, seconds: float = 1) -> None:
    """The packet is silently discarded for this reason and the cache is as it was."""
    before = list(home_agent.cache)
    assert reports(home_agent.receive(octets, seconds)) == [("debug", f"dropped.{reason}")]
    assert list(home_agent.cache) == before


def refused(home_agent: HomeAgent, octets: bytes, status: int, seconds: float = 1) -> None:
    """The packet is answered with this status and the cache is as it was."""
    before = list(home_agent.cache)
    effects = home_agent.receive(octets, seconds)
    answer, _mh = acknowledged(effects)
    assert answer.status == status
    assert answer.lifetime_s == 0
    ((level, kind),) = reports(effects)
    assert (level, kind.split(".")[0]) == ("debug", "refused")
    assert list(home_agent.cache) == before


# --- registration ------------------------------------------------------------------------------------------


def test_a_mobile_node_is_bound_to_where_it_speaks_from(home_agent):
    effects = home_agent.receive(update(sequence=7, lifetime_s=600, flags="AHL"), 5)
    expected = Binding(HOME, CARE_OF, 7, 0xE000, at(605))
    assert effects[0] == InstallBindings(51, [expected])
    assert list(home_agent.cache) == [expected]


def test_the_answer_goes_to_the_care_of_address_by_way_of_the_home_address(home_agent):
    effects = home_agent.receive(update(sequence=7, lifetime_s=600))
    packet = effects[1].packet
    answer, _mh = acknowledged(effects)
    assert packet[8:24] == VHA
    assert packet[24:40] == CARE_OF
    assert answer.routing_header
    assert (answer.home, answer.status, answer.sequence, answer.lifetime_s) == (HOME, 0, 7, 600)


def test_the_answer_comes_from_the_address_that_was_asked(home_agent):
    second = packed("2001:db8:1::2")
    effects = home_agent.receive(update(destination=second))
    assert effects[1].packet[8:24] == second


def test_forwarding_is_asked_for_before_the_answer_leaves(home_agent):
    kinds = [type(effect) for effect in home_agent.receive(update())]
    assert kinds.index(InstallBindings) < kinds.index(SendPacket)


def test_an_alternate_care_of_address_is_what_is_bound_and_the_answer_goes_back_to_the_source(home_agent):
    effects = home_agent.receive(update(alternate=ELSEWHERE))
    assert home_agent.bound() == ELSEWHERE
    assert effects[1].packet[24:40] == CARE_OF


def test_without_the_a_bit_it_is_answered_all_the_same(home_agent):
    """Section 10.3.1: regardless of the setting of the Acknowledge (A) bit."""
    assert home_agent.answer(update(flags="H")).status == 0
    assert home_agent.cache.get(HOME).flags == 0x4000


def test_the_k_bit_is_cleared_in_binding_and_answer(home_agent):
    _answer, mh = acknowledged(home_agent.receive(update(flags="AHK")))
    assert home_agent.cache.get(HOME).flags == 0xC000
    assert mh[7] == 0


def test_a_lifetime_above_the_maximum_is_cut_to_it():
    home_agent = HomeAgent(maximum_lifetime_us=119 * SECOND)
    assert home_agent.answer(update(lifetime_s=600, seconds=10), 10).lifetime_s == 116
    assert home_agent.cache.get(HOME).expires == at(126)


def test_a_lifetime_below_the_maximum_is_what_was_asked_for(home_agent):
    assert home_agent.answer(update(lifetime_s=4)).lifetime_s == 4


def test_no_refresh_is_advised_as_bindings_survive_on_stable_storage(home_agent):
    assert 2 not in home_agent.answer(update()).options


def test_first_refresh_and_move_are_told_apart(home_agent):
    def kind_of(octets, seconds):
        return reports(home_agent.receive(octets, seconds))

    assert kind_of(update(sequence=1, seconds=1), 1) == [("info", "binding_registered")]
    assert kind_of(update(sequence=2, seconds=2), 2) == [("info", "binding_refreshed")]
    assert kind_of(update(sequence=3, seconds=3, care_of=ELSEWHERE), 3) == [("info", "binding_moved")]


def test_a_refresh_is_passed_on_too_as_the_other_members_must_know_its_lifetime(bound):
    effects = bound.receive(update(sequence=101, seconds=1), 1)
    assert effects[0] == InstallBindings(51, [Binding(HOME, CARE_OF, 101, 0xC000, at(601))])


def test_a_report_names_addresses_as_people_write_them(bound):
    (*_others, report) = bound.receive(update(sequence=101, care_of=ELSEWHERE, seconds=1), 1)
    assert report.fields == {
        "home_address": "2001:db8:1::1001",
        "care_of_address": "2001:db8:3::99",
        "sequence": 101,
        "lifetime_s": 600,
        "moved_from": "2001:db8:2::77",
    }


# --- silently discarded: sections 6.1.7, 9.2, 9.5.1 --------------------------------------------------------


@pytest.mark.parametrize("home", ["fe80::1001", "::1", "::ffff:192.0.2.1"])
def test_a_home_address_that_is_not_unicast_routable_is_dropped(home_agent, home):
    dropped(home_agent, update(home=packed(home)), "home_address")


@pytest.mark.parametrize("care_of", ["fe80::77", "::1", "ff0e::1", "::", "::ffff:192.0.2.1"])
def test_a_care_of_address_that_is_not_unicast_routable_is_dropped(home_agent, care_of):
    dropped(home_agent, update(alternate=packed(care_of)), "care_of_address")


def test_a_source_that_cannot_be_answered_is_dropped(home_agent):
    dropped(home_agent, update(care_of=packed("fe80::77"), alternate=CARE_OF), "care_of_address")


def test_a_damaged_checksum_is_dropped(home_agent):
    octets = bytearray(update())
    octets[69] ^= 1
    dropped(home_agent, bytes(octets), "checksum")


def test_a_damaged_option_is_dropped(home_agent):
    damaged = MIP6OptUnknown(otype=200, olen=250, odata=b"abcd")
    dropped(home_agent, update(key=None, before=(damaged,)), "option_length")


def test_a_home_registration_with_nonce_indices_is_dropped(home_agent):
    dropped(home_agent, update(before=(MIP6OptNonceIndices(olen=4),)), "nonce_indices")


def test_an_unknown_option_is_skipped(home_agent):
    assert home_agent.answer(update(before=(MIP6OptUnknown(otype=200, odata=b"abcd"),))).status == 0


def test_another_mobility_message_is_dropped(home_agent):
    octets = bytes(IPv6(src=text(HOME), dst=text(VHA)) / MIP6MH_BRR())
    dropped(home_agent, octets, "mobility_type")


def test_without_the_h_bit_nothing_is_bound_as_return_routability_is_not_offered(home_agent):
    dropped(home_agent, update(flags="A"), "not_home_registration")


# --- sequence numbers --------------------------------------------------------------------------------------


def test_any_sequence_number_will_do_where_nothing_is_bound(home_agent):
    assert home_agent.answer(update(sequence=40000)).status == 0


@pytest.mark.parametrize(
    ("last", "received", "greater"),
    [
        (15, 15, False),
        (15, 0, False),
        (15, 32783, False),
        (15, 65535, False),
        (15, 16, True),
        (15, 32782, True),
        (65535, 0, True),
        (65535, 32766, True),
        (65535, 32767, False),
        (0, 32767, True),
        (0, 32768, False),
    ],
)
def test_the_sequence_number_must_be_greater_modulo_65536(last, received, greater):
    """The first rows are the RFC's own example (section 9.5.1)."""
    assert is_greater(received, last) is greater


@pytest.mark.parametrize("sequence", [100, 99, 100 - 32768 + 65536])
def test_an_old_sequence_number_is_answered_with_the_last_accepted_one(bound, sequence):
    octets = update(sequence=sequence, care_of=ELSEWHERE, seconds=1)
    effects = bound.receive(octets, 1)
    answer, _mh = acknowledged(effects)
    assert (answer.status, answer.sequence) == (135, 100)
    assert effects[0].packet[24:40] == ELSEWHERE
    assert reports(effects) == [("debug", "refused.sequence_out_of_window")]
    assert bound.bound() == CARE_OF


def test_an_old_sequence_number_does_not_deregister(bound):
    refused(bound, update(sequence=100, lifetime_s=0, seconds=1), 135)


def test_the_sequence_number_of_one_mobile_node_is_nothing_to_another(bound):
    assert bound.answer(update(home=OTHER_HOME, sequence=1, seconds=1), 1).status == 0


def test_the_home_registration_flag_of_a_binding_cannot_be_changed(bound):
    refused(bound, update(sequence=101, flags="A", seconds=1), 139)


# --- section 10.3.1, in its order --------------------------------------------------------------------------


def test_a_home_address_off_the_home_link_is_refused(home_agent):
    refused(home_agent, update(home=packed("2001:db8:99::1001")), 132)


def test_a_home_address_just_outside_an_odd_prefix_is_refused():
    home_agent = HomeAgent(prefix=packed("2001:db8:1:0:8000::"), prefix_length=65)
    refused(home_agent, update(home=packed("2001:db8:1:0:7fff::1")), 132)
    assert home_agent.answer(update(home=packed("2001:db8:1:0:8000::1"), seconds=2), 2).status == 0


@pytest.mark.parametrize(
    "home",
    [
        "2001:db8:1::1",
        "2001:db8:1::2",
        "2001:db8:1::",
        "2001:db8:1:0:fdff:ffff:ffff:fffe",
        "2001:db8:1:0:fdff:ffff:ffff:ff80",
    ],
)
def test_the_home_agents_own_addresses_cannot_be_bound(home_agent, home):
    refused(home_agent, update(home=packed(home)), 134)


def test_a_tunnel_into_the_home_agent_is_refused(home_agent):
    refused(home_agent, update(alternate=VHA), 174)


def test_a_tunnel_into_another_tunnel_is_refused(bound):
    refused(bound, update(home=OTHER_HOME, alternate=HOME, seconds=1), 174)


def test_a_care_of_address_on_the_home_link_is_fine_when_it_is_a_link(home_agent):
    assert home_agent.answer(update(care_of=packed("2001:db8:1::beef"))).status == 0


def test_a_care_of_address_in_a_routed_home_prefix_is_refused():
    home_agent = HomeAgent(home_link=HomeLink.ROUTED)
    refused(home_agent, update(care_of=packed("2001:db8:1::beef")), 174)


def test_a_registration_without_home_address_option_is_refused(home_agent):
    refused(home_agent, update(at_home=True, alternate=CARE_OF), 128)


def test_what_is_wrong_first_in_the_rfcs_order_is_what_is_answered(bound):
    """Sequence number before home subnet, home subnet before care-of address."""
    off_link = packed("2001:db8:99::1")
    refused(bound, update(home=off_link, alternate=VHA, seconds=1), 132)
    refused(bound, update(sequence=100, alternate=VHA, seconds=2), 135, 2)


# --- section 10.3.2 ----------------------------------------------------------------------------------------


def test_deregistration_from_home_is_answered_straight_to_the_home_address(bound):
    before = bound.cache.get(HOME)
    effects = bound.receive(update(at_home=True, sequence=101, lifetime_s=0, seconds=1), 1)
    answer, _mh = acknowledged(effects)
    assert effects[0] == RemoveBindings(51, [replace(before, sequence=101)])
    assert effects[1].packet[24:40] == HOME
    assert not answer.routing_header
    assert (answer.status, answer.sequence, answer.lifetime_s) == (0, 101, 0)
    assert reports(effects) == [("info", "binding_deregistered")]
    assert len(bound.cache) == 0


def test_routes_are_gone_before_the_answer_to_a_deregistration_leaves(bound):
    kinds = [type(effect) for effect in bound.receive(update(at_home=True, sequence=101, lifetime_s=0, seconds=1), 1)]
    assert kinds.index(RemoveBindings) < kinds.index(SendPacket)


def test_deregistration_from_abroad_is_answered_by_way_of_the_home_address(bound):
    effects = bound.receive(update(care_of=ELSEWHERE, sequence=101, lifetime_s=0, seconds=1), 1)
    answer, _mh = acknowledged(effects)
    assert answer.status == 0
    assert answer.routing_header
    assert effects[1].packet[24:40] == ELSEWHERE
    assert len(bound.cache) == 0


def test_a_care_of_address_that_is_the_home_address_deregisters(bound):
    assert bound.answer(update(at_home=True, sequence=101, lifetime_s=600, seconds=1), 1).lifetime_s == 0
    assert len(bound.cache) == 0


def test_deregistration_of_what_is_not_bound_is_refused(bound):
    refused(bound, update(home=OTHER_HOME, at_home=True, lifetime_s=0, seconds=1), 133)
    refused(bound, update(home=packed("2001:db8:99::1"), lifetime_s=0, seconds=1), 133)


def test_a_refusal_of_somebody_at_home_goes_to_its_mac_as_its_binding_may_stand(bound):
    octets = update(at_home=True, sequence=100, lifetime_s=0, seconds=1)
    (frame, _report) = bound.receive(octets, 1, source_mac=MAC)
    assert isinstance(frame, SendFrame)
    assert (frame.vrid, frame.destination_mac, frame.virtual_mac) == (51, MAC, True)
    assert frame.packet[24:40] == HOME


def test_a_refusal_of_somebody_abroad_is_routed(bound):
    (packet, _report) = bound.receive(update(sequence=100, seconds=1), 1, source_mac=MAC)
    assert isinstance(packet, SendPacket)


# --- addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["2001:db8::1", "fd00::1", "fec0::1", "64:ff9b::c000:201", "::1:0:0:0:1"])
def test_addresses_that_may_be_home_or_care_of_addresses(address):
    assert is_unicast_routable(packed(address))


@pytest.mark.parametrize("address", ["::", "::1", "::192.0.2.1", "::ffff:192.0.2.1", "fe80::1", "febf::1", "ff02::1"])
def test_addresses_that_may_not(address):
    assert not is_unicast_routable(packed(address))
