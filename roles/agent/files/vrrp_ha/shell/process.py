# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the process on time: real-time scheduling, locked memory, a garbage collector that stays out of the way.

Each is asked for and done without when it is refused; what was refused is returned for the log.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

PRIORITY = 20  # above ordinary work, below the kernel's own real-time threads
RUNAWAY_US = 1_000_000  # of processor without a single wait: then the agent is an ordinary process again

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK = 14


def settle() -> list[str]:
    """Call when everything that stays is loaded. Returns what the host refused, as text."""
    refused = [*_real_time(), *_locked_memory()]
    gc.collect()
    gc.freeze()
    # Bindings are no cycles: collections of the young suffice, and one of everything would take a second.
    gc.set_threshold(5000, 50, 1_000_000)
    return refused


def ordinary() -> None:
    """Give real-time scheduling back."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _real_time() -> Iterator[str]:
    try:
        hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
        soft = RUNAWAY_US if hard == resource.RLIM_INFINITY else min(RUNAWAY_US, hard // 2)
        resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))
        signal.signal(signal.SIGXCPU, lambda *_: ordinary())
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except (OSError, ValueError) as error:
        yield f"real-time scheduling: {error}"


def _locked_memory() -> Iterator[str]:
    # Without the capability a later allocation would fail at the limit of locked memory: worse than a page fault.
    if not _has_capability(_CAP_IPC_LOCK):
        yield "locked memory: needs CAP_IPC_LOCK"
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        yield f"locked memory: {os.strerror(ctypes.get_errno())}"


def _has_capability(number: int) -> bool:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    effective = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> number & 1)
