# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dynamic Home Agent Address Discovery of a node: RFC 6275 sections 10.1 and 10.5.

Keeps a Home Agents List of each link and answers requests: to the address of a virtual HA that this member is Master
of, or to the Mobile IPv6 Home-Agents anycast address of its prefix. Each Master that the request reaches may answer:
that is what an anycast address is for.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..wire import icmpv6, ipv6
from ..wire.errors import WireError
from .advertisement_check import AdvertisementCheck
from .binding_request import is_unicast_routable
from .effects import SendFrame, SendPacket
from .home_agents import ANYCAST_LAST_OCTET, HomeAgent, HomeAgentsList, anycast_address, is_on, recommended
from .roster import Roster
from .router_advertiser import Randomness
from .settings import VirtualHaSettings
from .token_bucket import Pace, TokenBucket, TokenBuckets
from .types import ALL_ROUTERS, SECOND, Address, Instant, text
from .virtual_ha import VirtualHa

HOP_LIMIT = 64
MINIMUM_MTU = 1280
MOST_LISTED = (MINIMUM_MTU - ipv6.HEADER_LENGTH - 8) // 16  # home agents in a reply that is never fragmented
# RFC 4861 section 10.
MAX_SOLICITATION_DELAY_US = 1 * SECOND
MAX_SOLICITATIONS = 3
SOLICITATION_INTERVAL_US = 4 * SECOND
_ALL_ROUTERS_MAC = bytes.fromhex("333300000002")
_MOST_SOURCES = 1000
_HEARD = Pace(100_000_000, 1000)  # advertisements of a link: 255 virtual routers may speak at the same time
_LINK_LOCAL = b"\xfe\x80"


class _Limits:
    """How many answers a virtual HA gives."""

    def __init__(self, settings: VirtualHaSettings, now: Instant) -> None:
        self.discovery = settings.discovery
        self._everybody = TokenBucket(settings.discovery.pace, now)
        self._each = TokenBuckets(settings.discovery.per_source, _MOST_SOURCES)

    def take(self, source: Address, now: Instant) -> bool:
        return self._each.take(source[:8], now) and self._everybody.take(now)


class Discovery:
    """The lists of all links, and the answers."""

    def __init__(self, roster: Roster, rng: Randomness) -> None:
        self._roster = roster
        self._rng = rng
        self._lists: dict[str, HomeAgentsList] = {}
        self._limits: dict[int, _Limits] = {}
        self._hearing: dict[str, TokenBucket] = {}
        self._check = AdvertisementCheck()
        self._soliciting: dict[str, tuple[Instant, int]] = {}  # when next, and how often still

    # --- asking who is there -------------------------------------------------------------------------------

    def link_up(self, interface: str, now: Instant) -> None:
        """Advertisements may be minutes apart; who has just come asks for them, as a host would."""
        delay = self._rng.randint(0, MAX_SOLICITATION_DELAY_US)
        self._soliciting[interface] = Instant(now + delay), MAX_SOLICITATIONS

    def deadline(self) -> Instant | None:
        """When the next solicitation is due."""
        return min((due for due, _unused in self._soliciting.values()), default=None)

    def timer(self, now: Instant) -> Iterator[object]:
        """RFC 4861 section 6.3.7. Without a link-layer address: nobody is to take this member for a host."""
        for interface, (due, left) in list(self._soliciting.items()):
            if due > now:
                continue
            del self._soliciting[interface]
            link = self._roster.links.get(interface)
            asking = next((v for v in self._roster.on(interface) if v.settings.mipv6_ha_mode), None)
            if link is None or asking is None:
                continue
            if left > 1:
                self._soliciting[interface] = Instant(now + SOLICITATION_INTERVAL_US), left - 1
            payload = icmpv6.encode(icmpv6.RouterSolicitation())
            packet = ipv6.Packet(link.link_local, ALL_ROUTERS, icmpv6.ND_HOP_LIMIT, icmpv6.NEXT_HEADER, payload)
            octets = ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))
            yield SendFrame(asking.settings.vrid, _ALL_ROUTERS_MAC, octets, virtual_mac=False)

    def reconfigure(self, interfaces: set[str]) -> None:
        """The home links are these from now on."""
        self._lists = {interface: known for interface, known in self._lists.items() if interface in interfaces}
        self._limits = {vrid: limits for vrid, limits in self._limits.items() if self._roster.find(vrid)}
        self._check.forget()

    # --- the lists -----------------------------------------------------------------------------------------

    def advertised(
        self, interface: str, source: Address, message: icmpv6.RouterAdvertisement, now: Instant
    ) -> Iterator[object]:
        """A Router Advertisement of somebody else; RFC 4861 section 6.1.2 wants a link-local source."""
        here = self._roster.on(interface)
        if source[:2] != _LINK_LOCAL or not here:
            raise WireError("router_advertisement", f"from {text(source)} on {interface}")
        if interface not in self._hearing:
            self._hearing[interface] = TokenBucket(_HEARD, now)
        if not self._hearing[interface].take(now):
            raise WireError("router_advertisement_limited", interface)
        yield from self._check.heard(source, message, [virtual_ha.settings for virtual_ha in here])
        if not any(virtual_ha.settings.mipv6_ha_mode for virtual_ha in here):
            return
        if not self._lists.setdefault(interface, HomeAgentsList()).heard(source, message, now):
            raise WireError("home_agents_list_full", interface)

    def home_agents(self, interface: str, now: Instant) -> list[HomeAgent]:
        """All home agents of a link, those first that this member serves."""
        served = [
            HomeAgent(v.settings.link_local, v.advertising.service.preference, None, (v.settings.vha_address,))
            for v in self._roster.on(interface)
            if _serves(v)
        ]
        known = {home_agent.link_local for home_agent in served}
        heard = self._lists[interface].entries(now) if interface in self._lists else []
        return served + [home_agent for home_agent in heard if home_agent.link_local not in known]

    def describe(self, now: Instant) -> list[dict[str, object]]:
        """The lists as plain data, the best home agents first."""
        interfaces = dict.fromkeys(v.settings.interface for v in self._roster if v.settings.mipv6_ha_mode)
        return [
            {
                "interface": interface,
                "home_agents": [
                    _describe(home_agent, now)
                    for home_agent in sorted(self.home_agents(interface, now), key=lambda agent: -agent.preference)
                ],
            }
            for interface in interfaces
        ]

    # --- requests ------------------------------------------------------------------------------------------

    def at_anycast(self, address: Address) -> VirtualHa | None:
        """The first virtual HA that this member serves whose prefix has this Home-Agents anycast address."""
        if address[15] != ANYCAST_LAST_OCTET:  # true of almost every address, and there may be many virtual HAs
            return None
        for virtual_ha in self._roster:
            settings = virtual_ha.settings
            if _serves(virtual_ha) and anycast_address(settings.prefix, settings.prefix_length) == address:
                return virtual_ha
        return None

    def requested(self, packet: ipv6.Packet, request: icmpv6.DiscoveryRequest, now: Instant) -> Iterator[object]:
        """Section 10.5.1. The answer goes to the source, whose it is cannot be told (section 6.5)."""
        virtual_ha = self._roster.find_address(packet.destination) or self.at_anycast(packet.destination)
        if virtual_ha is None or not _serves(virtual_ha):
            return
        count = virtual_ha.counters
        settings = virtual_ha.settings
        count["discovery_requests"] += 1
        if not settings.discovery.dhaad:
            count["dropped.discovery_off"] += 1
        elif not is_unicast_routable(packet.source):
            count["dropped.discovery_source"] += 1
        elif not self._limits_of(settings, now).take(packet.source, now):
            count["dropped.discovery_limited"] += 1
        else:
            count["discovery_replies"] += 1
            yield self._reply(settings, packet.source, request.identifier, now)

    def _limits_of(self, settings: VirtualHaSettings, now: Instant) -> _Limits:
        limits = self._limits.get(settings.vrid)
        if limits is None or limits.discovery != settings.discovery:
            limits = self._limits[settings.vrid] = _Limits(settings, now)
        return limits

    def _reply(self, settings: VirtualHaSettings, destination: Address, identifier: int, now: Instant) -> SendPacket:
        """From the VHA address, whatever the request went to, and so small that it is never fragmented."""
        useful = [
            home_agent
            for home_agent in self.home_agents(settings.interface, now)
            if any(is_on(address, settings.prefix, settings.prefix_length) for address in home_agent.addresses)
        ]
        message = icmpv6.DiscoveryReply(identifier, recommended(useful, MOST_LISTED, self._rng))
        packet = ipv6.Packet(settings.vha_address, destination, HOP_LIMIT, icmpv6.NEXT_HEADER, icmpv6.encode(message))
        return SendPacket(ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET)))


def _serves(virtual_ha: VirtualHa) -> bool:
    return virtual_ha.serving and not virtual_ha.leaving and virtual_ha.settings.mipv6_ha_mode


def _describe(home_agent: HomeAgent, now: Instant) -> dict[str, object]:
    return {
        "link_local": text(home_agent.link_local),
        "addresses": [text(address) for address in home_agent.addresses],
        "preference": home_agent.preference,
        "lifetime_s": None if home_agent.expires is None else (home_agent.expires - now) / SECOND,
        "served_here": home_agent.expires is None,
    }
