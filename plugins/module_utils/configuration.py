# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's two files as modules see them: compared by meaning, shown without secrets.

The format is docs/reference/configuration.md. Validation is the agent's own; nothing here knows what is allowed.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any

HIDDEN = "********"
SECRET_LISTS = ("sync_keys", "mobile_node_keys", "ipsec_security_associations")
SECRETS = (
    "key",
    "encryption_key_in",
    "encryption_key_out",
    "authentication_key_in",
    "authentication_key_out",
)


def text_of(document: Any) -> str:
    """A document as it is written to the host: stable, readable, one trailing newline."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def meaning(value):
    """The same for any two spellings of one configuration: addresses parsed, 2 and 2.0 equal, VRIDs in order."""
    if isinstance(value, dict):
        return {key: _set_of(meaning(item)) if key == "virtual_has" else meaning(item) for key, item in value.items()}
    if isinstance(value, list):
        return [meaning(item) for item in value]
    if isinstance(value, str) and ":" in value:
        return canonical(value)
    return value


def _set_of(virtual_has):
    """Virtual HAs in an order that does not depend on the order in which they were written."""
    return (
        sorted(virtual_has, key=lambda entry: str(entry.get("vrid"))) if isinstance(virtual_has, list) else virtual_has
    )


def canonical(text: str) -> str:
    """An IPv6 address or prefix in its one canonical spelling (RFC 5952); any other text as it is."""
    try:
        if "/" in text:
            return str(ipaddress.IPv6Network(text))
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        return text


def parsed(text):
    """The document in a file's text; None if it holds none."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def same(one, other):
    """Whether two texts of a file mean the same to the agent."""
    if one == other:
        return True
    if one is None or other is None:
        return False
    left, right = parsed(one), parsed(other)
    return left is not None and right is not None and meaning(left) == meaning(right)


def masked_keys(text, other=None):
    """A keys file's text for a diff: no key in it, but a mark on those that differ from the other text's."""
    document = parsed(text or "") or {}
    others = _keys_by_identity(parsed(other or "") or {})
    lists = {}
    for name in SECRET_LISTS:
        entries = []
        for entry in document.get(name) or []:
            shown = dict(entry)
            known = others.get(_identity(name, entry))
            for field in [field for field in SECRETS if field in entry]:
                same_key = known is None or known.get(field) == entry[field]
                shown[field] = HIDDEN if same_key else HIDDEN + " (another key)"
            entries.append(shown)
        if name in document:
            lists[name] = entries
    return text_of(lists) if text else ""


def _keys_by_identity(document):
    return {_identity(name, entry): entry for name in SECRET_LISTS for entry in document.get(name) or []}


def _identity(name, entry):
    return json.dumps([name, meaning({key: entry[key] for key in entry if key not in SECRETS})], sort_keys=True)


def differences(before, after, path=""):
    """What differs between two documents: one line each, with the path in the file."""
    if isinstance(before, dict) and isinstance(after, dict):
        lines = []
        for key in sorted(set(before) | set(after)):
            where = path + "." + key if path else key
            if key not in after:
                lines.append("{0} {1} removed".format(where, _short(before[key])))
            elif key not in before:
                lines.append("{0} {1} added".format(where, _short(after[key])))
            else:
                lines.extend(differences(before[key], after[key], where))
        return lines
    if path == "virtual_has" and isinstance(before, list) and isinstance(after, list):
        return differences(_by_vrid(before), _by_vrid(after), path)
    if meaning(before) == meaning(after):
        return []
    return ["{0} {1} -> {2}".format(path, _short(before), _short(after))]


def _by_vrid(virtual_has):
    return {"vrid={0}".format(entry.get("vrid")): entry for entry in virtual_has}


def _short(value):
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."


def merge(observed, wanted, state):
    """The virtual HAs of a host after a resource module's state was applied to them, VRID by VRID.

    What means the same keeps the spelling it has, so that nothing changes for a spelling.
    """
    known = {entry["vrid"]: entry for entry in observed}
    listed = {entry["vrid"]: entry for entry in wanted}
    if state == "deleted":
        return [entry for entry in observed if listed and entry["vrid"] not in listed]
    result = []
    for vrid, entry in known.items():
        if vrid in listed:
            new = _merged(entry, listed[vrid]) if state == "merged" else listed[vrid]
            result.append(_as_spelled(entry, new))
        elif state != "overridden":
            result.append(entry)
    result.extend(entry for vrid, entry in listed.items() if vrid not in known)
    return sorted(result, key=lambda entry: entry["vrid"])


def _merged(entry, changes):
    """An object with some of its fields changed; objects in it, too, keep what is not given."""
    new = dict(entry)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(entry.get(key), dict)
        new[key] = _merged(entry[key], value) if both else value
    return new


def _as_spelled(known, new):
    """The new value, with those parts of it that mean the same as in the known one spelled as there."""
    if meaning(known) == meaning(new):
        return known
    if isinstance(known, dict) and isinstance(new, dict):
        return {key: _as_spelled(known[key], value) if key in known else value for key, value in new.items()}
    return new
