# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/conformance.md speaks of every requirement and names tests that exist; what checks that does notice mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conformance import table, texts
from tests.conformance.ran import NamedTestsRan

ROOT = Path(__file__).parents[3]
KNOWN = {"rfc1-2.1-a": "MUST", "rfc1-2.1-b": "MUST", "rfc1-2.1-c": "SHOULD"}
HERE = "unit/conformance/test_conformance.py"


def document(*lines: str) -> str:
    return "\n".join(("# Title", "", "| id | key word | what | shown by |", "|---|---|---|---|", *lines))


GOOD = document(
    "| rfc1-2.1-a b | MUST | do it | `unit/test_it.py::test_it_is_done` |",
    "| rfc1-2.1-c | SHOULD | do it well | not done: nobody asked for it |",
)

# --- the table itself --------------------------------------------------------------------------------------


def test_every_requirement_is_in_the_table_once_with_a_test_or_a_reason():
    assert table.problems(table.TABLE.read_text(), texts.known_requirements()) == []


def test_every_named_test_exists():
    named = table.named_tests(table.TABLE.read_text())
    files = sorted({test.split("::")[0] for test in named})
    assert [name for name in files if not (ROOT / name).is_file()] == []
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    listed = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stdout
    assert table.missing(named, set(listed.stdout.splitlines())) == []


# --- what checks it ----------------------------------------------------------------------------------------


def test_a_good_table_has_no_problems():
    assert table.problems(GOOD, KNOWN) == []
    assert table.named_tests(GOOD) == {"tests/unit/test_it.py::test_it_is_done": ("rfc1-2.1-a", "rfc1-2.1-b")}


def test_what_is_said_twice_needs_one_test():
    assert table.problems(GOOD.replace("not done: nobody asked for it", "as rfc1-2.1-b"), KNOWN) == []


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("| rfc1-2.1-c | SHOULD", "| rfc1-2.1-d | SHOULD", "rfc1-2.1-c: not in the table (SHOULD)"),
        ("| rfc1-2.1-c | SHOULD", "| rfc1-2.1-d | ?", "rfc1-2.1-d: no such requirement in sentences.yml"),
        ("2.1-a b |", "2.1-a b b |", "rfc1-2.1-b: more than once in the table"),
        ("| MUST |", "| SHOULD |", "line 5, rfc1-2.1-a: the text says MUST, the table SHOULD"),
        ("do it well", "", "line 6, rfc1-2.1-c: what is required?"),
        (
            "not done: nobody asked for it",
            "not yet",
            "line 6, rfc1-2.1-c: no test is named, and it does not begin with",
        ),
        ("not done: nobody asked for it", "as rfc1-2.1-d", "line 6, rfc1-2.1-c: rfc1-2.1-d is no row with tests"),
        ("not done: nobody asked for it", "as rfc1-2.1-c", "line 6, rfc1-2.1-c: rfc1-2.1-c is no row with tests"),
        ("nobody asked for it", "in work", "line 6, rfc1-2.1-c: in work is no state to leave it in"),
    ],
)
def test_a_mistake_in_the_table_is_named(right, wrong, problem):
    text = GOOD.replace(right, wrong)
    assert text != GOOD
    assert any(found.startswith(problem) for found in table.problems(text, KNOWN))


def test_a_row_with_a_column_too_many_is_named():
    with pytest.raises(ValueError, match="line 5: four columns"):
        table.rows(GOOD.replace("do it |", "do | it |"))


def test_a_wrong_name_is_missing_and_a_test_with_parameters_is_not():
    collected = {"tests/unit/test_it.py::test_it_is_done[fast]", "tests/unit/test_it.py::test_it_is_done[slow]"}
    assert table.missing(table.named_tests(GOOD), collected) == []
    (problem,) = table.missing(table.named_tests(GOOD.replace("is_done", "is_don")), collected)
    assert problem == "tests/unit/test_it.py::test_it_is_don does not exist; named for rfc1-2.1-a, rfc1-2.1-b"


# --- that named tests ran ----------------------------------------------------------------------------------

NAME = "tests/unit/test_it.py::test_it_is_done"


def after(
    *reports: tuple[str, str, str],
    args: tuple[str, ...] = ("tests/unit", "tests/lab"),
    ignored: list[str] | None = None,
) -> list[str]:
    """What is found wrong after tests reported (name, when, outcome)."""
    directory = SimpleNamespace(dir=ROOT)
    options = {"ignore": ignored}
    config = SimpleNamespace(rootpath=ROOT, invocation_params=directory, args=list(args), getoption=options.get)
    plugin = NamedTestsRan(config, {NAME: ("rfc1-2.1-a",)})
    for name, when, outcome in reports:
        xfail = {"wasxfail": "so far"} if outcome == "xfailed" else {}
        outcome = "skipped" if xfail else outcome
        plugin.pytest_runtest_logreport(pytest.TestReport(name, (name, 0, name), {}, outcome, None, when, **xfail))
    return plugin.problems()


def test_a_named_test_that_passed_shows_its_requirement():
    whole = [(NAME, "setup", "passed"), (NAME, "call", "passed"), (NAME, "teardown", "passed")]
    assert after(*whole) == []
    assert after((f"{NAME}[fast]", "call", "passed"), (f"{NAME}[slow]", "call", "passed")) == []


@pytest.mark.parametrize(
    ("reports", "problem"),
    [
        ([], "not run"),
        ([("tests/unit/test_it.py::test_another", "call", "passed")], "not run"),
        ([(NAME, "setup", "passed")], "not run"),
        ([(NAME, "setup", "skipped")], "skipped"),
        ([(NAME, "call", "failed")], "failed"),
        ([(NAME, "setup", "failed")], "failed"),
        ([(NAME, "call", "passed"), (NAME, "teardown", "failed")], "failed"),
        ([(NAME, "call", "xfailed")], "failed as expected"),
        ([(f"{NAME}[fast]", "call", "passed"), (f"{NAME}[slow]", "setup", "skipped")], "skipped"),
    ],
)
def test_a_named_test_that_did_not_pass_shows_nothing(reports, problem):
    assert after(*reports) == [f"{NAME}: {problem}; it is to show rfc1-2.1-a"]


def test_only_tests_of_the_paths_that_were_asked_for_have_to_run():
    assert after(args=("tests/lab",)) == []
    assert after(args=("tests/unit/test_it.py",)) != []
    assert after(args=("tests",)) != []
    assert after(args=("tests",), ignored=["tests/unit/test_it.py"]) == []
    assert after(args=("tests",), ignored=["tests/unit/test_another.py"]) != []


def test_a_complete_run_without_a_named_test_has_failed(tmp_path):
    """The whole way: --complete, a named test that is skipped although its reason would be acceptable."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_ran(): pass\ndef test_skipped(): pytest.skip('kernel: too old')\n"
    )
    (tmp_path / "conftest.py").write_text(
        "from tests.conformance.ran import NamedTestsRan\n"
        "def pytest_configure(config):\n"
        "    names = {'test_it.py::test_ran': ('rfc1-1-a',), 'test_it.py::test_skipped': ('rfc1-1-b',)}\n"
        "    config.pluginmanager.register(NamedTestsRan(config, names))\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        f"--rootdir={tmp_path}",
    ]
    ended = subprocess.run(
        [*command, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert ended.returncode == 1, ended.stdout
    assert "test_it.py::test_skipped: skipped; it is to show rfc1-1-b" in ended.stdout
    assert "test_ran" not in ended.stdout
    assert "1 passed, 1 skipped, 1 error" in ended.stdout


# --- reading the texts -------------------------------------------------------------------------------------

TEXT = """\
Request for Comments: 1

1. Introduction .......................... 2
   The key words "MUST" and "SHOULD" are to be interpreted as described in [2].
2.  Rules
2.1.  What to do

   A node MUST answer.  It MUST NOT
   be rude, and it SHOULD be

Somebody                     Standards Track                    [Page 1]
\f
RFC 1                        Politeness                    January 2000

   quick.  It MAY smile.  Smiles are NOT
   RECOMMENDED at night.

Appendix A.  Thanks

   You SHOULD have been there.
"""


def test_each_key_word_is_found_where_it_stands():
    found = [(one.id, one.keyword) for one in texts.occurrences("rfc1", TEXT)]
    assert found == [
        ("rfc1-2.1-a", "MUST"),
        ("rfc1-2.1-b", "MUST NOT"),
        ("rfc1-2.1-c", "SHOULD"),
        ("rfc1-2.1-d", "NOT RECOMMENDED"),
    ]


def test_a_sentence_goes_on_over_the_end_of_a_page():
    assert texts.occurrences("rfc1", TEXT)[2].sentence == "It MUST NOT be rude, and it SHOULD be quick."


def test_small_letters_count_in_the_draft_alone():
    text = "2.1  What to do\n\n   A node must answer.\n"
    assert [one.keyword for one in texts.occurrences("draft", text)] == ["MUST"]
    assert texts.occurrences("rfc1", text) == []


def test_what_is_written_is_what_is_read_and_a_change_of_the_text_is_noticed():
    known = {"rfc1": {"left_out": {"3": "for others"}, "sections": {}}}
    others = "3.1.  Others\n\n   They MUST wait.\n"
    written = texts.yaml.safe_load(texts.write(known, {"rfc1": TEXT.replace("Appendix", others + "Appendix")}))
    assert written == {
        "rfc1": {
            "left_out": {"3": "for others"},
            "sections": {"2.1": ["MUST", "MUST NOT", "SHOULD", "NOT RECOMMENDED"]},
        }
    }
    assert texts.compare(written, {"rfc1": TEXT}) == []
    assert texts.compare(written, {"rfc1": TEXT.replace("MUST answer", "may answer")}) != []
    assert texts.compare(written, {}) == ["rfc1: no text found"]


def test_letters_go_on_after_z():
    assert [texts.letters(number) for number in (0, 25, 26, 27, 51, 52)] == ["a", "z", "aa", "ab", "az", "ba"]
