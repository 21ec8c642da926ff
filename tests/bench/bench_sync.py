# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a binding cache is sent, received and kept, without the kernel: prints figures, asserts nothing.

PYTHONPATH=roles/agent/files python3 tests/bench/bench_sync.py [BINDINGS]
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from time import perf_counter
from typing import TypeVar

from vrrp_ha.core.bc_sync import BcSync, RoleChanged, SendSync, SyncReceived
from vrrp_ha.core.binding_cache import BindingCache
from vrrp_ha.core.events import TimerFired
from vrrp_ha.core.settings import SyncKey, SyncSettings, VirtualHaSettings
from vrrp_ha.core.types import SECOND, Binding, Instant, State, packed
from vrrp_ha.wire.bc_sync import BcRequest, encode, sign

Result = TypeVar("Result")

MASTER, BACKUP = packed("fe80::1"), packed("fe80::2")
KEY = SyncKey("fleet", 1, bytes(range(16)))
SETTINGS = VirtualHaSettings(
    vrid=51,
    interface="eth1",
    priority=200,
    link_local=packed("fe80::5eff:fe00:233"),
    addresses=(packed("2001:db8:1::51"),),
    prefix=packed("2001:db8:1::"),
    prefix_length=64,
    sync_key=KEY,
)


def bindings(amount: int) -> Iterator[Binding]:
    """Distinct home and care-of addresses, sequence numbers and lifetimes."""
    home, care_of = packed("2001:db8:1::")[:8], packed("2001:db8:2::")[:8]
    for number in range(amount):
        suffix = number.to_bytes(8, "big")
        expires = Instant((600 + number % 997) * SECOND + number)
        yield Binding(home + suffix, care_of + suffix, number & 0xFFFF, 0xC000, expires)


def timed(name: str, amount: int, work: Callable[[], Result]) -> Result:
    """Run once and print the rate."""
    start = perf_counter()
    result = work()
    elapsed = perf_counter() - start
    print(f"{name:54s} {elapsed:8.3f} s {amount / elapsed:12,.0f} /s {1e6 * elapsed / amount:7.2f} us each")
    return result


def member(cache: BindingCache, address: bytes, role: RoleChanged) -> BcSync:
    """One HA's synchronisation, already in its role."""
    sync = BcSync(cache, SETTINGS, SyncSettings(), address, 1500, count(1 << 32))
    sync.handle(role, Instant(0))
    return sync


def dump(cache: BindingCache) -> tuple[list[bytes], float]:
    """Ask a Master with this cache, and collect the whole answer with the longest turn that it took."""
    master = member(cache, MASTER, RoleChanged(State.MASTER, MASTER))
    ask = sign(encode(BcRequest(51), SyncSettings()), BACKUP, KEY.key_id, KEY.key, 1)
    now = Instant(1 * SECOND)
    effects = master.handle(SyncReceived(BACKUP, ask), now)
    messages: list[bytes] = []
    longest = 0.0
    while True:
        messages += [effect.payload for effect in effects if isinstance(effect, SendSync)]
        due = master.deadline()
        if due is None or due > now + SECOND:  # nothing but the next digest
            return messages, longest
        now = due
        start = perf_counter()
        effects = master.handle(TimerFired(), now)
        longest = max(longest, perf_counter() - start)


def receive(cache: BindingCache, messages: list[bytes]) -> None:
    """Hand the messages to a Backup with this cache."""
    backup = member(cache, BACKUP, RoleChanged(State.BACKUP, MASTER))
    for message in messages:
        backup.handle(SyncReceived(MASTER, message), Instant(5 * SECOND))


def memory(amount: int) -> None:
    """What a cache costs, its entries' octets included."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cache = BindingCache()
    cache.put_many(bindings(amount))
    used = tracemalloc.get_traced_memory()[0] - before
    print(f"{'memory':54s} {used / len(cache):8.1f} octets per binding")


def speed(amount: int) -> None:
    """Every rate, for this many bindings."""
    entries = list(bindings(amount))
    moved = [replace(entry, sequence=(entry.sequence + 1) & 0xFFFF) for entry in entries]
    cache, replica = BindingCache(), BindingCache()
    gc.freeze()
    timed("put", amount, lambda: cache.put_many(entries))
    messages, longest = timed("dump: read, encode, sign", amount, lambda: dump(cache))
    print(f"{'':54s} {len(messages)} messages, longest turn {1000 * longest:.2f} ms")
    timed("receive into an empty cache: verify, decode, apply", amount, lambda: receive(replica, messages))
    assert (len(replica), replica.digest) == (amount, cache.digest)
    timed("receive again, nothing new", amount, lambda: receive(replica, messages))
    timed("put again, next sequence number", amount, lambda: cache.put_many(moved))
    timed("expire all, second by second", amount, lambda: [cache.expire(Instant(s * SECOND)) for s in range(2000)])


if __name__ == "__main__":
    AMOUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    speed(AMOUNT)
    memory(AMOUNT)
