# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell that stays, for pages that are followed from top to bottom in one."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.places import LabError

_DID_NOT_FAIL = 99


class Shell:
    """Ends at the first command that fails, as a reader would stop there."""

    def __init__(self, directory: Path, environment: Mapping[str, str], command: Sequence[str] = ()) -> None:
        """command: what the shell is run by, for one that is somewhere else."""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 # as long as the shell
        self._process = subprocess.Popen(
            [*command, "bash", "-eu"], cwd=directory, env=os.environ | dict(environment), stdin=subprocess.PIPE,
            stdout=self._output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, text: str, *, fails: bool = False, timeout: float = 180) -> str:
        """What some lines print; LabError with it when one fails, or when the last is to fail and does not."""
        assert self._process.stdin
        before = os.fstat(self._output.fileno()).st_size
        mark = f"done-{secrets.token_hex(8)}"
        line = f"eval {shlex.quote(text)} </dev/null"
        line = f"if {line}; then exit {_DID_NOT_FAIL}; fi" if fails else line
        try:
            self._process.stdin.write(f"{line}\necho {mark}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise LabError(f"the shell is over; it was to run:\n{text}") from None
        deadline = time.monotonic() + timeout
        while self._process.poll() is None and mark not in self._said(before) and time.monotonic() < deadline:
            time.sleep(0.02)
        said = self._said(before)
        if mark not in said:
            ended = self._process.poll()
            how = {None: "is not done", _DID_NOT_FAIL: "did not fail"}.get(ended, f"ended with {ended}")
            raise LabError(f"{how}:\n{text}\nIt said:\n{said[-6000:]}")
        return said.replace(f"{mark}\n", "")

    def close(self) -> None:
        """End it and what it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def _said(self, start: int) -> str:
        return os.pread(self._output.fileno(), 1 << 24, start).decode(errors="replace")
