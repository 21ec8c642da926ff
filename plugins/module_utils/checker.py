# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's own checker, run over files that are not in force yet."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from .configuration import text_of

STDIN = "/dev/stdin"


class RefusedError(Exception):
    """The agent would not take this configuration; problems says why, path by path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the agent refuses the configuration: " + "; ".join(problems))
        self.problems = problems


def check(
    run: Callable[[list[str], str | None], tuple[int, str, str]],
    command: Iterable[str],
    config: dict[str, Any],
    keys: str | None,
    directory: str | None = None,
) -> None:
    """Raise RefusedError unless the agent takes the configuration (a document) with the keys (a text or None).

    run takes a command and a text for its standard input. The keys go there: a file with them would stay if this were
    killed.
    """
    place = tempfile.mkdtemp(prefix="vrrp-ha-check-", dir=directory)
    try:
        config_path = _write(place, "agent.json", text_of(config))
        arguments = list(command) + ["check", "--json"]
        if keys is not None:
            arguments += ["--keys", STDIN]
        rc, out, err = run(arguments + [config_path], keys)
        if rc:
            raise RefusedError([_with_vrid(line, config) for line in problems(out, err, place)])
    finally:
        shutil.rmtree(place, ignore_errors=True)


def problems(out, err, place=""):
    """The checker's output as lines that name a path and a remedy."""
    try:
        found = json.loads(out)["problems"]
    except (ValueError, KeyError, TypeError):
        found = [line.strip() for line in (err + "\n" + out).splitlines() if line.strip()][-20:]
    return [_line(problem).replace(place + "/", "").replace(STDIN, "keys.json") for problem in found] or [
        "the checker does not say why"
    ]


def _with_vrid(line, config):
    """Say which VRID virtual_has[N] is: the operator's list is the fleet's, so N is not a place in it."""
    found = re.match(r"virtual_has\[(\d+)\][^:]*", line)
    if not found:
        return line
    try:
        vrid = config["virtual_has"][int(found.group(1))]["vrid"]
    except (IndexError, KeyError, TypeError):
        return line
    return "{0} (VRID {1}){2}".format(found.group(0), vrid, line[found.end() :])


def _line(problem):
    if not isinstance(problem, dict):
        return str(problem)
    text = "{0}: {1}".format(problem.get("path") or "agent.json", problem.get("message"))
    return text + (" ({0})".format(problem["remedy"]) if problem.get("remedy") else "")


def _write(directory, name, text):
    path = os.path.join(directory, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path
