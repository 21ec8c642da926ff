# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/conformance.md as data: which tests it names for which requirement, and what is wrong with it.

    python -m tests.conformance.table      how many requirements are shown, not done and not applicable

A row is `| ids | key words | in few words | tests, or why there are none |`. Ids of one section share their beginning:
`rfc6275-9.2-f g h`. Tests are named by their path below tests/. A row without a test begins its last column with
"not done: " or "not applicable: ", or says that it is the same "as" another one.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.texts import known_requirements

TABLE = Path(__file__).parents[2] / "docs" / "conformance.md"
REASONS = ("not done: ", "not applicable: ")
_ID = re.compile(r"^(?P<section>[a-z]+\d*-[\d.]+)-(?P<letter>[a-z]+)$")
_TEST = re.compile(r"`([^`]+::[^`]+)`")
_SAME = re.compile(r"^as (\S+)$")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    line: int
    ids: tuple[str, ...]
    keywords: str
    words: str
    shown: str

    @property
    def tests(self) -> tuple[str, ...]:
        """Node ids as pytest has them."""
        return tuple(f"tests/{name}" for name in _TEST.findall(self.shown))

    @property
    def status(self) -> str:
        for reason in REASONS:
            if self.shown.startswith(reason):
                return reason.removesuffix(": ")
        return "shown"

    @property
    def same_as(self) -> str:
        """The id of the requirement that says the same, or nothing."""
        match = _SAME.match(self.shown)
        return match[1] if match else ""


def rows(text: str) -> list[Row]:
    """Every line of a table whose first column is an id."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("|") or not _ID.match(cells[0].split(" ")[0]):
            continue
        if len(cells) != 4:
            raise ValueError(f"line {number}: four columns are wanted, there are {len(cells)}")
        found.append(Row(number, _ids(cells[0]), *cells[1:]))
    return found


def _ids(cell: str) -> tuple[str, ...]:
    first, *letters = cell.split(" ")
    match = _ID.match(first)
    assert match is not None
    return (first, *(f"{match['section']}-{letter}" for letter in letters))


def named_tests(text: str) -> dict[str, tuple[str, ...]]:
    """{node id of a test: the requirements that it shows}"""
    named: dict[str, tuple[str, ...]] = {}
    for row in rows(text):
        for test in row.tests:
            named[test] = named.get(test, ()) + row.ids
    return named


def problems(text: str, known: dict[str, str]) -> list[str]:
    """What is wrong with the table; known: every requirement with its key word."""
    found = []
    seen: Counter[str] = Counter()
    whole = rows(text)
    themselves = {i for row in whole if not row.same_as for i in row.ids}
    for row in whole:
        seen.update(row.ids)
        here = f"line {row.line}, {row.ids[0]}"
        wanted = ", ".join(dict.fromkeys(known.get(i, "?") for i in row.ids))
        if row.keywords != wanted:
            found.append(f"{here}: the text says {wanted}, the table {row.keywords}")
        if not row.words:
            found.append(f"{here}: what is required?")
        if row.same_as:
            if row.same_as not in themselves:
                found.append(f"{here}: {row.same_as} is no row with tests or a reason of its own")
        elif row.status == "shown" and not row.tests:
            found.append(f"{here}: no test is named, and it does not begin with {' or '.join(map(repr, REASONS))}")
        if "in work" in row.shown:
            found.append(f"{here}: in work is no state to leave it in")
    found += [f"{i}: not in the table ({keyword})" for i, keyword in known.items() if not seen[i]]
    found += [f"{i}: more than once in the table" for i, times in seen.items() if times > 1]
    found += [f"{i}: no such requirement in sentences.yml" for i in seen if i not in known]
    return found


def missing(named: dict[str, tuple[str, ...]], collected: set[str]) -> list[str]:
    """Named tests that do not exist; a test with parameters may be named with or without them."""
    existing = collected | {test.split("[")[0] for test in collected}
    return [f"{test} does not exist; named for {', '.join(ids)}" for test, ids in named.items() if test not in existing]


def main() -> int:
    text = TABLE.read_text()
    known = known_requirements()
    statuses = {i: row.status for row in rows(text) if not row.same_as for i in row.ids}
    counts: dict[str, Counter[str]] = {}
    for row in rows(text):
        for i in row.ids:
            counts.setdefault(i.split("-")[0], Counter())[statuses.get(row.same_as or i, "nowhere")] += 1
    for document, by_status in counts.items():
        print(f"{document:8} {', '.join(f'{number} {status}' for status, number in sorted(by_status.items()))}")
    wrong = problems(text, known)
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
