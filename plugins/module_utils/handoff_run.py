# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The handoff module's work: have mobile nodes use another virtual HA, and see what becomes of them."""

from __future__ import annotations

from collections import namedtuple

from .binding_info_run import FilterError, matches, networks
from .configuration import canonical
from .control import ControlError, Deadline
from .host import HostError
from .recovery_run import BATCH, UNDER_WAY, bound_at, must_be_master, shown

MOST = 1000000  # what the agent takes in one call
OF_OPERATOR = "operator"

# What is wanted: of whom, to which VRID (None: the least loaded), how many or which (networks; None when counted).
Wanted = namedtuple("Wanted", "vrid to count homes")
# What is to be asked for in addition to what waits and is under way already, by number or by name.
Step = namedtuple("Step", "wanted count homes under_way")


def run(module, control):
    """Everything between the module's parameters and its result; exceptions become fail_json here alone."""
    try:
        result = _run(module, control)
    except (HostError, ControlError, FilterError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def infos(status, control, limit):
    """What agent_info says of handoffs: those virtual HAs that know of any, and the first so many of each."""
    found = []
    for virtual_ha in (status or {}).get("virtual_has", []):
        if limit and any((virtual_ha.get("handoffs") or {}).values()):
            answer = control.call("handoffs", vrid=virtual_ha["vrid"])
            found.append(dict(answer, handoffs=answer["handoffs"][:limit], under_way=_under_way_by_target(answer)))
    return found


def _run(module, control):
    params = module.params
    status = control.call("status")
    everything = [_wanted(entry, status) for entry in _entries(params)]
    before = {wanted.vrid: control.call("handoffs", vrid=wanted.vrid) for wanted in everything}
    steps = [_step(wanted, status, before[wanted.vrid], control) for wanted in everything]
    asked = [step for step in steps if step.count]
    result = dict(
        changed=bool(asked),
        changes=[_line(step) for step in asked],
        diff=dict(before="", after="".join(_line(step) + shown(step.homes or []) for step in asked)),
        handoffs=[
            dict(vrid=step.wanted.vrid, to=step.wanted.to, asked=step.count, home_addresses=step.homes or [])
            for step in steps
        ],
        done=0,
        given_up=[],
    )
    if not module.check_mode:
        for step in asked:
            _ask(control, step)
        if params["wait"] and steps:
            _await(control, steps, params["timeout"])
            result.update(_came_of_it(before, steps, control))
    return result


def _entries(params):
    """The handoffs that were asked for, in whichever of the two ways they were written."""
    several = params["handoffs"]
    if (several is None) == (params["vrid"] is None):
        raise HostError("give 'vrid' for one handoff or 'handoffs' for several, and not both")
    if several is None:
        return [{name: params[name] for name in ("vrid", "to", "count", "home_addresses")}]
    if any(params[name] is not None for name in ("to", "count", "home_addresses")):
        raise HostError("'to', 'count' and 'home_addresses' go with 'vrid', or into each of the 'handoffs'")
    return several


def _wanted(entry, status):
    vrid, count, homes = entry["vrid"], entry.get("count"), entry.get("home_addresses")
    if (count is None) == (homes is None):
        raise HostError("VRID {0}: give 'count' or 'home_addresses', one of them".format(vrid))
    if count is not None and not 0 <= count <= MOST:
        raise HostError("VRID {0}: count is {1}; give a number from 0 to {2}".format(vrid, count, MOST))
    virtual_ha = must_be_master(status, vrid)
    to = _target(virtual_ha, _others(status, virtual_ha), entry.get("to"), status)
    return Wanted(vrid, to, count, None if homes is None else networks(homes, "home_addresses"))


def _others(status, virtual_ha):
    """The virtual HAs of the same home link that this host takes part in."""
    return [
        other
        for other in status.get("virtual_has", [])
        if other["vrid"] != virtual_ha["vrid"]
        and other.get("mipv6_ha_mode")
        and all(other.get(name) == virtual_ha.get(name) for name in ("interface", "prefix"))
    ]


def _target(virtual_ha, others, to, status):
    """The VRID that is meant by `to`, which is one or an address."""
    if not others:
        raise HostError(
            "{0} takes part in no other virtual HA of the home link of VRID {1}; there mobile nodes cannot keep their "
            "home addresses".format(status.get("host"), virtual_ha["vrid"])
        )
    if to is None or to == "":
        return None
    for other in others:
        if to == str(other["vrid"]) or canonical(to) in map(canonical, _addresses(other)):
            return other["vrid"]
    known = ", ".join("{0} ({1})".format(other["vrid"], ", ".join(_addresses(other))) for other in others)
    raise HostError(
        "VRID {0}: to is '{1}', which is no other virtual HA of its home link on {2}; there are {3}".format(
            virtual_ha["vrid"], to, status.get("host"), known
        )
    )


def _addresses(virtual_ha):
    return virtual_ha.get("addresses") or [virtual_ha.get("address") or ""]


def _step(wanted, status, known, control):
    if wanted.homes is None:
        virtual_ha = must_be_master(status, wanted.vrid)
        load = (virtual_ha.get("balance") or {}).get("load", virtual_ha["bindings"])
        under_way = _under_way_by_target(known)
        there = sum(e["count"] for e in under_way if (e["to"], e["reason"]) == (wanted.to, OF_OPERATOR))
        free = load - known["counts"]["pending"]
        return Step(wanted, max(0, min(wanted.count - there, free)), None, [])
    bound = bound_at(control, wanted.vrid, wanted.homes)
    under_way = [
        entry["home_address"]
        for entry in known["handoffs"]
        if entry["state"] in UNDER_WAY and matches(entry["home_address"], wanted.homes)
    ]
    not_again = set(under_way)
    if len(bound) > len(under_way):
        virtual_ha = must_be_master(status, wanted.vrid)
        for other in _others(status, virtual_ha):
            if wanted.to in (None, other["vrid"]):
                not_again.update(bound_at(control, other["vrid"], wanted.homes))
    homes = [home for home in bound if home not in not_again]
    return Step(wanted, len(homes), homes, under_way)


def _line(step):
    to = "the least loaded" if step.wanted.to is None else "VRID {0}".format(step.wanted.to)
    return "vrid {0}: hand {1} mobile nodes off to {2}".format(step.wanted.vrid, step.count, to)


def _under_way_by_target(known):
    """How many wait or were told and did not answer yet, by where they are to go and who wants that."""
    counts = {(entry["to"], OF_OPERATOR): entry["count"] for entry in known.get("unnamed") or []}
    for entry in known["handoffs"]:
        if entry["state"] in UNDER_WAY:
            what = (entry["to"], entry["reason"])
            counts[what] = counts.get(what, 0) + 1
    return [dict(to=to, reason=reason, count=count) for (to, reason), count in counts.items()]


def _ask(control, step):
    arguments = dict(vrid=step.wanted.vrid)
    if step.wanted.to is not None:
        arguments["to"] = step.wanted.to
    if step.homes is None:
        control.call("handoff", count=step.count, **arguments)
        return
    refused = []
    for start in range(0, len(step.homes), BATCH):
        names = step.homes[start : start + BATCH]
        refused += control.call("handoff", home_addresses=names, **arguments)["refused"]
    if refused:
        raise HostError(
            "VRID {0}: {1} of {2} mobile nodes cannot be handed off, the first of them is {3}: this host has no key to "
            "tell them with, or they were told within the last minute; see 'vrrp-ha handoffs {0}'".format(
                step.wanted.vrid, len(refused), len(step.homes), refused[0]
            )
        )


def _await(control, steps, timeout):
    """Until nobody waits any more and everybody who was told has answered or was given up."""
    vrids = sorted({step.wanted.vrid for step in steps})

    def missing():
        left = {vrid: _unfinished([s for s in steps if s.wanted.vrid == vrid], control) for vrid in vrids}
        return {vrid: count for vrid, count in left.items() if count}

    left = Deadline(timeout).wait(missing)
    if left:
        raise HostError(
            "after {0:g} s {1} mobile nodes still wait or have not answered ({2}); they are told one after the other "
            "at the rate of balance in agent.json, and that goes on: give more time, run this again, or see "
            "'vrrp-ha handoffs'".format(
                timeout,
                sum(left.values()),
                ", ".join("VRID {0}: {1}".format(vrid, count) for vrid, count in sorted(left.items())),
            )
        )


def _unfinished(steps, control):
    """Of one virtual HA, how many of those that were meant."""
    known = control.call("handoffs", vrid=steps[0].wanted.vrid)
    named = {home for step in steps for home in [*(step.homes or []), *step.under_way]}
    targets = {step.wanted.to for step in steps if step.homes is None}
    left = sum(entry["count"] for entry in known.get("unnamed") or [] if entry["to"] in targets)
    for entry in known["handoffs"]:
        if entry["state"] in UNDER_WAY and (
            entry["home_address"] in named or (entry["reason"] == OF_OPERATOR and entry["to"] in targets)
        ):
            left += 1
    return left


def _came_of_it(before, steps, control):
    done, given_up = 0, []
    named = {home for step in steps for home in step.homes or []}
    for vrid, known in before.items():
        now = control.call("handoffs", vrid=vrid)
        done += max(0, now["counts"]["done"] - known["counts"]["done"])
        old = {entry["home_address"] for entry in known["handoffs"] if entry["state"] == "failed"} - named
        given_up += [
            dict(vrid=vrid, home_address=entry["home_address"], to=entry["to"], detail=entry["detail"])
            for entry in now["handoffs"]
            if entry["state"] == "failed" and entry["home_address"] not in old
        ]
    return dict(done=done, given_up=given_up)
