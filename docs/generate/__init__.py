# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of docs/reference that the code knows: `make docs` writes them, a test says when they are out of date.

A page is prose with generated parts between marks, or generated altogether (that of a module). What is said in a part
comes from one place: the DOCUMENTATION of a plugin, the role's argument specification, the agent's own readers and
tables; what no code has is in the YAML files beside this one.
"""
