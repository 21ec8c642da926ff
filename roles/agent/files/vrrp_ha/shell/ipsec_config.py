# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list `ipsec_security_associations` of keys.json and the section `ipsec` of agent.json, both ways.

No message made here contains any part of a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address

from ..core.ipsec_settings import MOST_SENDERS, IpsecSettings, SecurityAssociation
from ..core.types import text
from ..wire import esp
from ..wire.esp import Algorithm
from .fields import Fields
from .policy_config import read_identity

SECTION = "ipsec_security_associations"
LEAST_SPI = 256  # RFC 4303 section 2.1: 1 to 255 are reserved, 0 is never sent
MASK = "********"
_DEFAULT = Algorithm.AES_CBC_HMAC_SHA_256_128


def read_associations(fields: Fields) -> tuple[SecurityAssociation, ...]:
    """Every association of keys.json; notes every mistake."""
    readers = fields.sections(SECTION, [])
    result: list[SecurityAssociation] = []
    places: dict[int, list[tuple[SecurityAssociation, str]]] = {}
    owners: dict[bytes, tuple[bytes, str]] = {}
    for entry in readers:
        association = _association(entry)
        entry.close()
        if association is None:
            continue
        _check_spi(entry, association, places)
        _check_secrets(entry, association, owners)
        result.append(association)
    if readers and (reason := esp.unavailable()):
        message = f"needs the package cryptography, which this Python cannot import ({reason})"
        fields.problem(SECTION, message, "Let the deployment carry its wheels, or install python3-cryptography.")
    return tuple(result)


def _association(fields: Fields) -> SecurityAssociation | None:
    home_address = fields.address("home_address")
    home_agent = fields.optional_address("home_agent")
    algorithm = Algorithm(fields.choice("algorithm", [a.value for a in Algorithm], _DEFAULT.value))
    inbound = _keys(fields, "in", algorithm)
    outbound = _keys(fields, "out", algorithm)
    prefix_discovery = fields.boolean("prefix_discovery", True)
    for name, address in (("home_address", home_address), ("home_agent", home_agent)):
        if address is not None and not _is_usable(address):
            fields.problem(name, f"{address} is not a global unicast address", "Use the address that is bound.")
    if inbound.encryption and inbound.encryption == outbound.encryption:
        fields.problem(
            "encryption_key_out", "is the encryption_key_in, too", "Use a key of its own for each direction."
        )
    if inbound.authentication and inbound.authentication == outbound.authentication:
        remedy = "Use a key of its own for each direction."
        fields.problem("authentication_key_out", "is the authentication_key_in, too", remedy)
    identity = read_identity(fields)
    if home_address is None:
        return None
    with_whom = home_agent.packed if home_agent else None
    return SecurityAssociation(home_address.packed, inbound, outbound, with_whom, identity, prefix_discovery)


def _is_usable(address: IPv6Address) -> bool:
    unusable = address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local
    return not unusable and address.ipv4_mapped is None


def _keys(fields: Fields, direction: str, algorithm: Algorithm) -> esp.Keys:
    spi = fields.integer(f"spi_{direction}", LEAST_SPI, 2**32 - 1)
    encryption, authentication = f"encryption_key_{direction}", f"authentication_key_{direction}"
    if algorithm is Algorithm.AES_GCM_16:
        lengths = tuple(length + esp.GCM_SALT_LENGTH for length in esp.AES_KEY_LENGTHS)
        key = _key(fields, encryption, lengths, ", the last 4 of them the salt")
        if fields.is_given(authentication):
            fields.problem(authentication, f"is given, but {algorithm.value} has none", "Take it out.")
        return esp.Keys(spi, algorithm, key)
    key = _key(fields, encryption, esp.AES_KEY_LENGTHS)
    return esp.Keys(spi, algorithm, key, _key(fields, authentication, (esp.HMAC_KEY_LENGTH,)))


def _key(fields: Fields, name: str, lengths: tuple[int, ...], salt: str = "") -> bytes:
    key = fields.octets(name, 0)
    if key and len(key) not in lengths:
        wanted = " or ".join(str(length) for length in lengths)
        remedy = f"Use {wanted} octets from a good random source{salt}."
        fields.problem(name, f"has {len(key)} octets", remedy)
    elif not key and fields.is_given(name):
        fields.problem(name, "is empty", "Give a key.")
    return key


def _check_spi(
    fields: Fields, association: SecurityAssociation, places: dict[int, list[tuple[SecurityAssociation, str]]]
) -> None:
    """RFC 4303 section 2.1: the receiver's SPI says which association it is."""
    others = places.setdefault(association.inbound.spi, [])
    for other, path in others:
        if None in (other.home_agent, association.home_agent) or other.home_agent == association.home_agent:
            message = f"{association.inbound.spi} is already the SPI of {path} with the same home agent"
            fields.problem("spi_in", message, "Give each association of a home agent an SPI of its own.")
            break
    others.append((association, fields.path))


def _check_secrets(fields: Fields, association: SecurityAssociation, owners: dict[bytes, tuple[bytes, str]]) -> None:
    """RFC 6275 section 5.1: the secrets MUST be unique for different mobile nodes."""
    for direction, keys in (("in", association.inbound), ("out", association.outbound)):
        for kind, key in (("encryption", keys.encryption), ("authentication", keys.authentication)):
            if not key:
                continue
            owner, path = owners.setdefault(key, (association.home_address, fields.path))
            if owner != association.home_address:
                name = f"{kind}_key_{direction}"
                fields.problem(name, f"is also a key of {path}, another mobile node", "Give each its own keys.")


def read(fields: Fields, associations: tuple[SecurityAssociation, ...]) -> IpsecSettings:
    """The section of agent.json, together with what is in keys.json; notes every problem."""
    sender = fields.integer("sender_id", 1, MOST_SENDERS, 1) if fields.is_given("sender_id") else 0
    fields.close()
    gcm = [association for association in associations if association.uses_gcm]
    if gcm and not sender:
        message = f"is missing, and {len(gcm)} security associations use {Algorithm.AES_GCM_16.value}"
        remedy = "Give each agent that has them a number of its own, or use another algorithm: two that used the same "
        fields.problem("sender_id", message, remedy + "initialisation vector would give the keys away.")
    return IpsecSettings(associations, sender)


def warnings(ipsec: IpsecSettings) -> Iterator[str]:
    """What works, and should be thought about."""
    gcm = sum(association.uses_gcm for association in ipsec.associations)
    if gcm:
        yield (
            f"{gcm} security associations use {Algorithm.AES_GCM_16.value} with static keys: it is safe only while no "
            f"other agent that has them uses sender_id {ipsec.sender} as well"
        )


def plain(settings: IpsecSettings) -> dict[str, object]:
    """The section of agent.json as it would stand there."""
    return {"sender_id": settings.sender or None}


def plain_associations(associations: Iterable[SecurityAssociation]) -> list[dict[str, object]]:
    """The list of keys.json as it would stand there, secrets masked."""
    return [_plain(association) for association in associations]


def _plain(association: SecurityAssociation) -> dict[str, object]:
    result: dict[str, object] = {
        "home_address": text(association.home_address),
        "home_agent": text(association.home_agent) if association.home_agent else None,
        "algorithm": association.inbound.algorithm.value,
        "identity": association.identity or None,
        "prefix_discovery": association.prefix_discovery,
    }
    for direction, keys in (("in", association.inbound), ("out", association.outbound)):
        result[f"spi_{direction}"] = keys.spi
        result[f"encryption_key_{direction}"] = MASK
        if keys.authentication:
            result[f"authentication_key_{direction}"] = MASK
    return result
