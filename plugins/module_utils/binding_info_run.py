# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The binding_info module's work: read a binding cache page by page, and keep no more than was asked for."""

from __future__ import annotations

import binascii
import re
import socket
from typing import Any

from .control import ControlError

PAGE = 10000  # what the agent gives at most in one answer


class FilterError(Exception):
    """An option of the module is not what it should be; the text says what and the remedy."""


def run(module, control):
    """Everything between the module's parameters and its result; exceptions become fail_json here alone."""
    try:
        result = _run(module.params, control)
    except (ControlError, FilterError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


def _run(params, control):
    vrid, limit = params["vrid"], params["limit"]
    if limit < 0:
        raise FilterError(
            "limit is {0}; give the number of bindings that you want at most, or 0 for none".format(limit)
        )
    homes = networks(params["home_addresses"], "home_addresses")
    care_ofs = networks(params["care_of_addresses"], "care_of_addresses")
    size = PAGE if homes or care_ofs else max(1, min(PAGE, limit))
    found: list[dict[str, Any]] = []
    answer: dict[str, Any] = {}
    more, following = False, params["after"]
    while not more and (not answer or following):
        arguments = dict(vrid=vrid, limit=size)
        if following:
            arguments["after"] = following
        answer = control.call("bindings", **arguments)
        following = answer["next"]
        for entry in answer["bindings"]:
            if matches(entry["home_address"], homes) and matches(entry["care_of_address"], care_ofs):
                if len(found) == limit:
                    more = True
                    break
                found.append(entry)
    return dict(
        total=answer["total"],
        digest=answer["digest"],
        bindings=found,
        truncated=more,
        next=found[-1]["home_address"] if more and found else None,
    )


def networks(texts, option):
    """(prefix bits, length) of addresses and prefixes."""
    found = []
    for text in texts or []:
        address, _slash, length = text.partition("/")
        bits = _bits(address)
        if bits is None or (length and not re.match(r"^(12[0-8]|1[01]\d|\d\d?)$", length)):
            raise FilterError(
                "{0}: '{1}' is no IPv6 address or prefix; write 2001:db8::1 or 2001:db8::/64".format(option, text)
            )
        length = int(length or 128)
        found.append((bits >> (128 - length), length))
    return found


def matches(address, wanted):
    """Whether an address is in one of the networks; everything is when there are none."""
    if not wanted:
        return True
    bits = _bits(address)
    return any(bits >> (128 - length) == prefix for prefix, length in wanted)


def _bits(address):
    try:
        return int(binascii.hexlify(socket.inet_pton(socket.AF_INET6, address)), 16)
    except OSError:
        return None
