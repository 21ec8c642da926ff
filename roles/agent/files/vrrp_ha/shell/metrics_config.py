# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `metrics` of agent.json, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from ..core.types import SECOND
from .fields import Fields

_ENDING = ".prom"


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where metrics go besides to who asks for them on the control socket."""

    textfile: str | None = None
    interval_us: int = 15 * SECOND
    listen: str | None = None


def read(fields: Fields) -> MetricsSettings:
    """The settings; notes every problem."""
    defaults = MetricsSettings()
    settings = MetricsSettings(
        textfile=fields.absolute_path("textfile") if fields.is_given("textfile") else None,
        interval_us=fields.seconds("interval", 1, 3600, defaults.interval_us / SECOND),
        listen=fields.text("listen") if fields.is_given("listen") else None,
    )
    if settings.textfile and not settings.textfile.endswith(_ENDING):
        remedy = f"node_exporter reads no others: let it end in {_ENDING}."
        fields.problem("textfile", f"does not end in {_ENDING}", remedy)
    if settings.listen and parse_listen(settings.listen) is None:
        remedy = "Use 127.0.0.1:PORT, [::1]:PORT or the absolute path of a Unix socket; a proxy can do the rest."
        fields.problem("listen", f"{settings.listen!r} is no place on the loopback", remedy)
    fields.close()
    return settings


def plain(settings: MetricsSettings) -> dict[str, object]:
    """As it would stand in the file."""
    return {"textfile": settings.textfile, "interval": settings.interval_us / SECOND, "listen": settings.listen}


def parse_listen(listen: str) -> tuple[str, int] | None:
    """Host and port, the host "" for a Unix socket's path; None if it is neither, or elsewhere than on the loopback."""
    if listen.startswith("/"):
        return "", 0
    host, _unused, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
        number = int(port)
    except ValueError:
        return None
    if bracketed is not isinstance(address, IPv6Address) or not address.is_loopback or not 1 <= number <= 65535:
        return None
    return str(address), number
