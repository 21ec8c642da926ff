# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator can set, as the cores see it: parsed, checked, in core units.

The configuration file's form and its errors are in shell/config.py; nothing here knows JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .balance_settings import NO_BALANCE, BalanceSettings
from .discovery_settings import DiscoverySettings
from .ipsec_settings import IpsecSettings
from .policy_settings import LimitSettings, PolicySettings
from .token_bucket import Pace
from .tunnel_settings import TunnelSettings
from .types import CENTISECOND, SECOND, Address


class HomeLink(Enum):
    """How packets for home addresses reach the virtual HA."""

    ON_LINK = "on_link"  # the home prefix is on the link: neighbours are answered for every home address
    ROUTED = "routed"  # the home prefix is routed to the VHA address: no proxying


@dataclass(frozen=True, slots=True)
class SyncKey:
    """A key that authenticates the BC_* messages of one or more virtual HAs."""

    name: str
    key_id: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MobileNodeKey:
    """A mobility security association (RFC 4285): for one home address or for a prefix of them."""

    spi: int
    key: bytes = field(repr=False)
    prefix: Address
    prefix_length: int  # 128: one mobile node
    identity: str = ""  # who has it, a network access identifier


@dataclass(frozen=True, slots=True)
class Member:
    """One HA of a virtual HA, as the plan has it."""

    name: str
    priority: int
    address: Address | None = None  # link-local on the home link; None: not pinned


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """Binding-cache synchronisation, the same for every virtual HA of an agent."""

    request_type: int = 2
    update_type: int = 3
    digest_type: int = 4
    digest_interval_us: int = 2 * SECOND  # 0: the digest extension is off
    delta_sends: int = 2
    sync_timeout_us: int = 10 * SECOND
    owner_takes_over_unsynced: bool = False
    unsynced_priority_penalty: int = 100


@dataclass(frozen=True, slots=True)
class RouterAdvertisementSettings:
    """What a Master says as a router (RFC 4861 section 6.2.1); the same on every member (RFC 9568 section 8.2.3)."""

    enabled: bool = True
    router_lifetime_us: int = 0  # 0: not a default router
    maximum_interval_us: int = 600 * SECOND
    minimum_interval_us: int = 200 * SECOND
    minimum_delay_us: int = 3 * SECOND  # MinDelayBetweenRAs of RFC 6275 section 13
    interval_option: bool = True  # RFC 6275 section 7.3
    managed: bool = False
    other: bool = False
    autonomous: bool = False  # hosts may make addresses of the home prefix
    valid_lifetime_us: int = 2_592_000 * SECOND
    preferred_lifetime_us: int = 604_800 * SECOND
    unsolicited: bool = True  # False: hosts that want one ask (RFC 6275 section 7.5)


_RECOVERY_PACE = Pace(1_000_000, 10)
_PACE_OF_A_SOURCE = Pace(200_000, 5)


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """Full recovery (draft section 5.2.2) of mobile nodes that this member has no security association with."""

    enabled: bool = True
    pace: Pace = _RECOVERY_PACE  # recoveries begun, and so bindings deleted, of each virtual HA
    per_source: Pace = _PACE_OF_A_SOURCE  # triggers believed from one /64
    queue: int = 1000  # recoveries waiting for their turn, of each virtual HA
    on_expiry: bool = False
    hook: str = ""  # a program for mobile nodes that no key is held of


_DEFAULT_POLICY = PolicySettings()
_DISCOVERY = DiscoverySettings()


@dataclass(frozen=True, slots=True)
class VirtualHaSettings:
    """One virtual router of one link (RFC 9568 section 6.1 and draft section 4.1)."""

    vrid: int
    interface: str
    priority: int
    link_local: Address  # the virtual router's first address
    addresses: tuple[Address, ...]  # the VHA address first
    prefix: Address
    prefix_length: int
    name: str = ""
    interval_us: int = 100 * CENTISECOND
    maximum_interval_factor: int = 10  # a learned interval is clamped to this many times interval_us
    preempt: bool = True
    preempt_delay_us: int = 0
    accept_mode: bool = False
    mipv6_ha_mode: bool = True
    home_link: HomeLink = HomeLink.ON_LINK
    duplicate_address_detection: bool = True  # of home addresses, before they are bound; on_link only
    router_advertisements: RouterAdvertisementSettings = RouterAdvertisementSettings()
    discovery: DiscoverySettings = _DISCOVERY
    members: tuple[Member, ...] = ()
    sync_key: SyncKey | None = None  # what is sent is authenticated with it; None only with insecure_sync
    accepted_sync_keys: tuple[SyncKey, ...] = ()  # what others may use besides, while keys are changed
    insecure_bindings: bool = False
    maximum_lifetime_us: int = 262_140 * SECOND
    balance: BalanceSettings = NO_BALANCE
    policy: PolicySettings = _DEFAULT_POLICY

    @property
    def is_owner(self) -> bool:
        """The VHA address is this HA's own (RFC 9568 section 1.7)."""
        return self.priority == 255

    @property
    def vha_address(self) -> Address:
        """The address that mobile nodes use as their home agent's."""
        return self.addresses[0]

    def is_on_home_link(self, address: Address) -> bool:
        """Whether the address is of the home prefix."""
        beyond = 128 - self.prefix_length
        return int.from_bytes(address, "big") >> beyond == int.from_bytes(self.prefix, "big") >> beyond

    def is_home(self, address: Address) -> bool:
        """It is of the home prefix."""
        host_bits = 128 - self.prefix_length
        return int.from_bytes(address, "big") >> host_bits == int.from_bytes(self.prefix, "big") >> host_bits

    @property
    def virtual_mac(self) -> bytes:
        """RFC 9568 section 7.3."""
        return bytes((0, 0, 0x5E, 0, 2, self.vrid))


_NO_IPSEC = IpsecSettings()
_DEFAULT_LIMITS = LimitSettings()


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Everything one agent runs. A virtual HA is identified by its VRID, unique within an agent."""

    host: str
    virtual_has: tuple[VirtualHaSettings, ...] = ()
    mobile_node_keys: tuple[MobileNodeKey, ...] = ()
    sync: SyncSettings = SyncSettings()
    drained_priority: int = 1
    recovery: RecoverySettings = RecoverySettings()
    balance: BalanceSettings = NO_BALANCE  # of a virtual HA that has no other
    limits: LimitSettings = _DEFAULT_LIMITS
    ipsec: IpsecSettings = _NO_IPSEC
    tunnel: TunnelSettings = field(default_factory=TunnelSettings)
    replay_window_us: int = 7 * SECOND  # RFC 4285 section 6: allowed clock skew of the timestamp option
