# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Home registrations: a Binding Update comes in, the binding cache changes or not, an answer goes out.

Owns the tests of RFC 6275 sections 9.5.1, 10.3.1 and 10.3.2 in the RFC's order, one method per section; what may be
looked at is decided in binding_request.py, and how it is answered in binding_answer.py. Authentication is RFC 4285's
MN-HA option with timestamps where ipsec.py has not done it; it comes before anything is answered, so that nobody
without the key learns what is bound or changes it.
Knows nothing of who is Master (it is only asked when this member is) nor of how bindings reach the others.

Every home registration is answered, whatever its A bit says (sections 10.3.1 and 10.3.2), a first one once its
addresses are found unique (address_detection.py). No Binding Refresh Advice is given: bindings survive on stable
storage (section 10.3.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..wire import mobility
from ..wire.errors import WireError
from ..wire.mobility import BindingStatus
from . import address_detection
from .address_detection import AddressClaimed, AddressDetection, Tentative
from .admission import Admission
from .authentication import corrected_timestamp
from .binding_answer import acknowledge
from .binding_cache import BindingCache
from .binding_request import (
    BindingRequest,
    DiscardedError,
    MobilityReceived,
    RefusedError,
    is_greater,
    validate,
)
from .commons import Commons
from .effects import InstallBindings, RemoveBindings, Report, SendFrame, SendPacket
from .events import TimerFired
from .router_advertiser import SpeakerChanged
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

_LIFETIME_UNIT_US = 4 * SECOND
# K is cleared: what it promises (section 10.3.1, IKE moves with the mobile node) is not done here.
_KEPT_FLAGS = FLAG_ACKNOWLEDGE | FLAG_HOME_REGISTRATION | FLAG_LINK_LOCAL
_RESERVED_ANYCAST = 0xFDFF_FFFF_FFFF_FFFF  # RFC 2526: this one and the 127 before it

Event = MobilityReceived | AddressClaimed | SpeakerChanged | TimerFired
Effect = InstallBindings | RemoveBindings | SendPacket | SendFrame | Report
Prohibits = Callable[[Address], bool]  # whether a mobile node was told to go and may not prolong its binding


def _nobody(_home_address: Address) -> bool:
    return False


class Registration:
    """The home agent's part of home registration for one virtual HA."""

    def __init__(self, virtual_ha: VirtualHaSettings, commons: Commons, cache: BindingCache) -> None:
        self.detection = AddressDetection()
        self._commons = commons
        self._cache = cache
        self._admission = Admission(virtual_ha.policy, commons, cache)
        self.prohibits: Prohibits = _nobody
        self.reconfigure(virtual_ha)

    def reconfigure(self, virtual_ha: VirtualHaSettings) -> None:
        """Use these settings from now on."""
        self._virtual_ha = virtual_ha
        self._admission.reconfigure(virtual_ha.policy)
        self.own_addresses = frozenset((virtual_ha.link_local, *virtual_ha.addresses))  # of this node, on the home link
        self._host_bits = 128 - virtual_ha.prefix_length
        self._prefix = int.from_bytes(virtual_ha.prefix, "big") >> self._host_bits

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """What to do about what happened; the bindings of the effects are in the cache already."""
        match event:
            case MobilityReceived():
                return self._received(event, now)
            case AddressClaimed(target=target, source_mac=source_mac):
                return self._claimed(target, source_mac, now)
            case SpeakerChanged(speaks=speaks):
                if not speaks:
                    self.detection.clear()
                return []
            case TimerFired():
                return [effect for waiting in self.detection.ended(now) for effect in self._ended(waiting, now)]

    def deadline(self) -> Instant | None:
        """When it wants a TimerFired."""
        return self.detection.deadline()

    def _received(self, event: MobilityReceived, now: Instant) -> list[Effect]:
        try:
            request = validate(event)
        except DiscardedError as discarded:
            return [Report("debug", f"dropped.{discarded.reason}")]
        except WireError as error:
            return [Report("debug", f"dropped.{error.reason}")]
        key: MobileNodeKey | None = None
        try:
            key = self._security_association(request)
            self._identify(request, key, now)
            self._check_sequence(request, now)
            self._check_registration_type(request)
            if _is_deregistration(request):
                return self._deregister(request, key, now)
            return self._register(request, key, now)
        except DiscardedError as discarded:
            return self._discard(request, discarded)
        except RefusedError as refused:
            return self._refuse(request, key, refused, now)

    def _ended(self, waiting: Tentative, now: Instant) -> list[Effect]:
        """Nobody objected. What was right a second ago may be so no more: others registered meanwhile."""
        request = waiting.request
        try:
            self._check_sequence(request, now)
            self._admit(request, waiting.key)
            return self._bind(request, waiting.key, now)
        except DiscardedError as discarded:
            return self._discard(request, discarded)
        except RefusedError as refused:
            return self._refuse(request, waiting.key, refused, now)

    def _claimed(self, target: Address, source_mac: bytes, now: Instant) -> list[Effect]:
        waiting = self.detection.claimed(target)
        if waiting is None:
            return []
        fields: dict[str, object] = {
            "home_address": text(waiting.request.home_address),
            "address": text(target),
            "claimed_by": source_mac.hex(":"),
        }
        refused = RefusedError(BindingStatus.DUPLICATE_ADDRESS)
        return [
            *self._refuse(waiting.request, waiting.key, refused, now),
            Report("warning", "duplicate_address", fields=fields),
        ]

    def _discard(self, request: BindingRequest, discarded: DiscardedError) -> list[Effect]:
        return [Report("debug", f"dropped.{discarded.reason}", fields={"home_address": text(request.home_address)})]

    def _refuse(
        self, request: BindingRequest, key: MobileNodeKey | None, refused: RefusedError, now: Instant
    ) -> list[Effect]:
        fields: dict[str, object] = {"home_address": text(request.home_address), "status": int(refused.status)}
        vrid = self._virtual_ha.vrid
        return [
            acknowledge(vrid, request, key, refused.status, 0, refused.sequence, refused.timestamp),
            Report("debug", f"refused.{refused.status.name.lower()}", fields=fields),
            *self._admission.tell(refused, fields, now),
        ]

    # --- is it the mobile node? ----------------------------------------------------------------------------

    def _security_association(self, request: BindingRequest) -> MobileNodeKey | None:
        """RFC 4285 sections 5 and 5.1.1: the key that the MN-HA option names; None if it may do without."""
        if request.packet.protected:
            return None  # RFC 6275 section 5.1: IPsec has told who it is, and that it may speak for the home address
        if request.authentication is None:
            if not self._virtual_ha.insecure_bindings or self._commons.keys.keys_for(request.home_address):
                raise DiscardedError("unauthenticated")
            return None
        key = self._commons.keys.find(request.home_address, request.authentication.spi)
        if key is None:
            raise DiscardedError("unknown_spi")
        return key

    def _identify(self, request: BindingRequest, key: MobileNodeKey | None, now: Instant) -> None:
        """Within the limits: those of what is not proved first, then the one of what is."""
        limits = self._commons.limits
        home_address = request.home_address
        if key is not None:
            binding = self._cache.get(home_address)
            care_of_address = binding.care_of_address if binding else None
            is_known = partial(self._is_known, home_address, key)
            charge = limits.charge(home_address, request.packet.source, is_known, care_of_address, now)
            self._authenticate(request, key, now)
            limits.give_back(charge)
        elif request.packet.protected and request.timestamp is not None:
            self._check_timestamp(request, request.timestamp.timestamp, now)  # ESP cannot do this with manual keys
        limits.authentic(home_address, now)

    def _is_known(self, home_address: Address, key: MobileNodeKey) -> bool:
        """Not one that somebody made up, of those that share a key."""
        return key.prefix_length == 128 or home_address in self._cache or self._commons.is_bound(home_address)

    def _authenticate(self, request: BindingRequest, key: MobileNodeKey, now: Instant) -> None:
        """RFC 4285 section 5.1.1."""
        option = request.authentication
        if option is None or not mobility.is_authentic(request.packet, request.update, option, key.key):
            raise RefusedError(BindingStatus.AUTHENTICATION_FAILED)
        if request.timestamp is None:
            # Without one, what was recorded before a de-registration or a failover could bind again.
            raise RefusedError(BindingStatus.REPLAY_PROTECTION_REQUIRED)
        self._check_timestamp(request, request.timestamp.timestamp, now)

    def _check_timestamp(self, request: BindingRequest, timestamp: int, now: Instant) -> None:
        """RFC 4285 section 6."""
        if not self._commons.replay.accept(request.home_address, timestamp, request.wall_time_us, now):
            corrected = corrected_timestamp(timestamp, request.wall_time_us)
            raise RefusedError(BindingStatus.REPLAY_MISMATCH, timestamp=corrected)

    # --- RFC 6275 section 9.5.1, what is answered ----------------------------------------------------------

    def _check_sequence(self, request: BindingRequest, now: Instant) -> None:
        """Greater than the last one modulo 2**16; any will do where nothing is bound, nor was a moment ago.

        RFC 4285 section 7 would leave this out where timestamps are used. It stays: the sequence number is in the
        replicated binding, and so protects it also on a member that has not seen the last timestamp.
        """
        last = _last_sequence(self._cache, request.home_address, now)
        if last is not None and not is_greater(request.update.sequence, last):
            raise RefusedError(BindingStatus.SEQUENCE_OUT_OF_WINDOW, sequence=last)
        waiting = self.detection.get(request.home_address)
        if waiting and not is_greater(request.update.sequence, waiting.request.update.sequence):
            raise DiscardedError("tentative_sequence")  # the newer one will be answered
        self._check_sequence_elsewhere(request, now)

    def _check_sequence_elsewhere(self, request: BindingRequest, now: Instant) -> None:
        """Not what another virtual HA has accepted, maybe at another member: of that, the binding is known here.

        The authenticator does not say which home agent was meant, and the timestamps that another member has seen are
        not known. A mobile node that counts for each home agent is told where to go on. A de-registration is refused if
        it is the very one that another virtual HA was sent.
        """
        home_address, sequence = request.home_address, request.update.sequence
        leaves = _is_deregistration(request)
        for cache in self._commons.caches():
            if cache is self._cache:
                continue
            last = cache.departed.sequence(home_address, now) if leaves else _last_sequence(cache, home_address, now)
            if last is not None and (sequence == last if leaves else not is_greater(sequence, last)):
                raise RefusedError(BindingStatus.SEQUENCE_OUT_OF_WINDOW, sequence=last)

    def _check_registration_type(self, request: BindingRequest) -> None:
        """Every binding here is a home registration; return routability is not offered."""
        if request.update.flags & FLAG_HOME_REGISTRATION:
            return
        if self._cache.get(request.home_address) is not None:
            raise RefusedError(BindingStatus.REGISTRATION_TYPE_CHANGE)
        raise DiscardedError("not_home_registration")

    # --- sections 10.3.1 and 10.3.2 ------------------------------------------------------------------------

    def _register(self, request: BindingRequest, key: MobileNodeKey | None, now: Instant) -> list[Effect]:
        """RFC 6275 section 10.3.1."""
        self._admit(request, key)
        bound = request.home_address in self._cache
        if bound and self.prohibits(request.home_address):
            raise RefusedError(BindingStatus.ADMINISTRATIVELY_PROHIBITED)  # RFC 5142 section 5.3
        if bound or not address_detection.is_wanted(self._virtual_ha) or self._is_kept(request, now):
            return self._bind(request, key, now)
        if self.detection.get(request.home_address) and self.detection.replace(request, key):
            return [Report("debug", "tentative_updated")]
        if self.detection.is_full:
            raise DiscardedError("tentative_full")  # it will be sent again
        targets = self.detection.begin(request, key, now)
        return [address_detection.probe(self._virtual_ha, target) for target in targets]

    def _is_kept(self, request: BindingRequest, now: Instant) -> bool:
        """The link was asked about its addresses, and nobody has been let have them since."""
        home_address, has_link_local = request.home_address, request.update.flags & FLAG_LINK_LOCAL
        if self._commons.held.are_held(home_address, request.update.flags, now):
            return True  # it is being recovered
        for cache in self._commons.caches():  # it comes from another virtual HA, which defends them ...
            if (binding := cache.get(home_address)) is not None:
                return not has_link_local & ~binding.flags
        around = self._commons.around(self._virtual_ha.vrid)  # ... or did so a moment ago
        return not has_link_local and around.left_lately(home_address, now)

    def _admit(self, request: BindingRequest, key: MobileNodeKey | None) -> None:
        """The tests of section 10.3.1 in its order; raises what is wrong."""
        if not self._is_on_home_link(request.home_address):
            raise RefusedError(BindingStatus.NOT_HOME_SUBNET)
        self._admission.check(request, key)
        if self._is_own(request):
            raise RefusedError(BindingStatus.DUPLICATE_ADDRESS)
        if self._would_loop(request.care_of_address):
            raise RefusedError(BindingStatus.INVALID_CARE_OF_ADDRESS)
        if request.packet.home_address is None:
            raise RefusedError(BindingStatus.REASON_UNSPECIFIED)  # the Home Address option MUST be there

    def _bind(self, request: BindingRequest, key: MobileNodeKey | None, now: Instant) -> list[Effect]:
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
        self._cache.departed.forget(request.home_address)
        return [
            InstallBindings(self._virtual_ha.vrid, [binding]),
            acknowledge(self._virtual_ha.vrid, request, key, _status_of(self._virtual_ha, granted), granted),
            _registered(binding, before, granted),
        ]

    def _deregister(self, request: BindingRequest, key: MobileNodeKey | None, now: Instant) -> list[Effect]:
        """RFC 6275 section 10.3.2; a care-of address that is the home address asks for it, too (RFC 3775).

        What is removed carries the de-registration's sequence number: so do the members learn it. A mobile node that
        missed the answer, or that had not been answered yet, is told what it wants to hear.
        """
        home_address, sequence = request.home_address, request.update.sequence
        waiting = self.detection.remove(home_address)
        removed = self._cache.remove(home_address)
        if removed is None and waiting is None and self._cache.departed.sequence(home_address, now) is None:
            raise RefusedError(BindingStatus.NOT_HOME_AGENT)
        self._cache.departed.note(home_address, sequence, now)
        accepted = acknowledge(self._virtual_ha.vrid, request, key, BindingStatus.ACCEPTED, 0)
        if removed is None:
            return [accepted]
        fields: dict[str, object] = {
            "home_address": text(home_address),
            "care_of_address": text(removed.care_of_address),
            "sequence": sequence,
        }
        return [
            RemoveBindings(self._virtual_ha.vrid, [replace(removed, sequence=sequence)]),
            accepted,
            Report("info", "binding_deregistered", fields=fields),
        ]

    def _is_on_home_link(self, address: Address) -> bool:
        return int.from_bytes(address, "big") >> self._host_bits == self._prefix

    def _is_own(self, request: BindingRequest) -> bool:
        """What Duplicate Address Detection would not find: an address of this very node, anycast ones included."""
        host = int.from_bytes(request.home_address, "big") & ((1 << self._host_bits) - 1)
        if host == 0 or (self._host_bits == 64 and host | 0x7F == _RESERVED_ANYCAST):
            return True
        flags = request.update.flags if self._virtual_ha.home_link is HomeLink.ON_LINK else 0
        return not self.own_addresses.isdisjoint(address_detection.addresses_of(request.home_address, flags))

    def _would_loop(self, care_of_address: Address) -> bool:
        """RFC 6275 leaves it open; a tunnel must not end in a home address that is itself tunnelled from here."""
        virtual_ha = self._virtual_ha
        if care_of_address in virtual_ha.addresses or self._cache.get(care_of_address) is not None:
            return True
        return virtual_ha.home_link is HomeLink.ROUTED and self._is_on_home_link(care_of_address)


def _is_deregistration(request: BindingRequest) -> bool:
    return request.update.lifetime_us == 0 or request.care_of_address == request.home_address


def _last_sequence(cache: BindingCache, home_address: Address, now: Instant) -> int | None:
    binding = cache.get(home_address)
    return binding.sequence if binding else cache.departed.sequence(home_address, now)


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


def _status_of(virtual_ha: VirtualHaSettings, granted_us: int) -> BindingStatus:
    """Section 10.3.1: whether the home prefix might be deprecated before the binding is over, or end with it.

    Advertised lifetimes are constant; that they are renewed is no promise to a mobile node that is away.
    """
    prefix = virtual_ha.router_advertisements
    if granted_us > prefix.preferred_lifetime_us or granted_us >= prefix.valid_lifetime_us:
        return BindingStatus.ACCEPTED_PREFIX_DISCOVERY_NECESSARY
    return BindingStatus.ACCEPTED
