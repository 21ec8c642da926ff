# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host serves two virtual HAs, and a mobile node changes from the first to the second: make before break."""

import pytest

from tests.kernel.home_link import (
    CARE_OF,
    CN,
    HOME,
    OTHER_CARE_OF,
    OTHER_VHA,
    VHA,
    HomeLink,
    binding,
    ipv6,
    settings,
    settle,
    udp,
)
from tests.kernel.test_dataplane_traffic import receives, send, tunnelled_to_mn
from vrrp_ha.core.types import packed

FIRST, SECOND = 51, 52


@pytest.fixture(scope="module")
def link():
    with HomeLink() as link:
        yield link


@pytest.fixture
def plane(link):
    """Both are active; the mobile node is bound at the first."""
    with link.dataplane(link.ha1) as plane:
        for vrid in (FIRST, SECOND):
            plane.set_up(settings(vrid))
        plane.install(FIRST, [binding(HOME, CARE_OF)])
        settle(plane)
        for vrid in (FIRST, SECOND):
            plane.activate(vrid)
        yield plane


def tunnels(link, data: bytes) -> list[bytes]:
    """The home agents by which a packet for the home address comes to the mobile node, and it comes once."""
    with link.mn.capture("eth0") as capture:
        send(link.cn, udp(CN, HOME, data))
        found = [frame for _unused, frame in capture.frames(lambda f: tunnelled_to_mn(f) and f.endswith(data), 0.3)]
    return [frame[22:38] for frame in found]


def is_taken(link, vha: str, data: bytes) -> bool:
    """Whether the correspondent gets what the mobile node sends through the tunnel to this home agent."""
    packet = ipv6(CARE_OF, vha, 41, udp(HOME, CN, data))
    return bool(receives(link.cn, lambda: send(link.mn, packet), data, 0.5))


def test_traffic_is_right_before_while_and_after_the_mobile_node_is_bound_at_both(link, plane):
    assert tunnels(link, b"before") == [packed(VHA)]
    assert is_taken(link, VHA, b"by the first")
    assert not is_taken(link, OTHER_VHA, b"too early")

    plane.install(SECOND, [binding(HOME, CARE_OF)])
    settle(plane)
    (by,) = tunnels(link, b"meanwhile")
    assert by in (packed(VHA), packed(OTHER_VHA))
    assert is_taken(link, VHA, b"by the first still")
    assert is_taken(link, OTHER_VHA, b"by the second already")

    plane.remove(FIRST, [binding(HOME, CARE_OF)])
    settle(plane)
    assert tunnels(link, b"after") == [packed(OTHER_VHA)]
    assert is_taken(link, OTHER_VHA, b"by the second")
    assert not is_taken(link, VHA, b"too late")


def test_once_the_stale_binding_is_gone_packets_go_where_the_mobile_node_is_now(link, plane):
    """The agent removes it in the moment in which the other one says another care-of address."""
    plane.install(SECOND, [binding(HOME, OTHER_CARE_OF)])
    plane.remove(FIRST, [binding(HOME, CARE_OF)])
    settle(plane)
    with link.mn.capture("eth0") as capture:
        send(link.cn, udp(CN, HOME, b"where it is"))
        frame = capture.first(lambda f: tunnelled_to_mn(f) and f.endswith(b"where it is"))
    assert frame is not None
    assert (frame[22:38], frame[38:54]) == (packed(OTHER_VHA), packed(OTHER_CARE_OF))
