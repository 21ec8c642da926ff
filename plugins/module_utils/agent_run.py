# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent module's work: observe, plan, check, and unless in check mode do, wait and report."""

from __future__ import annotations

import contextlib
import hashlib
import json

from . import host as paths
from .checker import RefusedError, check
from .configuration import parsed
from .control import ControlError, Deadline
from .deployment import Desired, Observed, Step, Worker, defer, diff, needs_check, plan, removal, shown
from .health import masters_of, unhealthy
from .host import HostError
from .moves import moves, refusal
from .spec import CONTROL_SOCKET


def run(module, host, control_client):
    """Everything between the module's parameters and its result; exceptions become fail_json here alone."""
    # The action shows the operator's options; what it computed from them would be shown twice and is long.
    shown = dict(invocation=dict(module_args=dict(state=module.params["state"])))
    work = {"present": _present, "absent": _absent, "restarted": _restarted}[module.params["state"]]
    try:
        with contextlib.nullcontext() if module.check_mode else host.alone():
            result = work(module, host, control_client)
    except RefusedError as refused:
        module.fail_json(msg=str(refused), problems=refused.problems, **shown)
    except (HostError, ControlError) as error:
        module.fail_json(msg=str(error), **shown)
    module.exit_json(**dict(result, **shown))


def _present(module, host, control_client):
    if not module.params["prepared"]:
        module.fail_json(msg="mip6.vrrp_ha.agent was called without its action on the controller; call it as a task")
    prepared = json.loads(module.params["prepared"])
    desired = Desired(keys=prepared["keys"], **prepared["desired"])
    archive = prepared.get("archive")
    if desired.release not in host.releases() and not archive and not module.check_mode:
        return dict(changed=False, release_missing=True)

    control = control_client(desired.config.get("control_socket", CONTROL_SOCKET))
    observed = Observed(host, _status(control))
    moved = moves(observed.config, desired.config, observed.status) if module.params["moves"] == "refuse" else []
    if moved:
        raise HostError(refusal(moved))
    steps = plan(observed, desired)
    deferred = []
    if module.params["restart"] == "deferred":
        steps, deferred = defer(observed, desired, steps)
    worker = Worker(host, control, observed, desired, (archive, prepared.get("archive_digest")))
    checkable = desired.release in observed.releases

    # The release comes first: its checker decides about the rest.
    if not module.check_mode:
        for step in [step for step in steps if step.kind == "install"]:
            worker.do(step)
        checkable = True
    if needs_check(steps) and checkable:
        check(host.attempt, [host.launcher(desired.release)], desired.config, desired.keys, module.tmpdir)

    result = dict(
        changed=bool(steps),
        changes=[step.text for step in steps],
        diff=diff(observed, desired, steps),
        release=desired.release,
        restart_pending=bool(deferred),
        restart_reasons=[step.text for step in deferred],
        unchecked=needs_check(steps) and not checkable,
    )
    status = observed.status
    if not module.check_mode:
        for step in steps:
            if step.kind != "install":
                _finish(worker.do(step), step, worker, deferred, module.params["restart"])
        result["restart_pending"] = bool(deferred)
        if not deferred:
            status = _await_health(module, host, control)
    return dict(result, status=status, service=observed.service, master_of=masters_of(status))


def _finish(restart_needed, step, worker, deferred, restart):
    """A reload may have found settings that take a restart, left over from a run that was cut short."""
    if step.kind == "reload" and restart_needed:
        late = Step("restart", "service: restart for " + ", ".join(restart_needed))
        if restart == "deferred":
            deferred.append(late)
        else:
            worker.do(late)


def _absent(module, host, _control_client):
    observed = Observed(host)
    steps = removal(observed)
    if not module.check_mode:
        worker = Worker(host, None, observed)
        for step in steps:
            worker.do(step)
    changes = [step.text for step in steps]
    return dict(
        changed=bool(steps),
        changes=changes,
        diff=shown(changes),
        service=observed.service,
        status=None,
        master_of=[],
    )


def _restarted(module, host, control_client):
    config = parsed(host.read(paths.CONFIG) or "")
    if config is None:
        raise HostError("there is no {0} to start the agent with; deploy it first".format(paths.CONFIG))
    control = control_client(config.get("control_socket", CONTROL_SOCKET))
    status = _status(control)
    if not module.check_mode:
        host.systemctl("restart", paths.SERVICE)
        status = _await_health(module, host, control, synced=True)
    changes = ["service: restart"]
    return dict(changed=True, changes=changes, diff=shown(changes), status=status, master_of=masters_of(status))


def _status(control):
    try:
        return control.call("status")
    except ControlError as error:
        if error.code != "unreachable":
            raise
        return None


def _await_health(module, host, control, synced=False):
    """Poll until the agent runs what is on the disk and is well; the last status."""
    if not module.params["timeout"]:
        return _status(control)
    digest = hashlib.sha256((host.read(paths.CONFIG) or "").encode()).hexdigest()
    seen = {}

    def missing():
        seen["status"] = _status(control)
        if seen["status"] is None:
            return "an answer on the control socket"
        return unhealthy(seen["status"], digest, synced)

    what = Deadline(module.params["timeout"]).wait(missing)
    if what:
        module.fail_json(
            msg="waited {0:g} s for {1}; the journal of {2} says: {3}".format(
                module.params["timeout"], what, paths.SERVICE, host.journal()
            ),
            status=seen["status"],
            invocation=dict(module_args=dict(state=module.params["state"])),
        )
    return seen["status"]
