# Copyright: the mip6.vrrp_ha developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a virtual HA: those that it has wherever it is written, a fleet's own, and one host's own."""

from __future__ import annotations

from textwrap import indent

_SHARED = r"""
vrid:
  description: The virtual router identifier, 1 to 255.
  type: int
  required: true
name:
  description: A name for people.
  type: str
link_local_address:
  description: The virtual router's link-local address. The agent derives one from the VRID when it is not given.
  type: str
advertisement_interval:
  description: Centiseconds between advertisements.
  type: int
preempt:
  description: Whether a member of higher priority takes over from a Master of lower priority.
  type: bool
preempt_delay:
  description: Seconds to wait before doing so.
  type: float
accept_mode:
  description: Whether a Master that is not the owner accepts packets to the virtual addresses.
  type: bool
mipv6_ha_mode:
  description: Whether the virtual router is a virtual HA, or a plain VRRP router.
  type: bool
home_link:
  description: Whether the home prefix is on the link (neighbours are answered) or routed to the virtual HA.
  type: str
  choices: [on_link, routed]
duplicate_address_detection:
  description:
    - Whether the home link is asked for a second if a neighbour has a home address, before it is bound for the
      first time. The agent does by default. Nothing is asked where the home prefix is V(routed).
  type: bool
router_advertisements:
  description:
    - What the Master sends as a router on the home link. The same for every member.
  type: dict
  suboptions:
    enabled:
      description: Whether it sends Router Advertisements at all. The agent does by default.
      type: bool
    router_lifetime:
      description:
        - Seconds for which hosts on the link may use the virtual router as their default router, V(0) for not at
          all. By default V(0) for a virtual HA and V(1800) for a plain VRRP router.
      type: int
    unsolicited:
      description: Whether it sends any that nobody asked for. The agent does by default.
      type: bool
    maximum_interval:
      description: The longest time in seconds between unsolicited advertisements.
      type: float
    minimum_interval:
      description: The shortest time in seconds between unsolicited advertisements.
      type: float
    minimum_delay:
      description: The shortest time in seconds between any two advertisements, answers to solicitations included.
      type: float
    interval_option:
      description: Whether mobile nodes are told the O(OPTION[].router_advertisements.maximum_interval).
      type: bool
    managed:
      description: Whether hosts are told to get their addresses by DHCPv6.
      type: bool
    other:
      description: Whether hosts are told to get other information by DHCPv6.
      type: bool
    autonomous:
      description: Whether hosts may make themselves addresses of the home prefix.
      type: bool
    valid_lifetime:
      description: Seconds for which the home prefix is valid.
      type: int
    preferred_lifetime:
      description: Seconds for which addresses of the home prefix are preferred.
      type: int
discovery:
  description:
    - How mobile nodes find the virtual HA, and what those that are away are told of the home prefix. The same for
      every member.
  type: dict
  suboptions:
    home_agent_information:
      description: Whether Router Advertisements name the preference and lifetime of the home agent.
      type: bool
    preference:
      description: The preference. Left out it falls as the number of bindings rises.
      type: int
    full_at:
      description: The number of bindings at which the preference is lowest.
      type: int
    home_agent_lifetime:
      description: Seconds for which other home agents remember this one.
      type: int
    dhaad:
      description: Whether Home Agent Address Discovery Requests are answered.
      type: bool
    rate:
      description: The number of discovery requests, and of prefix solicitations, answered per second.
      type: float
    burst:
      description: How many of them are answered at once.
      type: int
    per_source_rate:
      description: The number of discovery requests of one /64 answered per second.
      type: float
    per_source_burst:
      description: How many of them are answered at once.
      type: int
    prefix_solicitations:
      description: Whether Mobile Prefix Solicitations of bound mobile nodes are answered.
      type: bool
    prefix_advertisements:
      description: Whether bound mobile nodes are sent Mobile Prefix Advertisements unasked.
      type: bool
    prefix_advertisement_rate:
      description: How many of those are sent per second at most.
      type: float
    minimum_prefix_interval:
      description: Seconds after a change of the prefix before mobile nodes are told of it.
      type: int
    maximum_prefix_interval:
      description: Seconds within which every bound mobile node is told of the prefix.
      type: int
maximum_lifetime:
  description: The longest lifetime of a binding, in seconds.
  type: int
balance:
  description:
    - What the virtual HA's Master does about too many bindings, where that differs from C(balance) of
      the agent's settings. The same for every member.
  type: dict
  suboptions:
    mode:
      description: With V(advise) it says what it would do, with V(auto) it does so.
      type: str
      choices: ["off", advise, auto]
    high_water:
      description: The number of bindings above which mobile nodes are handed off to other virtual HAs.
      type: int
    low_water:
      description: The number of bindings that it stops at, and that nobody fills it above.
      type: int
    rate:
      description: How many mobile nodes are told in a second.
      type: float
    hold_time:
      description: For how many seconds a mobile node that was handed off is left alone.
      type: float
policy:
  description:
    - Who may register with the virtual HA, and how many. The same for every member.
  type: dict
  suboptions:
    allow_home_addresses:
      description: Home addresses, or prefixes of them, that may be bound. All when none is given.
      type: list
      elements: str
    deny_home_addresses:
      description: Those that may not. What is denied is denied, also when it is allowed.
      type: list
      elements: str
    allow_identities:
      description:
        - Network access identifiers of mobile nodes that may register, such as V(mn1@example.net) or
          V(*@example.net). All when none is given.
        - Who a mobile node is, the C(identity) of its key says.
      type: list
      elements: str
    deny_identities:
      description: Those that may not. What is denied is denied, also when it is allowed.
      type: list
      elements: str
    believe_claimed_identities:
      description:
        - Whether a mobile node whose key has no identity is who its Binding Update says. By default it is refused
          where there are lists of identities.
      type: bool
    maximum_bindings:
      description: How many bindings the virtual HA takes on.
      type: int
insecure_sync:
  description: Go without O(OPTION[].sync_key), for foreign peers.
  type: bool
insecure_bindings:
  description: Accept unauthenticated Binding Updates.
  type: bool
"""

_FLEET = r"""
interface:
  description: The interface on the home link.
  type: str
  required: true
addresses:
  description: The virtual addresses; the first is the home agent address that mobile nodes use.
  type: list
  elements: str
  required: true
prefix:
  description: The home prefix.
  type: str
  required: true
priorities:
  description:
    - The VRRP priority of every member by its inventory name. 255 makes a member the owner.
  type: dict
  required: true
member_addresses:
  description:
    - The link-local address on the home link of members by their inventory name. When every member has one,
      synchronisation is accepted from no other address, and the Master is reported by name.
  type: dict
sync_key:
  description:
    - The name of the key in O(sync_keys) that authenticates the members to each other. Members send with it.
  type: str
accepted_sync_keys:
  description:
    - The names of keys in O(sync_keys) that members also accept from each other, while keys are changed.
  type: list
  elements: str
"""

_HOST = r"""
interface:
  description: The interface on the home link.
  type: str
addresses:
  description: The virtual addresses; the first is the home agent address that mobile nodes use.
  type: list
  elements: str
prefix:
  description: The home prefix.
  type: str
priority:
  description: The host's VRRP priority. 255 makes it the owner.
  type: int
members:
  description: All members of the virtual HA. When given they must name this host with the same priority.
  type: list
  elements: dict
  suboptions:
    name:
      description: The member's inventory name.
      type: str
      required: true
    priority:
      description: The member's VRRP priority.
      type: int
      required: true
    address:
      description: The member's link-local address on the home link.
      type: str
sync_key:
  description: The name of the key that authenticates the members to each other. The host sends with it.
  type: str
accepted_sync_keys:
  description:
    - The names of keys that the other members may send with besides O(config[].sync_key), while keys are changed.
  type: list
  elements: str
"""


def _suboptions(option: str, *parts: str) -> str:
    """The documentation of an option that is a list of virtual HAs, but for what the module says of it."""
    lines = indent("".join(part.lstrip("\n") for part in parts), " " * 6)
    return "options:\n  " + option + ":\n    suboptions:\n" + lines.replace("OPTION[]", option + "[]")


class ModuleDocFragment:
    """Fragments by name; a module adds what the option is for, and its type."""

    # Annotated, since ansible-test takes what is not for a literal.
    FLEET: str = _suboptions("virtual_has", _SHARED, _FLEET)
    HOST: str = _suboptions("config", _SHARED, _HOST)
