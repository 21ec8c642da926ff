# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools

import pytest
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.key_rotation import (
    STEPS,
    RotationError,
    virtual_has_of_step,
)

HOSTS = ("ha1", "ha2", "ha3")
KEYS = ("old", "new")
WANTED = {"vrid": 51, "priorities": {"ha1": 255, "ha2": 200, "ha3": 150}, "sync_key": "new"}


def using(*names: str) -> dict:
    """What the agents send with."""
    entries = ({"vrid": 51, "sync_key": name} if name else {"vrid": 7} for name in names)
    return {host: [entry] for host, entry in zip(HOSTS, entries, strict=True)}


def told(step: str, host: str, observed: dict, wanted: dict | None = None, keys: tuple | list = KEYS) -> tuple:
    (entry,) = virtual_has_of_step(step, host, [wanted or WANTED], observed, list(keys))
    return entry["sync_key"], set(entry.get("accepted_sync_keys", ()))


def understands(receiver: tuple, sender: tuple) -> bool:
    return sender[0] == receiver[0] or sender[0] in receiver[1]


@pytest.mark.parametrize("names", [("old",) * 3, ("old", "new", "old"), ("new", "new", "old"), ("old", "older", "")])
def test_everybody_understands_everybody_at_every_moment(names):
    """Whatever a rotation that was broken off has left, and in whatever order the hosts are reached."""
    observed = using(*names)
    before = {host: told("accept", host, observed, keys=[*KEYS, "older"]) for host in HOSTS}
    for _unused, step in itertools.pairwise(STEPS):
        after = {host: told(step, host, observed, keys=[*KEYS, "older"]) for host in HOSTS}
        for reached in itertools.product((False, True), repeat=3):
            now = [after[host] if done else before[host] for host, done in zip(HOSTS, reached, strict=True)]
            assert all(understands(one, other) for one, other in itertools.permutations(now, 2))
        before = after
    assert {told("finish", host, observed)[0] for host in HOSTS} == {"new"}


def test_first_each_host_goes_on_sending_as_it_does():
    observed = using("old", "new", "")
    assert told("accept", "ha1", observed) == ("old", {"new"})
    assert told("accept", "ha2", observed) == ("new", {"old"})
    assert told("accept", "ha3", observed) == ("new", {"old"})  # it is new there


def test_in_the_end_it_is_what_was_asked_for():
    wanted = dict(WANTED, accepted_sync_keys=["foreign"])
    observed = using("old", "old", "old")
    assert virtual_has_of_step("finish", "ha1", [wanted], observed, KEYS) == [wanted]
    assert told("switch", "ha1", observed, wanted) == ("new", {"old", "foreign"})


@pytest.mark.parametrize("step", STEPS)
def test_what_a_host_takes_no_part_in_is_no_step_for_it(step):
    assert virtual_has_of_step(step, "ha9", [WANTED], using("old", "old", "old"), KEYS) == [WANTED]


@pytest.mark.parametrize("step", STEPS)
def test_where_there_is_nothing_to_do_nothing_is_different(step):
    others = [dict(WANTED, accepted_sync_keys=["old"]), {"vrid": 52, "priorities": {"ha9": 255}, "insecure_sync": True}]
    assert virtual_has_of_step(step, "ha1", others, using("new", "new", "new"), []) == others


def test_a_key_that_is_in_use_and_not_in_the_vault_is_named():
    with pytest.raises(RotationError, match=r"vrid=51\]: ha1 still sends with the key 'old'.*keep it there"):
        told("accept", "ha2", using("old", "new", "new"), keys=["new"])


def test_all_members_have_to_be_there():
    observed = using("old", "old", "old")
    del observed["ha3"]
    with pytest.raises(RotationError, match="ha3 did not answer"):
        told("accept", "ha1", observed)


def test_there_are_three_steps():
    with pytest.raises(RotationError, match="'jump' is no step"):
        told("jump", "ha1", using("old", "old", "old"))
