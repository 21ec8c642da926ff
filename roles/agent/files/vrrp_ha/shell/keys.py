# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""keys.json: the secrets of an agent, in a file of their own with stricter permissions.

No message made here contains any part of a key.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from ..core.ipsec_settings import SecurityAssociation
from ..core.settings import MobileNodeKey, SyncKey
from . import ipsec_config
from .fields import Fields, Problem, parse_json
from .policy_config import read_identity

FORMAT = 1
LEAST_KEY = 16  # octets
LEAST_SPI = 256  # RFC 4285 section 5: 0 to 255 are reserved


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key of the file; `known` is false when it could not be read, so that nobody complains twice."""

    sync_keys: dict[str, SyncKey] = field(default_factory=dict)
    mobile_node_keys: tuple[MobileNodeKey, ...] = ()
    ipsec: tuple[SecurityAssociation, ...] = ()
    known: bool = True


def load_keys(path: str, problems: list[Problem]) -> tuple[Keys, bytes]:
    """The keys of a file and its octets as read; notes every mistake."""
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except OSError as error:
        remedy = "Make it readable for the agent's user, or leave keys_file out when nothing needs a key."
        problems.append(Problem("keys_file", f"{path} cannot be read: {error.strerror}", remedy))
        return Keys(known=False), b""
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        message = f"{path} has mode {stat.S_IMODE(mode):04o}: others may read it or the group may change it"
        problems.append(Problem("keys_file", message, f"chown root:vrrp-ha {path} && chmod 0640 {path}"))
    before = len(problems)
    value = parse_json(data, "keys:", problems)
    if len(problems) > before:
        return Keys(known=False), data
    return _keys(Fields(value, "keys:", problems)), data


def _keys(fields: Fields) -> Keys:
    fields.integer("format", FORMAT, FORMAT)
    sync_keys = _sync_keys(fields)
    mobile_node_keys = _mobile_node_keys(fields)
    ipsec = ipsec_config.read_associations(fields)
    fields.close()
    return Keys(sync_keys, mobile_node_keys, ipsec)


def _sync_keys(fields: Fields) -> dict[str, SyncKey]:
    result: dict[str, SyncKey] = {}
    numbers: dict[int, str] = {}
    for entry in fields.sections("sync_keys", []):
        key = SyncKey(entry.text("name"), entry.integer("key_id", 0, 2**32 - 1), entry.octets("key", LEAST_KEY))
        entry.close()
        if key.name in result:
            entry.problem("name", f"'{key.name}' is used twice", "Give each key a name of its own.")
        if key.key_id in numbers and entry.is_given("key_id"):
            message = f"{key.key_id} is already the number of '{numbers[key.key_id]}'"
            entry.problem("key_id", message, "Receivers choose the key by its number: make it unique.")
        result[key.name] = key
        numbers[key.key_id] = key.name
    return result


def _mobile_node_keys(fields: Fields) -> tuple[MobileNodeKey, ...]:
    result: list[MobileNodeKey] = []
    seen: dict[tuple[int, bytes, int], str] = {}
    for entry in fields.sections("mobile_node_keys", []):
        spi = entry.integer("spi", LEAST_SPI, 2**32 - 1)
        key = entry.octets("key", LEAST_KEY)
        network = entry.network("home_addresses", strict=False)
        owner = read_identity(entry)
        entry.close()
        if network is None:
            continue
        prefix = network.network_address.packed
        identity = (spi, prefix, network.prefixlen)
        if identity in seen:
            message = f"{network} with SPI {spi} is already in {seen[identity]}"
            entry.problem("home_addresses", message, "Keep one of the two.")
        seen[identity] = entry.path
        result.append(MobileNodeKey(spi, key, prefix, network.prefixlen, owner))
    return tuple(result)
