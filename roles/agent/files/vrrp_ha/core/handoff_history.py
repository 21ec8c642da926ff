# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of the handoffs of one virtual HA, and who is to be left alone because of that."""

from __future__ import annotations

from collections import Counter

from .effects import Report
from .handoff_events import Handoff, HandoffState
from .types import SECOND, Address, Instant, text

KEPT_FINISHED = 1000
DEAF_US = 24 * 3600 * SECOND  # who does not answer is not asked again for so long


class HandoffHistory:
    """Counts, keeps the last ones for who wants to look, and knows who was asked when."""

    def __init__(self) -> None:
        self.totals: Counter[HandoffState] = Counter()
        self.finished: dict[Address, Handoff] = {}
        self._asked: dict[Address, Instant] = {}  # when, in that order
        self._deaf: dict[Address, Instant] = {}  # when they had not answered, in that order

    def end(self, handoff: Handoff, state: HandoffState, detail: str) -> Report:
        """It is over."""
        handoff.state, handoff.detail = state, detail
        self.totals[state] += 1
        self.finished.pop(handoff.home_address, None)
        self.finished[handoff.home_address] = handoff
        while len(self.finished) > KEPT_FINISHED:
            del self.finished[next(iter(self.finished))]
        if state is HandoffState.DONE:
            self._deaf.pop(handoff.home_address, None)
        level = "info" if state is HandoffState.DONE else "warning"
        fields: dict[str, object] = {"home_address": text(handoff.home_address), "to": handoff.to}
        return Report(level, f"handoff_{state.value}", fields=fields | ({"detail": detail} if detail else {}))

    def asked(self, home_address: Address, now: Instant) -> None:
        """It was told for the first time."""
        self._asked.pop(home_address, None)
        self._asked[home_address] = now

    def unanswered(self, home_address: Address, now: Instant) -> None:
        """It was told as often as RFC 5142 has it told, and did nothing."""
        self._deaf.pop(home_address, None)
        self._deaf[home_address] = now

    def is_left_alone(self, home_address: Address, now: Instant, hold_us: int) -> bool:
        """It was asked a while ago, or does not listen."""
        asked = self._asked.get(home_address)
        return home_address in self._deaf or (asked is not None and asked > now - hold_us)

    def forget(self, now: Instant, hold_us: int) -> None:
        """What is too long ago to matter."""
        for notes, kept_us in ((self._asked, hold_us), (self._deaf, DEAF_US)):
            while notes and notes[oldest := next(iter(notes))] <= now - kept_us:
                del notes[oldest]
