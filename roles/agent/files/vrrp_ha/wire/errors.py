# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that leaves a decoder."""

from __future__ import annotations


class WireError(ValueError):
    """The bytes from a peer are not an acceptable message.

    reason is stable: it is the name of the drop counter. detail is for people.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
