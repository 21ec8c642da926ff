# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble on the home link, made at the switch with nftables, where no host can see or prevent it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address

from tests.lab import topology
from tests.lab.places import in_namespace, run

TABLE = "faults"
BC_UPDATE = "0x33"
"""The first octet of a VRRP message: version 3, and the type number that the settings give to BC_UPDATE."""
BINDINGS_PER_UPDATE = 36


@contextmanager
def updates_lost_towards(host: str) -> Iterator[None]:
    """No binding cache update reaches the host; advertisements and digests do."""
    with _dropped(_message(host, BC_UPDATE)):
        yield


@contextmanager
def binding_lost_towards(host: str, home_address: str) -> Iterator[None]:
    """No update that carries this binding reaches the host; advertisements, digests and other updates do."""
    home = IPv6Address(home_address).packed.hex()
    # Behind the header of 8 octets are bindings of 40, with the home address at their ninth.
    places = [(8 + 40 * number + 8) * 8 for number in range(BINDINGS_PER_UPDATE)]
    with _dropped(*(f"{_message(host, BC_UPDATE)} @th,{place},128 0x{home}" for place in places)):
        yield


@contextmanager
def vrrp_cut_off(host: str) -> Iterator[None]:
    """The host neither hears the others' VRRP nor is heard; everything else passes."""
    port = _port(host)
    with _dropped(f'oifname "{port}" ip6 nexthdr 112', f'iifname "{port}" ip6 nexthdr 112'):
        yield


@contextmanager
def management_cut_off(host: str) -> Iterator[None]:
    """Nobody reaches the host over the management link; its cable has a carrier."""
    port = _port(host, topology.MANAGEMENT)
    with _dropped(f'oifname "{port}"', f'iifname "{port}"'):
        yield


@contextmanager
def home_link_down(*hosts: str) -> Iterator[None]:
    """The hosts' cables to the home link have no carrier."""
    _cables(hosts, "down")
    try:
        yield
    finally:
        _cables(hosts, "up")


def _message(host: str, first_octet: str) -> str:
    return f'oifname "{_port(host)}" ip6 nexthdr 112 @th,0,8 {first_octet}'


def _cables(hosts: tuple[str, ...], state: str) -> None:
    for host in hosts:
        run("ip", "-n", topology.SWITCH_NAMESPACE, "link", "set", _port(host), state)


@contextmanager
def _dropped(*matches: str) -> Iterator[None]:
    rules = "\n".join(f"{match} counter drop" for match in matches)
    _nft(f"table bridge {TABLE} {{\nchain forward {{\ntype filter hook forward priority 0\n{rules}\n}}\n}}\n")
    try:
        yield
    finally:
        _nft(f"delete table bridge {TABLE}")


def _port(host: str, link: str = topology.HOME) -> str:
    node = topology.node(host)
    return topology.switch_port(node, next(port for port in node.ports if port.link == link))


def _nft(script: str) -> None:
    run(*in_namespace(topology.SWITCH_NAMESPACE, ["nft", "-f", "-"]), stdin=script)
