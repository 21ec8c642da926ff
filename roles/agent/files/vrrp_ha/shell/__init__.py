# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host: clock, sockets, netlink, files. It decides nothing."""
