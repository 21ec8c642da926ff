# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent module is killed before each thing that it does to a host; the next run ends where one would have."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import tempfile

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.module_utils import host as paths
from ansible_collections.mip6.vrrp_ha.plugins.module_utils.deployment import FIXED
from ansible_collections.mip6.vrrp_ha.tests.unit.plugins.place import KEYS, SECRET

DEADLY = (
    (os, "replace"), (os, "rename"), (os, "symlink"), (os, "unlink"), (os, "rmdir"), (os, "makedirs"), (os, "chmod"),
    (os, "fsync"), (tempfile, "mkstemp"), (tempfile, "mkdtemp"), (shutil, "rmtree"),
)  # fmt: skip


class Killed(BaseException):
    """SIGKILL; from then on nothing can be done any more, not even by what cleans up."""


class Fate:
    """Lets so many deeds be done and no more."""

    def __init__(self, place, monkeypatch, deeds):
        self._left = deeds
        for owner, name in DEADLY:
            monkeypatch.setattr(owner, name, self._mortal(getattr(owner, name)))
        run = place.system.run
        mortal = self._mortal(run)
        monkeypatch.setattr(place.system, "run", lambda line, **more: (run if "show" in line else mortal)(line, **more))
        client = place.client

        def mortal_client(path):
            made = client(path)
            call = made.call
            made.call = lambda name, **more: call(name) if name == "status" else self._mortal(call)(name, **more)
            return made

        monkeypatch.setattr(place, "client", mortal_client)

    def _mortal(self, deed):
        def done(*arguments, **options):
            self._left -= 1
            if self._left < 0:
                raise Killed
            return deed(*arguments, **options)

        return done


def live(place):
    """Give the agent a memory: what it has loaded, and what it was started with."""
    known = {}
    agent, system = place.agent, place.system

    def disk():
        host = system.host()
        return host.read(paths.CONFIG) or "", host.read(paths.KEYS)

    def load(*_call):
        known["loaded"] = disk()
        agent.status["config_digest"] = hashlib.sha256(known["loaded"][0].encode()).hexdigest()
        look()

    def look(*_call):
        now, then = json.loads(known["loaded"][0] or "{}"), json.loads(known["started"] or "{}")
        agent.status["config_current"] = known["loaded"] == disk()
        agent.status["restart_needed"] = [name for name in FIXED if now.get(name) != then.get(name)]

    systemctl = system._systemctl

    def starting(command):
        if command[0] in ("start", "restart"):
            known["started"] = disk()[0]
            load()
        return systemctl(command)

    system._systemctl = starting
    agent.on_call.update(status=look, reload=load)
    place.known = known


def state(place):
    """Everything that counts in the end."""
    system = place.system
    agent = place.known if system.active else None
    return place.tree(), system.active, system.enabled, system.user, system.running if system.active else None, agent


def nothing(_place):
    """A host without an agent."""


def deployed(place):
    for place.release in ("release0", "release1"):
        place.call()


def other_settings(place):
    place.config["virtual_has"][0]["priority"] = 150
    place.keys = KEYS.replace(SECRET, SECRET[::-1])


def other_tables(place):
    place.config["first_table"] = 2000


def other_release(place):
    place.release = "release2"


def no_keys(place):
    place.keys = None


CASES = {
    "fresh": (nothing, nothing, {}),
    "reload": (deployed, other_settings, {}),
    "restart": (deployed, other_tables, {}),
    "release": (deployed, other_release, {}),
    "keys gone": (deployed, no_keys, {}),
    "absent": (deployed, nothing, {"state": "absent"}),
    "deferred": (deployed, other_tables, {"restart": "deferred"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_goes_on_wherever_the_one_before_was_killed(fake, tmp_path, case):
    from ansible_collections.mip6.vrrp_ha.tests.unit.plugins.place import Place

    before, change, options = CASES[case]

    def made(name):
        (tmp_path / name).mkdir()
        place = Place(fake, tmp_path / name)
        live(place)
        before(place)
        change(place)
        return place

    def run(place):
        """As the role does it, which may put a restart off."""
        result = place.call(**options)
        assert "failed" not in result, result
        if result.get("restart_pending"):
            assert "failed" not in place.call(state="restarted")

    def ends(place):
        run(place)
        found = state(place)
        again = place.call(**options)
        assert (again["changed"], again.get("restart_pending", False)) == (False, False)
        place.agent.close()
        return [str(part).replace(str(place.root), "") for part in found]

    right = ends(made("undisturbed"))
    for deeds in itertools.count():
        place = made(str(deeds))
        with pytest.MonkeyPatch.context() as patched:
            Fate(place, patched, deeds)
            try:
                run(place)
            except Killed:
                pass
            else:
                place.agent.close()
                break
        assert ends(place) == right, f"killed after {deeds} deeds"
    assert deeds > 5
