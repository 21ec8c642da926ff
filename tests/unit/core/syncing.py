# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of a virtual HA on a link that loses only what it is told to, for the tests of core/bc_sync.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

from vrrp_ha.core.bc_sync import (
    BcSync,
    BindingsChanged,
    RoleChanged,
    SendSync,
    SyncReceived,
)
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.events import TimerFired
from vrrp_ha.core.settings import SyncKey, SyncSettings, VirtualHaSettings
from vrrp_ha.core.types import SECOND, Address, Binding, Instant, State, packed
from vrrp_ha.wire import bc_sync as wire

A, B, C = packed("fe80::a"), packed("fe80::b"), packed("fe80::c")
STRANGER = packed("fe80::bad")
KEY = SyncKey("fleet", 1, b"sixteen octets..")
OTHER_KEY = SyncKey("next", 2, b"another sixteen.")
SYNC = SyncSettings()
NO_DIGESTS = SyncSettings(digest_interval_us=0)
UNIT = 4 * SECOND
VRID = 51

Message = wire.BcRequest | wire.BcUpdate | wire.BcDigest


def at(seconds: float) -> Instant:
    return Instant(round(seconds * SECOND))


def home(number: int) -> Address:
    return packed("2001:db8:1::")[:8] + number.to_bytes(8, "big")


def care_of(number: int) -> Address:
    return packed("2001:db8:2::")[:8] + number.to_bytes(8, "big")


def binding(number: int, expires: float = 600, sequence: int = 1, at_care_of: int | None = None) -> Binding:
    return Binding(home(number), care_of(number if at_care_of is None else at_care_of), sequence, 0xC000, at(expires))


def virtual_ha(**changes) -> VirtualHaSettings:
    base = VirtualHaSettings(
        vrid=VRID,
        interface="eth1",
        priority=200,
        link_local=packed("fe80::5eff:fe00:233"),
        addresses=(packed("2001:db8:1::51"),),
        prefix=packed("2001:db8:1::"),
        prefix_length=64,
        sync_key=KEY,
    )
    return replace(base, **changes)


class Member:
    """One HA's cache and synchronisation, with everything that it ever wanted."""

    def __init__(self, address: Address, *, epoch: int = 1, settings: SyncSettings = SYNC, mtu: int = 1500, **changes):
        self.address = address
        self.settings = settings
        self.cache = BindingCache()
        self.sync = BcSync(self.cache, virtual_ha(**changes), settings, address, mtu, count(epoch << 32))
        self.log: list[tuple[float, object]] = []

    def tell(self, event: object, now: Instant) -> list[object]:
        effects = self.sync.handle(event, now)
        self.log += [(now / SECOND, effect) for effect in effects]
        return effects

    def wanted(self, kind: type) -> list[float]:
        """When it wanted that."""
        return [when for when, effect in self.log if isinstance(effect, kind)]

    def said(self, kind: type = object) -> list[tuple[float, Message]]:
        """The messages of that kind that it sent, and when."""
        messages = [(when, opened(effect.payload)) for when, effect in self.log if isinstance(effect, SendSync)]
        return [(when, message) for when, message in messages if isinstance(message, kind)]


def opened(payload: bytes) -> Message:
    """What is in a payload, whoever signed it."""
    return wire.decode(wire.split_trailer(payload, SYNC)[0], SYNC)


def reports(effects: list[object]) -> list[str]:
    return [effect.kind for effect in effects if hasattr(effect, "kind")]


class Link:
    """Brings what one member sends to all others, at once, unless `loses` says otherwise."""

    def __init__(self, *members: Member):
        self.members = list(members)
        self.now = at(0)
        self.loses: Callable[[Member, Member, Message], bool] = lambda sender, receiver, message: False

    def tell(self, member: Member, event: object) -> None:
        self._carry(member, member.tell(event, self.now))

    def master(self, member: Member) -> None:
        """That member is Master from now on, and everybody heard."""
        self.tell(member, RoleChanged(State.MASTER, member.address))
        for other in self.members:
            if other is not member:
                self.tell(other, RoleChanged(State.BACKUP, member.address))

    def join(self, member: Member, master: Member) -> None:
        self.members.append(member)
        self.tell(member, RoleChanged(State.BACKUP, master.address))

    def put(self, member: Member, *bindings: Binding) -> None:
        """The member registers these."""
        member.cache.put_many(bindings)
        self.tell(member, BindingsChanged(list(bindings), []))

    def remove(self, member: Member, *homes: Address) -> None:
        removed = [member.cache.remove(home_address) for home_address in homes]
        self.tell(member, BindingsChanged([], [gone for gone in removed if gone]))

    def run(self, until: float) -> None:
        """Fire every timer on its time; the caches' expiry, too, as virtual_ha.py does."""
        while True:
            due = [
                (when, index)
                for index, member in enumerate(self.members)
                for when in (member.sync.deadline(), member.cache.next_expiry())
                if when is not None and when <= at(until)
            ]
            if not due:
                break
            when, index = min(due)
            self.now = max(self.now, when)
            member = self.members[index]
            expired = member.cache.expire(self.now)
            if expired and member.sync._state is State.MASTER:
                self.tell(member, BindingsChanged([], expired))
            self.tell(member, TimerFired())
        self.now = at(until)

    def _carry(self, sender: Member, effects: list[object]) -> None:
        for effect in effects:
            if isinstance(effect, SendSync):
                for receiver in self.members:
                    if receiver is not sender and not self.loses(sender, receiver, opened(effect.payload)):
                        self.tell(receiver, SyncReceived(sender.address, effect.payload))


def pair(**settings) -> tuple[Link, Member, Member]:
    """A is Master and B a Backup in sync with it, at 10 s, on a link."""
    a, b = Member(A, **settings), Member(B, **settings)
    link = Link(a, b)
    link.master(a)
    link.run(until=10)
    assert b.sync.synced
    for member in (a, b):
        member.log.clear()
    return link, a, b


def equal(one: Member, other: Member) -> bool:
    return (len(one.cache), one.cache.digest) == (len(other.cache), other.cache.digest)


def everything(*messages: object):
    """Loses every message of these kinds."""
    return lambda sender, receiver, message: isinstance(message, messages)


def nothing(sender, receiver, message) -> bool:
    return False


def requests(member: Member) -> list[float]:
    return [when for when, _unused in member.said(wire.BcRequest)]


def lonely(settings: SyncSettings = SYNC, **changes) -> Member:
    """A Backup that hears a Master's advertisements and no answer, since 0 s."""
    member = Member(B, settings=settings, **changes)
    member.tell(RoleChanged(State.BACKUP, A), at(0))
    return member


def run(member: Member, until: float) -> None:
    while (due := member.sync.deadline()) is not None and due <= at(until):
        member.tell(TimerFired(), due)


def bare(message: object) -> SyncReceived:
    return SyncReceived(A, wire.encode(message, SYNC))


def update_of(*entries, now=0.0) -> wire.BcUpdate:
    unit = 4 * SECOND
    return wire.BcUpdate(
        VRID,
        [
            ((e.expires - at(now)) // unit * unit, e.sequence, e.flags, e.home_address, e.care_of_address)
            for e in entries
        ],
    )
