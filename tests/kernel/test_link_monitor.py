# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the link monitor tells of real interfaces."""

import os
import select
import subprocess
import time

import pytest

from tests.kernel.home_link import Host, inside, ip
from vrrp_ha.core.events import LinkDown, LinkUp
from vrrp_ha.core.types import packed
from vrrp_ha.shell.links import LinkMonitor


@pytest.fixture
def host():
    host = Host(f"vlm{os.getpid()}")
    yield host
    ip("netns", "delete", host.namespace)


@pytest.fixture
def cable(host):
    """eth1 with a link-local address of its own, its other end at hand."""
    plug(host)
    return host


def plug(host):
    host.ip("link", "add", "eth1", "type", "veth", "peer", "far")
    host.ip("link", "set", "eth1", "address", "02:00:00:00:00:01", "addrgenmode", "none")
    host.ip("link", "set", "far", "up")
    host.ip("link", "set", "eth1", "up")
    host.ip("addr", "add", "fe80::1/64", "dev", "eth1", "nodad")


def monitor_on(host, *names):
    with inside(host.namespace):
        return LinkMonitor(names)


def next_events(host, monitor, within=3.0):
    """What the monitor says when it next says something."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if select.select([monitor], [], [], 0.1)[0]:
            with inside(host.namespace):
                if events := monitor.events():
                    return events
    return []


def up(address="fe80::1", mtu=1500):
    return LinkUp("eth1", packed(address), bytes.fromhex("020000000001"), mtu)


def test_another_address_of_the_host_is_told_with_the_same_link(cable):
    monitor = monitor_on(cable, "eth1")
    assert first_events(cable, monitor) == [up()]
    cable.ip("addr", "add", "2001:db8:1::a/64", "dev", "eth1", "nodad")
    (event,) = next_events(cable, monitor)
    assert event == up()
    assert event.addresses == {packed("fe80::1"), packed("2001:db8:1::a")}
    cable.ip("addr", "del", "2001:db8:1::a/64", "dev", "eth1")
    (event,) = next_events(cable, monitor)
    assert event.addresses == {packed("fe80::1")}


def first_events(host, monitor):
    """The link layer may take a moment to notice its carrier."""
    with inside(host.namespace):
        events = monitor.events()
    return events if events == [up()] else next_events(host, monitor)


@pytest.fixture
def monitor(cable):
    monitor = monitor_on(cable, "eth1")
    assert first_events(cable, monitor) == [up()]
    yield monitor
    monitor.close()


def test_an_interface_that_does_not_exist_is_down_until_it_comes(host):
    monitor = monitor_on(host, "eth1")
    with inside(host.namespace):
        assert monitor.events() == [LinkDown("eth1")]
        assert monitor.events() == []
    plug(host)
    assert next_events(host, monitor)[-1:] == [up()]
    monitor.close()


def test_losing_and_regaining_the_carrier(cable, monitor):
    cable.ip("link", "set", "far", "down")
    assert next_events(cable, monitor) == [LinkDown("eth1")]
    cable.ip("link", "set", "far", "up")
    assert next_events(cable, monitor) == [up()]


def test_losing_the_link_local_address_and_getting_another(cable, monitor):
    cable.ip("addr", "del", "fe80::1/64", "dev", "eth1")
    assert next_events(cable, monitor) == [LinkDown("eth1")]
    cable.ip("addr", "add", "fe80::2/64", "dev", "eth1", "nodad")
    assert next_events(cable, monitor) == [up("fe80::2")]


def test_a_further_address_does_not_make_it_another_link(cable, monitor):
    cable.ip("addr", "add", "fe80::0/64", "dev", "eth1", "nodad")
    cable.ip("addr", "add", "2001:db8::1/64", "dev", "eth1", "nodad")
    assert set(next_events(cable, monitor, 0.3)) <= {up()}


def test_a_tentative_address_is_waited_for(cable, monitor):
    cable.ip("addr", "del", "fe80::1/64", "dev", "eth1")
    assert next_events(cable, monitor) == [LinkDown("eth1")]
    cable.run("sysctl", "-qw", "net.ipv6.conf.eth1.accept_dad=1")
    cable.ip("addr", "add", "fe80::7/64", "dev", "eth1")
    assert "tentative" in cable.ip("addr", "show", "dev", "eth1")
    started = time.monotonic()
    assert next_events(cable, monitor) == [up("fe80::7")]
    assert time.monotonic() - started > 0.5


def test_a_new_mtu_is_told(cable, monitor):
    cable.ip("link", "set", "eth1", "mtu", "9000")
    assert next_events(cable, monitor) == [up(mtu=9000)]


def test_an_interface_that_is_removed_and_made_again(cable, monitor):
    cable.ip("link", "del", "eth1")
    assert next_events(cable, monitor)[-1:] == [LinkDown("eth1")]
    plug(cable)
    assert next_events(cable, monitor)[-1:] == [up()]


def test_renaming_counts_as_losing(cable, monitor):
    cable.ip("link", "set", "eth1", "down")
    assert next_events(cable, monitor) == [LinkDown("eth1")]
    cable.ip("link", "set", "eth1", "name", "eth2")
    with inside(cable.namespace):
        assert monitor.watch(["eth2"]) == [LinkDown("eth2")]
    cable.ip("link", "set", "eth2", "up")
    cable.ip("addr", "add", "fe80::1/64", "dev", "eth2", "nodad")
    assert isinstance(next_events(cable, monitor)[-1], LinkUp)


def test_other_interfaces_are_not_told_of(cable, monitor):
    cable.ip("link", "set", "lo", "down")
    assert next_events(cable, monitor, 0.3) == []


def test_watching_another_set_tells_of_the_new_ones_only(cable, monitor):
    with inside(cable.namespace):
        assert monitor.watch(["eth1", "eth7"]) == [LinkDown("eth7")]
        assert monitor.watch(["eth1"]) == []


def test_a_flood_of_notifications_that_overflows_loses_nothing(cable, monitor):
    """When the kernel has to drop some, the monitor looks at everything again."""
    addresses = [f"addr {verb} 2001:db8::{number:x}/128 dev lo" for number in range(12_000) for verb in ("add", "del")]
    with inside(cable.namespace):
        subprocess.run(["ip", "-batch", "-"], input="\n".join(addresses), text=True, check=True)
    cable.ip("link", "set", "far", "down")
    assert next_events(cable, monitor)[-1:] == [LinkDown("eth1")]
