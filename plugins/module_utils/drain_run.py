# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drain module's work: take a host out of service for some or all of its VRIDs, or put it back."""

from __future__ import annotations

from .control import ControlError, Deadline
from .health import state_of, virtual_ha_of
from .host import HostError

VERBS = {"drained": "drain", "undrained": "undrain"}
OWNER = 255


def run(module, control):
    """Everything between the module's parameters and its result; exceptions become fail_json here alone."""
    try:
        result = _run(module, control)
    except (HostError, ControlError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _run(module, control):
    drained = module.params["state"] == "drained"
    verb = VERBS[module.params["state"]]
    status = control.call("status")
    vrids = _vrids(status, module.params["vrids"])
    before = [state_of(status, vrid) for vrid in vrids]
    steps = [state["vrid"] for state in before if state["drained"] != drained]
    after = [dict(state, drained=drained) for state in before]
    if not module.check_mode:
        if steps:
            control.call(verb, vrids=steps)
        if module.params["wait"]:
            _await(module.params["timeout"], control, vrids, drained)
        status = control.call("status")
        after = [state_of(status, vrid) for vrid in vrids]
    return dict(
        changed=bool(steps),
        changes=["vrid {0}: {1}".format(vrid, verb) for vrid in steps],
        virtual_has=after,
        diff=dict(before=_text(before), after=_text(after)),
    )


def _vrids(status, wanted):
    """The VRIDs that are meant: all that the agent has when none were given."""
    known = [entry["vrid"] for entry in status.get("virtual_has", [])]
    strangers = [vrid for vrid in wanted or [] if vrid not in known]
    if strangers:
        raise HostError(
            "{0} takes no part in VRID {1} (it has: {2}); run this on the members alone".format(
                status.get("host"), ", ".join(map(str, strangers)), ", ".join(map(str, known)) or "none"
            )
        )
    return known if wanted is None else list(dict.fromkeys(wanted))


def _await(timeout, control, vrids, drained):
    def missing():
        status = control.call("status")
        return next(filter(None, (_missing(virtual_ha_of(status, vrid) or {}, vrid, drained) for vrid in vrids)), "")

    what = Deadline(timeout).wait(missing)
    if what:
        raise HostError("waited {0:g} s for {1}".format(timeout, what))


def _missing(state, vrid, drained):
    """What one VRID still lacks; an empty text when it is as wanted."""
    if drained:
        if state.get("state") == "master" or state.get("leaving"):
            return (
                "another member to take over VRID {0}: this host still serves it; is there another member that is up, "
                "undrained and on the same link? 'state: undrained' takes the drain back".format(vrid)
            )
    elif state.get("mipv6_ha_mode") and not state.get("synced") and state.get("state") != "master":
        return "VRID {0} to hold the bindings of its Master".format(vrid)
    elif state.get("priority") == OWNER and state.get("state") != "master":
        return "VRID {0} to be served by its owner again: {1}".format(vrid, state.get("alarm") or "it is no Master yet")
    if not state.get("master"):
        return "VRID {0} to have a Master".format(vrid)
    return ""


def _text(states):
    return "".join(
        "vrid {0}: {1}\n".format(state["vrid"], "drained" if state["drained"] else "not drained") for state in states
    )
