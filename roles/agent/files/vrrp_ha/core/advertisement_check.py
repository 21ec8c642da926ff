# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do other routers of the link say the same? RFC 4861 section 6.2.7, and RFC 9568 section 8.2.3 of other members.

Pure. Each difference is told once, since hosts that follow the last advertisement heard are not helped by more.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..wire.icmpv6 import Mtu, PrefixInformation, RouterAdvertisement, first
from .effects import Report
from .router_advertiser import advertisement
from .settings import VirtualHaSettings
from .types import MILLISECOND, SECOND, Address, text

_MOST_REMEMBERED = 1000

Difference = tuple[str, object, object]  # what, what we say, what the other says


class AdvertisementCheck:
    """Compares what is heard with what the virtual routers of the link say, and remembers what was told."""

    def __init__(self) -> None:
        self._told: set[tuple[Address, int, str]] = set()
        self._heard: dict[Address, RouterAdvertisement] = {}  # the last of each router

    def heard(
        self, source: Address, theirs: RouterAdvertisement, virtual_routers: list[VirtualHaSettings]
    ) -> Iterator[Report]:
        """Reports of differences that are new. A source that is a virtual router is compared with that one alone."""
        if self._heard.get(source) == theirs:
            return
        self._remember(source, theirs)
        same = [settings for settings in virtual_routers if settings.link_local == source]
        for settings in _different(same or virtual_routers):
            ours = advertisement(settings)
            for what, we, they in [*differences(ours, theirs), *(of_one_router(ours, theirs) if same else ())]:
                key = source, settings.vrid, what
                if key not in self._told and len(self._told) < _MOST_REMEMBERED:
                    self._told.add(key)
                    fields: dict[str, object] = {"router": text(source), "what": what, "ours": we, "theirs": they}
                    yield Report("warning", "router_advertisement_inconsistent", settings.vrid, fields)

    def _remember(self, source: Address, theirs: RouterAdvertisement) -> None:
        if len(self._heard) >= _MOST_REMEMBERED:
            del self._heard[next(iter(self._heard))]
        self._heard[source] = theirs

    def forget(self) -> None:
        """The configuration changed: what still differs is told again."""
        self._told.clear()
        self._heard.clear()


def _different(virtual_routers: list[VirtualHaSettings]) -> list[VirtualHaSettings]:
    """One of all that say the same to the link; there may be 255 of them."""
    found: dict[object, VirtualHaSettings] = {}
    for settings in virtual_routers:
        if settings.router_advertisements.enabled:
            found.setdefault((settings.prefix, settings.prefix_length, settings.router_advertisements), settings)
    return list(found.values())


def differences(ours: RouterAdvertisement, theirs: RouterAdvertisement) -> Iterator[Difference]:
    """The minimum set of RFC 4861 section 6.2.7. 0 is unspecified, and other prefixes are no error."""
    for name, unit in (("current_hop_limit", 1), ("reachable_time_us", MILLISECOND), ("retransmit_us", MILLISECOND)):
        we, they = getattr(ours, name), getattr(theirs, name)
        if we and they and we != they:
            yield name.replace("_us", "_ms"), we // unit, they // unit
    for name in ("managed", "other"):
        if getattr(ours, name) != getattr(theirs, name):
            yield name, getattr(ours, name), getattr(theirs, name)
    our_mtu, their_mtu = first(ours.options, Mtu), first(theirs.options, Mtu)
    if our_mtu and their_mtu and our_mtu != their_mtu:
        yield "mtu", our_mtu.mtu, their_mtu.mtu
    for we_say, they_say in _same_prefixes(ours, theirs):
        for name in ("valid_lifetime_us", "preferred_lifetime_us"):
            we, they = getattr(we_say, name), getattr(they_say, name)
            if we != they:
                yield name.replace("_us", "_s"), we // SECOND, they // SECOND


def of_one_router(ours: RouterAdvertisement, theirs: RouterAdvertisement) -> Iterator[Difference]:
    """What the members of a virtual router have to be configured alike for (RFC 9568 section 8.2.3).

    Not the Home Agent Information, which says how loaded the Master is and whether its Backups are up to date.
    """
    if ours.router_lifetime_us != theirs.router_lifetime_us:
        yield "router_lifetime_s", ours.router_lifetime_us // SECOND, theirs.router_lifetime_us // SECOND
    if ours.home_agent != theirs.home_agent:
        yield "home_agent", ours.home_agent, theirs.home_agent
    for we_say, they_say in _same_prefixes(ours, theirs):
        for name in ("on_link", "autonomous", "router_address"):
            if getattr(we_say, name) != getattr(they_say, name):
                yield name, getattr(we_say, name), getattr(they_say, name)


def _same_prefixes(
    ours: RouterAdvertisement, theirs: RouterAdvertisement
) -> Iterator[tuple[PrefixInformation, PrefixInformation]]:
    known = {_prefix(option): option for option in ours.options if isinstance(option, PrefixInformation)}
    for option in theirs.options:
        if isinstance(option, PrefixInformation) and (own := known.get(_prefix(option))):
            yield own, option


def _prefix(option: PrefixInformation) -> tuple[int, int]:
    host_bits = max(0, 128 - option.prefix_length)
    return int.from_bytes(option.prefix, "big") >> host_bits, option.prefix_length
