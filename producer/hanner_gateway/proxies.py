"""The trusted proxies, whose X-Forwarded-For names the caller, and the address that a caller is counted under."""

import ipaddress
import logging

from starlette.datastructures import Headers
from starlette.types import Scope

from hanner.errors import InvalidSettings

log = logging.getLogger("hanner.gateway")

IPV6_PREFIX = 64
"""Bits of an IPv6 address that stand for a caller: networks get at least so many addresses."""


def parse_proxies(setting: str) -> list[str]:
    """Return the addresses and networks of HANNER_PROXIES; `["*"]` for all.

    Raises:
        InvalidSettings: an entry is neither an address nor a network.
    """
    entries = [entry.strip() for entry in setting.split(",") if entry.strip()]
    if entries == ["*"]:
        return entries
    for entry in entries:
        try:
            ipaddress.ip_network(entry)
        except ValueError:
            raise InvalidSettings(
                f"HANNER_PROXIES cannot be used: {entry!r} is neither an IP address nor a network; write for example "
                "127.0.0.1 or 10.0.0.0/8"
            ) from None
    return entries


def caller_address(scope: Scope) -> str:
    """Return the address that a request's caller is counted under: an IPv4 address or an IPv6 network."""
    client = scope.get("client")
    host: str = client[0] if client else "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))


class ProxyWarning:
    """Logs once that a proxy is not in HANNER_PROXIES, because all its callers share one rate limit then."""

    def __init__(self) -> None:
        self._logged = False

    def check(self, scope: Scope) -> None:
        """Log the warning if this request was forwarded by a proxy that is not trusted."""
        if self._logged or "x-forwarded-for" not in (headers := Headers(scope=scope)):
            return
        client = scope.get("client")
        if client and client[0] not in headers["x-forwarded-for"]:
            self._logged = True
            log.warning(
                "a proxy at %s sends X-Forwarded-For, but is not in HANNER_PROXIES: its callers share one rate limit",
                client[0],
            )
