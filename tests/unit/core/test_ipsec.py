# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signalling in ESP: a whole node, and mobile nodes whose IPsec layer is Scapy's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.unit.core import registering
from tests.unit.core.nodes import at, master, of
from tests.unit.core.protecting import (
    CBC,
    GCM,
    PLAIN_HOME,
    SPI_IN,
    SPI_OUT,
    IPv6,
    association,
    give,
    opened,
    scapys,
    sent,
    update,
)
from tests.unit.core.recovering import HOOK, OWN_VHA, acting_master, deleted, hooks, known
from tests.unit.core.registering import CARE_OF, ELSEWHERE, HOME, OTHER_HOME, VHA
from vrrp_ha.core.effects import InstallBindings, SendFrame, SendPacket
from vrrp_ha.core.ipsec import Ipsec
from vrrp_ha.core.ipsec_settings import IpsecSettings
from vrrp_ha.core.settings import NodeSettings
from vrrp_ha.wire import esp, icmpv6, ipv6, mobility
from vrrp_ha.wire.errors import WireError

BOTH = pytest.mark.parametrize("algorithm", [CBC, GCM], ids=lambda algorithm: algorithm.value)


def bound(story, home=HOME):
    found = story.node.bindings(51).get(home)
    return found.care_of_address if found else None


def dropped(story) -> dict[str, int]:
    counters = {**story.node.counters, **story.state()["counters"]}
    return {name[8:]: count for name, count in counters.items() if name.startswith("dropped.")}


# --- a mobile node registers -------------------------------------------------------------------------------


@BOTH
def test_a_binding_update_in_esp_is_answered_in_esp_behind_a_routing_header(algorithm):
    given = association(algorithm=algorithm)
    story = give(master(), given)
    effects = story.receives(update(given), 1.0)
    assert bound(story) == CARE_OF
    (answer,) = sent(effects)
    assert (answer.source, answer.destination, answer.routing_home_address) == (VHA, CARE_OF, HOME)
    assert answer.payload[:4] == SPI_OUT.to_bytes(4, "big")
    message = opened(answer, given)
    assert (message.status, message.sequence) == (0, 1)
    assert not [option for option in message.options if isinstance(option, mobility.Authentication)]
    status = story.node.status(at(1.0))
    assert status["security_associations"] == 1
    assert (status["counters"]["esp_received"], status["counters"]["esp_sent"]) == (1, 1)


def test_it_is_bound_to_the_address_that_esp_covers_and_answered_where_it_came_from():
    given = association()
    story = give(master(), given)
    octets = update(given, care_of=ELSEWHERE)
    effects = story.receives(octets[:8] + CARE_OF + octets[24:], 1.0)
    assert bound(story) == ELSEWHERE
    assert sent(effects)[0].destination == CARE_OF


def test_without_an_alternate_care_of_address_nothing_tells_where_it_is():
    given = association()
    story = give(master(), given)
    assert sent(story.receives(update(given, alternate=False), 1.0)) == []
    assert bound(story) is None
    assert dropped(story) == {"care_of_unprotected": 1}


def test_a_refusal_is_in_esp_too():
    given = association()
    story = give(master(), given)
    story.receives(update(given, sequence=7), 1.0)
    (answer,) = sent(story.receives(update(given, sequence=7), 1.1))
    assert opened(answer, given).status == 135


@BOTH
def test_back_home_it_signs_off_without_a_home_address_option(algorithm):
    given = association(algorithm=algorithm)
    story = give(master(), given)
    story.receives(update(given), 1.0)
    (answer,) = sent(story.receives(update(given, sequence=2, lifetime_s=0, at_home=True), 1.1))
    assert bound(story) is None
    assert (answer.destination, answer.routing_home_address) == (HOME, None)
    assert opened(answer, given).status == 0


def test_away_it_signs_off_without_saying_where_it_is():
    given = association()
    story = give(master(), given)
    story.receives(update(given), 1.0)
    (answer,) = sent(story.receives(update(given, sequence=2, lifetime_s=0, alternate=False), 1.1))
    assert opened(answer, given).status == 0
    assert bound(story) is None


def test_a_refusal_at_home_goes_to_its_link_layer_address_in_esp():
    given = association()
    story = give(master(), given)
    effects = story.receives(update(given, lifetime_s=0, at_home=True), 1.0)
    (frame,) = of(effects, SendFrame)
    assert opened(ipv6.decode(frame.packet), given).status == 133


# --- policy ------------------------------------------------------------------------------------------------


def test_who_has_an_association_is_not_heard_without_it():
    story = give(master(), association())
    signed = registering.update(seconds=1.0)
    for octets in (update(None), signed):
        assert sent(story.receives(octets, 1.0)) == []
    assert bound(story) is None
    assert dropped(story) == {"unprotected": 2}


def test_nor_where_bindings_may_be_insecure():
    story = give(master(insecure_bindings=True), association(), mobile_node_keys=())
    story.receives(update(None), 1.0)
    assert bound(story) is None


def test_who_has_none_is_authenticated_as_ever():
    story = give(master(), association())
    story.receives(registering.update(home=PLAIN_HOME, seconds=1.0), 1.0)
    assert bound(story, PLAIN_HOME) == CARE_OF


def test_an_association_is_good_for_its_own_home_address_alone():
    """RFC 3776 section 4.2; the SPI means nothing together with another home address."""
    given, other = association(), association(home=OTHER_HOME, spi=SPI_IN + 1)
    story = give(master(), given, other)
    assert sent(story.receives(update(given, home=OTHER_HOME), 1.0)) == []
    assert bound(story, OTHER_HOME) is None
    assert dropped(story) == {"esp": 1}


def test_an_association_with_one_home_agent_is_none_with_another():
    given = association(home_agent=OWN_VHA)
    story = give(master(), given, mobile_node_keys=())
    story.receives(update(given), 1.0)
    assert bound(story) is None
    assert dropped(story) == {"esp": 1}


def test_a_wrong_icv_is_dropped_and_counted():
    given = association()
    story = give(master(), given)
    octets = update(given)
    assert sent(story.receives(octets[:-1] + bytes((octets[-1] ^ 1,)), 1.0)) == []
    assert dropped(story) == {"esp_icv": 1}


def test_what_is_in_it_has_to_be_mobility_signalling():
    given = association()
    story = give(master(), given)
    payload = esp.seal(given.inbound, 1, bytes(16), ipv6.IPV6, bytes(40))
    story.receives(ipv6.encode(ipv6.Packet(CARE_OF, VHA, 64, ipv6.ESP, payload, home_address=HOME)), 1.0)
    assert dropped(story) == {"esp_payload": 1}


def prefix_solicitation(given, home=HOME) -> bytes:
    clear = icmpv6.encode(icmpv6.PrefixSolicitation(7))
    packet = ipv6.with_checksum(ipv6.Packet(CARE_OF, VHA, 64, ipv6.ICMPV6, clear, home_address=home), 2)
    return bytes(scapys(given.inbound).encrypt(IPv6(ipv6.encode(packet)))) if given else ipv6.encode(packet)


def test_prefix_discovery_is_protected_unless_the_association_is_not_for_it():
    """RFC 3776 section 3.3."""
    given = association()
    ipsec = Ipsec(IpsecSettings((given,)), "ha1", 1, Counter())
    solicitation = ipsec.inbound(ipv6.decode(prefix_solicitation(given)))
    icmpv6.check_packet(solicitation)
    assert icmpv6.decode(solicitation.payload) == icmpv6.PrefixSolicitation(7)
    with pytest.raises(WireError, match="unprotected"):
        ipsec.inbound(ipv6.decode(prefix_solicitation(None)))
    clear = icmpv6.encode(icmpv6.PrefixAdvertisement(7, False, False))
    advertisement = ipv6.Packet(VHA, CARE_OF, 64, ipv6.ICMPV6, clear, routing_home_address=HOME)
    answer = SendPacket(ipv6.encode(ipv6.with_checksum(advertisement, 2)))
    sealed = ipv6.decode(ipsec.outbound(answer).packet)
    assert esp.open_(given.outbound, sealed.payload)[0] == ipv6.ICMPV6
    assert sealed.routing_home_address == HOME

    signalling_only = replace(given, prefix_discovery=False)
    ipsec = Ipsec(IpsecSettings((signalling_only,)), "ha1", 1, Counter())
    assert ipsec.inbound(ipv6.decode(prefix_solicitation(None))).protected is False
    with pytest.raises(WireError, match="esp_payload"):
        ipsec.inbound(ipv6.decode(prefix_solicitation(given)))
    assert ipsec.outbound(answer) is answer


def test_a_bound_mobile_node_is_told_its_prefix_in_esp():
    given = association()
    story = give(master(), given)
    story.receives(update(given), 1.0)
    effects = story.receives(prefix_solicitation(given), 2.5)
    (answer,) = [packet for packet in sent(effects) if packet.next_header == ipv6.ESP]
    assert (answer.destination, answer.routing_home_address) == (CARE_OF, HOME)
    next_header, payload = esp.open_(given.outbound, answer.payload)
    assert next_header == ipv6.ICMPV6
    assert isinstance(icmpv6.decode(payload), icmpv6.PrefixAdvertisement)
    icmpv6.check_packet(replace(answer, next_header=next_header, payload=payload))
    story.receives(prefix_solicitation(None), 4.0)
    assert dropped(story) == {"unprotected": 1}


def test_other_icmp_of_who_has_an_association_passes_by():
    ipsec = Ipsec(IpsecSettings((association(),)), "ha1", 1, Counter())
    solicitation = ipv6.Packet(HOME, VHA, 255, ipv6.ICMPV6, icmpv6.encode(icmpv6.NeighbourSolicitation(VHA)))
    assert ipsec.inbound(solicitation) is solicitation
    advertisement = icmpv6.encode(icmpv6.NeighbourAdvertisement(VHA, True, True, True))
    effect = SendPacket(ipv6.encode(ipv6.Packet(VHA, HOME, 255, ipv6.ICMPV6, advertisement)))
    assert ipsec.outbound(effect) is effect


# --- keys change -------------------------------------------------------------------------------------------


def test_while_keys_change_the_answer_is_under_those_that_the_mobile_node_used():
    old, new = association(), association(spi=SPI_IN + 16)
    story = give(master(), old, new)
    for number, given in enumerate((old, new, old), 1):
        (answer,) = sent(story.receives(update(given, sequence=number), 1.0))
        assert opened(answer, given).sequence == number


def test_a_key_that_was_taken_away_opens_nothing():
    old, new = association(), association(spi=SPI_IN + 16)
    story = give(master(), old, new)
    story.receives(update(old), 1.0)
    give(story, new, seconds=1.1)
    story.receives(update(old, sequence=2, care_of=ELSEWHERE), 1.2)
    assert bound(story) == CARE_OF
    (answer,) = sent(story.receives(update(new, sequence=3), 1.3))
    assert opened(answer, new).status == 0


def test_an_agent_that_is_given_its_first_association_while_it_runs():
    story = master()
    given = association()
    story.receives(update(given), 1.0)
    assert bound(story) is None
    give(story, given, seconds=1.1)
    story.receives(update(given), 1.2)
    assert bound(story) == CARE_OF


def test_what_the_home_agent_sends_unasked_is_tried_under_the_newest_keys_then_under_older_ones():
    old, new = association(home_agent=OWN_VHA), association(spi=SPI_IN + 2, home_agent=OWN_VHA)
    story = give(acting_master(), old, new, mobile_node_keys=())
    effects = story.receives(update(association(home_agent=VHA), sequence=2), 1.0)
    effects += story.runs_until(40.0)
    first, second, third, fourth = [packet for packet in sent(effects) if packet.source == OWN_VHA]
    for switch, used in ((first, new), (second, old), (third, new), (fourth, old)):
        assert opened(switch, used).home_agents == (OWN_VHA,)


def test_which_keys_a_mobile_node_uses_is_known_over_a_reload():
    old, new, other = association(), association(spi=SPI_IN + 16), association(home=OTHER_HOME, spi=SPI_IN + 32)
    story = give(master(), old, new)
    story.receives(update(old), 1.0)
    give(story, old, new, other, seconds=1.1)
    refused = SendPacket(ipv6.encode(ipv6.Packet(VHA, CARE_OF, 64, 135, bytes(16), routing_home_address=HOME)))
    for _unused in range(3):
        sealed = ipv6.decode(story.node._ipsec.outbound(refused).packet)
        assert esp.spi_of(sealed.payload) == old.outbound.spi


# --- failover ----------------------------------------------------------------------------------------------


def test_an_acting_master_with_the_association_needs_no_recovery():
    given = association()
    story = give(acting_master(), given)
    (answer,) = sent(story.receives(update(given, sequence=2, care_of=ELSEWHERE), 1.0))
    assert opened(answer, given).status == 0
    assert bound(story) == ELSEWHERE
    assert known(story, 1.0) == []


def test_an_acting_master_without_it_recovers_the_mobile_node():
    story = acting_master(keys=False, hook=HOOK)
    effects = story.receives(update(association(), sequence=2, care_of=ELSEWHERE), 1.0)
    assert deleted(effects) == [HOME]
    assert len(hooks(effects)) == 1
    assert dropped(story) == {"esp": 1}


def test_the_switch_goes_in_esp_under_the_association_with_the_new_home_agent():
    """The owner's own association is lost; with the home agent that takes the mobile node there is another."""
    lost, own = association(home_agent=VHA), association(spi=SPI_IN + 2, home_agent=OWN_VHA)
    story = give(acting_master(), own, mobile_node_keys=())
    effects = story.receives(update(lost, sequence=2, care_of=ELSEWHERE), 1.0)
    assert deleted(effects) == [HOME]
    (switch,) = sent(effects)
    assert (switch.source, switch.destination, switch.routing_home_address) == (OWN_VHA, ELSEWHERE, HOME)
    assert opened(switch, own).home_agents == (OWN_VHA,)
    story.receives(update(own, care_of=ELSEWHERE, destination=OWN_VHA), 1.2)
    assert story.node.bindings(52).get(HOME).care_of_address == ELSEWHERE
    assert known(story, 1.3)[0][1] == "done"


def test_a_wrong_icv_triggers_no_recovery():
    given = association()
    story = give(acting_master(), given)
    octets = update(given, sequence=2)
    effects = story.receives(octets[:-1] + bytes((octets[-1] ^ 1,)), 1.0)
    assert deleted(effects) == []
    assert known(story, 1.0) == []


def test_unprotected_signalling_of_who_has_an_association_triggers_no_recovery():
    story = give(acting_master(), association())
    effects = story.receives(registering.update(spi=999, sequence=2, seconds=1.0), 1.0)
    assert deleted(effects) == []
    assert known(story, 1.0) == []


# --- what cannot be replayed, and what can -----------------------------------------------------------------


def test_a_replayed_binding_update_is_refused_by_its_sequence_number():
    given = association()
    story = give(master(), given)
    first, second = update(given), update(given, sequence=2, care_of=ELSEWHERE)
    story.receives(first, 1.0)
    story.receives(second, 1.1)
    story.receives(first, 1.2)
    assert bound(story) == ELSEWHERE


def test_a_timestamp_within_esp_keeps_what_was_recorded_from_binding_again():
    given = association()
    story = give(master(), given)
    recorded = update(given, timestamp_s=1.0)
    story.receives(recorded, 1.0)
    assert bound(story) == CARE_OF
    story.receives(update(given, sequence=2, lifetime_s=0, timestamp_s=1.1), 1.1)
    for later in (1.5, 60.0):
        (answer,) = sent(story.receives(recorded, later))
        assert opened(answer, given).status in (135, 144)
        assert bound(story) is None
    (answer,) = sent(story.receives(update(given, timestamp_s=90.0), 61.0))
    assert opened(answer, given).status == 144
    assert mobility.first(opened(answer, given).options, mobility.ReplayProtection)


# --- what it costs others ----------------------------------------------------------------------------------


def test_without_associations_nothing_is_looked_at():
    ipsec = Ipsec(IpsecSettings(), "ha1", 1, Counter())
    effect = SendPacket(b"not even a packet")
    assert ipsec.outbound(effect) is effect


def test_other_packets_and_effects_pass_unchanged():
    story = give(master(), association())
    effects = story.receives(registering.update(home=PLAIN_HOME, seconds=1.0), 1.0)
    assert [packet.next_header for packet in sent(effects)] == [ipv6.MOBILITY]
    assert of(effects, InstallBindings)


def test_settings_with_the_same_associations_are_equal():
    one, two = IpsecSettings((association(),), 3), IpsecSettings((association(),), 3)
    assert one == two
    assert one != replace(one, sender=4)
    assert one != IpsecSettings((association(spi=SPI_IN + 1),), 3)
    assert NodeSettings("ha1", ipsec=one) == NodeSettings("ha1", ipsec=two)


def test_keys_are_not_shown():
    given = association()
    assert repr(given.inbound.encryption) not in repr(IpsecSettings((given,)))
