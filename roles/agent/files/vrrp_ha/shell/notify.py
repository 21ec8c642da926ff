# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling systemd how the agent is (sd_notify); silent when nobody asked."""

from __future__ import annotations

import os
import socket

from ..core.types import SECOND


class ServiceManager:
    """The supervisor's socket and the watchdog period it wants."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        watched = os.environ.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self.watchdog_us = int(os.environ.pop("WATCHDOG_USEC", "0")) if watched else 0
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            if self._address.startswith("@"):
                self._address = "\0" + self._address[1:]

    @property
    def watchdog_interval_us(self) -> int | None:
        """How often to say that the loop turns: three times in a period, None without a watchdog."""
        return min(self.watchdog_us // 3, 10 * SECOND) if self._socket and self.watchdog_us else None

    def ready(self, status: str) -> None:
        """The service is up."""
        self._say(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._say(f"STATUS={status}")

    def alive(self) -> None:
        """The loop turns."""
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The service goes down in an orderly way."""
        self._say("STOPPING=1")

    def _say(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:
            pass  # a full queue: the next one will do
