# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host as the loop sees it: packets that arrived, links that changed, and effects carried out in order.

A refused effect becomes an EffectFailed, never an exception; a frame that could not be sent is counted and
forgotten, as it would be if the link had lost it.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv6Network

from ..core.effects import (
    Activate,
    ConfirmInstalled,
    Deactivate,
    InstallBindings,
    RemoveBindings,
    Report,
    RunHook,
    SendFrame,
    SendPacket,
    SetUp,
    TearDown,
)
from ..core.events import BindingsInstalled, EffectFailed, LinkDown, LinkUp
from ..core.settings import HomeLink, NodeSettings, VirtualHaSettings
from ..core.types import Address, Binding, Instant
from .clock import monotonic
from .config import ShellSettings, home_agents_anycast
from .dataplane import DataPlane, DataPlaneError
from .groups import SolicitedNodeGroups
from .hooks import Hooks
from .journal import Journal
from .links import LinkMonitor, macvlan_name
from .poller import Poller
from .sockets import HomeLinkSockets, Received, RoutedSender, SignallingSocket

_ETHERTYPE = b"\x86\xdd"
PAUSE_US = 500  # for the kernel's own workers, which a busy real-time process would keep from running


class Host:
    """Owns every socket but the control socket's."""

    def __init__(self, settings: ShellSettings, journal: Journal, poller: Poller) -> None:
        self.counters: Counter[str] = Counter()
        self.failures: dict[tuple[int, str], str] = {}
        self.links: dict[str, LinkUp] = {}
        self.dataplane = DataPlane(settings.first_table, settings.decapsulation_table)
        self._journal = journal
        self._poller = poller
        self.hooks = Hooks(journal, self.counters)
        self._monitor = LinkMonitor()
        self._sockets: dict[str, HomeLinkSockets] = {}
        self._signalling = SignallingSocket()
        self._routed = RoutedSender()
        self._virtual_has: dict[int, VirtualHaSettings] = {}
        self._others_waiting: Callable[[], None] = lambda: None
        self._paused_until = Instant(0)
        self.groups = SolicitedNodeGroups(settings.solicited_node_groups)

    def connect(self, links_changed: Callable[[], None], others_waiting: Callable[[], None]) -> None:
        """Whom to call when links changed and when packets other than advertisements arrived."""
        self._others_waiting = others_waiting
        self._poller.add(self._monitor.fileno(), lambda _: links_changed())
        self._poller.add(self._signalling.socket.fileno(), lambda _: others_waiting())

    # --- coming and going ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the host ready; removes what a predecessor left behind."""
        self.dataplane.start()

    def stop(self) -> None:
        """Leave no trace."""
        self.dataplane.stop()
        for sockets in self._sockets.values():
            sockets.close()
        self.groups.close()
        self._monitor.close()
        self._signalling.close()
        self._routed.close()

    def follow(self, settings: NodeSettings) -> list[LinkUp | LinkDown]:
        """The links and addresses that matter from now on; returns the state of new links."""
        try:
            self.dataplane.use(settings.tunnel)
        except DataPlaneError as error:
            self.failed(error)
        addresses: set[Address] = set()
        for virtual_ha in settings.virtual_has:
            if virtual_ha.mipv6_ha_mode:
                prefix = IPv6Network((virtual_ha.prefix, virtual_ha.prefix_length))
                addresses.update(virtual_ha.addresses)
                addresses.add(home_agents_anycast(prefix).packed)
        base = {macvlan_name(v.vrid): v.interface for v in settings.virtual_has}
        self._signalling.listen_for(addresses, base)
        wanted = {v.interface for v in settings.virtual_has} | {v.interface for v in self._virtual_has.values()}
        for name in [name for name in self._sockets if name not in wanted]:
            self._leave(name)
        return self._noted(self._monitor.watch(wanted))

    # --- what arrived --------------------------------------------------------------------------------------

    def link_events(self) -> list[LinkUp | LinkDown]:
        """What changed on the home links; their sockets are open by the time the node hears LinkUp."""
        return self._noted(self._monitor.events())

    def advertisements(self) -> Iterator[Received]:
        """Every advertisement that is queued on any home link."""
        for sockets in list(self._sockets.values()):
            while received := sockets.advertisement():
                yield received

    def sources(self) -> list[Callable[[], Received | None]]:
        """Where all other packets come from."""
        return [*(sockets.other for sockets in self._sockets.values()), self._signalling.receive]

    # --- what is to be done --------------------------------------------------------------------------------

    def perform(self, effect: object) -> EffectFailed | None:
        """Carry out one effect of the node."""
        try:
            match effect:
                case SendFrame():
                    self._send_frame(effect)
                case InstallBindings(vrid=vrid, bindings=bindings):
                    self.dataplane.install(vrid, bindings)
                    self._join_groups(vrid, bindings)
                case RemoveBindings(vrid=vrid, bindings=bindings):
                    self.dataplane.remove(vrid, bindings)
                    self.groups.unbound(vrid, bindings)
                case SendPacket(packet=packet):
                    self._send_packet(packet)
                case RunHook():
                    self.hooks.run(effect)
                case ConfirmInstalled(vrid=vrid, token=token):
                    self.dataplane.confirm(vrid, token)
                case Report(level=level, kind=kind, vrid=number, fields=fields):
                    self._journal.report(level, kind, number, fields)
                case Activate(vrid=vrid):
                    self.dataplane.activate(vrid)
                    self._succeeded(vrid, "activate")
                case Deactivate(vrid=vrid):
                    self.dataplane.deactivate(vrid)
                    self._succeeded(vrid, "deactivate")
                case SetUp(virtual_ha=virtual_ha):
                    self._virtual_has[virtual_ha.vrid] = virtual_ha
                    if virtual_ha.home_link is HomeLink.ROUTED:
                        self.groups.forget(virtual_ha.vrid)
                    self.dataplane.set_up(virtual_ha)
                    self._succeeded(virtual_ha.vrid, "set_up")
                case TearDown(vrid=vrid):
                    self._virtual_has.pop(vrid, None)
                    self.groups.forget(vrid)
                    self.failures = {key: reason for key, reason in self.failures.items() if key[0] != vrid}
                    self.dataplane.tear_down(vrid)
                case _:
                    raise AssertionError(f"the shell knows no effect {effect!r}")
        except DataPlaneError as error:
            return self.failed(error)
        return None

    def failed(self, error: DataPlaneError) -> EffectFailed:
        """Note what the kernel refused."""
        key = (error.vrid, error.effect)
        if self.failures.get(key) != error.reason:
            fields = {"effect": error.effect, "reason": error.reason}
            self._journal.report("error", "effect_failed", error.vrid or None, fields)
        self.failures[key] = error.reason
        return EffectFailed(error.vrid, error.effect, error.reason)

    def repair(self) -> list[str]:
        """Make the kernel's state what it should be; says what was not."""
        try:
            repaired = self.dataplane.reconcile()
        except DataPlaneError as error:
            self.failed(error)
            return []
        self.failures.clear()
        return repaired

    def work(self, budget_us: int) -> tuple[list[BindingsInstalled | EffectFailed], Instant | None]:
        """A piece of what the data plane has queued: what came of it, and when to come back for more."""
        started = monotonic()
        pending = self.dataplane.pending
        if not pending or started < self._paused_until:
            return [], self._paused_until if pending else None
        results: list[BindingsInstalled | EffectFailed]
        try:
            results = [BindingsInstalled(vrid, token) for vrid, token in self.dataplane.work(budget_us)]
        except DataPlaneError as error:
            results = [self.failed(error)]
        for text in self.dataplane.mended():
            self._journal.report("warning", "repaired", None, {"what": text})
        if not self.dataplane.pending:
            return results, None
        now = monotonic()
        if not results and now - started < budget_us:  # it stopped of its own accord: the kernel is short of memory
            self._paused_until = Instant(now + PAUSE_US)
            return results, self._paused_until
        return results, now

    def all_counters(self) -> dict[str, int]:
        """What was not sent, and what the kernel dropped for us."""
        own = {f"host.{name}": count for name, count in self.counters.items()}
        return own | {f"dataplane.{name}": count for name, count in self.dataplane.counters().items()}

    def work_on_groups(self) -> bool:
        """Join or leave a few multicast groups; whether there are more."""
        problem = self.groups.work()
        if problem:
            self.counters["groups_not_joined"] += 1
            self._journal.report("debug", "groups_not_joined", None, {"reason": str(problem)})
        return self.groups.pending

    # --- inside --------------------------------------------------------------------------------------------

    def _succeeded(self, vrid: int, effect: str) -> None:
        if self.failures:
            self.failures.pop((vrid, effect), None)

    def _join_groups(self, vrid: int, bindings: list[Binding]) -> None:
        virtual_ha = self._virtual_has[vrid]
        if virtual_ha.home_link is HomeLink.ON_LINK and self.groups.bound(vrid, virtual_ha.interface, bindings):
            fields: dict[str, object] = {"limit": self.groups.limit}
            self._journal.report("warning", "too_many_groups", None, fields)

    def _send_frame(self, effect: SendFrame) -> None:
        virtual_ha = self._virtual_has[effect.vrid]
        sockets = self._sockets.get(virtual_ha.interface)
        if sockets is None:
            self.counters["frames_not_sent"] += 1
            return
        source = virtual_ha.virtual_mac if effect.virtual_mac else self.links[virtual_ha.interface].mac
        try:
            sockets.send(effect.destination_mac + source + _ETHERTYPE + effect.packet)
        except OSError as error:
            self._not_sent("frames_not_sent", error, virtual_ha.interface)

    def _send_packet(self, packet: bytes) -> None:
        try:
            self._routed.send(packet)
        except OSError as error:
            self._not_sent("packets_not_sent", error, "routed")

    def _not_sent(self, counter: str, error: OSError, where: str) -> None:
        self.counters[counter] += 1
        self._journal.report("debug", counter, None, {"where": where, "reason": error.strerror})

    def _noted(self, events: list[LinkUp | LinkDown]) -> list[LinkUp | LinkDown]:
        result: list[LinkUp | LinkDown] = []
        told = {event.interface for event in events}
        for event in events:
            if isinstance(event, LinkDown):
                self._leave(event.interface)
                result.append(event)
            else:
                result.extend(self._enter(event))
        # An interface that went and came back between two looks is another one, though nothing about it changed.
        for name, sockets in list(self._sockets.items()):
            if name not in told and not sockets.current():
                link = self.links[name]
                self._leave(name)
                result += [LinkDown(name), *self._enter(link)]
        return result

    def _enter(self, event: LinkUp) -> list[LinkUp | LinkDown]:
        name = event.interface
        sockets = self._sockets.get(name)
        replaced = sockets is not None and not sockets.current()
        if replaced:
            self._leave(name)
        if name not in self._sockets:
            try:
                self._sockets[name] = HomeLinkSockets(name)
                self.groups.link_up(name, self._sockets[name].index)
            except OSError as error:
                # Gone again: the monitor will tell. Anything else is for the operator.
                level = "debug" if error.errno in (errno.ENODEV, errno.ENXIO) else "error"
                self._journal.report(level, "link_unusable", None, {"interface": name, "reason": str(error)})
                return [LinkDown(name)]
            self._poller.add(self._sockets[name].advertisements.fileno(), lambda _: None)  # heard in every turn
            self._poller.add(self._sockets[name].others.fileno(), lambda _: self._others_waiting())
        known, self.links[name] = self.links.get(name), event
        if known == event and not replaced:
            return [event]  # other addresses, the same link
        fields = {"interface": name, "link_local": event.link_local, "mtu": event.mtu}
        self._journal.report("info", "link_up", None, fields)
        return [LinkDown(name), event] if replaced else [event]

    def _leave(self, name: str) -> None:
        sockets = self._sockets.pop(name, None)
        if sockets:
            self.groups.link_down(name)
            self._poller.remove(sockets.advertisements.fileno())
            self._poller.remove(sockets.others.fileno())
            sockets.close()
        if self.links.pop(name, None):
            self._journal.report("warning", "link_down", None, {"interface": name})
