# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's policy, asked about registrations, and what the operator hears of its refusals."""

from __future__ import annotations

from ..wire.mobility import BindingStatus
from .binding_cache import BindingCache
from .binding_policy import BindingPolicy, Registrant
from .binding_request import BindingRequest, RefusedError
from .commons import Commons
from .effects import Report
from .policy_settings import PolicySettings
from .settings import MobileNodeKey
from .token_bucket import Pace, TokenBucket
from .types import Instant

_TOLD = Pace(1_000_000, 10)  # refusals that become events; all of them are counted


class Admission:
    """For one virtual HA."""

    def __init__(self, settings: PolicySettings, commons: Commons, cache: BindingCache) -> None:
        self._commons = commons
        self._cache = cache
        self._told = TokenBucket(_TOLD, Instant(0))
        self.reconfigure(settings)

    def reconfigure(self, settings: PolicySettings) -> None:
        """Another policy from now on; what is bound stays bound."""
        self._policy = BindingPolicy(settings)

    def check(self, request: BindingRequest, key: MobileNodeKey | None) -> None:
        """RFC 6275 section 10.3.1, third test: refused for any other reason, with the status that says so."""
        commons, home_address = self._commons, request.home_address
        if request.packet.protected:
            identity = commons.protected_identity(home_address, request.packet.destination)
        else:
            identity = key.identity if key else ""
        is_new = home_address not in self._cache
        in_all = commons.bindings() if is_new else 0
        registrant = Registrant(home_address, identity, request.claims, is_new, len(self._cache), in_all)
        refusal = self._policy.refusal(registrant, commons.maximum_bindings)
        if refusal:
            raise RefusedError(refusal.status, reason=refusal.reason)

    def tell(self, refused: RefusedError, fields: dict[str, object], now: Instant) -> list[Report]:
        """What to report besides, if it was the policy that refused."""
        if not refused.reason:
            return []
        reports = [Report("debug", f"policy.{refused.reason}")]
        if self._told.take(now):
            level = "warning" if refused.status is BindingStatus.INSUFFICIENT_RESOURCES else "info"
            reports.append(Report(level, "registration_refused", fields=fields | {"reason": refused.reason}))
        return reports
