"""The outermost ASGI middleware: request ids, security headers, metrics, a span and a log line for each request.

An exception in the app becomes a 500 response, and a request that is cancelled when the gateway stops a 503 response.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hanner.utils import tracing
from hanner_gateway import metrics, request_id
from hanner_gateway.problems import problem_response, stopping_response

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger("hanner.gateway")

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
API_PREFIX = "/api/"
UNMATCHED = "unmatched"
"""The route label of requests that match no route."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CLIENT_CLOSED_REQUEST = 499
"""The status, as nginx logs it, of a request whose client disconnected before the response."""
UNTRACED = ("/metrics", "/healthz", "/readyz", "/docs", "/favicon")
"""Path prefixes for which no span is created."""

SpanRecorder = Callable[[str, str, int | None], None]
"""Sets a span's method, route and status; the status is None if no response was started."""


class RequestMiddleware:
    """ASGI middleware around every request.

    Args:
        app: The wrapped app.
        running: The tasks of running requests; this class adds and removes them.
        tracer: Creates a span for each request; None disables tracing.
    """

    def __init__(
        self, app: ASGIApp, running: "set[asyncio.Task[Any]] | None" = None, tracer: "Tracer | None" = None
    ) -> None:
        self._app = app
        self._running = set() if running is None else running
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's name
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = request_id.set_current(Headers(scope=scope).get(request_id.HEADER))
        if (task := asyncio.current_task()) is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        with _request_span(self._tracer, scope, identity) as record_span:
            await self._respond(scope, receive, _Response(scope, send, identity), record_span)

    async def _respond(self, scope: Scope, receive: Receive, response: "_Response", record_span: SpanRecorder) -> None:
        identity = response.identity
        began = time.perf_counter()
        metrics.IN_PROGRESS.inc()
        try:
            await self._app(scope, receive, response.send)
        except ClientDisconnect:
            response.status = response.status or CLIENT_CLOSED_REQUEST
        except asyncio.CancelledError:
            # uvicorn cancels the requests that still run when the time for a graceful stop is over.
            if response.status is None:
                await stopping_response()(scope, receive, response.send)
        except Exception:
            log.exception("request failed [%s]", identity)
            if response.status is not None:  # the response has started, so its status cannot change
                raise
            await problem_response(500, "internal error; the gateway's log has the reason under this request id")(
                scope, receive, response.send
            )
        finally:
            metrics.IN_PROGRESS.dec()
            _record(scope, response.status, time.perf_counter() - began, identity, record_span)


class _Response:
    """Sends a response with the headers that every response has."""

    def __init__(self, scope: Scope, send: Send, identity: str) -> None:
        self._scope, self._send, self.identity = scope, send, identity
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers[request_id.HEADER] = self.identity
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            # Browsers revalidate the page each time.
            api = self._scope["path"].startswith(API_PREFIX)
            headers.setdefault("cache-control", "no-store" if api else "no-cache")
        await self._send(message)


def _record(scope: Scope, status: int | None, seconds: float, identity: str, record_span: SpanRecorder) -> None:
    route: Any = scope.get("route")
    path = getattr(route, "path", None) or UNMATCHED
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    metrics.REQUESTS.labels(method, path, str(status or 0)).inc()
    metrics.SECONDS.labels(method, path).observe(seconds)
    record_span(method, path, status)
    level = logging.DEBUG if path in {"/healthz", "/metrics"} else logging.INFO
    log.log(level, "%s %s %s %.1f ms [%s]", method, path, status, seconds * 1000, identity)


@contextmanager
def _request_span(tracer: "Tracer | None", scope: Scope, identity: str) -> Iterator[SpanRecorder]:
    """Run a request in a span that continues the trace of its `traceparent`; messages sent meanwhile join the trace.

    Args:
        tracer: Creates the span; None disables tracing.
        scope: The request's ASGI scope.
        identity: Its request id.

    Yields:
        The function that records the response in the span.
    """
    if tracer is None or scope["path"].startswith(UNTRACED):
        yield lambda method, route, status: None  # noqa: ARG005 - the type's names
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415 - an extra, installed if there is a tracer

    context = tracing.extract_context(Headers(scope=scope))
    with tracer.start_as_current_span("HTTP", context, SpanKind.SERVER, record_exception=False) as span:

        def record(method: str, route: str, status: int | None) -> None:
            span.update_name(f"{method} {route}")
            span.set_attributes({"http.request.method": method, "http.route": route, "hanner.request_id": identity})
            if status is not None:
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_attribute("error.type", str(status))
                    span.set_status(Status(StatusCode.ERROR))

        yield record
