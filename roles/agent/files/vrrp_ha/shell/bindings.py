# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bindings into the kernel: a queue of work that is done in small pieces, strictly in order.

Each binding is a route (forwarding.py) and an element of the guard's set of bound addresses. A piece of work is a
generator that pauses after every few dozen of them; what it yields tells whether it can go on at once.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from . import forwarding, netlink
from .netlink import Netlink

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from ..core.types import Address, Binding
    from .forwarding import BindingRoutes
    from .guard import Guard

_CHUNK = 64  # bindings at a time: half a millisecond of the kernel's
_MANY = 4096  # at a time where the kernel is not asked
_OUT_OF_MEMORY = (errno.ENOMEM, errno.ENOBUFS)
_GO_ON, _PAUSE = True, False

_T = TypeVar("_T")


class DataPlaneError(Exception):
    """The host refused something for one virtual router."""

    def __init__(self, vrid: int, effect: str, reason: str) -> None:
        super().__init__(f"vrid {vrid}: {effect}: {reason}")
        self.vrid = vrid
        self.effect = effect
        self.reason = reason

    @classmethod
    def of(cls, vrid: int, effect: str, error: OSError) -> DataPlaneError:
        """What the kernel said, for an operator."""
        reason = error.strerror or str(error)
        return cls(vrid, effect, f"{error.filename}: {reason}" if error.filename else reason)


class BindingTable:
    """One virtual HA's bindings as they should be in the kernel, but for what is still queued."""

    def __init__(self, vrid: int, table: int) -> None:
        self.vrid = vrid
        self.table = table
        self.installed: dict[Address, Address] = {}  # care-of address by home address
        self.routes: BindingRoutes | None = None  # None until its device exists
        self.watchers: list[set[Address]] = []  # each is told of the home addresses of which something changes

    def touch(self, homes: Iterable[Address]) -> None:
        """Something about these is going to change."""
        for watcher in self.watchers:
            watcher.update(homes)


class Installer:
    """The queue and its work. One for all virtual HAs, so that a marker is passed when everything before it is done."""

    def __init__(self, route: Netlink, guard: Guard) -> None:
        self._route = route
        self._guard = guard
        self._queue: deque[tuple[int, str, Iterator[bool] | int]] = deque()
        self._passed: list[tuple[int, int]] = []
        self._failed: DataPlaneError | None = None
        self._findings: list[str] = []

    # --- the queue -----------------------------------------------------------------------------------------

    def install(self, table: BindingTable, bindings: list[Binding]) -> None:
        """Queue routes and source checks."""
        self._queue.append((table.vrid, "install", self._install(table, bindings)))

    def remove(self, table: BindingTable, bindings: list[Binding]) -> None:
        """Queue the end of these bindings."""
        self._queue.append((table.vrid, "remove", self._remove(table, bindings)))

    def confirm(self, vrid: int, token: int) -> None:
        """Queue a marker."""
        self._queue.append((vrid, "confirm", token))

    def compare(self, table: BindingTable) -> None:
        """Queue a comparison of the kernel's routes and elements with what should be; what is wrong is mended."""
        self._queue.append((table.vrid, "reconcile", self._compare(table)))

    def soon(self, vrid: int, effect: str, steps: Iterator[bool]) -> None:
        """Some other work, before all that is queued."""
        self._queue.appendleft((vrid, effect, steps))

    def put_back(self, table: BindingTable) -> None:
        """The kernel lost every route (its device was made anew): install them again, before all that is queued."""
        if table.installed:
            self.soon(table.vrid, "install", self._routes_again(table, dict(table.installed)))

    def put_back_bound(self, table: BindingTable) -> None:
        """The guard's set was made anew: fill it again, before all that is queued."""
        if table.installed:
            self.soon(table.vrid, "install", self._bound_again(table, dict(table.installed)))

    def forget(self, vrid: int) -> None:
        """Nothing of this virtual HA is to be done any more; markers still pass."""
        self._queue = deque(item for item in self._queue if item[0] != vrid or item[1] == "confirm")

    def clear(self) -> None:
        """Nothing is to be done any more."""
        self._queue.clear()

    def note(self, finding: str) -> None:
        """Something was mended."""
        self._findings.append(finding)

    def findings(self) -> list[str]:
        """What was mended since the last call."""
        found, self._findings = self._findings, []
        return found

    @property
    def pending(self) -> bool:
        """There is work to do, or something to tell."""
        return bool(self._queue or self._passed or self._failed)

    # --- the work ------------------------------------------------------------------------------------------

    def work(self, budget_us: int) -> list[tuple[int, int]]:
        """Work until about the budget is spent; returns the markers passed, or raises what went wrong for one VRID."""
        if self._failed is None:
            self.advance(budget_us)
        passed, self._passed = self._passed, []
        if self._failed is not None and not passed:  # markers first: they were passed before it failed
            error, self._failed = self._failed, None
            raise error
        return passed

    def advance(self, budget_us: int) -> None:
        """Work until about the budget is spent, the kernel wants a pause, or something fails."""
        end = time.monotonic_ns() + budget_us * 1000
        while self._queue and self._failed is None:
            vrid, effect, steps = self._queue[0]
            if isinstance(steps, int):
                self._passed.append((vrid, steps))
                self._queue.popleft()
                continue
            try:
                go_on = next(steps)
            except StopIteration:
                self._queue.popleft()
                continue
            except OSError as error:
                # Trying the same again would not help; reconcile() completes it when the reason is gone.
                self._queue.popleft()
                self._failed = DataPlaneError.of(vrid, effect, error)
                return
            if go_on is _PAUSE or time.monotonic_ns() >= end:
                return

    def _install(self, table: BindingTable, bindings: list[Binding]) -> Iterator[bool]:
        installed = table.installed
        for start in range(0, len(bindings), _CHUNK):
            part = bindings[start : start + _CHUNK]
            wanted = {binding.home_address: binding.care_of_address for binding in part}
            new = {home: care_of for home, care_of in wanted.items() if installed.get(home) != care_of}
            if new:
                table.touch(new)
                gone = [installed[home] + home for home in new if home in installed]
                installed.update(new)
                yield from self._bind(table, gone, [care_of + home for home, care_of in new.items()])
                yield from self._add_routes(table, new)
            yield _GO_ON

    def _remove(self, table: BindingTable, bindings: list[Binding]) -> Iterator[bool]:
        for start in range(0, len(bindings), _CHUNK):
            part = {binding.home_address for binding in bindings[start : start + _CHUNK]}
            homes = [home for home in part if home in table.installed]
            if homes:
                table.touch(homes)
                gone = [table.installed.pop(home) + home for home in homes]
                yield from self._bind(table, gone, [])
                self._remove_routes(table, homes)
            yield _GO_ON

    def _bind(self, table: BindingTable, gone: list[bytes], new: list[bytes]) -> Iterator[bool]:
        """Change the set of bound addresses; yields only when it has to wait."""
        while True:
            try:
                return self._guard.change_bound(table.vrid, gone, new)
            except OSError as error:
                if error.errno == errno.ENOENT and gone:
                    # Somebody else has taken elements away. One by one, each that is there goes.
                    for pair in gone:
                        self._guard.drop_bound(table.vrid, pair)
                    gone = []
                elif error.errno in _OUT_OF_MEMORY:
                    yield _PAUSE
                else:
                    raise

    def _add_routes(self, table: BindingTable, new: dict[Address, Address]) -> Iterator[bool]:
        """Install routes. The kernel runs out of per-CPU memory in a fast burst and needs a moment to get more."""
        if table.routes is None:
            return
        while new:
            refused = table.routes.install(self._route, new.items())
            for _unused, failure in refused:
                if failure.error not in _OUT_OF_MEMORY:
                    raise failure.exception()
            new = {home: new[home] for home, _unused in refused}
            if new:
                yield _PAUSE

    def _remove_routes(self, table: BindingTable, homes: Iterable[Address]) -> None:
        if table.routes is not None:
            for _unused, failure in table.routes.remove(self._route, homes):
                raise failure.exception()

    def _routes_again(self, table: BindingTable, missing: dict[Address, Address]) -> Iterator[bool]:
        for part in _parts(list(missing.items())):
            yield from self._add_routes(table, dict(part))
            yield _GO_ON

    def _bound_again(self, table: BindingTable, missing: dict[Address, Address]) -> Iterator[bool]:
        for part in _parts([care_of + home for home, care_of in missing.items()]):
            yield from self._bind(table, [], part)
            yield _GO_ON

    # --- comparing -----------------------------------------------------------------------------------------

    def _compare(self, table: BindingTable) -> Iterator[bool]:
        """Nothing else is installed meanwhile, so what the dumps show is what should be, or is wrong."""
        yield from self._compare_routes(table)
        yield from self._compare_bound(table)

    def _compare_routes(self, table: BindingTable) -> Iterator[bool]:
        if table.routes is None:
            return
        installed, seen, strays = table.installed, set(), []
        with closing(Netlink(netlink.ROUTE)) as reader:
            for number, found in enumerate(forwarding.all_routes(reader, table.table)):
                home = found.destination
                if found.care_of is None or found.device != table.routes.index or home not in installed:
                    strays.append(found.removal())
                elif installed[home] == found.care_of:
                    seen.add(home)
                if number % _CHUNK == _CHUNK - 1:
                    yield _GO_ON
        for part in _parts(strays):
            self._route.call(b"".join(part), ignore=(errno.ESRCH,))
            yield _GO_ON
        missing = yield from self._not_in(seen, installed)
        yield from self._routes_again(table, missing)
        self._note(table, "routes", len(missing), len(strays))

    def _compare_bound(self, table: BindingTable) -> Iterator[bool]:
        installed, seen, strays = table.installed, set(), []
        with closing(Netlink(netlink.NETFILTER)) as reader:
            for number, pair in enumerate(self._guard.bound(table.vrid, reader)):
                if installed.get(pair[16:]) == pair[:16]:
                    seen.add(pair[16:])
                else:
                    strays.append(pair)
                if number % _CHUNK == _CHUNK - 1:
                    yield _GO_ON
        for part in _parts(strays):
            yield from self._bind(table, part, [])
            yield _GO_ON
        missing = yield from self._not_in(seen, installed)
        yield from self._bound_again(table, missing)
        self._note(table, "source checks", len(missing), len(strays))

    def _not_in(
        self, seen: set[Address], installed: dict[Address, Address]
    ) -> Generator[bool, None, dict[Address, Address]]:
        missing: dict[Address, Address] = {}
        if len(seen) < len(installed):
            for number, (home, care_of) in enumerate(installed.items()):
                if home not in seen:
                    missing[home] = care_of
                if number % _MANY == _MANY - 1:
                    yield _GO_ON
        return missing

    def _note(self, table: BindingTable, what: str, missing: int, strays: int) -> None:
        for number, fault in ((missing, "missing"), (strays, "that belong to no binding")):
            if number:
                self._findings.append(f"vrid {table.vrid}: {number} {what} {fault}")


def _parts(items: list[_T]) -> Iterator[list[_T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
