# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock file: the same plan is the same text, and what people do to the text is found out."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace

import pytest
import yaml
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils import plan_lock
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.plan_lock import LockError, read_lock, write_lock
from ansible_collections.mip6.vrrp_ha.plugins.plugin_utils.planner.model import LinkPlan, Plan
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.plan.fleets import agents, fleets, link, planned

PLAN = Plan({"berlin": planned(link(), agents(1, 1, 1))})
TEXT = write_lock(PLAN)

names = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12)


@given(fleets(zones=True, services=True))
def test_what_was_written_is_read(fleet):
    plan = Plan({"berlin": planned(*fleet)})
    assert read_lock(write_lock(plan)) == plan


@given(st.lists(names, min_size=2, max_size=4, unique=True), names)
def test_any_name_survives(hosts, name):
    known = PLAN.links["berlin"]
    entry = replace(known.virtual_has["berlin-1"], name=name, priorities={hosts[0]: 255, hosts[1]: 3})
    plan = Plan({name: LinkPlan(name, known.prefix, {host: host for host in hosts}, {name: entry})})
    assert read_lock(write_lock(plan)) == plan


@pytest.mark.parametrize("name", ["no", "Yes", "1", "1e3", "a: b", "a:", '"', "null", "~", "-", "a#b", "a #b", " a"])
def test_names_that_yaml_would_take_for_something_else_survive(name):
    plan = Plan({name: LinkPlan(name, "2001:db8::/64", {name: "2001:1:2:3:4:5:6:7"}, {})})
    assert read_lock(write_lock(plan)) == plan
    assert yaml.safe_load(write_lock(plan))["links"] == {
        name: {"prefix": "2001:db8::/64", "hosts": {name: "2001:1:2:3:4:5:6:7"}, "virtual_has": {}}
    }


def test_it_is_yaml_and_the_fast_way_reads_the_same():
    assert plan_lock._own_document(TEXT) == yaml.safe_load(TEXT)


def test_a_plan_without_links_is_a_file_too():
    assert read_lock(write_lock(Plan())) == Plan()


def test_one_more_ha_changes_only_the_lines_about_it():
    after = write_lock(Plan({"berlin": planned(link(), agents(1, 1, 1, 1), PLAN.links["berlin"])}))
    changed = [line for line in difflib.ndiff(TEXT.splitlines(), after.splitlines()) if line[0] in "-+"]
    assert not [line for line in changed if line.startswith("-")]
    assert all("ha4" in line or line in _of_new(after) for line in changed)


def _of_new(text):
    block = text[text.index("      berlin-4:") :].splitlines()
    return [f"+ {line}" for line in block]


def test_the_order_of_the_text_is_not_that_of_the_input():
    known = PLAN.links["berlin"]
    mixed = replace(
        known,
        hosts=dict(reversed(known.hosts.items())),
        virtual_has={name: known.virtual_has[name] for name in ("berlin-3", "berlin-1", "berlin-2")},
    )
    assert write_lock(Plan({"berlin": mixed})) == TEXT


def test_comments_and_another_layout_are_read():
    edited = TEXT.replace("    hosts:", "    # the machines\n    hosts:").replace("vrid: 1\n", "vrid:   1\n")
    assert read_lock(edited) == PLAN


def test_addresses_are_compared_not_spelled():
    assert read_lock(TEXT.replace('"2001:db8:1::51"', '"2001:DB8:1:0::51"')) == PLAN


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("vrid: 2\n", "vrid: 1\n", r"links\.berlin\.virtual_has\.berlin-2\.vrid: 1 is that of berlin-1 too; give each"),
        ("vrid: 2\n", "vrid: 256\n", r"links\.berlin\.virtual_has\.berlin-2\.vrid: 256 is no VRID; give 1 to 255"),
        ("vrid: 2\n", "vrid: two\n", r"links\.berlin\.virtual_has\.berlin-2\.vrid: 'two' is no VRID"),
        ("vrid: 2\n", "vrid: true\n", r"links\.berlin\.virtual_has\.berlin-2\.vrid: True is no VRID"),
        ("        vrid: 2\n", "", r"links\.berlin\.virtual_has\.berlin-2\.vrid: is missing; "),
        ("::52", "::51", r"links\.berlin\.virtual_has\.berlin-2\.address: 2001:db8:1::51 is that of berlin-1 too"),
        (
            "1::52",
            "2::52",
            r"links\.berlin\.virtual_has\.berlin-2\.address: 2001:db8:2::52 is outside .*2001:db8:1::/64",
        ),
        ('"2001:db8:1::52"', "here", r"links\.berlin\.virtual_has\.berlin-2\.address: 'here' is no IPv6 address; give"),
        (
            "ha1: 255",
            "ha9: 255",
            r"links\.berlin\.virtual_has\.berlin-1\.priorities\.ha9: is not among the link's hosts",
        ),
        ("ha1: 255", "ha1: 254", r"links\.berlin\.virtual_has\.berlin-1\.priorities: nobody has 255; give it to"),
        ("ha2: 200", "ha2: 255", r"links\.berlin\.virtual_has\.berlin-1\.priorities\.ha2: has 255 like ha1; give each"),
        ("ha2: 200", "ha2: 0", r"links\.berlin\.virtual_has\.berlin-1\.priorities\.ha2: 0 is no priority; give 1 to"),
        (
            "mipv6_ha_mode: true",
            "mipv6_ha_mode: maybe",
            r"links\.berlin\.virtual_has\.berlin-1\.mipv6_ha_mode: 'maybe'",
        ),
        ("prefix:", "prefixes:", r"links\.berlin\.prefixes: is not known; take it out"),
        ("format: 1", "format: 2", r"format: is 2 and this collection knows 1; "),
        ("2001:db8:1::/64", "2001:db8:1::1/64", r"links\.berlin\.prefix: .* is no IPv6 prefix"),
        ('"id of ha1"', "7", r"links\.berlin\.hosts\.ha1: 7 is no text; put it in quotes"),
        ("links:", "<<<<<<< HEAD\nlinks:", r"line \d+: is not YAML: .*\(an unfinished merge\?\); "),
        ("links:", "other:", r"links: is no mapping of links by name; "),
    ],
)
def test_a_hand_edit_that_makes_no_plan_is_refused_with_its_path_and_a_remedy(old, new, said):
    with pytest.raises(LockError) as caught:
        read_lock(TEXT.replace(old, new, 1))
    assert any(re.match(said, problem) for problem in caught.value.problems), caught.value.problems
    assert all("; " in problem for problem in caught.value.problems)


@pytest.mark.parametrize("text", ["", "- a\n", "7\n", "links: 3\nformat: 1\n", "{}"])
def test_other_files_are_no_lock_files(text):
    with pytest.raises(LockError):
        read_lock(text)


def test_all_problems_of_a_file_are_told_at_once():
    with pytest.raises(LockError) as caught:
        read_lock(TEXT.replace("vrid: 1\n", "vrid: 0\n").replace("vrid: 2\n", "vrid: 999\n"))
    assert len(caught.value.problems) == 2


def test_a_value_that_stands_on_the_next_line_is_read_and_one_that_is_gone_is_refused():
    assert read_lock(TEXT.replace("vrid: 1\n", "vrid: \n          1\n")) == read_lock(TEXT)
    with pytest.raises(LockError, match="vrid"):
        read_lock(TEXT.replace("vrid: 1\n", "vrid: \n"))


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="utf-8"))
def test_a_changed_character_is_read_as_yaml_reads_it_or_refused(position, character):
    text = TEXT[:position] + character + TEXT[position + 1 :]
    try:
        plan = read_lock(text)
    except LockError:
        return
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    assert plan == plan_lock._plan(yaml.load(text, loader))
