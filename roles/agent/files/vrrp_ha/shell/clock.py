# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monotonic clock of the agent and a timer that wakes the loop with the kernel's precision.

epoll counts its timeout in milliseconds; at 1 cs intervals that would be a tenth of the interval. The C library's
timerfd is used through ctypes, because Python 3.11 does not wrap it.
"""

from __future__ import annotations

import ctypes
import os
import time

from ..core.types import SECOND, Instant

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


_libc = ctypes.CDLL(None, use_errno=True)


def monotonic() -> Instant:
    """Microseconds that only ever grow; they mean nothing outside this boot of the host."""
    return Instant(time.monotonic_ns() // 1000)


def wall_clock_us() -> int:
    """Microseconds since 1970; steps when somebody sets the clock."""
    return time.time_ns() // 1000


class Timer:
    """A file descriptor that becomes readable at a given instant."""

    def __init__(self) -> None:
        self._fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _TimerSpec()
        self._armed: Instant | None = None

    def fileno(self) -> int:
        """For epoll."""
        return self._fd

    def arm(self, at: Instant | None) -> None:
        """Fire at this instant, at once if it is past, never if it is None."""
        if at == self._armed:
            return
        self._armed = at
        # All zero would disarm; an instant that is past fires at once.
        self._spec.value.seconds, microseconds = divmod(max(at, 1), SECOND) if at is not None else (0, 0)
        self._spec.value.nanoseconds = microseconds * 1000
        if _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(self._spec), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def clear(self) -> None:
        """It fired: forget that, so that it can be armed anew."""
        self._armed = None
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)
