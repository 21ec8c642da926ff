# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enter a network namespace by name (ip netns) or by path (/proc/PID/ns/net), from Python 3.8 on."""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNET = 0x4000_0000


def enter(namespace: str) -> None:
    """Move this thread, so everything it starts from now on, into the namespace."""
    path = namespace if "/" in namespace else f"/run/netns/{namespace}"
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"cannot enter the network namespace {path}: {os.strerror(error)}")
    finally:
        os.close(descriptor)
