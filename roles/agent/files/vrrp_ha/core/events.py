# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened: the inputs of the node and, in the second half, of the cores that it is made of.

The shell and the simulator make the first kind; only node.py makes the second, from packets and from what
another core said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..wire.vrrp import Advertisement
from .settings import NodeSettings
from .types import Address


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A configured interface is up and has its link-local address; also sent again when one of these changes.

    addresses: all that the host itself has there. With others it is still the same link.
    """

    interface: str
    link_local: Address
    mac: bytes
    mtu: int
    addresses: frozenset[Address] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The interface lost its carrier, its address, or itself."""

    interface: str


LOOPBACK = "lo"  # the interface of packets that this host sent to itself


@dataclass(frozen=True, slots=True)
class PacketReceived:
    """A whole IPv6 packet was seen: VRRP or ND on a home link, or signalling to a virtual HA from anywhere."""

    interface: str
    source_mac: bytes
    packet: bytes
    wall_time_us: int  # microseconds since 1970, for the timestamps of RFC 4285 only


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The node's (or core's) deadline() has come, and every packet that was queued by then was handled."""


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The operator's new settings, already validated; what did not change is not touched."""

    settings: NodeSettings


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The agent is to stop: hand over what it serves, then be done (Node.stopped)."""


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """The operator wants this HA to serve none of these virtual HAs while another member can."""

    vrids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UndrainRequested:
    """The operator wants this HA back in the election with its configured priority."""

    vrids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RecoverRequested:
    """The operator wants these mobile nodes of a virtual HA to register anew."""

    vrid: int
    home_addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class HandoffWanted:
    """These should go, or so many. to: the VRID of the virtual HA, None for the least loaded."""

    home_addresses: tuple[Address, ...] = ()
    count: int = 0
    to: int | None = None


@dataclass(frozen=True, slots=True)
class HandoffsCancelled:
    """Those that wait for their turn should not go."""


@dataclass(frozen=True, slots=True)
class HandoffRequested:
    """The operator wants mobile nodes of a virtual HA to use another one, or not any more."""

    vrid: int
    wanted: HandoffWanted | HandoffsCancelled


@dataclass(frozen=True, slots=True)
class BindingsInstalled:
    """Every InstallBindings effect up to the ConfirmInstalled with this token is in the kernel."""

    vrid: int
    token: int


@dataclass(frozen=True, slots=True)
class EffectFailed:
    """The host refused an effect; the shell goes on trying where that makes sense."""

    vrid: int
    effect: str
    reason: str


# --- between the cores -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Startup:
    """RFC 9568 section 6.4.1. hold: an owner begins as Backup and waits for Release (docs/protocol.md)."""

    hold: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """The held owner has its bindings: become Master now."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """RFC 9568 section 6.4: leave the election for good, handing over first when Master."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The interface is gone: Initialize at once, nothing can be sent."""


@dataclass(frozen=True, slots=True)
class PriorityChanged:
    """The effective priority is now this (drain, undrain, unsynced penalty, new configuration).

    resign: when Master, hand over (priority 0, forward on until the successor's first advertisement).
    """

    priority: int
    resign: bool = False


@dataclass(frozen=True, slots=True)
class AdvertReceived:
    """A valid advertisement arrived from another router on the link."""

    source: Address
    advert: Advertisement
