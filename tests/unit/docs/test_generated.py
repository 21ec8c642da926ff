# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/reference has from the code is what the code says now, and it has all of it."""

import ast
import re

import pytest
import yaml

from docs.generate import agent, configuration, pages, playbooks, plugins, reference
from plugins.plugin_utils.plan_inputs import HOST_VARIABLES, LINK_KEYS
from vrrp_ha.shell.fields import Fields

REMEDY = "`make docs` writes it again"


@pytest.fixture(scope="module")
def now():
    return reference.pages()


def test_every_page_is_as_the_code_is_now(now):
    there = {str(path.relative_to(pages.REFERENCE)): path for path in pages.REFERENCE.rglob("*.md")}
    assert sorted(there) == sorted(now), REMEDY
    assert [name for name, path in there.items() if path.read_text("utf-8") != now[name]] == [], REMEDY


def test_every_input_of_a_playbook_is_described_once_and_no_other():
    described, read = playbooks.described(), playbooks.inputs()
    remedy = "describe it in the role's argument_specs.yml, or docs/generate/variables.yml where it is not the role's"
    assert read.keys() - described.keys() == set(), remedy
    assert described.keys() - read.keys() == set(), "nothing reads it: take it out"


def test_defaults_are_those_of_the_templates():
    described = playbooks.described()
    said = {name: described[name].get("default") for name in playbooks.defaults() if name in described}
    assert {
        name: constants
        for name, constants in playbooks.defaults().items()
        if said.get(name) not in (None, [], {}) and constants not in ([], [said[name]])
    } == {}


def test_every_event_in_the_source_is_described_and_no_other():
    described = yaml.safe_load((pages.ROOT / "docs/generate/events.yml").read_text("utf-8"))
    assert set(described) == set(agent.events())


def test_an_event_is_found_with_its_level_however_it_is_reported():
    found = agent.events()
    assert found["became_master"] == {"info"}
    assert found["recovery_done"] == {"info"}
    assert found["recovery_failed"] == {"warning"}
    assert found["interval_mismatch"] == {"warning"}
    assert found["registration_refused"] == {"info", "warning"}
    assert "tentative_updated" not in found, "a debug report is a counter"


def test_fields_of_every_kind_are_found_with_their_bounds_and_defaults():
    fields = configuration.fields()
    assert (fields["recovery.rate"].value, fields["recovery.rate"].default) == ("0.001 to 10000 a second", 1.0)
    assert (fields["tunnel.path_mtu"].value, fields["tunnel.path_mtu"].default) == ("1280 to 65535", None)
    assert fields["virtual_has[].vrid"].default is configuration.REQUIRED
    assert fields["keys:mobile_node_keys[].identity"].default is None
    assert "virtual_has[].router_advertisements.minimum_interval" in fields


def test_every_getter_of_the_configuration_is_known():
    tree = ast.parse((pages.ROOT / "roles/agent/files/vrrp_ha/shell/fields.py").read_text("utf-8"))
    (fields,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == Fields.__name__]
    public = {node.name for node in fields.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    no_getters = {"at", "problem", "is_given", "close", "parse_address", "pace"}
    assert public - no_getters == set(configuration.GETTERS)


def test_a_mark_that_means_nothing_and_a_part_without_a_page_are_refused():
    with pytest.raises(pages.PageError, match="no part 'other'"):
        pages.filled("<!-- make docs: other -->\n<!-- end -->", {"this": ""})
    page = pages.filled("a\n<!-- make docs: this -->\nold\n<!-- end -->\nb", {"this": "new"})
    assert page == "a\n<!-- make docs: this -->\n\nnew\n\n<!-- end -->\nb"


def test_markup_of_ansible_becomes_markdown():
    text = "M(mip6.vrrp_ha.drain) sets O(state=present), as for O(mip6.vrrp_ha.agent#module:sync_keys); see L(x, https://y)."
    assert plugins.markdown(text, "modules/") == (
        "[drain](modules/drain.md) sets `state=present`, as for `sync_keys` of [agent](modules/agent.md); see [x](https://y)."
    )


def test_the_page_about_plans_has_every_key_of_a_link_and_every_variable_of_a_host():
    page = (pages.REFERENCE / "plan.md").read_text("utf-8")
    _begin, link, rest = re.split(r"^### A link$|^### Pins$", page, flags=re.MULTILINE)
    hosts = re.split(r"^### Variables of hosts$|^## ", rest, flags=re.MULTILINE)[1]
    assert set(re.findall(r"^\| `(\w+)`", link, re.MULTILINE)) == set(LINK_KEYS)
    assert set(re.findall(r"^\| `(\w+)`", hosts, re.MULTILINE)) == set(HOST_VARIABLES) - {"ansible_host"}
