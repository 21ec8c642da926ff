# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICMPv6 errors about tunnel packets and what the sources of the original packets are told."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from tests.unit.core.nodes import Story, master, of
from tests.unit.core.registering import CARE_OF, HOME, VHA, VIRTUAL_HA, update
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.effects import Report, SendPacket
from vrrp_ha.core.events import Reconfigured
from vrrp_ha.core.token_bucket import Pace
from vrrp_ha.core.tunnel_errors import TunnelErrors
from vrrp_ha.core.tunnel_settings import TunnelSettings
from vrrp_ha.core.types import SECOND, Binding, Instant, packed
from vrrp_ha.wire import icmpv6, ipv6

CN = packed("2001:db8:9::5")
ROUTER = packed("2001:db8:7::1")
UNREACHABLE, TOO_BIG, TIME_EXCEEDED, PARAMETER_PROBLEM = 1, 2, 3, 4
LIMIT = bytes((41, 0, 4, 1, 0, 1, 1, 0))


def original(length: int = 1460, source: bytes = CN, next_header: int = 17, payload: bytes = b"") -> bytes:
    """A packet for the mobile node."""
    payload = payload.ljust(length - 40, b"\xaa")
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 61) + source + HOME + payload


def tunnelled(inner: bytes, source: bytes = VHA, care_of: bytes = CARE_OF, limit: bytes = b"") -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(limit) + len(inner), 60 if limit else 41, 60)
    return head + source + care_of + limit + inner


def error(kind: int, invoking: bytes, code: int = 0, value: int = 0) -> bytes:
    """A whole packet from a router on the way, which quotes as much as RFC 4443 lets it."""
    payload = icmpv6.encode(icmpv6.IcmpError(kind, code, value, invoking[: 1280 - 48]))
    packet = ipv6.Packet(ROUTER, VHA, 62, 58, payload)
    return ipv6.encode(ipv6.with_checksum(packet, icmpv6.CHECKSUM_OFFSET))


class Tunnels:
    """Of one virtual HA with one mobile node, and what they send and count."""

    def __init__(self, **settings) -> None:
        self.cache = BindingCache()
        self.cache.put_many([Binding(HOME, CARE_OF, 1, 0xC000, Instant(600 * SECOND))])
        self.errors = TunnelErrors(VIRTUAL_HA, TunnelSettings(**settings), self.cache)

    def hear(self, octets: bytes, *, made_here: bool = False, seconds: float = 0.0):
        """(what goes out or None, the counter)."""
        now = Instant(round(seconds * SECOND))
        effects = list(self.errors.received(ipv6.decode(octets), now, made_here=made_here))
        report = of(effects, Report)[0]
        sent = of(effects, SendPacket)
        return (ipv6.decode(sent[0].packet) if sent else None), report.kind


def told(packet: ipv6.Packet) -> tuple[int, int, int]:
    """Type, code and value of a good ICMPv6 error."""
    icmpv6.check_packet(packet)
    message = icmpv6.decode(packet.payload)
    return message.kind, message.code, message.value


def test_too_big_is_relayed_less_the_tunnel_s_header():
    inner = original(1460)
    packet, counter = Tunnels().hear(error(TOO_BIG, tunnelled(inner), value=1400))
    assert (packet.source, packet.destination) == (VHA, CN)
    assert told(packet) == (TOO_BIG, 0, 1360)
    assert counter == "tunnel_error_relayed.packet_too_big"


def test_what_is_relayed_quotes_the_original_packet_and_fits_the_minimum_mtu():
    inner = original(1460)
    packet, _unused = Tunnels().hear(error(TOO_BIG, tunnelled(inner), value=1400))
    assert icmpv6.decode(packet.payload).invoking == inner[: 1280 - 48 - 40]
    assert packet.outer_length <= 1280


def test_nobody_is_told_of_less_than_the_minimum_mtu():
    packet, _unused = Tunnels().hear(error(TOO_BIG, tunnelled(original(1281)), value=1280))
    assert told(packet) == (TOO_BIG, 0, 1280)
    packet, _unused = Tunnels().hear(error(TOO_BIG, tunnelled(original(1300)), value=68))
    assert told(packet) == (TOO_BIG, 0, 1280)


def test_a_source_that_sends_no_more_than_the_minimum_mtu_is_not_asked_for_less():
    packet, counter = Tunnels().hear(error(TOO_BIG, tunnelled(original(1280)), value=1280))
    assert packet is None
    assert counter == "tunnel_error_dropped.minimum_mtu"


def test_an_operator_hears_of_a_path_that_is_too_narrow_but_not_all_the_time():
    story = serving()
    octets = error(TOO_BIG, tunnelled(original(1280)), value=1280)
    (warning,) = [effect for effect in story.receives(octets, 1.2) if effect.kind == "path_too_narrow"]
    assert warning.level == "warning"
    assert warning.fields == {"care_of_address": "2001:db8:2::77", "path_mtu": 1280, "remedy": "set tunnel.path_mtu"}
    assert of(story.receives(octets, 300.0), Report) == []


def test_a_report_of_a_path_that_the_packet_fits_is_not_believed():
    packet, counter = Tunnels().hear(error(TOO_BIG, tunnelled(original(1360)), value=1400))
    assert packet is None
    assert counter == "tunnel_error_dropped.not_too_big"


@pytest.mark.parametrize(
    ("kind", "code"),
    [(UNREACHABLE, 0), (UNREACHABLE, 3), (UNREACHABLE, 1), (TIME_EXCEEDED, 0)],
)
def test_no_way_through_the_tunnel_is_an_unreachable_address(kind, code):
    packet, counter = Tunnels().hear(error(kind, tunnelled(original(100)), code))
    assert told(packet) == (UNREACHABLE, 3, 0)
    assert counter == "tunnel_error_relayed.destination_unreachable"


def test_an_original_packet_without_hops_left_is_reported_as_that():
    packet, counter = Tunnels().hear(error(TIME_EXCEEDED, tunnelled(original(100))), made_here=True)
    assert told(packet) == (TIME_EXCEEDED, 0, 0)
    assert counter == "tunnel_error_relayed.time_exceeded"


def test_an_exhausted_encapsulation_limit_is_an_unreachable_address():
    quoted = tunnelled(original(100), limit=LIMIT)
    packet, _unused = Tunnels().hear(error(PARAMETER_PROBLEM, quoted, value=44))
    assert told(packet) == (UNREACHABLE, 3, 0)


def test_a_first_fragment_is_a_tunnel_packet_too_and_a_later_one_may_be_anything():
    first, later = bytes((41, 0, 0, 1, 0, 0, 0, 1)), bytes((41, 0, 4, 0, 0, 0, 0, 1))
    inner = original(3000)
    head = struct.pack("!IHBB", 6 << 28, 1456, 44, 60) + VHA + CARE_OF
    packet, _unused = Tunnels().hear(error(TOO_BIG, head + first + inner[:1448], value=1400))
    assert told(packet) == (TOO_BIG, 0, 1352)
    assert Tunnels().hear(error(TOO_BIG, head + later + inner[:1448], value=1400))[1].endswith("not_a_tunnel")


def test_the_limit_s_octets_count_as_part_of_the_tunnel():
    packet, _unused = Tunnels().hear(error(TOO_BIG, tunnelled(original(1452), limit=LIMIT), value=1400))
    assert told(packet) == (TOO_BIG, 0, 1352)


@pytest.mark.parametrize(
    ("kind", "code", "value", "limit"),
    [
        pytest.param(PARAMETER_PROBLEM, 0, 6, b"", id="a parameter problem about the outer header"),
        pytest.param(PARAMETER_PROBLEM, 0, 40, LIMIT, id="one about another octet than the limit's"),
        pytest.param(PARAMETER_PROBLEM, 1, 44, LIMIT, id="one of another kind"),
        pytest.param(TIME_EXCEEDED, 1, 0, b"", id="fragments that were not reassembled"),
        pytest.param(100, 0, 0, b"", id="an error of no known type"),
    ],
)
def test_other_problems_are_the_tunnel_s_own(kind, code, value, limit):
    packet, counter = Tunnels().hear(error(kind, tunnelled(original(100), limit=limit), code, value))
    assert packet is None
    assert counter == "tunnel_error_dropped.other_problem"


@pytest.mark.parametrize(
    ("invoking", "reason"),
    [
        pytest.param(original(100), "not_a_tunnel", id="no tunnel packet"),
        pytest.param(b"", "not_a_tunnel", id="nothing"),
        pytest.param(tunnelled(original(100))[:79], "not_a_tunnel", id="too little of the original"),
        pytest.param(tunnelled(b"\x45" + original(100)[1:]), "not_a_tunnel", id="IPv4 inside"),
        pytest.param(tunnelled(original(100), limit=LIMIT)[:44], "not_a_tunnel", id="half an option header"),
        pytest.param(tunnelled(original(100), source=packed("2001:db8:1::52")), "not_ours", id="another entry point"),
        pytest.param(tunnelled(original(100), care_of=packed("2001:db8:2::99")), "not_bound", id="another exit point"),
        pytest.param(tunnelled(original(100, source=packed("ff02::1"))), "unanswerable", id="from a multicast address"),
        pytest.param(tunnelled(original(100, source=bytes(16))), "unanswerable", id="from no address"),
        pytest.param(tunnelled(original(100, source=packed("fe80::1"))), "unanswerable", id="from a link-local one"),
        pytest.param(tunnelled(original(100, next_header=58, payload=b"\x01")), "unanswerable", id="about an error"),
        pytest.param(tunnelled(original(100, next_header=58, payload=b"\x89")), "unanswerable", id="about a redirect"),
        pytest.param(
            tunnelled(original(100, next_header=60, payload=bytes((58, 0, 1, 4, 0, 0, 0, 0, 1)))),
            "unanswerable",
            id="about an error behind options",
        ),
        pytest.param(
            tunnelled(original(100, next_header=44, payload=bytes((58, 0, 0, 8, 0, 0, 0, 1)))),
            "unanswerable",
            id="about what may be the rest of an error",
        ),
    ],
)
def test_what_is_no_packet_of_this_tunnel_s_is_not_answered(invoking, reason):
    packet, counter = Tunnels().hear(error(UNREACHABLE, invoking))
    assert packet is None
    assert counter == f"tunnel_error_dropped.{reason}"


def test_echo_requests_and_rests_of_other_packets_are_answered_for():
    echo = original(100, next_header=58, payload=b"\x80")
    rest = original(100, next_header=44, payload=bytes((17, 0, 0, 8, 0, 0, 0, 1)))
    for inner in (echo, rest):
        assert Tunnels().hear(error(UNREACHABLE, tunnelled(inner)))[0] is not None


def test_a_binding_that_is_gone_protects_nobody_s_errors():
    tunnels = Tunnels()
    tunnels.cache.remove(HOME)
    assert tunnels.hear(error(UNREACHABLE, tunnelled(original(100))))[1] == "tunnel_error_dropped.not_bound"


def test_one_mobile_node_s_errors_are_limited_and_the_others_go_on():
    tunnels = Tunnels(errors_of_one=Pace(1_000_000, 2))
    other = packed("2001:db8:1::1002")
    tunnels.cache.put_many([Binding(other, CARE_OF, 1, 0xC000, Instant(600 * SECOND))])
    octets = error(UNREACHABLE, tunnelled(original(100)))
    assert [tunnels.hear(octets)[0] is not None for _unused in range(4)] == [True, True, False, False]
    assert tunnels.hear(octets, seconds=1.0)[0] is not None
    assert tunnels.hear(octets, seconds=1.0)[1] == "tunnel_error_dropped.limited"
    inner = original(100)
    of_other = tunnelled(inner[:24] + other + inner[40:])
    assert tunnels.hear(error(UNREACHABLE, of_other), seconds=1.0)[0] is not None


def test_all_of_them_together_are_limited():
    tunnels = Tunnels(errors=Pace(1_000_000, 3))
    octets = error(UNREACHABLE, tunnelled(original(100)))
    assert [tunnels.hear(octets)[0] is not None for _unused in range(4)] == [True, True, True, False]


def test_it_can_be_switched_off():
    tunnels = Tunnels(relay_errors=False)
    assert tunnels.hear(error(UNREACHABLE, tunnelled(original(100))))[1] == "tunnel_error_dropped.switched_off"


# --- in a node ---------------------------------------------------------------------------------------------


def serving() -> Story:
    story = master(priority=200)
    story.receives(update(seconds=1.1), 1.1)
    return story


def test_a_master_relays_and_counts():
    story = serving()
    (effect,) = of(story.receives(error(TOO_BIG, tunnelled(original(1460)), value=1400), 1.2), SendPacket)
    assert told(ipv6.decode(effect.packet)) == (TOO_BIG, 0, 1360)
    assert story.state()["counters"]["tunnel_error_relayed.packet_too_big"] == 1


def test_a_backup_does_not():
    story = serving()
    story.hears_advert(210, 1.15)
    assert of(story.receives(error(TOO_BIG, tunnelled(original(1460)), value=1400), 1.2), SendPacket) == []
    assert story.state()["counters"]["dropped.not_master"] == 1


def test_a_damaged_error_goes_no_further():
    story = serving()
    octets = bytearray(error(TOO_BIG, tunnelled(original(1460)), value=1400))
    octets[47] ^= 1
    assert story.receives(bytes(octets), 1.2) == []
    assert story.node.status(Instant(0))["counters"]["dropped.checksum"] == 1


def test_a_reload_can_switch_it_off():
    story = serving()
    settings = replace(story.node.settings, tunnel=TunnelSettings(relay_errors=False))
    story.happens(Reconfigured(settings), 1.2)
    assert of(story.receives(error(TOO_BIG, tunnelled(original(1460)), value=1400), 1.3), SendPacket) == []
