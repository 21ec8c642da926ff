# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else broke is found and mended; a clean-up leaves no trace, whatever state the host is in."""

import ctypes
import os
import re
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from tests.kernel.home_link import CARE_OF, HOME, VHA, HomeLink, binding, inside, many_bindings, settings, settle
from vrrp_ha.shell.dataplane import DataPlane, cleanup

FILES = Path(__file__).parents[2] / "roles" / "agent" / "files"


@pytest.fixture
def link():
    with HomeLink() as link:
        yield link


def state(host):
    """What an agent may change on a host, but for what differs each time (indexes, MACs, order, counters)."""

    def lines(text, unless="link/ether"):
        cleaned = [
            re.sub(r"^\d+: |@\S+|packets.*|<.*>|state [A-Z]+", "", line)
            for line in text.splitlines()
            if unless not in line
        ]
        return sorted(" ".join(line.split()) for line in cleaned)

    return {
        "rules": lines(host.ip("-6", "-d", "rule")),
        "routes": lines(host.ip("-6", "route", "show", "table", "all")),
        "filter": lines(host.run("nft", "list", "ruleset")),
        "forwarding": [host.sysctl("net.ipv6.conf.all.forwarding")],
        "links": lines(host.ip("-d", "link")),
        "addresses": lines(host.ip("-6", "-br", "addr")),
    }


def changes(before, after):
    """The lines that came and went, by kind."""
    return {
        (kind, sign, line)
        for kind in before
        for sign, left, right in (("+", after, before), ("-", before, after))
        for line in left[kind]
        if line not in right[kind]
    }


BREAKAGES = {
    "rule of the bindings": ("ip -6 rule del to 2001:db8:1::/64 lookup 1051", "rule 30 to table 1051: missing"),
    "rule of decapsulation": ("ip -6 rule del pref 10", "rule 10 to table 900: missing"),
    "moved rule": ("ip -6 rule del pref 20; ip -6 rule add pref 0 lookup local", "rule 20 to table 255: missing"),
    "stray rule": (
        "ip -6 rule add pref 31 to 2001:db8:9::/64 lookup 1051",
        "rule 31 to table 1051: should not be there",
    ),
    "route": (f"ip -6 route del {HOME} table 1051", "vrid 51: 1 routes missing"),
    "changed route": (
        f"ip -6 route replace {HOME} table 1051 dev eth1",
        "vrid 51: 1 routes missing",
    ),
    "stray route": (
        "ip -6 route add 2001:db8:1::dead table 1051 dev eth1",
        "vrid 51: 1 routes that belong to no binding",
    ),
    "decapsulation": (f"ip -6 route del {VHA} table 900", f"decapsulation for {VHA}: missing"),
    "address": (f"ip addr del {VHA}/128 dev vrrp6-51", f"address {VHA} on vrrp6-51: missing"),
    "tunnel source": (f"ip addr del {VHA}/128 dev mip6-51", f"address {VHA} on mip6-51: missing"),
    "macvlan": ("ip link del vrrp6-51", "device vrrp6-51: missing"),
    "tunnel device": ("ip link del mip6-51", "device mip6-51: missing"),
    "veth": ("ip link del mip6-nowhere", "device mip6-51: missing"),
    "down": ("ip link set vrrp6-51 down", "device vrrp6-51: not as it was made"),
    "gate": (
        "sysctl -qw net.ipv6.conf.all.ignore_routes_with_linkdown=1",
        "sysctl net.ipv6.conf.mip6-51.ignore_routes_with_linkdown: 1 instead of 0",
    ),
    "forwarding": ("sysctl -qw net.ipv6.conf.all.forwarding=0", "sysctl net.ipv6.conf.all.forwarding: 0 instead of 1"),
    "filter": ("nft flush ruleset", "packet filter table inet vrrp_ha: missing"),
    "filter rule": (
        "nft add rule inet vrrp_ha prerouting drop",
        "packet filter table inet vrrp_ha: changed instead of whole",
    ),
    "filter chain": (
        "nft flush chain inet vrrp_ha virtual_51",
        "packet filter table inet vrrp_ha: changed instead of whole",
    ),
    "active": ('nft delete element inet vrrp_ha active { "vrrp6-51" }', "packet filter's entry for interface"),
    "virtual": (f"nft delete element inet vrrp_ha virtual {{ {VHA} }}", f"packet filter's entry for {VHA}: missing"),
    "bound": (
        f"nft delete element inet vrrp_ha bound_51 {{ {CARE_OF} . {HOME} }}",
        "vrid 51: 1 source checks missing",
    ),
    "stray bound": (
        f"nft add element inet vrrp_ha bound_51 {{ 2001:db8:2::bad . {HOME} }}",
        "vrid 51: 1 source checks that belong to no binding",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_reconcile_mends_and_names_what_somebody_broke(link, breakage):
    command, text = BREAKAGES[breakage]
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        plane.install(51, [binding(HOME, CARE_OF)])
        plane.activate(51)
        settle(plane)
        assert plane.reconcile() == []
        whole = state(link.ha1)
        for part in command.split("; "):
            subprocess.run(part, shell=True, check=True)
        assert state(link.ha1) != whole
        found = plane.reconcile()
        settle(plane)
        assert any(text in line for line in found), found
        assert plane.reconcile() == []
        assert changes(whole, state(link.ha1)) == set()


def test_reconcile_finds_nothing_wrong_with_a_backup(link):
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        plane.install(51, [binding(HOME, CARE_OF)])
        settle(plane)
        assert plane.reconcile() == []
        plane.activate(51)
        plane.deactivate(51)
        assert plane.reconcile() == []


def test_an_opened_gate_of_a_backup_is_closed(link):
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        link.ha1.run("sysctl", "-qw", "net.ipv6.conf.all.ignore_routes_with_linkdown=0")
        assert len(plane.reconcile()) == 1
        assert link.ha1.sysctl("net.ipv6.conf.mip6-51.ignore_routes_with_linkdown") == "1"


def test_a_failed_activation_is_completed_by_reconcile(link):
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        link.ha1.ip("link", "del", "mip6-51")
        with pytest.raises(Exception, match="activate"):
            plane.activate(51)
        plane.reconcile()
        assert VHA in link.ha1.ip("addr", "show", "dev", "vrrp6-51")


def test_bindings_come_back_after_the_tunnel_device_was_lost(link):
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        plane.install(51, many_bindings(3000))
        settle(plane)
        link.ha1.ip("link", "del", "mip6-51")
        plane.reconcile()
        settle(plane)
        assert len(link.ha1.ip("-6", "route", "show", "table", "1051").splitlines()) == 3000


def test_a_link_that_was_made_anew_is_served_again_with_its_bindings(link):
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        plane.install(51, [binding(HOME, CARE_OF)])
        settle(plane)
        link.ha1.ip("link", "del", "eth1")
        link.ha1.connect("eth1", link.switch, "ha1")
        plane.set_up(settings())
        plane.activate(51)
        assert "vrrp6-51" in link.ha1.ip("link")
        assert HOME in link.ha1.ip("-6", "route", "show", "table", "1051")


# --- leaving nothing behind --------------------------------------------------------------------------------


def busy(plane):
    for vrid in (51, 52):
        plane.set_up(settings(vrid))
        plane.install(vrid, [binding(HOME, CARE_OF)])
    settle(plane)
    plane.activate(51)


def test_stop_gives_the_host_back_as_it_was(link):
    before = state(link.ha1)
    with link.dataplane(link.ha1) as plane:
        busy(plane)
        assert state(link.ha1) != before
    assert changes(before, state(link.ha1)) == set()


def test_tear_down_of_the_last_virtual_ha_leaves_only_what_is_shared(link):
    with link.dataplane(link.ha1) as plane:
        before = state(link.ha1)
        plane.set_up(settings())
        plane.install(51, [binding(HOME, CARE_OF)])
        settle(plane)
        plane.activate(51)
        plane.tear_down(51)
        assert changes(before, state(link.ha1)) == set()


def test_cleanup_after_a_kill_leaves_no_trace_and_says_what_it_removed(link):
    before = state(link.ha1)
    with inside(link.ha1.namespace):
        plane = DataPlane(1000, 900)
        plane.start()
        busy(plane)
        del plane  # as if killed: nothing was stopped
        removed = cleanup(1000, 900)
        assert "device vrrp6-51" in removed
        assert changes(before, state(link.ha1)) == set()
        assert cleanup(1000, 900) == []


@pytest.mark.parametrize(
    "damage",
    [
        "nft flush ruleset",
        "ip link del vrrp6-51",
        "ip link del mip6-nowhere",
        "ip -6 rule del pref 20; ip -6 rule add pref 0 lookup local",
        "ip -6 rule add pref 0 lookup local",
        "ip link set eth1 down; ip link set eth1 up",
    ],
)
def test_cleanup_copes_with_any_state(link, damage):
    before = state(link.ha1)
    with inside(link.ha1.namespace):
        plane = DataPlane(1000, 900)
        plane.start()
        busy(plane)
        for part in damage.split("; "):
            subprocess.run(part, shell=True, check=True)
        cleanup(1000, 900)
    after = state(link.ha1)
    assert [line.replace("unspec", "kernel") for line in after["rules"]] == before["rules"]
    assert after["links"] == before["links"]
    assert after["filter"] == before["filter"]
    assert not [line for line in after["routes"] if "proto 112" in line]


def test_a_rule_that_an_operator_moved_stays_where_it_is(link):
    link.ha1.ip("-6", "rule", "add", "pref", "32765", "lookup", "local")
    link.ha1.ip("-6", "rule", "del", "pref", "0")
    before = state(link.ha1)
    with link.dataplane(link.ha1) as plane:
        busy(plane)
        assert plane.reconcile() == []
    assert changes(before, state(link.ha1)) == set()


def test_forwarding_that_was_on_stays_on(link):
    link.ha1.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    with link.dataplane(link.ha1) as plane:
        busy(plane)
    assert link.ha1.sysctl("net.ipv6.conf.all.forwarding") == "1"


def test_starting_removes_what_a_killed_agent_left(link):
    with inside(link.ha1.namespace):
        plane = DataPlane(1000, 900)
        plane.start()
        busy(plane)
        before = link.ha1.run("ip", "-6", "rule")
        del plane
        again = DataPlane(1000, 900)
        again.start()
        try:
            assert "vrrp6-51" not in link.ha1.ip("link")
            assert again.counters()["tunnel_spoofed"] == 0
            busy(again)
            assert link.ha1.run("ip", "-6", "rule") == before
        finally:
            again.stop()


def test_cleanup_as_a_process_is_quick(link):
    with link.dataplane(link.ha1) as plane:
        busy(plane)
        plane.install(51, many_bindings(10_000))
        settle(plane)
        start = time.perf_counter()
        program = "from vrrp_ha.shell.dataplane import cleanup; cleanup(1000, 900)"
        environment = {**os.environ, "PYTHONPATH": str(FILES)}
        subprocess.run([sys.executable, "-c", program], check=True, env=environment)
        assert time.perf_counter() - start < 0.6


def as_nobody_with(*capabilities):
    """Give up everything but these capabilities, as the unit's agent has it."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    bits = sum(1 << number for number in capabilities)
    header, data = struct.pack("=Ii", 0x20080522, 0), struct.pack("=IIIIII", bits, bits, 0, 0, 0, 0)
    assert libc.capset(header, data) == 0, os.strerror(ctypes.get_errno())


def test_capabilities_for_the_network_alone_are_enough(link):
    net_admin, net_raw = 12, 13
    with inside(link.ha1.namespace):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                as_nobody_with(net_admin, net_raw)
                plane = DataPlane(1000, 900)
                plane.start()
                busy(plane)
                assert plane.reconcile() == []
                plane.deactivate(51)
                plane.stop()
                status = 0
            finally:
                traceback.print_exc()
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("active", [True, False])
def test_settings_that_somebody_writes_for_all_devices_are_set_back_at_once(link, active):
    """`sysctl --system` with all.ignore_routes_with_linkdown would open or close every gate."""
    gate = "net.ipv6.conf.mip6-51.ignore_routes_with_linkdown"
    right, wrong = ("0", "1") if active else ("1", "0")
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        if active:
            plane.activate(51)
        settle(plane)
        link.ha1.run("sysctl", "-qw", f"net.ipv6.conf.all.ignore_routes_with_linkdown={wrong}")
        assert link.ha1.sysctl(gate) == wrong
        assert plane.pending
        settle(plane)
        assert link.ha1.sysctl(gate) == right
        assert any("set back" in text for text in plane.reconcile())
        assert plane.reconcile() == []
        if active:
            link.ha1.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
            settle(plane)
            assert link.ha1.sysctl("net.ipv6.conf.all.forwarding") == "1"


def test_opening_and_closing_our_own_gate_is_no_reason_to_do_anything(link):
    with link.dataplane(link.ha1) as plane:
        plane.set_up(settings())
        for _unused in range(3):
            plane.activate(51)
            plane.deactivate(51)
        settle(plane)
        assert not plane.pending
        assert plane.reconcile() == []


def test_a_flushed_packet_filter_is_back_within_a_second(link):
    """As `systemctl reload nftables` does it on Debian."""
    with link.dataplane(link.ha1) as plane:
        busy(plane)
        whole = state(link.ha1)
        link.ha1.run("nft", "flush", "ruleset")
        end = time.monotonic() + 1.1
        while not plane.pending:
            assert time.monotonic() < end
            time.sleep(0.01)
        settle(plane)
        assert changes(whole, state(link.ha1)) == set()
        assert plane.reconcile() == ["packet filter table inet vrrp_ha: missing"]
