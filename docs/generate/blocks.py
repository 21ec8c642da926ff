# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fenced blocks of a page: commands, configurations, inventories. Tests run and check them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"\s*```(\w*)")
_REMARK = re.compile(r"\s*<!-- (.*) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """What is between two fences, without its indentation; remark is the HTML comment right above."""

    language: str
    text: str
    line: int
    remark: str = ""


def blocks(page: str) -> Iterator[Block]:
    """All of a page in their order; the line is that of the first fence, from 1."""
    remark = begun = language = ""
    inside: list[str] = []
    start = 0
    for number, line in enumerate(page.splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if start and fence:
            yield Block(language, textwrap.dedent("\n".join(inside) + "\n"), start, begun)
            start, remark = 0, ""
        elif start:
            inside.append(line)
        elif fence:
            start, language, inside, begun = number, fence[1], [], remark
        elif line.strip():
            found = _REMARK.fullmatch(line)
            remark = found[1] if found else ""
