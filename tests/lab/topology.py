# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab consists of, as data: links, nodes, addresses, names.

Everything else in this package reads the plan from here and knows no address of its own. All addresses are from
2001:db8::/32 (documentation) and fd76:6861::/32 (unique local); none leaves the namespaces, all of which are
named `vha-...` (with another lab's name after `vha`).
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.places import INSTANCE, SIZE, SUITE

PREFIX = f"vha{INSTANCE}-"
SWITCH = "switch"
"""The namespace that holds one bridge a link; every other node has one cable to each of its links."""

HOME = "home"
MANAGEMENT = "mgmt"
FOREIGN_1 = "foreign1"
FOREIGN_2 = "foreign2"
CORRESPONDENT = "cn"
LINKS = (HOME, MANAGEMENT, FOREIGN_1, FOREIGN_2, CORRESPONDENT)

HOME_PREFIX = "2001:db8:1::/64"
HOME_ROUTER = "2001:db8:1::1"
CN_ADDRESS = "2001:db8:9::10"
FOREIGN_ROUTERS = {FOREIGN_1: "2001:db8:21::1", FOREIGN_2: "2001:db8:22::1"}
MN_ADDRESSES = {
    "mn1": {FOREIGN_1: "2001:db8:21::10", FOREIGN_2: "2001:db8:22::10"},
    "mn2": {FOREIGN_1: "2001:db8:21::20", FOREIGN_2: "2001:db8:22::20"},
    "mn3": {FOREIGN_1: "2001:db8:21::30", FOREIGN_2: "2001:db8:22::30"},
}
HOME_ADDRESS_PREFIXES = {51: "2001:db8:1:0:51::/80", 52: "2001:db8:1:0:52::/80", 53: "2001:db8:1:0:53::/80"}
"""Home addresses by the VRID that serves them; on-link on the home link, one MN key for each range."""

VIRTUAL_HAS = {51: "2001:db8:1::51", 52: "2001:db8:1::52", 53: "2001:db8:1::53"}
OWNERS = {51: "ha1", 52: "ha2", 53: "ha3"}
HOME_AGENTS = tuple(f"ha{number}" for number in range(1, SIZE + 1))
RELEASES = ("bookworm", "bookworm", "trixie")
CONTROLLER = "ctl"


@dataclass(frozen=True, slots=True)
class Port:
    """A node's cable to one link."""

    link: str
    interface: str
    link_local: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A namespace, and when it has a `suite` the Debian system that lives in it."""

    name: str
    number: int
    ports: tuple[Port, ...]
    routes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    forwards: bool = False
    suite: str | None = None

    @property
    def boots(self) -> bool:
        return self.suite is not None

    @property
    def namespace(self) -> str:
        return PREFIX + self.name

    def mac(self, port: Port) -> str:
        return f"02:76:68:61:{LINKS.index(port.link):02x}:{self.number:02x}"

    @property
    def management_address(self) -> str | None:
        for port in self.ports:
            if port.link == MANAGEMENT:
                return port.addresses[0].split("/")[0]
        return None


def switch_port(node: Node, port: Port) -> str:
    """The name of the switch's end of a cable."""
    return f"{node.name}-{port.link}"


def _management(number: int) -> Port:
    return Port(MANAGEMENT, "eth0", f"fe80::{number}", (f"fd76:6861::{number}/64",))


def _home_agent(name: str, number: int) -> Node:
    suite = SUITE or RELEASES[(number - 11) % len(RELEASES)]
    home = Port(HOME, "eth1", f"fe80::{number}", (f"2001:db8:1::{number}/64",))
    return Node(name, number, (_management(number), home), (f"default via {HOME_ROUTER} dev eth1",), suite=suite)


def _mobile_node(name: str, number: int, nearest: str) -> Node:
    """On both foreign links at once, so that it can move by choosing its care-of address."""
    ports = tuple(
        Port(link, interface, f"fe80::{number}", (f"{MN_ADDRESSES[name][link]}/64",))
        for link, interface in ((FOREIGN_1, "eth1"), (FOREIGN_2, "eth2"))
    )
    interfaces = {port.link: port.interface for port in ports}
    other = FOREIGN_2 if nearest == FOREIGN_1 else FOREIGN_1
    return Node(
        name,
        number,
        ports,
        routes=(
            f"default via {FOREIGN_ROUTERS[nearest]} dev {interfaces[nearest]}",
            f"default via {FOREIGN_ROUTERS[other]} dev {interfaces[other]} table 200",
        ),
        rules=(f"from {MN_ADDRESSES[name][other]} lookup 200 priority 200",),
    )


NODES: tuple[Node, ...] = (
    Node(CONTROLLER, 1, (_management(1),)),
    Node(
        "router",
        1,
        (
            Port(HOME, "eth1", "fe80::1", (f"{HOME_ROUTER}/64",)),
            Port(FOREIGN_1, "eth2", "fe80::1", (f"{FOREIGN_ROUTERS[FOREIGN_1]}/64",)),
            Port(FOREIGN_2, "eth3", "fe80::1", (f"{FOREIGN_ROUTERS[FOREIGN_2]}/64",)),
            Port(CORRESPONDENT, "eth4", "fe80::1", ("2001:db8:9::1/64",)),
        ),
        forwards=True,
    ),
    Node("cn", 10, (Port(CORRESPONDENT, "eth1", "fe80::10", (f"{CN_ADDRESS}/64",)),), ("default via 2001:db8:9::1",)),
    _mobile_node("mn1", 10, FOREIGN_1),
    _mobile_node("mn2", 20, FOREIGN_2),
    _mobile_node("mn3", 30, FOREIGN_1),
    *(_home_agent(name, number) for number, name in enumerate(HOME_AGENTS, 11)),
)

SWITCH_NAMESPACE = PREFIX + SWITCH
NAMESPACES = (SWITCH_NAMESPACE, *(node.namespace for node in NODES))
SUITES = tuple(dict.fromkeys(node.suite for node in NODES if node.suite))
"""The Debian systems that the hosts boot."""


def node(name: str) -> Node:
    """The node of that name; KeyError when the plan has none."""
    for candidate in NODES:
        if candidate.name == name:
            return candidate
    raise KeyError(name)
