# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Mobile IPv6 home agent with VRRP redundancy: wire (codecs), core (decisions), shell (the host)."""

__version__ = "0.1.0"
