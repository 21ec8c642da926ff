# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The consistency_info module's work: have the agent examine itself, or return some of its bindings."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from .control import ControlError


def run(module, control):
    """Everything between the module's parameters and its result; exceptions become fail_json here alone."""
    wanted, faults = module.params["virtual_has"], []
    try:
        if any(not _rows(entry) for entry in wanted):
            faults = control.call("examine")["faults"]
        answers = [_answer(control, entry, module.params["limit"]) for entry in wanted]
    except ControlError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, faults=faults, virtual_has=answers)


def _rows(entry):
    return entry.get("parts") is not None or entry.get("home_addresses") is not None


def packed(value):
    """Thousands of entries as one text: on its way through Ansible each string by itself is looked at many times."""
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


def unpacked(text: str) -> Any:
    """The reverse."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def _answer(control, entry, limit):
    if _rows(entry):
        arguments = {name: entry[name] for name in ("parts", "home_addresses") if entry.get(name)}
        answer = control.call("rows", vrid=entry["vrid"], **arguments)
        return dict(vrid=answer["vrid"], rows=packed(answer["bindings"]))
    answer = control.call("examine", vrid=entry["vrid"], limit=limit)
    return dict(answer, points=packed(answer["points"]))
