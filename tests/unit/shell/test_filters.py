# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filters, run by a small machine for classic BPF as the kernel has one."""

import struct

import pytest

from vrrp_ha.core.types import packed
from vrrp_ha.shell import filters

VHA, OTHER, ANYCAST = packed("2001:db8:1::51"), packed("2001:db8:1::52"), packed("2001:db8:1:0:fdff:ffff:ffff:fffe")
GROUP = packed("ff02::12")
HOST, MULTICAST, OTHERHOST = 0, 2, 3


OTHER_MAC, VIRTUAL_MAC = bytes.fromhex("020000000001"), bytes.fromhex("00005e000233")


def accepts(program, packet, kind=HOST, interface=7, vlan=0, mac=OTHER_MAC):
    """Whether a program lets the packet through."""
    known = {0: 0x86DD, 4: kind, 8: interface, 48: vlan}
    code = [struct.unpack_from("=HBBI", program, i) for i in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        operation, true, false, operand = code[at]
        at += 1
        if operation == 0x20 and operand >= 0xFFFFF000:
            accumulator = known[operand - 0xFFFFF000]
        elif operation in (0x20, 0x30) and operand >= 0xFFE00000:
            size = 4 if operation == 0x20 else 1
            accumulator = int.from_bytes((bytes(6) + mac)[operand - 0xFFE00000 :][:size])
        elif operation in (0x20, 0x30):
            size = 4 if operation == 0x20 else 1
            if operand + size > len(packet):
                return False
            accumulator = int.from_bytes(packet[operand : operand + size])
        elif operation == 0x54:
            accumulator &= operand
        elif operation == 0x15:
            at += true if accumulator == operand else false
        elif operation == 0x05:
            at += operand
        else:
            assert operation == 0x06
            return operand > 0


def packet(next_header, destination, upper=b"\0" * 8, hop_limit=255):
    return (
        struct.pack("!IHBB", 6 << 28, len(upper), next_header, hop_limit)
        + b"\xfe\x80"
        + bytes(14)
        + destination
        + upper
    )


def icmpv6_error(kind, quoted_next_header, destination=VHA):
    return packet(58, destination, bytes((kind, 0, 0, 0, 0, 0, 0, 0)) + packet(quoted_next_header, OTHER))


ADVERTISEMENT, UPDATE = b"\x31\x33", b"\x33\x33"
SOLICITATION, ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT = b"\x87\0", b"\x85\0", b"\x86\0"
ADVERTISEMENT_OF_A_NEIGHBOUR = b"\x88\0" + bytes(22)
ALL_ROUTERS = packed("ff02::2")


@pytest.mark.parametrize(
    ("what", "advertisements", "home_link"),
    [
        (packet(112, GROUP, ADVERTISEMENT), True, False),
        (packet(112, GROUP, UPDATE), False, True),
        (packet(112, GROUP, b""), False, False),
        (packet(58, packed("ff02::1:ff00:51"), SOLICITATION), False, True),
        (packet(58, VHA, SOLICITATION), False, False),
        (packet(58, ALL_ROUTERS, ROUTER_SOLICITATION), False, True),
        (packet(58, VHA, ROUTER_SOLICITATION), False, False),
        (packet(58, packed("ff02::1"), ADVERTISEMENT_OF_A_NEIGHBOUR), False, True),
        (packet(58, VHA, ADVERTISEMENT_OF_A_NEIGHBOUR), False, False),
        (packet(58, packed("ff02::1"), ROUTER_ADVERTISEMENT), False, True),
        (packet(58, OTHER, ROUTER_ADVERTISEMENT), False, False),
        (packet(58, GROUP, b"\x80\0"), False, False),
        (packet(6, VHA), False, False),
    ],
)
def test_a_home_link_s_packets_go_to_one_socket_or_none(what, advertisements, home_link):
    assert accepts(filters.advertisements(), what, MULTICAST) is advertisements
    assert accepts(filters.home_link(), what, MULTICAST) is home_link


def test_what_home_agents_advertise_for_absent_mobile_nodes_is_not_heard():
    program = filters.home_link()
    for_absent = packet(58, packed("ff02::1"), b"\x88\0\0\0\x20" + bytes(19))
    of_a_router = packet(58, packed("ff02::1"), b"\x88\0\0\0\xa0" + bytes(19))
    solicitation = packet(58, packed("ff02::1:ff00:51"), SOLICITATION)
    assert not accepts(program, for_absent, mac=VIRTUAL_MAC)
    assert accepts(program, for_absent, mac=OTHER_MAC)
    assert accepts(program, for_absent, mac=bytes.fromhex("00005e000133"))  # of a virtual router for IPv4
    assert accepts(program, of_a_router, mac=VIRTUAL_MAC)
    assert accepts(program, solicitation, mac=VIRTUAL_MAC)


def test_frames_for_others_and_of_vlans_are_not_heard():
    advertisement = packet(112, GROUP, ADVERTISEMENT)
    assert accepts(filters.advertisements(), advertisement)
    assert not accepts(filters.advertisements(), advertisement, OTHERHOST)
    assert not accepts(filters.advertisements(), advertisement, vlan=1)


@pytest.mark.parametrize(
    ("what", "heard"),
    [
        (packet(135, VHA), True),
        (packet(60, VHA), True),
        (packet(60, OTHER), False),
        (packet(135, GROUP), False),
        (packet(58, ANYCAST, b"\x90\0"), True),
        (packet(58, VHA, b"\x92\0"), True),
        (packet(58, OTHER, b"\x90\0"), False),
        (packet(58, OTHER, SOLICITATION), True),
        (packet(58, OTHER, SOLICITATION, hop_limit=254), False),
        (packet(58, OTHER, ROUTER_SOLICITATION), True),
        (packet(58, OTHER, ROUTER_SOLICITATION, hop_limit=254), False),
        (packet(58, OTHER, ROUTER_ADVERTISEMENT), False),
        (packet(58, VHA, b"\x80\0"), False),
        (packet(41, VHA), False),
    ],
)
def test_signalling_for_the_virtual_has_is_heard(what, heard):
    assert accepts(filters.signalling([VHA, ANYCAST]), what) is heard


def test_signalling_on_the_loopback_or_for_others_is_not_heard():
    program = filters.signalling([VHA])
    assert not accepts(program, packet(135, VHA), interface=1)
    assert not accepts(program, packet(135, VHA), OTHERHOST)


@pytest.mark.parametrize("interface", [7, 1])
@pytest.mark.parametrize(
    ("what", "heard"),
    [
        *((icmpv6_error(kind, 41), True) for kind in (1, 2, 3, 4)),
        (icmpv6_error(2, 60), True),
        (icmpv6_error(2, 44), True),
        (icmpv6_error(2, 6), False),
        (icmpv6_error(129, 41), False),
        (icmpv6_error(1, 41, OTHER), False),
        (icmpv6_error(1, 41)[:54], False),
    ],
)
def test_errors_about_tunnels_are_heard_from_others_and_from_this_host(what, heard, interface):
    assert accepts(filters.signalling([VHA]), what, interface=interface) is heard


def test_addresses_of_255_virtual_has_fit():
    addresses = [packed(f"2001:db8:1::{i:x}") for i in range(1, 256)] + [ANYCAST]
    program = filters.signalling(addresses)
    assert len(program) // 8 < 4096
    assert all(accepts(program, packet(135, address)) for address in addresses)
    assert all(accepts(program, icmpv6_error(2, 41, address)) for address in addresses)
    assert not accepts(program, packet(135, packed("2001:db8:2::1")))
