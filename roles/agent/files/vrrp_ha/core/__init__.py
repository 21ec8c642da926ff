# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions only: events in, effects out. No clock, no sockets, no randomness of its own."""
