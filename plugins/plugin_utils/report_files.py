# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written on the controller for people and other programs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

from ansible.errors import AnsibleActionFail


def write(directory: str, contents: Mapping[str, str]) -> list[str]:
    """Files by name, each all or nothing, in a directory that is made if need be; their paths."""
    paths = []
    try:
        os.makedirs(directory, exist_ok=True)
        for name, content in contents.items():
            path = os.path.join(directory, name)
            with tempfile.NamedTemporaryFile("w", dir=directory, delete=False, encoding="utf-8") as file:
                file.write(content)
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
            paths.append(path)
    except OSError as error:
        message = f"report: {error.filename or directory}: {error.strerror}; name a directory to write to"
        raise AnsibleActionFail(message) from error
    return paths
