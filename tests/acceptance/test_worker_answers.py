"""Answers of the real worker to Celery apps that use only names of tasks and queue."""

import json

import pytest
from celery.exceptions import TimeoutError as NoResultError

from support.occupied_process import occupied_process
from support.servers import redis_server
from support.waiting import wait_until
from support.workers import Events, foreign_app, runs, unacked, worker

MA_YUN = [{"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 1.0}]
SECRET = "马云的秘密"
NOT_COMPLETED = "1 requests could not be completed: ResponseError"


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def running(server):
    with worker(server.url, "-c", "1") as running:
        yield running


@pytest.fixture(scope="module")
def app(server, running):
    with foreign_app(server.url) as app:
        yield app


@pytest.fixture(scope="module")
def events(app):
    with Events(app) as events:
        yield events


def call(app, *args, task="hanner.extract", **kwargs):
    return app.send_task(task, args, kwargs).get(timeout=60)


def error_of(result):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the app has no class for it
        result.get(timeout=60)
    return type(caught.value).__name__, str(caught.value)


def test_entities_are_returned(app):
    assert call(app, "马云在杭州") == {"entities": MA_YUN, "model": "fake@00000000"}
    assert call(app, text="马云") == {"entities": MA_YUN, "model": "fake@00000000"}
    assert call(app, "  ")["entities"] == []


def test_many_texts_are_answered_in_order_and_an_invalid_one_has_an_error(app):
    documents = call(app, ["马云", 7, "", "!raise", "\ud800"], task="hanner.extract_many")["documents"]
    assert documents[0] == {"entities": MA_YUN}
    assert documents[2] == {"entities": []}
    assert [documents[n]["error"]["code"] for n in (1, 3, 4)] == ["invalid_text", "model_failed", "invalid_text"]
    assert call(app, texts=["马云"], task="hanner.extract_many")["documents"] == [{"entities": MA_YUN}]


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "expected"),
    [
        ("hanner.extract", [7], {}, "must be a string, not int"),
        ("hanner.extract", [], {}, "takes one argument, text"),
        ("hanner.extract", ["a", "b"], {}, "sent 2 by position"),
        ("hanner.extract", [], {"texts": "a"}, "1 by name"),
        ("hanner.extract", ["字" * 100_001], {}, "100,001 characters"),
        ("hanner.extract", ["\ud800"], {}, "lone surrogate"),
        ("hanner.extract_many", [[]], {}, "texts is empty"),
        ("hanner.extract_many", [["字"] * 257], {}, "257 texts"),
        ("hanner.extract_many", ["字"], {}, "must be a list of strings"),
    ],
)
def test_an_invalid_request_gets_the_named_error(app, task, args, kwargs, expected):
    name, message = error_of(app.send_task(task, args, kwargs))
    assert name == "InvalidText"
    assert expected in message


def test_other_requests_of_a_batch_with_invalid_ones_are_answered(app, server, events):
    with occupied_process(app, server, events) as send:
        good, bad, broken, other = send("马云一", 7, "!raise", "马云二")
    assert good.get(timeout=60)["entities"] == other.get(timeout=60)["entities"] == MA_YUN
    assert error_of(bad)[0] == "InvalidText"
    assert error_of(broken)[0] == "ModelFailed"


def test_a_message_that_is_not_a_request_is_refused_and_does_not_stop_the_worker(app, server, running):
    with app.producer_pool.acquire(block=True) as producer:
        for number, body in enumerate([{"no": "task"}, [1, 2], "text"]):
            producer.publish(
                body, routing_key="hanner", serializer="json", headers={"task": "hanner.extract", "id": f"odd-{number}"}
            )
        producer.publish(
            b"\x80hidden",
            routing_key="hanner",
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": "hanner.extract", "id": "odd-3"},
        )  # fmt: skip
    for number in range(4):
        assert error_of(app.AsyncResult(f"odd-{number}"))[0] == "InvalidText"
    assert call(app, "马云")["entities"] == MA_YUN
    assert "hidden" not in running.output


ENDS_IN_THE_PARENT = {
    "not a request": ({}, {"no": "request"}, "InvalidText"),
    "unregistered": ({"task": "shop.store"}, [["马云"], {}, {}], "NotRegistered"),
    "unknown compression": ({"compression": "no-such"}, [["马云"], {}, {}], "InvalidText"),
    "expired": ({"expires": "2020-01-01T00:00:00+00:00"}, [["马云"], {}, {}], "TaskRevokedError"),
}


@pytest.mark.parametrize("kind", ENDS_IN_THE_PARENT)
def test_an_end_that_redis_refuses_to_store_is_stored_later(app, server, running, kind):
    headers, body, error = ENDS_IN_THE_PARENT[kind]
    task_id = f"!no-writes {kind}"
    failures = running.output.count(NOT_COMPLETED)
    with app.producer_pool.acquire(block=True) as producer:
        headers = {"task": "hanner.extract", "id": task_id, "lang": "py", "root_id": task_id, **headers}
        producer.publish(body, routing_key="hanner", serializer="json", headers=headers)
    try:
        running.wait_for(NOT_COMPLETED, times=failures + 1)
        assert len(unacked(server.client)) == 1
        assert not server.client.exists(f"celery-task-meta-{task_id}")
    finally:
        server.client.config_set("min-replicas-to-write", 0)
    assert error_of(app.AsyncResult(task_id))[0] == error
    wait_until(lambda: not unacked(server.client))
    assert call(app, "马云")["entities"] == MA_YUN


def test_each_request_has_its_own_events_without_text(app, server, events, running):
    with occupied_process(app, server, events) as send:
        good, other, bad = send(SECRET, SECRET + "二", SECRET * 20_001)
    for result in (good, other):
        result.get(timeout=60)
        events.wait_for(lambda e, result=result: "task-succeeded" in e.of(result.id))
        assert events.of(result.id) == ["task-received", "task-started", "task-succeeded"]
    error_of(bad)
    events.wait_for(lambda e: "task-failed" in e.of(bad.id))
    assert events.of(bad.id) == ["task-received", "task-started", "task-failed"]
    seen = {e["type"]: e for e in events.seen if e.get("uuid") == good.id}
    assert seen["task-received"]["args"] == "(<5 characters>)"
    assert seen["task-succeeded"]["result"].startswith("<1 entities, 5 characters, batch ")
    assert seen["task-succeeded"]["runtime"] > 0
    # JSON may escape characters as \uXXXX, which would hide the text from this check.
    assert "秘密" not in json.dumps(events.seen, ensure_ascii=False, default=str)
    assert "秘密" not in running.output


def test_inspect_shows_running_and_queued_requests_without_text(app, server, events):
    with occupied_process(app, server, events) as send:
        (waiting,) = send(SECRET)
        inspect = app.control.inspect(timeout=60, limit=1)
        ((active,),) = inspect.active().values()
        ((reserved,),) = inspect.reserved().values()
        assert active["args"] == "(<10 characters>)"
        assert (reserved["id"], reserved["args"]) == (waiting.id, "(<5 characters>)")
    waiting.get(timeout=60)


def test_inspect_shows_settings_and_statistics(app):
    inspect = app.control.inspect(timeout=60, limit=1)
    ((name, stats),) = inspect.stats().items()
    assert stats["pool"]["max-concurrency"] == 1
    assert inspect.conf()[name]["worker_pool"] == "prefork"


def test_an_ignored_result_is_not_stored_by_the_worker(app, server, events):
    result = app.send_task("hanner.extract", ["马云"], ignore_result=True)
    events.wait_for(lambda e: "task-succeeded" in e.of(result.id))
    assert not server.client.exists(f"celery-task-meta-{result.id}")


def test_a_request_with_eta_waits_for_it_and_is_answered(app, events):
    result = app.send_task("hanner.extract", ["马云"], countdown=0.5)
    assert result.get(timeout=60)["entities"] == MA_YUN
    seen = {e["type"]: e for e in events.seen if e.get("uuid") == result.id}
    assert seen["task-received"]["eta"]


@pytest.mark.parametrize(
    "eta",
    ["0001-01-01T00:00:00", "1970-01-01T00:00:00+14:00", "2020-02-29", "2020-01-01T00:00:00-00:00"],
)
def test_a_request_whose_eta_has_passed_runs_at_once(app, eta):
    assert app.send_task("hanner.extract", ["马云"], eta=eta).get(timeout=60)["entities"] == MA_YUN


def test_a_negative_countdown_runs_at_once(app):
    assert app.send_task("hanner.extract", ["马云"], countdown=-3600).get(timeout=60)["entities"] == MA_YUN


@pytest.mark.parametrize("eta", ["9999-12-31T23:59:59", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999999Z"])
def test_a_request_for_the_end_of_time_waits_and_others_do_not(app, server, eta):
    result = app.send_task("hanner.extract", ["马云"], eta=eta)
    wait_until(lambda: server.client.zscore("hanner:hanner:scheduled", result.id))
    assert call(app, "马云")["entities"] == MA_YUN


@pytest.mark.parametrize("name", ["eta", "expires"])
@pytest.mark.parametrize("value", [5, -1.5, "tomorrow", "", [], "10000-01-01T00:00:00"])
def test_a_time_that_cannot_be_read_is_refused_with_an_answer(app, name, value):
    headers = {"id": f"odd-{name}-{value}", "task": "hanner.extract", name: value}
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish([["马云"], {}, {}], routing_key="hanner", serializer="json", headers=headers)
    kind, message = error_of(app.AsyncResult(headers["id"]))
    assert kind == "InvalidText"
    assert f"the header {name} of the message is not valid" in message


def test_revoked_and_expired_texts_do_not_reach_the_model(app, server, events):
    with occupied_process(app, server, events) as send:
        revoked, kept = send("马云撤回", "马云保留")
        (expired,) = send("马云过期", expires=0.2)
        app.control.revoke(revoked.id, reply=True, timeout=60, limit=1)
        with pytest.raises(NoResultError):
            expired.get(timeout=0.3)  # it expires while it is queued
        before = len(runs(server.client))
    assert kept.get(timeout=60)["entities"] == MA_YUN
    assert error_of(revoked)[0] == "TaskRevokedError"
    assert error_of(expired)[0] == "TaskRevokedError"
    assert runs(server.client)[before:] == [[4]]
    events.wait_for(lambda e: "task-revoked" in e.of(expired.id))
    assert events.of(revoked.id) == events.of(expired.id) == ["task-received", "task-revoked"]


def test_a_single_text_is_sent_at_once_and_everything_is_acknowledged(app, server, events):
    """Shown by the batch, not by time: it has one request, which waited only for one turn of the event loop."""
    result = app.send_task("hanner.extract", ["马云"])
    result.get(timeout=60)
    events.wait_for(lambda e: "task-succeeded" in e.of(result.id))
    (succeeded,) = [e for e in events.seen if e.get("uuid") == result.id and e["type"] == "task-succeeded"]
    assert " with 1 request, waited " in succeeded["result"]
    call(app, "马云")  # when this one is answered, the first one is acknowledged
    assert server.client.hlen("unacked") <= 1


def test_a_thousand_mixed_texts_share_batches_in_the_order_of_their_arrival(app, server, events):
    texts = [chr(0x4E00 + n) * (1 + (n * 7919) % 510) for n in range(1000)]  # all different
    with occupied_process(app, server, events):
        results = [app.send_task("hanner.extract", [text]) for text in texts]
        done = len(runs(server.client))
    for result in results:
        result.get(timeout=60)
    batches = runs(server.client)[done:]
    assert [length for batch in batches for length in batch] == [len(text) for text in texts]
    assert len(batches) < 2 * sum(len(text) + 2 for text in texts) / 2048


def batch_of(events, result):
    """Return the event of the batch in which a request ended."""
    events.wait_for(lambda e: "task-succeeded" in e.of(result.id))
    (end,) = [e for e in events.seen if e.get("uuid") == result.id and e["type"] == "task-succeeded"]

    def its():
        return [e for e in events.seen if e["type"] == "hanner-batch" and e["batch"] == end["batch"]]

    events.wait_for(lambda _: its())
    return its()[0]


def test_each_batch_sends_one_event_without_text(app, server, events):
    with occupied_process(app, server, events) as send:
        one, _ = send(SECRET, SECRET + "二")
    pair = batch_of(events, one)
    assert pair["requests"] == 2
    texts = app.send_task("hanner.extract_many", [[SECRET, "马云", 7]])  # sent later, so that it is not in their batch
    assert batch_of(events, texts)["texts"] == 3
    batches = [event for event in events.seen if event["type"] == "hanner-batch"]
    assert (pair["texts"], pair["windows"], pair["tokens"], pair["padded_tokens"]) == (2, 2, 11, 12)
    assert pair["model"] == "fake@00000000"
    assert 0 <= pair["waited_ms"] < 60_000
    assert pair["total_ms"] > 0
    assert {"tokenise_ms", "infer_ms", "decode_ms"} <= pair.keys()
    assert len({event["batch"] for event in batches}) == len(batches)
    assert "秘密" not in json.dumps(batches, ensure_ascii=False, default=str)
