# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""core/update_limits.py: forged Binding Updates cost little and lock nobody out. Seen from a home agent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab.mn import binding
from tests.unit.core.registering import (
    CARE_OF,
    ELSEWHERE,
    HOME,
    KEY,
    OTHER_HOME,
    SPI,
    VHA,
    WALL,
    HomeAgent,
    at,
    reports,
    update,
)
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.policy_settings import LimitSettings
from vrrp_ha.core.settings import MobileNodeKey, NodeSettings
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.types import Binding, packed
from vrrp_ha.wire import ipv6, mobility

LIMITS = LimitSettings(updates=Pace(20_000_000, 40), per_source=Pace(1_000_000, 5), per_mobile_node=Pace(3_000_000, 10))
OWN_KEYS = tuple(MobileNodeKey(SPI, KEY, home, 128) for home in (HOME, OTHER_HOME))


def limited(keys: tuple[MobileNodeKey, ...] | None = None) -> HomeAgent:
    home_agent = HomeAgent(keys) if keys else HomeAgent()
    node = NodeSettings("ha1", (), keys or home_agent.commons._given_keys, limits=LIMITS)
    home_agent.commons.reconfigure(node)
    return home_agent


def forged(source: bytes = CARE_OF, home: bytes = OTHER_HOME) -> bytes:
    """What looks right until the authenticator is. Not by Scapy, which would take its time."""
    when = mobility.ReplayProtection(binding.ntp(WALL * 1000))
    message = mobility.BindingUpdate(1, 0xC000, 600_000_000, (when,))
    payload = mobility.encode_authenticated(message, SPI, b"not the key!", source, home)
    packet = ipv6.Packet(source, VHA, 64, ipv6.MOBILITY, payload, home_address=home)
    return ipv6.encode(ipv6.with_checksum(packet, mobility.CHECKSUM_OFFSET))


def somewhere(number: int) -> bytes:
    """An address of the spoofer's choice, each in a /64 of its own."""
    return packed("2001:db8::")[:4] + (0xF000_0000 + number).to_bytes(4, "big") + bytes(7) + b"\1"


def flood(home_agent: HomeAgent, seconds: float, source: bytes | None = CARE_OF, home: bytes = OTHER_HOME) -> int:
    """A hundred forged updates at one time; how many were looked at. source None: each from another place."""
    looked_at = 0
    for number in range(100):
        effects = home_agent.receive(forged(source or somewhere(number), home), seconds)
        looked_at += reports(effects) == [("debug", "refused.authentication_failed")]
    return looked_at


def result(home_agent: HomeAgent, octets: bytes, seconds: float) -> str:
    """What was counted for it."""
    (*_unused, last) = home_agent.receive(octets, seconds)
    return last.kind


# --- what is limited ---------------------------------------------------------------------------------------


def test_one_source_is_looked_at_as_often_as_it_may_and_no_answer_is_sent_to_the_rest():
    home_agent = limited()
    assert flood(home_agent, 0) == 5
    effects = home_agent.receive(forged(), 0)
    assert reports(effects) == [("debug", "dropped.limited_source")]
    assert len(effects) == 1
    assert flood(home_agent, 2) == 2


def test_the_addresses_of_a_64_are_one_source():
    home_agent = limited()
    looked_at = [result(home_agent, forged(CARE_OF[:8] + bytes(7) + bytes([n])), 0) for n in range(1, 9)]
    assert looked_at.count("refused.authentication_failed") == 5


def test_all_sources_together_have_a_limit_too():
    home_agent = limited()
    assert flood(home_agent, 0, source=None) == 40
    assert result(home_agent, forged(somewhere(1000)), 0) == "dropped.limited_all"


def test_an_authentic_mobile_node_that_never_stops_is_slowed_down():
    home_agent = limited()
    kinds = [result(home_agent, update(sequence=n, seconds=n / 100), n / 100) for n in range(1, 101)]
    assert 10 <= kinds.count("dropped.limited_mobile_node") <= 90
    assert kinds[:10] == ["binding_registered", *["binding_refreshed"] * 9]
    assert result(home_agent, update(sequence=200, seconds=10), 10) == "binding_refreshed"


# --- who is not --------------------------------------------------------------------------------------------


def test_however_many_honest_ones_are_behind_one_source_none_is_limited():
    home_agent = limited()
    for number in range(500):
        home = HOME[:12] + (0x10000 + number).to_bytes(4, "big")
        assert home_agent.answer(update(home=home)).status == 0


def test_a_replayed_update_is_not_an_honest_one():
    home_agent = limited()
    octets = update()
    kinds = [result(home_agent, octets, 0.5) for _unused in range(12)]
    assert kinds.count("refused.replay_mismatch") == 5 + 3  # of the source, and of the reserve
    assert kinds[-1] == "dropped.limited_source"


@pytest.mark.parametrize("source", [CARE_OF, None])
def test_who_is_bound_can_refresh_whatever_is_sent_in_the_name_of_its_source(source):
    home_agent = limited()
    assert home_agent.answer(update()).status == 0
    for second in range(1, 31):
        flood(home_agent, second, source)
        flood(home_agent, second, CARE_OF)
        assert home_agent.answer(update(sequence=1 + second, seconds=second), second).status == 0


def test_also_when_it_is_named_in_it_as_long_as_it_is_not_known_where_it_is():
    home_agent = limited()
    assert home_agent.answer(update()).status == 0
    for second in range(1, 31):
        flood(home_agent, second, None, HOME)
        flood(home_agent, second, CARE_OF)
        assert home_agent.answer(update(sequence=1 + second, seconds=second), second).status == 0


@pytest.mark.parametrize("source", [ELSEWHERE, None])
def test_who_is_bound_can_move_to_a_source_that_somebody_uses(source):
    home_agent = limited()
    assert home_agent.answer(update()).status == 0
    for second in range(1, 11):
        flood(home_agent, second, source)
    assert home_agent.answer(update(care_of=ELSEWHERE, sequence=2, seconds=10), 10).status == 0


@pytest.mark.parametrize("source", [CARE_OF, None])
def test_who_has_a_key_of_its_own_can_register_for_the_first_time(source):
    home_agent = limited(OWN_KEYS)
    flood(home_agent, 0, source)
    assert home_agent.answer(update()).status == 0


def test_who_is_bound_with_one_virtual_ha_can_go_to_another():
    home_agent, other = limited(), BindingCache()
    other.put(Binding(HOME, CARE_OF, 1, 0xC000, at(600)))
    home_agent.commons.caches = lambda: (home_agent.cache, other)
    flood(home_agent, 0, None)
    assert home_agent.answer(update(sequence=2)).status == 0


def test_a_home_address_that_nobody_knows_opens_no_reserve():
    """Else whoever invents home addresses of a prefix that has one key would be looked at without end."""
    home_agent = limited()
    flood(home_agent, 0, None)
    invented = [HOME[:12] + (0x20000 + n).to_bytes(4, "big") for n in range(50)]
    kinds = {result(home_agent, forged(somewhere(2000 + n), home), 0) for n, home in enumerate(invented)}
    assert kinds == {"dropped.limited_all"}


# --- and besides -------------------------------------------------------------------------------------------


def test_a_change_of_the_limits_counts_at_once():
    home_agent = limited()
    flood(home_agent, 0)
    node = NodeSettings("ha1", (), home_agent.commons._given_keys, limits=replace(LIMITS, per_source=Pace(1, 90)))
    home_agent.commons.reconfigure(node)
    assert flood(home_agent, 0) == 40
