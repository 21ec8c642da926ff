# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the handoffs of a virtual HA, and what is known of one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .events import HandoffsCancelled, HandoffWanted, TimerFired
from .router_advertiser import SpeakerChanged
from .types import SECOND, Address, Binding, Instant, text

# Reasons.
OF_OPERATOR = "operator"
OF_LOAD = "load"
OF_ITSELF = "itself"  # nobody told it


class HandoffState(Enum):
    """How far a handoff is."""

    PENDING = "pending"  # waits for its turn
    SENT = "sent"  # the mobile node was told
    DONE = "done"  # it stands at another virtual HA, or de-registered here
    FAILED = "failed"  # it did not answer, or could not be told


@dataclass(frozen=True, slots=True)
class StandsElsewhere:
    """This is now what another virtual HA has of a mobile node that is bound here, too."""

    binding: Binding


@dataclass(frozen=True, slots=True)
class BindingsGone:
    """These are bound here no more: the mobile nodes de-registered, or (not answered) something else ended it."""

    bindings: list[Binding]
    answered: bool


@dataclass(frozen=True, slots=True)
class ExtensionRefused:
    """A mobile node that was told asked from this address, with good authentication, to stay."""

    home_address: Address
    source: Address


HandoffEvent = (
    HandoffWanted | HandoffsCancelled | StandsElsewhere | BindingsGone | ExtensionRefused | SpeakerChanged | TimerFired
)


@dataclass(slots=True)
class Handoff:
    """One mobile node's."""

    home_address: Address
    destination: Address  # where it was heard last
    reason: str
    since: Instant
    to: int | None = None
    state: HandoffState = HandoffState.PENDING
    attempts: int = 0
    due: Instant | None = None  # when it is told again, given up, or its binding goes
    detail: str = ""
    done_then: int = 0  # how many were done when it was told

    def describe(self, now: Instant) -> dict[str, object]:
        """As plain data."""
        return {
            "home_address": text(self.home_address),
            "state": self.state.value,
            "reason": self.reason,
            "to": self.to,
            "destination": text(self.destination),
            "attempts": self.attempts,
            "since_s": (now - self.since) / SECOND,
            "detail": self.detail,
        }
