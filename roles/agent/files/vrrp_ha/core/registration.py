# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Home registrations: a Binding Update comes in, the binding cache changes or not, an answer goes out.

Owns the tests of RFC 6275 sections 9.5.1, 10.3.1 and 10.3.2 in the RFC's order, one method per section, and the
Binding Acknowledgement of 9.5.4. Authentication is RFC 4285's MN-HA option with timestamps; it stands where IPsec
would, before anything is answered, so that nobody without the key learns what is bound or changes it.
Knows nothing of who is Master (it is only asked when this member is) nor of how bindings reach the others.

Every home registration is answered, whatever its A bit says (sections 10.3.1 and 10.3.2). No Binding Refresh
Advice is given: bindings survive on stable storage (section 10.3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..wire import ipv6, mobility
from ..wire.errors import WireError
from ..wire.mobility import BindingStatus
from .authentication import KeyRing, ReplayGuard, corrected_timestamp
from .binding_cache import BindingCache
from .effects import InstallBindings, RemoveBindings, Report, SendFrame, SendPacket
from .settings import HomeLink, MobileNodeKey, VirtualHaSettings
from .types import (
    FLAG_ACKNOWLEDGE,
    FLAG_HOME_REGISTRATION,
    FLAG_LINK_LOCAL,
    SECOND,
    Address,
    Binding,
    Instant,
    text,
)

NONCE_INDICES_OPTION = 4  # RFC 6275 section 6.2.6
HOP_LIMIT = 64

_LIFETIME_UNIT_US = 4 * SECOND
# K is cleared: what it promises (section 10.3.1, IKE moves with the mobile node) is not done here.
_KEPT_FLAGS = FLAG_ACKNOWLEDGE | FLAG_HOME_REGISTRATION | FLAG_LINK_LOCAL
_RESERVED_ANYCAST = 0xFDFF_FFFF_FFFF_FFFF  # RFC 2526: this one and the 127 before it


@dataclass(frozen=True, slots=True)
class MobilityReceived:
    """A Mobility Header message came to an address of the virtual HA. The MH checksum is not verified yet."""

    packet: ipv6.Packet
    wall_time_us: int  # microseconds since 1970
    source_mac: bytes | None = field(default=None)  # of the frame, if it came over the home link


Effect = InstallBindings | RemoveBindings | SendPacket | SendFrame | Report


class _DiscardedError(Exception):
    """The packet is dropped without an answer."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _RefusedError(Exception):
    """The Binding Update is answered with this status and changes nothing."""

    def __init__(self, status: BindingStatus, sequence: int | None = None, timestamp: int | None = None) -> None:
        self.status = status
        self.sequence = sequence  # None: the Binding Update's own
        self.timestamp = timestamp


@dataclass(frozen=True, slots=True)
class _Request:
    """A Binding Update with what its packet says about it."""

    packet: ipv6.Packet
    update: mobility.BindingUpdate
    home_address: Address
    care_of_address: Address
    wall_time_us: int
    source_mac: bytes | None
    authentication: mobility.Authentication | None
    timestamp: mobility.ReplayProtection | None


class Registration:
    """The home agent's part of home registration for one virtual HA."""

    def __init__(
        self,
        virtual_ha: VirtualHaSettings,
        keys: tuple[MobileNodeKey, ...],
        cache: BindingCache,
        replay_window_us: int,
    ) -> None:
        self._cache = cache
        self._replay = ReplayGuard(replay_window_us)
        self._given_keys: tuple[MobileNodeKey, ...] = ()
        self._keys = KeyRing()
        self.reconfigure(virtual_ha, keys, replay_window_us)

    def reconfigure(
        self, virtual_ha: VirtualHaSettings, keys: tuple[MobileNodeKey, ...], replay_window_us: int
    ) -> None:
        """Use these settings from now on; the timestamps that were accepted stay known."""
        self._virtual_ha = virtual_ha
        if keys != self._given_keys:  # comparing takes a fifth of the time
            self._given_keys = keys
            self._keys = KeyRing(keys)
        self._replay.window_us = replay_window_us
        self._host_bits = 128 - virtual_ha.prefix_length
        self._prefix = int.from_bytes(virtual_ha.prefix, "big") >> self._host_bits

    def handle(self, event: MobilityReceived, now: Instant) -> list[Effect]:
        """What to do about a Mobility Header message; the bindings of the effects are in the cache already."""
        try:
            request = self._validate(event)
        except _DiscardedError as discarded:
            return [Report("debug", f"dropped.{discarded.reason}")]
        except WireError as error:
            return [Report("debug", f"dropped.{error.reason}")]
        key: MobileNodeKey | None = None
        try:
            key = self._security_association(request)
            if key is not None:
                self._authenticate(request, key, now)
            self._check_sequence(request)
            self._check_registration_type(request)
            if request.update.lifetime_us == 0 or request.care_of_address == request.home_address:
                return self._deregister(request, key)
            return self._register(request, key, now)
        except _DiscardedError as discarded:
            fields: dict[str, object] = {"home_address": text(request.home_address)}
            return [Report("debug", f"dropped.{discarded.reason}", fields=fields)]
        except _RefusedError as refused:
            fields = {"home_address": text(request.home_address), "status": int(refused.status)}
            return [
                self._acknowledge(request, key, refused.status, 0, refused.sequence, refused.timestamp),
                Report("debug", f"refused.{refused.status.name.lower()}", fields=fields),
            ]

    # --- is it a Binding Update that may be looked at? -----------------------------------------------------

    def _validate(self, event: MobilityReceived) -> _Request:
        """RFC 6275 sections 9.2 and 9.5.1: what is silently discarded whoever sent it."""
        packet = event.packet
        if packet.routing_home_address is not None:
            raise _DiscardedError("routing_header")  # meant for somebody else; none of ours is at home here
        mobility.check_packet(packet)
        update = mobility.decode(packet.payload)
        if not isinstance(update, mobility.BindingUpdate):
            raise _DiscardedError("mobility_type")
        home_address = packet.logical_source
        if not is_unicast_routable(home_address):
            raise _DiscardedError("home_address")
        # Section 6.1.7. The source has to be one as well, being where the answer goes (9.5.4).
        care_of_address = mobility.care_of_address(packet, update)
        if not is_unicast_routable(care_of_address) or not is_unicast_routable(packet.source):
            raise _DiscardedError("care_of_address")
        if update.flags & FLAG_HOME_REGISTRATION:
            for option in update.options:
                if isinstance(option, mobility.UnknownOption) and option.kind == NONCE_INDICES_OPTION:
                    raise _DiscardedError("nonce_indices")
        return _Request(
            packet,
            update,
            home_address,
            care_of_address,
            event.wall_time_us,
            event.source_mac,
            _mn_ha_option(update),
            mobility.first(update.options, mobility.ReplayProtection),
        )

    # --- is it the mobile node? ----------------------------------------------------------------------------

    def _security_association(self, request: _Request) -> MobileNodeKey | None:
        """RFC 4285 sections 5 and 5.1.1: the key that the MN-HA option names; None if it may do without."""
        if request.authentication is None:
            if not self._virtual_ha.insecure_bindings or self._keys.keys_for(request.home_address):
                raise _DiscardedError("unauthenticated")
            return None
        key = self._keys.find(request.home_address, request.authentication.spi)
        if key is None:
            raise _DiscardedError("unknown_spi")
        return key

    def _authenticate(self, request: _Request, key: MobileNodeKey, now: Instant) -> None:
        """RFC 4285 sections 5.1.1 and 6."""
        option = request.authentication
        if option is None or not mobility.is_authentic(request.packet, request.update, option, key.key):
            raise _RefusedError(BindingStatus.AUTHENTICATION_FAILED)
        if request.timestamp is None:
            # Without one, what was recorded before a de-registration or a failover could bind again.
            raise _RefusedError(BindingStatus.REPLAY_PROTECTION_REQUIRED)
        timestamp = request.timestamp.timestamp
        if not self._replay.accept(request.home_address, timestamp, request.wall_time_us, now):
            corrected = corrected_timestamp(timestamp, request.wall_time_us)
            raise _RefusedError(BindingStatus.REPLAY_MISMATCH, timestamp=corrected)

    # --- RFC 6275 section 9.5.1, what is answered ----------------------------------------------------------

    def _check_sequence(self, request: _Request) -> None:
        """Greater than the last one modulo 2**16; any will do where nothing is bound.

        RFC 4285 section 7 would leave this out where timestamps are used. It stays: the sequence number is in the
        replicated binding, and so protects it also on a member that has not seen the last timestamp.
        """
        binding = self._cache.get(request.home_address)
        if binding is not None and not is_greater(request.update.sequence, binding.sequence):
            raise _RefusedError(BindingStatus.SEQUENCE_OUT_OF_WINDOW, sequence=binding.sequence)

    def _check_registration_type(self, request: _Request) -> None:
        """Every binding here is a home registration; return routability is not offered."""
        if request.update.flags & FLAG_HOME_REGISTRATION:
            return
        if self._cache.get(request.home_address) is not None:
            raise _RefusedError(BindingStatus.REGISTRATION_TYPE_CHANGE)
        raise _DiscardedError("not_home_registration")

    # --- sections 10.3.1 and 10.3.2 ------------------------------------------------------------------------

    def _register(self, request: _Request, key: MobileNodeKey | None, now: Instant) -> list[Effect]:
        """RFC 6275 section 10.3.1."""
        if not self._is_on_home_link(request.home_address):
            raise _RefusedError(BindingStatus.NOT_HOME_SUBNET)
        if self._is_home_agents(request.home_address):
            raise _RefusedError(BindingStatus.DUPLICATE_ADDRESS)
        if self._would_loop(request.care_of_address):
            raise _RefusedError(BindingStatus.INVALID_CARE_OF_ADDRESS)
        if request.packet.home_address is None:
            raise _DiscardedError("home_address_option")  # MUST be present; no status says so
        before = self._cache.get(request.home_address)
        update = request.update
        granted = min(update.lifetime_us, self._virtual_ha.maximum_lifetime_us)
        granted -= granted % _LIFETIME_UNIT_US
        binding = Binding(
            request.home_address,
            request.care_of_address,
            update.sequence,
            update.flags & _KEPT_FLAGS,
            Instant(now + granted),
        )
        self._cache.put(binding)
        return [
            InstallBindings(self._virtual_ha.vrid, [binding]),
            self._acknowledge(request, key, BindingStatus.ACCEPTED, granted),
            _registered(binding, before, granted),
        ]

    def _deregister(self, request: _Request, key: MobileNodeKey | None) -> list[Effect]:
        """RFC 6275 section 10.3.2; a care-of address that is the home address asks for it, too (RFC 3775)."""
        removed = self._cache.remove(request.home_address)
        if removed is None:
            raise _RefusedError(BindingStatus.NOT_HOME_AGENT)
        fields: dict[str, object] = {
            "home_address": text(removed.home_address),
            "care_of_address": text(removed.care_of_address),
            "sequence": request.update.sequence,
        }
        return [
            RemoveBindings(self._virtual_ha.vrid, [removed]),
            self._acknowledge(request, key, BindingStatus.ACCEPTED, 0),
            Report("info", "binding_deregistered", fields=fields),
        ]

    def _is_on_home_link(self, address: Address) -> bool:
        return int.from_bytes(address, "big") >> self._host_bits == self._prefix

    def _is_home_agents(self, address: Address) -> bool:
        """What Duplicate Address Detection would find: the home agent's own addresses, anycast ones included."""
        if address in self._virtual_ha.addresses:
            return True
        host = int.from_bytes(address, "big") & ((1 << self._host_bits) - 1)
        return host == 0 or (self._host_bits == 64 and host | 0x7F == _RESERVED_ANYCAST)

    def _would_loop(self, care_of_address: Address) -> bool:
        """RFC 6275 leaves it open; a tunnel must not end in a home address that is itself tunnelled from here."""
        virtual_ha = self._virtual_ha
        if care_of_address in virtual_ha.addresses or self._cache.get(care_of_address) is not None:
            return True
        return virtual_ha.home_link is HomeLink.ROUTED and self._is_on_home_link(care_of_address)

    # --- section 9.5.4 -------------------------------------------------------------------------------------

    def _acknowledge(
        self,
        request: _Request,
        key: MobileNodeKey | None,
        status: BindingStatus,
        lifetime_us: int,
        sequence: int | None = None,
        timestamp: int | None = None,
    ) -> SendPacket | SendFrame:
        """To where the Binding Update came from, by the home address unless that is where it came from."""
        options: list[mobility.Option] = []
        identifier = mobility.first(request.update.options, mobility.MobileNodeIdentifier)
        if identifier is not None:
            options.append(identifier)
        if request.timestamp is not None:
            options.append(request.timestamp if timestamp is None else mobility.ReplayProtection(timestamp))
        answer = mobility.BindingAck(
            status, request.update.sequence if sequence is None else sequence, lifetime_us, False, tuple(options)
        )
        if key is None:
            payload = mobility.encode(answer)
        else:
            payload = mobility.encode_authenticated(
                answer, key.spi, key.key, request.care_of_address, request.home_address
            )
        came_from = request.packet
        packet = ipv6.Packet(
            source=came_from.destination,
            destination=came_from.source,
            hop_limit=HOP_LIMIT,
            next_header=mobility.NEXT_HEADER,
            payload=payload,
            routing_home_address=came_from.home_address,
        )
        octets = ipv6.encode(ipv6.with_checksum(packet, mobility.CHECKSUM_OFFSET))
        if status >= 128 and came_from.home_address is None and request.source_mac is not None:
            # Section 10.3.2: what is refused may be bound still, and our own route would take this to the tunnel.
            return SendFrame(self._virtual_ha.vrid, request.source_mac, octets)
        return SendPacket(octets)


def is_greater(sequence: int, last: int) -> bool:
    """RFC 6275 section 9.5.1: the last one and the 32768 before it are not."""
    return 0 < (sequence - last) & 0xFFFF < 0x8000


def is_unicast_routable(address: Address) -> bool:
    """Neither multicast nor link-local, nor unspecified, loopback or an IPv4 address in disguise."""
    if address[0] == 0xFF or (address[0] == 0xFE and address[1] & 0xC0 == 0x80):
        return False
    return address[0] != 0 or (any(address[:10]) or address[10:12] not in (b"\0\0", b"\xff\xff"))


def _mn_ha_option(update: mobility.BindingUpdate) -> mobility.Authentication | None:
    """RFC 4285 section 5: at most one, and nothing after it but MN-AAA ones (which are an AAA server's to judge)."""
    found: mobility.Authentication | None = None
    others = False
    for option in update.options:
        if not isinstance(option, mobility.Authentication):
            if found is not None:
                raise _DiscardedError("authentication_option")
        elif option.subtype != mobility.MN_HA:
            others = True
        elif found is not None or others:
            raise _DiscardedError("authentication_option")
        else:
            found = option
    return found


def _registered(binding: Binding, before: Binding | None, granted_us: int) -> Report:
    fields: dict[str, object] = {
        "home_address": text(binding.home_address),
        "care_of_address": text(binding.care_of_address),
        "sequence": binding.sequence,
        "lifetime_s": granted_us // SECOND,
    }
    if before is None:
        return Report("info", "binding_registered", fields=fields)
    if before.care_of_address == binding.care_of_address:
        return Report("info", "binding_refreshed", fields=fields)
    fields["moved_from"] = text(before.care_of_address)
    return Report("info", "binding_moved", fields=fields)
