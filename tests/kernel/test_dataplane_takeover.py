# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Backup's data plane is there but says and takes nothing; a takeover is quick and complete, and so is its end."""

import re
import socket
import time

import pytest

from tests.kernel.home_link import (
    CARE_OF,
    CN,
    ETH_P_IPV6,
    HOME,
    VHA,
    VIRTUAL_MAC,
    HomeLink,
    binding,
    ipv6,
    many_bindings,
    settings,
    settle,
    solicitation,
    udp,
)
from vrrp_ha.core.types import packed
from vrrp_ha.shell.dataplane import DataPlaneError

MAC = bytes.fromhex(VIRTUAL_MAC.replace(":", ""))
ROUTER_ADDRESS = "2001:db8:1::1"


@pytest.fixture(scope="module")
def link():
    with HomeLink() as link:
        yield link


@pytest.fixture
def plane(link):
    """Virtual HA 51 set up on ha1 and not active, one MN bound to it."""
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        plane.install(51, [binding(HOME, CARE_OF)])
        settle(plane)
        yield plane


def from_virtual_mac(frame):
    return frame[6:12] == MAC


def ask(link, target=VHA):
    """Solicit an address from the router's side; the answering frame."""
    frame = solicitation(target, ROUTER_ADDRESS, link.router.mac("home"))
    with (
        link.router.capture("home", ETH_P_IPV6) as capture,
        link.router.socket(socket.AF_PACKET, socket.SOCK_RAW) as out,
    ):
        out.bind(("home", 0))
        out.send(frame)
        return capture.first(lambda answer: answer[20] == 58 and answer[54] == 136, 0.3)


def frame_to(mac, packet):
    return bytes.fromhex(mac.replace(":", "")) + b"\2\0\0\0\0\x99" + b"\x86\xdd" + packet


def inject(link, frame):
    with link.router.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("home", 0))
        out.send(frame)


def test_inactive_answers_no_solicitation_and_active_answers_as_a_router_from_the_virtual_mac(link, plane):
    assert ask(link) is None
    plane.activate(51)
    for target in (VHA, "fe80::5eff:fe00:233"):
        answer = ask(link, target)
        assert answer is not None
        assert from_virtual_mac(answer)
        assert answer[58] & 0xE0 == 0xE0  # router, solicited, override
        assert answer[62:78] == packed(target)
        assert answer[78:86] == b"\2\1" + MAC
    plane.deactivate(51)
    assert ask(link) is None


def test_inactive_sends_nothing_from_the_virtual_mac(link, plane):
    """Neither when it is made, nor when it comes and goes: MLD, DAD and ARP included."""
    request = b"\xff" * 6 + b"\2\0\0\0\0\x99" + b"\x08\x06" + bytes.fromhex("0001080006040001020000000099")
    request += socket.inet_aton("192.0.2.9") + bytes(6) + socket.inet_aton("192.0.2.1")
    link.ha1.ip("addr", "add", "192.0.2.1/24", "dev", "eth1")
    with link.switch.capture("ha1") as capture:
        plane.tear_down(51)
        plane.set_up(settings())
        start = time.time()
        plane.activate(51)
        plane.deactivate(51)
        end = time.time()
        settle(plane)
        inject(link, request)
        times = [when for when, _unused in capture.frames(from_virtual_mac, 2.5)]
    link.ha1.ip("addr", "del", "192.0.2.1/24", "dev", "eth1")
    assert [when for when in times if not start <= when <= end] == []
    assert plane.counters()["backup_sent"] > 0  # so there was something to keep back


def test_inactive_forwards_nothing_that_comes_for_the_virtual_mac(link, plane):
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        inject(link, frame_to(VIRTUAL_MAC, udp(CN, HOME, b"for the master")))
        inject(link, frame_to(VIRTUAL_MAC, ipv6(CARE_OF, VHA, 41, udp(HOME, CN, b"for the master"))))
        assert capture.first(lambda frame: b"for the master" in frame, 0.3) is None
    assert plane.counters()["backup_received"] == 2


def test_inactive_host_routes_past_its_own_bindings(link, plane):
    """What it forwards as an ordinary router goes to the Master on the link, not into a tunnel of its own."""
    link.ha1.ip("neigh", "replace", HOME, "lladdr", "02:00:00:00:00:51", "dev", "eth1", "nud", "permanent")
    link.ha1.ip("neigh", "replace", VHA, "lladdr", "02:00:00:00:00:51", "dev", "eth1", "nud", "permanent")
    master = bytes.fromhex("020000000051")
    try:
        for packet in (udp(CN, HOME, b"by way of ha1"), ipv6(CARE_OF, VHA, 41, udp(HOME, CN, b"by way of ha1"))):
            with link.router.capture("home", ETH_P_IPV6) as capture:
                inject(link, frame_to(link.ha1.mac("eth1"), packet))
                frame = capture.first(lambda frame: b"by way of ha1" in frame)
            assert frame is not None
            assert frame[:6] == master
    finally:
        for address in (HOME, VHA):
            link.ha1.ip("neigh", "del", address, "dev", "eth1")


def test_a_backup_hears_the_masters_multicasts_though_it_has_the_same_mac(link, plane):
    """In another mode the macvlan would keep these frames from the interface below."""
    advert = b"\x33\x33\0\0\0\x12" + MAC + b"\x86\xdd" + ipv6("fe80::a2", "ff02::12", 112, bytes(24), 255)
    with link.ha1.capture("eth1", ETH_P_IPV6) as capture:
        inject(link, advert)
        assert capture.first(from_virtual_mac) is not None


def test_addresses_are_there_while_active_only(link, plane):
    def addresses():
        return sorted(re.findall(r"inet6 (\S+)", link.ha1.ip("addr", "show", "dev", "vrrp6-51")))

    assert addresses() == []
    plane.activate(51)
    assert addresses() == ["2001:db8:1::51/128", "fe80::5eff:fe00:233/64"]
    plane.deactivate(51)
    settle(plane)
    assert addresses() == []
    assert VHA not in link.ha1.ip("addr")


def test_no_prefix_of_the_link_is_routed_to_the_macvlan(link, plane):
    plane.activate(51)
    routes = link.ha1.ip("-6", "route", "show", "dev", "vrrp6-51")
    assert [line.split()[0] for line in routes.splitlines()] == ["fe80::/64"]


def test_the_hosts_own_packets_do_not_get_a_virtual_source(link, plane):
    plane.activate(51)
    assert "src 2001:db8:1::a1" in link.ha1.ip("-6", "route", "get", CN)


def test_taking_over_and_back_takes_less_than_a_millisecond_with_ten_thousand_bindings(link, plane):
    plane.install(51, many_bindings(10_000))
    settle(plane)
    taken, given = [], []
    for _unused in range(10):
        start = time.perf_counter()
        plane.activate(51)
        middle = time.perf_counter()
        plane.deactivate(51)
        taken.append(middle - start)
        given.append(time.perf_counter() - middle)
        settle(plane)
    assert sorted(taken)[5] < 0.001, taken
    assert sorted(given)[5] < 0.001, given


def test_addresses_of_a_very_large_virtual_ha_stay_but_serve_nothing(link, plane):
    """Taking an address off would make the kernel walk all its routes; what remains is deprecated and unreachable."""
    plane.install(51, many_bindings(20_001))
    settle(plane)
    plane.activate(51)
    plane.deactivate(51)
    settle(plane)
    kept = link.ha1.ip("addr", "show", "dev", "mip6-51")
    assert f"{VHA}/128 scope global nodad deprecated" in kept
    assert ask(link) is None
    assert "eth1" in link.ha1.ip("-6", "route", "get", VHA)
    plane.remove(51, many_bindings(20_001))
    settle(plane)
    plane.activate(51)
    plane.deactivate(51)
    settle(plane)
    assert VHA not in link.ha1.ip("addr")


def test_activating_again_before_the_addresses_went_keeps_them(link, plane):
    plane.activate(51)
    plane.deactivate(51)
    plane.activate(51)
    settle(plane)
    assert ask(link) is not None
    assert VHA in link.ha1.ip("addr", "show", "dev", "vrrp6-51")


def test_a_change_of_settings_while_active_keeps_serving_and_keeps_the_bindings(link, plane):
    plane.activate(51)
    plane.set_up(settings(addresses=(packed("2001:db8:1::59"), packed(VHA))))
    settle(plane)
    assert ask(link, "2001:db8:1::59") is not None
    with link.mn.capture("eth0", ETH_P_IPV6) as capture:
        inject(link, frame_to(VIRTUAL_MAC, udp(CN, HOME, b"changed")))
        frame = capture.first(lambda frame: frame[20] == 41)
    assert frame is not None
    assert frame[22:38] == packed("2001:db8:1::59")


def test_setting_up_again_with_the_same_settings_changes_nothing(link, plane):
    plane.activate(51)
    before = state(link.ha1)
    plane.set_up(settings())
    settle(plane)
    assert state(link.ha1) == before


def state(host):
    return [
        host.ip("-6", "rule"),
        host.ip("-6", "route", "show", "table", "all"),
        host.ip("link"),
        host.ip("addr"),
        host.run("nft", "list", "ruleset"),
    ]


def test_an_interface_that_is_not_there_is_reported_with_its_vrid(link, plane):
    with pytest.raises(DataPlaneError) as raised:
        plane.set_up(settings(53, interface="eth9"))
    assert (raised.value.vrid, raised.value.effect) == (53, "set_up")
    assert "eth9" in raised.value.reason
    with pytest.raises(DataPlaneError) as raised:
        plane.activate(53)
    assert raised.value.vrid == 53


def test_markers_pass_when_everything_before_them_is_in_the_kernel(link, plane):
    def installed():
        return len(link.ha1.ip("-6", "route", "show", "table", "1051").splitlines())

    plane.install(51, many_bindings(1000))
    plane.confirm(51, 1)
    passed = []
    while not passed:
        assert plane.pending
        passed = plane.work(1)
    assert passed == [(51, 1)]
    assert installed() == 1001
    plane.remove(51, many_bindings(1000))
    plane.confirm(51, 2)
    plane.confirm(51, 3)
    assert settle(plane) == [(51, 2), (51, 3)]
    assert installed() == 1


def test_work_is_done_in_small_pieces(link, plane):
    plane.install(51, many_bindings(2000))
    longest = 0.0
    while plane.pending:
        start = time.perf_counter()
        plane.work(1000)
        longest = max(longest, time.perf_counter() - start)
    assert longest < 0.02
