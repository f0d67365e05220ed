"""Spans of batches and their requests, made in the parent when a batch has ended; processes know nothing of them.

A request's span is a child of whatever sent it. The batch's span is a child of its first traced request, so that one
trace leads from the call to the batch; it has links to all its requests, and each of them has one to it.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer

from hanner.utils import tracing
from hanner_worker.batching.request import BatchRequest
from hanner_worker.execution.batch import ANSWERED_BEFORE
from hanner_worker.observability.hooks import BatchRecord, Watch

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

NANO: Final = 1_000_000_000
FIGURES: Final = ("windows", "tokens", "padded_tokens", "repeated", "cached", "tokenise", "infer", "decode")


class Spans(Watch):
    """Makes spans of those requests whose senders traced them.

    Args:
        tracer: makes them.
        queue: the queue's name.
        model: NAME@DIGEST8.
    """

    def __init__(self, tracer: Tracer, queue: str, model: str) -> None:
        self._tracer = tracer
        self._queue = queue
        self._model = model

    def batch(self, flown: BatchRecord) -> None:
        """Make the spans of one batch and of its traced requests."""
        spans = list(self._requests(flown))
        if not spans:
            return
        first = trace.set_span_in_context(spans[0])
        batch = self._tracer.start_span(
            "hanner batch",
            first,
            SpanKind.INTERNAL,
            self._described(flown),
            [Link(span.get_span_context()) for span in spans],
            _nano(flown.left),
        )
        if flown.lost:
            batch.set_status(Status(StatusCode.ERROR, flown.lost))
        end = _nano(flown.left + flown.runtime)
        batch.end(end)
        for span in spans:
            span.add_link(batch.get_span_context())
            span.end(end)

    def _described(self, flown: BatchRecord) -> dict[str, Any]:
        figures = {
            f"hanner.batch.{name}{'_seconds' if name in FIGURES[-3:] else ''}": flown.figures[name]
            for name in FIGURES
            if name in flown.figures
        }
        return {
            "hanner.batch.number": flown.number,
            "hanner.batch.texts": sum(request.size.texts for request in flown.requests),
            "hanner.model": self._model,
            "messaging.batch.message_count": len(flown.requests),
            **figures,
        }

    def _requests(self, flown: BatchRecord) -> Iterator[Span]:
        """Start the spans of those requests that are traced."""
        if not any(isinstance(request.request_dict.get("traceparent"), str) for request in flown.requests):
            return
        for n, (request, wait) in enumerate(zip(flown.requests, flown.total_waits(), strict=True)):
            context = tracing.extract_context(request.request_dict)
            if not trace.get_current_span(context).get_span_context().trace_flags.sampled:
                continue
            span = self._tracer.start_span(
                f"process {self._queue}",
                context,
                SpanKind.CONSUMER,
                self._about(request, flown.number, wait),
                start_time=_nano(flown.left - wait),
            )
            span.add_event("batch begins", timestamp=_nano(flown.left))
            code = flown.lost or flown.outcomes[n].code
            if code and code != ANSWERED_BEFORE:
                span.set_attribute("error.type", code)
                span.set_status(Status(StatusCode.ERROR, code))
            yield span

    def _about(self, request: BatchRequest, number: int, wait: float) -> dict[str, Any]:
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


class Export(Spans):
    """Spans that go to the collector which the environment names.

    Its thread begins when the pool has been forked. A process that replaces one inherits the thread, idle.

    Args:
        queue: the queue's name.
        model: NAME@DIGEST8.
        make: makes what sends the spans.
    """

    def __init__(self, queue: str, model: str, make: "Callable[[], TracerProvider | None] | None" = None) -> None:
        super().__init__(trace.NoOpTracer(), queue, model)
        self._make = make or (lambda: tracing.make_provider("hanner-worker", os.environ))
        self._provider: TracerProvider | None = None

    def start(self) -> None:
        """Begin to send."""
        self._provider = self._make()
        if self._provider is not None:
            self._tracer = self._provider.get_tracer("hanner_worker")

    def stop(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            tracing.shut_down(self._provider)


def _nano(seconds: float) -> int:
    return int(seconds * NANO)
