"""Protection against other web sites: requests with a foreign Host, or from a page of another site, are rejected.

A page of another site can reach a gateway on the visitor's own machine or network: by DNS rebinding, which makes the
page's own host name resolve to the gateway, and by forms and scripts that send requests to the gateway's address.
"""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hanner.errors import InvalidSettings
from hanner_gateway.problems import problem_response

ANY = "*"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Browsers let other sites read the responses only if HANNER_CORS_ORIGINS has them."""
OWN_SITE = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site for requests of the gateway's own pages and of the user."""


class AllowedHosts:
    """The host names that requests may be sent to, in addition to IP addresses and localhost, which are always allowed.

    Names of other sites cannot be IP addresses, so those need no protection from DNS rebinding.

    Args:
        setting: HANNER_ALLOWED_HOSTS: names, or `*.` and a domain, separated by commas; empty or `*` allows all.

    Raises:
        InvalidSettings: an entry is not a host name.
    """

    def __init__(self, setting: str) -> None:
        self._names = {name.strip().lower().rstrip(".") for name in setting.split(",") if name.strip()}
        for name in self._names - {ANY}:
            if not set(name.removeprefix("*.")).isdisjoint("*/:@ []"):
                raise InvalidSettings(
                    f"HANNER_ALLOWED_HOSTS cannot be used: {name!r} is not a host name; write names without scheme and "
                    "port, such as ner.example.org or *.example.org"
                )

    def __contains__(self, host: str) -> bool:
        """Return whether requests with this Host header, with or without a port, are allowed."""
        if not self._names or ANY in self._names:
            return True
        name = host_name(host)
        if is_address(name) or name == "localhost" or name.endswith(".localhost") or name in self._names:
            return True
        return any(f"*.{parent}" in self._names for parent in _parents(name))


def host_name(host: str) -> str:
    """Return the name or address in a Host header, in lower case, without port and brackets."""
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.rstrip(".")


def is_address(name: str) -> bool:
    """Return whether a host name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a gateway that listens on this host is reachable from its own machine only."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def _parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[n:]) for n in range(1, len(labels))]


def is_cross_site(method: str, headers: Headers, trusted_origins: Collection[str]) -> bool:
    """Return whether a page of another site sends a request that may change something.

    The rules are those of Go's http.CrossOriginProtection. Programs that are not browsers send neither header.

    Args:
        method: The request's method.
        headers: Its headers.
        trusted_origins: Origins that may send such requests; `*` stands for all.
    """
    origin = headers.get("origin")
    if method in SAFE_METHODS or ANY in trusted_origins or origin in trusted_origins:
        return False
    if site := headers.get("sec-fetch-site"):
        return site not in OWN_SITE
    return origin is not None and origin.lower().partition("://")[2] != headers.get("host", "").strip().lower()


class HostMiddleware:
    """ASGI middleware that rejects requests with a foreign Host, and those of other sites that may change something.

    Args:
        app: The wrapped app.
        allowed_hosts: The hosts that requests may be sent to.
        trusted_origins: Origins of other sites that may use the API.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: AllowedHosts, trusted_origins: Collection[str]) -> None:
        self._app, self._allowed_hosts, self._trusted_origins = app, allowed_hosts, frozenset(trusted_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's name
        rejection = self._reject(scope) if scope["type"] == "http" else None
        await (rejection or self._app)(scope, receive, send)

    def _reject(self, scope: Scope) -> Response | None:
        """Return the response that rejects the request; None if it is allowed."""
        headers = Headers(scope=scope)
        host = headers.get("host")
        if host is not None and host not in self._allowed_hosts:  # browsers always send Host
            detail = f"the host {host_name(host)[:100]!r} is not allowed; add it to HANNER_ALLOWED_HOSTS"
            return problem_response(421, detail, code="host_not_allowed")
        if is_cross_site(scope["method"], headers, self._trusted_origins):
            detail = "a page of another site sent this request; add its origin to HANNER_CORS_ORIGINS to allow that"
            return problem_response(403, detail, code="cross_site")
        return None
