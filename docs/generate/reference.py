# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of docs/reference as it should be now."""

from __future__ import annotations

from . import agent, configuration, playbooks, plugins
from .pages import REFERENCE, PageError, filled, parts_of


def parts() -> dict[str, str]:
    """{name of a mark: what belongs there}."""
    return {
        "modules": plugins.module_list(),
        "filters": plugins.filters(),
        "inventory-options": plugins.inventory_options(),
        "variables": playbooks.variables(),
        "playbooks": playbooks.playbooks(),
        "metrics": agent.metric_table(),
        "calls": agent.call_table(),
        "error-codes": agent.error_codes(),
        "events": agent.event_table(),
        "commands": agent.commands(),
        **configuration.parts(),
    }


def pages() -> dict[str, str]:
    """{path in docs/reference: its text}; PageError when a part is on no page, or a mark names none."""
    known = parts()
    there = {path.name: path.read_text("utf-8") for path in sorted(REFERENCE.glob("*.md"))}
    missing = known.keys() - {name for text in there.values() for name in parts_of(text)}
    if missing:
        marks = ", ".join(f"<!-- make docs: {name} -->" for name in sorted(missing))
        raise PageError(f"on no page of docs/reference: {marks}, each followed by <!-- end -->")
    return {name: filled(text, known) for name, text in there.items()} | plugins.module_pages()
