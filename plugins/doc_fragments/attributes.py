# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attributes that every module of the collection documents."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragments by name; a module adds what is its own."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts what a run would change without changing anything.
    support: full
  diff_mode:
    description: Returns what is changed, before and after, with secrets masked.
    support: full
  idempotent:
    description: When run twice in a row with the same options, the second run changes nothing.
    support: full
  platform:
    description: Target systems.
    platforms: linux
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Predicts what a run would change without changing anything.
    support: full
    details:
      - It changes nothing in any mode.
  diff_mode:
    description: Returns what is changed, before and after, with secrets masked.
    support: none
    details:
      - It changes nothing.
  idempotent:
    description: When run twice in a row with the same options, the second run changes nothing.
    support: full
  platform:
    description: Target systems.
    platforms: linux
    support: full
"""

    ACTION_GROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/mip6.vrrp_ha.vrrp_ha) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - mip6.vrrp_ha.vrrp_ha
"""
