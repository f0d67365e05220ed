"""One span for each HTTP request that is somebody's business; what it sends to the queue belongs to its trace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.types import Scope

from hanner.utils import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

QUIET: Final = ("/metrics", "/healthz", "/readyz", "/static/", "/docs", "/favicon")
"""Paths, or beginnings of them, that nobody wants traced."""
SERVER_ERROR: Final = 500

Told = Callable[[str, str, int | None], None]
"""Takes method, route and status of a request."""


@contextmanager
def request_span(tracer: "Tracer | None", scope: Scope, identity: str) -> Iterator[Told]:
    """Keep a span open for a request; a `traceparent` that it came with is taken over.

    Args:
        tracer: makes it; None makes none.
        scope: the request's.
        identity: its request id.

    Yields:
        A function to be told of the answer. A status of None is one that nobody heard.
    """
    if tracer is None or scope["path"].startswith(QUIET):
        yield lambda method, route, status: None  # noqa: ARG005 - the type's names
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415 - there is a tracer, so it is there

    context = tracing.extract_context(Headers(scope=scope))
    with tracer.start_as_current_span("HTTP", context, SpanKind.SERVER, record_exception=False) as span:

        def told(method: str, route: str, status: int | None) -> None:
            span.update_name(f"{method} {route}")
            span.set_attributes({"http.request.method": method, "http.route": route, "hanner.request_id": identity})
            if status is not None:
                span.set_attribute("http.response.status_code", status)
                if status >= SERVER_ERROR:
                    span.set_attribute("error.type", str(status))
                    span.set_status(Status(StatusCode.ERROR))

        yield told
