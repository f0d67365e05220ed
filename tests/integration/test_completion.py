"""What follows a request is in Redis before its message is acknowledged, whatever Redis refuses meanwhile."""

import base64
import json

import pytest
import redis
from celery import group, signature
from celery.exceptions import TaskRevokedError

from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from hanner_worker.delivery.completion import Completer
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.payload import TaskPayload
from support.inflight import claim, letters, make_inflight, nothing_in_flight

STEP = dict(signature("shop.store", [7], queue="shop"))


@pytest.fixture
def app(server):
    """Return the app of a worker, whose channels collect messages."""
    app = make_worker_app(Settings(broker_url=server.url, result_ttl=77))
    yield app
    app.backend.client.close()
    app.close()


@pytest.fixture
def inflight(app):
    return make_inflight()


class Request:
    """A request with a canvas, in flight; `completion` is its end."""

    def __init__(self, client, inflight, task_id="id", *, tag=None, ignore_result=False, **canvas):
        tag = tag or claim(client, inflight, task_id)[0]
        canvas = {"id": task_id, "root_id": task_id, **canvas}
        self.payload = TaskPayload(
            task_id, "hanner.extract", ["text"], {}, tag=tag, canvas=canvas, ignore_result=ignore_result
        )

    def completion(self, result="found", **options):
        outcome = Outcome.FAILED if isinstance(result, Exception) else Outcome.OK
        store = not self.payload.ignore_result
        return Completion(self.payload, outcome, result, store_result=store, **options)


def arguments(client, queue="shop"):
    """Return the first argument of each message in a queue."""
    return [json.loads(base64.b64decode(json.loads(raw)["body"]))[0][0] for raw in client.lrange(queue, 0, -1)]


@pytest.fixture
def fill_memory(client):
    yield lambda: client.config_set("maxmemory", "1kb")
    client.config_set("maxmemory", "0")


def test_a_result_has_the_next_steps_as_children(app, client, inflight):
    request = Request(client, inflight, callbacks=[STEP], chain=[STEP])
    assert Completer(app, inflight).complete([request.completion()]) == [Outcome.OK]
    assert arguments(client) == ["found", "found"]
    children = app.AsyncResult("id").children
    ids = [json.loads(raw)["headers"]["id"] for raw in client.lrange("shop", 0, -1)]
    assert sorted(child.id for child in children) == sorted(ids)
    headers = json.loads(client.lindex("shop", 0))["headers"]
    assert (headers["parent_id"], headers["root_id"]) == ("id", "id")
    assert nothing_in_flight(client)


class Flaky:
    """Redis' client, whose scripts fail `times` times, after they ran."""

    def __init__(self, client, times):
        self._client = client
        self._times = times

    def __getattr__(self, name):
        return getattr(self._client, name)

    def evalsha(self, *args):
        reply = self._client.evalsha(*args)
        if self._times:
            self._times -= 1
            raise redis.ConnectionError
        return reply


@pytest.mark.parametrize("part", [False, True])
@pytest.mark.parametrize("result", ["found", ValueError("no")])
@pytest.mark.parametrize("replace", [False, True])
def test_a_lost_reply_repeats_nothing(app, client, inflight, part, result, replace):
    canvas = {"callbacks": [STEP], "errbacks": [STEP]}
    if part:
        canvas |= {"group": "g", "group_index": 0, "chord": dict(signature("shop.count"))}
        app.backend.set_chord_size("g", 2)
    request = Request(client, inflight, **canvas)
    if replace:
        client.set("celery-task-meta-id", "unreadable")
    real, app.backend.client = app.backend.client, Flaky(app.backend.client, 3)
    completion = request.completion(result, replace=replace)
    outcomes = Completer(app, inflight, lambda _: None).complete([completion])
    app.backend.client = real
    assert outcomes == [completion.outcome]
    assert client.llen("shop") == 1
    assert not client.keys("hanner:*unacked*")


def declare(app, client, inflight):
    """Send one step, so that the queue of STEP is declared, which happens once."""
    request = Request(client, inflight, "first", callbacks=[STEP])
    Completer(app, inflight).complete([request.completion()])


def test_a_full_memory_delays_only_parts_of_chords(app, client, inflight, fill_memory, caplog):
    body = dict(signature("shop.count", queue="shop"))
    tags = claim(client, inflight, "part", "link", "plain")
    part = Request(client, inflight, "part", tag=tags[0], group="g", group_index=0, chord=body)
    link = Request(client, inflight, "link", tag=tags[1], callbacks=[STEP])
    plain = Completion(TaskPayload("plain", "hanner.extract", ["text"], {}, tag=tags[2]), Outcome.OK, 1)
    app.backend.set_chord_size("g", 1)
    declare(app, client, inflight)
    fill_memory()
    seen = []

    def sleep(_):
        seen.append((arguments(client), bool(client.exists("celery-task-meta-plain")), client.llen("shop")))
        if len(seen) == 3:
            client.config_set("maxmemory", "0")

    completions = [part.completion(), link.completion(), plain]
    assert Completer(app, inflight, sleep).complete(completions) == [Outcome.OK] * 3
    assert seen == [(["found", "found"], True, 2)] * 3
    assert arguments(client)[0] == ["found"]
    assert len(caplog.messages) == 3
    assert nothing_in_flight(client)


@pytest.mark.parametrize("result", ["found", ValueError("no"), TaskRevokedError("revoked")])
def test_a_request_that_is_delivered_again_returns_its_part_only(app, client, inflight, result):
    body = dict(signature("shop.count", queue="shop", link_error=[STEP]))
    canvas = {"callbacks": [STEP], "errbacks": [STEP], "group": "g", "group_index": 0, "chord": body}
    app.backend.set_chord_size("g", 1)
    request = Request(client, inflight, **canvas)
    unfinished = request.completion(result)._replace(acknowledge=False)
    inflight.complete(app.backend, [unfinished])  # and the process is killed
    again = Completion(request.payload, Outcome.ALREADY_ANSWERED, store_result=False)
    assert Completer(app, inflight).complete([again]) == [Outcome.ALREADY_ANSWERED]
    assert client.llen("shop") == 1  # the body, or its errback
    assert nothing_in_flight(client)


def test_a_claimed_chord_is_waited_for_and_taken_over(app, client, inflight):
    body = dict(signature("shop.count", queue="shop"))
    app.backend.set_chord_size("g", 1)
    request = Request(client, inflight, group="g", group_index=0, chord=body)
    claim_key = app.backend.get_key_for_group("g", ".c")
    client.set(claim_key, "a process that was killed")

    def sleep(_):
        assert not client.exists("shop")
        client.delete(claim_key)  # it expires

    assert Completer(app, inflight, sleep).complete([request.completion()]) == [Outcome.OK]
    assert arguments(client) == [["found"]]
    assert Completer(app, inflight, None).complete([request.completion()]) == [Outcome.FENCED]


def test_an_invalid_next_step_fails_the_request_and_tells_its_errback(app, client, inflight):
    broken = {"task": "celery.chord", "subtask_type": "chord", "args": [], "kwargs": {"header": 7}, "options": {}}
    request = Request(client, inflight, callbacks=[broken], errbacks=[STEP])
    assert Completer(app, inflight).complete([request.completion()]) == [Outcome.FAILED]
    assert "the next step cannot be sent" in str(app.AsyncResult("id").result)
    assert arguments(client) == ["id"]
    request = Request(client, inflight, "other", errbacks=[broken])
    assert Completer(app, inflight).complete([request.completion(ValueError("no"))]) == [Outcome.FAILED]
    assert nothing_in_flight(client)


def test_a_queue_whose_name_is_in_use_does_not_hold_up_the_batch(app, client, inflight, caplog):
    client.set("not declared yet", "a string")
    tags = claim(client, inflight, "link", "plain")
    step = dict(signature("shop.store", queue="not declared yet"))
    link = Request(client, inflight, "link", tag=tags[0], callbacks=[step])
    plain = Completion(TaskPayload("plain", "hanner.extract", ["text"], {}, tag=tags[1]), Outcome.OK, 1)
    assert Completer(app, inflight).complete([link.completion(), plain]) == [Outcome.FAILED, Outcome.OK]
    declare(app, client, inflight)
    client.delete("shop")
    client.set("shop", "a string")
    later = Request(client, inflight, "later", callbacks=[STEP])
    assert Completer(app, inflight).complete([later.completion()]) == [Outcome.OK]
    assert "1 next steps were not queued" in caplog.text
    assert nothing_in_flight(client)


def test_a_chain_that_fails_stores_the_failure_of_each_step(app, client, inflight):
    steps = [STEP | {"options": {"task_id": name, "group_id": "g"}} for name in ("third", "second")]
    request = Request(client, inflight, chain=steps)
    letter = {"id": "id", "task": "t", "code": "model_failed", "reason": "", "crashes": 0, "at": 1.0}
    Completer(app, inflight).complete([request.completion(ValueError("no"), dead_letter=letter)])
    for task_id in ("id", "second", "third"):
        assert (app.AsyncResult(task_id).state, str(app.AsyncResult(task_id).result)) == ("FAILURE", "no")
        assert 0 < client.ttl(f"celery-task-meta-{task_id}") <= 77
    assert len(letters(client, inflight.keys)) == 1


def test_an_ignored_result_of_a_part_is_counted_and_its_link_sent_once(app, client, inflight):
    body = dict(signature("shop.count", queue="body"))
    app.backend.set_chord_size("g", 1)
    canvas = {"callbacks": [STEP], "group": "g", "group_index": 0, "chord": body}
    request = Request(client, inflight, ignore_result=True, **canvas)
    assert Completer(app, inflight).complete([request.completion()]) == [Outcome.OK]
    assert (client.llen("shop"), client.llen("body")) == (1, 1)
    assert not client.exists("celery-task-meta-id")
    assert nothing_in_flight(client)


def test_a_link_that_is_a_group_is_sent_as_one(app, client, inflight):
    both = group([app.signature("shop.store", options={"queue": "shop"})] * 2, app=app)
    request = Request(client, inflight, callbacks=[json.loads(json.dumps(both)), STEP, STEP])
    assert Completer(app, inflight).complete([request.completion()]) == [Outcome.OK]
    assert client.llen("shop") == 4
