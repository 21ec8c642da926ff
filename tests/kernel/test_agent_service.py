# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two real agents on a link: they elect, fail over, hand over, and nothing that was bound is lost."""

import signal
import time

from tests.kernel.agents import ADDRESSES, CARE_OF, HOME, MACS, until

MASTER_DOWN_S = 3 * 0.1 + (256 - 200) * 0.1 / 256


def test_owner_serves_and_backup_is_silent(pair, link):
    a, b = pair
    assert a.virtual_ha()["master_is_self"]
    assert "vrrp6-51" in link.run("a", "ip", "-6", "-br", "addr", "show", "to", "2001:db8:1::51")
    assert link.run("b", "ip", "-6", "-br", "addr", "show", "to", "2001:db8:1::51") == ""
    assert a.call("status")["healthy"]
    assert b.call("status")["healthy"]


def test_a_registration_reaches_the_kernel_and_the_backup(pair, mobile_node):
    a, b = pair
    assert mobile_node.register() == 0
    assert a.bound() == {HOME: CARE_OF}
    until(lambda: b.bound() == {HOME: CARE_OF})
    assert a.virtual_ha()["digest"] == b.virtual_ha()["digest"]
    until(mobile_node.receives_tunnelled)


def test_traffic_goes_on_when_the_master_is_killed(pair, mobile_node, observer):
    a, b = pair
    assert mobile_node.register() == 0
    until(lambda: b.bound() == {HOME: CARE_OF})
    assert mobile_node.receives_tunnelled()
    times = {255: [next(observer.advertisements(1.0))[0]]}
    a.kill()
    a.cleanup()
    b.becomes("master")
    for when, _source, priority in observer.advertisements(0.5):
        times.setdefault(priority, []).append(when)
    outage = times[200][0] - times[255][-1]
    assert MASTER_DOWN_S - 0.001 <= outage <= MASTER_DOWN_S + 0.02, outage
    assert mobile_node.receives_tunnelled()
    assert mobile_node.register() == 0, "the acting Master holds the key and answers by itself"


def test_returning_owner_has_its_bindings_before_its_first_advertisement(pair, mobile_node, observer):
    a, b = pair
    assert mobile_node.register() == 0
    until(lambda: b.bound() == {HOME: CARE_OF})
    a.kill()
    a.cleanup()
    b.becomes("master")
    (a.directory / "state" / "bindings").unlink(missing_ok=True)
    observer.drop()
    a.start()
    a.becomes("master")
    assert a.bound() == {HOME: CARE_OF}
    kinds = [event["kind"] for event in a.call("events")["events"]]
    assert kinds.index("synchronised") < kinds.index("became_master")
    b.becomes("backup")
    assert mobile_node.receives_tunnelled()


def test_draining_hands_over_and_lasts_until_undrained(pair, mobile_node):
    a, b = pair
    assert mobile_node.register() == 0
    until(lambda: b.bound() == {HOME: CARE_OF})
    assert a.ctl("drain", "51", "--wait", "3").stdout == "drained: 51\n"
    b.becomes("master")
    assert mobile_node.receives_tunnelled()
    assert a.call("drain", vrids=[51]) == {"changed": []}
    assert a.stop() == 0
    a.start()
    time.sleep(0.5)
    assert a.virtual_ha()["drained"]
    assert a.is_state("backup")
    assert a.call("undrain") == {"changed": [51]}
    a.becomes("master")
    assert mobile_node.receives_tunnelled()


def test_an_orderly_stop_hands_over_within_the_skew_time(pair, observer, link):
    a, b = pair
    before = link.traces("c")
    observer.drop()
    assert a.stop() == 0
    seen = [(when, priority) for when, _source, priority in observer.advertisements(0.5)]
    zero = next(when for when, priority in seen if priority == 0)
    successor = next(when for when, priority in seen if priority == 200)
    assert successor - zero < (256 - 200) * 0.1 / 256 + 0.01
    assert link.traces("c") == before
    b.becomes("master")


def test_a_backup_that_was_stopped_for_a_while_does_not_take_over(pair, observer):
    _a, b = pair
    observer.drop()
    b.signal(signal.SIGSTOP)
    time.sleep(1.2)
    b.signal(signal.SIGCONT)
    priorities = {priority for _when, _source, priority in observer.advertisements(1.0)}
    assert priorities == {255}
    assert b.virtual_ha()["counters"].get("became_master", 0) == 0


def test_a_cable_that_is_pulled_and_plugged_in_again(pair, link, mobile_node):
    a, b = pair
    assert mobile_node.register() == 0
    link.carrier("a", up=False)
    b.becomes("master")
    a.becomes("initialize")
    status = a.call("status")
    assert not status["healthy"]
    assert any("eth1 is down" in warning for warning in status["warnings"])
    link.carrier("a", up=True)
    a.becomes("master")
    b.becomes("backup")
    assert a.call("status")["healthy"]
    until(mobile_node.receives_tunnelled)


def test_an_interface_that_is_made_anew_is_served_again(pair, link):
    a, b = pair
    link.run("br", "ip", "link", "del", "va")
    b.becomes("master")
    a.becomes("initialize")
    namespace = link.namespace("a")
    link.run("br", "ip", "link", "add", "va", "type", "veth", "peer", "name", "eth1", "netns", namespace)
    link.run("br", "ip", "link", "set", "va", "master", "br0", "up")
    link.run("a", "ip", "link", "set", "eth1", "address", MACS["a"], "up")
    link.run("a", "ip", "addr", "add", f"{ADDRESSES['a']}/64", "dev", "eth1", "nodad")
    a.becomes("master", seconds=10)
    b.becomes("backup")
    assert a.call("status")["healthy"]


def test_bindings_survive_a_restart_of_the_only_agent(new_agent, mobile_node):
    a = new_agent("a", {51: 255}).start()
    a.becomes("master")
    assert mobile_node.register() == 0
    assert a.stop() == 0
    a.start()
    a.becomes("master")
    assert a.bound() == {HOME: CARE_OF}
    until(mobile_node.receives_tunnelled)


def test_neighbours_that_check_a_home_address_by_unicast_are_answered(pair, link, mobile_node):
    assert mobile_node.register() == 0
    until(mobile_node.receives_tunnelled)

    def neighbour():
        return link.run("c", "ip", "-6", "neigh", "show", "to", HOME, "dev", "eth1")

    assert "00:00:5e:00:02:33" in neighbour()
    link.run("c", "ip", "-6", "neigh", "change", HOME, "dev", "eth1", "nud", "probe")
    until(lambda: "REACHABLE" in neighbour(), what=neighbour())
    assert "router" not in neighbour()
