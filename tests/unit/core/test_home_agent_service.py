# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual HA says of itself, and when it says nothing because its Backups are not up to date."""

from __future__ import annotations

from tests.unit.core.electing import at, virtual_ha
from vrrp_ha.core.balance_settings import BalanceSettings
from vrrp_ha.core.discovery_settings import DiscoverySettings
from vrrp_ha.core.events import TimerFired
from vrrp_ha.core.home_agent_service import BackupAsked, CacheChanged, HomeAgentService
from vrrp_ha.core.router_advertiser import ServiceChanged
from vrrp_ha.core.settings import RouterAdvertisementSettings
from vrrp_ha.core.types import SECOND, packed
from vrrp_ha.wire.icmpv6 import HomeAgentInformation

BACKUP, OTHER = packed("fe80::9"), packed("fe80::a")


def service(cache=(), **changes) -> HomeAgentService:
    return HomeAgentService(virtual_ha(**changes), cache)


def asked(service, *seconds, source=BACKUP) -> list:
    return [effect for second in seconds for effect in service.handle(BackupAsked(source), at(second))]


def test_it_names_its_preference_and_lifetime():
    assert service().information() == HomeAgentInformation(64, 1800 * SECOND)
    fixed = service(discovery=DiscoverySettings(preference=7))
    assert fixed.information() == HomeAgentInformation(7, 1800 * SECOND)


def test_what_goes_without_saying_is_not_said():
    """RFC 6275 section 7.4: both values are the defaults."""
    router = RouterAdvertisementSettings(router_lifetime_us=1800 * SECOND)
    least = DiscoverySettings(preference=0)
    assert service(discovery=least, router_advertisements=router).information() is None
    assert service(discovery=least).information() == HomeAgentInformation(0, 1800 * SECOND)


def test_nothing_is_said_when_it_is_turned_off_or_no_home_agent():
    assert service(discovery=DiscoverySettings(home_agent_information=False)).information() is None
    assert service(mipv6_ha_mode=False).information() is None


def test_a_rising_load_is_news_only_when_the_preference_falls():
    cache = []
    loaded = service(cache, discovery=DiscoverySettings(full_at=640))
    cache.append(1)
    assert loaded.handle(CacheChanged([]), at(1)) == []
    cache.extend(range(319))
    assert loaded.handle(CacheChanged([]), at(2)) == [ServiceChanged()]
    assert loaded.handle(CacheChanged([]), at(3)) == []
    assert loaded.preference == 33


def test_where_there_is_a_high_water_mark_it_is_what_counts_as_full():
    marks = BalanceSettings(high_water=10, low_water=5)
    assert service(range(10), balance=marks).preference == 1
    assert service(range(5), balance=marks).preference == 33


def test_a_backup_that_gets_what_it_asks_for_changes_nothing():
    served = service()
    assert asked(served, 0, 1, 2) == []
    assert served.backups_agree
    assert served.handle(TimerFired(), served.deadline()) == []
    assert served.deadline() is None


def test_a_backup_that_goes_on_asking_ends_the_advertising_until_it_is_content():
    served = service()
    assert asked(served, 0, 1, 2, 12) == [ServiceChanged()]
    assert (served.information(), served.preference, served.backups_agree) == (None, 0, False)
    assert asked(served, 22, 32) == []
    assert served.deadline() == at(47)
    assert served.handle(TimerFired(), at(47)) == [ServiceChanged()]
    assert served.preference == 64


def test_backups_that_ask_one_after_the_other_are_not_one_that_lags():
    served = service()
    for number in range(20):
        source = packed(f"fe80::{number + 1:x}")
        assert asked(served, number * 3, number * 3 + 1, source=source) == []
    assert served.backups_agree


def test_one_content_backup_does_not_speak_for_another():
    served = service()
    asked(served, 0, 2, 12, source=BACKUP)
    asked(served, 13, source=OTHER)
    assert not served.backups_agree
    served.handle(TimerFired(), at(27))
    assert served.backups_agree
    assert served.deadline() == at(28)
