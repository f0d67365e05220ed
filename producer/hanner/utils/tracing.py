"""OpenTelemetry tracing. OpenTelemetry is optional: nothing is imported unless it is installed and configured.

The trace context is propagated in a message's headers as W3C `traceparent`. Spans contain no text.
"""

import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hanner.utils.packaging import install_hint

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger("hanner.utils.tracing")

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""OpenTelemetry's own variables; one of them names the collector, which enables tracing."""
HEADERS_FILE: Final = "OTEL_EXPORTER_OTLP_HEADERS_FILE"
"""Names a file with the value of OTEL_EXPORTER_OTLP_HEADERS. It is hanner's own variable, for mounted secrets."""
SHUTDOWN_TIMEOUT: Final = 2.0
"""Seconds to export the last spans before the process exits."""


def inject_context(headers: MutableMapping[str, Any]) -> None:
    """Write the current trace context into a message's headers, if the surrounding program traces."""
    if "opentelemetry.trace" in sys.modules:  # otherwise no span can be open
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        TraceContextTextMapPropagator().inject(headers)


def current_traceparent() -> str:
    """Return the current trace context as a `traceparent`, for `attach_traceparent`; empty outside a trace."""
    headers: dict[str, str] = {}
    inject_context(headers)
    return headers.get("traceparent", "")


def attach_traceparent(traceparent: str) -> None:
    """Continue a trace in this asyncio task and the tasks that it starts; do nothing if `traceparent` is empty."""
    if traceparent:
        try:
            from opentelemetry.context import attach  # noqa: PLC0415
        except ImportError:  # the gateway that accepted the job had it
            return
        attach(extract_context({"traceparent": traceparent}))


def extract_context(headers: Mapping[str, Any]) -> "Context":
    """Return the trace context of a message or an HTTP request; an empty one if it has none. Needs the API."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    names = ("traceparent", "tracestate")
    carrier = {name: value for name in names if isinstance(value := headers.get(name), str)}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def is_enabled(environ: Mapping[str, str]) -> bool:
    """Return whether OpenTelemetry's variables name a collector and do not disable tracing."""
    return any(environ.get(name) for name in ENDPOINTS) and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


def make_provider(service: str, environ: Mapping[str, str]) -> "TracerProvider | None":
    """Return a tracer provider that exports spans to the collector named in the environment.

    Args:
        service: The program's name, unless OTEL_SERVICE_NAME is set.
        environ: OpenTelemetry's variables, and HEADERS_FILE.

    Returns:
        None if no collector is named, tracing is disabled, OpenTelemetry is not installed, or the file of HEADERS_FILE
        cannot be read.
    """
    if not is_enabled(environ):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.util.re import parse_env_headers  # noqa: PLC0415
    except ImportError as error:
        log.warning("no traces are sent, %s is missing: %s", error.name, install_hint("otel"))
        return None
    file = environ.get(HEADERS_FILE)
    try:
        headers = parse_env_headers(Path(file).read_text("utf-8").strip(), liberal=True) if file else {}
    except (OSError, UnicodeDecodeError) as error:
        log.warning("no traces are sent, the file that %s names cannot be read: %s", HEADERS_FILE, error)
        return None
    attributes = {"service.version": metadata.version("hanner")}
    if not environ.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = service
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(headers=dict(headers))))
    return provider


def shut_down(provider: "TracerProvider") -> None:
    """Export the last spans. An unreachable collector delays this by at most SHUTDOWN_TIMEOUT."""
    thread = threading.Thread(target=provider.shutdown, name="hanner-tracing", daemon=True)
    thread.start()
    thread.join(SHUTDOWN_TIMEOUT)
