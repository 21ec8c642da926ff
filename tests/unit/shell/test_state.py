# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What survives the agent."""

from pathlib import Path

import pytest

from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.types import SECOND, Binding, Instant
from vrrp_ha.shell.state import StateDirectory, StateError, is_in_use

WALL = 1_800_000_000 * SECOND


def binding(number, expires):
    return Binding(b"\x20" * 8 + number.to_bytes(8), b"\x30" * 16, number % 65536, 0xC000, Instant(expires))


def cache_of(*bindings):
    cache = BindingCache()
    cache.put_many(bindings)
    return cache


def save(state, caches, now, wall):
    for _unused in state.save_bindings(caches, now, wall):
        pass


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state")


def saved(path, caches):
    state = StateDirectory(path)
    save(state, caches, Instant(0), WALL)
    state.close()


def test_bindings_come_back_with_what_is_left_of_their_lifetime(path):
    saved(path, {51: cache_of(binding(1, 100 * SECOND)), 52: cache_of(binding(2, 50 * SECOND))})
    state = StateDirectory(path)
    restored = state.bindings(Instant(7), WALL + 30 * SECOND)
    assert restored == {51: [binding(1, 70 * SECOND + 7)], 52: [binding(2, 20 * SECOND + 7)]}
    state.close()


def test_what_expired_while_the_host_was_down_is_gone(path):
    saved(path, {51: cache_of(binding(1, 10 * SECOND), binding(2, 100 * SECOND))})
    state = StateDirectory(path)
    assert [b.sequence for b in state.bindings(Instant(0), WALL + 11 * SECOND)[51]] == [2]
    state.close()


def test_a_clock_that_went_back_lengthens_no_lifetime(path):
    saved(path, {51: cache_of(binding(1, 100 * SECOND))})
    state = StateDirectory(path)
    assert state.bindings(Instant(0), 0) == {51: [binding(1, 100 * SECOND)]}
    state.close()


def test_many_bindings_are_written_in_pieces(path):
    many = cache_of(*(binding(i, 1000 * SECOND) for i in range(2600)))
    state = StateDirectory(path)
    assert sum(1 for _unused in state.save_bindings({51: many}, Instant(0), WALL)) >= 5
    state.close()
    state = StateDirectory(path)
    assert len(state.bindings(Instant(0), WALL)[51]) == 2600
    state.close()


def test_an_agent_that_dies_while_saving_leaves_the_last_snapshot(path):
    saved(path, {51: cache_of(binding(1, 100 * SECOND))})
    state = StateDirectory(path)
    saving = state.save_bindings({51: cache_of(*(binding(i, 100 * SECOND) for i in range(2000)))}, Instant(0), WALL)
    next(saving)
    saving.close()
    state.close()
    state = StateDirectory(path)
    assert state.bindings(Instant(0), WALL) == {51: [binding(1, 100 * SECOND)]}
    state.close()


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:60] + b"\xaa" + d[61:], lambda d: b"", lambda d: d * 2]
)
def test_a_damaged_snapshot_is_refused(path, tmp_path, damage):
    saved(path, {51: cache_of(binding(1, 100 * SECOND))})
    file = tmp_path / "state" / "bindings"
    file.write_bytes(damage(file.read_bytes()))
    state = StateDirectory(path)
    with pytest.raises(StateError, match="damaged"):
        state.bindings(Instant(0), WALL)
    state.close()


def test_epoch_grows_with_every_start_also_without_its_file(path, tmp_path):
    epochs = []
    for _unused in range(3):
        state = StateDirectory(path)
        epochs.append(state.next_epoch())
        state.close()
    (tmp_path / "state" / "epoch").unlink()
    state = StateDirectory(path)
    assert epochs[0] < epochs[1] < epochs[2]
    assert state.next_epoch() >= epochs[0]
    state.close()


def test_drained_virtual_has_are_remembered(path):
    state = StateDirectory(path)
    assert state.drained() == frozenset()
    state.save_drained({51, 7})
    state.close()
    state = StateDirectory(path)
    assert state.drained() == frozenset({51, 7})
    state.close()


def test_a_directory_is_for_one_agent_at_a_time(path):
    assert not is_in_use(path)
    state = StateDirectory(path)
    assert is_in_use(path)
    with pytest.raises(StateError, match="in use by another agent"):
        StateDirectory(path)
    state.close()
    assert not is_in_use(path)


def test_what_was_heard_of_other_members_is_remembered(path):
    heard = {51: {bytes(15) + b"\x01": 7 << 32 | 3}, 52: {}}
    state = StateDirectory(path)
    assert state.heard() == {}
    state.save_heard(heard)
    state.close()
    state = StateDirectory(path)
    assert state.heard() == heard
    Path(path, "heard.json").write_text('{"vrids": {"51": 3}}')
    assert state.heard() == {}
    state.close()
