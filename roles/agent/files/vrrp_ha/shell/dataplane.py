# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's data plane as the loop sees it: virtual routers that are set up, activated and given bindings.

What costs time per binding is queued and done in small pieces by work(); what a takeover needs is packed beforehand,
so that activate() is a few system calls whatever the number of bindings. Every mark on the host is in a place of our
own (devices `vrrp6-*`, table `inet vrrp_ha`, our routing tables, protocol 112 on rules), so cleanup() finds it again
without remembering anything.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import forwarding, links, netlink
from .forwarding import BindingRoutes, Rule
from .guard import Guard, remove_table
from .netlink import Netlink, NetlinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.settings import VirtualHaSettings
    from ..core.types import Address, Binding

_CHUNK = 64  # bindings at a time: about half a millisecond
_OUT_OF_MEMORY = (errno.ENOMEM, errno.ENOBUFS)
_FORWARDING = "ipv6/conf/all/forwarding"


class DataPlaneError(Exception):
    """The host refused something for one virtual router."""

    def __init__(self, vrid: int, effect: str, reason: str) -> None:
        super().__init__(f"vrid {vrid}: {effect}: {reason}")
        self.vrid = vrid
        self.effect = effect
        self.reason = reason


@dataclass(slots=True)
class _Router:
    """A virtual router on this host: what should be, and the messages for the moments that count."""

    vha: VirtualHaSettings
    index: int
    routes: BindingRoutes
    active: bool = False
    installed: dict[Address, Address] = field(default_factory=dict)  # care-of address by home address
    messages: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Job:
    """A queued piece of work, done from the front."""

    vrid: int
    kind: str  # install, remove or confirm
    bindings: list[Binding] = field(default_factory=list)
    done: int = 0
    token: int = 0
    refused: list[tuple[Address, Address]] = field(default_factory=list)  # routes to try again


class DataPlane:
    """The facade. Not thread-safe; nothing in it waits for anything but the kernel."""

    def __init__(self, first_table: int, decapsulation_table: int) -> None:
        self._first_table = first_table
        self._decapsulation_table = decapsulation_table
        self._route = Netlink(netlink.ROUTE)
        self._filter = Netlink(netlink.NETFILTER)
        self._guard = Guard(self._filter)
        self._routers: dict[int, _Router] = {}
        self._queue: deque[_Job] = deque()

    # --- the host ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the host over: whatever an earlier agent left goes, then the parts that all virtual routers share."""
        _clean(self._route, self._filter, self._first_table, self._decapsulation_table)
        was_off = links.read_sysctl(_FORWARDING) == "0"
        self._guard.start(forwarding_was_off=was_off)
        if was_off:
            links.write_sysctl(_FORWARDING, "1")
        forwarding.move_local_rule(self._route)
        self._route.call(self._shared_rule.message(add=True), ignore=(errno.EEXIST,))

    def stop(self) -> None:
        """Give the host back as it was."""
        self._queue.clear()
        self._routers.clear()
        _clean(self._route, self._filter, self._first_table, self._decapsulation_table)

    @property
    def _shared_rule(self) -> Rule:
        return forwarding.decapsulation_rule(self._decapsulation_table)

    # --- virtual routers -----------------------------------------------------------------------------------

    def set_up(self, vha: VirtualHaSettings) -> None:
        """Make a virtual router, inactive; or change one, which stays active if it was and keeps its bindings."""
        with _errors_of(vha.vrid, "set_up"):
            known = self._routers.get(vha.vrid)
            was_active = known is not None and known.active
            if known is not None and was_active and _serves_differently(known.vha, vha):
                self.deactivate(vha.vrid)
            index, is_new = self._macvlan(vha)
            router = _Router(vha, index, BindingRoutes(self._first_table + vha.vrid, index))
            self._guard.set_up(vha)
            router.messages = dict(self._pack(router))
            self._routers[vha.vrid] = router
            if known is not None:
                router.installed, router.active = known.installed, known.active
                if is_new:
                    self._reinstall(router)
            if was_active and not router.active:
                self.activate(vha.vrid)

    def tear_down(self, vrid: int) -> None:
        """Remove every trace of a virtual router; what is queued for it is forgotten."""
        router = self._routers.get(vrid)
        if router is None:
            return
        with _errors_of(vrid, "tear_down"):
            self.deactivate(vrid)
            del self._routers[vrid]
            self._queue = deque(job for job in self._queue if job.vrid != vrid or job.kind == "confirm")
            links.delete_links(self._route, [router.index])
            self._guard.tear_down(vrid)

    def activate(self, vrid: int) -> None:
        """Serve: first the filter, then the routes in and out of the tunnels, then the addresses."""
        router = self._routers[vrid]
        with _errors_of(vrid, "activate"):
            self._filter.call(router.messages["unsilence"])
            self._route.call(router.messages["serve"], ignore=(errno.EEXIST,))
            router.active = True

    def deactivate(self, vrid: int) -> None:
        """Serve no more: routes first, then silence, so that nothing of the addresses' leaving gets out."""
        router = self._routers[vrid]
        if not router.active:
            return
        with _errors_of(vrid, "deactivate"):
            router.active = False
            gone = (errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV)
            try:
                self._route.call(router.messages["unroute"], ignore=gone)
            finally:  # a Backup that goes on speaking would be the worst of failures
                self._filter.call(router.messages["silence"], ignore=(errno.ENOENT,))
            self._route.call(router.messages["unaddress"], ignore=gone)

    def _macvlan(self, vha: VirtualHaSettings) -> tuple[int, bool]:
        """The index of the virtual router's device, and whether it was made just now."""
        found = links.all_links(self._route)
        below = found.get(vha.interface)
        if below is None:
            raise NetlinkError(errno.ENODEV, f"there is no interface {vha.interface}")
        present = found.get(links.macvlan_name(vha.vrid))
        if present is not None:
            if links.is_as_made(present, below, vha.virtual_mac):
                links.mend_macvlan(self._route, present, below)
                return present.index, False
            links.delete_links(self._route, [present.index])
        return links.make_macvlan(self._route, vha.vrid, below, vha.virtual_mac), True

    def _pack(self, router: _Router) -> Iterator[tuple[str, bytes]]:
        vha, index = router.vha, router.index
        addresses = list(dict.fromkeys((vha.link_local, *vha.addresses)))
        yield "unsilence", self._guard.activation(vha, index)
        yield "silence", self._guard.deactivation(vha, index)
        add, remove = self._tunnel_messages(router)
        put = b"".join(
            links.address_message(True, index, address, preferred=address in (vha.link_local, vha.vha_address))
            for address in addresses
        )
        yield "serve", add + put
        yield "unroute", remove
        yield "unaddress", b"".join(
            links.address_message(False, index, address, preferred=False) for address in addresses
        )

    def _tunnel_messages(self, router: _Router) -> tuple[bytes, bytes]:
        vha = router.vha
        if not vha.mipv6_ha_mode:
            return b"", b""
        rule = self._rule_of(vha)
        decapsulation = self._decapsulation_table, vha.vha_address, router.index
        return (
            forwarding.decapsulation_message(True, *decapsulation) + rule.message(add=True),
            rule.message(add=False) + forwarding.decapsulation_message(False, *decapsulation),
        )

    def _rule_of(self, vha: VirtualHaSettings) -> Rule:
        return forwarding.bindings_rule(self._first_table + vha.vrid, vha.prefix, vha.prefix_length)

    # --- bindings ------------------------------------------------------------------------------------------

    def install(self, vrid: int, bindings: list[Binding]) -> None:
        """Queue routes and source checks."""
        self._queue.append(_Job(vrid, "install", bindings))

    def remove(self, vrid: int, bindings: list[Binding]) -> None:
        """Queue the end of these bindings."""
        self._queue.append(_Job(vrid, "remove", bindings))

    def confirm(self, vrid: int, token: int) -> None:
        """Queue a marker that work() returns when everything before it is in the kernel."""
        self._queue.append(_Job(vrid, "confirm", token=token))

    @property
    def pending(self) -> bool:
        """There is work to do."""
        return bool(self._queue)

    def work(self, budget_us: int) -> list[tuple[int, int]]:
        """Do queued work until about the budget is spent; returns (vrid, token) of the markers passed.

        Stops early when the kernel is short of per-CPU memory, which it replenishes by itself when given a moment.
        """
        passed = []
        end = time.monotonic_ns() + budget_us * 1000
        while self._queue:
            job = self._queue[0]
            if job.kind == "confirm":
                passed.append((job.vrid, job.token))
                self._queue.popleft()
                continue
            if not self._advance(job):
                break
            if job.done >= len(job.bindings) and not job.refused:
                self._queue.popleft()
            if time.monotonic_ns() >= end:
                break
        return passed

    def _advance(self, job: _Job) -> bool:
        """Do one piece of a job. False: the kernel wants a pause."""
        router = self._routers.get(job.vrid)
        if router is None:
            job.done, job.refused = len(job.bindings), []
            return True
        with self._abandoning(job):
            if job.refused:
                return self._install_routes(router, job, job.refused)
            part = job.bindings[job.done : job.done + _CHUNK]
            advance = self._install_part if job.kind == "install" else self._remove_part
            return advance(router, job, part)

    @contextmanager
    def _abandoning(self, job: _Job) -> Iterator[None]:
        """An error that trying again does not mend ends the job; reconcile() can still complete it."""
        try:
            with _errors_of(job.vrid, job.kind):
                yield
        except DataPlaneError:
            self._queue.remove(job)
            raise

    def _install_part(self, router: _Router, job: _Job, part: list[Binding]) -> bool:
        wanted = {binding.home_address: binding.care_of_address for binding in part}
        installed = router.installed
        new = [(home, care_of) for home, care_of in wanted.items() if installed.get(home) != care_of]
        gone = [installed[home] + home for home, _ in new if home in installed]
        if new and not self._change_bound(router, gone, [care_of + home for home, care_of in new]):
            return False
        installed.update(new)
        job.done += len(part)
        return self._install_routes(router, job, new)

    def _install_routes(self, router: _Router, job: _Job, new: list[tuple[Address, Address]]) -> bool:
        job.refused = []
        for home, failure in router.routes.install(self._route, new):
            if failure.error not in _OUT_OF_MEMORY:
                raise failure.exception()
            job.refused.append((home, router.installed[home]))
        return not job.refused

    def _remove_part(self, router: _Router, job: _Job, part: list[Binding]) -> bool:
        homes = [home for home in dict.fromkeys(b.home_address for b in part) if home in router.installed]
        if homes and not self._change_bound(router, [router.installed[home] + home for home in homes], []):
            return False
        for home in homes:
            del router.installed[home]
        job.done += len(part)
        for _, failure in router.routes.remove(self._route, homes):
            raise failure.exception()
        return True

    def _change_bound(self, router: _Router, gone: list[bytes], new: list[bytes]) -> bool:
        try:
            self._guard.change_bound(router.vha.vrid, gone, new)
        except OSError as error:
            if error.errno in _OUT_OF_MEMORY:
                return False
            raise
        return True

    def _reinstall(self, router: _Router) -> None:
        """The device was made anew and took its routes with it: put them back before anything else of the queue."""
        again = list(router.installed.items())
        self._queue.appendleft(_Job(router.vha.vrid, "install", refused=again))

    # --- looking and mending -------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Packets dropped by the guard, by reason."""
        return self._guard.counters()

    def reconcile(self) -> list[str]:
        """Mend what is not as it should be on the host, and say what it was."""
        return []


def _serves_differently(old: VirtualHaSettings, new: VirtualHaSettings) -> bool:
    """The two differ in something that is on the host only while active."""
    return any(
        getattr(old, name) != getattr(new, name)
        for name in ("interface", "link_local", "addresses", "prefix", "prefix_length", "mipv6_ha_mode")
    )


@contextmanager
def _errors_of(vrid: int, effect: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataPlaneError(vrid, effect, f"{error.filename}: {reason}" if error.filename else reason) from error


def cleanup(first_table: int, decapsulation_table: int) -> list[str]:
    """Remove every trace of an agent, whatever state it left the host in; returns what was removed."""
    route, filter_ = Netlink(netlink.ROUTE), Netlink(netlink.NETFILTER)
    try:
        return _clean(route, filter_, first_table, decapsulation_table)
    finally:
        route.close()
        filter_.close()


def _clean(route: Netlink, filter_: Netlink, first_table: int, decapsulation_table: int) -> list[str]:
    removed = []
    tables = {decapsulation_table, *range(first_table + 1, first_table + 256)}
    # Rules first: from here on no packet is taken for a virtual HA. The filter last: till then the devices are mute.
    rules = [rule for rule in forwarding.all_rules(route) if rule.protocol == links.PROTOCOL and rule.table in tables]
    for rule in rules:
        route.call(rule.message(add=False), ignore=(errno.ENOENT,))
        removed.append(f"rule {rule.preference} to table {rule.table}")
    if forwarding.restore_local_rule(route):
        removed.append("rule of the local table moved back to 0")
    macvlans = [link for link in links.all_links(route).values() if links.is_ours(link)]
    links.delete_links(route, [link.index for link in macvlans])
    removed += [f"device {link.name}" for link in macvlans]
    removed += _flush_tables(route, tables)
    had_table, was_off = remove_table(filter_)
    if had_table:
        removed.append("packet filter table inet vrrp_ha")
    if was_off:
        links.write_sysctl(_FORWARDING, "0")
        removed.append("net.ipv6.conf.all.forwarding set back to 0")
    return removed


def _flush_tables(route: Netlink, tables: Iterable[int]) -> list[str]:
    """Routes of ours that went with no device (somebody may have pointed them elsewhere)."""
    left = [found for found in forwarding.all_routes(route) if found.protocol == links.PROTOCOL and found.table in tables]
    for found in left:
        route.call(found.request, ignore=(errno.ESRCH,))
    return [f"{len(left)} routes"] if left else []
