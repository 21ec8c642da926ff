# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The procedure module's work on a host: one run of a playbook at a time may change the fleet.

The host remembers who it works for in a small file, until the run says that it is over or its lease ends.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time

from .host import HostError

PATH = "/run/vrrp-ha-procedure.json"
FIELDS = ("id", "playbook", "controller", "pid", "since", "until")


def run(module, host, path=PATH, clock=time.time):
    """Everything between the module's parameters and its result."""
    params = module.params
    wanted = params["holder"]
    if wanted is None:
        module.fail_json(msg="this module needs its action plugin: call it as mip6.vrrp_ha.procedure")
    if module.check_mode:
        module.exit_json(changed=False, held_by=_unless_over(_read(path), clock()))
    try:
        held_by = _change(path, params, wanted, clock())
    except OSError as error:
        module.fail_json(
            msg="{0} cannot be written: {1}; does the task run as root?".format(
                path, os.strerror(error.errno or errno.EIO)
            )
        )
    if held_by is None and params["state"] == "begun":
        _let_finish(module, host)
    module.exit_json(changed=False, held_by=held_by)


def _let_finish(module, host):
    """What a run that was killed has left at work here must not come between."""
    try:
        with host.alone():
            pass
    except HostError as error:
        module.fail_json(msg=str(error))


def _change(path, params, wanted, now):
    """Who else works with this host; None once it is ours, or free again."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        holder = _unless_over(_parsed(file.read()), now)
        is_ours = holder is None or holder["id"] in (wanted["id"], params["take_over_from"])
        if not is_ours and not params["force"]:
            return holder
        file.seek(0)
        file.truncate()
        if params["state"] == "begun":
            json.dump(dict(wanted, since=now, until=now + params["lease"]), file)
        return None


def _unless_over(holder, now):
    """A holder that came back from the future, by a clock that was set, is over as well."""
    if holder is None or not holder["since"] <= now < holder["until"]:
        return None
    return holder


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return _parsed(file.read())
    except OSError:
        return None


def _parsed(text):
    try:
        holder = json.loads(text)
        return {name: holder[name] for name in FIELDS}
    except (ValueError, KeyError, TypeError):
        return None
