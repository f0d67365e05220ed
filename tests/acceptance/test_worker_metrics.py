"""The metrics of the real worker, compared with the requests that were sent to it."""

import socket

import pytest

from hanner import Client
from support.occupied_process import occupied_process
from support.ports import free_port
from support.scrapes import scrape, scrape_until
from support.workers import found, worker


@pytest.fixture
def port():
    return free_port()


def env(port, **more):
    return {"HANNER_METRICS_PORT": str(port), **more}


def outcomes(page):
    """Return the number of requests by outcome, without zeros."""
    named = {dict(labels)["outcome"]: int(v) for (name, labels), v in page.samples.items() if "requests_total" in name}
    return {name: count for name, count in named.items() if count}


def failed(result):
    with pytest.raises(Exception):  # noqa: B017, PT011 - the app chooses the class
        result.get(timeout=60)


def test_batches_and_texts_are_counted(server, app, events, port):
    at = f"127.0.0.1:{port}"
    with worker(server.url, "-c", "1", env=env(port, HANNER_CACHE_TTL="60")):
        before = scrape(at)
        assert outcomes(before) == {}
        assert before.value("hanner_model_info", model="fake@00000000", engine="onnx", queue="hanner") == 1
        with occupied_process(app, server, events) as send:  # the text that occupies the process is a batch of one
            results = send("马云一一一一一", "马云一一一一一", "马云一")
        assert [found(result) for result in results] == [1, 1, 1]
        page = scrape_until(at, lambda page: outcomes(page).get("ok") == 4)
        assert page.value("hanner_worker_texts_total") == 4
        assert page.value("hanner_worker_batch_texts_count") == page.value("hanner_worker_batch_duration_seconds_count")
        assert page.value("hanner_worker_queue_wait_seconds_count") == 4
        assert page.value("hanner_worker_request_duration_seconds_count") == 4
        assert page.value("hanner_worker_request_duration_seconds_sum") > page.value(
            "hanner_worker_queue_wait_seconds_sum"
        )
        assert page.value("hanner_worker_texts_repeated_total") == 1
        assert page.value("hanner_worker_windows_total") == 3
        found(app.send_task("hanner.extract", ["马云一"]))
        page = scrape_until(at, lambda page: outcomes(page).get("ok") == 5)
        assert page.value("hanner_worker_cache_hits_total") == 1
        assert page.value("hanner_worker_processes") == 1
        assert page.value("hanner_worker_memory_bytes") > 1e7
        assert "马云" not in page.text


def test_every_outcome_is_counted_once(server, app, events, port):
    """Requests of killed processes are counted by the parent."""
    at = f"127.0.0.1:{port}"
    with worker(server.url, "-c", "1", env=env(port)) as running:
        with occupied_process(app, server, events) as send:
            good, poison, once = send(*(text.ljust(20, "。") for text in ("马云一", "!die:x", "!die-once:y")))
            (revoked,) = send("马云二")
            app.control.revoke(revoked.id)
            running.wait_for("revoked")
        assert (found(good), found(once)) == (1, 0)
        failed(poison)
        failed(app.send_task("hanner.extract", ["!raise"]))
        failed(app.send_task("hanner.extract", [17]))
        failed(app.send_task("hanner.extract", ["马云"], expires=-1))
        document = app.send_task("hanner.extract_many", [["马云", 3]]).get(timeout=60)["documents"]
        assert document[1]["error"]["code"] == "invalid_text"
        page = scrape_until(at, lambda page: outcomes(page).get("ok") == 4)
        assert outcomes(page) == {
            "ok": 4,  # the text that occupies the process, `good`, `once`, and the request with two texts
            "worker_lost": 1,
            "model_failed": 1,
            "invalid_text": 1,
            "revoked": 1,
            "expired": 1,
        }
        assert page.value("hanner_worker_texts_failed_total") == 3  # "!raise", 17 and 3
        deaths = server.client.llen("deaths")
        assert page.value("hanner_worker_batches_lost_total", reason="process_died") == deaths == 4
        assert page.value("hanner_worker_dead_letters_total", code="worker_lost") == 1
        assert page.value("hanner_worker_dead_letters_total", code="model_failed") == 1
        assert page.value("hanner_queue_dead_letters", queue="hanner") == server.client.hlen("hanner:hanner:dead") == 2
        # Three requests of the first lost batch, then `poison` again before its dead letter, and `once`.
        assert page.value("hanner_worker_redeliveries_total", reason="process_died") == 5
        assert "马云" not in page.text
        assert "!die" not in page.text


def test_the_state_of_the_queue_is_exported(server, app, events, port):
    at = f"127.0.0.1:{port}"
    with (
        worker(server.url, "-c", "1", env=env(port, HANNER_MAX_QUEUE="70")),
        occupied_process(app, server, events) as send,
    ):
        send("马云一", "马云二")
        page = scrape_until(at, lambda page: page.value("hanner_worker_requests_waiting") == 2)
        assert page.value("hanner_worker_requests_running") == page.value("hanner_worker_processes_busy") == 1
        labels = {"queue": "hanner"}
        assert page.value("hanner_queue_up", **labels) == 1
        assert page.value("hanner_queue_workers", **labels) == 1
        assert page.value("hanner_queue_limit", **labels) == 70
        assert page.value("hanner_queue_depth", **labels, priority="bulk") == 0
        assert page.value("hanner_queue_oldest_age_seconds", **labels, priority="interactive") == 0


def test_an_unreachable_redis_is_exported_with_all_other_metrics(server, port):
    at, labels = f"127.0.0.1:{port}", {"queue": "hanner"}
    with worker(server.url, "-c", "1", env=env(port)) as running:
        server.stop()
        page = scrape(at)
        assert page.value("hanner_queue_up", **labels) == 0
        assert "hanner_queue_depth" not in page.names
        assert page.value("hanner_worker_processes") == 1
        server.start()
        running.wait_for("Connected to", times=2, timeout=60)
        scrape_until(at, lambda page: page.value("hanner_queue_up", **labels) == 1)


def test_queue_wait_includes_the_time_before_the_worker_started(server, port):
    at = f"127.0.0.1:{port}"
    with Client(server.url) as ner, worker(server.url, "-c", "1", env=env(port, HANNER_QUEUE="other")):
        ner.submit("马云")
        assert scrape(at).value("hanner_queue_depth", queue="other", priority="interactive") == 0
    with (
        Client(server.url, queue="other", timeout=60) as ner,
        worker(server.url, "-c", "1", env=env(port, HANNER_QUEUE="other", HANNER_CONCURRENCY="1")),
    ):
        ner.extract("马云")
        page = scrape_until(at, lambda page: outcomes(page).get("ok") == 1)
        assert 0 < page.value("hanner_worker_queue_wait_seconds_sum") < 30


def test_a_port_in_use_prevents_the_start(server, port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with worker(server.url, "-c", "1", env=env(port), ready=False) as running:
            assert running.wait(60) == 1
    (message,) = (line for line in running.lines if line.startswith("hanner: "))
    assert "HANNER_METRICS_PORT" in message
    assert not any("Traceback" in line for line in running.lines)


def test_a_process_that_outlives_its_parent_releases_the_port(server, app, port):
    at = f"127.0.0.1:{port}"
    with worker(server.url, "-c", "1", env=env(port, HANNER_LEASE="1")) as running:
        failed(app.send_task("hanner.extract", ["!die:x"]))  # so that one process was forked after the port was opened
        app.send_task("hanner.extract", ["!wait:late"])
        assert server.client.blpop(["waiting"], timeout=60)
        running.process.kill()
        running.process.wait(60)
        with worker(server.url, "-c", "1", env=env(port, HANNER_LEASE="1")):
            assert scrape(at).value("hanner_worker_processes") == 1
            server.client.rpush("late", 1)
            server.client.rpush("late", 1)


def test_metrics_are_not_served_by_default(server, app, port):
    with worker(server.url, "-c", "1") as running:
        assert found(app.send_task("hanner.extract", ["马云"])) == 1
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
        assert "metrics:" not in running.output
