# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin for complete runs: every test that docs/conformance.md names has to have passed.

One that was not run, was skipped for whatever reason, or failed as expected shows nothing: the run has failed. Only
tests below the paths that pytest was given, and not told to ignore, are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

PASSED = "passed"


class NamedTestsRan:
    """named: {node id: the requirements that it shows}"""

    def __init__(self, config: pytest.Config, named: dict[str, tuple[str, ...]]) -> None:
        self._config = config
        self._named = named
        self._outcomes: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.passed and report.when != "call":
            return
        outcome = "failed as expected" if hasattr(report, "wasxfail") else report.outcome
        for name in {report.nodeid, report.nodeid.split("[")[0]} & self._named.keys():
            self._outcomes.setdefault(name, set()).add(outcome)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        problems = self.problems()
        if not problems or session.shouldstop or session.shouldfail:
            return
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            text = "Named in docs/conformance.md, but:\n" + "\n".join(problems)
            place = ("docs/conformance.md", 0, "conformance")
            report = pytest.TestReport("docs/conformance.md", place, {}, "failed", text, "setup")
            reporter.stats.setdefault("error", []).append(report)

    def problems(self) -> list[str]:
        """Each named test that has not passed, with what it should have shown."""
        found = []
        for name, ids in self._named.items():
            outcomes = self._outcomes.get(name, {"not run"})
            if outcomes != {PASSED} and self._is_asked_for(name):
                found.append(f"{name}: {', '.join(sorted(outcomes - {PASSED}))}; it is to show {', '.join(ids)}")
        return found

    def _is_asked_for(self, name: str) -> bool:
        place = self._config.rootpath / name.split("::")[0]
        asked, ignored = map(self._resolved, (self._config.args, self._config.getoption("ignore") or []))
        around = {place, *place.parents}
        return not around.isdisjoint(asked) and around.isdisjoint(ignored)

    def _resolved(self, paths: Iterable[str]) -> list[Path]:
        return [(self._config.invocation_params.dir / path.split("::")[0]).resolve() for path in paths]
