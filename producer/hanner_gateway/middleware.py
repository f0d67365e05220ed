"""The outermost layer: request ids, security headers, metrics, one log line per request, and nothing unanswered."""

import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hanner_gateway import metrics, request_id
from hanner_gateway.problems import problem
from hanner_gateway.traces import Told, request_span

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger("hanner.gateway")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
SECURITY = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
PROTECTED = "/api/"
UNKNOWN = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Guard:
    """ASGI middleware.

    Args:
        app: What it guards.
        tracer: Makes spans of requests; None makes none.
    """

    def __init__(self, app: ASGIApp, tracer: "Tracer | None" = None) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's name
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = request_id.adopt(Headers(scope=scope).get(request_id.HEADER))
        with request_span(self._tracer, scope, identity) as told:
            await self._guarded(scope, receive, _Answer(scope, send, identity), told)

    async def _guarded(self, scope: Scope, receive: Receive, answer: "_Answer", told: Told) -> None:
        identity = answer.identity
        began = time.perf_counter()
        metrics.IN_PROGRESS.inc()
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = answer.status or 499  # nobody hears it; nginx logs this number
        except Exception:
            log.exception("a request failed [%s]", identity)
            if answer.status is not None:  # too late to say so
                raise
            await problem(500, "the gateway failed; its log has the reason under this request id")(
                scope, receive, answer.send
            )
        finally:
            metrics.IN_PROGRESS.dec()
            _note(scope, answer.status, time.perf_counter() - began, identity, told)


class _Answer:
    """Adds the headers that every answer has."""

    def __init__(self, scope: Scope, send: Send, identity: str) -> None:
        self._scope, self._send, self.identity = scope, send, identity
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers[request_id.HEADER] = self.identity
            for name, value in SECURITY.items():
                headers.setdefault(name, value)
            # The page's modules must be of one version: browsers ask whether theirs are still good.
            api = self._scope["path"].startswith(PROTECTED)
            headers.setdefault("cache-control", "no-store" if api else "no-cache")
        await self._send(message)


def _note(scope: Scope, status: int | None, seconds: float, identity: str, told: Told) -> None:
    route: Any = scope.get("route")
    path = getattr(route, "path", None) or UNKNOWN
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    metrics.REQUESTS.labels(method, path, str(status or 0)).inc()
    metrics.SECONDS.labels(method, path).observe(seconds)
    told(method, path, status)
    level = logging.DEBUG if path in {"/healthz", "/metrics"} else logging.INFO
    log.log(level, "%s %s %s %.1f ms [%s]", method, path, status, seconds * 1000, identity)
