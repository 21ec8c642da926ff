# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv6 addresses between text and number, and the pools that operators write. Errors are ValueErrors for people."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from .model import Pool

ANYCAST = 128
"""So many interface identifiers of a link are reserved for anycast (RFC 2526)."""


def text_of(number: int) -> str:
    """An address as people write it (RFC 5952)."""
    return str(ipaddress.IPv6Address(number))


def number_of(text: Any) -> int:
    """An address as a number."""
    if isinstance(text, str) and "%" not in text:
        try:
            return int(ipaddress.IPv6Address(text))
        except ValueError:
            pass
    raise ValueError(f"{text!r} is no IPv6 address")


def network_of(text: Any) -> ipaddress.IPv6Network:
    """A prefix like 2001:db8:1::/64."""
    if isinstance(text, str) and "/" in text:
        try:
            return ipaddress.IPv6Network(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no IPv6 prefix ({error})") from None
    raise ValueError(f"{text!r} is no IPv6 prefix")


def anycast_of(network: ipaddress.IPv6Network) -> tuple[tuple[int, int], ...]:
    """Addresses of a link that no host may have: Subnet-Router (RFC 4291 2.6.1) and reserved (RFC 2526) anycast."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.prefixlen > 120:
        return ((first, first),) if network.prefixlen < 127 else ()
    highest = last & ~(1 << 57) if network.prefixlen == 64 else last
    return (first, first), (highest - ANYCAST + 1, highest)


def pool_of(parts: Iterable[Any], network: ipaddress.IPv6Network) -> Pool:
    """Addresses, ranges (first-last) and prefixes, all inside the network; its anycast addresses are left out."""
    ranges: list[tuple[int, int]] = []
    for part in parts:
        low, high = _range_of(part)
        if low < int(network.network_address) or high > int(network.broadcast_address):
            raise ValueError(f"{part} is not inside {network}")
        for other_low, other_high in ranges:
            if low <= other_high and other_low <= high:
                raise ValueError(f"{text_of(max(low, other_low))} is there twice")
        ranges.append((low, high))
    for bad_low, bad_high in anycast_of(network):
        around = [((low, min(high, bad_low - 1)), (max(low, bad_high + 1), high)) for low, high in ranges]
        ranges = [(low, high) for pair in around for low, high in pair if low <= high]
    return Pool(tuple(ranges))


def _range_of(part: Any) -> tuple[int, int]:
    if isinstance(part, str) and "/" in part:
        network = network_of(part)
        return int(network.network_address), int(network.broadcast_address)
    if isinstance(part, str) and "-" in part:
        first, last = part.split("-", 1)
        low, high = number_of(first.strip()), number_of(last.strip())
        if low > high:
            raise ValueError(f"{part} ends before it begins")
        return low, high
    address = number_of(part)
    return address, address
