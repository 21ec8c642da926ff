# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to a host so that it runs the agent as it should: observed against desired, as steps.

plan() is pure; apply() does the steps with a Host and a ControlClient. Check mode stops between the two.
"""

from __future__ import annotations

from collections import namedtuple

from . import host as paths
from .configuration import differences, masked_keys, parsed, same, text_of
from .control import ControlError

Step = namedtuple("Step", "kind text subject", defaults=(None,))

# What a host should be. config is a document; keys a text, or None for no keys; sysctls name -> value.
Desired = namedtuple("Desired", "release config keys unit sysctls python")

# Settings that a running agent cannot change.
FIXED = (
    "host",
    "state_directory",
    "control_socket",
    "control_group",
    "first_table",
    "decapsulation_table",
    "solicited_node_groups",
)

RELEASES_KEPT = 2


class Observed:
    """What a host is; status is the agent's, None when it does not answer."""

    def __init__(self, host, status=None):
        self.host = host
        self.status = status
        self.user = host.has_user()
        self.releases = host.releases()
        self.current = (host.link_target(paths.CURRENT) or "").split("/")[-1] or None
        self.launcher = host.link_target(paths.LAUNCHER)
        self.files = {path: host.read(path) for path in paths.MODES}
        self.leftovers = host.leftovers()
        self.insecure = [path for path in paths.MODES if self.files[path] is not None and not host.is_secure(path)]
        service = host.service()
        self.service = service.get("ActiveState")
        self.active = self.service in ("active", "reloading", "activating")
        self.enabled = service.get("UnitFileState") == "enabled"
        self.stale_unit = service.get("NeedDaemonReload") == "yes"
        self.running = host.running_release(service.get("MainPID")) if self.active else None

    @property
    def config(self):
        """The configuration on the host as a document, {} if there is none."""
        return parsed(self.files[paths.CONFIG] or "") or {}


def sysctl_text(sysctls):
    """The file that keeps the sysctls over a boot."""
    lines = ["# Written by mip6.vrrp_ha.agent; changes are overwritten."]
    return "\n".join(lines + ["{0} = {1}".format(name, sysctls[name]) for name in sorted(sysctls)]) + "\n"


def wanted_files(desired):
    """path -> text for every file; None for one that should not be there."""
    return {
        paths.SYSCTLS: sysctl_text(desired.sysctls),
        paths.UNIT: desired.unit,
        paths.CONFIG: text_of(desired.config),
        paths.KEYS: desired.keys,
    }


def plan(observed, desired):
    """The steps from what is to what should be, in the order in which they are done; none if there is no need."""
    return (
        _tidy_steps(observed)
        + _release_steps(observed, desired)
        + _file_steps(observed, desired)
        + _service_steps(observed, desired)
        + _prune_steps(observed, desired)
    )


def _tidy_steps(observed):
    return [Step("tidy", path + ": remove, a run was broken off", path) for path in observed.leftovers]


def _release_steps(observed, desired):
    steps = []
    if not observed.user:
        steps.append(Step("add_user", "user: add the system user " + paths.USER))
    if desired.release not in observed.releases:
        steps.append(Step("install", "release: install " + desired.release))
    return steps


def _file_steps(observed, desired):
    steps = []
    for path, text in wanted_files(desired).items():
        known = observed.files[path]
        if text is None and known is not None:
            steps.append(Step("remove", path + ": remove", path))
        elif text is not None and not _same_file(path, known, text):
            steps.append(Step("write", _write_text(path, known, text), path))
        elif path in observed.insecure:
            steps.append(Step("secure", path + ": put its owner and mode right", path))
    for name in sorted(desired.sysctls):
        if observed.host.sysctl(name) != desired.sysctls[name]:
            steps.append(Step("sysctl", "sysctl: {0} = {1}".format(name, desired.sysctls[name]), name))
    if observed.current != desired.release:
        steps.append(Step("switch", "release: {0} -> {1}".format(observed.current or "none", desired.release)))
    if observed.launcher != paths.CURRENT + "/bin/vrrp-ha":
        steps.append(Step("launcher", paths.LAUNCHER + ": link to the current release"))
    return steps


def _same_file(path, known, text):
    return same(known, text) if path in (paths.CONFIG, paths.KEYS) else known == text


def _write_text(path, known, text):
    if known is None:
        return path + ": create"
    if path == paths.CONFIG and parsed(known) is not None:
        return "{0}: {1}".format(path, "; ".join(differences(parsed(known), parsed(text))))
    return path + ": update"


def _service_steps(observed, desired):
    steps = []
    if observed.stale_unit or not _same_file(paths.UNIT, observed.files[paths.UNIT], desired.unit):
        steps.append(Step("daemon_reload", "service: let systemd read the unit"))
    if not observed.enabled:
        steps.append(Step("enable", "service: enable"))
    if not observed.active:
        steps.append(Step("start", "service: start"))
    elif restart_reasons(observed, desired):
        steps.append(Step("restart", "service: restart for " + ", ".join(restart_reasons(observed, desired))))
    elif _needs_reload(observed, desired):
        steps.append(Step("reload", "service: reload"))
    return steps


def restart_reasons(observed, desired):
    """Why a reload would not do."""
    reasons = []
    if observed.running not in (None, desired.release) or observed.current != desired.release:
        reasons.append("the release")
    if observed.status is None:
        reasons.append("an agent that does not answer")
    for name in FIXED:
        if observed.config.get(name) != desired.config.get(name):
            reasons.append(name)
    # Put off by a run that was broken off before it did it.
    put_off = (observed.status or {}).get("restart_needed", [])
    return reasons + [name for name in put_off if name not in reasons]


def defer(observed, desired, steps):
    """The steps without the restart, and the restart. What a running agent can take in it does at once.

    So members that are restarted one after the other hold the same keys all the while.
    """
    kept, deferred = [], []
    for step in steps:
        if step.kind != "restart":
            kept.append(step)
            continue
        deferred.append(step)
        if observed.status is not None and _needs_reload(observed, desired):
            kept.append(Step("try_reload", "service: reload"))
    return kept, deferred


def _needs_reload(observed, desired):
    wanted = wanted_files(desired)
    changed = [path for path in (paths.CONFIG, paths.KEYS) if not _same_file(path, observed.files[path], wanted[path])]
    return bool(changed) or not observed.status.get("config_current", True)


def _prune_steps(observed, desired):
    # The one that runs stays until nothing runs from it.
    keep = [desired.release] + ([observed.running] if observed.running else [])
    keep = list(dict.fromkeys(keep))
    others = [name for name in observed.releases if name not in keep]
    spare = max(RELEASES_KEPT - len(keep), 0)
    return [Step("prune", "release: remove " + name, name) for name in others[spare:]]


def needs_check(steps):
    """Whether the agent's checker must agree before the steps are done."""
    return any(
        step.kind in ("install", "switch") or (step.kind == "write" and step.subject in (paths.CONFIG, paths.KEYS))
        for step in steps
    ) or any(step.kind == "remove" for step in steps)


def diff(observed, desired, steps):
    """Before and after of every file that changes, and of the rest as lines; without secrets."""
    parts = []
    others = []
    wanted = wanted_files(desired)
    for step in steps:
        if step.kind in ("write", "remove"):
            before, after = observed.files[step.subject] or "", wanted[step.subject] or ""
            if step.subject == paths.KEYS:
                before, after = masked_keys(before), masked_keys(after, before or None)
            parts.append(dict(before_header=step.subject, after_header=step.subject, before=before, after=after))
        else:
            others.append(step.text)
    return parts + shown(others)


def shown(lines):
    """What is done to a host beside its files, as a part of a diff; none when nothing is."""
    after = "".join(line + "\n" for line in lines)
    return [dict(before_header="host", after_header="host", before="", after=after)] if lines else []


def removal(observed):
    """The steps that take everything away again."""
    steps = []
    if observed.active:
        steps.append(Step("stop", "service: stop"))
    if observed.enabled:
        steps.append(Step("disable", "service: disable"))
    steps.extend(_tidy_steps(observed))
    for path in (paths.UNIT, paths.SYSCTLS, paths.LAUNCHER, "/etc/vrrp-ha", paths.BASE, paths.STATE_DIRECTORY):
        if observed.host.exists(path):
            steps.append(Step("remove", path + ": remove", path))
    if observed.files[paths.UNIT] is not None or observed.stale_unit:
        steps.append(Step("daemon_reload", "service: let systemd forget the unit"))
    if observed.user:
        steps.append(Step("remove_user", "user: remove the system user " + paths.USER))
    return steps


class Worker:
    """Does steps. A reload that the agent refuses puts the files back and raises."""

    def __init__(self, host, control, observed, desired=None, archive=None):
        self._host = host
        self._control = control
        self._observed = observed
        self._desired = desired
        self._archive = archive

    def do(self, step):
        """Do one step; HostError or ControlError if it cannot be done.

        A reload returns the settings that take a restart; everything else returns nothing.
        """
        return getattr(self, "_" + step.kind)(step.subject)

    def _add_user(self, _subject):
        self._host.add_user()

    def _remove_user(self, _subject):
        self._host.remove_user()

    def _install(self, _subject):
        path, digest = self._archive
        self._host.install(self._desired.release, path, digest, self._desired.python)

    def _write(self, path):
        self._host.write(path, wanted_files(self._desired)[path])

    def _tidy(self, path):
        self._host.remove(path)

    def _secure(self, path):
        self._host.secure(path)

    def _remove(self, path):
        self._host.remove(path)

    def _sysctl(self, name):
        self._host.set_sysctl(name, self._desired.sysctls[name])

    def _switch(self, _subject):
        self._host.link(paths.CURRENT, "releases/" + self._desired.release)

    def _launcher(self, _subject):
        self._host.link(paths.LAUNCHER, paths.CURRENT + "/bin/vrrp-ha")

    def _prune(self, name):
        self._host.remove_release(name)

    def _daemon_reload(self, _subject):
        self._host.systemctl("daemon-reload")

    def _enable(self, _subject):
        self._host.systemctl("enable", paths.SERVICE)

    def _disable(self, _subject):
        self._host.systemctl("disable", paths.SERVICE)

    def _start(self, _subject):
        self._host.systemctl("start", paths.SERVICE)

    def _stop(self, _subject):
        self._host.systemctl("stop", paths.SERVICE)

    def _restart(self, _subject):
        self._host.systemctl("restart", paths.SERVICE)

    def _reload(self, _subject):
        try:
            return self._control.call("reload").get("restart_needed")
        except Exception:
            self._put_back()
            raise

    def _try_reload(self, _subject):
        try:
            self._control.call("reload")
        except ControlError:
            pass  # an old release may not know what is new: the restart that is to come will do

    def _put_back(self):
        for path in (paths.CONFIG, paths.KEYS):
            known = self._observed.files[path]
            if known is not None and not same(known, self._host.read(path)):
                self._host.write(path, known)
