"""Health, metrics, status, and the examples of the OpenAPI document."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hanner.queue.keys import QueueKeys
from hanner.queue.stats import DEFAULT_TEXT_SECONDS, Backlog, WorkerState
from hanner.settings import Settings
from hanner_gateway import models
from hanner_gateway.metrics import REGISTRY
from hanner_gateway.problems import ProblemError
from hanner_gateway.readiness import VALID_FOR, Readiness
from support.gateways import gateway
from support.servers import redis_server


def test_gateway_is_ready_while_a_worker_has_a_lease_and_sends_no_text(start, server, worker, lease):
    site = start()
    assert site.http.get("/healthz").json() == {"status": "ok"}
    response = site.http.get("/readyz")
    assert (response.status_code, response.json()["code"]) == (503, "no_worker")
    assert response.headers["retry-after"] == "1"
    lease()
    before = metrics(site)
    assert site.http.get("/readyz").json() == {"status": "ok"}
    after = metrics(site)
    texts = {key for key in after if key[0].startswith("hanner_http_text")}
    assert {key: after[key] for key in texts} == {key: before[key] for key in texts}
    assert worker.requests == []
    assert not [key for key in server.client.scan_iter() if "celery-task-meta" in key]


class Client:
    """Fake of AsyncClient that counts reads of a queue with so many workers."""

    settings = Settings.from_env({})

    def __init__(self):
        self.reads = 0
        self.workers = ()

    async def backlog(self):
        self.reads += 1
        await asyncio.sleep(0)
        return Backlog(workers=self.workers)


def test_readiness_is_read_again_after_a_time_and_once_for_concurrent_callers(clock):
    async def body():
        client = Client()
        readiness = Readiness(client, clock)
        with pytest.raises(ProblemError, match="no worker runs on the queue hanner"):
            await readiness.check()
        client.workers = (WorkerState(id="w"),)
        await asyncio.gather(*(readiness.check() for _ in range(5)))
        assert client.reads == 2
        clock.now += VALID_FOR / 2
        await readiness.check()
        assert client.reads == 2
        clock.now += VALID_FOR
        client.workers = ()
        with pytest.raises(ProblemError):
            await readiness.check()
        assert client.reads == 3

    asyncio.run(body())


def test_status_returns_queue_and_workers(server, site):
    keys = QueueKeys("hanner")
    server.client.lpush("hanner", "{}", "{}")
    seconds, micros = server.client.time()
    server.client.zadd(keys.leases, {"w1": seconds * 1000 + micros // 1000 + 60_000, "w2": 1})
    described = {
        "host": "a", "pid": 7, "processes": 2, "model": "m@00000000", "started": 1.5, "texts": 10, "rate": 12.5,
        "batch_texts": 3.5, "latency_ms": 8.25, "busy": 1.5, "text_seconds": 0.5,
        "work_seconds": 3, "bulk_work_seconds": 1, "unacked": 4,
    }  # fmt: skip
    server.client.hset(keys.worker("w1"), mapping=described)
    server.client.zadd(keys.scheduled, {"later": 0})
    found = site.http.get("/api/v1/status").json()
    hidden = {"started", "texts", "busy", "text_seconds", "work_seconds", "bulk_work_seconds"}
    kept = {name: value for name, value in described.items() if name not in hidden}
    assert found == {
        "queue": {
            "depth": 2, "oldest_seconds": None, "bulk": 0, "unacked": kept["unacked"], "scheduled": 1,
            "scheduled_seconds": 0, "work_seconds": 2.0, "bulk_work_seconds": 0.5, "busy_workers": 0.75,
        },
        "workers": [kept],
        "rate": 12.5,
    }  # fmt: skip


def test_info_returns_model_types_limits_and_version(start, lease, models_clock):
    site = start(max_text_chars=500, max_job_texts=70)
    found = site.http.get("/api/v1/info").json()
    assert found == {
        "version": metadata.version("hanner"),
        "queue": "hanner",
        "model": None,
        "models": [],
        "types": None,
        "limits": {
            "text_characters": 500, "texts": 256, "body_bytes": 10_000_000, "upload_bytes": 100_000_000,
            "job_texts": 70, "unfinished_jobs": 100, "seconds": 10,
        },
    }  # fmt: skip
    lease("w1", model="old@1", types='["PER"]')
    lease("w2", model="new@2", types='["PER", "LOC"]')
    lease("w3", model="new@2", types='["PER", "LOC"]')
    models_clock.now += models.VALID_FOR
    found = site.http.get("/api/v1/info").json()
    assert (found["model"], found["models"], found["types"]) == ("new@2", ["new@2", "old@1"], ["LOC", "PER"])
    assert site.http.get("/api/v1/info", params={"model": "none"}).json()["code"] == "unknown_model"


def metrics(site):
    response = site.http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(response.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_metrics_count_requests_and_texts(start, worker):
    site = start(max_text_chars=5)
    before = metrics(site)
    site.ner(texts=["马云", "一二三四五六", "无"])
    site.ner(text="一二三四五六")
    after = metrics(site)

    def grown(name, **labels):
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    route = {"method": "POST", "route": "/api/v1/ner"}
    assert grown("hanner_http_requests_total", **route, status="200") == 1
    assert grown("hanner_http_requests_total", **route, status="422") == 1
    assert grown("hanner_http_request_duration_seconds_count", **route) == 2
    assert grown("hanner_http_texts_total", outcome="ok") == 2
    assert grown("hanner_http_texts_total", outcome="invalid_text") == 2
    assert grown("hanner_http_text_characters_total") == 15


def test_texts_of_a_stopping_gateway_have_their_own_outcome(server, worker):
    def count():
        return REGISTRY.get_sample_value("hanner_http_texts_total", {"outcome": "gateway_stopping"}) or 0

    before = count()
    worker.hold()
    with ThreadPoolExecutor(1) as threads:
        with gateway(server.url) as site:
            pending = threads.submit(httpx.post, f"{site.url}/api/v1/ner", json={"texts": ["马云", "杭州"]}, timeout=60)
            worker.wait_for(1)
        assert pending.result(60).status_code == 503
    assert count() - before == 2


def test_metrics_report_the_queue_and_an_unreachable_redis():
    with redis_server() as server, gateway(server.url, queue="mine", max_queue=70, connect_timeout=1) as site:
        server.client.lpush("mine", "{}", "{}")
        server.client.lpush("mine.bulk", json.dumps({"headers": {"hanner": {"sent_at": 1.0, "texts": 3}}}))
        server.client.hset("hanner:mine:dead", mapping={"a": "{}"})
        values, labels = metrics(site), (("queue", "mine"),)
        wanted = {"up": 1, "limit": 70, "unacked": 0, "scheduled": 0, "dead_letters": 1, "workers": 0}
        assert {name: values[f"hanner_queue_{name}", labels] for name in wanted} == wanted
        interactive, bulk = (("priority", "interactive"), *labels), (("priority", "bulk"), *labels)
        assert (values["hanner_queue_depth", interactive], values["hanner_queue_depth", bulk]) == (2, 1)
        assert values["hanner_queue_work_seconds", interactive] > 0
        assert values["hanner_queue_work_seconds", bulk] == pytest.approx(3 * DEFAULT_TEXT_SECONDS)
        assert values["hanner_queue_workers_busy", labels] == 0
        assert values["hanner_queue_oldest_age_seconds", bulk] > 1e9
        assert ("hanner_queue_oldest_age_seconds", interactive) not in values  # the message has no sent_at
        assert ("hanner_queue_scheduled_due_seconds", labels) not in values
        server.client.zadd("hanner:mine:scheduled", {"a": (server.client.time()[0] + 600) * 1000})
        values = metrics(site)
        assert values["hanner_queue_scheduled", labels] == 1
        assert 500 < values["hanner_queue_scheduled_due_seconds", labels] <= 600
        assert values["hanner_build_info", (("version", metadata.version("hanner")),)] == 1
        assert values["hanner_http_jobs_unfinished", ()] == 0
        server.stop()
        values = metrics(site)
        assert (values["hanner_queue_up", labels], values["hanner_queue_limit", labels]) == (0, 70)
        assert ("hanner_queue_depth", interactive) not in values
        assert ("hanner_http_jobs_unfinished", ()) not in values


def test_unknown_paths_and_methods_create_no_new_series(site):
    for n in range(20):
        site.http.request(f"M{n}", f"/nothing-{n}")
        site.http.get(f"/api/v1/jobs/{n:032x}")
    named = {value for name, labels in metrics(site) for key, value in labels if key in {"route", "method"}}
    assert not [value for value in named if "nothing" in value or "0000" in value or value.startswith("M")]


def test_every_example_of_the_document_works(site, worker):
    document = site.http.get("/openapi.json").json()
    schemas, ran = document["components"]["schemas"], 0
    for path, operations in document["paths"].items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        for example in examples(content, schemas):
            response = site.http.post(path, json=example)
            assert response.status_code in {200, 202}, (path, example, response.text)
            ran += 1
    assert ran >= 6


def examples(content, schemas):
    """Yield the examples of a body and of its schemas."""
    yield from (example["value"] for example in content.get("examples", {}).values())
    waiting = [content["schema"]]
    while waiting:
        schema = waiting.pop()
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        yield from schema.get("examples", [])
        waiting += schema.get("oneOf", []) + schema.get("anyOf", [])
