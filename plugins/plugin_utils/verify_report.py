# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify found, as files for other programs: JSON, and JUnit XML as continuous integration reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from .fleet import Fleet, Problem

JSON_FILE, JUNIT_FILE = "verify.json", "verify.xml"


def as_json(fleet: Fleet, problems: Sequence[Problem]) -> str:
    """Every problem, and the state of every virtual HA on every member."""
    document = {
        "format": 1,
        "sound": not problems,
        "problems": [problem.document() for problem in problems],
        "virtual_has": [
            {"vrid": entry["vrid"], "name": entry.get("name"), "members": fleet.members_of(entry)}
            for entry in fleet.virtual_has
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def as_junit(fleet: Fleet, problems: Sequence[Problem]) -> str:
    """One test case for each host and for each virtual HA; a problem is a failure of those that it is about."""
    cases: dict[tuple[str, str], list[str]] = {("hosts", host): [] for host in fleet.hosts()}
    cases.update({("virtual HAs", _title(entry)): [] for entry in fleet.virtual_has})
    titles = {(entry["vrid"], host): _title(entry) for entry in fleet.virtual_has for host in entry["priorities"]}
    for problem in problems:
        hosts = _hosts(problem)
        if problem.vrid is None:
            about = [("hosts", host) for host in hosts]
        else:
            about = [("virtual HAs", titles.get((problem.vrid, host), f"VRID {problem.vrid}")) for host in hosts[:1]]
        for case in about:
            cases.setdefault(case, []).append(problem.line())
    suites = ElementTree.Element("testsuites", name="mip6.vrrp_ha.verify")
    for name in ("hosts", "virtual HAs"):
        of_suite = {case: lines for (suite, case), lines in cases.items() if suite == name}
        failures = sum(bool(lines) for lines in of_suite.values())
        suite = ElementTree.SubElement(
            suites, "testsuite", name=name, tests=str(len(of_suite)), failures=str(failures), errors="0", skipped="0"
        )
        for title, lines in of_suite.items():
            element = ElementTree.SubElement(suite, "testcase", classname=f"mip6.vrrp_ha.{name}", name=title)
            if lines:
                ElementTree.SubElement(element, "failure", message=lines[0]).text = "\n".join(lines)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def files(fleet: Fleet, problems: Sequence[Problem]) -> dict[str, str]:
    """Both, by file name."""
    return {JSON_FILE: as_json(fleet, problems), JUNIT_FILE: as_junit(fleet, problems)}


def _title(entry: dict[str, Any]) -> str:
    where = next(iter(entry.get("addresses") or []), "")
    return " ".join(filter(None, (f"VRID {entry['vrid']}", entry.get("name"), where)))


def _hosts(problem: Problem) -> list[str]:
    return problem.host.replace(" and ", ", ").split(", ")
