# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading one JSON object of a configuration file field by field, and saying everything that is wrong with it.

A reader never raises for what an operator wrote: it notes a Problem (where, what, what to do about it), returns a
harmless value, and goes on, so that one run of `vrrp-ha check` names every mistake. What was not asked for by the
time of `close()` is an unknown field. Nothing here knows what the fields mean.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address, IPv6Network, NetmaskValueError
from typing import Any, TypeVar

from ..core.token_bucket import Pace
from ..core.types import SECOND

_T = TypeVar("_T")
REQUIRED: Any = object()  # a default that says: there is none


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: its place in the file, what is wrong, and what to do."""

    path: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.path}: {self.message}.{remedy}"


class _TwiceGiven(dict[str, Any]):
    """An object of the file, with the names that it gave more than once."""

    twice: list[str]


def _object(pairs: list[tuple[str, Any]]) -> _TwiceGiven:
    result = _TwiceGiven(pairs)
    names = [name for name, _value in pairs]
    result.twice = sorted({name for name in names if names.count(name) > 1}) if len(result) < len(names) else []
    return result


def parse_json(data: bytes, path: str, problems: list[Problem]) -> Any:
    """The file's value, or None after noting why it has none."""

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        problems.append(Problem(path, f"not JSON: {error.msg} at {place}", "Mend the syntax there."))
    except (ValueError, RecursionError) as error:
        problems.append(Problem(path, f"not JSON: {error}", "Write the file as UTF-8 JSON."))
    return None


def name_of_type(value: object) -> str:
    """What JSON calls the type of a parsed value."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")


def suggestion(wrong: str, known: Iterable[str], otherwise: str) -> str:
    """`Did you mean 'x'?` when something known is close to what was written."""
    close = difflib.get_close_matches(wrong, list(known), n=1)
    return f"Did you mean '{close[0]}'?" if close else otherwise


def per_second(millionths: int) -> float:
    """A rate as it stands in the file."""
    return millionths / 1_000_000


def plain_pace(rate: str, burst: str, pace: Pace) -> dict[str, object]:
    """The two fields of a pace as they would stand in the file."""
    return {rate: per_second(pace.rate_millionths), burst: pace.burst}


class Fields:
    """The fields of one object; every getter notes what is wrong and returns something of the right type."""

    def __init__(self, value: object, path: str, problems: list[Problem]) -> None:
        self.path = path
        self._problems = problems
        self._known: list[str] = []
        self._values: dict[str, Any] = {}
        if isinstance(value, dict):
            self._values = value
            for name in getattr(value, "twice", ()):
                self.problem(name, "given more than once", "Keep one of them.")
        elif value is not None or path:
            problems.append(Problem(path or "(file)", f"must be an object, not {name_of_type(value)}", "Use {...}."))

    def at(self, name: str) -> str:
        """The path of a field of this object."""
        return f"{self.path}.{name}" if self.path and not self.path.endswith(":") else f"{self.path}{name}"

    def problem(self, name: str, message: str, remedy: str = "") -> None:
        """Note a mistake in one field."""
        self._problems.append(Problem(self.at(name), message, remedy))

    def is_given(self, name: str) -> bool:
        """Whether the field, which is a known one, is there and not null."""
        self._claim(name)
        return self._values.get(name) is not None

    def close(self) -> None:
        """What nobody asked for is a mistake: a misspelt option must not be silently without effect."""
        for name in self._values:
            if name not in self._known:
                known = ", ".join(self._known)
                self.problem(name, "unknown field", suggestion(name, self._known, f"Known are: {known}."))

    # --- getters -------------------------------------------------------------------------------------------

    def boolean(self, name: str, default: bool = REQUIRED) -> bool:
        """true or false."""
        value = self._get(name, default)
        if value is None or isinstance(value, bool):
            return bool(value)
        return self._wrong(name, value, "true or false", False)

    def integer(self, name: str, low: int, high: int, default: int = REQUIRED) -> int:
        """A whole number within bounds."""
        value = self._get(name, default)
        if value is None:
            return low
        if isinstance(value, bool) or not isinstance(value, int):
            return self._wrong(name, value, f"a whole number from {low} to {high}", low)
        if not low <= value <= high:
            self.problem(name, f"{value} is out of range", f"Use {low} to {high}.")
            return low
        return value

    def seconds(self, name: str, low: float, high: float, default: float = REQUIRED) -> int:
        """A time in seconds, perhaps with a fraction; returned in microseconds."""
        value = self._get(name, default)
        if value is None:
            return round(low * SECOND)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self._wrong(name, value, f"a number of seconds from {low:g} to {high:g}", round(low * SECOND))
        if not low <= value <= high:
            self.problem(name, f"{value:g} seconds is out of range", f"Use {low:g} to {high:g}.")
            return round(low * SECOND)
        return round(value * SECOND)

    def per_second(self, name: str, low: float, high: float, default: float) -> int:
        """A rate; returned in millionths of one per second."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self._wrong(name, value, f"a number per second from {low:g} to {high:g}", round(low * 1_000_000))
        if not low <= value <= high:
            self.problem(name, f"{value:g} per second is out of range", f"Use {low:g} to {high:g}.")
            return round(low * 1_000_000)
        return round(value * 1_000_000)

    def pace(self, rate: str, burst: str, default: Pace, most: int = 10_000) -> Pace:
        """Two fields: how many per second, and how many at once."""
        millionths = self.per_second(rate, 0.001, most, per_second(default.rate_millionths))
        return Pace(millionths, self.integer(burst, 1, most, default.burst))

    def text(self, name: str, default: str = REQUIRED) -> str:
        """A string; an empty one only where the default is empty."""
        value: object = self._get(name, default)
        if value is None:
            return ""
        if not isinstance(value, str):
            return self._wrong(name, value, "a string", "")
        if not value and default != "":
            self.problem(name, "is empty", "Give it a value or leave it out.")
        return value

    def choice(self, name: str, choices: list[str], default: str) -> str:
        """One of a few words."""
        value = self.text(name, default)
        if value in choices:
            return value
        if isinstance(self._values.get(name), str):
            self.problem(name, f"'{value}' is not known", suggestion(value, choices, f"Use {' or '.join(choices)}."))
        return default

    def absolute_path(self, name: str, default: str = REQUIRED) -> str:
        """The path of a file or directory, from the root."""
        value = self.text(name, default)
        if value and not value.startswith("/"):
            self.problem(name, f"'{value}' is not an absolute path", "Begin it with '/'.")
        return value

    def octets(self, name: str, least: int) -> bytes:
        """A key in hexadecimal. What was written appears in no message: it may be most of a secret."""
        value = self.text(name)
        try:
            key = bytes.fromhex(value)
        except ValueError:
            self.problem(name, "is not hexadecimal", "Write two hex digits for each octet.")
            return b""
        if value and len(key) < least:
            remedy = f"Use at least {least} octets ({2 * least} hex digits) from a good random source."
            self.problem(name, f"has only {len(key)} octets", remedy)
        return key

    def address(self, name: str) -> IPv6Address | None:
        """An IPv6 address, None if it is absent or wrong."""
        if self._claim(name):
            return self.parse_address(self.text(name), name)
        self._absent(name)
        return None

    def optional_address(self, name: str) -> IPv6Address | None:
        """An IPv6 address that may be left out or null."""
        return self.parse_address(self.text(name), name) if self.is_given(name) else None

    def parse_address(self, value: object, name: str) -> IPv6Address | None:
        """An address from text; notes what is wrong."""
        if isinstance(value, str):
            try:
                address = IPv6Address(value)
                if address.scope_id is None:
                    return address
            except AddressValueError:
                pass
            if value:
                self.problem(name, f"'{value}' is not an IPv6 address", "Write it as in 2001:db8::1.")
            return None
        return self._wrong(name, value, "an IPv6 address as a string", None)

    def network(self, name: str, strict: bool = True) -> IPv6Network | None:
        """A prefix such as 2001:db8:1::/64."""
        value = self.text(name)
        if not value:
            return None
        try:
            network = IPv6Network(value, strict=False)
            if "/" in value or not strict:
                if IPv6Address(value.split("/")[0]) != network.network_address:
                    self.problem(name, f"'{value}' has bits set beyond the prefix", f"Did you mean '{network}'?")
                return network
            self.problem(name, f"'{value}' has no prefix length", "Write it as in 2001:db8:1::/64.")
        except (AddressValueError, NetmaskValueError, ValueError):
            self.problem(name, f"'{value}' is not an IPv6 prefix", "Write it as in 2001:db8:1::/64.")
        return None

    def section(self, name: str) -> Fields:
        """An object inside this one, empty when left out."""
        value = self._get(name, {})
        return Fields({} if value is None else value, self.at(name), self._problems)

    def sections(self, name: str, default: list[Any] = REQUIRED) -> list[Fields]:
        """A list of objects."""
        values = self.items(name, default)
        return [Fields(value, f"{self.at(name)}[{i}]", self._problems) for i, value in enumerate(values)]

    def items(self, name: str, default: list[Any] = REQUIRED) -> list[Any]:
        """A list of anything."""
        value = self._get(name, default)
        if value is None:
            return []
        return value if isinstance(value, list) else self._wrong(name, value, "a list", [])

    # --- inside --------------------------------------------------------------------------------------------

    def _claim(self, name: str) -> bool:
        if name not in self._known:
            self._known.append(name)
        return name in self._values

    def _absent(self, name: str) -> None:
        self.problem(name, "is missing", "It is required.")

    def _get(self, name: str, default: Any) -> Any:
        if not self._claim(name):
            if default is not REQUIRED:
                return default
            self._absent(name)
            return None
        value = self._values[name]
        if value is None and default is REQUIRED:
            self.problem(name, "is null", "It is required.")
        elif value is None:
            return default
        return value

    def _wrong(self, name: str, value: object, wanted: str, instead: _T) -> _T:
        self.problem(name, f"must be {wanted}, not {name_of_type(value)}", "")
        return instead
