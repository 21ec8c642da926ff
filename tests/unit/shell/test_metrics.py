# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status as Prometheus sees it, and what the operator's page says about it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.unit.core.nodes import Story, at, master, virtual_ha
from tests.unit.core.registering import update
from tests.unit.shell import exposition
from tests.unit.shell.test_config import Files
from vrrp_ha.core.types import packed
from vrrp_ha.shell import metrics
from vrrp_ha.shell.config import load
from vrrp_ha.shell.effective import effective
from vrrp_ha.shell.metrics_config import MetricsSettings
from vrrp_ha.shell.metrics_file import MetricsFile

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
OTHER = virtual_ha(vrid=52, link_local=packed("fe80::52"), addresses=(packed("2001:db8:1::52"),), name='the "other"\\')

# What of the status is no metric, and why.
LEFT_OUT = {"format", "pid"}
LEFT_OUT_OF_A_VIRTUAL_HA = {
    "addresses",  # the VHA address says which it is
    "master_is_self",  # state
    "sync_key",  # the names of keys are nobody's business
    "accepted_sync_keys",
    "sync_points",  # for comparing members, by their digests
}


class Looked(dict):
    """A dictionary that remembers what was looked at."""

    def __init__(self, content):
        super().__init__(content)
        self.at = set()

    def __getitem__(self, name):
        self.at.add(name)
        return super().__getitem__(name)


def status_of(story: Story) -> dict:
    """As the agent would tell it, with counters of every kind."""
    counters = {"dropped.checksum": 3, "failed.set_up": 1, "host.frames_not_sent": 2, "dataplane.tunnel_spoofed": 7}
    told = story.node.status(at(2.5))
    for v in told["virtual_has"]:
        v["counters"] |= dict.fromkeys((f"{prefix}.reason" for prefix in metrics.FAMILY_BY_PREFIX), 1)
        v["counters"] |= {"sync_sent": 5, "new.kind": 1}
    return {
        "format": 1,
        "host": "ha1",
        "version": "1.2.3",
        "pid": 7,
        "uptime_s": 12.5,
        "config_digest": "ab" * 32,
        "config_current": True,
        "healthy": False,
        "warnings": ["one", "two"],
        **told,
        "counters": {**counters, "esp_received": 4},
    }


@pytest.fixture
def status():
    story = master(OTHER, priority=200)
    story.receives(update(seconds=1.1), 1.1)
    return status_of(story)


def value(families, name, **labels):
    return families[f"vrrp_ha_{name}"].samples[tuple(sorted(labels.items()))]


def test_what_is_told_is_what_the_status_says(status):
    families = exposition.read(metrics.render(status))
    assert value(families, "state", vrid="51", state="master") == 1
    assert value(families, "state", vrid="51", state="backup") == 0
    assert value(families, "bindings", vrid="51") == 1
    assert value(families, "priority", vrid="51") == 200
    assert value(families, "advertisement_interval_seconds", vrid="51") == 0.1
    assert value(families, "binding_changes_total", vrid="51", change="registered") == 1
    assert value(families, "transitions_total", vrid="51", to="master") == 1
    assert value(families, "transitions_total", vrid="52", to="initialize") == 0
    assert value(families, "recoveries_finished_total", vrid="51", result="done") == 0
    assert value(families, "home_agent_preference", vrid="51") == 64
    assert value(families, "home_agent_advertised", vrid="51") == 1
    assert value(families, "dropped_packets_total", vrid="51", reason="reason") == 1
    assert value(families, "agent_dropped_packets_total", reason="checksum") == 3
    assert value(families, "filtered_packets_total", reason="tunnel_spoofed") == 7
    assert value(families, "uptime_seconds") == 12.5
    assert value(families, "healthy") == 0
    assert value(families, "warnings") == 2


def test_equal_caches_have_equal_digests_and_others_have_not(status):
    families = exposition.read(metrics.render(status))
    mine = int(status["virtual_has"][0]["digest"], 16)
    assert value(families, "bindings_digest", vrid="51") == mine % 2**52
    assert value(families, "bindings_digest", vrid="52") == 0


def test_counters_that_nobody_thought_of_are_told_as_events(status):
    families = exposition.read(metrics.render(status))
    assert value(families, "events_total", vrid="51", event="sync_sent") == 5
    assert value(families, "events_total", vrid="51", event="new.kind") == 1
    assert value(families, "agent_events_total", event="esp_received") == 4


def test_every_counter_is_told_once(status):
    counted = sum(sum(v["counters"].values()) for v in status["virtual_has"]) + sum(status["counters"].values())
    told = metrics.plain(status)
    assert counted == sum(sample["value"] for sample in told if sample["type"] == "counter")


def test_names_of_any_kind_come_through(status):
    families = exposition.read(metrics.render(status))
    names = {dict(labels)["name"] for labels in families["vrrp_ha_virtual_ha_info"].samples}
    assert names == {"", 'the "other"\\'}


def test_an_agent_without_virtual_has_or_a_master_has_metrics_too(status):
    status["virtual_has"] = []
    assert "vrrp_ha_state" not in exposition.read(metrics.render(status))
    story = Story(virtual_ha())
    assert "vrrp_ha_master_info" not in exposition.read(metrics.render(status_of(story)))


def test_nothing_of_the_status_is_forgotten(status):
    """Whoever adds to the status decides whether it is a metric."""
    looked = Looked(status)
    looked["virtual_has"][:] = inner = [Looked(v) for v in status["virtual_has"]]
    metrics.render(looked)
    decide = "make it a metric (shell/metrics.py, docs/reference/metrics.md) or say above why it is none"
    assert status.keys() - looked.at == LEFT_OUT, decide
    assert status["virtual_has"][0].keys() - inner[0].at == LEFT_OUT_OF_A_VIRTUAL_HA, decide


def test_each_piece_is_small():
    story = Story(*(virtual_ha(vrid=n, link_local=packed(f"fe80::{n:x}")) for n in range(1, 256)))
    assert max(map(len, metrics.pieces(status_of(story)))) < 20_000


def test_the_page_has_every_metric_with_its_type_and_labels_and_no_other(status):
    rows = re.findall(r"^\| `(vrrp_ha_\w+)` \| (\w+) \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(told) == len(rows)
    families = exposition.read(metrics.render(status))
    assert told == {name: (family.kind, family.labels) for name, family in families.items()}
    assert set(told) == {metrics.PREFIX + name for name in metrics.FAMILIES}


# --- the reader itself -------------------------------------------------------------------------------------

GOOD = '# HELP a_total Things.\n# TYPE a_total counter\na_total{b="c"} 1\n'


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("a_total{", "a_totals{"),
        ("counter", "gauge"),
        ("Things.", ""),
        ("# TYPE a_total counter\n", ""),
        (" 1\n", " 1"),
        (" 1\n", " -1\n"),
        (" 1\n", " NaN\n"),
        (" 1\n", " one\n"),
        ('"c"', '"c'),
        ('"c"', '"\\c"'),
        ('"c"', '"c",'),
        ('"c"', '"c",b="d"'),
        ('{b="c"} 1\n', '{b="c"} 1\na_total{b="c"} 2\n'),
        ('{b="c"} 1\n', '{b="c"} 1\na_total 2\n'),
        (GOOD, GOOD + GOOD),
        (GOOD, GOOD + "\n"),
    ],
)
def test_the_reader_takes_nothing_that_is_wrong(good, bad):
    assert exposition.read(GOOD)["a_total"].samples == {(("b", "c"),): 1.0}
    assert good in GOOD
    with pytest.raises((AssertionError, ValueError)):
        exposition.read(GOOD.replace(good, bad))


# --- the file ----------------------------------------------------------------------------------------------


def written(file: MetricsFile) -> None:
    file.begin()
    while file.work():
        pass
    if file._writer is not None:
        file._writer.join()


def test_a_file_is_replaced_as_a_whole_and_everybody_may_read_it(tmp_path):
    texts = iter([["one ", "", "more\n"], ["two\n"]])
    path = tmp_path / "vrrp_ha.prom"
    file = MetricsFile(MetricsSettings(str(path), 0), lambda: iter(next(texts)))
    written(file)
    assert path.read_text() == "one more\n"
    assert path.stat().st_mode & 0o777 == 0o644
    before = path.stat().st_ino
    written(file)
    assert path.read_text() == "two\n"
    assert path.stat().st_ino != before
    assert [child.name for child in tmp_path.iterdir()] == ["vrrp_ha.prom"]


def test_before_the_interval_is_over_nothing_is_written(tmp_path):
    path = tmp_path / "vrrp_ha.prom"
    file = MetricsFile(MetricsSettings(str(path), 3_600_000_000), lambda: iter(["text\n"]))
    written(file)
    path.unlink()
    written(file)
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_told_and_tried_again(tmp_path):
    directory = tmp_path / "missing"
    file = MetricsFile(MetricsSettings(str(directory / "vrrp_ha.prom"), 0), lambda: iter(["text\n"]))
    written(file)
    assert file.failure == f"{directory / 'vrrp_ha.prom'}: No such file or directory"
    directory.mkdir()
    written(file)
    assert file.failure is None


def test_a_fault_in_the_text_is_told_and_no_exception(tmp_path):
    def broken():
        yield "a"
        raise KeyError("family")

    file = MetricsFile(MetricsSettings(str(tmp_path / "vrrp_ha.prom"), 0), broken)
    written(file)
    assert file.failure == "KeyError: 'family'"
    assert list(tmp_path.iterdir()) == []


def test_the_file_goes_with_the_agent_and_with_its_setting(tmp_path):
    first, second = tmp_path / "first.prom", tmp_path / "second.prom"
    file = MetricsFile(MetricsSettings(str(first), 0), lambda: iter(["text\n"]))
    written(file)
    file.follow(MetricsSettings(str(second), 0))
    assert not first.exists()
    written(file)
    assert second.exists()
    file.close()
    assert not second.exists()


def test_without_a_file_nothing_is_made():
    def never():
        raise AssertionError

    written(MetricsFile(MetricsSettings(), never))


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_it_is_off_when_left_out(files):
    assert files.load().metrics == MetricsSettings(None, 15_000_000, None)


def test_what_is_given_is_used_and_shown(files, tmp_path):
    given = {"textfile": "/run/vrrp-ha/vrrp_ha.prom", "interval": 5, "listen": "[::1]:9909"}
    files.config["metrics"] = given
    configuration = files.load()
    assert configuration.metrics == MetricsSettings("/run/vrrp-ha/vrrp_ha.prom", 5_000_000, "[::1]:9909")
    shown = effective(configuration)
    assert shown["metrics"] == given
    del shown["keys"]
    (tmp_path / "second.json").write_text(json.dumps(shown))
    assert load(str(tmp_path / "second.json")).metrics == configuration.metrics


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("textfile", "vrrp_ha.prom", "not an absolute path"),
        ("textfile", "/run/vrrp-ha/metrics", "does not end in .prom"),
        ("interval", 0.5, "out of range"),
        ("listen", "[::]:9909", "no place on the loopback"),
        ("listen", "", "is empty"),
        ("file", "/run/a.prom", "Did you mean 'textfile'?"),
    ],
)
def test_mistakes_are_named(files, name, value, words):
    files.config["metrics"] = {name: value}
    problems = files.problems()
    assert problems[0].path == f"metrics.{name}"
    assert words in str(problems[0])
