# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links and anchors of pages as GitHub makes them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<(?:a|img)[^>]* (?:href|src)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6} (.+)$")
_NAMED = re.compile(r'<a (?:id|name)="([^"]+)"')


def prose(page: str) -> Iterator[str]:
    """Its lines without fenced blocks, and without what is between backticks."""
    fenced = False
    for line in page.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield line


def links(page: str) -> list[str]:
    text = re.sub(r"`[^`]*`", "", "\n".join(prose(page)))
    return [markdown or html for markdown, html in _LINK.findall(text)]


def anchors(page: str) -> set[str]:
    """Of headings: small letters, no punctuation but - and _, spaces as -; the second of a name has -1 behind it."""
    found = set(_NAMED.findall(page))
    seen: Counter[str] = Counter()
    for line in prose(page):
        if heading := _HEADING.match(line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            found.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return found
