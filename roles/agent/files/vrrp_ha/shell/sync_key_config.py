# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys of the keys file members use with each other: the one to send with, and others to accept."""

from __future__ import annotations

from ..core.settings import SyncKey
from .fields import Fields, name_of_type, suggestion
from .keys import Keys


def read(
    fields: Fields, mipv6_ha_mode: bool, keys: Keys, keys_file: str | None
) -> tuple[SyncKey | None, tuple[SyncKey, ...]]:
    """(sync_key, accepted_sync_keys) of a virtual HA; notes every problem."""
    insecure = fields.boolean("insecure_sync", False)
    name = fields.text("sync_key") if fields.is_given("sync_key") else None
    accepted = _accepted(fields, keys, keys_file)
    if name is None:
        if fields.items("accepted_sync_keys", []):
            remedy = "Name the key to send with, or take accepted_sync_keys out."
            fields.problem("accepted_sync_keys", "is given, but no sync_key", remedy)
        if mipv6_ha_mode and not insecure:
            remedy = "Name a key of the keys file, or set insecure_sync to true for peers that know no authenticator."
            fields.problem("sync_key", "is missing", remedy)
        return None, ()
    if insecure:
        fields.problem("insecure_sync", "is true, but there is a sync_key", "Remove one of the two.")
    return _find(fields, "sync_key", name, keys, keys_file), accepted


def _accepted(fields: Fields, keys: Keys, keys_file: str | None) -> tuple[SyncKey, ...]:
    """The sync_key may be among them, so that one list will do while the sync_key is changed."""
    found: dict[str, SyncKey] = {}
    names = fields.items("accepted_sync_keys", [])
    for i, name in enumerate(names):
        place = f"accepted_sync_keys[{i}]"
        if not isinstance(name, str) or not name:
            shown = "an empty string" if name == "" else name_of_type(name)
            fields.problem(place, f"must be the name of a key, not {shown}", "")
        elif name in names[:i]:
            fields.problem(place, f"'{name}' is listed twice", "List each key once.")
        elif key := _find(fields, place, name, keys, keys_file):
            found[name] = key
    return tuple(found.values())


def _find(fields: Fields, place: str, name: str, keys: Keys, keys_file: str | None) -> SyncKey | None:
    if name in keys.sync_keys:
        return keys.sync_keys[name]
    if not keys_file:
        fields.problem(place, f"'{name}' needs a keys file", "Set keys_file.")
    elif keys.known and name:
        remedy = suggestion(name, keys.sync_keys, "Add it to sync_keys there.")
        fields.problem(place, f"no key '{name}' in {keys_file}", remedy)
    return None
