# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a mobile node that has proved who it is may have a binding: the operator's lists, and how much room there is.

Asked once for each registration, after authentication, so that nobody else learns what the lists say; never for a
de-registration. RFC 6275 section 10.3.1, third test.

A mobile node can write any identifier (RFC 4283) into its Binding Update, or none. Who it is, its key says: where the
key has an identity, what the mobile node claims must agree with it. Where there are lists of identities and the key has
none, the mobile node is refused, unless the operator wants claims to be believed. So whatever options a mobile node
sends, a denied identity does not get in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..wire.mobility import BindingStatus
from .policy_settings import PolicySettings, Prefix
from .types import Address

WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class Registrant:
    """A mobile node that asks for a binding, or for its binding to be kept or moved."""

    home_address: Address
    identity: str  # of the key or association that it proved to have; empty: it has none
    claims: tuple[bytes, ...]  # network access identifiers in its Binding Update
    is_new: bool  # it has no binding yet
    bindings: int  # of the virtual HA
    bindings_in_all: int  # of all virtual HAs of the agent


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: for the mobile node, and for the operator."""

    status: BindingStatus
    reason: str


class BindingPolicy:
    """The policy of one virtual HA."""

    def __init__(self, settings: PolicySettings) -> None:
        self._maximum = settings.maximum_bindings
        self._allowed_homes = _Prefixes(settings.allow_home_addresses)
        self._denied_homes = _Prefixes(settings.deny_home_addresses)
        self._allowed = _Identities(settings.allow_identities)
        self._denied = _Identities(settings.deny_identities)
        self._by_identity = bool(settings.allow_identities or settings.deny_identities)
        self._believes = settings.believe_claimed_identities

    def refusal(self, registrant: Registrant, maximum_in_all: int) -> Refusal | None:
        """None: it may. Denied wins over allowed."""
        home_address = registrant.home_address
        if home_address in self._denied_homes or (self._allowed_homes and home_address not in self._allowed_homes):
            return _prohibited("home_address")
        if reason := self._identity_refusal(registrant):
            return _prohibited(reason)
        if registrant.is_new and registrant.bindings >= self._maximum:
            return Refusal(BindingStatus.INSUFFICIENT_RESOURCES, "bindings")
        if registrant.is_new and registrant.bindings_in_all >= maximum_in_all:
            return Refusal(BindingStatus.INSUFFICIENT_RESOURCES, "bindings_in_all")
        return None

    def _identity_refusal(self, registrant: Registrant) -> str:
        claims = [canonical(claim) for claim in registrant.claims]
        own = canonical(registrant.identity)
        if own and any(claim != own for claim in claims):
            return "identity_claimed"
        if not self._by_identity:
            return ""
        names = [own] if own else claims if self._believes else []
        if not names or not all(names):  # one that nobody can read is nobody
            return "identity_unknown"
        if any(name in self._denied for name in names):
            return "identity"
        if self._allowed and not all(name in self._allowed for name in names):
            return "identity"
        return ""


def _prohibited(reason: str) -> Refusal:
    return Refusal(BindingStatus.ADMINISTRATIVELY_PROHIBITED, reason)


def canonical(identity: str | bytes) -> str:
    """A network access identifier (RFC 4282) as it is compared: the realm in lower case. Empty: it is none."""
    if isinstance(identity, bytes):
        try:
            identity = identity.decode("utf-8")
        except UnicodeDecodeError:
            return ""
    if not identity.isprintable() or identity.count("@") > 1:
        return ""
    user, at, realm = identity.partition("@")
    return user + at + realm.lower()


class _Prefixes:
    """A set of prefixes: one look-up for each length that there is."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self._by_shift: dict[int, set[int]] = {}
        for prefix in prefixes:
            shift = 128 - prefix.length
            self._by_shift.setdefault(shift, set()).add(int.from_bytes(prefix.address, "big") >> shift)

    def __contains__(self, address: Address) -> bool:
        number = int.from_bytes(address, "big")
        return any(number >> shift in numbers for shift, numbers in self._by_shift.items())

    def __bool__(self) -> bool:
        return bool(self._by_shift)


class _Identities:
    """A set of patterns. In a name '*' stands for anything without '@'; alone it is everybody."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._realms: set[str] = set()  # whoever is from there
        self._patterns: list[tuple[str, str, str]] = []
        self._everybody = False
        for pattern in map(canonical, patterns):
            user, at, realm = pattern.partition("@")
            if pattern == WILDCARD:
                self._everybody = True
            elif WILDCARD not in pattern:
                self._names.add(pattern)
            elif user == WILDCARD and at and WILDCARD not in realm:
                self._realms.add(realm)
            else:
                self._patterns.append((user, at, realm))

    def __contains__(self, name: str) -> bool:
        user, at, realm = name.partition("@")
        if self._everybody or name in self._names or (at and realm in self._realms):
            return True
        return any(at == other_at and matches(u, user) and matches(r, realm) for u, other_at, r in self._patterns)

    def __bool__(self) -> bool:
        return bool(self._everybody or self._names or self._realms or self._patterns)


def matches(pattern: str, text: str) -> bool:
    """Whether the text is the pattern with something, or nothing, in place of each '*'; no text makes it slow."""
    first, *others = pattern.split(WILDCARD)
    if not others:
        return pattern == text
    last = others.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in others:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
