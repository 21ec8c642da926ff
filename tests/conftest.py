# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests: how hard Hypothesis tries, what a skip may be, where everything has to run, what ran in the end.

VRRP_HA_HYPOTHESIS chooses the profile: fast (the default) for every run, deep for a night.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("fast", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("VRRP_HA_HYPOTHESIS", "fast"))

ACCEPTABLE = "kernel:"
"""A skip whose reason begins so tells what the running kernel lacks; anything else could have been set up."""

os.environ.setdefault("VRRP_HA_LAB", "t")
"""Tests have a lab of their own, so that they leave one alone that somebody works with."""

if WORKER := os.environ.get("PYTEST_XDIST_WORKER", ""):
    os.environ["VRRP_HA_LAB"] = os.environ["VRRP_HA_LAB"][:3] + WORKER[2:]  # and so has each worker


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--complete",
        action="store_true",
        help=f"everything has to run: a test skipped for a reason that does not begin with {ACCEPTABLE!r} has failed, "
        "and so has one that docs/conformance.md names if it did not pass",
    )


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if config.getoption("--complete") and not config.option.collectonly and not is_worker:
        from tests.conformance.ran import NamedTestsRan
        from tests.conformance.table import TABLE, named_tests

        config.pluginmanager.register(NamedTestsRan(config, named_tests(TABLE.read_text())))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For -n."""
    from tests.scheduling import Scheduling

    return Scheduling(config, log)


def without(prefix: str, text: str) -> str:
    """str.removeprefix, which Python 3.8 has not: plugins' tests run there, too."""
    return text[len(prefix) :] if text.startswith(prefix) else text


def reason_of(skip: str) -> str:
    """What a test said when it skipped."""
    return without("Skipped: ", skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and item.config.getoption("--complete") and not hasattr(report, "wasxfail"):
        reason = reason_of(report.longrepr[2])
        if not reason.startswith(ACCEPTABLE):
            report.outcome = "failed"
            report.longrepr = f"skipped, but it has to run here: {reason}"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and collector.config.getoption("--complete"):
        reason = reason_of(str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr))
        if not reason.startswith(ACCEPTABLE):
            report.outcome = "failed"
            report.longrepr = f"skipped, but it has to run here: {reason}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many of each suite ran."""
    counts: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed"):
        for report in terminalreporter.stats.get(outcome, []):
            if isinstance(report, pytest.TestReport):
                suite = without("tests/", report.nodeid).split("/")[0]
                counts.setdefault(suite, Counter())[outcome] += 1
    if len(counts) > 1:
        terminalreporter.section("suites")
        for suite, outcomes in counts.items():
            terminalreporter.write_line(f"{suite:10} {', '.join(f'{n} {name}' for name, n in outcomes.items())}")
