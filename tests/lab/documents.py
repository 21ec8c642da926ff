# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the documentation, as somebody who reads it runs them.

Every fenced block without a language, or with `sh`, is commands; other text has `text` or the language that it is in. A
comment right above a block says what else there is to know: <!-- fails -->, <!-- not run: why -->,
<!-- not run (part of a line): why -->, <!-- without ha1 -->.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs.generate.blocks import Block, blocks
from tests.lab.places import CHECKOUT

README = CHECKOUT / "README.md"
TUTORIAL = CHECKOUT / "docs/tutorial.md"
BY_HAND = CHECKOUT / "docs/how-to/run-by-hand.md"
HOW_TO = CHECKOUT / "docs/how-to"
FIRST = ("remove", "deploy", "plan", "drain", "rebalance", "failover", "rotate-keys", "balance", "recover")
"""What a page leaves behind the next ones clear up: after remove comes deploy."""

_IN_TABLE = re.compile(r"`((?:ansible-playbook|vrrp-ha) [^`]*)`")
_NOT_RUN = re.compile(r"not run(?: \((.*?)\))?: (.+)")


@dataclass(frozen=True, slots=True)
class Command:
    """A line, continued lines joined, and what is known about it. why_not: why it is not run, or ''."""

    text: str
    page: str
    line: int
    why_not: str = ""
    fails: bool = False
    without: str = ""

    @property
    def same_as(self) -> str:
        """Two commands with the same of this are the same; the inventory is always that of the fleet."""
        return self.text.replace("-i inventory ", "")

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def pages() -> list[Path]:
    """Those whose commands are run one by one on a fleet, in an order that makes sense."""
    rest = sorted(path for path in HOW_TO.glob("*.md") if path.stem not in FIRST and path != BY_HAND)
    return [*(HOW_TO / f"{name}.md" for name in FIRST), *rest, CHECKOUT / "docs/troubleshooting.md", README]


def commands(page: Path) -> Iterator[Command]:
    """Those of a page's blocks, and of the README's table."""
    text = page.read_text("utf-8")
    name = str(page.relative_to(CHECKOUT))
    for block in is_run(text):
        not_run = _NOT_RUN.fullmatch(block.remark)
        without = block.remark.removeprefix("without ") if block.remark.startswith("without ") else ""
        for number, line in _lines(block.text):
            why_not = not_run[2] if not_run and (not_run[1] or "") in line else ""
            yield Command(line, name, block.line + number, why_not, block.remark == "fails", without)
    if page == README:
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("|"):
                yield from (Command(found, name, number) for found in _IN_TABLE.findall(line))


def is_run(text: str) -> list[Block]:
    """The blocks that are commands."""
    return [block for block in blocks(text) if block.language in ("", "sh")]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    begun = ""
    for number, line in enumerate(text.splitlines(), 1):
        begun += line.strip()
        if begun.endswith("\\"):
            begun = begun[:-1].rstrip() + " "
        elif begun:
            yield number, re.sub(r"\s+# .*", "", begun)
            begun = ""
