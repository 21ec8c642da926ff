# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict reader of Prometheus' text format 0.0.4: stricter than Prometheus, by the conventions for names as well."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_METRIC = re.compile(r"[a-z][a-z0-9_]*")
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>[^ ]+)")
_LABEL = re.compile(r'([a-z][a-z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
_UNITS_NOT_OF_THE_BASE = ("_ms", "_us", "_milliseconds", "_microseconds", "_centiseconds", "_minutes", "_kilobytes")
_OF_OTHER_TYPES = ("_bucket", "_sum", "_count", "_created")


@dataclass
class Family:
    """One metric: its samples by their labels."""

    name: str
    help: str
    kind: str = ""
    samples: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    @property
    def labels(self) -> set[str]:
        """The names of the labels; all samples have the same."""
        return {name for labels in self.samples for name, _unused in labels}


def read(text: str) -> dict[str, Family]:
    """Families by name; AssertionError for anything that is not as it should be."""
    assert text.endswith("\n")
    assert "\r" not in text
    families: dict[str, Family] = {}
    family: Family | None = None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            _check(family)
            name, _unused, words = line[7:].partition(" ")
            assert name not in families, f"{name} comes twice"
            family = families[name] = Family(name, words)
        elif line.startswith("# TYPE "):
            assert family is not None
            assert not family.kind, line
            assert not family.samples, line
            name, family.kind = line[7:].split(" ")
            assert name == family.name, line
        else:
            assert family is not None, line
            assert family.kind, line
            _sample(family, line)
    _check(family)
    return families


def _sample(family: Family, line: str) -> None:
    found = _SAMPLE.fullmatch(line)
    assert found, line
    assert found["name"] == family.name, line
    labels = _labels(found["labels"], line)
    assert labels not in family.samples, f"twice: {line}"
    if family.samples:
        assert {name for name, _unused in labels} == family.labels, line
    value = float(found["value"])
    assert math.isfinite(value), line
    family.samples[labels] = value


def _labels(text: str | None, line: str) -> tuple[tuple[str, str], ...]:
    if text is None:
        return ()
    labels, at = [], 0
    while at < len(text):
        found = _LABEL.match(text, at)
        assert found, line
        value = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), found[2])
        labels.append((found[1], value))
        at = found.end()
    assert text, line
    assert not text.endswith(","), line
    assert len({name for name, _unused in labels}) == len(labels), line
    return tuple(sorted(labels))


def _check(family: Family | None) -> None:
    if family is None:
        return
    name = family.name
    assert family.samples, name
    assert _METRIC.fullmatch(name)
    assert family.kind in ("gauge", "counter"), name
    assert re.fullmatch(r"[A-Z0-9].*\.", family.help), name
    assert "\\" not in family.help
    assert (family.kind == "counter") == name.endswith("_total"), name
    assert not name.endswith((*_UNITS_NOT_OF_THE_BASE, *_OF_OTHER_TYPES)), name
    if family.kind == "counter":
        assert all(value >= 0 for value in family.samples.values()), name
    if name.endswith("_info"):
        assert set(family.samples.values()) == {1}, name
