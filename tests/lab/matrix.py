# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each module is to be asked on ha1, as data: changes and how they are undone, questions, spellings, secrets."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import yaml

from tests.lab.mobility import home_address
from tests.lab.places import CACHE, CHECKOUT
from tests.lab.witnessed import Task

Options = dict[str, Any]
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py"))
GROUP: list[str] = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())["action_groups"]["vrrp_ha"]

FLEET: Options = {
    "virtual_has": "{{ vrrp_ha_virtual_has }}",
    "sync_keys": "{{ vrrp_ha_sync_keys }}",
    "mobile_node_keys": "{{ vrrp_ha_mobile_node_keys }}",
}
KNOWN = "{{ known.virtual_has }}"
ALL_BUT_53 = "{{ known.virtual_has | rejectattr('vrid', 'equalto', 53) }}"
OF_52 = "{{ known.virtual_has | selectattr('vrid', 'equalto', 52) }}"


@dataclass(frozen=True, slots=True)
class Case:
    """A change that a module makes, and what takes it back: its options, or another state of it."""

    name: str
    change: Options
    undo: Options | None
    goes_on: bool = False
    """The host goes on by itself after it."""

    @property
    def module(self) -> str:
        return self.name.split()[0]

    def tasks(self) -> list[Task]:
        found = []
        for step, options in (("change", self.change), ("undo", self.undo)):
            if options is not None:
                predicted = task(f"{self.name}: {step} predicted", self.module, options) | {"check_mode": True}
                done = [task(f"{self.name}: {step}{again}", self.module, options) for again in ("", " again")]
                found += [predicted, *done]
        return found


def task(name: str, module: str, options: Options, **more: object) -> Task:
    return {"name": name, f"mip6.vrrp_ha.{module}": options} | more


CASES = (
    Case(
        "agent present",
        FLEET
        | {
            "virtual_has": "{{ vrrp_ha_virtual_has | map('combine', {'preempt_delay': 2}) }}",
            "mobile_node_keys": "{{ vrrp_ha_mobile_node_keys[1:] }}",
            "settings": {"recovery": {"rate": 7}},
        },
        FLEET,
    ),
    Case(
        "virtual_ha merged",
        {"config": [{"vrid": 52, "preempt_delay": 3, "policy": {"allow_home_addresses": ["2001:db8:1::/64"]}}]},
        {"state": "replaced", "config": OF_52},
    ),
    Case(
        "virtual_ha replaced",
        {
            "state": "replaced",
            "config": "{{ known.virtual_has | selectattr('vrid', 'equalto', 52) | map('combine', {'name': 'x'}) }}",
        },
        {"state": "merged", "config": OF_52},
    ),
    Case(
        "virtual_ha overridden", {"state": "overridden", "config": ALL_BUT_53}, {"state": "overridden", "config": KNOWN}
    ),
    Case("virtual_ha deleted", {"state": "deleted", "config": [{"vrid": 52}]}, {"state": "merged", "config": OF_52}),
    Case("mastership", {"vrids": [51], "master": "ha2"}, {"vrids": [51]}),
    Case("drain", {}, {"state": "undrained"}),
    Case("drain of one", {"vrids": [53]}, {"vrids": [53], "state": "undrained"}),
    # It is not undone: the next one would be another handoff, or recovery.
    Case("handoff of some", {"vrid": 51, "to": "52", "count": 2, "wait": False}, None, goes_on=True),
    # Others than the two that are handed off already, those who registered last.
    Case(
        "handoff by name",
        {"vrid": 51, "to": "2001:0DB8:1::0053", "wait": False, "home_addresses": ["2001:DB8:1:0:51:0:0:0002"]},
        None,
        goes_on=True,
    ),
    Case(
        "recovery",
        {"vrid": 51, "wait": False, "home_addresses": ["2001:0DB8:01:0:51::03"]},
        None,
        goes_on=True,
    ),
    Case("agent absent", {"state": "absent"}, FLEET),
)
CHANGES = [(case, step) for case in CASES for step in ("change", "undo") if step == "change" or case.undo is not None]

# Every option of virtual_ha, its addresses spelled as a person might.
EVERYTHING: Options = {
    "vrid": 60,
    "name": "everything",
    "interface": "eth1",
    "link_local_address": "FE80:0::60",
    "addresses": ["2001:0DB8:1:0::0060", "2001:DB8:1::61"],
    "prefix": "2001:0db8:0001:0000::/64",
    "priority": 200,
    "members": [
        {"name": "ha1", "priority": 200, "address": "FE80::000b"},
        {"name": "ha2", "priority": 100, "address": "fe80:0:0:0:0:0:0:C"},
    ],
    "advertisement_interval": 20,
    "preempt": True,
    "preempt_delay": 1.5,
    "accept_mode": True,
    "mipv6_ha_mode": True,
    "home_link": "on_link",
    "duplicate_address_detection": True,
    "router_advertisements": {
        "enabled": True, "router_lifetime": 0, "maximum_interval": 60, "minimum_interval": 20, "minimum_delay": 3,
        "interval_option": True, "managed": False, "other": False, "autonomous": True, "valid_lifetime": 86400,
        "preferred_lifetime": 14400, "unsolicited": True,
    },
    "discovery": {
        "home_agent_information": True, "preference": 9, "full_at": 1000, "home_agent_lifetime": 1800, "dhaad": True,
        "rate": 10, "burst": 20, "per_source_rate": 1, "per_source_burst": 3, "prefix_solicitations": True,
        "prefix_advertisements": True, "prefix_advertisement_rate": 50, "minimum_prefix_interval": 600,
        "maximum_prefix_interval": 86400,
    },
    "maximum_lifetime": 7200,
    "balance": {"mode": "advise", "high_water": 100, "low_water": 50, "rate": 5, "hold_time": 60},
    "policy": {
        "allow_home_addresses": ["2001:0DB8:1::/64"], "deny_home_addresses": ["2001:DB8:1:0::0666"],
        "allow_identities": ["*@example.net"], "deny_identities": ["mn6@example.net"],
        "believe_claimed_identities": True, "maximum_bindings": 500,
    },
    "sync_key": "fleet",
    "accepted_sync_keys": ["fleet"],
    "insecure_sync": False,
    "insecure_bindings": False,
}  # fmt: skip


def otherwise(value: Any) -> Any:
    """The same addresses in other words."""
    if isinstance(value, dict):
        return {key: otherwise(item) for key, item in value.items()}
    if isinstance(value, list):
        return [otherwise(item) for item in value]
    if isinstance(value, str) and "::" in value and value[:4].lower() in ("2001", "fe80"):
        return value.lower().replace("2001:0db8:", "2001:db8:").replace(":0::", "::").replace("::", ":0::").upper()
    return value


SPELLED = "| to_json | regex_replace('2001:db8:1:', '2001:0DB8:0001:') | from_json }}"
FEEDING_BACK = [
    task("everything is given", "virtual_ha", {"config": [EVERYTHING]}),
    task("everything is known", "agent_info", {}, register="all"),
    task("everything is fed back", "virtual_ha", {"state": "overridden", "config": "{{ all.virtual_has }}"}),
    task("everything is spelled otherwise", "virtual_ha", {"state": "replaced", "config": [otherwise(EVERYTHING)]}),
    task("everything is taken away", "virtual_ha", {"state": "deleted", "config": [{"vrid": 60}]}),
]
SPELLING = [
    task("fleet is spelled otherwise", "agent", {name: f"{{{{ vrrp_ha_{name} {SPELLED}" for name in FLEET}),
    task("bindings", "binding_info", {"vrid": 51, "home_addresses": [home_address(51, 9)]}),
    task(
        "bindings are spelled otherwise",
        "binding_info",
        {"vrid": 51, "home_addresses": ["2001:0DB8:1::51:0:0:0009/128"], "care_of_addresses": ["2001:0DB8:21::/48"]},
    ),
]
CLAIM = {"playbook": "matrix"}
CLAIMING = [
    task("claim predicted", "procedure", CLAIM) | {"check_mode": True},
    task("claim", "procedure", CLAIM),
    task("claim again", "procedure", CLAIM),
    task("claim ended", "procedure", CLAIM | {"state": "ended"}),
]
OBSERVED = {"virtual_has": "{{ vrrp_ha_virtual_has }}", "observed": {"ha1": "{{ known }}"}}
QUERIES: dict[str, Options] = {
    "agent_info": {},
    "binding_info": {"vrid": 51},
    "consistency_info": {"virtual_has": [{"vrid": 51}]},
    "plan_check": {},
    "verify": OBSERVED | {"report": "{{ playbook_dir }}/verify"},
    "report": OBSERVED | {"report": "{{ playbook_dir }}/report"},
}
NOBODY = {"control_socket": "/run/vrrp-ha/nobody.sock", "config_file": "/etc/vrrp-ha/agent.json", "timeout": 1.5}
NEEDED: dict[str, Options] = {
    "agent": FLEET,
    "binding_info": {"vrid": 51},
    "consistency_info": {"virtual_has": [{"vrid": 51}]},
    "handoff": {"vrid": 51, "count": 1},
    "mastership": {"vrids": [51]},
    "recovery": {"vrid": 51, "home_addresses": ["::/0"]},
    "virtual_ha": {"config": [{"vrid": 51, "preempt_delay": 7}]},
}
BY_DEFAULT = {
    "module_defaults": {"group/mip6.vrrp_ha.vrrp_ha": NOBODY},
    "block": [task(f"default: {name}", name, NEEDED.get(name, {})) | {"check_mode": True} for name in GROUP],
}


# Secrets

SECRETS = {name: secrets.token_hex(octets) for name, octets in (
    ("sync", 32), ("mobile", 16), ("short", 6), ("listed", 16), ("in_", 16), ("out", 16), ("auth_in", 32),
    ("auth_out", 32), ("esp_short", 9),
)} | {"no_hex": "zz" + secrets.token_hex(16)}  # fmt: skip
ASSOCIATION = {
    "home_address": home_address(51, 3), "spi_in": 0x5000, "spi_out": 0x5001, "encryption_key_in": "{{ in_ }}",
    "encryption_key_out": "{{ out }}", "authentication_key_in": "{{ auth_in }}",
    "authentication_key_out": "{{ auth_out }}",
}  # fmt: skip
ESP = {"wheels": str(CACHE / "wheels")}


def with_keys(name: str, *entries: Options) -> Options:
    """The fleet's options with other keys of one kind."""
    return FLEET | {name: list(entries)}


def mobile_key(text: str) -> Options:
    return {"spi": 0x6000, "home_addresses": "2001:db8:1::/64", "key": text}


NEW_KEYS = with_keys("mobile_node_keys", mobile_key("{{ mobile }}")) | {
    "sync_keys": "{{ vrrp_ha_sync_keys + [{'name': 'next', 'key_id': 77, 'key': sync}] }}",
    "virtual_has": "{{ vrrp_ha_virtual_has | map('combine', {'accepted_sync_keys': ['next']}) }}",
}
SHOWING = [
    task("keys predicted", "agent", NEW_KEYS, check_mode=True),
    task("keys", "agent", NEW_KEYS),
    task("keys again", "agent", NEW_KEYS),
    task("virtual HA with keys", "virtual_ha", {"config": [{"vrid": 52, "preempt_delay": 3}]}),
    task("no key: virtual_ha", "virtual_ha", {"config": [{"vrid": 52, "sync_key": "nobodys"}]}),
    task("esp predicted", "agent", with_keys("ipsec_security_associations", ASSOCIATION) | ESP, check_mode=True),
    task("no key: not hexadecimal", "agent", with_keys("mobile_node_keys", mobile_key("{{ no_hex }}"))),
    task("no key: too short", "agent", with_keys("mobile_node_keys", mobile_key("{{ short }}"))),
    task("no key: a list", "agent", FLEET | {"mobile_node_keys": [mobile_key("") | {"key": ["{{ listed }}"]}]}),
    task("no key: of nobody", "agent", with_keys("mobile_node_keys", mobile_key("{{ mobile }}") | {"spi": "x"})),
    task(
        "no key: an option too many",
        "agent",
        with_keys("sync_keys", {"name": "x", "key_id": 7, "key": "{{ sync }}", "kee": 1}),
    ),
    task(
        "no key: esp too short",
        "agent",
        with_keys("ipsec_security_associations", ASSOCIATION | {"encryption_key_in": "{{ esp_short }}"}) | ESP,
    ),
    task("keys undone", "agent", FLEET),
]
