"""OpenTelemetry spans of batches and their requests, created in the parent when a batch has ended. Starts a thread.

A request's span is a child of the sender's span. The batch's span is a child of its first traced request, so that one
trace leads from the call to the batch. The batch's span has links to all its requests, and each request has one to it.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer

from hanner.utils import tracing
from hanner_worker.delivery.inflight import Outcome
from hanner_worker.observability.hooks import BatchRecord, Observer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

NANOSECONDS: Final = 1_000_000_000
COUNTS: Final = ("windows", "tokens", "padded_tokens", "repeated", "cached")
STAGES: Final = ("tokenise", "infer", "decode")


class TracingObserver(Observer):
    """Creates spans of the requests whose senders traced them, and exports them between `start` and `stop`.

    The exporter's thread starts after the pool was forked. Replacement processes of the pool inherit it, unused.

    Args:
        queue: name of the queue.
        model: NAME@DIGEST8.
        make_provider: returns the provider that exports the spans; by default as the environment configures it.
    """

    def __init__(
        self, queue: str, model: str, make_provider: "Callable[[], TracerProvider | None] | None" = None
    ) -> None:
        self._queue = queue
        self._model = model
        self._make_provider = make_provider or (lambda: tracing.make_provider("hanner-worker", os.environ))
        self._provider: TracerProvider | None = None
        self._tracer: Tracer = trace.NoOpTracer()

    def start(self) -> None:
        """Start to export spans."""
        self._provider = self._make_provider()
        if self._provider is not None:
            self._tracer = self._provider.get_tracer("hanner_worker")

    def stop(self) -> None:
        """Export the remaining spans and stop."""
        if self._provider is not None:
            tracing.shut_down(self._provider)

    def on_batch(self, record: BatchRecord) -> None:
        """Create the spans of a batch and of its traced requests."""
        spans = list(self._start_requests(record))
        if not spans:
            return
        batch = self._tracer.start_span(
            "hanner batch",
            trace.set_span_in_context(spans[0]),
            SpanKind.INTERNAL,
            self._batch_attributes(record),
            [Link(span.get_span_context()) for span in spans],
            _nanoseconds(record.started),
        )
        if record.loss:
            batch.set_status(Status(StatusCode.ERROR, record.loss))
        end = _nanoseconds(record.started + record.runtime)
        batch.end(end)
        for span in spans:
            span.add_link(batch.get_span_context())
            span.end(end)

    def _batch_attributes(self, record: BatchRecord) -> dict[str, Any]:
        stats = record.stats
        return {
            "hanner.batch.number": record.number,
            "hanner.batch.texts": sum(request.size.texts for request in record.requests),
            "hanner.model": self._model,
            "messaging.batch.message_count": len(record.requests),
            **{f"hanner.batch.{name}": stats[name] for name in COUNTS if name in stats},
            **{f"hanner.batch.{name}_seconds": stats[name] for name in STAGES if name in stats},
        }

    def _start_requests(self, record: BatchRecord) -> Iterator[Span]:
        """Start and yield the spans of the traced requests."""
        if not any(isinstance(request.request_dict.get("traceparent"), str) for request in record.requests):
            return
        for index, (request, wait) in enumerate(zip(record.requests, record.total_waits(), strict=True)):
            context = tracing.extract_context(request.request_dict)
            if not trace.get_current_span(context).get_span_context().trace_flags.sampled:
                continue
            span = self._tracer.start_span(
                f"process {self._queue}",
                context,
                SpanKind.CONSUMER,
                self._request_attributes(request, record.number, wait),
                start_time=_nanoseconds(record.started - wait),
            )
            span.add_event("batch begins", timestamp=_nanoseconds(record.started))
            code = record.loss or record.results[index].code
            if code and (record.loss or record.results[index].outcome is not Outcome.ALREADY_ANSWERED):
                span.set_attribute("error.type", code)
                span.set_status(Status(StatusCode.ERROR, code))
            yield span

    def _request_attributes(self, request: Any, number: int, wait: float) -> dict[str, Any]:
        return {
            "messaging.system": "celery",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": self._queue,
            "messaging.message.id": str(request.id),
            "hanner.task": str(request.type),
            "hanner.texts": request.size.texts,
            "hanner.wait_seconds": round(wait, 6),
            "hanner.batch.number": number,
        }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * NANOSECONDS)
