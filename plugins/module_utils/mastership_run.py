# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mastership module's work: which VRIDs this host drains or undrains so that the wanted member wins."""

from __future__ import annotations

from collections import namedtuple

from .configuration import parsed
from .control import ControlError, Deadline
from .health import state_of
from .host import HostError

# What is wanted of this host for one VRID.
Wanted = namedtuple("Wanted", "vrid drained master priority is_self")


def run(module, host, control):
    """Everything between the module's parameters and its result; exceptions become fail_json here alone."""
    try:
        result = _run(module, host, control)
    except (HostError, ControlError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _run(module, host, control):
    path = module.params["config_file"]
    config = parsed(host.read(path) or "")
    if config is None:
        raise HostError("{0} is missing or no JSON; deploy the agent with mip6.vrrp_ha.agent first".format(path))
    wanted = [decide(config, vrid, module.params["master"]) for vrid in dict.fromkeys(module.params["vrids"])]
    status = control.call("status")
    before = [state_of(status, item.vrid) for item in wanted]
    steps = [item for item, state in zip(wanted, before) if item.drained != state["drained"]]
    after = [dict(state, drained=item.drained) for item, state in zip(wanted, before)]
    if not module.check_mode:
        for name, drained in (("undrain", False), ("drain", True)):
            vrids = [item.vrid for item in steps if item.drained == drained]
            if vrids:
                control.call(name, vrids=vrids)
        if module.params["wait"]:
            _await(module.params["timeout"], control, wanted)
        status = control.call("status")
        after = [state_of(status, item.vrid) for item in wanted]
    return dict(
        changed=bool(steps),
        changes=[_line(item) for item in steps],
        virtual_has=after,
        diff=dict(before=_text(before), after=_text(after)),
    )


def decide(config, vrid, master):
    """Whether this host has to be drained of one VRID for the wanted member to be its Master."""
    own = [entry for entry in config.get("virtual_has", []) if entry.get("vrid") == vrid]
    if not own:
        known = ", ".join(str(entry.get("vrid")) for entry in config.get("virtual_has", [])) or "none"
        raise HostError(
            "{0} takes no part in VRID {1} (it has: {2}); run this on the members alone".format(
                config.get("host"), vrid, known
            )
        )
    members = {member["name"]: member["priority"] for member in own[0].get("members") or []}
    if not members:
        raise HostError("VRID {0} has no members in the configuration; deploy it with mip6.vrrp_ha.agent".format(vrid))
    if not master:
        return _as_planned(config["host"], vrid, members)
    name = master
    if name not in members:
        raise HostError(
            "{0} is no member of VRID {1}; its members are {2}".format(name, vrid, ", ".join(sorted(members)))
        )
    is_self = name == config.get("host")
    drained = not is_self and own[0]["priority"] >= members[name]
    return Wanted(vrid, drained, name, members[name], is_self)


def _as_planned(host, vrid, members):
    """Nobody is drained; among equals the address decides, so then any of them may be Master."""
    highest = max(members.values())
    best = sorted(name for name in members if members[name] == highest)
    name = best[0] if len(best) == 1 else None
    return Wanted(vrid, False, name, highest, name == host)


def _await(timeout, control, wanted):
    def missing():
        status = control.call("status")
        return next(filter(None, (_missing(state_of(status, item.vrid), item) for item in wanted)), "")

    what = Deadline(timeout).wait(missing)
    if what:
        raise HostError("waited {0:g} s for {1}".format(timeout, what))


def _missing(state, item):
    """What one VRID still lacks; an empty text when it is as wanted."""
    if item.is_self and state["state"] != "master":
        return (
            "VRID {0} on {1}: it shall be Master and is {2} of {3}; members of a higher priority must be drained "
            "first, and without preempt the present Master too".format(
                item.vrid, item.master, state["state"], state["master"] or "nobody"
            )
        )
    if not item.is_self and item.master and state["state"] == "master":
        return (
            "VRID {0} to get {1} as its Master: this host still is, so {1} (priority {2}) does not take over; is its "
            "agent running, undrained and on the same link?".format(item.vrid, item.master, item.priority)
        )
    if not state["master"]:
        return "VRID {0} to have a Master again".format(item.vrid)
    return ""


def _line(item):
    verb = "drain" if item.drained else "undrain"
    who = item.master or "a member"
    return "vrid {0}: {1}, so that {2} (priority {3}) becomes Master".format(item.vrid, verb, who, item.priority)


def _text(states):
    return "".join(
        "vrid {0}: {1}\n".format(state["vrid"], "drained" if state["drained"] else "not drained") for state in states
    )
