"""Results as Celery's own backend would write them, and the outcomes of a batch whose results cannot be written."""

import contextlib
import json

import pytest
import redis
from celery import states
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded

from hanner.contract import EXTRACT
from hanner.errors import InvalidText
from hanner.settings import Settings
from hanner_worker.context import WorkerContext
from hanner_worker.delivery import completion as completion_module
from hanner_worker.delivery.completion import Completer
from hanner_worker.delivery.inflight import Completion, Outcome
from hanner_worker.execution.batch import Batch
from hanner_worker.payload import TaskPayload
from support.inflight import claim, completed, letters, make_inflight, nothing_in_flight, payload


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
@pytest.mark.parametrize(
    ("result", "options"),
    [
        ({"entities": [], "model": "m@1"}, {}),
        (InvalidText("it is bad"), {"group": "g", "parent": "p"}),
        ({"documents": []}, {"parent": "p"}),
    ],
)
def test_a_result_is_what_celery_would_have_written(backend, inflight, result, options):
    (tag,) = claim(backend.client, inflight, "id")
    outcome, state = (Outcome.FAILED, states.FAILURE) if isinstance(result, Exception) else (Outcome.OK, states.SUCCESS)
    request = payload("id", tag, **options)
    assert inflight.complete(backend, [Completion(request, outcome, result)]) == [outcome]
    ours = backend.get_task_meta("id", cache=False)
    assert 70 < backend.client.ttl("celery-task-meta-id") <= 77
    backend.client.flushall()
    context = Context(id="id", group=request.group, parent_id=request.parent)
    backend.store_result("id", result, state, request=context)
    theirs = backend.get_task_meta("id", cache=False)
    assert 70 < backend.client.ttl("celery-task-meta-id") <= 77
    assert ours.keys() == theirs.keys()
    for key in ours.keys() - {"date_done", "result"}:
        assert ours[key] == theirs[key]
    assert (type(ours["result"]), str(ours["result"])) == (type(theirs["result"]), str(theirs["result"]))
    assert ours["status"] == state


def test_a_result_is_published(backend, inflight):
    subscriber = backend.client.pubsub()
    subscriber.subscribe("celery-task-meta-id")
    assert subscriber.get_message(timeout=60)["type"] == "subscribe"
    (tag,) = claim(backend.client, inflight, "id")
    inflight.complete(backend, [completed("id", tag, {"a": 1})])
    message = subscriber.get_message(timeout=60)
    assert backend.decode(message["data"])["result"] == {"a": 1}
    subscriber.close()


def receive(subscriber, count):
    """Return the next messages of a subscriber: channel and ids of the results in it."""
    messages = [subscriber.get_message(timeout=60) for _ in range(count)]
    assert None not in messages
    return [(m["channel"].decode(), [json.loads(r)["task_id"] for r in m["data"].split(b"\n")]) for m in messages]


def test_results_of_one_client_are_published_together(backend, inflight):
    mine, other = (f"hanner:replies:{digit * 32}" for digit in "ab")
    tags = claim(backend.client, inflight, *"abcde")
    with contextlib.closing(backend.client.pubsub(ignore_subscribe_messages=True)) as subscriber:
        subscriber.subscribe(mine, other)
        subscriber.get_message(timeout=60)
        subscriber.get_message(timeout=60)
        channels = [mine, other, mine, "", mine]
        completions = [
            Completion(payload(task_id, tag, replies=channel), Outcome.OK, {"text": "一\n二"})
            for task_id, tag, channel in zip("abcde", tags, channels, strict=True)
        ]
        completions[4] = completions[4]._replace(store_result=False)
        inflight.complete(backend, completions, "now")
        assert sorted(receive(subscriber, 2)) == [(mine, ["a", "c"]), (other, ["b"])]
        backend.client.publish(mine, b'{"task_id": "end"}')  # nothing else was published in between
        assert inflight.complete(backend, completions[:1], "now") == [Outcome.OK]  # a repeated call
        assert receive(subscriber, 1) == [(mine, ["end"])]
        assert subscriber.get_message(timeout=0) is None


class Flaky:
    """A client whose scripts fail the first `times` times, before or `after` they ran; counts its round trips."""

    def __init__(self, client, times, error=redis.ConnectionError, *, after=False):
        self._client, self._times, self._error, self._after, self.trips = client, times, error, after, 0

    def evalsha(self, *args):
        self.trips += 1
        if self.trips > self._times:
            return self._client.evalsha(*args)
        if self._after:
            self._client.evalsha(*args)
        raise self._error("gone")

    def __getattr__(self, name):
        return getattr(self._client, name)


def test_a_batch_is_one_round_trip(backend, inflight):
    ids = [str(n) for n in range(50)]
    tags = claim(backend.client, inflight, *ids)
    assert inflight.complete(backend, []) == []  # no round trip
    inflight.complete(backend, [completed("0", tags[0])])  # Redis has the script from here on
    real, backend.client = backend.client, Flaky(backend.client, 0)
    inflight.complete(backend, [completed(n, tag) for n, tag in list(zip(ids, tags, strict=True))[1:]])
    assert backend.client.trips == 1
    assert len(real.keys("celery-task-meta-*")) == 50
    assert not real.keys("hanner:*:unacked:*")
    backend.client = real


class Clock:
    """A clock that only pauses move, and the pauses."""

    def __init__(self):
        self.now = 0.0
        self.pauses = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.pauses.append(seconds)


@pytest.mark.parametrize("error", [redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError])
def test_it_is_retried_for_a_while(app, backend, inflight, caplog, error):
    real, clock = backend.client, Clock()
    completer = Completer(app, inflight, clock.sleep, clock)
    tag, other = claim(real, inflight, "id", "other")
    backend.client = Flaky(real, 3, error)
    assert completer.complete([completed("id", tag)]) == [Outcome.OK]
    assert clock.pauses == [0.05, 0.1, 0.2]
    assert real.exists("celery-task-meta-id")
    backend.client, clock.pauses = Flaky(real, 10**6, error), []
    caplog.clear()
    assert completer.complete([completed("other", other)]) == [Outcome.NOT_STORED]
    assert sum(clock.pauses) == pytest.approx(11)
    assert len(caplog.messages) == len(clock.pauses) + 1
    backend.client, clock.pauses = Flaky(real, 1, error), []
    assert Completer(app, inflight, None).complete([completed("other", other)]) == [Outcome.NOT_STORED]
    backend.client = real


def test_a_retry_after_a_lost_reply_is_not_fenced(app, backend, inflight):
    tag, other = claim(backend.client, inflight, "id", "other")
    inflight.complete(backend, [completed("other", other)])
    real, backend.client = backend.client, Flaky(backend.client, 1, after=True)
    assert Completer(app, inflight, lambda _: None).complete([completed("id", tag)]) == [Outcome.OK]
    backend.client = real


def test_a_fenced_result_is_neither_stored_nor_acknowledged(backend, inflight):
    (tag,) = claim(backend.client, inflight, "id")
    other = make_inflight()
    inflight.requeue(backend.client)
    claim(backend.client, other)
    assert inflight.complete(backend, [completed("id", tag, "late")]) == [Outcome.FENCED]
    assert not backend.client.exists("celery-task-meta-id")
    assert backend.client.hlen(other.keys.unacked(other.worker_id)) == 1


def test_the_first_answer_is_kept(backend, inflight):
    one, two = claim(backend.client, inflight, "id", "id")
    assert inflight.complete(backend, [completed("id", one, "first")]) == [Outcome.OK]
    assert inflight.complete(backend, [completed("id", two, "second")]) == [Outcome.ALREADY_ANSWERED]
    assert backend.get_result("id") == "first"
    assert nothing_in_flight(backend.client)


def test_a_dead_letter_is_not_stored_if_an_earlier_answer_is_kept(backend, inflight):
    one, two = claim(backend.client, inflight, "id", "id")
    inflight.complete(backend, [completed("id", one, "first")])
    failure = completed("id", two, ValueError(), Outcome.FAILED, dead_letter={"id": "id", "at": 1.0})
    assert inflight.complete(backend, [failure]) == [Outcome.ALREADY_ANSWERED]
    assert letters(backend.client, inflight.keys) == []


def make_context(app, run, **options):
    class Model:
        def run(self, texts):
            return run(texts), None

    return WorkerContext(
        recogniser=Model(),
        model="m@1",
        digest="d",
        max_length=512,
        normalise=str.lower,
        app=app,
        settings=Settings(**options),
        inflight=make_inflight(),
    )


def batch(context, *texts, ids=None, **options):
    """Fetch messages for these texts, and make a batch of them."""
    ids = ids or [str(n) for n, _ in enumerate(texts)]
    tags = claim(context.app.backend.client, context.inflight, *ids)
    payloads = [
        TaskPayload(id_, EXTRACT, [text], {}, tag=tag, **options)
        for id_, text, tag in zip(ids, texts, tags, strict=True)
    ]
    return Batch(context, payloads)


def nothing(texts):
    return [[] for _ in texts]


def never(texts):
    pytest.fail(f"the model was run on {len(texts)} texts")


def outcomes(report):
    return [result.outcome for result in report.results]


def test_a_batch_reports_outcomes_and_no_text(app, backend):
    report = batch(make_context(app, nothing), "秘密", 7).run()
    assert outcomes(report) == [Outcome.OK, Outcome.FAILED]
    assert "秘密" not in repr(report)
    assert backend.get_state("0") == states.SUCCESS
    assert backend.get_state("1") == states.FAILURE
    assert nothing_in_flight(backend.client)


def test_an_ignored_result_is_not_stored(app, backend):
    report = batch(make_context(app, nothing), "甲", ignore_result=True).run()
    assert outcomes(report) == [Outcome.OK]
    assert nothing_in_flight(backend.client)
    assert not backend.client.keys("celery-*")


def test_requests_whose_results_cannot_be_stored_stay_in_flight(app, backend, monkeypatch):
    monkeypatch.setattr(completion_module, "GIVE_UP_AFTER", 0.0)
    context = make_context(app, nothing)
    not_stored = batch(context, "甲", "乙")
    real, backend.client = backend.client, Flaky(backend.client, 10**6)
    assert outcomes(not_stored.run()) == [Outcome.NOT_STORED] * 2
    backend.client = real
    assert real.hlen(context.inflight.keys.unacked(context.inflight.worker_id)) == 2


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
@pytest.mark.parametrize("state", [states.SUCCESS, states.FAILURE, states.REVOKED])
def test_a_request_that_is_answered_already_is_acknowledged_without_inference(app, backend, state):
    context = make_context(app, never)
    backend.store_result("0", ValueError("no") if state != states.SUCCESS else 1, state)
    before = backend.client.get("celery-task-meta-0")
    report = batch(context, "甲").run()
    assert outcomes(report) == [Outcome.ALREADY_ANSWERED]
    assert report.results[0].code == ("" if state == states.SUCCESS else state)
    assert backend.client.get("celery-task-meta-0") == before
    assert nothing_in_flight(backend.client)


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
def test_a_state_that_is_not_an_answer_is_replaced(app, backend):
    backend.store_result("0", None, states.STARTED)
    assert outcomes(batch(make_context(app, nothing), "甲").run()) == [Outcome.OK]
    assert backend.get_state("0") == states.SUCCESS


def test_a_fenced_request_is_not_inferred(app, backend):
    context = make_context(app, never)
    late = batch(context, "甲", "乙")
    context.inflight.requeue(backend.client)
    assert outcomes(late.run()) == [Outcome.FENCED] * 2
    assert backend.client.llen("hanner") == 2


def test_a_request_that_is_fenced_during_the_run_is_not_stored(app, backend):
    def run(texts):
        context.inflight.requeue(backend.client)
        return nothing(texts)

    context = make_context(app, run)
    assert outcomes(batch(context, "甲").run()) == [Outcome.FENCED]
    assert not backend.client.exists("celery-task-meta-0")
    assert backend.client.llen("hanner") == 1


def test_a_text_that_the_model_fails_on_becomes_a_dead_letter(app, backend):
    def run(texts):
        if "乙" in texts:
            raise ValueError
        return nothing(texts)

    context = make_context(app, run)
    report = batch(context, "甲", "乙", "丙", ids=["a", "b", "c"]).run()
    assert outcomes(report) == [Outcome.OK, Outcome.FAILED, Outcome.OK]
    (letter,) = letters(backend.client, context.inflight.keys)
    assert {name: letter[name] for name in ("id", "task", "code", "crashes")} == {
        "id": "b",
        "task": EXTRACT,
        "code": "model_failed",
        "crashes": 0,
    }
    assert letter["message"] == "message of b"
    assert backend.client.zscore(context.inflight.keys.dead_index, "b") == letter["at"]
    assert type(backend.get_result("b")).__name__ == "ModelFailed"


def test_a_soft_time_limit_fails_a_single_request_and_retries_several(app, backend):
    def run(texts):
        raise SoftTimeLimitExceeded

    context = make_context(app, run)
    assert outcomes(batch(context, "甲", "乙").run()) == [Outcome.RETRY_ISOLATED] * 2
    assert not backend.client.keys("celery-*")
    assert outcomes(batch(context, "甲").run()) == [Outcome.FAILED]
    assert type(backend.get_result("0")).__name__ == "TimedOut"


def test_with_a_cache_a_text_is_inferred_once_and_its_entry_is_written_after_the_results(app, backend):
    ran = []

    def run(texts):
        ran.append(texts)
        return nothing(texts)

    context = make_context(app, run, cache_ttl=60)
    first = batch(context, "甲", "甲", "乙").run()
    second = batch(context, "乙", "丙", ids=["3", "4"]).run()
    assert ran == [["甲", "乙"], ["丙"]]
    assert (first.stats["repeated"], first.stats["cached"]) == (1, 0)
    assert (second.stats["repeated"], second.stats["cached"]) == (0, 1)
    assert len(backend.client.keys("hanner:cache:*")) == 3


def test_without_a_cache_nothing_is_kept(app, backend):
    batch(make_context(app, nothing), "甲").run()
    assert not backend.client.keys("hanner:cache:*")
