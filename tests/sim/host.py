# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A home agent's host: its clocks, its kernel as far as it matters, its disk, and the agent while it runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.sim.checks import SimulationError
from vrrp_ha.core.effects import (
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
from vrrp_ha.core.events import (
    BindingsInstalled,
    DrainRequested,
    LinkDown,
    LinkUp,
    PacketReceived,
    StopRequested,
    TimerFired,
    UndrainRequested,
)
from vrrp_ha.core.node import Node
from vrrp_ha.core.settings import NodeSettings
from vrrp_ha.core.types import MILLISECOND, SECOND, Address, Binding, Instant
from vrrp_ha.wire import ipv6, vrrp

if TYPE_CHECKING:
    from tests.sim.world import World

INTERFACE = "eth1"
OWNER = 255
MTU = 1500
CLEAN_UP_US = 100 * MILLISECOND  # what a killed agent left in the kernel is gone after that


class Kernel:
    """Who is served, and which routes there are: all that the data plane is made of."""

    def __init__(self) -> None:
        self.active: set[int] = set()
        self.routes: dict[int, dict[Address, Address]] = {}


class Host:
    """One machine. Times of the world are its true time; the agent sees its own clocks."""

    def __init__(self, world: World, name: str, address: Address, settings: NodeSettings) -> None:
        self.world = world
        self.name = name
        self.address = address
        self.mac = bytes((2, 0, 0, 0, 0, address[-1]))
        self.settings = settings
        self.node: Node | None = None
        self.kernel = Kernel()
        self.cable = True
        self.stalled: list[object] | None = None  # events that wait while the process is stopped
        self.started_at = 0
        self.heard_at: dict[int, int] = {}  # when the last advertisement for a VRID came
        self.owns: set[int] = set()  # the VRIDs that it has advertised as owner since its agent started
        self.reports: Counter[str] = Counter()
        self.hooks: list[tuple[str, ...]] = []  # arguments of the operator's program, each time it was run
        self.recovered_at = -SECOND  # when it last took what another member knew better
        self._epoch = 0
        self.heard_at: dict[int, int] = {}  # the last advertisement of each VRID
        self._saved: dict[int, list[tuple[Binding, int]]] = {}
        self._drained: frozenset[int] = frozenset()
        self._life = 0  # of the process; what was meant for another is void
        self._timer = 0
        self.power_on()

    # --- clocks --------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """The monotonic clock begins anew; no two run at the same rate, no two wall clocks agree."""
        rng = self.world.rng
        self._rate = 1 + rng.uniform(-self.world.drift, self.world.drift)
        self._booted_at = self.world.now - rng.randint(1 * SECOND, 1000 * SECOND)
        self._wall_skew = rng.randint(-1 * SECOND, 1 * SECOND)

    def local(self, time: int) -> Instant:
        """The monotonic clock at that time of the world."""
        return Instant(int((time - self._booted_at) * self._rate))

    def true(self, local: Instant) -> int:
        """The first time of the world when the monotonic clock shows at least that."""
        time = self._booted_at + int(local / self._rate)
        while self.local(time) < local:
            time += 1
        return time

    # --- the process ---------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.node is not None

    def start(self) -> None:
        """As the unit does: what is on the disk comes back."""
        assert self.node is None
        self._epoch += 1
        self._life += 1
        self.kernel = Kernel()
        self.started_at = self.world.now
        self.owns.clear()
        restored = {
            vrid: [replace(binding, expires=self.local(until)) for binding, until in entries if until > self.world.now]
            for vrid, entries in self._saved.items()
        }
        wall_offset = self.world.wall + self._wall_skew - self.local(self.world.now)
        self.node = Node(
            self.settings,
            epoch=self._epoch,
            restored=restored,
            drained=self._drained,
            rng=self.world.rng,
            wall_offset_us=wall_offset,
        )
        self.world.log(self, "starts")
        if self.cable:
            self.happens(self._link_up())

    def kill(self) -> None:
        """kill -9: the kernel goes on serving until the unit has cleaned up."""
        self._die("killed")
        kernel, life = self.kernel, self._life
        self.world.after(CLEAN_UP_US, lambda: self._clean_up(kernel) if life == self._life else None)

    def power_off(self, *, disk_lost: bool = False) -> None:
        """Everything in memory is gone, and the disk if it is that bad."""
        self._die("power off")
        self._clean_up(self.kernel)
        if disk_lost:
            self._saved.clear()

    def stop(self) -> None:
        """systemctl stop."""
        self.happens(StopRequested())

    def drain(self) -> None:
        self.happens(DrainRequested(tuple(v.vrid for v in self.settings.virtual_has)))

    def undrain(self) -> None:
        self.happens(UndrainRequested(tuple(v.vrid for v in self.settings.virtual_has)))

    def stall(self, duration: int) -> None:
        """SIGSTOP, and SIGCONT after that time: packets queue up, timers wait."""
        if self.stalled is None and self.running:
            self.stalled = []
            life = self._life
            self.world.log(self, "stalls")
            self.world.after(duration, lambda: self._continue() if life == self._life else None)

    def unplug(self) -> None:
        self.cable = False
        self.world.log(self, "unplugged")
        self.world.checks.service_changed()
        self.happens(LinkDown(INTERFACE))

    def plug(self) -> None:
        self.cable = True
        self.world.log(self, "plugged")
        self.happens(self._link_up())

    def save(self) -> None:
        """The periodic snapshot."""
        if self.node is not None:
            self._drained = self.node.drained
            self._saved = {
                vrid: [(binding, self.true(binding.expires)) for binding in cache]
                for vrid, cache in self.node.snapshot().items()
            }

    def _die(self, how: str) -> None:
        self.world.log(self, how)
        self.node = None
        self.stalled = None
        self._life += 1
        self.world.checks.member_lost()

    def _continue(self) -> None:
        waiting, self.stalled = self.stalled, None
        self.world.log(self, "continues")
        for event in waiting or ():
            self.happens(event)
        if self.running:
            self._arm()

    def _clean_up(self, kernel: Kernel) -> None:
        kernel.active.clear()
        kernel.routes.clear()
        self.world.checks.service_changed()

    def _link_up(self) -> LinkUp:
        return LinkUp(INTERFACE, self.address, self.mac, MTU)

    # --- what it asks and is asked -------------------------------------------------------------------------

    def is_master(self, vrid: int) -> bool:
        return self.state(vrid) == "master"

    def state(self, vrid: int) -> str:
        """As the control socket would say, which takes much longer."""
        return self.node.state(vrid).value if self.node else "down"

    def about(self, vrid: int) -> dict[str, object]:
        assert self.node
        found = self.node.status(self.local(self.world.now))["virtual_has"]
        return next(entry for entry in found if entry["vrid"] == vrid)  # type: ignore[union-attr]

    def serves(self, vrid: int) -> bool:
        """Whether the kernel forwards for the virtual HA."""
        return vrid in self.kernel.active

    def holds(self, vrid: int, home: Address) -> Binding | None:
        """The binding in the agent's cache."""
        return self.node.bindings(vrid).get(home) if self.node else None

    def receive(self, source_mac: bytes, packet: bytes) -> None:
        """A frame from the home link."""
        if self.cable and self.node is not None:
            if packet[6] == vrrp.NEXT_HEADER and packet[40] & 0xF == vrrp.ADVERTISEMENT:
                self.heard_at[packet[41]] = self.world.now
            wall = self.world.wall + self._wall_skew
            self.happens(PacketReceived(INTERFACE, source_mac, packet, wall))

    def receive_served(self, vrid: int, packet: bytes) -> None:
        """A packet to the VHA address; who does not serve it drops it in the kernel."""
        if self.serves(vrid):
            self.receive(self.world.router_mac, packet)

    def happens(self, event: object) -> None:
        """Something for the agent, now."""
        if self.node is None:
            return
        if self.stalled is not None:
            self.stalled.append(event)
            return
        for effect in self.node.handle(event, self.local(self.world.now)):
            self._perform(effect)
        if self.node.stopped:
            self.save()
            self._die("stopped")
            self._clean_up(self.kernel)
        else:
            self._arm()

    def _arm(self) -> None:
        assert self.node
        self._timer += 1
        due = self.node.deadline()
        if due is None:
            return
        life, timer = self._life, self._timer
        late = self.world.rng.randint(0, 100)
        when = max(self.world.now + 1, self.true(due) + late)

        def fire() -> None:
            if life == self._life and timer == self._timer and self.stalled is None:
                self.happens(TimerFired())

        self.world.at(when, fire)

    def _perform(self, effect: object) -> None:
        match effect:
            case SendFrame(vrid=vrid):
                self._note_advert(effect)
                self.world.log(self, "sends", effect.packet)
                self.world.segment.transmit(self, effect)
            case SendPacket(packet=packet):
                self.world.log(self, "sends", packet)
                self.world.to_mobile_node(self, packet)
            case Activate(vrid=vrid):
                self.world.log(self, f"activates {vrid}")
                self.kernel.active.add(vrid)
                self.world.checks.service_changed()
            case Deactivate(vrid=vrid):
                self.world.log(self, f"deactivates {vrid}")
                self.kernel.active.discard(vrid)
                self.world.checks.service_changed()
            case InstallBindings(vrid=vrid, bindings=bindings):
                routes = self.kernel.routes.setdefault(vrid, {})
                routes.update((binding.home_address, binding.care_of_address) for binding in bindings)
            case RemoveBindings(vrid=vrid, bindings=bindings):
                routes = self.kernel.routes.setdefault(vrid, {})
                for binding in bindings:
                    if routes.pop(binding.home_address, None) != binding.care_of_address:
                        raise SimulationError(f"{self.name} removes {binding} from the kernel, which has it not")
            case ConfirmInstalled(vrid=vrid, token=token):
                life = self._life
                delay = self.world.rng.randint(100, 20_000)
                answer = BindingsInstalled(vrid, token)
                self.world.after(delay, lambda: self.happens(answer) if life == self._life else None)
            case Report(kind=kind, level=level):
                self.reports[kind] += 1
                if kind == "bindings_recovered":
                    self.recovered_at = self.world.now
                if level != "debug":
                    self.world.log(self, f"reports {kind} {effect.fields}")
            case RunHook(arguments=arguments):
                self.hooks.append(arguments)
                self.world.log(self, f"runs the hook {arguments}")
            case SetUp(virtual_ha=virtual_ha):
                self.kernel.routes.setdefault(virtual_ha.vrid, {})
            case TearDown(vrid=vrid):
                self.kernel.active.discard(vrid)
                self.kernel.routes.pop(vrid, None)
            case _:
                raise SimulationError(f"unknown effect {effect!r}")

    def _note_advert(self, frame: SendFrame) -> None:
        packet = ipv6.decode(frame.packet)
        is_advert = packet.next_header == vrrp.NEXT_HEADER and packet.payload[0] & 0xF == vrrp.ADVERTISEMENT
        if is_advert and packet.payload[2] == OWNER and frame.vrid not in self.owns:
            self.owns.add(frame.vrid)
            self.world.checks.owner_returned(self, frame.vrid)
