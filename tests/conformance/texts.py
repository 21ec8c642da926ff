# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requirements in the texts of the draft and of RFCs: each MUST, SHOULD and so on gets an id.

The texts are not in this repository; sentences.yml says which key words each section has, and this compares:

    python -m tests.conformance.texts FOLDER...            what differs, exit code 1 if anything does
    python -m tests.conformance.texts FOLDER... --write    write sentences.yml anew; what is left out stays
    python -m tests.conformance.texts FOLDER... --show rfc6275-10.3    ids with their sentences

An id is `rfc6275-10.3.1-c`: the document, the section, and the third key word of RFC 2119 in it; after z comes aa.
MAY and OPTIONAL require nothing. The draft writes some of its requirements in small letters; those count as well.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase

import yaml

REQUIREMENTS = Path(__file__).parent / "sentences.yml"
FILES = {
    "draft": "draft-deng-mip6-vrrp-homeagent-reliability-00.txt",
    "rfc6275": "rfc6275.txt",
    "rfc3776": "rfc3776.txt",
    "rfc4285": "rfc4285.txt",
    "rfc5142": "rfc5142.txt",
    "rfc9568": "rfc9568.txt",
    "rfc5798": "rfc5798.txt",
}

_KEYWORD = re.compile(r"\b(?:MUST|SHOULD|SHALL)(?:\s+NOT)?\b|\bREQUIRED\b|\b(?:NOT\s+)?RECOMMENDED\b")
_KEYWORD_OF_ANY_CASE = re.compile(r"\b(?:must|should)(?:\s+not)?\b", re.IGNORECASE)
_HEADING = re.compile(r"^(?P<number>\d+(?:\.\d+)*)\.?\s\s?\S.*$")
_APPENDIX = re.compile(r"^Appendix [A-Z]|^[A-Z]\.\d|^Authors? ?'")
_PAGE = re.compile(r"^\S.*\[Page \d+\]$|^(?:RFC \d+ |Internet-Draft ).*\d{4}$")
_CONTENTS = re.compile(r"\.{4,}|(?: \.){3,}")
_TERMS = ("are to be interpreted as described", '"MUST"')

HEADER = """\
# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The key words of RFC 2119 in each section, in the order of the text. Written by tests/conformance/texts.py, but for
# left_out: sections (with those below them) that have nothing to say to a home agent or a VRRP router for IPv6.
---
"""


@dataclass(frozen=True)
class Occurrence:
    """One key word where it stands."""

    document: str
    section: str
    number: int
    keyword: str
    sentence: str

    @property
    def id(self) -> str:
        return requirement_id(self.document, self.section, self.number)


def requirement_id(document: str, section: str, number: int) -> str:
    """number counts from 0."""
    return f"{document}-{section}-{letters(number)}"


def letters(number: int) -> str:
    """0 is a, 25 is z, 26 is aa."""
    tail = ascii_lowercase[number % 26]
    return tail if number < 26 else letters(number // 26 - 1) + tail


def is_below(section: str, parents: object) -> bool:
    """Section 10.3.1 is below 10.3.1, 10.3 and 10."""
    parts = section.split(".")
    return any(".".join(parts[: n + 1]) in parents for n in range(len(parts)))


# --- reading a text ----------------------------------------------------------------------------------------


def sections(text: str) -> dict[str, str]:
    """The text of each numbered section without its subsections and without what is repeated on each page."""
    found: dict[str, list[str]] = {}
    number = ""
    for line in text.replace("\f", "").splitlines():
        if _PAGE.match(line) or _CONTENTS.search(line):
            continue
        heading = _HEADING.match(line)
        if heading:
            number = heading["number"]
        elif _APPENDIX.match(line):
            number = ""
        found.setdefault(number, []).append(line)
    return {number: "\n".join(lines) for number, lines in found.items() if number}


def sentences(section: str) -> list[str]:
    """A section's sentences, each on one line."""
    flowing = re.sub(r"\n\s*\n(?=\s*[a-z(])", "\n", section)  # a page break inside a sentence
    found = []
    for paragraph in re.split(r"\n\s*\n", flowing):
        line = re.sub(r"\s+", " ", paragraph).strip()
        found += re.split(r"(?<=[.:;])\s(?=[A-Z*o-])", line)
    return found


def occurrences(document: str, text: str) -> list[Occurrence]:
    """Every key word of a document in the order of the text."""
    keyword = _KEYWORD_OF_ANY_CASE if document == "draft" else _KEYWORD
    found: list[Occurrence] = []
    for section, body in sections(text).items():
        count = 0
        for sentence in sentences(body):
            if any(mark in sentence for mark in _TERMS):
                continue
            for match in keyword.finditer(sentence):
                words = re.sub(r"\s+", " ", match[0]).upper()
                found.append(Occurrence(document, section, count, words, sentence))
                count += 1
    return found


# --- what is committed -------------------------------------------------------------------------------------


def read_requirements() -> dict[str, dict[str, dict[str, object]]]:
    """{document: {"sections": {number: [key words]}, "left_out": {number: reason}}}"""
    return yaml.safe_load(REQUIREMENTS.read_text())


def known_requirements() -> dict[str, str]:
    """{id: key word} of all that docs/conformance.md has to speak of."""
    return {
        requirement_id(document, section, number): keyword
        for document, scope in read_requirements().items()
        for section, keywords in scope["sections"].items()
        for number, keyword in enumerate(keywords)
    }


def in_scope(document: str, text: str, left_out: dict[str, object]) -> dict[str, list[str]]:
    """{section: key words} of the sections that are not left out."""
    found: dict[str, list[str]] = {}
    for occurrence in occurrences(document, text):
        if not is_below(occurrence.section, left_out):
            found.setdefault(occurrence.section, []).append(occurrence.keyword)
    return found


def compare(known: dict[str, dict[str, dict[str, object]]], texts: dict[str, str]) -> list[str]:
    """What is in the texts and not in sentences.yml, and the reverse."""
    problems = [f"{document}: no text found" for document in known if document not in texts]
    for document, text in texts.items():
        scope = known.get(document, {"sections": {}, "left_out": {}})
        found = in_scope(document, text, scope["left_out"])
        written = scope["sections"]
        problems += [
            f"{document} section {section}: text {found.get(section)}, file {written.get(section)}"
            for section in sorted({*found, *written})
            if found.get(section) != written.get(section)
        ]
    return problems


def write(known: dict[str, dict[str, dict[str, object]]], texts: dict[str, str]) -> str:
    """sentences.yml anew."""
    lines = [HEADER.rstrip()]
    for document, text in texts.items():
        left_out = known.get(document, {}).get("left_out", {})
        lines.append(f"{document}:")
        lines.append("  left_out:" if left_out else "  left_out: {}")
        lines += [f'    "{section}": {reason}' for section, reason in left_out.items()]
        lines.append("  sections:")
        for section, keywords in in_scope(document, text, left_out).items():
            beginning = f'    "{section}": ['
            after = " " * len(beginning)
            lines += textwrap.wrap(", ".join(keywords) + "]", 118, initial_indent=beginning, subsequent_indent=after)
    return "\n".join(lines) + "\n"


def find_texts(folders: list[Path]) -> dict[str, str]:
    """The documents that are in these folders."""
    return {
        document: (folder / name).read_text(errors="replace")
        for document, name in FILES.items()
        for folder in folders
        if (folder / name).is_file()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare sentences.yml with the texts of the draft and the RFCs.")
    parser.add_argument("folders", nargs="+", type=Path, help="where the texts are")
    parser.add_argument("--write", action="store_true", help="write sentences.yml anew")
    parser.add_argument("--show", metavar="PREFIX", help="show the requirements whose id begins so")
    arguments = parser.parse_args()
    texts = find_texts(arguments.folders)
    if arguments.show:
        for document, text in texts.items():
            for found in occurrences(document, text):
                if found.id.startswith(arguments.show):
                    print(f"{found.id} {found.keyword}: {found.sentence}")
        return 0
    known = read_requirements() if REQUIREMENTS.exists() else {}
    if arguments.write:
        REQUIREMENTS.write_text(write(known, texts))
        return 0
    problems = compare(known, texts)
    print("\n".join(problems) or f"{len(known_requirements())} requirements, as in the texts")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
