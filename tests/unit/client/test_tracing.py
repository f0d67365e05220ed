"""Spans of batches and requests, and the trace in a message's headers."""

import subprocess
import sys
from types import SimpleNamespace

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from hanner.contract import EXTRACT
from hanner.transport.message import MessageBuilder
from hanner.utils import tracing
from hanner_worker.delivery.inflight import Outcome
from hanner_worker.execution.batch import RequestResult
from hanner_worker.observability.hooks import BatchRecord
from hanner_worker.observability.tracing import TracingObserver
from support.spans import in_memory_provider

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"
UNSAMPLED = "00-33333333333333333333333333333333-4444444444444444-00"


def request(name, traceparent=None, **headers):
    headers |= {} if traceparent is None else {"traceparent": traceparent}
    size = SimpleNamespace(texts=1)
    return SimpleNamespace(id=name, type=EXTRACT, sent_at=990.0, size=size, request_dict=headers)


def spans_of(*requests, results=None, **more):
    provider, exporter = in_memory_provider()
    results = results or [RequestResult(Outcome.OK)] * len(requests)
    results = () if more.get("loss") else results
    record = BatchRecord(7, requests, 1000.0, [0.25] * len(requests), 0.5, results, **more)
    observer = TracingObserver("mine", "m@00000000", lambda: provider)
    observer.start()
    observer.on_batch(record)
    return exporter.get_finished_spans()


def ids(traceparent):
    _, trace_id, span_id, _ = traceparent.split("-")
    return int(trace_id, 16), int(span_id, 16)


def test_a_batch_and_its_requests_are_linked_both_ways():
    stats = {"tokens": 90, "infer": 0.4}
    batch, first, second = spans_of(
        request("a", SENT), request("plain"), request("b", OTHER), request("c", UNSAMPLED), stats=stats
    )
    assert [span.name for span in (batch, first, second)] == ["hanner batch", "process mine", "process mine"]
    for span, sent in ((first, SENT), (second, OTHER)):
        assert (span.context.trace_id, span.parent.span_id) == ids(sent)
        assert span.kind is SpanKind.CONSUMER
        assert [link.context for link in span.links] == [batch.context]
        assert (span.start_time, span.end_time) == (990 * 10**9, 1000_500_000_000)
        assert span.events[0].timestamp == 1000 * 10**9
    assert batch.parent.span_id == first.context.span_id
    assert batch.context.trace_id == first.context.trace_id
    assert [link.context for link in batch.links] == [first.context, second.context]
    assert (batch.start_time, batch.end_time) == (1000 * 10**9, 1000_500_000_000)
    attributes = dict(batch.attributes)
    assert (attributes["messaging.batch.message_count"], attributes["hanner.batch.texts"]) == (4, 4)
    assert (
        attributes["hanner.batch.tokens"],
        attributes["hanner.batch.infer_seconds"],
        attributes["hanner.batch.number"],
    ) == (
        90,
        0.4,
        7,
    )


def test_the_span_of_a_failed_request_has_its_error_code():
    ends = [
        RequestResult(Outcome.FAILED, "text 马云", "model_failed"),
        RequestResult(Outcome.ALREADY_ANSWERED, code="FAILURE"),
    ]
    _, failed, repeated = spans_of(request("a", SENT), request("b", OTHER), results=ends)
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["error.type"] == "model_failed"
    assert repeated.status.status_code is StatusCode.UNSET
    assert "马云" not in failed.to_json()


def test_a_lost_batch_marks_all_spans_as_errors():
    for span in spans_of(request("a", SENT), request("b", OTHER), loss="process_died"):
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "process_died")


def test_untraced_requests_have_no_spans():
    assert spans_of(request("a"), request("b", UNSAMPLED)) == ()


def test_invalid_traceparents_are_ignored():
    for nonsense in ("", "x", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "马云" * 1000, SENT[:-1], 7, None, ["a"]):
        assert spans_of(request("a", traceparent=nonsense, tracestate=nonsense)) == (), nonsense


def headers_sent():
    builder = MessageBuilder(log_text=False)
    return builder.build("id", EXTRACT, "马云", queue="q", now=1.0)._headers


def test_current_trace_context_is_sent_in_the_message():
    assert "traceparent" not in headers_sent()
    provider, exporter = in_memory_provider()
    with provider.get_tracer("test").start_as_current_span("call") as span:
        sent = headers_sent()["traceparent"]
    assert ids(sent) == (span.context.trace_id, span.context.span_id)
    again = trace.get_current_span(tracing.extract_context({"traceparent": sent})).get_span_context()
    assert again.trace_id == span.context.trace_id
    assert len(exporter.get_finished_spans()) == 1


def test_client_does_not_import_opentelemetry():
    code = (
        "import sys, hanner; from hanner.transport.message import MessageBuilder\n"
        "MessageBuilder(log_text=False).build('i', 'hanner.extract', 't', queue='q', now=1.0)\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_traces_need_a_named_collector():
    assert tracing.make_provider("x", {}) is None
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert not tracing.is_enabled(named | {"OTEL_SDK_DISABLED": "TRUE"})
    made = tracing.make_provider("x", named)
    assert made.resource.attributes["service.name"] == "x"
    tracing.shut_down(made)


def test_unreadable_file_of_headers_is_named_and_sends_nothing(caplog, tmp_path):
    missing = tmp_path / "otlp-headers"
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_HEADERS_FILE": str(missing)}
    assert tracing.make_provider("x", named) is None
    assert "the file that OTEL_EXPORTER_OTLP_HEADERS_FILE names cannot be read" in caplog.text
    assert str(missing) in caplog.text


def test_spans_are_created_only_between_start_and_stop():
    provider, exporter = in_memory_provider()
    observer = TracingObserver("mine", "m@00000000", lambda: provider)
    record = BatchRecord(1, [request("a", SENT)], 1000.0, [0.1], 0.5, [RequestResult(Outcome.OK)])
    observer.on_batch(record)  # ignored before the start
    observer.start()
    observer.on_batch(record)
    assert len(exporter.get_finished_spans()) == 2
    observer.stop()
    without = TracingObserver("mine", "m@00000000", lambda: None)
    without.start()
    without.on_batch(record)
    without.stop()
