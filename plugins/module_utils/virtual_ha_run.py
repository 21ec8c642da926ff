# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual_ha module's work: the host's list of virtual HAs, changed VRID by VRID, checked, reloaded."""

from __future__ import annotations

import contextlib
import hashlib

from . import host as paths
from .checker import RefusedError, check
from .configuration import differences, meaning, merge, parsed, text_of
from .control import ControlError, Deadline
from .deployment import shown
from .health import unhealthy
from .host import HostError
from .spec import without_none


def run(module, host, control):
    """Everything between the module's parameters and its result; exceptions become fail_json here alone."""
    try:
        with contextlib.nullcontext() if module.check_mode else host.alone():
            result = _run(module, host, control)
    except RefusedError as refused:
        module.fail_json(msg=str(refused), problems=refused.problems)
    except (HostError, ControlError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _run(module, host, control):
    path = module.params["config_file"]
    text = host.read(path)
    config = parsed(text or "")
    if config is None:
        raise HostError("{0} is missing or no JSON; deploy the agent with mip6.vrrp_ha.agent first".format(path))
    before = config.get("virtual_has", [])
    wanted = without_none(module.params["config"] or [])
    vrids = [entry["vrid"] for entry in wanted]
    twice = sorted({vrid for vrid in vrids if vrids.count(vrid) > 1})
    if twice:
        raise HostError("config: VRID {0} is there more than once; give it once".format(", ".join(map(str, twice))))
    after = merge(before, wanted, module.params["state"])
    new = dict(config, virtual_has=after)
    result = dict(changed=True, before=before, after=after)
    if meaning(before) != meaning(after):
        result["changes"] = differences(config, new)
        result["diff"] = dict(before_header=path, after_header=path, before=text_of(config), after=text_of(new))
    elif _is_loaded(control):
        return dict(result, changed=False, changes=[], diff={})
    else:
        result["changes"] = ["service: reload, the agent has not loaded its files"]
        result["diff"] = shown(result["changes"])
    keys = host.read(config["keys_file"]) if config.get("keys_file") else None
    check(host.attempt, [host.path(paths.CURRENT) + "/bin/vrrp-ha"], new, keys, module.tmpdir)
    if not module.check_mode:
        host.write(path, text_of(new))
        try:
            control.call("reload")
        except ControlError:
            host.write(path, text)
            raise
        _await_health(module, control, text_of(new))
    return result


def _is_loaded(control):
    """Whether the agent has what is on the disk: a run may have been broken off between the two."""
    try:
        return control.call("status").get("config_current", True)
    except ControlError:
        return True  # it will, when it starts


def _await_health(module, control, text):
    digest = hashlib.sha256(text.encode()).hexdigest()
    timeout = module.params["timeout"]
    what = timeout and Deadline(timeout).wait(lambda: unhealthy(control.call("status"), digest))
    if what:
        raise HostError("waited {0:g} s for {1}; see 'journalctl -u vrrp-ha'".format(timeout, what))
