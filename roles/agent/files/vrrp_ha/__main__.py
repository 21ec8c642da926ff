# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m vrrp_ha`: the vrrp-ha command from a checkout."""

import sys

from .cli import main

sys.exit(main())
