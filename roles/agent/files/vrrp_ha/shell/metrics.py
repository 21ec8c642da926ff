# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status as metrics in Prometheus' text format, version 0.0.4. docs/reference/metrics.md is the operator's side.

Made from the status alone, so that the command, the file and the socket say the same. Counters have open-ended names:
those before a dot in FAMILIES_BY_PREFIX become a family with what is after it as a label, those in FAMILY_BY_COUNTER a
family of their own or a part of one, and the rest is told as events, so that none is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

PREFIX = "vrrp_ha_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("initialize", "backup", "master")
_DIGEST_BITS = 52  # what a number of Prometheus, a double, holds exactly
_CENTISECONDS = 100  # in a second
_PIECE = 100  # values

Labels = Mapping[str, str]
Status = Mapping[str, Any]


class Sample(NamedTuple):
    """One value of a family, named without the prefix."""

    family: str
    labels: Labels
    value: float


class Family(NamedTuple):
    """What is said before the values. kind: gauge or counter."""

    kind: str
    help: str


FAMILIES = {
    "build_info": Family("gauge", "The agent's version and the host's name in the fleet, always 1."),
    "config_info": Family("gauge", "The SHA-256 of the configuration that is in use, always 1."),
    "config_current": Family("gauge", "1 if the configuration files on disk are those in use."),
    "uptime_seconds": Family("gauge", "Time since the agent started."),
    "healthy": Family("gauge", "1 if nothing is wrong with an interface, the kernel or an owner's bindings."),
    "warnings": Family("gauge", "How many warnings the status shows."),
    "security_associations": Family("gauge", "Mobile nodes that speak in ESP."),
    "virtual_ha_info": Family("gauge", "What a virtual HA is called and where it is, always 1."),
    "master_info": Family("gauge", "The Master's link-local address and name as far as known, always 1."),
    "state": Family("gauge", "1 for the state of the virtual router here, 0 for the other ones."),
    "state_duration_seconds": Family("gauge", "Time since the last change of state."),
    "priority": Family("gauge", "The configured VRRP priority."),
    "effective_priority": Family("gauge", "The VRRP priority that this member competes with."),
    "advertisement_interval_seconds": Family("gauge", "The configured advertisement interval."),
    "members": Family("gauge", "How many members the virtual HA has, if they are configured."),
    "owner": Family("gauge", "1 if this member owns the VHA address."),
    "mipv6_ha_mode": Family("gauge", "1 for a virtual HA, 0 for a plain virtual router."),
    "leaving": Family("gauge", "1 while this Master hands over."),
    "drained": Family("gauge", "1 if the operator has taken it out of service here."),
    "synced": Family("gauge", "1 if the binding cache is authoritative or equals the Master's."),
    "alarm": Family("gauge", "1 if it is not served as it should be; status says why."),
    "insecure_bindings": Family("gauge", "1 if Binding Updates need no authentication."),
    "insecure_sync": Family("gauge", "1 if synchronisation needs no authentication."),
    "bindings": Family("gauge", "Bindings in the cache."),
    "maximum_bindings": Family("gauge", "How many bindings it may have at most."),
    "tentative_bindings": Family("gauge", "First registrations that wait for Duplicate Address Detection."),
    "home_agent_preference": Family("gauge", "How it is recommended beside other home agents: more is better."),
    "home_agent_advertised": Family("gauge", "1 if a Master tells of its preference; 0 while a Backup lags behind."),
    "bindings_digest": Family("gauge", "The low 52 bits of the cache's digest: equal where caches are equal."),
    "recoveries": Family("gauge", "Recoveries that wait (pending) or that mobile nodes were told of (sent)."),
    "recoveries_finished_total": Family("counter", "Recoveries that are over, by what came of them."),
    "recoveries_limited_total": Family("counter", "Triggers of recoveries turned away by a limit."),
    "handoffs": Family("gauge", "Handoffs that wait (pending) or that mobile nodes were told of (sent)."),
    "handoffs_finished_total": Family("counter", "Handoffs that are over, by what came of them."),
    "load": Family("gauge", "Bindings without those of mobile nodes that are being handed off."),
    "high_water_mark": Family("gauge", "The load above which mobile nodes are handed off; 0 if there is no mark."),
    "overloaded": Family("gauge", "1 if a Master has had more than the high-water mark and is not relieved yet."),
    "transitions_total": Family("counter", "Changes of state, by the state that was entered."),
    "advertisements_sent_total": Family("counter", "VRRP advertisements sent."),
    "advertisements_received_total": Family("counter", "Valid VRRP advertisements received."),
    "binding_changes_total": Family("counter", "Bindings that this member changed as Master, or that expired."),
    "binding_updates_refused_total": Family("counter", "Binding Updates refused, by the status of the answer."),
    "binding_policy_refusals_total": Family("counter", "Registrations that the operator's policy refused, by reason."),
    "dropped_packets_total": Family("counter", "Packets for a virtual HA that the agent dropped, by reason."),
    "tunnel_errors_relayed_total": Family("counter", "ICMPv6 errors about tunnel packets that sources were told of."),
    "tunnel_errors_dropped_total": Family("counter", "ICMPv6 errors about tunnel packets that nobody was told of."),
    "events_total": Family("counter", "Everything else that a virtual HA counts, by its name in status."),
    "agent_dropped_packets_total": Family("counter", "Packets dropped before a virtual HA was found for them."),
    "effects_failed_total": Family("counter", "What the kernel refused, by what was wanted of it."),
    "filtered_packets_total": Family("counter", "Packets that the packet filter dropped, by reason."),
    "host_events_total": Family("counter", "What did not go out or was done for the agent by the host, by name."),
    "agent_events_total": Family("counter", "Everything else that the agent counts, by its name in status."),
}

# Counters of a virtual HA and where they go: family, and label if any.
FAMILY_BY_COUNTER: dict[str, tuple[str, Labels]] = {
    "adverts_sent": ("advertisements_sent_total", {}),
    "adverts_received": ("advertisements_received_total", {}),
    **{f"became_{state}": ("transitions_total", {"to": state}) for state in STATES},
    **{
        f"binding_{change}": ("binding_changes_total", {"change": change})
        for change in ("registered", "refreshed", "moved", "deregistered")
    },
    "bindings_expired": ("binding_changes_total", {"change": "expired"}),
}
FAMILY_BY_PREFIX = {
    "dropped": ("dropped_packets_total", "reason"),
    "policy": ("binding_policy_refusals_total", "reason"),
    "refused": ("binding_updates_refused_total", "status"),
    "recovery_limited": ("recoveries_limited_total", "limit"),
    "tunnel_error_relayed": ("tunnel_errors_relayed_total", "type"),
    "tunnel_error_dropped": ("tunnel_errors_dropped_total", "reason"),
}
AGENT_FAMILY_BY_PREFIX = {
    "dropped": ("agent_dropped_packets_total", "reason"),
    "failed": ("effects_failed_total", "effect"),
    "dataplane": ("filtered_packets_total", "reason"),
    "host": ("host_events_total", "event"),
}
# Told by `recoveries` and `handoffs` already.
_RESULTS = ("recovery_done", "recovery_failed", "handoff_done", "handoff_failed")

_FLAGS = (
    "owner",
    "mipv6_ha_mode",
    "leaving",
    "drained",
    "synced",
    "insecure_bindings",
    "insecure_sync",
)
_NUMBERS = ("priority", "effective_priority", "bindings", "maximum_bindings")


def render(status: Status) -> str:
    """The whole exposition."""
    return "".join(pieces(status))


def pieces(status: Status) -> Iterator[str]:
    """The exposition bit by bit, well under a millisecond each: a family at a time, first what it is, then its values.

    Families without a value are left out.
    """
    by_family: dict[str, list[Sample]] = {name: [] for name in FAMILIES}
    for sample in of_agent(status):
        by_family[sample.family].append(sample)
    for virtual_ha in status["virtual_has"]:
        for sample in of_virtual_ha(virtual_ha):
            by_family[sample.family].append(sample)
        yield ""
    for name, found in by_family.items():
        if found:
            yield f"# HELP {PREFIX}{name} {FAMILIES[name].help}\n# TYPE {PREFIX}{name} {FAMILIES[name].kind}\n"
        for start in range(0, len(found), _PIECE):
            yield "".join(map(_line, found[start : start + _PIECE]))


def plain(status: Status) -> list[dict[str, Any]]:
    """Every value with its whole name, its kind and its labels."""
    values = [*of_agent(status), *(sample for v in status["virtual_has"] for sample in of_virtual_ha(v))]
    return [
        {"name": PREFIX + family, "type": FAMILIES[family].kind, "labels": dict(labels), "value": value + 0}
        for family, labels, value in values
    ]


def of_agent(status: Status) -> Iterator[Sample]:
    """The values that are not a virtual HA's."""
    yield Sample("build_info", {"version": status["version"], "host": status["host"]}, 1)
    yield Sample("config_info", {"config_digest": status["config_digest"]}, 1)
    yield Sample("config_current", {}, status["config_current"])
    yield Sample("uptime_seconds", {}, status["uptime_s"])
    yield Sample("healthy", {}, status["healthy"])
    yield Sample("warnings", {}, len(status["warnings"]))
    yield Sample("security_associations", {}, status["security_associations"])
    for name, value in status["counters"].items():
        prefix, _unused, rest = name.partition(".")
        if rest and prefix in AGENT_FAMILY_BY_PREFIX:
            family, label = AGENT_FAMILY_BY_PREFIX[prefix]
            yield Sample(family, {label: rest}, value)
        else:
            yield Sample("agent_events_total", {"event": name}, value)


def of_virtual_ha(virtual_ha: Status) -> Iterator[Sample]:
    """The values of one virtual HA."""
    which = {"vrid": str(virtual_ha["vrid"])}
    described = {name: str(virtual_ha[name]) for name in ("name", "interface", "address", "prefix")}
    yield Sample("virtual_ha_info", which | described, 1)
    if virtual_ha["master"] is not None:
        master = {"master": virtual_ha["master"], "master_name": virtual_ha["master_name"] or ""}
        yield Sample("master_info", which | master, 1)
    for state in STATES:
        yield Sample("state", which | {"state": state}, virtual_ha["state"] == state)
    yield Sample("state_duration_seconds", which, virtual_ha["since_s"])
    for name in (*_NUMBERS, *_FLAGS):
        yield Sample(name, which, virtual_ha[name])
    yield Sample("tentative_bindings", which, virtual_ha["tentative"])
    if home_agent := virtual_ha["home_agent"]:
        yield Sample("home_agent_preference", which, home_agent["preference"])
        yield Sample("home_agent_advertised", which, home_agent["advertised"])
    yield Sample("alarm", which, virtual_ha["alarm"] is not None)
    yield Sample("members", which, len(virtual_ha["members"]))
    interval = virtual_ha["advertisement_interval"] / _CENTISECONDS
    yield Sample("advertisement_interval_seconds", which, interval)
    yield Sample("bindings_digest", which, int(virtual_ha["digest"], 16) % (1 << _DIGEST_BITS))
    for kind in ("recoveries", "handoffs"):
        for state in ("pending", "sent"):
            yield Sample(kind, which | {"state": state}, virtual_ha[kind][state])
        for result in ("done", "failed"):
            yield Sample(f"{kind}_finished_total", which | {"result": result}, virtual_ha[kind][result])
    balance = virtual_ha["balance"]
    yield Sample("load", which, balance["load"])
    yield Sample("overloaded", which, balance["overloaded"])
    yield Sample("high_water_mark", which, balance["high_water"] or 0)
    yield from _counters(which, virtual_ha["counters"])


def _counters(which: Labels, counters: Mapping[str, int]) -> Iterator[Sample]:
    """Those that have a family of their own are told from the start, as 0: what appears as 1 has not increased."""
    for counter, (family, labels) in FAMILY_BY_COUNTER.items():
        yield Sample(family, {**which, **labels}, counters.get(counter, 0))
    for name, value in counters.items():
        prefix, _unused, rest = name.partition(".")
        if rest and prefix in FAMILY_BY_PREFIX:
            family, label = FAMILY_BY_PREFIX[prefix]
            yield Sample(family, {**which, label: rest}, value)
        elif name not in FAMILY_BY_COUNTER and name not in _RESULTS:
            yield Sample("events_total", {**which, "event": name}, value)


def _line(sample: Sample) -> str:
    return f"{PREFIX}{sample.family}{_labels(sample.labels)} {_number(sample.value)}\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
