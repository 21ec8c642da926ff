# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages with marks, and the little Markdown that is made here. Knows nothing of what the parts say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"
_PART = re.compile(r"(<!-- make docs: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


class PageError(Exception):
    """A page and the generator do not agree about its parts."""


def parts_of(page: str) -> list[str]:
    """The names of the marks in a page."""
    return [name for _begin, name, _end in _PART.findall(page)]


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with every part as it is now; PageError for a name that is not known."""

    def part(match: re.Match[str]) -> str:
        if match[2] not in parts:
            raise PageError(f"there is no part {match[2]!r}; there are: {', '.join(sorted(parts))}")
        return f"{match[1]}\n{parts[match[2]].strip()}\n\n{match[3]}"

    return _PART.sub(part, page)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a line break in a cell becomes one of HTML."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def code(value: object) -> str:
    """Text as it is typed."""
    return f"`{value}`"


def _cell(value: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", value.strip()).replace("\n", "<br>")
