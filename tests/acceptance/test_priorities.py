"""Interactive requests before bulk ones, with the real worker. Measured by order and counts of batches, not time."""

import json
from contextlib import ExitStack

import pytest

from hanner import Client
from support.gateways import gateway
from support.workers import found, runs, worker

BULK = "hanner.bulk"
TEXT = "马云" * 40
"""Longer than any bulk text, so that it identifies its batch."""


def runners(client):
    return client.lrange("runners", 0, -1)


def batches_before(client, start):
    """Return how many batches the process that answered TEXT started after the first `start` runs and before TEXT."""
    own = [n for n, run in enumerate(runs(client)) if len(TEXT) in run]
    assert len(own) == 1
    by = runners(client)
    return by[start : own[0]].count(by[own[0]])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bulk_job_delays_an_interactive_request_by_at_most_one_batch_per_process(server, workers):
    """16,000 bulk texts wait, 40 in a batch. A text is in the batch after the running ones, or in the next one.

    Each batch of the job blocks until it is released, so that the batches that run when the text is sent are known.
    """
    processes = 2 * workers
    texts = ["!wait:step", *(chr(ord("一") + n) * 3 for n in range(39))]
    with Client(server.url, timeout=60) as ner, ExitStack() as running:
        jobs = [ner.submit_many(texts) for _ in range(400)]
        for name in range(workers):
            running.enter_context(worker(server.url, "-c", "2", "-n", f"w{name}"))
        for _ in range(5):
            for _ in range(processes):
                assert server.client.blpop(["waiting"], timeout=60)
            server.client.delete("runs", "runners")
            job = ner.submit(TEXT)
            start = server.client.llen("runs")
            server.client.rpush("step", *range(processes))
            while not job.done():
                if server.client.blpop(["waiting"], timeout=1):
                    server.client.rpush("step", 1)
            assert len(job.result()) == 40
            assert batches_before(server.client, start) <= 1
            assert ner.backlog().bulk > 0
        server.client.rpush("step", *range(len(jobs)))
        assert all(len(job.result()) == 40 for job in jobs)


def test_an_interactive_request_interrupts_a_running_bulk_request(server, app, events):
    """The bulk request has three parts, and the interactive text is received while the first one runs."""
    gate = "g" * 2044
    parts = [f"!wait:{gate}", "马云" + "。" * 2050, "马云马云" + "。" * 2060]
    with worker(server.url, "-c", "1"):
        bulk = app.send_task("hanner.extract_many", [parts], queue=BULK)
        assert server.client.blpop(["waiting"], timeout=60)
        text = app.send_task("hanner.extract", [TEXT])
        events.wait_for(lambda e: "task-received" in e.of(text.id))
        server.client.rpush(gate, 1)
        assert found(text) == 40
        assert [len(document["entities"]) for document in bulk.get(timeout=60)["documents"]] == [0, 1, 2]
        assert runs(server.client) == [[2050], [80], [2052], [2064]]
        events.wait_for(lambda e: "task-succeeded" in e.of(bulk.id))
        assert events.of(bulk.id) == ["task-received", "task-started", "task-succeeded"]


def test_a_worker_full_of_bulk_requests_still_fetches_an_interactive_one(server, app, events):
    """Its process is busy and its prefetch count of bulk is reached. The interactive request runs next."""
    with worker(server.url, "-c", "1"):
        stuck = app.send_task("hanner.extract", ["!wait:gate"], queue=BULK)
        assert server.client.blpop(["waiting"], timeout=60)
        bulk = [app.send_task("hanner.extract", ["马云" + "。" * (n % 40)], queue=BULK) for n in range(300)]
        events.wait_for(lambda e: sum("task-received" in e.of(result.id) for result in bulk) >= 100)
        text = app.send_task("hanner.extract", [TEXT])
        events.wait_for(lambda e: "task-received" in e.of(text.id))
        assert server.client.llen(BULK) > 0
        server.client.rpush("gate", 1)
        assert found(text) == 40
        assert [len(TEXT) in run for run in runs(server.client)][:2] == [False, True]
        assert found(stuck) == 0
        assert [found(result) for result in bulk] == [1] * 300


def test_bulk_does_not_starve_under_endless_interactive_load(server, app, events):
    """Every ninth batch is a bulk batch while interactive requests are always queued. Each request fills a batch."""

    def many(queue, length):
        texts = [chr(ord("一") + n) * length for n in range(40)]
        return app.send_task("hanner.extract_many", [texts], queue=queue)

    with worker(server.url, "-c", "1"):
        app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        sent = [many("hanner", 3) for _ in range(30)] + [many(BULK, 5) for _ in range(3)]
        events.wait_for(lambda e: all("task-received" in e.of(result.id) for result in sent))
        server.client.rpush("gate", 1)
        assert all(len(result.get(timeout=60)["documents"]) == 40 for result in sent)
        lengths = [run[0] for run in runs(server.client)][1:]
        assert [n for n, length in enumerate(lengths) if length == 5] == [8, 17, 26]


def test_readiness_does_not_wait_for_a_bulk_backlog(server):
    with Client(server.url, timeout=60) as ner, worker(server.url, "-c", "1"):
        running = ner.submit_many(["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        jobs = [ner.submit_many([chr(ord("一") + n) * 3 for n in range(40)]) for _ in range(400)]
        with gateway(server.url) as site:
            assert site.http.get("/readyz").json() == {"status": "ok"}
        assert ner.backlog().bulk > 0
        server.client.rpush("gate", 1)
        assert all(len(job.result()) == 40 for job in jobs)
        assert len(running.result()) == 1


def test_an_idle_worker_is_woken_by_a_single_bulk_request(server, app):
    """Its connection waits on the interactive list; a message in the bulk list ends that wait."""

    def waiting():
        return [one for one in server.client.client_list() if one["cmd"] == "blmove" and "b" in one["flags"]]

    with worker(server.url, "-c", "1") as running:
        while len(waiting()) < 2:
            assert running.process.poll() is None
        assert found(app.send_task("hanner.extract", ["马云"], queue=BULK)) == 1
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        assert server.client.info("commandstats")["cmdstat_client|unblock"]["calls"] >= 1


def test_a_worker_may_consume_one_of_the_two_queues_only(server, app):
    """Celery's -Q accepts their names."""
    with worker(server.url, "-c", "1", "-Q", "hanner"):
        bulk = app.send_task("hanner.extract", ["马云"], queue=BULK)
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        assert server.client.llen(BULK) == 1
    with worker(server.url, "-c", "1", "-Q", BULK):
        assert found(bulk) == 1
        text = app.send_task("hanner.extract", ["马云"])
        assert found(app.send_task("hanner.extract", ["马云"], queue=BULK)) == 1
        assert server.client.llen("hanner") == 1
    with worker(server.url, "-c", "1"):
        assert found(text) == 1


def test_requests_of_a_stopping_worker_are_requeued_to_their_list(server, app, events):
    with worker(server.url, "-c", "1") as running:
        app.send_task("hanner.extract", ["!wait:gate"])
        assert server.client.blpop(["waiting"], timeout=60)
        sent = {
            queue: [app.send_task("hanner.extract", ["马云"], queue=queue) for _ in range(5)]
            for queue in ("hanner", BULK)
        }
        ids = {queue: [result.id for result in results] for queue, results in sent.items()}
        events.wait_for(
            lambda e: all("task-received" in e.of(task_id) for several in ids.values() for task_id in several)
        )
        running.process.terminate()
        running.wait_for("Warm shutdown")
        server.client.rpush("gate", 1)
        running.wait()
    for queue, several in ids.items():
        assert [json.loads(raw)["headers"]["id"] for raw in reversed(server.client.lrange(queue, 0, -1))] == several
