# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes <-> messages. Total: a message comes out or WireError is raised."""
