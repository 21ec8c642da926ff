# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node: registers, refreshes, moves and comes home (RFC 6275), and signs what it says (RFC 4285).

Where a home agent sends it by a Home Agent Switch that is properly signed, it goes (RFC 5142).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrrp_ha.core.authentication import ntp_timestamp
from vrrp_ha.core.settings import VirtualHaSettings
from vrrp_ha.core.types import FLAG_ACKNOWLEDGE, FLAG_HOME_REGISTRATION, MILLISECOND, SECOND, Address
from vrrp_ha.wire import icmpv6, ipv6, mobility
from vrrp_ha.wire.mobility import BindingStatus

if TYPE_CHECKING:
    from tests.sim.world import World

SPI = 256
KEY = b"every mobile node's key"
OTHER_SPI = 300
OTHER_KEY = b"what it shares with the home agents that it is sent to"
CLOCK_TOLERANCE_US = 7 * SECOND
FIRST_RETRY_US = 1 * SECOND  # RFC 6275 section 12: INITIAL_BINDACK_TIMEOUT
FIRST_REGISTRATION_RETRY_US = 1500 * MILLISECOND  # InitialBindackTimeoutFirstReg: the home agent tests the address
LAST_RETRY_US = 32 * SECOND
HOP_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a mobile node was promised."""

    sequence: int
    care_of_address: Address
    at: int
    until: int


class MobileNode:
    """One mobile node of one virtual HA. Idle until `register`."""

    def __init__(
        self, world: World, virtual_ha: VirtualHaSettings, home: Address, number: int, lifetime_s: int
    ) -> None:
        self.world = world
        self.virtual_ha = virtual_ha
        self.home = home
        self.number = number
        self.lifetime_us = lifetime_s * SECOND
        self.acknowledged: Acknowledged | None = None
        self.deregistered_at: int | None = None
        self.refused: list[int] = []
        self.heard: list[icmpv6.Message] = []
        self.switched = 0
        self._spi, self._key = SPI, KEY
        self._sequence = world.rng.randint(0, 0xFFFF)
        self._moves = 0
        self._pending: tuple[int, bool] | None = None  # sequence number, whether it registers
        self._attempt = 0  # what waits for another one is void

    @property
    def in_doubt(self) -> bool:
        """A Binding Update is on its way, or was processed by somebody, nobody knows."""
        return self._pending is not None

    @property
    def care_of(self) -> Address:
        return (
            self.virtual_ha.prefix[:4] + b"\0\2\0\0" + self.number.to_bytes(4, "big") + self._moves.to_bytes(4, "big")
        )

    def register(self) -> None:
        """Tell the home agent where we are, until it answers; and again in good time."""
        self._begin(registers=True)

    def move(self) -> None:
        self._moves += 1
        self.register()

    def come_home(self) -> None:
        self._begin(registers=False)

    def ask(self, destination: Address, question: icmpv6.Message) -> None:
        """For home agents, or by way of its home address for the home prefix."""
        home = self.home if isinstance(question, icmpv6.PrefixSolicitation) else None
        payload = icmpv6.encode(question)
        packet = ipv6.Packet(self.care_of, destination, HOP_LIMIT, ipv6.ICMPV6, payload, home_address=home)
        octets = ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))
        self.world.to_virtual_ha(self.virtual_ha.vrid, octets)

    def be_silent(self) -> None:
        """Send no more; what was acknowledged lives on."""
        self._attempt += 1
        self._pending = None

    def receive(self, packet: ipv6.Packet) -> None:
        """A Binding Acknowledgement or a Home Agent Switch; or what it asked or is told of home agents and prefixes."""
        if packet.next_header == ipv6.ICMPV6:
            icmpv6.check_packet(packet)
            self.heard.append(icmpv6.decode(packet.payload))
            return
        answer = mobility.decode(packet.payload)
        if isinstance(answer, mobility.HomeAgentSwitch):
            self._sent_elsewhere(packet, answer)
            return
        if not isinstance(answer, mobility.BindingAck) or self._pending is None:
            return
        sequence, registers = self._pending
        if answer.status == BindingStatus.SEQUENCE_OUT_OF_WINDOW:
            self.refused.append(answer.status)
            self._sequence = answer.sequence
            self._begin(registers)
        elif answer.sequence == sequence and answer.status == BindingStatus.ACCEPTED:
            self._accepted(sequence, registers, answer.lifetime_us)
        elif answer.sequence == sequence and answer.status == BindingStatus.NOT_HOME_AGENT and not registers:
            self._accepted(sequence, False, 0)
        else:
            self.refused.append(answer.status)

    def _sent_elsewhere(self, packet: ipv6.Packet, message: mobility.HomeAgentSwitch) -> None:
        """RFC 5142 section 6.1."""
        if packet.destination != self.care_of or not self._is_signed(packet, message):
            return
        wanted = next(v for v in self.world.virtual_has if v.vha_address == message.home_agents[0])
        if (wanted.vrid, self._spi) == (self.virtual_ha.vrid, OTHER_SPI):
            return  # it is there already, or on its way
        self.switched += 1
        self.virtual_ha, self._spi, self._key = wanted, OTHER_SPI, OTHER_KEY
        self.register()

    def _is_signed(self, packet: ipv6.Packet, message: mobility.HomeAgentSwitch) -> bool:
        option = mobility.first(message.options, mobility.Authentication)
        timestamp = mobility.first(message.options, mobility.ReplayProtection)
        if option is None or timestamp is None or option.spi != OTHER_SPI:
            return False
        covered = packet.payload[: option.covered]
        off = abs(timestamp.timestamp - ntp_timestamp(self.world.wall)) * SECOND >> 32
        signed = mobility.mn_ha_authenticator(OTHER_KEY, self.care_of, self.home, covered)
        return off <= CLOCK_TOLERANCE_US and signed == option.authenticator

    def _accepted(self, sequence: int, registers: bool, lifetime_us: int) -> None:
        self._pending = None
        self._attempt += 1
        now = self.world.now
        if not registers:
            self.acknowledged = None
            self.deregistered_at = now
            return
        self.deregistered_at = None
        self.acknowledged = Acknowledged(sequence, self.care_of, now, now + lifetime_us)
        attempt = self._attempt
        refresh = int(lifetime_us * self.world.rng.uniform(0.5, 0.85))
        self.world.after(refresh, lambda: self.register() if attempt == self._attempt else None)

    def _begin(self, registers: bool) -> None:
        self._attempt += 1
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._pending = (self._sequence, registers)
        self._send(self._attempt, FIRST_RETRY_US if self.acknowledged else FIRST_REGISTRATION_RETRY_US)

    def _send(self, attempt: int, retry: int) -> None:
        if attempt != self._attempt or self._pending is None:
            return
        sequence, registers = self._pending
        self.world.to_virtual_ha(self.virtual_ha.vrid, self._binding_update(sequence, registers))
        # RFC 4285: a retransmission has a timestamp of its own, and RFC 6275 section 11.8 a sequence number.
        self._sequence = (sequence + 1) & 0xFFFF
        following = self._sequence

        def again() -> None:
            if attempt == self._attempt and self._pending is not None:
                self._pending = (following, registers)
                self._send(attempt, min(2 * retry, LAST_RETRY_US))

        self.world.after(retry, again)

    def _binding_update(self, sequence: int, registers: bool) -> bytes:
        update = mobility.BindingUpdate(
            sequence,
            FLAG_ACKNOWLEDGE | FLAG_HOME_REGISTRATION,
            self.lifetime_us if registers else 0,
            (mobility.ReplayProtection(ntp_timestamp(self.world.wall)),),
        )
        payload = mobility.encode_authenticated(update, self._spi, self._key, self.care_of, self.home)
        packet = ipv6.Packet(
            source=self.care_of,
            destination=self.virtual_ha.vha_address,
            hop_limit=HOP_LIMIT,
            next_header=mobility.NEXT_HEADER,
            payload=payload,
            home_address=self.home,
        )
        return ipv6.encode(ipv6.with_checksum(packet, mobility.CHECKSUM_OFFSET))
