# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mobile node that signals in ESP, with real packets: away, when its home agent is killed, and back at home."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.agents import CARE_OF, HOME, VHA, until

TOOL = Path(__file__).parents[1] / "lab" / "mn" / "esp.py"
CBC = {
    "home_address": HOME,
    "spi_in": 4096,
    "encryption_key_in": "01" * 16,
    "authentication_key_in": "02" * 32,
    "spi_out": 4097,
    "encryption_key_out": "03" * 16,
    "authentication_key_out": "04" * 32,
}
GCM = {
    "home_address": HOME,
    "algorithm": "aes-gcm-16",
    "spi_in": 4096,
    "encryption_key_in": "05" * 20,
    "spi_out": 4097,
    "encryption_key_out": "06" * 20,
}


def signal(link, association, *options):
    """Send a Binding Update in ESP; what came back."""
    line = [sys.executable, TOOL, "--netns", link.namespace("c"), "--home-agent", VHA, "--home-address", HOME, *options]
    done = subprocess.run(line, input=json.dumps([association]), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["received"]


@pytest.fixture(params=[CBC, GCM], ids=["cbc", "gcm"])
def association(request):
    return request.param


@pytest.fixture
def members(new_agent, association):
    """a owns 51 and b backs it up; both have the security association and nothing else of the mobile node."""
    a, b = new_agent("a", {51: 255}), new_agent("b", {51: 200})
    for number, agent in enumerate((a, b), 1):
        agent.keys["mobile_node_keys"] = []
        agent.keys["ipsec_security_associations"] = [association]
        agent.config["ipsec"] = {"sender_id": number}
        agent.start()
    a.becomes("master")
    until(lambda: b.virtual_ha()["synced"])
    return a, b


def test_away_through_a_failover_and_back_at_home(members, link, mobile_node, association):
    a, b = members
    (answer,) = signal(link, association, "--care-of", CARE_OF)
    assert (answer["kind"], answer["status"], answer["protected"], answer["routing_header"]) == ("ack", 0, True, True)
    until(lambda: b.bound() == {HOME: CARE_OF})
    until(mobile_node.receives_tunnelled)

    a.kill()
    a.cleanup()  # as systemd does: a dead agent's kernel would go on answering for the address
    b.becomes("master")
    (answer,) = signal(link, association, "--care-of", CARE_OF)
    assert (answer["status"], answer["from"], answer["protected"]) == (0, VHA, True)
    assert b.call("status")["counters"]["esp_received"] == 1

    # At home there is neither a Home Address option nor a routing header (RFC 3776 section 3.1).
    link.run("c", "ip", "addr", "add", f"{HOME}/64", "dev", "eth1", "nodad")
    found = signal(link, association, "--at-home")
    assert [(f["kind"], f["status"], f["routing_header"]) for f in found] == [("ack", 0, False)]
    until(lambda: b.bound() == {})


def test_an_unprotected_binding_update_of_who_has_an_association_is_dropped(members, mobile_node):
    a, _unused = members
    with pytest.raises(AssertionError, match="no Binding Acknowledgement"):
        mobile_node.register()
    assert a.bound() == {}
    assert a.call("status")["counters"]["dropped.unprotected"] == 3


def test_associations_come_and_go_with_a_reload(members, link, association):
    a, _unused = members
    a.keys["ipsec_security_associations"] = []
    a.write()
    a.call("reload")
    assert signal(link, association, "--care-of", CARE_OF, "--timeout", "0.3") == []
    a.keys["ipsec_security_associations"] = [association]
    a.write()
    a.call("reload")
    assert signal(link, association, "--care-of", CARE_OF)[0]["status"] == 0
