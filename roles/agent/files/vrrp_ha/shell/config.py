# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""agent.json (and through it keys.json) -> settings, or every problem that the two files have.

docs/reference/configuration.md is the operator's side of this file. It needs no privileges, no netlink and no
running agent: the `check` command, the Ansible module and the controller all use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from ..core.balance_settings import BalanceSettings
from ..core.home_agents import anycast_address
from ..core.settings import (
    HomeLink,
    Member,
    NodeSettings,
    RouterAdvertisementSettings,
    SyncKey,
    SyncSettings,
    VirtualHaSettings,
)
from ..core.types import CENTISECOND, SECOND
from . import (
    balance_config,
    discovery_config,
    ipsec_config,
    metrics_config,
    policy_config,
    recovery_config,
    router_advertisements_config,
    sync_key_config,
    tunnel_config,
)
from .fields import Fields, Problem, parse_json, suggestion
from .keys import Keys, load_keys
from .metrics_config import MetricsSettings

FORMAT = 1
DEFAULT_CONFIG = "/etc/vrrp-ha/agent.json"
INTERFACE_NAME_LENGTH = 15  # IFNAMSIZ less the final zero
SOCKET_PATH_LENGTH = 107  # sun_path less the final zero
RESERVED_TABLES = (0, 253, 254, 255)  # unspec, default, main, local
LINK_LOCAL = IPv6Network("fe80::/10")


@dataclass(frozen=True, slots=True)
class ShellSettings:
    """What the host side of the agent needs to know; a change of these takes a restart."""

    keys_file: str | None = None
    state_directory: str = "/var/lib/vrrp-ha"
    control_socket: str = "/run/vrrp-ha/control.sock"
    control_group: str = "vrrp-ha"
    first_table: int = 1000
    decapsulation_table: int = 900
    solicited_node_groups: int = 1000


@dataclass(frozen=True, slots=True)
class Configuration:
    """A pair of files that is free of problems, with the digests by which they are recognised."""

    path: str
    node: NodeSettings
    shell: ShellSettings
    sync_keys: tuple[SyncKey, ...] = field(repr=False, default=())
    digest: str = ""
    keys_digest: str = ""
    warnings: tuple[str, ...] = ()
    metrics: MetricsSettings = field(default_factory=MetricsSettings)


class ConfigurationError(Exception):
    """The files cannot be used; `problems` says why, all of it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load(path: str, keys_path: str | None = None) -> Configuration:
    """Read and check a configuration; keys_path stands in for its keys_file. ConfigurationError if it has problems."""
    problems: list[Problem] = []
    data = _read(path, problems)
    value = parse_json(data, path, problems) if not problems else None
    if problems:
        raise ConfigurationError(problems)
    fields = Fields(value, "", problems)
    fields.integer("format", FORMAT, FORMAT)
    host = fields.text("host")
    shell = _shell(fields)
    sync = _sync(fields.section("sync"))
    recovery = recovery_config.read(fields.section("recovery"))
    tunnel = tunnel_config.read(fields.section("tunnel"))
    balance = balance_config.read(fields.section("balance"), BalanceSettings(), of_virtual_ha=False)
    limits = policy_config.read_limits(fields.section("limits"))
    metrics = metrics_config.read(fields.section("metrics"))
    keys_file = keys_path or shell.keys_file
    keys, keys_data = load_keys(keys_file, problems) if keys_file else (Keys(), b"")
    ipsec = ipsec_config.read(fields.section("ipsec"), keys.ipsec)
    readers = fields.sections("virtual_has")
    virtual_has = [_virtual_ha(reader, host, keys, keys_file, balance) for reader in readers]
    fields.close()
    _check_together(readers, virtual_has)
    if problems:
        raise ConfigurationError(problems)
    node = NodeSettings(
        host,
        tuple(virtual_has),
        keys.mobile_node_keys,
        sync,
        recovery=recovery,
        balance=balance,
        limits=limits,
        tunnel=tunnel,
        ipsec=ipsec,
    )
    return Configuration(
        path,
        node,
        shell,
        tuple(keys.sync_keys.values()),
        _digest(data),
        _digest(keys_data),
        tuple(_warnings(node)),
        metrics,
    )


def shell_settings_of(path: str) -> ShellSettings:
    """The shell's part of a file that may be missing or broken: what is wrong in it is as if it were not there."""
    problems: list[Problem] = []
    data = _read(path, problems)
    value = parse_json(data, path, problems) if not problems else None
    if not isinstance(value, dict):
        return ShellSettings()
    defaults = ShellSettings()
    settings = _shell(Fields(value, "", problems))
    wrong = {problem.path for problem in problems}
    kept = {name: getattr(defaults if name in wrong else settings, name) for name in ShellSettings.__slots__}
    return ShellSettings(**kept)


# --- the agent ---------------------------------------------------------------------------------------------


def _shell(fields: Fields) -> ShellSettings:
    defaults = ShellSettings()
    settings = ShellSettings(
        keys_file=fields.absolute_path("keys_file") if fields.is_given("keys_file") else None,
        state_directory=fields.absolute_path("state_directory", defaults.state_directory),
        control_socket=fields.absolute_path("control_socket", defaults.control_socket),
        control_group=fields.text("control_group", defaults.control_group),
        first_table=fields.integer("first_table", 256, 2**32 - 257, defaults.first_table),
        decapsulation_table=fields.integer("decapsulation_table", 1, 2**32 - 1, defaults.decapsulation_table),
        solicited_node_groups=fields.integer("solicited_node_groups", 0, 4000, defaults.solicited_node_groups),
    )
    if len(settings.control_socket.encode()) > SOCKET_PATH_LENGTH:
        fields.problem("control_socket", "is too long for a socket", f"Use {SOCKET_PATH_LENGTH} octets at most.")
    table = settings.decapsulation_table
    if table in RESERVED_TABLES:
        fields.problem("decapsulation_table", f"{table} is a table of the system", "Use another, such as 900.")
    if settings.first_table <= table <= settings.first_table + 255:
        message = f"{table} is among the virtual HAs' own, {settings.first_table} to {settings.first_table + 255}"
        fields.problem("decapsulation_table", message, "Use one outside of them, such as 900.")
    return settings


def _sync(fields: Fields) -> SyncSettings:
    defaults = SyncSettings()
    settings = SyncSettings(
        request_type=fields.integer("request_type", 2, 15, defaults.request_type),
        update_type=fields.integer("update_type", 2, 15, defaults.update_type),
        digest_type=fields.integer("digest_type", 2, 15, defaults.digest_type),
        digest_interval_us=fields.seconds("digest_interval", 0, 3600, defaults.digest_interval_us / SECOND),
        delta_sends=fields.integer("delta_sends", 1, 10, defaults.delta_sends),
        sync_timeout_us=fields.seconds("sync_timeout", 0.1, 3600, defaults.sync_timeout_us / SECOND),
        owner_takes_over_unsynced=fields.boolean("owner_takes_over_unsynced", defaults.owner_takes_over_unsynced),
        unsynced_priority_penalty=fields.integer(
            "unsynced_priority_penalty", 0, 253, defaults.unsynced_priority_penalty
        ),
    )
    fields.close()
    names = ("request_type", "update_type", "digest_type")
    for i, name in enumerate(names):
        for other in names[:i]:
            if getattr(settings, name) == getattr(settings, other):
                message = f"{getattr(settings, name)} is also the {other}"
                fields.problem(name, message, "Give each message a VRRP type of its own.")
    if 0 < settings.digest_interval_us < SECOND // 10:
        fields.problem("digest_interval", "is too short", "Use 0 (off) or at least 0.1 seconds.")
    return settings


# --- a virtual HA ------------------------------------------------------------------------------------------


def _virtual_ha(
    fields: Fields, host: str, keys: Keys, keys_file: str | None, balance: BalanceSettings
) -> VirtualHaSettings:
    vrid = fields.integer("vrid", 1, 255)
    name = fields.text("name", "")
    interface = _interface(fields)
    link_local = fields.optional_address("link_local_address") or IPv6Address(f"fe80::5eff:fe00:{0x200 + vrid:x}")
    if link_local not in LINK_LOCAL:
        fields.problem("link_local_address", f"{link_local} is not link-local", "Use one from fe80::/64.")
    prefix = fields.network("prefix")
    addresses = _addresses(fields, prefix)
    priority = fields.integer("priority", 1, 255)
    interval = fields.integer("advertisement_interval", 1, 4095, 100)
    mipv6_ha_mode = fields.boolean("mipv6_ha_mode", True)
    sync_key, accepted_sync_keys = sync_key_config.read(fields, mipv6_ha_mode, keys, keys_file)
    router = router_advertisements_config.read(fields.section("router_advertisements"), mipv6_ha_mode, prefix)
    settings = VirtualHaSettings(
        vrid=vrid,
        name=name,
        interface=interface,
        priority=priority,
        link_local=link_local.packed,
        addresses=tuple(address.packed for address in addresses),
        prefix=prefix.network_address.packed if prefix else bytes(16),
        prefix_length=prefix.prefixlen if prefix else 0,
        interval_us=interval * CENTISECOND,
        preempt=fields.boolean("preempt", True),
        preempt_delay_us=fields.seconds("preempt_delay", 0, 3600, 0.0),
        accept_mode=fields.boolean("accept_mode", False),
        mipv6_ha_mode=mipv6_ha_mode,
        home_link=HomeLink(fields.choice("home_link", [mode.value for mode in HomeLink], HomeLink.ON_LINK.value)),
        duplicate_address_detection=fields.boolean("duplicate_address_detection", True),
        router_advertisements=router,
        discovery=discovery_config.read(fields.section("discovery"), router),
        maximum_lifetime_us=_maximum_lifetime(fields, router),
        members=_members(fields, host, priority, link_local),
        balance=balance_config.read(fields.section("balance"), balance, of_virtual_ha=True),
        policy=policy_config.read_policy(fields.section("policy"), prefix),
        sync_key=sync_key,
        accepted_sync_keys=accepted_sync_keys,
        insecure_bindings=fields.boolean("insecure_bindings", False),
    )
    fields.close()
    return settings


def _interface(fields: Fields) -> str:
    name = fields.text("interface")
    unusable = len(name.encode()) > INTERFACE_NAME_LENGTH or any(c.isspace() or c in "/:" for c in name)
    if unusable or name in (".", ".."):
        remedy = f"Use the name of an interface: {INTERFACE_NAME_LENGTH} octets at most, no space, '/' or ':'."
        fields.problem("interface", f"'{name}' is no name of an interface", remedy)
    elif name.startswith("vrrp6-"):
        fields.problem("interface", f"'{name}' is a device that the agent makes", "Name the home link's interface.")
    return name


def _addresses(fields: Fields, prefix: IPv6Network | None) -> list[IPv6Address]:
    result: list[IPv6Address] = []
    values = fields.items("addresses")
    if not values and fields.is_given("addresses"):
        fields.problem("addresses", "is empty", "Give at least the address that mobile nodes use.")
    for i, value in enumerate(values):
        name = f"addresses[{i}]"
        address = fields.parse_address(value, name)
        if address is None:
            continue
        if address in LINK_LOCAL:
            remedy = "Put a global address here; the link-local one goes into link_local_address."
            fields.problem(name, f"{address} is link-local", remedy)
        elif address.is_multicast or address.is_loopback or address.is_unspecified or address.ipv4_mapped:
            fields.problem(name, f"{address} is not a unicast address", "Use a global unicast address.")
        elif prefix is not None and address not in prefix:
            remedy = f"Use an address of {prefix}, or correct the prefix."
            fields.problem(name, f"{address} is outside the home link's prefix {prefix}", remedy)
        elif prefix is not None and address in _anycast(prefix):
            fields.problem(name, f"{address} is an anycast address of {prefix}", "Use another address of the prefix.")
        result.append(address)
    return result


def _anycast(prefix: IPv6Network) -> tuple[IPv6Address, ...]:
    """Subnet-Router (RFC 4291 section 2.6.1) and Mobile IPv6 Home-Agents (RFC 2526) anycast addresses."""
    return (prefix.network_address, home_agents_anycast(prefix)) if prefix.prefixlen < 121 else ()


def home_agents_anycast(prefix: IPv6Network) -> IPv6Address:
    """The Mobile IPv6 Home-Agents anycast address of a home prefix."""
    return IPv6Address(anycast_address(prefix.network_address.packed, prefix.prefixlen))


def _maximum_lifetime(fields: Fields, router: RouterAdvertisementSettings) -> int:
    """RFC 6275 section 10.6.4: no binding outlives the home prefix."""
    valid = router.valid_lifetime_us // SECOND
    longest = fields.integer("maximum_lifetime", 4, 262_140, max(4, min(valid, 262_140)))
    if longest > max(4, valid):
        message = f"{longest} is more than the home prefix is valid for, {valid} (router_advertisements.valid_lifetime)"
        fields.problem("maximum_lifetime", message, f"Use {valid} at most, or leave it out.")
    return longest * SECOND


def _members(fields: Fields, host: str, priority: int, link_local: IPv6Address) -> tuple[Member, ...]:
    result: list[Member] = []
    for entry in fields.sections("members", []):
        name = entry.text("name")
        address = entry.optional_address("address")
        member = Member(name, entry.integer("priority", 1, 255), address.packed if address else None)
        entry.close()
        if any(name == other.name for other in result):
            entry.problem("name", f"'{name}' is listed twice", "List each member once.")
        owner = next((other.name for other in result if other.priority == 255), None)
        if member.priority == 255 and owner is not None:
            message = f"255 is already the priority of '{owner}'"
            entry.problem("priority", message, "Only the owner of the address has 255: give one of them 1 to 254.")
        if address is not None and address not in LINK_LOCAL:
            entry.problem("address", f"{address} is not link-local", "Use the member's own address on the home link.")
        if address == link_local:
            remedy = "Use the member's own link-local address, or another link_local_address."
            entry.problem("address", f"{address} is the virtual router's own", remedy)
        if address is not None and any(address.packed == other.address for other in result):
            entry.problem("address", f"{address} is another member's", "Give each member its own address.")
        result.append(member)
    own = next((member for member in result if member.name == host), None)
    if result and host and own is None:
        names = [member.name for member in result]
        fields.problem("members", f"this host, '{host}', is not among them", suggestion(host, names, "Add it."))
    elif own is not None and own.priority != priority:
        remedy = "Both say the same thing about this host: make them equal."
        fields.problem("priority", f"is {priority}, but {own.priority} in members", remedy)
    elif priority == 255 and any(member.priority == 255 and member.name != host for member in result):
        fields.problem("priority", "is 255, as is another member's", "Only the owner has 255.")
    return tuple(result)


# --- all of them together ----------------------------------------------------------------------------------


def _check_together(readers: list[Fields], virtual_has: list[VirtualHaSettings]) -> None:
    vrids: dict[int, str] = {}
    link_locals: dict[tuple[str, bytes], str] = {}
    addresses: dict[bytes, str] = {}
    for reader, virtual_ha in zip(readers, virtual_has, strict=True):
        if reader.is_given("vrid") and vrids.setdefault(virtual_ha.vrid, reader.path) != reader.path:
            message = f"{virtual_ha.vrid} is already the VRID of {vrids[virtual_ha.vrid]}"
            reader.problem("vrid", message, "Give each virtual HA of this agent a VRID of its own.")
        place = (virtual_ha.interface, virtual_ha.link_local)
        first = link_locals.setdefault(place, reader.path)
        if first != reader.path and reader.is_given("link_local_address"):
            text = IPv6Address(virtual_ha.link_local)
            message = f"{text} is already used by {first} on {virtual_ha.interface}"
            reader.problem("link_local_address", message, "Leave it out for one that follows from the VRID.")
        for i, address in enumerate(virtual_ha.addresses):
            name = f"addresses[{i}]"
            first = addresses.setdefault(address, reader.at(name))
            if first != reader.at(name):
                reader.problem(name, f"{IPv6Address(address)} is already used: {first}", "Use each address once.")


def _warnings(node: NodeSettings) -> Iterable[str]:
    for virtual_ha in node.virtual_has:
        if not virtual_ha.mipv6_ha_mode:
            continue
        if virtual_ha.insecure_bindings:
            yield f"vrid {virtual_ha.vrid}: insecure_bindings is set: anybody can bind any home address"
        if virtual_ha.sync_key is None:
            yield f"vrid {virtual_ha.vrid}: insecure_sync is set: anybody on the link can change the binding cache"
        if not (node.mobile_node_keys or node.ipsec.associations or virtual_ha.insecure_bindings):
            nothing = f"there are neither mobile_node_keys nor {ipsec_config.SECTION}"
            yield f"vrid {virtual_ha.vrid}: {nothing}: no mobile node can register"
        yield from policy_config.warnings(virtual_ha, node)
    yield from ipsec_config.warnings(node.ipsec)


def _read(path: str, problems: list[Problem]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        problems.append(Problem(path, f"cannot be read: {error.strerror}", "Check the name and the permissions."))
        return b""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
