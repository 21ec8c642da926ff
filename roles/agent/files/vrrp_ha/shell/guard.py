# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filter `table inet vrrp_ha`: who may come in for a virtual address, and what stays silent.

- A macvlan that is not in the set `active` neither receives nor sends (RFC 9568 section 6.4.2: a Backup discards
  frames for the virtual MAC; an MLD report from it would move the switch port to the wrong host).
- Packets for an active virtual address go through the chain of its virtual router: tunnels only from the care-of
  address bound to the inner source (RFC 6275 section 10.4.5), signalling only for the agent, which reads it by
  AF_PACKET (this kernel would answer a Home Address option with an error), the rest by Accept_Mode and ownership.
- Every drop is counted under its reason.

Changes are atomic batches; a takeover adds a handful of elements whatever the number of bindings.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..core.home_agents import anycast_address
from ..core.tunnel_settings import TunnelSettings
from . import nftables as nft
from . import tunnel_rules
from .links import MACVLAN_PREFIX
from .netlink import Netlink
from .tunnel_rules import Chains

if TYPE_CHECKING:
    from ..core.settings import VirtualHaSettings
    from ..core.types import Address

TABLE = "vrrp_ha"
_PRIORITY_RAW = -300  # before connection tracking: what is dropped here costs nothing more
_PRIORITY_LAST = 300

_ACTIVE, _VIRTUAL, _ANYCAST, _TUNNELS = "active", "virtual", "anycast", "tunnels"
_FROM_MACVLAN, _TO_MACVLAN = "from_macvlan", "to_macvlan"
_REASSEMBLY = "reassembly"
_NOT_IN_THIS_KERNEL = (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)
_FORWARDING_WAS_OFF = "net.ipv6.conf.all.forwarding was 0"

_IPV6, _ESP, _ICMPV6, _MOBILITY, _DESTINATION_OPTIONS = 41, 50, 58, 135, 60
_DHAAD_REQUEST, _PREFIX_SOLICITATION, _REDIRECT, _NEIGHBOUR_SOLICITATION = 144, 146, 137, 135
_NEXT_HEADER_AT, _SOURCE_AT, _DESTINATION_AT = 6, 8, 24

COUNTERS = (
    "backup_received",  # frames for the virtual MAC while another router is Master
    "backup_sent",  # what the kernel wanted to send from the virtual MAC meanwhile
    "not_ipv6",  # a virtual router of IPv6 takes nothing else
    "redirect",
    "tunnel_spoofed",  # the outer source is not bound to the inner source, or it cannot be told
    "tunnel_multicast",
    "tunnel_link_local",  # to such an address out of a tunnel, or from one into it
    "signalling",  # not lost: the agent reads these by AF_PACKET, the kernel must not answer them
    "not_accepted",  # for a virtual address, without Accept_Mode
)


def bound_set(vrid: int) -> str:
    """The set of care-of address and home address pairs of a virtual HA."""
    return f"bound_{vrid}"


def _chains(vrid: int) -> Chains:
    return Chains(f"virtual_{vrid}", f"limit_{vrid}", f"tunnel_{vrid}", f"clamp_{vrid}")


class Guard:
    """What should be filtered, and the messages that make it so."""

    def __init__(self, filter_: Netlink) -> None:
        self._filter = filter_
        self._table = nft.Table(TABLE)
        self._vhas: dict[int, tuple[VirtualHaSettings, int]] = {}  # and the MTU of their links
        self._tunnel = TunnelSettings()
        self._reassembles = False
        self._expected: dict[str, list[tuple[int, bytes]]] = {}
        self._comment = ""

    # --- the whole table -----------------------------------------------------------------------------------

    def start(self, *, forwarding_was_off: bool) -> None:
        """Make the table without any virtual router; replaces one that an earlier agent left."""
        self._vhas.clear()
        self._comment = _FORWARDING_WAS_OFF if forwarding_was_off else ""
        self._send(self._table.create(""), self._table.delete(), *self._common_objects(), *self._common_rules())
        self._reassemble()
        self._remember()

    def use(self, settings: TunnelSettings) -> bool:
        """What is done to tunnel packets from the next set_up() of each virtual router on; tells of a change."""
        before, self._tunnel = self._tunnel, settings
        if settings.reassemble != before.reassemble:
            self._send(self._table.flush_chain(_REASSEMBLY))
            self._reassemble()
            self._remember()
        return settings != before

    def cannot_reassemble(self) -> bool:
        """It was asked to, and the kernel has no means."""
        return self._tunnel.reassemble and not self._reassembles

    def _reassemble(self) -> None:
        """Apart from the rest of the table, which has to be there in any case."""
        self._reassembles = False
        if self._tunnel.reassemble:
            try:
                self._send(self._table.rule(_REASSEMBLY, *tunnel_rules.reassembly()))
                self._reassembles = True
            except OSError as error:
                if error.errno not in _NOT_IN_THIS_KERNEL:
                    raise

    def forwarding_was_off(self) -> bool:
        """An agent switched the forwarding of IPv6 on, and it should be switched off when the table goes."""
        return self._table.comment(self._filter) == _FORWARDING_WAS_OFF

    def stop(self) -> bool:
        """Remove the table; tells whether there was one."""
        if self._table.comment(self._filter) is None:
            return False
        self._send(self._table.delete())
        return True

    def counters(self) -> dict[str, int]:
        """Packets dropped so far, by reason."""
        return self._table.counters(self._filter)

    def _common_objects(self) -> Iterator[bytes]:
        table = self._table
        yield table.create(self._comment)
        for name in COUNTERS:
            yield table.counter(name)
        yield table.hash_set(_ACTIVE, nft.TYPE_INTERFACE, 4)
        yield table.verdict_map(_VIRTUAL, nft.TYPE_IPV6_ADDRESS, 16)
        yield table.hash_set(_ANYCAST, nft.TYPE_IPV6_ADDRESS, 16)
        yield table.chain(_ANYCAST)
        yield table.chain(_FROM_MACVLAN)
        yield table.chain(_TO_MACVLAN)
        yield table.verdict_map(_TUNNELS, nft.TYPE_IPV6_ADDRESS, 16)
        yield table.chain(_REASSEMBLY)
        yield table.base_chain("prerouting", "prerouting", _PRIORITY_RAW)
        yield table.base_chain("postrouting", "postrouting", _PRIORITY_LAST)

    def _common_rules(self) -> Iterator[bytes]:
        rule = self._table.rule
        ours = nft.equal(MACVLAN_PREFIX.encode())
        drop = nft.verdict("drop")
        yield rule(_FROM_MACVLAN, nft.meta("iif"), nft.not_in_set(_ACTIVE), nft.count("backup_received"), drop)
        yield rule(_FROM_MACVLAN, nft.meta("nfproto"), nft.equal(b"\2"), nft.count("not_ipv6"), drop)
        yield rule(_TO_MACVLAN, nft.meta("oif"), nft.not_in_set(_ACTIVE), nft.count("backup_sent"), drop)
        yield rule(_TO_MACVLAN, nft.meta("nfproto"), nft.equal(b"\2"), nft.count("not_ipv6"), drop)
        yield rule(_TO_MACVLAN, *_icmpv6(_REDIRECT), nft.count("redirect"), drop)
        yield rule("prerouting", nft.meta("iifname"), ours, nft.verdict("jump", _FROM_MACVLAN))
        destination = nft.load("network", _DESTINATION_AT, 16)
        yield rule("prerouting", *nft.ipv6_only(), destination, nft.verdict_of(_VIRTUAL))
        yield rule("prerouting", *nft.ipv6_only(), destination, nft.in_set(_ANYCAST), nft.verdict("goto", _ANYCAST))
        # Of the Home-Agents anycast address the kernel knows nothing: discovery and Neighbor Discovery are the agent's.
        for kind in (_DHAAD_REQUEST, _NEIGHBOUR_SOLICITATION):
            yield rule(_ANYCAST, *_icmpv6(kind), nft.count("signalling"), drop)
        yield rule(_ANYCAST, nft.count("not_accepted"), drop)
        yield rule("postrouting", nft.meta("oifname"), ours, nft.verdict("jump", _TO_MACVLAN))
        tunnelled = nft.load("network", _NEXT_HEADER_AT, 1), nft.equal(bytes((_IPV6,)))
        source = nft.load("network", _SOURCE_AT, 16)
        yield rule("postrouting", *nft.ipv6_only(), *tunnelled, source, nft.verdict_of(_TUNNELS))

    # --- a virtual router ----------------------------------------------------------------------------------

    def set_up(self, vha: VirtualHaSettings, mtu: int) -> None:
        """Make or change a virtual router's chains; its bound set stays as it is. mtu: its link's."""
        self._send(*self._objects(vha), *self._flush(vha.vrid), *self._rules(vha, mtu))
        self._vhas[vha.vrid] = vha, mtu
        for chain in _chains(vha.vrid):
            self._expected.pop(chain, None)
            self._expected.update(self._table.rules(self._filter, chain))

    def tear_down(self, vrid: int) -> None:
        """Remove an inactive virtual router's chain and set."""
        vha, _unused = self._vhas.pop(vrid, (None, 0))
        if vha is not None:
            tunnels = nft.batch(self._table.delete_elements(_TUNNELS, [vha.vha_address]))
            self._filter.call(tunnels, ignore=(errno.ENOENT,))
            self._send(
                *self._flush(vrid),
                *(self._table.delete_chain(chain) for chain in _chains(vrid)),
                self._table.delete_set(bound_set(vrid)),
            )
            for chain in _chains(vrid):
                self._expected.pop(chain, None)

    def _objects(self, vha: VirtualHaSettings) -> Iterator[bytes]:
        yield self._table.hash_set(bound_set(vha.vrid), nft.TYPE_ADDRESS_PAIR, 32)
        for chain in _chains(vha.vrid):
            yield self._table.chain(chain)
        if vha.mipv6_ha_mode:
            yield self._table.add_verdict(_TUNNELS, vha.vha_address, _chains(vha.vrid).leaving)

    def _flush(self, vrid: int) -> Iterator[bytes]:
        for chain in _chains(vrid):
            yield self._table.flush_chain(chain)

    def _rules(self, vha: VirtualHaSettings, mtu: int) -> Iterator[bytes]:
        chain = _chains(vha.vrid).virtual
        accept, drop = nft.verdict("accept"), nft.verdict("drop")
        everything = vha.accept_mode or vha.is_owner

        def rule(*expressions: bytes) -> bytes:
            return self._table.rule(chain, *expressions)

        if vha.mipv6_ha_mode:
            chains, settings = _chains(vha.vrid), self._tunnel
            for name, expressions in tunnel_rules.received(chains, bound_set(vha.vrid)):
                yield self._table.rule(name, *expressions)
            for name, expressions in tunnel_rules.leaving(chains, settings.hop_limit, settings.maximum_segment(mtu)):
                yield self._table.rule(name, *expressions)
            for number in (_MOBILITY, _ESP):
                yield rule(*nft.protocol(number), nft.count("signalling"), drop)
            yield rule(nft.has_extension_header(_DESTINATION_OPTIONS), nft.count("signalling"), drop)
            for kind in (_DHAAD_REQUEST, _PREFIX_SOLICITATION):
                yield rule(*_icmpv6(kind), nft.count("signalling"), drop)
            if not everything:
                # Errors tell what became of what the VHA sent.
                for kind in (1, 2, 3, 4):
                    yield rule(*_icmpv6(kind), accept)
        if not everything:
            for kind in (133, 134, 135, 136):  # Neighbour Discovery works whatever Accept_Mode (RFC 9568 section 6.1)
                yield rule(*_icmpv6(kind), accept)
            yield rule(nft.count("not_accepted"), drop)

    # --- messages for the moments that count ---------------------------------------------------------------

    def activation(self, vha: VirtualHaSettings, index: int) -> bytes:
        """Let the macvlan speak and be spoken to, under the rules of its chain."""
        chain = _chains(vha.vrid).virtual
        return nft.batch(
            *(self._table.add_verdict(_VIRTUAL, address, chain) for address in _addresses(vha)),
            *([self._table.add_elements(_ANYCAST, [anycast_of(vha)])] if vha.mipv6_ha_mode else []),
            self._table.add_elements(_ACTIVE, [nft.interface_index(index)]),
        )

    def deactivation(self, vha: VirtualHaSettings, index: int) -> bytes:
        """Silence the macvlan."""
        return nft.batch(
            self._table.delete_elements(_ACTIVE, [nft.interface_index(index)]),
            self._table.delete_elements(_VIRTUAL, _addresses(vha)),
        )

    def change_bound(self, vrid: int, gone: list[bytes], new: list[bytes]) -> None:
        """Pairs of care-of and home address that may tunnel no more, and those that may now."""
        self._send(
            self._table.delete_elements(bound_set(vrid), gone),
            self._table.add_elements(bound_set(vrid), new),
        )

    def drop_bound(self, vrid: int, pair: bytes) -> None:
        """A pair that may not be there goes."""
        batch = nft.batch(self._table.delete_elements(bound_set(vrid), [pair]))
        self._filter.call(batch, ignore=(errno.ENOENT,))

    def _send(self, *messages: bytes) -> None:
        self._filter.call(nft.batch(*messages))

    # --- comparing with the host ---------------------------------------------------------------------------

    def _remember(self) -> None:
        """How the kernel tells our rules now: whoever changes one later changes its handle or its expressions."""
        self._expected = self._table.rules(self._filter)

    def is_gone(self) -> bool:
        """Somebody has deleted the table."""
        return self._table.comment(self._filter) is None

    def is_whole(self) -> bool | None:
        """Chains, sets and rules are as they were made; None: there is no table. Elements are not looked at."""
        if self._table.comment(self._filter) is None:
            return None
        sets = {_ACTIVE, _VIRTUAL, _ANYCAST, *(bound_set(vrid) for vrid in self._vhas)}
        return sets <= self._table.sets(self._filter) and self._table.rules(self._filter) == self._expected

    def rebuild(self) -> None:
        """Everything anew in one atomic change, without elements."""
        vhas = list(self._vhas.values())
        self._send(
            self._table.create(""),
            self._table.delete(),
            *self._common_objects(),
            *(part for vha, _unused in vhas for part in self._objects(vha)),
            *self._common_rules(),
            *(part for vha, mtu in vhas for part in self._rules(vha, mtu)),
        )
        self._reassemble()
        self._remember()

    def active_indexes(self) -> set[int]:
        """The interfaces that may receive and send."""
        return {nft.index_of(element) for element in self._table.elements(self._filter, _ACTIVE)}

    def virtual_addresses(self) -> set[Address]:
        """The addresses whose packets go through a chain of ours."""
        return set(self._table.elements(self._filter, _VIRTUAL))

    def anycast_addresses(self) -> set[Address]:
        """The Home-Agents anycast addresses of prefixes that are served here."""
        return set(self._table.elements(self._filter, _ANYCAST))

    def drop_anycast(self, address: Address) -> None:
        """Nothing with this anycast address is served here any more; others of the link have it."""
        batch = nft.batch(self._table.delete_elements(_ANYCAST, [address]))
        self._filter.call(batch, ignore=(errno.ENOENT,))

    def bound(self, vrid: int, reader: Netlink) -> Iterator[bytes]:
        """The pairs of care-of and home address that may tunnel, read bit by bit by a socket of its own."""
        return self._table.elements(reader, bound_set(vrid))

    def remove_strays(self, indexes: Iterable[int], addresses: Iterable[Address]) -> None:
        """Elements that belong to no active virtual router."""
        self._send(
            self._table.delete_elements(_ACTIVE, [nft.interface_index(index) for index in indexes]),
            self._table.delete_elements(_VIRTUAL, list(addresses)),
        )


def remove_table(filter_: Netlink) -> tuple[bool, bool]:
    """For the clean-up: was there a table, and had its agent switched forwarding on?"""
    guard = Guard(filter_)
    was_off = guard.forwarding_was_off()
    try:
        return guard.stop(), was_off
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return False, was_off


def anycast_of(vha: VirtualHaSettings) -> Address:
    """Where mobile nodes look for home agents of this home prefix."""
    return anycast_address(vha.prefix, vha.prefix_length)


def _addresses(vha: VirtualHaSettings) -> list[Address]:
    return list(dict.fromkeys((vha.link_local, *vha.addresses)))


def _icmpv6(kind: int) -> tuple[bytes, ...]:
    return (*nft.protocol(_ICMPV6), nft.load("transport", 0, 1), nft.equal(bytes((kind,))))
