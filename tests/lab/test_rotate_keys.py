# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys are changed as docs/how-to/rotate-keys.md says, from a vault, under traffic."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.lab import access, agents, playbooks, story, topology
from tests.lab.mobility import MobileNode
from tests.lab.places import VENV, run

NEW_SYNC_KEY = {"name": "next", "key_id": 2, "key": secrets.token_hex(32)}
NEW_NODE_KEY = {"spi": 999, "key": secrets.token_hex(20), "home_addresses": topology.HOME_ADDRESS_PREFIXES[51]}
LOST = ("dropped.sync_unknown_key", "dropped.sync_bad_mac", "dropped.sync_unauthenticated", "sync_lost")
"""What a member counts that could not understand another one, or had to ask for everything again."""


class Operator:
    """Keeps the keys in a vault and deploys; nothing that is shown may have a key in it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._password = place / "password"
        self._password.write_text(secrets.token_hex(16))
        old = json.loads(access.KEYS.read_text())
        self.sync_keys: list[dict[str, Any]] = old["vrrp_ha_sync_keys"]
        self.node_keys: list[dict[str, Any]] = old["vrrp_ha_mobile_node_keys"]
        self.secrets = [key["key"] for key in (*self.sync_keys, *self.node_keys, NEW_SYNC_KEY, NEW_NODE_KEY)]

    def deploys(self, sync_key: str, accepted: list[str]) -> None:
        """One step, on all hosts; then the same once more."""
        self.runs("deploy", sync_key, accepted, len(topology.HOME_AGENTS))
        self.runs("deploy", sync_key, accepted, 0, "--diff")

    def runs(self, playbook: str, sync_key: str, accepted: list[str], changes: int, *arguments: str) -> None:
        """A playbook, all that it has to say about it, and so many changes on all hosts together."""
        vault = self._place / "keys.yml"
        keys = {"vrrp_ha_sync_keys": self.sync_keys, "vrrp_ha_mobile_node_keys": self.node_keys}
        vault.write_text(json.dumps(keys))
        run(str(VENV / "bin/ansible-vault"), "encrypt", "--vault-password-file", str(self._password), str(vault))
        virtual_has = playbooks.planned_virtual_has()
        for virtual_ha in virtual_has:
            virtual_ha |= {"sync_key": sync_key, "accepted_sync_keys": accepted}
        plan = self._place / "plan.json"
        plan.write_text(json.dumps({"vrrp_ha_virtual_has": virtual_has}))
        variables = ("-e", f"@{plan}", "-e", f"@{vault}", "--vault-password-file", str(self._password))
        verbose = arguments or ("-vvv", "--diff")
        # verify wants to see the same bindings everywhere, so nobody may change them all the time.
        with chatter() if playbook == "deploy" and changes else nullcontext():
            play = playbooks.playbook(playbook, *variables, *verbose).must_succeed()
        assert play.changed == changes
        for secret in self.secrets:
            assert secret not in play.output


@contextmanager
def chatter() -> Iterator[None]:
    """A hundred changes of bindings a second, so that members that do not understand each other notice it."""
    nodes, over = MobileNode("mn2", 52, topology.FOREIGN_2), Event()

    def talk(first: int) -> None:
        while not over.is_set():
            nodes.register(200, first=first, rate=100)

    talkers = [Thread(target=talk, args=(first,)) for first in (1, 1001)]  # one talks while the other begins anew
    for talker in talkers:
        talker.start()
    try:
        yield
    finally:
        over.set()
        for talker in talkers:
            talker.join()


def watched() -> dict[str, Any]:
    """Of every host: which process it is, and how often somebody was not understood."""
    found = {}
    for host in topology.HOME_AGENTS:
        agent = agents.Agent(host)
        status = agent.call("status")
        agent.close()
        counters = [virtual_ha["counters"] for virtual_ha in status["virtual_has"]]
        found[host] = (status["pid"], {name: sum(c.get(name, 0) for c in counters) for name in LOST})
    return found


def sync_keys() -> set[tuple[str, tuple[str, ...]]]:
    """What all members say that they send with and accept."""
    found = set()
    for host in topology.HOME_AGENTS:
        agent = agents.Agent(host)
        for virtual_ha in agent.call("status")["virtual_has"]:
            found.add((virtual_ha["sync_key"], tuple(virtual_ha["accepted_sync_keys"])))
        agent.close()
    return found


def test_both_kinds_of_keys_are_changed_under_traffic_and_nobody_notices(
    mobile_node: MobileNode, tmp_path: Path
) -> None:
    operator = Operator(tmp_path)
    old_key: dict[str, Any] = {"key": access.mobile_node_key(51).hex(), "spi": access.spi(51)}
    new_key: dict[str, Any] = {"key": NEW_NODE_KEY["key"], "spi": NEW_NODE_KEY["spi"]}
    before = watched()
    bound = 10

    def registers(key: dict[str, Any]) -> None:
        """One more mobile node, and all members know it."""
        nonlocal bound
        answer = mobile_node.register(1, first=bound + 1, **key)
        assert answer["accepted"] == 1, answer
        bound += 1
        story.must_agree(51, bound)

    operator.sync_keys.append(NEW_SYNC_KEY)
    operator.node_keys.append(NEW_NODE_KEY)
    operator.deploys("fleet", ["next"])
    assert sync_keys() == {("fleet", ("next",))}
    registers(old_key)
    registers(new_key)

    def switch() -> list[str]:
        operator.deploys("next", ["fleet"])
        return []

    event = story.under_traffic("new key", [mobile_node], 51, 0, 25, switch)
    assert event.kept, event.measured
    assert sync_keys() == {("next", ("fleet",))}
    registers(new_key)

    del operator.sync_keys[0]
    operator.node_keys = [key for key in operator.node_keys if key["spi"] != old_key["spi"]]
    operator.deploys("next", [])
    assert sync_keys() == {("next", ())}
    registers(new_key)
    assert mobile_node.register(1, **new_key)["accepted"] == 1
    assert watched() == before
    story.must_agree(52, 400)
    refused = mobile_node.register(1, first=bound + 1, tries=1, timeout=0.5, **old_key)
    assert (refused["accepted"], refused["unanswered"]) == (0, 1)


def test_a_playbook_takes_all_steps_and_nobody_notices(mobile_node: MobileNode, tmp_path: Path) -> None:
    """From whatever key the test before has left."""
    ((sends, _unused),) = sync_keys()
    operator = Operator(tmp_path)
    operator.sync_keys = [key for key in (*operator.sync_keys, NEW_SYNC_KEY) if key["name"] == sends]
    operator.sync_keys.append({"name": "third", "key_id": 3, "key": secrets.token_hex(32)})
    operator.secrets.append(operator.sync_keys[-1]["key"])
    operator.node_keys = [NEW_NODE_KEY] if sends == "next" else operator.node_keys
    before = watched()
    operator.runs("rotate_keys", "third", [], 9)
    assert sync_keys() == {("third", ())}
    assert watched() == before
