"""Traces by OpenTelemetry, where it is installed and asked for; nothing here is needed, or imported, otherwise.

The trace at hand travels as W3C's `traceparent` in a message's headers. Spans carry no word of a text.
"""

import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from hanner.utils.packaging import install_hint

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger("hanner.utils.tracing")

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""OpenTelemetry's own variables; one of them names the collector, and so asks for traces."""
PATIENCE: Final = 2.0
"""Seconds that a collector has for the last spans of a program that ends."""


def inject(headers: MutableMapping[str, Any]) -> None:
    """Write the trace at hand into a message's headers, if the surrounding program traces."""
    if "opentelemetry.trace" in sys.modules:  # else no span can be open
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        TraceContextTextMapPropagator().inject(headers)


def at_hand() -> str:
    """Return the trace at hand as a `traceparent`, to go on with later; empty if there is none."""
    headers: dict[str, str] = {}
    inject(headers)
    return headers.get("traceparent", "")


def adopt(traceparent: str) -> None:
    """Go on, in this task and those it starts, with a trace that `at_hand` told of; without one, with none."""
    if traceparent:
        try:
            from opentelemetry.context import attach  # noqa: PLC0415
        except ImportError:  # the gateway that took the job in had it
            return
        attach(extract({"traceparent": traceparent}))


def extract(headers: Mapping[str, Any]) -> "Context":
    """Return the trace that a message, or an HTTP request, belongs to; an empty one if it says none. Needs the API."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    said = {name: value for name in ("traceparent", "tracestate") if isinstance(value := headers.get(name), str)}
    return TraceContextTextMapPropagator().extract(said, Context())


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Tell whether OpenTelemetry's variables name a collector, and tracing is not off."""
    return any(environ.get(name) for name in ENDPOINTS) and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


def provider(service: str, environ: Mapping[str, str]) -> "TracerProvider | None":
    """Return what makes spans and sends them to the collector that the environment names.

    Args:
        service: the program's name, unless OTEL_SERVICE_NAME is set.
        environ: OpenTelemetry's variables.

    Returns:
        None where no collector is named, tracing is off, or OpenTelemetry is not installed.
    """
    if not is_wanted(environ):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        log.warning("no traces are sent, %s is missing: %s", error.name, install_hint("otel"))
        return None
    about = {"service.version": metadata.version("hanner")}
    if not environ.get("OTEL_SERVICE_NAME"):
        about["service.name"] = service
    made = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


def end(provider: "TracerProvider") -> None:
    """Send the last spans. A collector that is away holds nobody up for longer than PATIENCE."""
    ending = threading.Thread(target=provider.shutdown, name="hanner-tracing", daemon=True)
    ending.start()
    ending.join(PATIENCE)
