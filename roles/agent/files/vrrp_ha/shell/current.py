# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files on disk are the ones that the agent runs with."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .config import Configuration

_Mark = tuple[int, int, int, int]


class FilesOnDisk:
    """Looks at the content again only when the file is another one or was touched."""

    def __init__(self, configuration: Configuration) -> None:
        self._wanted = {configuration.path: configuration.digest}
        if configuration.shell.keys_file:
            self._wanted[configuration.shell.keys_file] = configuration.keys_digest
        self._seen: dict[str, tuple[_Mark, bool]] = {}

    def are_current(self) -> bool:
        """True when all of them are."""
        current = [self._is_current(path, digest) for path, digest in self._wanted.items()]
        return all(current)

    def _is_current(self, path: str, digest: str) -> bool:
        try:
            status = Path(path).stat()
            mark = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            seen = self._seen.get(path)
            if seen is None or seen[0] != mark:
                same = hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest
                seen = self._seen[path] = (mark, same)
            return seen[1]
        except OSError:
            return False
