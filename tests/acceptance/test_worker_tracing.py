"""One trace from the HTTP call through the queue to the batch, exported to a collector by the real worker."""

import threading

import pytest

from support.gateways import gateway
from support.spans import collector, in_memory_provider
from support.workers import TESTS, found, worker

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def receiver():
    with collector() as running:
        yield running


def env(receiver):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


def test_one_trace_from_the_call_to_the_batch(server, receiver):
    provider, exporter = in_memory_provider()
    with worker(server.url, "-c", "1", env=env(receiver)), gateway(server.url, provider=provider) as site:
        answer = site.http.post("/api/v1/ner", json={"text": "马云在杭州"}, headers={"traceparent": CALLER})
        assert answer.status_code == 200
        received = receiver.wait_for(2)
    (call,) = exporter.get_finished_spans()
    assert call.name == "POST /api/v1/ner"
    assert f"{call.context.trace_id:032x}" == CALLER.split("-")[1]
    assert f"{call.parent.span_id:016x}" == CALLER.split("-")[2]
    assert call.attributes["http.response.status_code"] == 200
    assert call.attributes["hanner.request_id"] == answer.headers["X-Request-ID"]
    assert {service for service, _ in received} == {"hanner-worker"}
    spans = {span.name: span for _, span in received}
    process, batch = spans["process hanner"], spans["hanner batch"]
    assert {span.trace_id.hex() for span in spans.values()} == {CALLER.split("-")[1]}
    assert process.parent_span_id.hex() == f"{call.context.span_id:016x}"
    assert batch.parent_span_id == process.span_id
    assert [link.span_id for link in batch.links] == [process.span_id]
    assert [link.span_id for link in process.links] == [batch.span_id]
    assert "马云".encode() not in b"".join(span.SerializeToString() for span in spans.values())


def test_requests_of_one_batch_are_linked_from_it(server, app, events, receiver):
    provider, exporter = in_memory_provider()
    with worker(server.url, "-c", "1", env=env(receiver)) as running, gateway(server.url, provider=provider) as site:
        blocker = app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        callers = [threading.Thread(target=site.ner, kwargs={"text": f"马云第{n}"}) for n in range(3)]
        for caller in callers:
            caller.start()
        untraced = app.send_task("hanner.extract", ["马云没人"])
        events.wait_for(lambda e: sum(event["type"] == "task-received" for event in e.seen) == 5)
        server.client.rpush("gate", 1)
        assert found(blocker) == 0
        for caller in callers:
            caller.join(60)
        assert found(untraced) == 1
        received = [span for _, span in receiver.wait_for(4)]
        assert running.stop() == 0
    (batch,) = (span for span in received if span.name == "hanner batch")
    requests = [span for span in received if span.name == "process hanner"]
    assert len({span.trace_id for span in requests}) == 3
    assert {link.span_id for link in batch.links} == {span.span_id for span in requests}
    assert {span.trace_id.hex() for span in requests} == {
        f"{s.context.trace_id:032x}" for s in exporter.get_finished_spans()
    }


def test_chunks_of_a_job_belong_to_the_trace_of_its_call(server, receiver):
    provider, exporter = in_memory_provider()
    with worker(server.url, "-c", "1", env=env(receiver)), gateway(server.url, provider=provider) as site:
        answer = site.http.post("/api/v1/jobs", json={"texts": ["马云"] * 40}, headers={"traceparent": CALLER})
        assert site.events(answer.json()["id"])[-1][0] == "end"
        received = [span for _, span in receiver.wait_for(3)]  # two chunks, in one batch or two
    call = next(span for span in exporter.get_finished_spans() if span.name == "POST /api/v1/jobs")
    chunks = [span for span in received if span.name.startswith("process hanner")]
    assert {span.parent_span_id.hex() for span in chunks} == {f"{call.context.span_id:016x}"}
    assert {span.trace_id.hex() for span in received} == {CALLER.split("-")[1]}


def test_errors_are_traced_and_probes_are_not(server):
    provider, exporter = in_memory_provider()
    with gateway(server.url, provider=provider, timeout=0.2) as site:
        for path in ("/healthz", "/metrics", "/docs"):
            assert site.http.get(path).status_code == 200
        assert site.ner(text="马云").status_code == 504
        assert site.http.get("/nothing-here").status_code == 404
    timed_out, unknown = exporter.get_finished_spans()
    assert (timed_out.name, timed_out.attributes["error.type"]) == ("POST /api/v1/ner", "504")
    assert unknown.name == "GET unmatched"
    assert "error.type" not in unknown.attributes


def test_traced_requests_are_answered_without_opentelemetry(server, app, receiver, tmp_path):
    missing = tmp_path / "opentelemetry"
    missing.mkdir()
    (missing / "__init__.py").write_text("raise ModuleNotFoundError('not here', name='opentelemetry')")
    paths = f"{tmp_path}:{TESTS}"
    with worker(server.url, "-c", "1", env={**env(receiver), "PYTHONPATH": paths}, cold=True) as running:
        assert found(app.send_task("hanner.extract", ["马云"], headers={"traceparent": CALLER})) == 1
        running.wait_for("no traces are sent, opentelemetry is missing")
        assert running.stop() == 0
    assert not receiver.spans


def test_an_unreachable_collector_delays_nothing(server, app):
    with worker(server.url, "-c", "1", env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) as running:
        assert found(app.send_task("hanner.extract", ["马云"], headers={"traceparent": CALLER})) == 1
        assert running.stop(timeout=15) == 0
