# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make docs`: write the pages of docs/reference again, and say which have changed."""

from __future__ import annotations

import sys

from .pages import REFERENCE, PageError
from .reference import pages


def main() -> int:
    """Returns the exit code."""
    try:
        now = pages()
    except PageError as error:
        print(error, file=sys.stderr)
        return 1
    for path, text in now.items():
        file = REFERENCE / path
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, "utf-8")
            print(f"changed: {file}")
    for file in REFERENCE.glob("modules/*.md"):
        if str(file.relative_to(REFERENCE)) not in now:
            file.unlink()
            print(f"removed: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
