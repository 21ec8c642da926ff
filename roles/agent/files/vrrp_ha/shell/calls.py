# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the calls of the control protocol do. Each is a generator of pieces of JSON, so that a long answer is made
between other work; arguments are checked before the first piece."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard

from ..core.events import HandoffsCancelled, HandoffWanted
from ..core.types import (
    FLAG_ACKNOWLEDGE,
    FLAG_HOME_REGISTRATION,
    FLAG_KEY_MANAGEMENT,
    FLAG_LINK_LOCAL,
    SECOND,
    Address,
    Binding,
    Instant,
    packed,
    text,
)
from . import examining
from .clock import monotonic
from .config import ConfigurationError
from .control import END, Answer, CallError, Json, Request

if TYPE_CHECKING:
    from .agent import Agent

_SCAN = 1000  # cache entries looked at in one piece
_BATCH = 50  # bindings or virtual HAs written in one piece
MOST_BINDINGS = 10_000
MOST_EVENTS = 1000
MOST_RECOVERIES = 1000  # in one call
MOST_NAMED_HANDOFFS = 1000  # in one call
MOST_HANDOFFS = 1_000_000
MOST_RECOVERIES_LISTED = 10_000
_FLAGS = (
    ("A", FLAG_ACKNOWLEDGE),
    ("H", FLAG_HOME_REGISTRATION),
    ("L", FLAG_LINK_LOCAL),
    ("K", FLAG_KEY_MANAGEMENT),
)


class Calls:
    """The tables of calls, and one method for each.

    A method's docstring is its line in docs/reference/control-protocol.md: its arguments, "->", its result, with the
    limits of this file by their names.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.reading: dict[str, Callable[[Json], Answer]] = {
            "status": self._status,
            "bindings": self._bindings,
            "rows": self._rows,
            "events": self._events,
            "recoveries": self._recoveries,
            "home_agents": self._home_agents,
            "handoffs": self._handoffs,
        }
        # For root: what changes something, or takes the agent a while.
        self.changing: dict[str, Callable[[Json], Answer]] = {
            "examine": self._examine,
            "drain": self._drain,
            "undrain": self._undrain,
            "recover": self._recover,
            "handoff": self._handoff,
            "reload": self._reload,
            "repair": self._repair,
        }

    def handle(self, request: Request) -> Answer:
        """The answer to one request; CallError if there is none."""
        if request.call in self.changing:
            if not request.peer.may_change:
                raise CallError("forbidden", f"'{request.call}' is for root", "Run it as root.")
            return self.changing[request.call](request.arguments)
        if request.call in self.reading:
            return self.reading[request.call](request.arguments)
        known = ", ".join([*self.reading, *self.changing])
        raise CallError("unknown_call", f"there is no call '{request.call}'", f"Known are: {known}.")

    # --- reading -------------------------------------------------------------------------------------------

    def _status(self, _arguments: Json) -> Answer:
        """- -> see below."""
        status = self._agent.status()
        virtual_has = status.pop("virtual_has")
        assert isinstance(virtual_has, list)
        yield json.dumps(status)[:-1] + ', "virtual_has": ['
        for start in range(0, len(virtual_has), _BATCH):
            yield (", " if start else "") + json.dumps(virtual_has[start : start + _BATCH])[1:-1]
        yield "]}"

    def _bindings(self, arguments: Json) -> Answer:
        """`vrid` (required), `home_address`, `limit` (default 100, at most {MOST_BINDINGS}), `after` (home address) ->
        `{"vrid", "total", "digest", "bindings": [...], "next": home address or null}`."""
        vrid = self._vrid(arguments)
        limit = _number(arguments, "limit", 100, MOST_BINDINGS)
        after = _address(arguments, "after")
        home_address = _address(arguments, "home_address")
        cache = self._agent.node.bindings(vrid)
        start: Json = {"vrid": vrid, "total": len(cache), "digest": f"{cache.digest:016x}"}
        opening = json.dumps(start)[:-1] + ', "bindings": ['
        if home_address is not None:
            found = cache.get(home_address)
            now = monotonic()
            yield opening + (json.dumps(_binding(found, now)) if found else "") + '], "next": null}'
            return
        yield opening
        chosen: list[tuple[Address, Binding]] = []
        more = False
        place: int | None = 0
        while place is not None:
            batch, place = cache.chunk(place, _SCAN)
            bound = chosen[-1][0] if len(chosen) >= limit else None
            wanted = [
                (b.home_address, b)
                for b in batch
                if (after is None or b.home_address > after) and (bound is None or b.home_address < bound)
            ]
            more = more or (bound is not None and any(after is None or b.home_address > after for b in batch))
            chosen = sorted([*chosen, *wanted], key=_first)
            more = more or len(chosen) > limit
            del chosen[limit:]
            yield ""
        for i in range(0, len(chosen), _BATCH):
            now = monotonic()
            lines = [json.dumps(_binding(binding, now)) for _address, binding in chosen[i : i + _BATCH]]
            yield (", " if i else "") + ", ".join(lines)
        following = json.dumps(text(chosen[-1][0])) if more and chosen else "null"
        yield f'], "next": {following}}}'

    def _events(self, arguments: Json) -> Answer:
        """`after` (number), `limit` (default 100, at most {MOST_EVENTS}), `follow` -> `{"events": [{"number", "time",
        "level", "kind", "vrid", ...}], "last"}`; with `follow`, one result line per batch until the caller
        leaves."""
        journal = self._agent.journal
        limit = _number(arguments, "limit", 100, MOST_EVENTS)
        after = _number(arguments, "after", max(0, journal.last - limit), None, least=0)
        follow = arguments.get("follow", False)
        while True:
            events = journal.after(after, limit)
            if events or not follow:
                number = events[-1]["number"] if events else after
                assert isinstance(number, int)
                after = number
                yield json.dumps({"events": events, "last": journal.last})
                yield END
            if not follow:
                return
            if not events:
                yield None

    def _recoveries(self, arguments: Json) -> Answer:
        """`vrid` (required), `limit` (1 to {MOST_RECOVERIES_LISTED}, default {MOST_RECOVERIES}) -> `{"vrid", "counts":
        as in status, "recoveries": [...]}`: those under way, those that wait in the order of their turns, and
        the latest of the last 1000 that are over; `limit` of them."""
        vrid = self._vrid(arguments)
        limit = _number(arguments, "limit", MOST_RECOVERIES, MOST_RECOVERIES_LISTED)
        recovery = self._agent.node.recovery(vrid)
        known = recovery.describe(monotonic(), limit)
        start: Json = {"vrid": vrid, "counts": recovery.counts()}
        yield json.dumps(start)[:-1] + ', "recoveries": ['
        for at in range(0, len(known), _BATCH):
            yield (", " if at else "") + json.dumps(known[at : at + _BATCH])[1:-1]
        yield "]}"

    def _home_agents(self, _arguments: Json) -> Answer:
        """- -> `{"links": [{"interface", "home_agents": [...]}]}`: the home agents of each home link, the best
        first."""
        yield json.dumps({"links": self._agent.node.home_agents(monotonic())})

    def _handoffs(self, arguments: Json) -> Answer:
        """`vrid` (required) -> `{"vrid", "counts": as in status, "unnamed": [{"to": VRID or null, "count"}],
        "handoffs": [...]}`: those named that wait, those under way, and the last 1000 that are over; unnamed
        is how many more wait that were asked for by `count`."""
        vrid = self._vrid(arguments)
        handoffs = self._agent.node.handoffs(vrid)
        known = handoffs.describe(monotonic())
        start: Json = {"vrid": vrid, "counts": handoffs.counts(), "unnamed": handoffs.unnamed()}
        yield json.dumps(start)[:-1] + ', "handoffs": ['
        for at in range(0, len(known), _BATCH):
            yield (", " if at else "") + json.dumps(known[at : at + _BATCH])[1:-1]
        yield "]}"

    # --- comparing members ---------------------------------------------------------------------------------

    def _examine(self, arguments: Json) -> Answer:
        """`vrid`, `limit` (differences named, 1 to 1000, default 100) -> compares the kernel with the cache and changes
        nothing, see below; without `vrid` the rest of the host: `{"faults": [{"vrid": VRID or null, "text"}]}`."""
        if arguments.get("vrid") is None:
            return examining.whole_host(self._agent)
        limit = _number(arguments, "limit", 100, examining.MOST_DIFFERENCES)
        return examining.virtual_ha(self._agent, self._vrid(arguments), limit)

    def _rows(self, arguments: Json) -> Answer:
        """`vrid` (required), `parts` (list of numbers), `home_addresses` (up to {MOST_RECOVERIES}) -> `{"vrid",
        "parts", "bindings": [...]}`: the bindings of these home addresses, and of these parts of the cache, numbered as
        `examine` has them. Of the parts so many, told in `parts`, that they have no more than 5000 bindings; the first
        in any case."""
        vrid, parts = self._vrid(arguments), arguments.get("parts") or []
        if not examining.valid_parts(parts):
            raise CallError("bad_request", "'parts' must be a list of numbers below 256", "See 'examine'.")
        homes = _home_addresses(arguments, MOST_RECOVERIES) if arguments.get("home_addresses") else ()
        now = monotonic()
        return examining.rows(self._agent.node.bindings(vrid), vrid, parts, homes, lambda b: _binding(b, now))

    # --- changing ------------------------------------------------------------------------------------------

    def _drain(self, arguments: Json) -> Answer:
        """`vrids` (absent: all) -> `{"changed": [vrid, ...]}`; returns at once, watch `status`."""
        vrids = self._vrids(arguments)
        yield json.dumps({"changed": self._agent.drain(vrids)})

    def _undrain(self, arguments: Json) -> Answer:
        """`vrids` (absent: all) -> `{"changed": [vrid, ...]}`; returns at once, watch `status`."""
        vrids = self._vrids(arguments)
        yield json.dumps({"changed": self._agent.undrain(vrids)})

    def _recover(self, arguments: Json) -> Answer:
        """`vrid`, `home_addresses` (1 to {MOST_RECOVERIES}), both required -> `{"queued": [home address, ...],
        "refused": [...]}`: refused is what is not bound here, for what there is neither a key nor a hook, or
        more than the queue takes; error `not_master` elsewhere than at the Master."""
        vrid = self._vrid(arguments)
        home_addresses = _home_addresses(arguments, MOST_RECOVERIES)
        self._check_master(vrid)
        begun = self._agent.recover(vrid, home_addresses)
        unknown = [home_address for home_address in home_addresses if home_address not in set(begun)]
        yield json.dumps({"queued": [*map(text, begun)], "refused": [*map(text, unknown)]})

    def _handoff(self, arguments: Json) -> Answer:
        """`vrid` (required), `to` (VRID; absent: the least loaded), and one of `home_addresses` (1 to
        {MOST_NAMED_HANDOFFS}), `count` (1 to {MOST_HANDOFFS}) and `cancel` (true) -> `{"queued": [home
        address, ...], "refused": [...]}`, refused is what is not bound here, was told already, or has no key
        here; for `count`, `{"count"}`; for `cancel`, of all that wait, `{"cancelled": how many}`; error
        `not_master` elsewhere than at the Master."""
        vrid = self._vrid(arguments)
        ways = [name for name in ("home_addresses", "count", "cancel") if arguments.get(name)]
        if len(ways) != 1:
            remedy = "Say who goes (home_addresses), how many (count), or that those who wait stay (cancel)."
            raise CallError("bad_request", "give one of 'home_addresses', 'count' and 'cancel'", remedy)
        to = self._handoff_target(vrid, arguments.get("to"))
        count = _number(arguments, "count", 1, MOST_HANDOFFS)
        home_addresses = _home_addresses(arguments, MOST_NAMED_HANDOFFS) if ways == ["home_addresses"] else ()
        self._check_master(vrid)
        handoffs = self._agent.node.handoffs(vrid)
        if ways == ["cancel"]:
            waiting = handoffs.counts()["pending"]
            self._agent.hand_off(vrid, HandoffsCancelled())
            yield json.dumps({"cancelled": waiting})
        elif ways == ["count"]:
            self._agent.hand_off(vrid, HandoffWanted(count=count, to=to))
            yield json.dumps({"count": count})
        else:
            self._agent.hand_off(vrid, HandoffWanted(home_addresses, to=to))
            queued = [home for home in home_addresses if handoffs.is_under_way(home)]
            refused = [home for home in home_addresses if home not in set(queued)]
            yield json.dumps({"queued": [*map(text, queued)], "refused": [*map(text, refused)]})

    def _handoff_target(self, vrid: int, to: object) -> int | None:
        others = self._agent.node.others(vrid)
        there = ", ".join(map(str, sorted(others))) or "none"
        if not others:
            message = f"no other virtual HA here serves the home prefix of VRID {vrid}"
            raise CallError("bad_request", message, "Mobile nodes can keep their home addresses only on its home link.")
        if to is not None and (not _is_number(to) or to not in others):
            message = f"'to' must be another virtual HA of the home link of VRID {vrid}"
            raise CallError("bad_request", message, f"There are: {there}. Leave it out for the least loaded.")
        return to

    def _reload(self, _arguments: Json) -> Answer:
        """- -> `{"changed": [vrid, ...], "added": [...], "removed": [...], "restart_needed": [option, ...]}` or error
        `bad_config` with every problem as `"problems": [{"path", "message", "remedy"}]`."""
        try:
            result = self._agent.reload()
        except ConfigurationError as error:
            problems = [{"path": p.path, "message": p.message, "remedy": p.remedy} for p in error.problems]
            message = "; ".join(f"{p.path}: {p.message}" for p in error.problems)
            remedy = "Nothing was changed. Correct the files (vrrp-ha check shows the same) and reload again."
            raise CallError("bad_config", message, remedy, problems=problems) from None
        yield json.dumps(result)

    def _repair(self, _arguments: Json) -> Answer:
        """- -> `{"repaired": [text, ...]}`: makes the host's state what it should be; what takes longer is done after
        the answer and told by events of kind `repaired`."""
        yield json.dumps({"repaired": self._agent.repair()})

    # --- arguments -----------------------------------------------------------------------------------------

    def _check_master(self, vrid: int) -> None:
        if not self._agent.node.serves(vrid):
            raise CallError("not_master", f"this host is not Master of VRID {vrid}", "Ask the Master (vrrp-ha status).")

    def _vrid(self, arguments: Json) -> int:
        vrid = arguments.get("vrid")
        if not _is_number(vrid):
            raise CallError("bad_request", "'vrid' is required", "Give the number of a virtual HA.")
        self._check_known([vrid])
        return vrid

    def _vrids(self, arguments: Json) -> tuple[int, ...]:
        vrids = arguments.get("vrids")
        if vrids is None:
            return self._agent.node.vrids
        if not isinstance(vrids, list) or not all(_is_number(vrid) for vrid in vrids):
            raise CallError("bad_request", "'vrids' must be a list of numbers", "Leave it out for all.")
        self._check_known(vrids)
        return tuple(vrids)

    def _check_known(self, vrids: list[int]) -> None:
        known = self._agent.node.vrids
        for vrid in vrids:
            if vrid not in known:
                there = ", ".join(map(str, sorted(known))) or "none"
                raise CallError("unknown_vrid", f"no virtual HA here has VRID {vrid}", f"Configured: {there}.")


def _home_addresses(arguments: Json, most: int) -> tuple[Address, ...]:
    values = arguments.get("home_addresses")
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        message = f"'home_addresses' must be a list of 1 to {most} addresses"
        raise CallError("bad_request", message, "Name the mobile nodes by their home addresses.")
    return tuple(_parse_address(value, "home_addresses") for value in values)


def _first(entry: tuple[Address, Binding]) -> Address:
    return entry[0]


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)  # True is an int, too


def _number(arguments: Json, name: str, default: int, most: int | None, least: int = 1) -> int:
    value = arguments.get(name)
    if value is None:
        return default
    if not _is_number(value) or value < least or (most is not None and value > most):
        bounds = f"{least} to {most}" if most is not None else f"at least {least}"
        raise CallError("bad_request", f"'{name}' must be a number, {bounds}", "Correct or leave it out.")
    return value


def _address(arguments: Json, name: str) -> Address | None:
    value = arguments.get(name)
    return None if value is None else _parse_address(value, name)


def _parse_address(value: object, name: str) -> Address:
    try:
        return packed(str(value))
    except ValueError:
        raise CallError("bad_request", f"'{name}' is not an IPv6 address", "Write it as in 2001:db8::1.") from None


def _binding(binding: Binding, now: Instant) -> Json:
    return {
        "home_address": text(binding.home_address),
        "care_of_address": text(binding.care_of_address),
        "sequence": binding.sequence,
        "flags": "".join(letter for letter, bit in _FLAGS if binding.flags & bit),
        "remaining_s": max(0, binding.expires - now) / SECOND,
    }
