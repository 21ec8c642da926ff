# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done: everything a core can ask for. The shell performs these in order; the simulator too."""

from __future__ import annotations

from dataclasses import dataclass, field

from .settings import VirtualHaSettings
from .types import Binding


@dataclass(frozen=True, slots=True)
class SetUp:
    """Make (or change) the virtual router's macvlan, table, filters: everything but serving."""

    virtual_ha: VirtualHaSettings


@dataclass(frozen=True, slots=True)
class TearDown:
    """Remove every trace of the virtual router from the host."""

    vrid: int


@dataclass(frozen=True, slots=True)
class Activate:
    """Serve: addresses on the macvlan, frames in and out, the rules of its table and of decapsulation."""

    vrid: int


@dataclass(frozen=True, slots=True)
class Deactivate:
    """Stop serving; bindings stay installed for the next time."""

    vrid: int


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Put an IPv6 packet on the virtual router's link.

    virtual_mac: source is the virtual MAC (Master only: it moves the switch port), else the interface's own.
    """

    vrid: int
    destination_mac: bytes
    packet: bytes = field(repr=False)
    virtual_mac: bool = True


@dataclass(frozen=True, slots=True)
class SendPacket:
    """Send a whole IPv6 packet as the kernel's routing says (signalling to mobile nodes)."""

    packet: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InstallBindings:
    """Routes and source checks for these; an entry replaces the one with the same home address."""

    vrid: int
    bindings: list[Binding]


@dataclass(frozen=True, slots=True)
class RemoveBindings:
    """These home addresses are bound no more. The care-of addresses are what was installed."""

    vrid: int
    bindings: list[Binding]


@dataclass(frozen=True, slots=True)
class ConfirmInstalled:
    """Answer with BindingsInstalled once everything asked for before is in the kernel."""

    vrid: int
    token: int


@dataclass(frozen=True, slots=True)
class RunHook:
    """Start the operator's program with these arguments and go on; what comes of it does not matter to a core."""

    program: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Something an operator may want to know; becomes a log line, an event, a counter.

    level: debug, info, warning or error. kind: a stable name, e.g. became_master. Fields are plain data.
    """

    level: str
    kind: str
    vrid: int | None = None
    fields: dict[str, object] = field(default_factory=dict)


# --- between the cores: what node.py turns into the above --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Advertise:
    """Send an ADVERTISEMENT with this priority."""

    priority: int


@dataclass(frozen=True, slots=True)
class BecomeMaster:
    """The election is won. node.py activates, then advertises, then announces to neighbours."""


@dataclass(frozen=True, slots=True)
class BecomeBackup:
    """Serve no more; listen. was_master tells whether there is something to deactivate."""

    was_master: bool


@dataclass(frozen=True, slots=True)
class BecomeInitialize:
    """Out of the election (shut down or link lost)."""

    was_master: bool
