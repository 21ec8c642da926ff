# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""epoll with a function for each descriptor."""

from __future__ import annotations

import select
from collections.abc import Callable

READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT
BROKEN = select.EPOLLHUP | select.EPOLLERR

Ready = Callable[[int], None]  # is given what the descriptor is ready for


class Poller:
    """Level-triggered: what is not read now is reported again."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}

    def add(self, descriptor: int, ready: Ready, interest: int = READABLE) -> None:
        """Call the function when the descriptor is ready."""
        self._epoll.register(descriptor, interest)
        self._ready[descriptor] = ready

    def change(self, descriptor: int, interest: int) -> None:
        """Be interested in something else."""
        self._epoll.modify(descriptor, interest)

    def remove(self, descriptor: int) -> None:
        """Before the descriptor is closed."""
        del self._ready[descriptor]
        self._epoll.unregister(descriptor)

    def poll(self, *, wait: bool) -> None:
        """Call the functions of everything that is ready; wait until there is something, or do not."""
        for descriptor, events in self._epoll.poll(-1 if wait else 0):
            ready = self._ready.get(descriptor)
            if ready:  # else an earlier one of this round closed it
                ready(events)

    def close(self) -> None:
        """The descriptors themselves stay open."""
        self._epoll.close()
