# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's data plane as the loop sees it: virtual routers that are set up, activated and given bindings.

What costs time per binding is queued and done in small pieces by work(). A takeover opens a gate and adds a handful of
addresses and filter entries, so that activate() takes a fraction of a millisecond whatever the number of bindings.
"""

from __future__ import annotations

import errno
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import devices, forwarding, links, netlink, repair
from .bindings import BindingTable, DataPlaneError, Installer
from .clean import FORWARDING, clean, cleanup, our_tables
from .forwarding import Rule
from .guard import Guard
from .netlink import Netlink
from .settings_watch import ALL, SettingsWatch
from .virtual_router import Shared, VirtualRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.settings import VirtualHaSettings
    from ..core.tunnel_settings import TunnelSettings
    from ..core.types import Binding

__all__ = ["DataPlane", "DataPlaneError", "cleanup"]

_LOOK_EVERY = 1.0  # seconds between looks whether the packet filter is still there
_AT_ONCE_US = 10_000  # reconcile() compares bindings for so long before it leaves the rest to work()


class DataPlane:
    """The facade. Not thread-safe; nothing in it waits for anything but the kernel."""

    def __init__(self, first_table: int, decapsulation_table: int) -> None:
        self._route = Netlink(netlink.ROUTE)
        self._filter = Netlink(netlink.NETFILTER)
        self._settings = SettingsWatch()
        self._guard = Guard(self._filter)
        self._installer = Installer(self._route, self._guard)
        self._shared = Shared(self._route, self._filter, self._guard, self._installer, first_table, decapsulation_table)
        self._tables = our_tables(first_table, decapsulation_table)
        self._decapsulation = forwarding.decapsulation_rule(decapsulation_table)
        self._routers: dict[int, VirtualRouter] = {}
        self._moved_local = False
        self._next_look = float("inf")

    # --- the host ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the host over: whatever an earlier agent left goes, then the parts that all virtual routers share."""
        clean(self._route, self._filter, self._tables)
        was_off = devices.read_sysctl(FORWARDING) == "0"
        self._guard.start(forwarding_was_off=was_off)
        if was_off:
            devices.write_sysctl(FORWARDING, "1")
        self._moved_local = forwarding.move_local_rule(self._route)
        self._add_rule(self._decapsulation)
        self._shared.nowhere = devices.make_nowhere(self._route)
        self._next_look = 0.0

    def stop(self) -> None:
        """Give the host back as it was."""
        self._next_look = float("inf")
        self._installer.clear()
        self._routers.clear()
        clean(self._route, self._filter, self._tables)

    def use(self, settings: TunnelSettings) -> None:
        """What is done to tunnel packets; virtual routers that are there already follow."""
        if self._guard.use(settings):
            for vrid, router in self._routers.items():
                with _errors_of(vrid, "set_up"):
                    router.build()

    def remarks(self) -> Iterator[str]:
        """What this kernel cannot do."""
        if self._guard.cannot_reassemble():
            yield "this kernel has no nft_tproxy: fragments of tunnel packets are dropped"

    # --- virtual routers -----------------------------------------------------------------------------------

    def set_up(self, vha: VirtualHaSettings) -> None:
        """Make a virtual router, inactive; or change one, which stays active if it was and keeps its bindings."""
        router = self._routers.get(vha.vrid)
        if router is None:
            router = self._routers[vha.vrid] = VirtualRouter(vha, self._shared)
        with _errors_of(vha.vrid, "set_up"):
            router.set_up(vha)

    def tear_down(self, vrid: int) -> None:
        """Remove every trace of a virtual router; what is queued for it is forgotten."""
        router = self._routers.pop(vrid, None)
        if router is not None:
            with _errors_of(vrid, "tear_down"):
                router.tear_down()

    def activate(self, vrid: int) -> None:
        """Serve from now on."""
        router = self._routers[vrid]
        router.active = True
        with _errors_of(vrid, "activate"):
            router.serve()

    def deactivate(self, vrid: int) -> None:
        """Serve no more; bindings stay."""
        router = self._routers.get(vrid)
        if router is not None and router.active:
            router.active = False
            with _errors_of(vrid, "deactivate"):
                router.withdraw()

    # --- bindings ------------------------------------------------------------------------------------------

    def install(self, vrid: int, bindings: list[Binding]) -> None:
        """Queue routes and source checks."""
        self._installer.install(self._routers[vrid].bindings, bindings)

    def remove(self, vrid: int, bindings: list[Binding]) -> None:
        """Queue the end of these bindings."""
        self._installer.remove(self._routers[vrid].bindings, bindings)

    def confirm(self, vrid: int, token: int) -> None:
        """Queue a marker that work() returns when everything before it is in the kernel."""
        self._installer.confirm(vrid, token)

    def work(self, budget_us: int) -> list[tuple[int, int]]:
        """Do queued work until about the budget is spent; returns (vrid, token) of the markers passed.

        Stops early when the kernel is short of per-CPU memory, which it replenishes by itself when given a moment.
        """
        return self._installer.work(budget_us)

    @property
    def pending(self) -> bool:
        """There is work to do. Notices too when somebody has changed what everything depends on."""
        self._defend_settings()
        self._defend_filter()
        return self._installer.pending

    def _defend_settings(self) -> None:
        for index, name, value in self._settings.changes():
            if name == "forwarding":
                if index == ALL and value == "0":
                    self._installer.soon(0, "reconcile", self._set_again(FORWARDING, "1"))
                continue
            for vrid, router in self._routers.items():
                if index == router.tunnels and value != router.gate:
                    steps = self._set_again(devices.gate_path(vrid), router.gate)
                    self._installer.soon(vrid, "reconcile", steps)

    def _defend_filter(self) -> None:
        """`systemctl reload nftables` begins by flushing every table: a Backup would speak, anybody could tunnel."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_EVERY
            if self._guard.is_gone():
                self._installer.soon(0, "reconcile", self._filter_again())

    def _filter_again(self) -> Iterator[bool]:
        self._rebuild_filter()
        for router in self._routers.values():
            if router.active:
                router.serve()
        self._installer.note("packet filter table inet vrrp_ha: missing")
        yield True

    def _set_again(self, path: str, value: str) -> Iterator[bool]:
        if devices.read_sysctl(path) not in (value, None):
            devices.write_sysctl(path, value)
            self._installer.note(f"sysctl net.{path.replace('/', '.')}: set back to {value}")
        yield True

    # --- looking and mending -------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Packets dropped by the guard, by reason."""
        return self._guard.counters()

    def mended(self) -> list[str]:
        """What was mended since the last call without being asked for, or by the part of reconcile() left to work()."""
        return self._installer.findings()

    def reconcile(self) -> list[str]:
        """Mend what is not as it should be on the host, and say what it was.

        Bindings are compared after everything else that is queued; what of that takes long is left to work(), and
        told by the next call or by mended().
        """
        faults = self.faults()
        self._mend(faults)
        for router in self._routers.values():
            self._installer.compare(router.bindings)
        self._installer.advance(_AT_ONCE_US)
        return [fault.text for fault in faults] + self._installer.findings()

    def faults(self) -> list[repair.Fault]:
        """What is not as it should be on the host, bindings left out; nothing is changed."""
        found = links.all_links(self._route)
        state = repair.look(self._route, self._guard, found, self._routers, self._tables)
        state |= repair.look_at_decapsulation(self._route, self._shared.decapsulation_table)
        return repair.differences(dict(self._should(found)), state)

    def to_examine(self, vrid: int) -> tuple[Installer, Guard, BindingTable] | None:
        """What examination.py looks at; None for a virtual router that is not set up."""
        router = self._routers.get(vrid)
        return (self._installer, self._guard, router.bindings) if router else None

    def _should(self, found: dict[str, links.Link]) -> Iterator[tuple[repair.Key, tuple[int | None, object]]]:
        yield repair.FILTER, (None, "whole")
        yield repair.setting(FORWARDING), (None, "1")
        if self._moved_local:
            yield repair.rule(forwarding.LOCAL_MOVED), (None, repair.PRESENT)
        yield repair.rule(self._decapsulation), (None, repair.PRESENT)
        for vrid, router in self._routers.items():
            below = found.get(router.vha.interface)
            if below is not None:  # without it there is nothing to serve on; set_up() comes when it is back
                yield from ((key, (vrid, value)) for key, value in router.should(below))

    def _mend(self, faults: list[repair.Fault]) -> None:
        """What everybody needs first; then each virtual router that lacks something is built and serves again."""
        with _errors_of(0, "reconcile"):
            for fault in faults:
                self._mend_shared(fault)
        wrong = {fault.vrid for fault in faults}
        errors = []
        for vrid, router in self._routers.items():
            try:
                if vrid in wrong:
                    with _errors_of(vrid, "reconcile"):
                        router.build()
                        (router.serve if router.active else router.withdraw)()
            except DataPlaneError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _mend_shared(self, fault: repair.Fault) -> None:
        match fault.key:
            case repair.FILTER:
                self._rebuild_filter()
            case ("setting", str(path)) if fault.vrid is None:
                devices.write_sysctl(path, str(fault.wanted))
            case ("rule", Rule() as rule) if fault.wanted is None:
                self._route.call(rule.message(add=False), ignore=(errno.ENOENT,))
            case ("rule", Rule() as rule) if rule == forwarding.LOCAL_MOVED:
                forwarding.move_local_rule(self._route)
            case ("rule", Rule() as rule) if fault.vrid is None:
                self._add_rule(rule)
            case ("active interface", int(index)) if fault.wanted is None:
                self._guard.remove_strays([index], [])
            case ("virtual address", bytes(address)) if fault.wanted is None:
                self._guard.remove_strays([], [address])
            case ("anycast address", bytes(address)) if fault.wanted is None:
                self._guard.drop_anycast(address)

    def _rebuild_filter(self) -> None:
        self._guard.rebuild()
        for router in self._routers.values():
            self._installer.put_back_bound(router.bindings)

    def _add_rule(self, rule: Rule) -> None:
        self._route.call(rule.message(add=True), ignore=(errno.EEXIST,))


@contextmanager
def _errors_of(vrid: int, effect: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataPlaneError.of(vrid, effect, error) from error
