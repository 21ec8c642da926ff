# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every link within the documentation leads somewhere, and every page can be reached from README.md."""

from pathlib import Path

import pytest

from tests.unit.docs.markdown import anchors, links

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
PAGES = [README, ROOT / "tests/lab/README.md", ROOT / "roles/agent/README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def inner(page: Path) -> list[tuple[str, Path, str]]:
    """(the link as written, the file that it is to, its anchor) of those that stay here."""
    found = []
    for link in links(page.read_text("utf-8")):
        if "://" not in link and not link.startswith("mailto:"):
            place, _hash, anchor = link.partition("#")
            found.append((link, (page.parent / place).resolve() if place else page, anchor))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page):
    broken = [link for link, file, _anchor in inner(page) if not file.exists()]
    broken += [
        link
        for link, file, anchor in inner(page)
        if file.exists() and anchor and anchor not in anchors(file.read_text("utf-8"))
    ]
    assert broken == []


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = {README}, [README]
    while waiting:
        found = {file for _link, file, _anchor in inner(waiting.pop()) if file.suffix == ".md"} - reached
        reached |= found
        waiting += found
    unreachable = {page for page in ROOT.glob("docs/**/*.md") if page not in reached}
    assert unreachable == set()


def test_anchors_are_those_of_github():
    page = (
        "# One run at a time\n## `keys.json`, both\n```\n# no heading\n```\n## `keys.json`, both\n### [x](y.md) *z*\n"
    )
    assert anchors(page) == {"one-run-at-a-time", "keysjson-both", "keysjson-both-1", "x-z"}
    assert links("[a](b.md#c) `[d](e)` ![f](g.svg)\n```\n[h](i)\n```\n") == ["b.md#c", "g.svg"]
