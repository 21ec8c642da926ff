# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery module's work: have mobile nodes register anew with another home agent, and see what becomes of them."""

from __future__ import annotations

from typing import Any

from .binding_info_run import PAGE, FilterError, matches, networks
from .control import ControlError, Deadline
from .health import virtual_ha_of
from .host import HostError

BATCH = 1000  # what the agent takes in one call
LISTED = 10000  # and tells in one
UNDER_WAY = ("pending", "sent")
SHOWN = 100  # in a diff


def run(module, control):
    """Everything between the module's parameters and its result; exceptions become fail_json here alone."""
    try:
        result = _run(module, control)
    except (HostError, ControlError, FilterError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def infos(status, control, limit):
    """What agent_info says of recoveries: those virtual HAs that know of any, and the first so many of each."""
    found = []
    for virtual_ha in (status or {}).get("virtual_has", []):
        counts = virtual_ha.get("recoveries") or {}
        if limit and any(counts.values()):
            answer = control.call("recoveries", vrid=virtual_ha["vrid"], limit=limit)
            found.append(
                dict(vrid=virtual_ha["vrid"], counts=answer["counts"], recoveries=answer["recoveries"][:limit])
            )
    return found


def _run(module, control):
    params = module.params
    vrid = params["vrid"]
    must_be_master(control.call("status"), vrid)
    meant = networks(params["home_addresses"], "home_addresses")
    bound = bound_at(control, vrid, meant)
    under_way = [
        entry["home_address"]
        for entry in _states(control, vrid)
        if entry["state"] in UNDER_WAY and matches(entry["home_address"], meant)
    ]
    wanted = [home for home in bound if home not in set(under_way)]
    changes = ["vrid {0}: recover {1} mobile nodes".format(vrid, len(wanted))] if wanted else []
    result: dict[str, Any] = dict(changed=bool(wanted), changes=changes, wanted=wanted)
    result.update(done=[], given_up=[], unfinished=[])
    result["diff"] = dict(before="", after="".join(change + shown(wanted) for change in changes))
    if not module.check_mode:
        refused = _ask(control, vrid, wanted, params["timeout"]) if wanted else []
        if refused:
            raise HostError(
                "{0} of {1} mobile nodes cannot be recovered, the first of them is {2}: this host has no key of them "
                "and there is no hook, or its queue is full (recovery in agent.json)".format(
                    len(refused), len(wanted), refused[0]
                )
            )
        if params["wait"]:
            result.update(_await(control, vrid, [*wanted, *under_way], params["timeout"]))
            if result["unfinished"]:
                raise HostError(
                    "after {0:g} s {1} mobile nodes are still waiting or have not answered, the first of them is "
                    "{2}; they are recovered one after the other at the rate of recovery in agent.json: give more "
                    "time, or see 'vrrp-ha recoveries {3}'".format(
                        params["timeout"], len(result["unfinished"]), result["unfinished"][0], vrid
                    )
                )
    return result


def shown(homes):
    """Home addresses in a diff: a line each, and no more than somebody would read."""
    more = ["  and {0} more".format(len(homes) - SHOWN)] if len(homes) > SHOWN else []
    return "\n" + "".join(line + "\n" for line in ["  " + home for home in homes[:SHOWN]] + more)


def must_be_master(status, vrid):
    """The virtual HA's part of the status; HostError unless this host is its Master."""
    virtual_ha = virtual_ha_of(status, vrid)
    if virtual_ha is None:
        known = ", ".join(str(entry["vrid"]) for entry in status.get("virtual_has", [])) or "none"
        raise HostError("{0} takes no part in VRID {1} (it has: {2})".format(status.get("host"), vrid, known))
    if virtual_ha.get("state") != "master":
        raise HostError(
            "{0} is not Master of VRID {1}; run this on the one that is, {2}".format(
                status.get("host"),
                vrid,
                virtual_ha.get("master_name") or virtual_ha.get("master") or "which is unknown",
            )
        )
    return virtual_ha


def bound_at(control, vrid, wanted):
    """The home addresses in the cache that are meant."""
    found, following = [], None
    while True:
        arguments = dict(vrid=vrid, limit=PAGE, **(dict(after=following) if following else {}))
        answer = control.call("bindings", **arguments)
        found += [entry["home_address"] for entry in answer["bindings"] if matches(entry["home_address"], wanted)]
        following = answer["next"]
        if not following:
            return found


def _states(control, vrid):
    return control.call("recoveries", vrid=vrid, limit=LISTED)["recoveries"]


def _ask(control, vrid, homes, timeout):
    """Queue them all, as the queue has room; those that were refused to the end."""
    left = list(homes)

    def missing():
        refused = []
        for start in range(0, len(left), BATCH):
            refused += control.call("recover", vrid=vrid, home_addresses=left[start : start + BATCH])["refused"]
        progress = len(refused) < len(left)
        left[:] = refused
        # Nothing taken and nothing under way: they are not refused for want of room.
        return left and (progress or any(entry["state"] == "pending" for entry in _states(control, vrid)))

    Deadline(timeout).wait(missing)
    return left


def _await(control, vrid, homes, timeout):
    asked, seen = set(homes), {}

    def missing():
        for entry in _states(control, vrid):
            if entry["home_address"] in asked:
                seen[entry["home_address"]] = entry["state"]
        return [home for home in homes if seen.get(home) in UNDER_WAY]

    unfinished = Deadline(timeout).wait(missing)
    return dict(
        done=[home for home in homes if seen.get(home) == "done"],
        given_up=[home for home in homes if seen.get(home) == "failed"],
        unfinished=unfinished,
    )
